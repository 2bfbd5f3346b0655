//! Instants and durations as they are written and measured. Nothing here reads a clock: the engine does, and passes a
//! [`Now`] as an argument.

use chrono::{DateTime, Local, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One reading of both clocks, taken when an input is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, which is shown and which retry delays follow.
    pub wall: DateTime<Utc>,
    /// Milliseconds since boot without sleep (`CLOCK_MONOTONIC`), which timeouts follow.
    pub awake_ms: u64,
}

/// An instant as the databases and JSON hold it: `2026-11-23T02:00:00.000Z`.
pub fn format_instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// For `serialize_with`: as [`format_instant`].
pub fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_instant(*at))
}

/// For `serialize_with`: as [`format_instant`], or null.
pub fn maybe_instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// The time of day in the machine's zone, with the day if it is more than half a day from `now`: `14:05`, `Thu 26 Nov
/// 14:05`.
pub fn local_clock(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let form = if (at - now).abs() < TimeDelta::hours(12) { "%H:%M" } else { "%a %-d %b %H:%M" };
    at.with_timezone(&Local).format(form).to_string()
}

/// Limits an instant to the years 1 to 9999, which RFC 3339 and the databases can hold. Every instant from outside
/// passes through here or through [`parse_instant`], so that adding days or years to it later can't overflow.
pub fn within_years(at: DateTime<Utc>) -> DateTime<Utc> {
    /// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
    const YEARS: [i64; 2] = [-62_135_596_800, 253_402_300_799];
    match at.timestamp() {
        seconds if seconds < YEARS[0] => DateTime::from_timestamp(YEARS[0], 0).unwrap_or(at),
        seconds if seconds > YEARS[1] => DateTime::from_timestamp(YEARS[1], 0).unwrap_or(at),
        _ => at,
    }
}

/// Parses an RFC 3339 instant of the years 1 to 9999. Without an offset it is the machine's local time.
///
/// # Errors
/// A sentence that names the text, when it is no such instant.
pub fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    let at = parse_any_instant(text)?;
    if within_years(at) == at {
        Ok(at)
    } else {
        Err(format!("{text:?} is outside the years 1 to 9999, which are the supported range"))
    }
}

/// For `deserialize_with`: as [`parse_instant`].
pub fn read_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_instant(&text).map_err(serde::de::Error::custom)
}

/// For `deserialize_with`: as [`parse_instant`], or null.
pub fn read_maybe_instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_instant(&text).map_err(serde::de::Error::custom)).transpose()
}

fn parse_any_instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    const LOCAL_FORMS: [&str; 4] =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    LOCAL_FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .and_then(|naive| Local.from_local_datetime(&naive).earliest())
        .map(|at| at.with_timezone(&Utc))
        .ok_or_else(|| format!("{text:?} is not an instant such as 2026-11-23T02:00:00Z"))
}

/// Counts milliseconds of awake time between starts and stops, also across restarts of the engine within one boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopwatch {
    /// Counted before `since_awake_ms`.
    counted_ms: u64,
    /// The [`Now::awake_ms`] of its start. None when it is stopped.
    since_awake_ms: Option<u64>,
}

impl Stopwatch {
    /// Starts it at `now`. A running one goes on.
    pub fn start(&mut self, now: Now) {
        self.since_awake_ms.get_or_insert(now.awake_ms);
    }

    /// Stops it at `now`.
    pub fn stop(&mut self, now: Now) {
        self.counted_ms = self.elapsed_ms(now);
        self.since_awake_ms = None;
    }

    /// Milliseconds counted up to `now`.
    pub fn elapsed_ms(&self, now: Now) -> u64 {
        let running = self.since_awake_ms.map_or(0, |since| now.awake_ms.saturating_sub(since));
        self.counted_ms + running
    }

    /// Adds what was counted up to `now` and goes on, so that a reboot loses little.
    pub fn rebase(&mut self, now: Now) {
        if self.is_running() {
            self.stop(now);
            self.start(now);
        }
    }

    /// Drops a start from an earlier boot, whose clock had another beginning.
    pub fn forget_boot(&mut self) {
        self.since_awake_ms = None;
    }

    pub fn is_running(&self) -> bool {
        self.since_awake_ms.is_some()
    }

    /// The [`Now::awake_ms`] at which it will have counted `limit_ms`; none while it is stopped.
    pub fn reaches_at(&self, limit_ms: u64) -> Option<u64> {
        self.since_awake_ms.map(|since| since + limit_ms.saturating_sub(self.counted_ms))
    }
}
