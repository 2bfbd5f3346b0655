//! Recovery: compares the records with what the step host knows, at every start and when a run is taken back later. It
//! finds or starts the host before a request that needs it.

use crossbeam_channel::bounded;

use super::core::Engine;
use super::error::EngineError;
use super::message::{Ask, Message, PendingInput, Waiting};
use super::options::Scope;
use super::stored;
use crate::base::id::RunId;
use crate::run::{EventKind, Hold, Input, Run};
use crate::supervisor::ConnectError;

impl Engine {
    /// Reads the runs in this scope that have not ended.
    pub(super) fn load_living(&mut self, scope: &Scope) -> Result<(), EngineError> {
        for (run_id, run) in stored::load_living(self.publisher.store(), scope)? {
            match run {
                Ok(run) => self.adopt(run),
                // A definition that this version can't parse must not stop the other runs.
                Err(error) => self.tell(EventKind::WarningRaised { text: format!("run {run_id}: {error}") }),
            }
        }
        Ok(())
    }

    /// Decides about the runs that an earlier engine left.
    pub(super) fn recover(&mut self) -> Result<(), EngineError> {
        let is_driven = |run: &Run| run.definition().is_none();
        let by_steps = self.runs.ids_of(|run| !is_driven(run));
        self.handle_for(self.runs.ids_of(is_driven), &Input::DriverLost);
        if by_steps.is_empty() {
            self.settle_what_is_left();
        } else {
            self.ensure_host()?;
            for run_id in by_steps {
                self.follow(&run_id);
            }
            self.wait_for_inventory();
            self.look_at_disk_holds();
            self.look_at_limit_holds();
        }
        self.look_at_orders();
        self.decide_first_input()?;
        self.admit_waiting();
        Ok(())
    }

    /// Decides the input for which this engine was opened. Steps may start from then on.
    fn decide_first_input(&mut self) -> Result<(), EngineError> {
        let Some((run_id, input)) = self.lifecycle.take_first_input() else { return Ok(()) };
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        let waiting = Waiting::Caller(reply);
        self.handle(vec![PendingInput { waiting, ..PendingInput::world(run_id, input) }]);
        self.handle_for(self.runs.ids().cloned().collect(), &Input::StartsChanged);
        answer.try_recv().map_err(|_| EngineError::ShutDown)?.map(drop)
    }

    /// Runs that an earlier engine froze because the disk was full: they go on, or wait for space as before.
    fn look_at_disk_holds(&mut self) {
        let is_held = |run: &Run| run.phase.is_held_for(Hold::DiskFull);
        let held = self.runs.ids_of(is_held);
        if held.is_empty() || self.outage.is_on() {
            return;
        }
        if self.outage.has_room() {
            self.handle_for(held, &Input::DiskRoom);
        } else {
            self.begin_full_disk();
        }
    }

    /// Runs that an earlier engine froze for a limit.
    fn look_at_limit_holds(&mut self) {
        self.machine.take_over_frozen(&self.runs);
        if !self.outage.is_on() {
            let heard = self.machine.take_thawed(&self.runs);
            self.handle(heard);
        }
    }

    /// Handles events of the host until its inventory has come, or it is gone or can't be had. Other messages are
    /// handled afterwards.
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
                // The host is gone and another one is looked for, whose inventory is handled when it comes.
                break;
            }
        }
        for message in later {
            self.inbox.put_back(message);
        }
    }

    /// Takes back a living run outside of this engine's scope, before a request about it is handled. The host is asked
    /// for a new inventory.
    pub(super) fn take_back(&mut self, run_id: &RunId) -> Result<(), EngineError> {
        if self.runs.contains(run_id) {
            return Ok(());
        }
        let Some(run) = stored::load_if_living(self.publisher.store(), run_id)? else { return Ok(()) };
        if run.definition().is_none() {
            self.adopt(run);
            self.handle(vec![PendingInput::world(run_id.clone(), Input::DriverLost)]);
            return Ok(());
        }
        if let Some(silence) = self.host.silence() {
            // It would not answer another connection either.
            return Err(EngineError::Host(silence.to_owned()));
        }
        self.host.hang_up();
        if let Err(error) = self.ensure_host() {
            // The runs that live here need a host nevertheless. This run stays outside.
            self.host.reconnect();
            return Err(error);
        }
        self.adopt(run);
        self.follow(run_id);
        self.wait_for_inventory();
        Ok(())
    }

    fn follow(&mut self, run_id: &RunId) {
        // Without its folders a start fails by itself, with the reason.
        let _ = self.reports.follow(run_id, self.acting.launch_env());
    }

    /// Without a living run of steps, a supervisor may still keep ends that are on disk, because their acknowledgement
    /// was lost with an engine. It would wait forever, so it is connected; its events are handled later.
    fn settle_what_is_left(&mut self) {
        if !self.host.is_left_behind() {
            return;
        }
        if let Err(error) = self.ensure_host() {
            // Nothing in this engine depends on it.
            self.tell(EventKind::WarningRaised { text: error.to_string() });
        }
    }

    /// Connects to the step host, if there is no connection.
    fn ensure_host(&mut self) -> Result<(), EngineError> {
        let Err(error) = self.host.ensure() else { return Ok(()) };
        let Some(ConnectError::Superseded { highest_epoch, .. }) = error.downcast_ref() else {
            return Err(EngineError::Host(format!("{error:#}")));
        };
        // This engine holds the lock, so no later engine lives: the database with that epoch was lost.
        let epoch = self.publisher.store().begin_epoch(*highest_epoch)?;
        self.publisher.set_epoch(epoch);
        self.host.set_epoch(epoch);
        self.host.ensure().map_err(|error| EngineError::Host(format!("{error:#}")))
    }

    /// Ensures that there is a step host before a message that leads to starts is handled. Returns the message, unless
    /// a host had to be found first: the message then goes to the end of the inbox, behind that host's inventory, or is
    /// refused when no host can be had.
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

    /// Refuses a request that needs a host that answers. Returns any other message.
    fn unless_silent(&mut self, message: Message) -> Option<Message> {
        let Some(silence) = self.host.silence() else { return Some(message) };
        let is_lever = if let Message::Ask(Ask { run_id, input, .. }) = &message {
            matches!(input, Input::Pause | Input::Resume | Input::Stop(_))
                && self.runs.get(run_id).is_some_and(|run| run.has_living_steps())
        } else {
            false
        };
        if !is_lever {
            return Some(message);
        }
        let error = EngineError::Host(silence.to_owned());
        message.refuse(error);
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
            | Message::LeaveAtOnce
            | Message::Abandoned => false,
        }
    }

    fn has_steps(&self, run_id: &RunId) -> bool {
        match self.runs.get(run_id) {
            Some(run) => run.definition().is_some(),
            None => stored::has_steps(self.publisher.store(), run_id),
        }
    }
}
