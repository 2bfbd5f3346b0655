//! A run in the foreground: its events are shown as they come, and keys and signals are its levers. Ctrl-C
//! stops it, Ctrl-Z freezes it, and a terminal that goes away leaves its steps running.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, bounded, select};
use rustix::process::Signal;

use super::exit::{FAILED, Failure, Outcome, of_run};
use super::output::{Form, count, note};
use super::painter::Painter;
use super::signals::{Asked, SignalWatch};
use crate::app::{LogLine, LogReader, Records, Settings, TextForm, Watch};
use crate::engine::{
    CoreExecutionEngine, EngineError, EngineOptions, EventBus, HostStart, Scope, ShutdownKind, Subscription,
};
use crate::id::{RunId, StepId};
use crate::run::{AutoResume, Event, EventKind, RunState, RunSummary, StepState, StopKind};

/// How many lines of a failed step's log are shown at the end.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 64 << 10;

/// What a hold for a missing secret begins with, in the error of its run.
const HELD: &str = "held: ";

/// Which end of the run is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The next.
    End,
    /// The next after it was taken up: the end of what went before may still be told.
    EndOnceResumed,
}

/// An engine that drives one run while somebody looks on.
pub(super) struct Foreground {
    pub(super) engine: CoreExecutionEngine,
    events: Subscription,
    /// Something waits in `events`.
    wakes: Receiver<()>,
    signals: SignalWatch,
    painter: Painter,
    data_dir: PathBuf,
    asked: StopAsked,
    suspension: Suspension,
    /// The attempts that failed and were not repeated, by their steps: where their logs lie.
    failed: BTreeMap<StepId, (u32, PathBuf)>,
    /// Measures the steps; the last to go.
    _watch: Option<Watch>,
}

/// How far the operator has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopAsked {
    No,
    InGoodOrder,
    AtOnce,
}

/// Where Ctrl-Z has led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspension {
    None,
    /// The run is being frozen; when it is, this process stops.
    Freezing,
    /// The run was frozen for it.
    Frozen,
}

/// Why nothing more is shown.
enum End {
    /// The run has ended.
    Ended(RunState),
    /// It waits for a secret.
    Held(String),
    /// The run is no longer driven from here; the number to end with.
    Left(u8),
}

impl Foreground {
    /// Opens an engine that takes back what `scope` says, and listens from its first event on.
    pub(super) fn open(
        data_dir: &Path,
        settings: &Settings,
        scope: Scope,
        form: Form,
    ) -> Result<Self, Failure> {
        // Before anything is started: from now on Ctrl-C is answered in good order.
        let signals = SignalWatch::start()?;
        let bus = EventBus::new();
        // Capacity 1: when it is full a wake waits already; when it is closed nobody looks on any more.
        let (wake, wakes) = bounded(1);
        let events = bus.subscribe_with_waker(move || {
            let _ = wake.try_send(());
        });
        let watch = Watch::new(data_dir, settings).ok();
        let options = EngineOptions {
            monitor: watch.as_ref().map(Watch::monitor),
            scope,
            auto_resume: AutoResume::No,
            host_start: HostStart::AtOnce,
            bus,
            ..settings.engine_options()
        };
        let engine = CoreExecutionEngine::open(data_dir, options)?;
        // Without it everything goes on: an end then has what the kernel says of it.
        let watch = watch.and_then(|mut watch| watch.start(engine.data_dir()).ok().map(|()| watch));
        watch.as_ref().inspect(|watch| watch.quicken());
        Ok(Self {
            _watch: watch,
            data_dir: engine.data_dir().path().to_owned(),
            engine,
            events,
            wakes,
            signals,
            painter: Painter::new(form),
            asked: StopAsked::No,
            suspension: Suspension::None,
            failed: BTreeMap::new(),
        })
    }

    /// Shows what recovery decided about `run_id` while the engine opened, and what came of it.
    pub(super) fn tell_recovery(&mut self, run_id: &RunId) {
        while let Some(event) = self.events.try_recv() {
            if let EventKind::RecoveryDecided { decisions } = &event.kind {
                let ours: Vec<_> = decisions.iter().filter(|it| it.run_id == *run_id).collect();
                if self.painter.is_for_people() {
                    ours.iter().for_each(|it| self.painter.remark(&format!("recovery: {}", it.text)));
                } else if !ours.is_empty() {
                    self.painter.show(&event);
                }
            } else if event.run_id.is_none() || is_of(&event, run_id) {
                self.note_failure(&event);
                self.painter.show(&event);
            }
        }
        self.painter.flush();
    }

    /// Ends here: the run has ended while it was taken back.
    pub(super) fn conclude(mut self, run_id: &RunId, state: RunState) -> Outcome {
        self.tell_recovery(run_id);
        self.finish(run_id, End::Ended(state))
    }

    /// Says that other runs live here, and that they are left alone.
    pub(super) fn tell_others(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let living = Records::beside(&self.engine).living()?;
        let others: Vec<_> = living.iter().filter(|id| *id != run_id).map(RunId::as_str).collect();
        if !others.is_empty() {
            self.painter.remark(&format!(
                "{} left alone ({}): steps that run go on to their end with the supervisor; `leverframe resume` takes such a run up",
                count(others.len(), "other living run is", "other living runs are"),
                others.join(", ")
            ));
        }
        Ok(())
    }

    /// A remark to whoever looks on.
    pub(super) fn remark(&mut self, text: &str) {
        self.painter.remark(text);
    }

    /// Shows the run to its end, and answers keys and signals; the number to end with.
    pub(super) fn follow(mut self, run_id: &RunId, until: Until) -> Outcome {
        let mut counts_ends = until == Until::End;
        let end = 'run: loop {
            while let Some(event) = self.events.try_recv() {
                counts_ends |=
                    is_of(&event, run_id) && matches!(event.kind, EventKind::ExecutionResumed { .. });
                if let Some(end) = self.hear(&event, run_id, counts_ends)? {
                    break 'run end;
                }
            }
            if self.events.is_over() {
                return Err(EngineError::ShutDown.into());
            }
            self.painter.flush();
            select! {
                // Looked at above; the queue holds the other end.
                recv(self.wakes) -> _ => {}
                recv(self.signals.asked) -> asked => if let Ok(asked) = asked
                    && let Some(end) = self.answer(asked, run_id)?
                {
                    break 'run end;
                },
            }
        };
        self.finish(run_id, end)
    }

    /// Shows one event, if it is about the run or about everybody.
    fn hear(&mut self, event: &Event, run_id: &RunId, counts_ends: bool) -> Result<Option<End>, Failure> {
        if matches!(event.kind, EventKind::Resync) {
            return Ok(self
                .state(run_id)?
                .filter(|run| run.state.is_ended())
                .map(|run| End::Ended(run.state)));
        }
        let is_ours = is_of(event, run_id);
        if !(is_ours || event.run_id.is_none()) || (is_end(event) && !counts_ends) {
            return Ok(None);
        }
        self.note_failure(event);
        self.painter.show(event);
        let Some(run) = event.kind.run().filter(|_| is_ours) else { return Ok(None) };
        if is_end(event) {
            return Ok(Some(End::Ended(run.state)));
        }
        if matches!(event.kind, EventKind::ExecutionPaused { .. }) {
            let reason = run.error.as_deref().and_then(|error| error.strip_prefix(HELD));
            if let Some(reason) = reason {
                return Ok(Some(End::Held(reason.to_owned())));
            }
            if self.suspension == Suspension::Freezing {
                self.suspend()?;
            }
        }
        Ok(None)
    }

    /// Remembers where the log of a failed step lies, until the step is tried again.
    fn note_failure(&mut self, event: &Event) {
        let Some(step) = event.kind.step() else { return };
        match (&step.log, step.state) {
            (Some(log), StepState::Failed) => {
                self.failed.insert(step.step_id.clone(), (step.attempt, self.data_dir.join(&**log)));
            }
            (_, _) => drop(self.failed.remove(&step.step_id)),
        }
    }

    /// Does what a key or a signal asks.
    fn answer(&mut self, asked: Asked, run_id: &RunId) -> Result<Option<End>, Failure> {
        match asked {
            Asked::Interrupt => self.stop(run_id),
            Asked::Suspend => self.freeze(run_id)?,
            Asked::Continue => self.thaw(run_id),
            Asked::HangUp => return Ok(Some(self.leave(run_id, 128 + 1))),
            Asked::Terminate => return Ok(Some(self.leave(run_id, 128 + 15))),
        }
        Ok(None)
    }

    fn stop(&mut self, run_id: &RunId) {
        self.suspension = Suspension::None;
        let (kind, text, next) = match self.asked {
            StopAsked::No => {
                let text = "stopping the run in good order; Ctrl-C once more ends it by force";
                (StopKind::Graceful, text, StopAsked::InGoodOrder)
            }
            StopAsked::InGoodOrder | StopAsked::AtOnce => {
                (StopKind::Force, "ending the run by force", StopAsked::AtOnce)
            }
        };
        match self.engine.stop_execution(run_id, kind) {
            Ok(()) => self.painter.remark(text),
            // It may just have ended, which is told next, or be stopping already.
            Err(error) => self.painter.remark(&format!("leverframe: {error}")),
        }
        self.asked = next;
    }

    fn freeze(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let is_paused = self.state(run_id)?.is_some_and(|run| run.state == RunState::Paused);
        if is_paused {
            // It was frozen before, by somebody else: then it is not ours to thaw.
            return self.suspend();
        }
        match self.engine.pause_execution(run_id) {
            Ok(()) => {
                self.suspension = Suspension::Freezing;
                self.painter.remark("freezing the run …");
                Ok(())
            }
            Err(error) => {
                self.painter.remark(&format!("leverframe: {error}; its steps go on meanwhile"));
                self.suspend()
            }
        }
    }

    /// Stops this process, as Ctrl-Z would have done: the shell says so, and `fg` lets it go on.
    fn suspend(&mut self) -> Result<(), Failure> {
        if self.suspension == Suspension::Freezing {
            self.suspension = Suspension::Frozen;
            self.painter.remark("the run is frozen; `fg` lets it go on");
        }
        self.painter.clear();
        self.painter.flush();
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)
            .map_err(|errno| Failure::from(std::io::Error::from(errno)))
    }

    fn thaw(&mut self, run_id: &RunId) {
        let was_frozen = std::mem::replace(&mut self.suspension, Suspension::None) == Suspension::Frozen;
        if was_frozen && let Err(error) = self.engine.resume_execution(run_id) {
            self.painter.remark(&format!("leverframe: {error}"));
        }
    }

    /// Ends this engine; what runs goes on without it.
    fn leave(&mut self, run_id: &RunId, code: u8) -> End {
        self.painter.clear();
        note(format_args!(
            "leaving: the steps of run {run_id} go on to their end; `leverframe resume {run_id}` takes it up again"
        ));
        End::Left(code)
    }

    fn finish(mut self, run_id: &RunId, end: End) -> Outcome {
        self.painter.clear();
        self.painter.flush();
        self.engine.shutdown(ShutdownKind::LeaveSteps)?;
        let code = match end {
            End::Left(code) => return Ok(code),
            End::Held(reason) => {
                note(format_args!(
                    "leverframe: run {run_id} is held: {reason} (`leverframe resume {run_id}`)"
                ));
                FAILED
            }
            End::Ended(state) => {
                if self.painter.is_for_people() && state == RunState::Failed {
                    self.failed.iter().for_each(|(step, (attempt, log))| print_tail(step, *attempt, log));
                    note(format_args!(
                        "`leverframe resume {run_id}` takes it up where it failed; `leverframe show {run_id}` shows it whole"
                    ));
                }
                of_run(state)
            }
        };
        Ok(code)
    }

    fn state(&self, run_id: &RunId) -> Result<Option<RunSummary>, Failure> {
        Ok(self.engine.get_execution_state(run_id)?)
    }
}

fn is_of(event: &Event, run_id: &RunId) -> bool {
    event.run_id.as_ref() == Some(run_id)
}

fn is_end(event: &Event) -> bool {
    event.kind.run().is_some_and(|run| run.state.is_ended())
}

/// The last lines of a failed step's log, to standard error.
fn print_tail(step: &StepId, attempt: u32, log: &Path) {
    let tail = LogReader::open(log).and_then(|log| log.tail(TAIL_LINES, TAIL_BYTES, TextForm::Plain));
    match tail {
        Ok(tail) if tail.lines.is_empty() => {}
        Ok(tail) => {
            note(format_args!("── last lines of step {step} (attempt {attempt}), {}", log.display()));
            for line in &tail.lines {
                match line {
                    LogLine::Text { text, .. } => note(text),
                    LogLine::Dropped { n_bytes, .. } => note(format_args!("… {n_bytes} bytes dropped …")),
                }
            }
        }
        Err(error) => note(format_args!("the log of step {step} can't be read: {error}")),
    }
}
