//! Jobs in words for people: instants in the local time of the job's zone, and how far off they are.

use chrono::{DateTime, Utc};

use super::super::output::{note, span};
use crate::api::JobView;
use crate::base::time::parse_instant;
use crate::base::tz::Tz;
use crate::schedule::{Preview, ScheduleConfig, ScheduleError, Zone, preview};
use crate::scheduler::{machine_zone, unheeded_tz, zone_of_session_alone};

/// The machine's zone; UTC when the system's zone is not known.
pub(super) fn local_zone() -> Tz {
    Zone::Local.resolve(&machine_zone()).unwrap_or(Tz::UTC)
}

/// The zone of this name on this machine.
pub(super) fn zone_named(name: Option<&str>) -> Result<Tz, ScheduleError> {
    match name {
        Some(name) => name.parse::<Zone>()?.resolve(&machine_zone()),
        None => Ok(local_zone()),
    }
}

/// Prints a note if `TZ` has no effect on a schedule with this zone: rules without a zone name are ignored, and `local`
/// means the zone of the process that fires the job.
pub(super) fn warn_ignored_tz(name: Option<&str>) {
    let is_local = name.is_some_and(|name| name.eq_ignore_ascii_case("local"));
    if let Some(text) = unheeded_tz().filter(|_| name.is_none() || is_local) {
        note(format_args!(
            "TZ={text} is ignored: it is not a zone of the IANA database; times are shown in {}",
            machine_zone()
        ));
    } else if let Some((session, system)) = zone_of_session_alone().filter(|_| is_local) {
        note(format_args!(
            "`local` is the zone of the process that fires the job: {session} where `leverframe serve` or the window is started with this TZ, else {system}"
        ));
    }
}

/// The zone of a job; the machine's when the job's is not understood.
pub(super) fn zone_of(job: &JobView) -> Tz {
    zone_named(Some(&job.zone)).unwrap_or_else(|_| local_zone())
}

/// An instant in the local time of a zone: `Tue 2026-11-24 02:00 CET`.
pub(super) fn on_wall(at: DateTime<Utc>, zone: Tz) -> String {
    let form = if at.timestamp() % 60 == 0 { "%a %Y-%m-%d %H:%M %Z" } else { "%a %Y-%m-%d %H:%M:%S %Z" };
    at.with_timezone(&zone).format(form).to_string()
}

/// How far off an instant is: `in 5 h 12 min`.
pub(super) fn countdown(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (at - now).num_milliseconds() {
        ..=0 => "now".to_owned(),
        ms => format!("in {}", span(ms)),
    }
}

/// When a job is due next, in its local time and from now; or why it is not due.
pub(super) fn next_of(job: &JobView, now: DateTime<Utc>) -> String {
    if job.problem.is_some() {
        return "never".to_owned();
    }
    if !job.enabled {
        return "disabled".to_owned();
    }
    match job.next_run {
        Some(at) => format!("{}, {}", on_wall(at, zone_of(job)), countdown(at, now)),
        None => match job.schedule_type.as_str() {
            "manual" => "by hand".to_owned(),
            "after" => "after those jobs".to_owned(),
            _ => "never".to_owned(),
        },
    }
}

/// The next `n` instants of a job, and the effect of the coming clock changes; none when its schedule is not
/// understood.
pub(super) fn preview_of(job: &JobView, now: DateTime<Utc>, n: usize) -> Option<Preview> {
    let config = ScheduleConfig::from_parts(&job.schedule_type, &job.schedule_config.to_string()).ok()?;
    let created_at = parse_instant(&job.created_at).ok()?;
    Some(preview(&config, zone_of(job), created_at, now, n))
}
