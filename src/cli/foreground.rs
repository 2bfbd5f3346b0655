//! A run in the foreground: its events are shown as they come, and keys and signals control it. Ctrl-C stops it, Ctrl-Z
//! freezes it, and its steps go on when the terminal goes away.
//!
//! The run is driven by an engine of this process or of another one. That may change ([`link`]): when a window takes
//! this process's engine over, the run is followed there; when another process's engine goes, this process takes over.

mod ending;
mod hearing;
mod levers;
mod link;
mod question;
mod tail;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossbeam_channel::select;

use super::exit::{Failure, Outcome};
use super::output::{Form, count};
use super::painter::Painter;
use super::signals::{Asked, SignalWatch};
use crate::api::exit_code::NOT_FOUND;
use crate::api::{Command, Request, ShowRun};
use crate::base::id::{RunId, StepId};
use crate::control::{ControlClient, EventStream};
use crate::daemon::{Acquisition, EngineLease, Joined, ask, join};
use crate::engine::{Beginning, CoreExecutionEngine, EngineOptions, HostStart, Scope, ShutdownKind};
use crate::records::Records;
use crate::run::{EventKind, Input, Plan, RunState, RunSummary};
use crate::settings::Settings;
use crate::store::DataDir;
pub(super) use ending::show_end;
use hearing::{Lost, is_of};
use link::Link;
use question::{Question, Reply};

/// The beginning of a run's error while the run waits for a missing secret.
const HELD: &str = "held: ";

/// A request about a run.
pub(super) struct RunAction<'a, R> {
    pub(super) run_id: &'a RunId,
    /// For the living engine of another process.
    pub(super) request: R,
    /// The same, for an engine that is opened for it.
    pub(super) input: Input,
}

/// Which event ends the following of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The next end.
    End,
    /// The next end after the run was resumed: the earlier end may still be reported.
    EndOnceResumed,
    /// The next end, which was requested.
    Stopped,
    /// That the run is frozen.
    Frozen,
}

/// A run that is followed in a terminal.
pub(super) struct Foreground {
    link: Link,
    signals: SignalWatch,
    painter: Painter,
    /// The newest event received.
    seq: Option<u64>,
    asked: StopAsked,
    question: Question,
    suspension: Suspension,
    lost: Lost,
    /// The failed attempts that were not retried, by step: the attempt and its log.
    failed: BTreeMap<StepId, (u32, PathBuf)>,
}

/// How far the operator's requests to stop have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopAsked {
    No,
    /// The question whether to stop was asked.
    Question,
    InGoodOrder,
    AtOnce,
}

/// The state of Ctrl-Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspension {
    None,
    /// The run is being frozen. This process stops when it is.
    Freezing,
    /// The run was frozen before this process stopped.
    Frozen,
}

/// Why the following ends.
enum End {
    /// The run has ended.
    Ended(RunState),
    /// It waits for a secret, named here.
    Held(String),
    /// The awaited event has come.
    Reached,
    /// The operator has left; the exit code.
    Left(u8),
}

impl Foreground {
    /// Makes a request about a run to the living engine, or else to an engine of this process that recovers only that
    /// run. The run can then be followed.
    pub(super) fn with_action<R: Request>(
        data_dir: DataDir,
        settings: Settings,
        action: &RunAction<'_, R>,
        form: Form,
    ) -> Result<Self, Failure> {
        match ask(&data_dir, &action.request)? {
            Acquisition::Answered(client, _) => Self::attach(data_dir, client, settings, action.run_id, form),
            Acquisition::EngineLease(lease) => {
                let signals = SignalWatch::start()?;
                let scope = Scope::Only(vec![action.run_id.clone()]);
                let input = (action.run_id.clone(), action.input.clone());
                Ok(Self::with(Link::own(lease, settings, scope, Some(input))?, signals, form))
            }
        }
    }

    /// Opens an engine of this process on the lease; it recovers the runs in `scope`.
    pub(super) fn open(
        lease: EngineLease,
        settings: Settings,
        scope: Scope,
        form: Form,
    ) -> Result<Self, Failure> {
        // Before anything starts: from now on Ctrl-C is handled.
        let signals = SignalWatch::start()?;
        Ok(Self::with(Link::own(lease, settings, scope, None)?, signals, form))
    }

    /// Opens an engine of this process on the lease, which recovers nothing, and starts a run with it. Returns its id once
    /// the start is recorded.
    pub(super) fn start(
        lease: EngineLease,
        settings: Settings,
        plan: Plan,
        form: Form,
    ) -> Result<(Self, RunId), Failure> {
        // First, because the first step waits for it: it starts while this process goes on.
        let host_start = HostStart::begin(&lease.dir)?;
        let signals = SignalWatch::start()?;
        let engine = EngineOptions { scope: Scope::Nothing, ..settings.engine_options() };
        let begin = |engine: &CoreExecutionEngine| engine.begin_pipeline(plan);
        let (link, begun) = Link::own_and(lease, settings, engine, host_start, begin)?;
        let run_id = begun.and_then(Beginning::wait)?;
        Ok((Self::with(link, signals, form), run_id))
    }

    /// Follows a run at the living engine, with its events since `client` connected.
    pub(super) fn attach(
        data_dir: DataDir,
        client: ControlClient,
        settings: Settings,
        run_id: &RunId,
        form: Form,
    ) -> Result<Self, Failure> {
        let signals = SignalWatch::start()?;
        let welcome = client.welcome().clone();
        let link = Link::live(client, data_dir, settings, run_id, Some(welcome.seq))?;
        let mut this = Self::with(link, signals, form);
        this.seq = Some(welcome.seq);
        if this.painter.is_for_people() {
            let (face, pid) = (welcome.engine.face.as_str(), welcome.engine.pid);
            this.painter.remark(&format!("through the engine that is running ({face}, process {pid})"));
        }
        Ok(this)
    }

    fn with(link: Link, signals: SignalWatch, form: Form) -> Self {
        Self {
            link,
            signals,
            painter: Painter::new(form),
            seq: None,
            asked: StopAsked::No,
            question: Question::none(),
            suspension: Suspension::None,
            lost: Lost::default(),
            failed: BTreeMap::new(),
        }
    }

    /// The engine of this process, if there is one.
    pub(super) fn engine(&self) -> Option<&CoreExecutionEngine> {
        self.link.backend.engine()
    }

    /// Gives the engine a command.
    pub(super) fn command(&self, command: Command) -> Result<(), Failure> {
        Ok(self.link.backend.command(command)?)
    }

    /// Shows what recovery decided about `run_id` while the engine opened, and the consequences.
    pub(super) fn tell_recovery(&mut self, run_id: &RunId) {
        while let Some(event) = self.link.events.try_recv() {
            self.show(&event, run_id);
        }
        self.painter.flush();
    }

    /// Ends the following: the run ended during recovery.
    pub(super) fn conclude(mut self, run_id: &RunId, state: RunState) -> Outcome {
        self.tell_recovery(run_id);
        self.finish(run_id, End::Ended(state))
    }

    /// Says that other runs live here and are left alone.
    pub(super) fn tell_others(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let Some(engine) = self.engine() else { return Ok(()) };
        let living = Records::beside(engine).living()?;
        let others: Vec<_> = living.iter().filter(|id| *id != run_id).map(RunId::as_str).collect();
        if !others.is_empty() {
            self.painter.remark(&format!(
                "{} not touched ({}): steps that run go on to their end with the supervisor; `leverframe resume` continues such a run",
                count(others.len(), "other living run is", "other living runs are"),
                others.join(", ")
            ));
        }
        Ok(())
    }

    pub(super) fn remark(&mut self, text: &str) {
        self.painter.remark(text);
    }

    /// Shows the run to its end and handles keys and signals. Returns the exit code.
    pub(super) fn follow(mut self, run_id: &RunId, until: Until) -> Outcome {
        let mut counts_ends = until != Until::EndOnceResumed;
        let end = 'run: loop {
            while let Some(event) = self.link.events.try_recv() {
                self.seq = self.seq.max(Some(event.seq));
                counts_ends |=
                    is_of(&event, run_id) && matches!(event.kind, EventKind::ExecutionResumed { .. });
                if let Some(end) = self.hear(&event, run_id, until, counts_ends)? {
                    break 'run end;
                }
            }
            if self.link.events.is_over() {
                if let Some(end) = self.rejoin(run_id)? {
                    break 'run end;
                }
                // The request for which this was started came before: ends count from now on.
                counts_ends = true;
                continue;
            }
            self.painter.flush();
            select! {
                // Handled above; the queue holds the other end.
                recv(self.link.wakes) -> _ => {}
                recv(self.question.reply) -> reply => {
                    self.question = Question::none();
                    if let Some(end) = self.hear_reply(reply.unwrap_or(Reply::GoOn), run_id) {
                        break 'run end;
                    }
                }
                recv(self.signals.asked) -> asked => if let Ok(asked) = asked
                    && let Some(end) = self.answer(asked, run_id)?
                {
                    break 'run end;
                },
            }
        };
        // A requested end is a success, however this process learnt of it.
        let is_wanted = until == Until::Stopped && matches!(end, End::Ended(_));
        self.finish(run_id, if is_wanted { End::Reached } else { end })
    }

    /// The engine is gone. If another engine has its place, the run is followed there; otherwise this process takes
    /// over what it drove.
    fn rejoin(&mut self, run_id: &RunId) -> Result<Option<End>, Failure> {
        if let Some(service) = self.link.backend.take_service() {
            // Ends all of the service: otherwise this process would be its own client.
            service.close(ShutdownKind::LeaveSteps)?;
        }
        let remote = self.link.events.remote();
        let (notice, heard) = (remote.and_then(EventStream::closing), remote.and_then(EventStream::heard));
        let since = heard.max(self.seq);
        let backend = &self.link.backend;
        let (dir, settings) = (backend.data_dir().clone(), Settings::clone(&backend.settings().now()));
        match join(&dir)? {
            Joined::Client(client) => {
                let (face, pid) = (client.welcome().engine.face.as_str(), client.welcome().engine.pid);
                self.painter.remark(&format!("the engine is now another one ({face}, process {pid})"));
                self.link = Link::live(client, dir, settings, run_id, since)?;
            }
            Joined::EngineLease(lease) => {
                let mut runs = notice.map(|notice| notice.living).unwrap_or_default();
                if !runs.contains(run_id) {
                    runs.push(run_id.clone());
                }
                self.painter.remark("the engine has ended; this process takes over the run");
                self.link = Link::own(lease, settings, Scope::Only(runs), None)?;
                // No event will report a run that has ended on disk.
                return self.end_on_disk(run_id);
            }
        }
        Ok(None)
    }

    /// Does what a key or a signal requests.
    fn answer(&mut self, asked: Asked, run_id: &RunId) -> Result<Option<End>, Failure> {
        match asked {
            Asked::Interrupt => self.stop(run_id),
            Asked::Suspend => self.freeze(run_id)?,
            Asked::Continue => return self.thaw(run_id),
            Asked::HangUp => return Ok(Some(self.leave(run_id, 128 + 1))),
            Asked::Terminate => return Ok(Some(self.leave(run_id, 128 + 15))),
        }
        Ok(None)
    }

    /// The present summary of the run.
    pub(super) fn run(&self, run_id: &RunId) -> Result<Option<RunSummary>, Failure> {
        match self.link.backend.ask(ShowRun { run_id: run_id.clone() }) {
            Ok(record) => Ok(Some(record.run)),
            Err(error) if error.exit_code() == NOT_FOUND => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
