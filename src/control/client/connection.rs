//! A connection that survives a hand-over: it asks the present engine of a data directory, and follows the events from
//! one engine to the next without a gap.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ControlClient, ControlError, Events, look_again};
use crate::api::{Call, Request};
use crate::control::wire::{ClosingNotice, EventFilter};
use crate::run::Event;
use crate::store::presence;

/// The name by which this program's clients say hello.
pub const OWN_NAME: &str = concat!("leverframe ", env!("CARGO_PKG_VERSION"));

/// Called on another thread when events start to wait and when no more will come. It must return at once.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A connection to the engine of a data directory, and to the next engine when that one is gone.
pub struct Connection {
    data_dir: PathBuf,
    /// To the last engine that was found; none before the first use.
    client: ArcSwapOption<ControlClient>,
    /// Held by the thread that looks for the next engine.
    looking: Mutex<()>,
    is_left: AtomicBool,
}

impl Connection {
    /// A connection that connects at its first use.
    pub fn to(data_dir: &Path) -> Self {
        let (client, looking, is_left) = Default::default();
        Self { data_dir: data_dir.to_owned(), client, looking, is_left }
    }

    /// Connects to the present engine; none when there is none.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, ControlError> {
        Ok(ControlClient::connect(data_dir, OWN_NAME)?.map(Self::of))
    }

    /// Continues from `client`.
    pub fn of(client: ControlClient) -> Self {
        let connection = Self::to(&client.data_dir);
        connection.client.store(Some(Arc::new(client)));
        connection
    }

    /// The last engine that was found, or else the present one.
    ///
    /// # Errors
    /// [`ControlError::Gone`] when there is none; otherwise as [`ControlClient::connect`].
    pub fn client(&self) -> Result<Arc<ControlClient>, ControlError> {
        self.client_after(None)
    }

    /// The present engine, after `gone` has gone.
    pub fn next_client(&self, gone: &Arc<ControlClient>) -> Result<Arc<ControlClient>, ControlError> {
        self.client_after(Some(gone))
    }

    fn client_after(&self, gone: Option<&Arc<ControlClient>>) -> Result<Arc<ControlClient>, ControlError> {
        let is_gone = |client: &Arc<ControlClient>| gone.is_some_and(|gone| Arc::ptr_eq(gone, client));
        let known = || self.client.load_full().filter(|client| !is_gone(client));
        if let Some(client) = known() {
            return Ok(client);
        }
        let _looking = self.looking.lock();
        // Another thread may have found it meanwhile.
        if let Some(client) = known() {
            return Ok(client);
        }
        let client = Arc::new(look_again(&self.data_dir, || {
            if self.is_left.load(Ordering::SeqCst) {
                return Err(ControlError::Gone(None));
            }
            match ControlClient::connect(&self.data_dir, OWN_NAME)? {
                Some(client) => Ok(ControlFlow::Break(client)),
                None if presence(&self.data_dir).is_alive() => {
                    Ok(ControlFlow::Continue(ControlError::Gone(None)))
                }
                None => Err(ControlError::Gone(None)),
            }
        })?);
        // Stored before the flag is read: a thread that leaves meanwhile either finds the client here, or has set the
        // flag in time.
        self.client.store(Some(client.clone()));
        if self.is_left.load(Ordering::SeqCst) {
            client.hang_up();
        }
        Ok(client)
    }

    /// Sends a request and waits for the answer. If the engine leaves before it has handled the request, the next
    /// engine is asked. If the engine dies, the next one is asked only when the request changes nothing.
    pub fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, ControlError> {
        self.call(&Call::from(request), R::LOOKS_ONLY)
    }

    /// As [`Self::ask`], for a `request` that serializes to `method` and `params`.
    pub fn call<T: DeserializeOwned>(
        &self,
        request: &impl Serialize,
        looks_only: bool,
    ) -> Result<T, ControlError> {
        // An engine that has announced its end has not done what it left unanswered.
        let is_undone = |error: &ControlError| matches!(error, ControlError::Gone(notice) if looks_only || notice.is_some());
        let mut client = self.client()?;
        loop {
            match client.call(request) {
                Err(error) if is_undone(&error) => match self.next_client(&client) {
                    Ok(next) => client = next,
                    Err(ControlError::Gone(_)) => return Err(error),
                    Err(error) => return Err(error),
                },
                outcome => return outcome,
            }
        }
    }

    /// The events that match `filter`, of this engine and of the next ones.
    pub fn follow(self: &Arc<Self>, filter: EventFilter, wake: Wake) -> Result<EventStream, ControlError> {
        let (connection, client) = (self.clone(), self.client()?);
        let mut stream = EventStream { connection, client, events: None, filter, wake };
        stream.subscribe()?;
        Ok(stream)
    }

    /// Ends the connection for good.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        if let Some(client) = self.client.load_full() {
            client.hang_up();
        }
    }
}

/// The events of one engine after another.
pub struct EventStream {
    connection: Arc<Connection>,
    client: Arc<ControlClient>,
    /// None: the engine was gone before the subscription.
    events: Option<Events>,
    /// `since` is the last event that was taken.
    filter: EventFilter,
    wake: Wake,
}

impl EventStream {
    /// Waits for the next event, also of the next engine when this one is gone. None when there is no engine any more.
    pub fn recv(&mut self) -> Option<Arc<Event>> {
        loop {
            match self.events.as_ref().and_then(Events::recv) {
                Some(event) => {
                    if let Some(event) = self.understood(&event) {
                        return Some(event);
                    }
                }
                None => self.go_on().ok()?,
            }
        }
    }

    /// The next event of this engine, if one waits.
    pub fn try_recv(&mut self) -> Option<Arc<Event>> {
        while let Some(event) = self.events.as_ref().and_then(Events::try_recv) {
            if let Some(event) = self.understood(&event) {
                return Some(event);
            }
        }
        None
    }

    /// Whether this engine is gone and all its events were taken.
    pub fn is_over(&self) -> bool {
        self.events.as_ref().is_none_or(Events::is_over)
    }

    /// The engine's closing notice, if it sent one.
    pub fn closing(&self) -> Option<ClosingNotice> {
        self.client.closing()
    }

    /// The sequence number up to which events are complete: they were taken, or this engine has sent all up to it.
    pub fn heard(&self) -> Option<u64> {
        let told = self.events.as_ref().and_then(|_| self.closing());
        told.map(|notice| notice.seq).max(self.filter.since)
    }

    fn go_on(&mut self) -> Result<(), ControlError> {
        self.filter.since = self.heard();
        self.client = self.connection.next_client(&self.client)?;
        self.subscribe()
    }

    fn subscribe(&mut self) -> Result<(), ControlError> {
        let wake = self.wake.clone();
        self.events = match self.client.subscribe_with_waker(self.filter.clone(), move || wake()) {
            Ok(events) => Some(events),
            Err(ControlError::Gone(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Skips an event that only a newer program understands.
    fn understood(&mut self, event: &super::ReceivedEvent) -> Option<Arc<Event>> {
        let event = event.event().ok()?;
        self.filter.since = Some(event.seq);
        Some(Arc::new(event))
    }
}
