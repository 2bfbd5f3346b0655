//! The zones of the IANA database, as zones of `chrono`. Their rules are part of the program (`jiff`): packed as bytes and
//! read for the zones that are asked for, so that a start of the program costs nothing for them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone as Rules, TimeZoneDatabase};
use jiff::{Timestamp, civil};
use parking_lot::Mutex;

/// A zone of the IANA database.
#[derive(Clone, Copy)]
pub struct Tz(&'static Known);

/// A zone that was asked for. It is kept for the life of the process: there are some 600.
struct Known {
    name: &'static str,
    rules: Rules,
}

static UTC: Known = Known { name: "UTC", rules: Rules::UTC };

/// There is no zone of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a zone of the IANA database")]
pub struct UnknownZone(String);

/// What a wall clock of a zone shows, as an offset from UTC.
#[derive(Debug, Clone, Copy)]
pub struct TzOffset {
    zone: Tz,
    offset: FixedOffset,
    at: Timestamp,
}

impl Tz {
    /// Coordinated universal time.
    pub const UTC: Self = Self(&UTC);

    /// Its name in the database.
    pub const fn name(&self) -> &'static str {
        self.0.name
    }

    /// The names of all zones, in order.
    pub fn names() -> Vec<String> {
        let mut names: Vec<_> =
            TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    }

    /// Seconds east of UTC at an instant, in seconds since 1970.
    pub(crate) fn offset_at(self, unix: i64) -> i64 {
        self.0.rules.to_offset(timestamp(unix)).seconds().into()
    }

    /// The instants after `unix` at which something of the clock changes, with the seconds east of UTC from then on.
    pub(crate) fn changes_after(self, unix: i64) -> impl Iterator<Item = (i64, i64)> {
        let changes = self.0.rules.following(timestamp(unix));
        changes.map(|change| (change.timestamp().as_second(), change.offset().seconds().into()))
    }

    /// The offsets with which the clock shows this time.
    pub(crate) fn offsets_of(self, wall: NaiveDateTime) -> AmbiguousOffset {
        self.0.rules.to_ambiguous_timestamp(civil_of(wall)).offset()
    }

    fn offset(self, offset: Offset, at: i64) -> TzOffset {
        let fixed = FixedOffset::east_opt(offset.seconds()).unwrap_or(FixedOffset::east_opt(0).expect("UTC"));
        TzOffset { zone: self, offset: fixed, at: timestamp(at) }
    }
}

/// The nearest instant that has a place in the years −9999 to 9999.
fn timestamp(unix: i64) -> Timestamp {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(unix.clamp(first, last)).unwrap_or_default()
}

/// The nearest time that has a place in the years −9999 to 9999.
fn civil_of(wall: NaiveDateTime) -> civil::DateTime {
    let part = |n: u32| n as i8;
    let (date, time) = (wall.date(), wall.time());
    let date = i16::try_from(date.year())
        .map(|year| civil::Date::new(year, part(date.month()), part(date.day())))
        .ok()
        .and_then(Result::ok);
    let nearest = if wall.year() < 0 { civil::Date::MIN } else { civil::Date::MAX };
    date.unwrap_or(nearest).at(part(time.hour()), part(time.minute()), part(time.second()), 0)
}

impl FromStr for Tz {
    type Err = UnknownZone;

    /// The zone of exactly this name.
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        static KNOWN: Mutex<BTreeMap<&'static str, &'static Known>> = Mutex::new(BTreeMap::new());
        if name == UTC.name {
            return Ok(Self::UTC);
        }
        let mut known = KNOWN.lock();
        if let Some(zone) = known.get(name) {
            return Ok(Self(zone));
        }
        let rules = TimeZoneDatabase::bundled()
            .get(name)
            .ok()
            // It ignores case.
            .filter(|rules| rules.iana_name() == Some(name))
            .ok_or_else(|| UnknownZone(name.to_owned()))?;
        let zone: &'static Known = Box::leak(Box::new(Known { name: name.to_owned().leak(), rules }));
        known.insert(zone.name, zone);
        Ok(Self(zone))
    }
}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl PartialEq for Tz {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Tz {}

impl std::hash::Hash for Tz {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl chrono::TimeZone for Tz {
    type Offset = TzOffset;

    fn from_offset(offset: &TzOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, date: &NaiveDate) -> MappedLocalTime<TzOffset> {
        self.offset_from_local_datetime(&date.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, wall: &NaiveDateTime) -> MappedLocalTime<TzOffset> {
        let of =
            |offset: Offset| self.offset(offset, wall.and_utc().timestamp() - i64::from(offset.seconds()));
        match self.offsets_of(*wall) {
            AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(of(offset)),
            AmbiguousOffset::Fold { before, after } => MappedLocalTime::Ambiguous(of(before), of(after)),
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        }
    }

    fn offset_from_utc_date(&self, date: &NaiveDate) -> TzOffset {
        self.offset_from_utc_datetime(&date.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, at: &NaiveDateTime) -> TzOffset {
        let unix = at.and_utc().timestamp();
        self.offset(self.0.rules.to_offset(timestamp(unix)), unix)
    }
}

impl chrono::Offset for TzOffset {
    fn fix(&self) -> FixedOffset {
        self.offset
    }
}

/// The zone's abbreviation at that instant, such as `CEST`.
impl fmt::Display for TzOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.zone.0.rules.to_offset_info(self.at).abbreviation())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Offset as _, TimeZone as _, Utc};
    use chrono_tz::TZ_VARIANTS;

    use super::*;

    /// Another reading of an earlier edition of the database: the years on which both agree.
    #[test]
    fn every_zone_shows_what_chrono_tz_says() {
        for other in TZ_VARIANTS {
            let zone: Tz = other.name().parse().expect("it is there");
            assert_eq!(zone.name(), other.name());
            // Each week from 2000 to 2025, at another hour: of earlier years the database is still corrected.
            for unix in (946_684_800..1_767_225_600).step_by(7 * 86_400 + 3_607) {
                let at = DateTime::<Utc>::from_timestamp(unix, 0).expect("an instant").naive_utc();
                let expected = other.offset_from_utc_datetime(&at);
                assert_eq!(zone.offset_from_utc_datetime(&at).fix(), expected.fix(), "{zone} {at}");
                let earliest = |wall: MappedLocalTime<FixedOffset>| (wall.earliest(), wall.latest());
                let ours = zone.offset_from_local_datetime(&at).map(|offset| offset.fix());
                let theirs = other.offset_from_local_datetime(&at).map(|offset| offset.fix());
                assert_eq!(earliest(ours), earliest(theirs), "{zone} {at}");
            }
        }
    }

    #[test]
    fn names_are_exact_and_instants_out_of_reach_have_an_offset() {
        assert_eq!("europe/madrid".parse::<Tz>(), Err(UnknownZone("europe/madrid".into())));
        assert!(Tz::names().iter().any(|name| name == "Europe/Madrid"));
        let zone: Tz = "Europe/Madrid".parse().expect("a zone");
        assert_eq!(zone, zone.name().parse().expect("the same"));
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert!(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().abs() < 86_400);
            assert!(zone.offset_from_local_datetime(&at.naive_utc()).earliest().is_some());
        }
        let summer = DateTime::<Utc>::from_timestamp(1_782_000_000, 0).expect("an instant");
        assert_eq!(summer.with_timezone(&zone).format("%Z %z").to_string(), "CEST +0200");
    }
}
