//! `leverframe quiet` and `leverframe drain`: orders that concern all runs. They outlive the engine that gets them.
//! Without a running engine they are recorded for the next one.

use std::sync::Arc;

use chrono::{DateTime, Days, Local, NaiveTime, TimeZone, Utc};
use clap::Args;

use super::exit::{Failure, Outcome};
use super::output::{count, note, show_warnings};
use super::{Place, Print};
use crate::admission::{Order, Orders};
use crate::api::GetSnapshot;
use crate::api::exit_code::{DONE, NO_ENGINE};
use crate::base::time::parse_instant;
use crate::base::units::parse_duration;
use crate::control::wire::EventFilter;
use crate::control::{Connection, ControlError};
use crate::daemon::give_order;
use crate::engine::now;
use crate::run::{EventKind, RunState};
use crate::settings::Settings;
use crate::store::{DataDir, RunFilter};

#[derive(Debug, Args)]
pub(super) struct QuietArgs {
    /// For this long, such as 1h or 90m; default: until `--off`.
    #[arg(long = "for", value_name = "TIME", conflicts_with_all = ["until", "off", "status"])]
    for_time: Option<String>,
    /// Until this time: 15:00 (today, or tomorrow if that is past), or an instant such as 2026-11-23T15:00:00Z.
    #[arg(long, value_name = "T", conflicts_with_all = ["off", "status"])]
    until: Option<String>,
    /// End the quiet.
    #[arg(long, conflicts_with = "status")]
    off: bool,
    /// Only show what is in force.
    #[arg(long)]
    status: bool,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// Start runs again.
    #[arg(long, conflicts_with_all = ["wait", "status"])]
    off: bool,
    /// Return when nothing runs any more.
    #[arg(long, conflicts_with = "status")]
    wait: bool,
    /// Only show what is in force.
    #[arg(long)]
    status: bool,
    #[command(flatten)]
    print: Print,
}

pub(super) fn quiet(args: &QuietArgs, place: &Place) -> Outcome {
    if args.status {
        return status(&args.print, place);
    }
    let now = now().wall;
    let until = match (&args.for_time, &args.until) {
        (Some(time), _) => {
            let time = parse_duration(time).map_err(Failure::usage)?;
            Some(now + time)
        }
        (None, Some(text)) => Some(end_of_quiet(text, now)?),
        (None, None) => None,
    };
    let order = if args.off { Order::EndQuiet } else { Order::Quiet(until) };
    give(order, &args.print, place)
}

pub(super) fn drain(args: &DrainArgs, place: &Place) -> Outcome {
    if args.status {
        return status(&args.print, place);
    }
    let order = if args.off { Order::EndDrain } else { Order::Drain };
    let code = give(order, &args.print, place)?;
    if args.wait {
        wait_until_idle(place)?;
    }
    Ok(code)
}

fn give(order: Order, print: &Print, place: &Place) -> Outcome {
    let path = place.path()?;
    let settings = Settings::load(&path)?;
    let dir = DataDir::open(path)?;
    let _listening = show_warnings(&dir);
    let orders = give_order(&dir, settings, order)?;
    show(&orders, print)
}

fn status(print: &Print, place: &Place) -> Outcome {
    show(&place.records()?.orders()?, print)
}

fn show(orders: &Orders, print: &Print) -> Outcome {
    print.form().print(orders, |page| page.line(orders.sentence(now().wall)))?;
    Ok(DONE)
}

/// Waits until every run that has begun has ended. Paused runs do not end by themselves, so their number is shown.
fn wait_until_idle(place: &Place) -> Result<(), Failure> {
    if let Some(connection) = Connection::open(&place.path()?)?
        && is_seen_idle(&Arc::new(connection))?
    {
        return Ok(());
    }
    let states = vec![RunState::Running, RunState::Paused, RunState::Stopping];
    match place.records()?.runs(&RunFilter { states, ..RunFilter::default() }, now())?.len() {
        0 => Ok(()),
        n => Err(Failure::new(
            NO_ENGINE,
            format!(
                "the engine has ended, but {} not ended; `leverframe runs` shows their state",
                count(n, "run has", "runs have")
            ),
        )),
    }
}

/// True once nothing runs any more; false when no engine lives any more before that. One that hands its work over to
/// another one is gone on with there.
fn is_seen_idle(connection: &Arc<Connection>) -> Result<bool, Failure> {
    let since = Some(connection.client()?.welcome().seq);
    let mut events = connection.follow(EventFilter { since, ..EventFilter::default() }, Arc::new(|| {}))?;
    let mut last_reported = None;
    loop {
        let runs = match connection.ask(&GetSnapshot {}) {
            Err(ControlError::Gone(Some(_))) => return Ok(false),
            living => living?.runs,
        };
        let n_in = |states: &[RunState]| runs.iter().filter(|it| states.contains(&it.run.state)).count();
        let left = (n_in(&[RunState::Running, RunState::Stopping]), n_in(&[RunState::Paused]));
        if left.0 + left.1 == 0 {
            return Ok(true);
        }
        if last_reported != Some(left) {
            let frozen = count(
                left.1,
                "frozen run must be resumed or stopped",
                "frozen runs must be resumed or stopped",
            );
            match left {
                (0, _) => note(format_args!("{frozen}")),
                (n, 0) => note(format_args!("{} to end", count(n, "run is", "runs are"))),
                (n, _) => note(format_args!("{} to end; {frozen}", count(n, "run is", "runs are"))),
            }
            last_reported = Some(left);
        }
        // Waits for a change of a run's state; other events do not matter.
        loop {
            let Some(event) = events.recv() else { return Ok(false) };
            let changes_state = |kind: &EventKind| kind.run().is_some() || matches!(kind, EventKind::Resync);
            if changes_state(&event.kind) {
                break;
            }
        }
    }
}

/// Parses a time of day, which means the next such time, or an instant.
fn end_of_quiet(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    let Ok(time) = NaiveTime::parse_from_str(text, "%H:%M") else {
        let wrong = |_| {
            let forms = "write 15:00, or an instant such as 2026-11-23T15:00:00Z";
            Failure::usage(format!("{text:?} is not a time; {forms}"))
        };
        return parse_instant(text).map_err(wrong);
    };
    let today = now.with_timezone(&Local).date_naive();
    let days = [today, today + Days::new(1), today + Days::new(2)];
    let instants =
        days.into_iter().filter_map(|day| Local.from_local_datetime(&day.and_time(time)).earliest());
    let next = instants.map(|at| at.with_timezone(&Utc)).find(|at| *at > now);
    next.ok_or_else(|| Failure::usage(format!("{text} does not occur in the next days; give an instant")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn the_end_of_quiet_is_the_next_such_time() {
        let now = Local.with_ymd_and_hms(2026, 6, 10, 14, 30, 0).unwrap().with_timezone(&Utc);
        let end = |text: &str| end_of_quiet(text, now).map(|at| at - now).map_err(|failure| failure.message);
        assert_eq!(end("15:00"), Ok(TimeDelta::minutes(30)));
        assert_eq!(end("14:30"), Ok(TimeDelta::days(1)));
        assert_eq!(end(&(now + TimeDelta::hours(2)).to_rfc3339()), Ok(TimeDelta::hours(2)));
        let message = end("soon").unwrap_err().unwrap();
        assert!(message.contains("\"soon\" is not a time; write 15:00"), "{message}");
    }
}
