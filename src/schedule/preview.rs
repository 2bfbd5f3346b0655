//! What a schedule will do, before it is saved: its next fires, and in words the effect of the coming clock changes.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use super::config::ScheduleConfig;
use super::timetable::{Times, Timetable};
use super::wall::{Change, WallClock};
use crate::base::time::format_instant;
use crate::base::tz::Tz;
use crate::base::units::format_duration;

/// How far ahead changes of the clock are looked for.
const AHEAD: TimeDelta = TimeDelta::days(731);

/// How many of them are shown.
const N_CHANGES: usize = 2;

/// The most fires that are shown at once.
pub const MAX_PREVIEW: u64 = 100_000;

/// What `schedule preview` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The next fires; fewer than requested when there are no more.
    pub fires: Vec<PreviewFire>,
    /// The next two changes of the zone's clock within two years; empty for a schedule that no clock makes due.
    pub clock_changes: Vec<ClockChange>,
}

/// One coming fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewFire {
    /// The instant, in UTC.
    #[serde(serialize_with = "as_instant")]
    pub at: DateTime<Utc>,
    /// The same in the zone's local time with its offset (RFC 3339).
    pub local: String,
}

/// One coming change of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClockChange {
    /// The instant, in UTC.
    #[serde(serialize_with = "as_instant")]
    pub at: DateTime<Utc>,
    /// What happens to the clock, and the effect on the schedule.
    pub text: String,
}

/// The next `n` fires (at most [`MAX_PREVIEW`]) after `from` of a job that was or would be added at `created_at`, and
/// the effect of the next two clock changes.
pub fn preview(
    config: &ScheduleConfig,
    zone: Tz,
    created_at: DateTime<Utc>,
    from: DateTime<Utc>,
    n: usize,
) -> Preview {
    let timetable = config.timetable(zone, created_at);
    let instants = std::iter::successors(timetable.next_after(from), |at| timetable.next_after(*at));
    let n = n.min(MAX_PREVIEW as usize);
    let fires = instants.take(n).map(|at| PreviewFire { at, local: local(at, zone) }).collect();
    Preview { fires, clock_changes: clock_changes(config, &timetable, zone, from) }
}

fn clock_changes(
    config: &ScheduleConfig,
    timetable: &Timetable,
    zone: Tz,
    from: DateTime<Utc>,
) -> Vec<ClockChange> {
    let is_due_by_time = match config {
        ScheduleConfig::After { .. } | ScheduleConfig::Manual => false,
        ScheduleConfig::Once { .. }
        | ScheduleConfig::Interval { .. }
        | ScheduleConfig::Daily { .. }
        | ScheduleConfig::Weekly { .. }
        | ScheduleConfig::Cron(_) => true,
    };
    let clock = WallClock::new(zone);
    let through = from.timestamp().saturating_add(AHEAD.num_seconds());
    let mut found = Vec::new();
    let mut after = from.timestamp();
    while is_due_by_time
        && found.len() < N_CHANGES
        && let Some(change) = clock.next_change(after, through)
    {
        if let Some(at) = DateTime::from_timestamp(change.at, 0) {
            let text = format!("{}: {}", happens(&change), effect(config, timetable, &change));
            found.push(ClockChange { at, text });
        }
        after = change.at;
    }
    found
}

/// "Sun 2027-03-28: the clock goes from 02:00 forward to 03:00".
fn happens(change: &Change) -> String {
    let (before, after) = (change.wall_before(), change.wall_after());
    let way = if after > before { "forward" } else { "back" };
    let day = on_wall(before, "%a %Y-%m-%d");
    let next_day = if before.div_euclid(86_400) == after.div_euclid(86_400) { "" } else { "%a %Y-%m-%d " };
    format!(
        "{day}: the clock goes from {} {way} to {}",
        on_wall(before, "%H:%M"),
        on_wall(after, &format!("{next_day}%H:%M"))
    )
}

fn effect(config: &ScheduleConfig, timetable: &Timetable, change: &Change) -> String {
    let forward = change.after > change.before;
    if let ScheduleConfig::Interval { .. } = config {
        let by = Duration::from_secs((change.after - change.before).unsigned_abs());
        let way = if forward { "later" } else { "earlier" };
        return format!(
            "no effect on real time; by the wall clock it fires {} {way} from then on",
            format_duration(by)
        );
    }
    let Some((calendar, clock, times)) = timetable.wall_times() else {
        return "no effect".to_owned();
    };
    // The wall-clock times that are skipped, or that come twice.
    let (first, end) =
        (change.wall_before().min(change.wall_after()), change.wall_before().max(change.wall_after()));
    let n = calendar.count(first, end);
    let Some(time) = calendar.next(first - 1).filter(|_| n > 0) else {
        return "no effect: none of its times is affected".to_owned();
    };
    let form = if time % 60 == 0 { "%H:%M" } else { "%H:%M:%S" };
    let day = if time.div_euclid(86_400) == change.wall_before().div_euclid(86_400) { "" } else { "%a " };
    let shown = on_wall(time, &format!("{day}{form}"));
    let end_shown = on_wall(end, "%H:%M");
    match (times, forward) {
        (Times::Fixed, true) => {
            let joins = calendar.count(end, end + 1) > 0;
            let what = match n {
                1 => format!("{shown} does not exist: it runs"),
                n => format!("{n} of its times, from {shown} on, do not exist: they run once,"),
            };
            let with = if joins { ", together with the fire due then" } else { "" };
            format!("{what} at {end_shown}{with}")
        }
        (Times::Fixed, false) => {
            let first_pass = on_wall_with_offset(clock.first_instant_of(time), change.before);
            match n {
                1 => format!("{shown} comes twice: it runs at the first ({first_pass})"),
                n => format!(
                    "{n} of its times, from {shown} on, come twice: each runs at the first ({first_pass})"
                ),
            }
        }
        (Times::RealTime, true) => format!(
            "it goes on in real time; {} between {} and {end_shown} {} not exist and {} out",
            n_times(n),
            on_wall(first, "%H:%M"),
            if n == 1 { "does" } else { "do" },
            if n == 1 { "falls" } else { "fall" },
        ),
        (Times::RealTime, false) => format!(
            "it goes on in real time; {} between {} and {end_shown} {} twice and {} both times",
            n_times(n),
            on_wall(first, "%H:%M"),
            if n == 1 { "comes" } else { "come" },
            if n == 1 { "runs" } else { "run" },
        ),
    }
}

fn n_times(n: u64) -> String {
    if n == 1 { "the time".to_owned() } else { format!("the {n} times") }
}

fn local(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false)
}

fn on_wall(wall: i64, form: &str) -> String {
    DateTime::from_timestamp(wall, 0).map_or_else(String::new, |at| at.format(form).to_string())
}

fn on_wall_with_offset(at: i64, offset: i64) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{}{sign}{:02}:{:02}", on_wall(at + offset, "%H:%M"), minutes / 60, minutes % 60)
}

fn as_instant<S: serde::Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_instant(*at))
}

#[cfg(test)]
mod tests;
