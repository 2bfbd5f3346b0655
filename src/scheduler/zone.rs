//! The zone of this machine, as `date` has it: the zone of `TZ`, or else the system's.

use crate::base::tz::Tz;

/// The name of this machine's zone; `UTC` when the system names none.
pub fn machine_zone() -> String {
    known_machine_zone().unwrap_or_else(|| Tz::UTC.name().to_owned())
}

/// As [`machine_zone`]; none when the system names none.
pub(super) fn known_machine_zone() -> Option<String> {
    match tz_variable().as_deref().map(zone_of_tz) {
        Some(Some(zone)) => Some(zone.name().to_owned()),
        Some(None) | None => iana_time_zone::get_timezone().ok(),
    }
}

/// The value of `TZ`, if it is no zone that is known here. Schedules ignore it.
pub fn unheeded_tz() -> Option<String> {
    tz_variable().filter(|text| zone_of_tz(text).is_none())
}

/// The zone of `TZ` and the system's zone, if they differ: a process without this `TZ` is in the other zone.
pub fn zone_of_session_alone() -> Option<(String, String)> {
    let session = zone_of_tz(&tz_variable()?)?.name().to_owned();
    let system = iana_time_zone::get_timezone().ok()?;
    let is_utc = |name: &str| UTC_NAMES.contains(&name);
    (session != system && !(is_utc(&session) && is_utc(&system))).then_some((session, system))
}

/// Names of the same zone.
const UTC_NAMES: [&str; 8] =
    ["UTC", "Etc/UTC", "UCT", "Etc/UCT", "Universal", "Etc/Universal", "Zulu", "Etc/Zulu"];

fn tz_variable() -> Option<String> {
    std::env::var_os("TZ").map(|text| text.to_string_lossy().into_owned())
}

/// The zone of a value of `TZ` as `tzset(3)` reads it: a name, with or without a colon, or the path of a file of the
/// system's zones; an empty value is UTC. POSIX rules (`CET-1CEST,M3.5.0,M10.5.0/3`) have no name.
fn zone_of_tz(text: &str) -> Option<Tz> {
    let name = text.strip_prefix(':').unwrap_or(text);
    if name.is_empty() {
        return Some(Tz::UTC);
    }
    let name = name.rsplit_once("/zoneinfo/").map_or(name, |(_, name)| name);
    let name = name.strip_prefix("posix/").unwrap_or(name);
    match name {
        "UTC0" | "GMT0" => Some(Tz::UTC),
        name => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tz_is_read_as_the_c_library_reads_it() {
        let read = |text: &str| zone_of_tz(text).map(|zone| zone.name());
        assert_eq!(read("America/New_York"), Some("America/New_York"));
        assert_eq!(read(":Europe/Madrid"), Some("Europe/Madrid"));
        assert_eq!(read("/usr/share/zoneinfo/Asia/Tokyo"), Some("Asia/Tokyo"));
        assert_eq!(read(""), Some("UTC"));
        assert_eq!(read("UTC0"), Some("UTC"));
        assert_eq!(read("CET-1CEST,M3.5.0,M10.5.0/3"), None);
        assert_eq!(read("nonsense"), None);
    }
}
