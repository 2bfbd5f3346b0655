//! `leverframe events`: the events of the running engine so far, and with `--follow` those that come from now on.

use clap::Args;

use super::exit::{Failure, Outcome};
use super::output::{Form, Page, clock_time, note, printable};
use super::sentences::{Sentence, sentence};
use super::{Place, Print};
use crate::api::exit_code::{DONE, FAILED, NO_ENGINE};
use crate::base::id::RunId;
use crate::control::wire::EventFilter;
use crate::control::{Connection, ControlClient, ControlError, ReceivedEvent};
use crate::run::EventKind;

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Also print new events as they happen, until the engine ends.
    #[arg(long)]
    follow: bool,
    /// Only events after this one, by its `seq`; default: all since the engine started, and with --follow only new ones.
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// Only the events of this run.
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,
    #[command(flatten)]
    print: Print,
}

/// Whether to print more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

pub(super) fn events(args: &EventsArgs, place: &Place) -> Outcome {
    let data_dir = place.path()?;
    let connection = Connection::open(&data_dir)?.ok_or_else(|| {
        let text = format!("no engine is running on {}: there are no events to print", data_dir.display());
        Failure::new(NO_ENGINE, format!("{text}; `leverframe runs` lists past runs"))
    })?;
    let mut client = connection.client()?;
    let mut page = Page::new();
    let mut since = match (args.since, args.follow) {
        (Some(since), _) => Some(since),
        (None, true) => None,
        (None, false) => Some(client.welcome().engine.epoch << 32),
    };
    loop {
        if show_all(args, &client, since, &mut page)? == Then::End {
            return page.end(DONE);
        }
        page.flush()?;
        // After a hand-over, the stream goes on with the successor, at the same position.
        let Some(notice) = client.closing() else {
            return Err(Failure::new(FAILED, "the connection to the engine broke; it may have died"));
        };
        match connection.next_client(&client) {
            Ok(successor) if successor.welcome().engine != client.welcome().engine => {
                (client, since) = (successor, Some(notice.seq));
            }
            Ok(_) | Err(ControlError::Gone(_)) => {
                note(format_args!("the engine closed the connection: {}", notice.reason));
                return page.end(DONE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prints the events of one connection: up to the newest, or to the end of the connection.
fn show_all(
    args: &EventsArgs,
    client: &ControlClient,
    since: Option<u64>,
    page: &mut Page,
) -> Result<Then, Failure> {
    // Without --follow all events are received, because the newest may be of another run. Only the wanted ones are
    // printed.
    let runs = args.run.clone().filter(|_| args.follow).map(|run_id| vec![run_id]);
    let events = client.subscribe(EventFilter { since, runs, types: None })?;
    let newest = (!args.follow).then(|| events.seq());
    if newest.is_some_and(|newest| since.is_some_and(|since| since >= newest)) {
        return Ok(Then::End);
    }
    loop {
        let received = match events.try_recv() {
            Some(received) => received,
            None => {
                // No event waits: what was printed must become visible.
                page.flush()?;
                match events.recv() {
                    Some(received) => received,
                    None => return Ok(Then::GoOn),
                }
            }
        };
        if show(args, &received, newest, page)? == Then::End {
            return Ok(Then::End);
        }
    }
}

fn show(
    args: &EventsArgs,
    received: &ReceivedEvent,
    newest: Option<u64>,
    page: &mut Page,
) -> Result<Then, Failure> {
    let event = received.event().map_err(anyhow::Error::from)?;
    let is_resync = matches!(event.kind, EventKind::Resync);
    let is_wanted = args.run.as_ref().is_none_or(|run_id| event.run_id.as_ref() == Some(run_id));
    match args.print.form() {
        Form::Json if is_wanted || is_resync => page.line(received.json())?,
        Form::Json => {}
        Form::Text if is_resync => {
            page.flush()?;
            note("the engine no longer keeps earlier events; `leverframe runs` shows the state of the runs");
        }
        Form::Text if is_wanted => {
            let (at, run_id) = (clock_time(event.at), event.run_id.as_ref());
            let of_run = run_id.map(|run_id| format!("{run_id}: ")).unwrap_or_default();
            match sentence(&event.kind, event.at) {
                Some(Sentence::Story(text)) => page.line(printable(&format!("{at} {of_run}{text}")))?,
                Some(Sentence::Warning(text)) => {
                    page.line(printable(&format!("{at} {of_run}warning: {text}")))?;
                }
                None => {}
            }
        }
        Form::Text => {}
    }
    let is_last = newest.is_some_and(|newest| event.seq >= newest || is_resync);
    Ok(if is_last { Then::End } else { Then::GoOn })
}
