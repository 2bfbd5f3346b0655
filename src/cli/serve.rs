//! `leverframe serve`: the engine and the scheduler without a window.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::select;
use serde_json::json;

use super::exit::{DONE, FAILED, Failure, Outcome};
use super::output::{Form, Page, local_time, note};
use super::sentences::{Sentence, sentence};
use super::signals::{Asked, SignalWatch};
use super::waker::waker;
use super::{Place, Print};
use crate::app::{
    Background, DataDir, Face, Fate, Parts, ServeFor, Service, ServiceOptions, Settings, succeed,
};
use crate::engine::{EngineOptions, EventBus, HostStart, ShutdownKind, now};
use crate::run::Event;

/// How long a process in the background may take until it serves: a large database may have to be brought forward.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Go into the background; what happens is written to serve.log in the data directory.
    #[arg(long)]
    detach: bool,
    /// When told to end, stop what runs in good order first; default: it goes on and is taken back at the next start.
    #[arg(long)]
    stop_runs: bool,
    /// This process was started to be in the background.
    #[arg(long, hide = true)]
    background: bool,
    /// End as soon as nothing runs any more.
    #[arg(long, hide = true)]
    until_idle: bool,
    #[command(flatten)]
    print: Print,
}

pub(super) fn serve(args: &ServeArgs, place: &Place) -> Outcome {
    let path = place.path()?;
    let settings = Settings::load(&path)?;
    let dir = DataDir::open(&path)?;
    if args.detach {
        return detach(args, &dir);
    }
    if args.background {
        // Refused to one that leads a group, which no terminal reaches either.
        let _ = rustix::process::setsid();
    }
    // Before anything is started: from now on Ctrl-C is answered in good order.
    let signals = SignalWatch::start()?;
    let seat = succeed(&dir, Face::Serve)?;
    let bus = EventBus::new();
    let (wake, wakes) = waker();
    let events = bus.subscribe_with_waker(wake);
    let engine = EngineOptions { bus, host_start: HostStart::AtOnce, ..settings.engine_options() };
    let service = Service::open(
        seat,
        settings,
        ServiceOptions {
            face: Face::Serve,
            parts: Parts::All,
            engine,
            raise: None,
            complain: Arc::new(|text| note(format_args!("{} warning: {text}", local_time(now().wall)))),
        },
    )?;
    announce(args.print.form(), &dir)?;
    let end = loop {
        while let Some(event) = events.try_recv() {
            write_down(&event);
        }
        if events.is_over() {
            break End::Gone;
        }
        if args.until_idle && !service.is_busy() {
            break End::Idle;
        }
        select! {
            // Looked at above; the queue holds the other end.
            recv(wakes) -> _ => {}
            recv(signals.asked) -> asked => match asked {
                Ok(Asked::Interrupt | Asked::Terminate | Asked::HangUp) | Err(_) => break End::Asked,
                // There is no run of its own to freeze.
                Ok(Asked::Suspend | Asked::Continue) => {}
            },
        }
    };
    conclude(end, service, args)
}

/// Why it serves no longer.
enum End {
    /// A signal.
    Asked,
    /// Nothing runs any more, and that was the wish.
    Idle,
    /// The engine is another's, or is no more.
    Gone,
}

fn conclude(end: End, mut service: Service, args: &ServeArgs) -> Outcome {
    let kind = match end {
        End::Gone => {
            // Whoever has asked for it has his answer then, and why is known.
            service.end(ShutdownKind::LeaveSteps)?;
            return match service.fate() {
                Fate::HandedOver(successor) => {
                    note(format_args!("handed over to {successor}"));
                    Ok(DONE)
                }
                Fate::Ended => Ok(DONE),
                Fate::Unknown => {
                    Err(Failure::new(FAILED, "the engine has ended by itself; its last words stand above"))
                }
            };
        }
        End::Asked if args.stop_runs => {
            note("stopping what runs in good order …");
            ShutdownKind::StopRuns
        }
        End::Asked | End::Idle => ShutdownKind::LeaveSteps,
    };
    let is_left = kind == ShutdownKind::LeaveSteps && service.is_busy();
    service.close(kind)?;
    note(match is_left {
        true => "ended; steps that run go on with the supervisor and are taken back at the next start",
        false => "ended",
    });
    Ok(DONE)
}

/// One line of the log. How far something is stands where one looks for it, not here.
fn write_down(event: &Event) {
    if event.kind.is_telemetry() {
        return;
    }
    let time = local_time(event.at);
    match sentence(&event.kind, event.at) {
        Some(Sentence::Story(text)) => note(format_args!("{time} {text}")),
        Some(Sentence::Warning(text)) => note(format_args!("{time} warning: {text}")),
        None => {}
    }
}

/// One line to standard output: from now on it serves.
fn announce(form: Form, dir: &DataDir) -> Result<(), Failure> {
    let mut page = Page::new();
    let pid = std::process::id();
    match form {
        Form::Json => page.document_line(&json!({ "pid": pid, "data_dir": dir.path() }))?,
        Form::Text => page.line(format_args!("serving {} (process {pid})", dir.path().display()))?,
    }
    page.flush()
}

fn detach(args: &ServeArgs, dir: &DataDir) -> Outcome {
    let background = Background::start(dir.path(), ServeFor::Good)?;
    let (pid, log) = (background.pid(), background.log.clone());
    background
        .wait_until_ready(READY_WITHIN)
        .map_err(|why| Failure::new(FAILED, format!("it does not serve: {why}")))?;
    let mut page = Page::new();
    match args.print.form() {
        Form::Json => page.document(&json!({ "pid": pid, "data_dir": dir.path(), "log": log }))?,
        Form::Text => page.line(format_args!(
            "serving {} in the background (process {pid}); its log: {}",
            dir.path().display(),
            log.display()
        ))?,
    }
    page.end(DONE)
}
