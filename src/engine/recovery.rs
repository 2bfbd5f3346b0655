//! The link to the step host, and bringing together what is recorded with what it knows: at every start,
//! and whenever the host had to be replaced.

use crossbeam_channel::bounded;

use super::core::Engine;
use super::error::EngineError;
use super::message::{Message, PendingInput, Waiting};
use super::options::Scope;
use crate::base::id::{AttemptKey, RunId};
use crate::pipeline::Pipeline;
use crate::run::{EventKind, Input, Run, StepNews};
use crate::store::StoredBody;
use crate::supervisor::{ConnectError, HostEvent, StepHost};

impl Engine {
    /// Reads the runs that have not ended, and those that are to go on by themselves.
    pub(super) fn load_living(&mut self) -> Result<(), EngineError> {
        let stored = match &self.options.scope {
            Scope::Nothing => Vec::new(),
            Scope::All => self.publisher.store().load_living()?,
            Scope::Only(run_ids) => {
                let stored: Result<Vec<_>, _> =
                    run_ids.iter().map(|run_id| self.publisher.store().load_run(run_id)).collect();
                stored?.into_iter().flatten().filter(|run| !run.summary.state.is_ended()).collect()
            }
        };
        for run in stored {
            let run_id = run.summary.run_id.clone();
            match run.into_run(parse_stored) {
                Ok(run) => self.adopt(run),
                // One definition that this version can't read must not keep the others from going on.
                Err(error) => self.tell(EventKind::WarningRaised { text: format!("run {run_id}: {error}") }),
            }
        }
        Ok(())
    }

    /// An ended run, read from disk so that it can be taken up again.
    pub(super) fn load_ended(&self, run_id: &RunId) -> Result<Run, EngineError> {
        let stored = self.publisher.store().load_run(run_id)?;
        let stored = stored.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?;
        if !stored.summary.state.is_ended() {
            // This engine's scope left it alone; deciding about it here would make two owners.
            return Err(EngineError::OutOfScope { run_id: run_id.clone() });
        }
        Ok(stored.into_run(parse_stored)?)
    }

    /// Decides what becomes of the runs that an earlier engine left.
    pub(super) fn recover(&mut self) -> Result<(), EngineError> {
        let (driven, by_steps): (Vec<_>, Vec<_>) =
            self.runs.keys().cloned().partition(|id| self.runs[id].run.definition().is_none());
        self.handle(driven.into_iter().map(|id| PendingInput::world(id, Input::DriverLost)).collect());
        if by_steps.is_empty() {
            self.settle_what_is_left();
            self.look_at_orders();
            self.decide_first_input()?;
            self.admit_waiting();
            return Ok(());
        }
        self.ensure_host()?;
        for run_id in by_steps {
            // Without its folders a start fails by itself, with the reason.
            let _ = self.acting.follow(&run_id);
        }
        self.wait_for_inventory();
        self.look_at_disk_holds();
        self.look_at_limit_holds();
        self.look_at_orders();
        self.decide_first_input()?;
        self.admit_waiting();
        Ok(())
    }

    /// Decides what this engine was opened for, and lets steps start from then on.
    fn decide_first_input(&mut self) -> Result<(), EngineError> {
        let Some((run_id, input)) = self.options.first_input.take() else { return Ok(()) };
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        let waiting = Waiting::Caller(reply);
        self.handle(vec![PendingInput { waiting, ..PendingInput::world(run_id, input) }]);
        let living: Vec<_> = self.runs.keys().cloned().collect();
        self.handle(living.into_iter().map(|id| PendingInput::world(id, Input::StartsChanged)).collect());
        answer.try_recv().map_err(|_| EngineError::ShutDown)?.map(drop)
    }

    /// Hears the host until it has said what it knows, or is gone, or can't be had. Whoever asks for something meanwhile
    /// is heard afterwards.
    fn wait_for_inventory(&mut self) {
        let mut later = Vec::new();
        while self.host.owes_inventory()
            && let Some(message) = self.inbox.next()
        {
            if !matches!(message, Message::Host(..) | Message::HostReady(..) | Message::Report(_)) {
                later.push(message);
                continue;
            }
            let generation = self.host.generation();
            let mut heard = Vec::new();
            self.translate(message, &mut heard);
            self.handle(heard);
            if self.host.generation() != generation {
                // It is gone, and another one is looked for: what that one knows is heard when it comes.
                break;
            }
        }
        for message in later {
            self.inbox.put_back(message);
        }
    }

    /// Takes back a living run that this engine's scope has left alone, before somebody's request about it is looked
    /// at: the host is asked anew what it knows.
    pub(super) fn take_back(&mut self, run_id: &RunId) -> Result<(), EngineError> {
        if self.runs.contains_key(run_id) {
            return Ok(());
        }
        let stored = self.publisher.store().load_run(run_id)?;
        let Some(stored) = stored.filter(|run| !run.summary.state.is_ended()) else { return Ok(()) };
        let run = stored.into_run(parse_stored)?;
        if run.definition().is_none() {
            self.adopt(run);
            self.handle(vec![PendingInput::world(run_id.clone(), Input::DriverLost)]);
            return Ok(());
        }
        if let Some(silence) = self.host.silence() {
            // It would not answer the next connection either.
            return Err(EngineError::Host(silence.to_owned()));
        }
        self.host.hang_up();
        if let Err(error) = self.ensure_host() {
            // The runs that live here need a host all the same; this one stays with whoever has it.
            self.host.reconnect();
            return Err(error);
        }
        self.adopt(run);
        // Without its folders a start fails by itself, with the reason.
        let _ = self.acting.follow(run_id);
        self.wait_for_inventory();
        Ok(())
    }

    /// Without a living run of steps a supervisor may still keep ends that are on disk, because their
    /// acknowledgement was lost with an engine: it would wait for ever. What it says is heard later.
    fn settle_what_is_left(&mut self) {
        if !self.host.is_left_behind() {
            return;
        }
        if let Err(error) = self.ensure_host() {
            // Nothing that this engine holds depends on it.
            self.tell(EventKind::WarningRaised { text: error.to_string() });
        }
    }

    /// Connects to the step host, if there is none.
    fn ensure_host(&mut self) -> Result<(), EngineError> {
        let Err(error) = self.host.ensure() else { return Ok(()) };
        let Some(ConnectError::Superseded { highest_epoch, .. }) = error.downcast_ref() else {
            return Err(EngineError::Host(format!("{error:#}")));
        };
        // This engine holds the lock, so there is no later one: the database that knew that epoch is gone.
        let epoch = self.publisher.store().begin_epoch(*highest_epoch)?;
        self.publisher.set_epoch(epoch);
        self.host.set_epoch(epoch);
        self.host.ensure().map_err(|error| EngineError::Host(format!("{error:#}")))
    }

    /// Sees to it that there is a step host before a message is handled that leads to starts. The message is
    /// given back, unless a host had to be found first: then it goes to the end of the inbox, behind the
    /// inventory of that host, or is refused when there is none to be had.
    pub(super) fn with_host(&mut self, message: Message) -> Option<Message> {
        let message = self.unless_silent(message)?;
        if self.host.is_there_or_coming() || !self.leads_to_starts(&message) {
            return Some(message);
        }
        match self.ensure_host() {
            Ok(()) => self.inbox.put_back(message),
            Err(error) => message.refuse(error),
        }
        None
    }

    fn leads_to_starts(&self, message: &Message) -> bool {
        match message {
            Message::Start { run, .. } => run.definition().is_some(),
            Message::Ask(ask) => {
                matches!(ask.input, Input::Resume | Input::Retry(_)) && self.has_steps(&ask.run_id)
            }
            Message::Signals { .. }
            | Message::Progress(_)
            | Message::Host(..)
            | Message::HostReady(..)
            | Message::Report(_)
            | Message::Spec(..)
            | Message::Tell(_)
            | Message::Sample(_)
            | Message::Order(..)
            | Message::Policy(_)
            | Message::Waits(_)
            | Message::WallRing
            | Message::Shutdown { .. }
            | Message::Abandoned => false,
        }
    }

    fn has_steps(&self, run_id: &RunId) -> bool {
        match self.runs.get(run_id) {
            Some(entry) => entry.run.definition().is_some(),
            None => match self.publisher.store().load_run(run_id) {
                Ok(Some(stored)) => matches!(stored.body, StoredBody::Pipeline(_)),
                Ok(None) | Err(_) => false,
            },
        }
    }

    /// A host is there again, or none can be had at the moment.
    pub(super) fn host_ready(
        &mut self,
        generation: u64,
        host: anyhow::Result<Box<dyn StepHost>>,
        heard: &mut Vec<PendingInput>,
    ) {
        match self.host.settle(generation, host) {
            Ok(early) => {
                for event in early {
                    self.translate_host(generation, event, heard);
                }
            }
            Err(error) => {
                let text = format!("steps can't be run at the moment: {error:#}");
                self.tell(EventKind::ResourceAlert { text, cleared: false });
            }
        }
    }

    /// Looks for a host again, if it is time.
    pub(super) fn look_for_host(&mut self, now_ms: u64) {
        if self.host.retry_at_ms.is_some_and(|at| at <= now_ms) {
            self.host.reconnect();
        }
    }

    /// Turns what the host says into inputs.
    pub(super) fn translate_host(
        &mut self,
        generation: u64,
        event: HostEvent,
        heard: &mut Vec<PendingInput>,
    ) {
        if generation != self.host.generation() {
            return;
        }
        let Some(event) = self.host.take(event) else { return };
        match event {
            HostEvent::Inventory(known) => {
                self.host.has_said_inventory();
                self.reconcile(known, heard);
            }
            HostEvent::Started { key, pid, at } => {
                self.measure(&key, pid);
                self.hear(&key, StepNews::Started { pid, at }, heard);
            }
            HostEvent::StartFailed { key, reason } => self.hear(&key, StepNews::StartFailed(reason), heard),
            HostEvent::Exited { key, exit } => {
                let exit = self.exit_of(&key, exit);
                self.hear(&key, StepNews::Exited(exit), heard);
            }
            HostEvent::Frozen { key, unfrozen } => self.hear(&key, StepNews::Frozen { unfrozen }, heard),
            HostEvent::Thawed { key } => self.hear(&key, StepNews::Thawed, heard),
            HostEvent::LogTrouble { key, reason, disk_full } => {
                let text = format!("the log of step {} can't be written: {reason}", key.step_id);
                self.tell_all(vec![(Some(key.run_id), EventKind::WarningRaised { text })]);
                if disk_full {
                    self.meet_full_disk();
                }
            }
            HostEvent::Capacity { n_steps } => self.take_capacity(n_steps),
            HostEvent::Trouble { reason } => self.tell(EventKind::WarningRaised { text: reason }),
            HostEvent::Silent { pid, is_stopped } => self.meet_silence(pid, is_stopped),
            HostEvent::Answers { .. } => self.end_silence(),
            HostEvent::Gone { reason } => {
                self.end_silence();
                let text = format!("the supervisor is gone ({reason}); its steps are looked for");
                self.tell(EventKind::WarningRaised { text });
                self.host.reconnect();
            }
        }
    }

    fn hear(&mut self, key: &AttemptKey, news: StepNews, heard: &mut Vec<PendingInput>) {
        let is_end = matches!(news, StepNews::Exited(_) | StepNews::StartFailed(_));
        match self.step_input(key, news) {
            Some(input) => heard.push(PendingInput::world(key.run_id.clone(), input)),
            None if is_end => self.settle_stranger(key),
            None => {}
        }
    }

    pub(super) fn find_step(&self, key: &AttemptKey) -> Option<(usize, &crate::run::StepRun)> {
        let run = &self.runs.get(&key.run_id)?.run;
        let index = run.steps.iter().position(|step| step.id == key.step_id)?;
        Some((index, &run.steps[index]))
    }

    /// The input that news of an attempt make; none when its run does not live here.
    pub(super) fn step_input(&self, key: &AttemptKey, news: StepNews) -> Option<Input> {
        let (index, _) = self.find_step(key)?;
        Some(Input::Step { index, attempt: key.attempt, news })
    }
}

fn parse_stored(path: &str, text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, std::path::Path::new(path), std::env::home_dir().as_deref()).map_err(
        |diagnostics| {
            let first = diagnostics.first().map(ToString::to_string);
            first.unwrap_or_else(|| "it can't be read".to_owned())
        },
    )
}
