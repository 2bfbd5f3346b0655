//! `leverframe serve`: the engine and the scheduler without a window.

use std::time::Duration;

use clap::Args;
use crossbeam_channel::{never, select};
use serde_json::json;

use super::exit::{Failure, Outcome};
use super::output::{Form, Page, local_time, note, say_ignored};
use super::sentences::{Sentence, sentence};
use super::signals::{Asked, SignalWatch};
use super::{Place, Print};
use crate::api::ProcessKind;
use crate::api::exit_code::{DONE, FAILED, NO_ANSWER, UNUSABLE};
use crate::base::wake::bell;
use crate::daemon::{
    Background, Disposition, EngineLease, JoinError, Mode, NewHolder, ServeFor, Service, ServiceOptions,
    StandFor, Standby, Unready, succeed, turn_log,
};
use crate::diagnostics::{self, Output, listen};
use crate::engine::{EngineOptions, EventBus, HostStart, Scope, ShutdownKind, now};
use crate::run::Event;
use crate::settings::Settings;
use crate::store::DataDir;

/// How long a background process may take until it serves: a large database may have to be migrated.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Go into the background; what happens is written to serve.log in the data directory.
    #[arg(long)]
    detach: bool,
    /// Before it ends, stop all runs; default: they go on and are taken back at the next start.
    #[arg(long)]
    stop_runs: bool,
    /// Where a window runs the engine, wait until it has ended; default: that is an error.
    #[arg(long, conflicts_with = "detach")]
    wait: bool,
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
    let mut settings = Settings::load(&path)?;
    let dir = DataDir::open(&path)?;
    let output = match args.background {
        true => Output::DataDir(dir.path().to_owned()),
        false => Output::Stderr,
    };
    say_ignored(diagnostics::install(output));
    dir.open_to_others().into_iter().for_each(note);
    if args.detach {
        return detach(args, &dir);
    }
    if args.background {
        // The kernel refuses this to a group leader, which no terminal reaches either.
        let _ = rustix::process::setsid();
    }
    // Before anything is started, so that Ctrl-C always ends in good order.
    let signals = SignalWatch::start()?;
    let mut lease = match succeed(&dir, process_kind(args)) {
        Err(JoinError::Kept(_)) if args.wait => {
            match wait_for_lease(&dir, args, &signals, ProcessKind::Window)? {
                Some(lease) => lease,
                None => return Ok(DONE),
            }
        }
        lease => lease?,
    };
    let mut announced = Announced::No;
    loop {
        let successor = match serve_on(lease, settings.clone(), args, &signals, announced)? {
            End::Over => return Ok(DONE),
            End::HandedOver(successor) => successor,
        };
        note(format_args!("handed over to {}", successor.name));
        lease = match wait_for_lease(&dir, args, &signals, successor.face)? {
            Some(lease) => lease,
            None => return Ok(DONE),
        };
        note(format_args!("{} the engine is back", local_time(now().wall)));
        match Settings::load(&path) {
            Ok(newer) => settings = newer,
            Err(error) => note(format_args!("warning: {error}; the settings stay as they were")),
        }
        announced = Announced::Yes;
    }
}

/// Whether the line that says that this process serves was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    No,
    Yes,
}

/// Why it does not serve any more.
enum End {
    /// It must end.
    Over,
    /// Another process is the engine now.
    HandedOver(NewHolder),
}

/// The kind of engine process. With `--until-idle` it counts as a run: it fires no jobs, and gives way as a run does.
fn process_kind(args: &ServeArgs) -> ProcessKind {
    if args.until_idle { ProcessKind::Run } else { ProcessKind::Serve }
}

/// Serves on this lease until it must end, or another process has the lease.
fn serve_on(
    lease: EngineLease,
    settings: Settings,
    args: &ServeArgs,
    signals: &SignalWatch,
    announced: Announced,
) -> Result<End, Failure> {
    let dir = lease.data_dir().clone();
    let bus = EventBus::new();
    let (wake, wakes) = bell();
    let events = bus.subscribe_to_facts(move || wake.ring());
    let mut engine = EngineOptions { bus, host_start: HostStart::AtOnce, ..settings.engine_options() };
    if let (true, Some(runs)) = (args.until_idle, lease.inherited_runs()) {
        // Runs that other processes have left with the supervisor stay there.
        engine.scope = Scope::Only(runs.to_vec());
    }
    let parts = if args.until_idle { Mode::EngineOnly } else { Mode::All };
    let _listening =
        listen(dir.path(), |text| note(format_args!("{} warning: {text}", local_time(now().wall))));
    let options = ServiceOptions { face: process_kind(args), parts, engine, raise: None };
    let mut service = Service::open(lease, settings, options)?;
    if announced == Announced::No {
        announce(args.print.form(), &dir)?;
    }
    let mut displaced = service.displaced().clone();
    loop {
        if args.background {
            // If it fails, the log keeps growing.
            let _ = turn_log(dir.path());
        }
        while let Some(event) = events.try_recv() {
            log_event(&event);
        }
        if events.is_over() {
            // The client that asked for the engine gets its answer now, and the reason is known.
            service.end(ShutdownKind::LeaveSteps)?;
            return match service.disposition() {
                Disposition::HandedOver(new_holder) => Ok(End::HandedOver(new_holder)),
                Disposition::Ended => Ok(End::Over),
                Disposition::Unknown => {
                    Err(Failure::new(FAILED, "the engine ended unexpectedly; its last messages are above"))
                }
            };
        }
        // The engine checks again itself: a run may start at this moment, which is an event.
        if args.until_idle && !service.has_runs() && service.end_if_idle()? {
            note("ended");
            return Ok(End::Over);
        }
        select! {
            // Handled above; the subscription holds the other end.
            recv(wakes) -> _ => {}
            recv(displaced) -> notified => match notified {
                Ok(()) => {
                    // Like a kill: nothing may be written, so nothing is closed in order.
                    note("ended; start it again with the data directory's new path. Steps that run go on with the supervisor");
                    std::process::exit(UNUSABLE.into());
                }
                // The directory can't be watched.
                Err(_) => displaced = never(),
            },
            recv(signals.asked) -> asked => if is_end(asked.ok()) {
                return conclude(service, match args.stop_runs {
                    true => {
                        note("stopping all runs …");
                        ShutdownKind::StopRuns
                    }
                    false => ShutdownKind::LeaveSteps,
                });
            },
        }
    }
}

/// Whether this signal ends it. Suspend and continue do nothing: it has no foreground run to freeze.
fn is_end(asked: Option<Asked>) -> bool {
    match asked {
        Some(Asked::Interrupt | Asked::Terminate | Asked::HangUp) | None => true,
        Some(Asked::Suspend | Asked::Continue) => false,
    }
}

/// Stands by while another process is the engine, so that the directory stays served: this process gets the lease back
/// when that one ends or dies. Returns none when this process is not needed any more.
fn wait_for_lease(
    dir: &DataDir,
    args: &ServeArgs,
    signals: &SignalWatch,
    successor: ProcessKind,
) -> Result<Option<EngineLease>, Failure> {
    let stand_for = if args.until_idle || successor == ProcessKind::Serve {
        // The other process serves from now on. But it may die before it begins to serve.
        StandFor::UntilServed
    } else {
        note("standing by: it serves again when that engine has ended");
        StandFor::Good
    };
    let standby = Standby::start(dir, stand_for)?;
    loop {
        select! {
            recv(standby.lease) -> lease => return match lease {
                Ok(lease) => Ok(lease?),
                Err(_) => Err(Failure::new(FAILED, "the wait for the engine's end was broken off")),
            },
            recv(signals.asked) -> asked => if is_end(asked.ok()) {
                note("ended; the engine goes on where it is");
                return Ok(None);
            },
        }
    }
}

/// Ends the engine.
fn conclude(service: Service, kind: ShutdownKind) -> Result<End, Failure> {
    let has_running_steps = kind == ShutdownKind::LeaveSteps && service.is_busy();
    service.close(kind)?;
    note(match has_running_steps {
        true => "ended; steps that run go on with the supervisor and are taken back at the next start",
        false => "ended",
    });
    Ok(End::Over)
}

/// Writes one line of the log. Progress and other telemetry are left out.
fn log_event(event: &Event) {
    let time = local_time(event.at);
    match sentence(&event.kind, event.at) {
        Some(Sentence::Story(text)) => note(format_args!("{time} {text}")),
        Some(Sentence::Warning(text)) => note(format_args!("{time} warning: {text}")),
        None => {}
    }
}

/// Prints one line to standard output: from now on this process serves.
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
    background.wait_until_ready(READY_WITHIN).map_err(|unready| {
        let code = match &unready {
            Unready::Ended { code, .. } => code.unwrap_or(FAILED),
            Unready::Late(_) => NO_ANSWER,
        };
        Failure::new(code, format!("it does not serve: {unready}"))
    })?;
    args.print.form().print(&json!({ "pid": pid, "data_dir": dir.path(), "log": log }), |page| {
        page.line(format_args!(
            "serving {} in the background (process {pid}); its log: {}",
            dir.path().display(),
            log.display()
        ))
    })?;
    Ok(DONE)
}
