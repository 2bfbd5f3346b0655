//! A run in the foreground: its events are shown as they come, and keys and signals are its levers. Ctrl-C
//! stops it, Ctrl-Z freezes it, and a terminal that goes away leaves its steps running.
//!
//! The run is driven by an engine of this process, or by the one that lives ([`link`]). That may change on the way: an
//! engine that is taken over by a window is followed there, and one that goes is taken over from here.

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
use crate::api::Command;
use crate::base::id::{RunId, StepId};
use crate::control::ControlClient;
use crate::daemon::{Acquisition, EngineLease, Joined, ask, join};
use crate::engine::{CoreExecutionEngine, EngineError, Scope};
use crate::records::Records;
use crate::run::{EventKind, Input, Plan, RunState, RunSummary};
use crate::settings::Settings;
use crate::store::DataDir;
pub(super) use ending::show_end;
use hearing::{Lost, is_of};
use link::Link;
use question::{Question, Reply};

/// What a hold for a missing secret begins with, in the error of its run.
const HELD: &str = "held: ";

/// Something to be done about a run.
pub(super) struct RunAction<'a> {
    pub(super) run_id: &'a RunId,
    /// For the engine that lives.
    pub(super) command: Command,
    /// The same, for one that is opened for it.
    pub(super) input: Input,
}

/// Which end of the run is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The next.
    End,
    /// The next after it was taken up: the end of what went before may still be told.
    EndOnceResumed,
    /// The next, which was asked for.
    Stopped,
    /// That it is seen frozen.
    Frozen,
}

/// A run that is driven while somebody looks on.
pub(super) struct Foreground {
    link: Link,
    signals: SignalWatch,
    painter: Painter,
    settings: Settings,
    data_dir: DataDir,
    /// The newest event that was heard.
    seq: Option<u64>,
    asked: StopAsked,
    question: Question,
    suspension: Suspension,
    lost: Lost,
    /// The attempts that failed and were not repeated, by their steps: where their logs lie.
    failed: BTreeMap<StepId, (u32, PathBuf)>,
}

/// How far the operator has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopAsked {
    No,
    /// Whether it is meant was asked.
    Question,
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
    /// What was waited for has come.
    Reached,
    /// It is looked at no longer; the number to end with.
    Left(u8),
}

impl Foreground {
    /// Has something done about a run, by the engine that lives, or else by one of this process that takes back that run;
    /// then the run can be followed.
    pub(super) fn with_action(
        data_dir: DataDir,
        settings: Settings,
        action: &RunAction<'_>,
        form: Form,
    ) -> Result<Self, Failure> {
        match ask::<serde_json::Value>(&data_dir, &action.command)? {
            Acquisition::Answered(client, _) => Self::attach(data_dir, client, settings, action.run_id, form),
            Acquisition::EngineLease(lease) => {
                let signals = SignalWatch::start()?;
                let link = Link::own_for(lease, &settings, action.run_id, action.input.clone())?;
                Ok(Self::with(link, signals, settings, data_dir, form))
            }
        }
    }

    /// Becomes the engine of `data_dir`, which takes back what `scope` says.
    pub(super) fn open(
        data_dir: DataDir,
        lease: EngineLease,
        settings: Settings,
        scope: Scope,
        form: Form,
    ) -> Result<Self, Failure> {
        // Before anything is started: from now on Ctrl-C is answered in good order.
        let signals = SignalWatch::start()?;
        let link = Link::own(lease, &settings, scope)?;
        Ok(Self::with(link, signals, settings, data_dir, form))
    }

    /// Listens to the engine that lives, to what it tells of a run since `client` has connected.
    pub(super) fn attach(
        data_dir: DataDir,
        client: ControlClient,
        settings: Settings,
        run_id: &RunId,
        form: Form,
    ) -> Result<Self, Failure> {
        let signals = SignalWatch::start()?;
        let welcome = client.welcome().clone();
        let link = Link::live(client, run_id, Some(welcome.seq))?;
        let mut this = Self::with(link, signals, settings, data_dir, form);
        this.seq = Some(welcome.seq);
        if this.painter.is_for_people() {
            let (face, pid) = (welcome.engine.face.as_str(), welcome.engine.pid);
            this.painter.remark(&format!("through the engine that is running ({face}, process {pid})"));
        }
        Ok(this)
    }

    fn with(link: Link, signals: SignalWatch, settings: Settings, data_dir: DataDir, form: Form) -> Self {
        Self {
            link,
            signals,
            painter: Painter::new(form),
            settings,
            data_dir,
            seq: None,
            asked: StopAsked::No,
            question: Question::none(),
            suspension: Suspension::None,
            lost: Lost::default(),
            failed: BTreeMap::new(),
        }
    }

    /// Starts a run, with the engine of this process.
    pub(super) fn start(&self, plan: Plan) -> Result<RunId, Failure> {
        let engine = self.engine().ok_or(EngineError::ShutDown)?;
        Ok(engine.start_pipeline(plan)?)
    }

    /// The engine of this process, if it is one.
    pub(super) fn engine(&self) -> Option<&CoreExecutionEngine> {
        match &self.link {
            Link::Own(own) => Some(own.service.engine()),
            Link::Live(_) | Link::Lost(_) => None,
        }
    }

    /// Has the engine do something.
    pub(super) fn command(&self, command: &Command) -> Result<(), Failure> {
        self.link.command(command)
    }

    /// Shows what recovery decided about `run_id` while the engine opened, and what came of it.
    pub(super) fn tell_recovery(&mut self, run_id: &RunId) {
        while let Some(event) = self.link.try_event() {
            self.show(&event, run_id);
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
        let Some(engine) = self.engine() else { return Ok(()) };
        let living = Records::beside(engine).living()?;
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
        let mut counts_ends = until != Until::EndOnceResumed;
        let end = 'run: loop {
            while let Some(event) = self.link.try_event() {
                self.seq = self.seq.max(Some(event.seq));
                counts_ends |=
                    is_of(&event, run_id) && matches!(event.kind, EventKind::ExecutionResumed { .. });
                if let Some(end) = self.hear(&event, run_id, until, counts_ends)? {
                    break 'run end;
                }
            }
            if self.link.is_over() {
                if let Some(end) = self.rejoin(run_id)? {
                    break 'run end;
                }
                // What ends from now on ends after whatever this was started for.
                counts_ends = true;
                continue;
            }
            self.painter.flush();
            select! {
                // Looked at above; the queue holds the other end.
                recv(self.link.wakes()) -> _ => {}
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
        // An end that was asked for is what was wanted, however this process came to know of it.
        let is_wanted = until == Until::Stopped && matches!(end, End::Ended(_));
        self.finish(run_id, if is_wanted { End::Reached } else { end })
    }

    /// The engine has gone. Whoever took its place is followed from where it left off; where nobody did, this process
    /// takes over what it drove.
    fn rejoin(&mut self, run_id: &RunId) -> Result<Option<End>, Failure> {
        let notice = self.link.take_leave()?;
        // Whom it was written to has heard everything up to its last event.
        let heard = notice.as_ref().filter(|_| !matches!(self.link, Link::Lost(_)));
        let since = heard.map(|notice| notice.seq).max(self.seq);
        match join(&self.data_dir)? {
            Joined::Client(client) => {
                let (face, pid) = (client.welcome().engine.face.as_str(), client.welcome().engine.pid);
                self.painter.remark(&format!("the engine is now another one ({face}, process {pid})"));
                self.link = Link::live(client, run_id, since)?;
            }
            Joined::EngineLease(lease) => {
                let mut runs = notice.map(|notice| notice.living).unwrap_or_default();
                if !runs.contains(run_id) {
                    runs.push(run_id.clone());
                }
                self.painter.remark("the engine has gone; the run is taken over from here");
                self.link = Link::own(lease, &self.settings, Scope::Only(runs))?;
                // Of what has ended on disk nothing is told any more.
                return self.end_on_disk(run_id);
            }
        }
        Ok(None)
    }

    /// Does what a key or a signal asks.
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

    /// How the run stands.
    pub(super) fn run(&self, run_id: &RunId) -> Result<Option<RunSummary>, Failure> {
        self.link.run(run_id)
    }
}
