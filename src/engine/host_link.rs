//! The link to the step host: connected when it is needed, and again when it is lost.

use std::sync::Arc;

use anyhow::Context as _;
use crossbeam_channel::Sender;

use super::clock;
use super::message::Message;
use super::options::{HostChoice, HostSink};
use crate::store::DataDir;
use crate::supervisor::{ConnectError, HostEvent, Launched, Launcher, StepHost, is_left_behind};

/// How long to wait before the next try, when no host could be had.
const RETRY_MS: u64 = 5000;

/// The connection to the step host, and how to make another one.
pub(super) struct HostLink {
    connector: Arc<Connector>,
    /// A supervisor that was found or is starting, while the database is opened.
    launched: Option<Launched>,
    host: Option<Box<dyn StepHost>>,
    generation: u64,
    is_connecting: bool,
    /// The host of this generation has not sent its inventory yet.
    owes_inventory: bool,
    /// Events that a host sent before the connecting thread handed it over. Handling them needs the host.
    early: Vec<HostEvent>,
    /// The alert that the host does not answer, while it does not.
    silence: Option<String>,
    /// When to try again, on the clock of awake time.
    retry_at_ms: Option<u64>,
}

struct Connector {
    choice: HostChoice,
    data_dir: DataDir,
    epoch: u64,
    sender: Sender<Message>,
}

impl HostLink {
    pub(super) fn new(
        choice: HostChoice,
        launched: Option<Launched>,
        data_dir: &DataDir,
        epoch: u64,
        sender: Sender<Message>,
    ) -> Self {
        let connector = Arc::new(Connector { choice, data_dir: data_dir.clone(), epoch, sender });
        let (host, early, silence) = Default::default();
        let (is_connecting, owes_inventory) = (false, false);
        Self {
            connector,
            launched,
            host,
            generation: 0,
            is_connecting,
            owes_inventory,
            early,
            silence,
            retry_at_ms: None,
        }
    }

    /// Finds or starts a supervisor without waiting for it. None for a custom host.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn launch(choice: &HostChoice, data_dir: &DataDir) -> Result<Option<Launched>, ConnectError> {
        let launcher = Launcher::new(data_dir.path());
        match choice {
            HostChoice::Supervisor => launcher.launch().map(Some),
            HostChoice::SupervisorProgram(program) => launcher.program(program).launch().map(Some),
            HostChoice::Custom(_) => Ok(None),
        }
    }

    /// Whether an earlier engine's supervisor may still be there.
    pub(super) fn is_left_behind(&self) -> bool {
        match &self.connector.choice {
            HostChoice::Supervisor | HostChoice::SupervisorProgram(_) => {
                is_left_behind(self.connector.data_dir.path())
            }
            HostChoice::Custom(_) => false,
        }
    }

    /// Returns an event of the host, or keeps it for [`settle`](Self::settle) when the host itself has not been handed
    /// over yet.
    pub(super) fn take(&mut self, event: HostEvent) -> Option<HostEvent> {
        if self.is_connecting {
            self.early.push(event);
            return None;
        }
        Some(event)
    }

    /// The host, if it is connected.
    pub(super) fn connected(&mut self) -> Option<&mut Box<dyn StepHost>> {
        self.host.as_mut()
    }

    /// The alert that the host does not answer, while it does not.
    pub(super) fn silence(&self) -> Option<&str> {
        self.silence.as_deref()
    }

    /// Sets or clears that alert. Returns the earlier one.
    pub(super) fn set_silence(&mut self, silence: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.silence, silence)
    }

    pub(super) fn is_there_or_coming(&self) -> bool {
        self.host.is_some() || self.is_connecting || self.retry_at_ms.is_some()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Connects if there is no connection and none under way.
    pub(super) fn ensure(&mut self) -> anyhow::Result<()> {
        if self.host.is_none() && !self.is_connecting {
            self.generation += 1;
            self.host = Some(self.connector.connect(self.launched.take(), self.generation)?);
            self.owes_inventory = true;
            self.retry_at_ms = None;
        }
        Ok(())
    }

    /// Whether there is a host, or may be one soon, that has not sent its inventory.
    pub(super) fn owes_inventory(&self) -> bool {
        self.owes_inventory
    }

    /// The inventory has come.
    pub(super) fn has_said_inventory(&mut self) {
        self.owes_inventory = false;
    }

    /// Ends the connection. The next one begins with an inventory.
    pub(super) fn hang_up(&mut self) {
        self.host = None;
    }

    /// Continues as the engine of a later epoch.
    pub(super) fn set_epoch(&mut self, epoch: u64) {
        let Connector { choice, data_dir, sender, .. } = &*self.connector;
        let (choice, data_dir, sender) = (choice.clone(), data_dir.clone(), sender.clone());
        self.connector = Arc::new(Connector { choice, data_dir, epoch, sender });
    }

    /// Takes the outcome of a connecting thread. Returns the events that the host has sent meanwhile, or why there is
    /// none.
    pub(super) fn settle(
        &mut self,
        generation: u64,
        host: anyhow::Result<Box<dyn StepHost>>,
    ) -> anyhow::Result<Vec<HostEvent>> {
        self.is_connecting = false;
        let early = std::mem::take(&mut self.early);
        match host {
            _ if generation != self.generation => Ok(Vec::new()),
            Ok(host) => {
                self.host = Some(host);
                Ok(early)
            }
            Err(error) => {
                self.owes_inventory = false;
                self.retry_at_ms = Some(clock::now().awake_ms + RETRY_MS);
                Err(error)
            }
        }
    }

    /// When the next try is due.
    pub(super) fn retry_at_ms(&self) -> Option<u64> {
        self.retry_at_ms
    }

    /// Tries again, if it is time.
    pub(super) fn look_again(&mut self, now_ms: u64) {
        if self.retry_at_ms.is_some_and(|at| at <= now_ms) {
            self.reconnect();
        }
    }

    /// Connects on a thread of its own, because it may take seconds.
    pub(super) fn reconnect(&mut self) {
        self.host = None;
        self.retry_at_ms = None;
        if self.is_connecting {
            return;
        }
        self.generation += 1;
        let (connector, generation) = (self.connector.clone(), self.generation);
        // Ends by itself, with the host or an error as its last message.
        let thread = crate::base::thread::lasting("lf-connect", move || {
            let host = connector.connect(None, generation);
            // Fails when the engine is gone.
            let _ = connector.sender.send(Message::HostReady(generation, host));
        });
        self.is_connecting = thread.is_ok();
        self.owes_inventory = self.is_connecting;
        if !self.is_connecting {
            self.retry_at_ms = Some(clock::now().awake_ms + RETRY_MS);
        }
    }
}

impl Connector {
    fn connect(&self, launched: Option<Launched>, generation: u64) -> anyhow::Result<Box<dyn StepHost>> {
        let sender = self.sender.clone();
        let sink: HostSink = Box::new(move |event| {
            // Fails when the engine is gone. The host then keeps what matters for the next one.
            let _ = sender.send(Message::Host(generation, event));
        });
        let launched = match launched {
            Some(launched) => Some(launched),
            None => HostLink::launch(&self.choice, &self.data_dir)?,
        };
        Ok(match (&self.choice, launched) {
            (HostChoice::Custom(make), _) => make(self.epoch, sink)?,
            (HostChoice::Supervisor | HostChoice::SupervisorProgram(_), launched) => {
                let launched = launched.context("no supervisor was launched")?;
                Box::new(launched.hello(self.epoch, sink)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::Receiver;

    use super::*;
    use crate::supervisor::HostRequest;

    struct Idle;

    impl StepHost for Idle {
        fn send(&mut self, _: HostRequest) {}
    }

    fn link(dir: &std::path::Path) -> (HostLink, Receiver<Message>) {
        let choice = HostChoice::Custom(Arc::new(|_, _| Ok(Box::new(Idle))));
        let data_dir = DataDir::open(dir).expect("a data directory");
        // Unbounded: one message for each connection.
        let (sender, receiver) = crossbeam_channel::unbounded();
        (HostLink::new(choice, None, &data_dir, 1, sender), receiver)
    }

    fn trouble() -> HostEvent {
        HostEvent::Trouble { reason: "the test says so".into() }
    }

    #[test]
    fn a_host_is_connected_once_and_owes_what_it_knows_until_it_has_said_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut link, _) = link(dir.path());
        assert!(!link.is_there_or_coming() && !link.owes_inventory());
        link.ensure().expect("a host");
        link.ensure().expect("a host");
        assert_eq!(link.generation(), 1);
        assert!(link.connected().is_some() && link.owes_inventory());
        assert!(link.take(trouble()).is_some());
        link.has_said_inventory();
        assert!(!link.owes_inventory());
    }

    #[test]
    fn what_a_host_says_before_it_is_handed_over_is_heard_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut link, receiver) = link(dir.path());
        link.reconnect();
        assert!(link.is_there_or_coming() && link.connected().is_none());
        assert!(link.take(trouble()).is_none());
        let Message::HostReady(generation, host) = receiver.recv().expect("a host") else {
            panic!("nothing else is sent")
        };
        assert_eq!(link.settle(generation, host).expect("a host").len(), 1);
        assert!(link.connected().is_some());
    }

    #[test]
    fn where_none_is_to_be_had_another_is_looked_for_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut link, receiver) = link(dir.path());
        link.reconnect();
        let generation = link.generation();
        link.settle(generation, Err(anyhow::anyhow!("the test says so"))).expect_err("there is none");
        assert!(!link.owes_inventory(), "nobody is waited for");
        let at_ms = link.retry_at_ms().expect("it is tried again");
        link.look_again(at_ms - 1);
        assert_eq!(link.generation(), generation);
        link.look_again(at_ms);
        assert_eq!((link.generation(), link.retry_at_ms()), (generation + 1, None));
        drop(receiver);
    }
}
