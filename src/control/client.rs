//! The client's side of the control socket: calls with their answers, and subscriptions. Several threads can use a
//! client; one thread of its own reads. A [`ControlClient`] ends with its engine; a [`Connection`] continues with the
//! next engine.

mod connection;
mod events;
mod moments;
mod reader;

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::descriptors::send_all;
use super::socket::SOCKET_NAME;
use super::wire;
use super::wire::{
    ClosingNotice, ErrorObject, EventFilter, Outgoing, PROTOCOL, SessionRequest, Subscribed, Welcome,
};
use crate::api::exit_code::{FAILED, HasExitCode, NO_ANSWER};
use crate::api::{Call, Request};
use crate::base::thread::{self, Thread};
use crate::process::Proc;
use crate::store::{Presence, named_holder, presence};
use events::Queue;
use reader::{Pending, Reply, Shared};

pub use connection::{Connection, EventStream, OWN_NAME, Wake};
pub use events::{Events, ReceivedEvent};
pub use moments::look_again;

/// How long an engine may take to answer the hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// After this time without an answer, the client checks whether the engine's process was stopped.
const SUSPICIOUS: Duration = Duration::from_millis(500);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The engine refused the request.
    #[error("{0}")]
    Refused(ErrorObject),
    /// The engine is gone, or has closed this connection. None: it gave no reason.
    #[error("{}", gone(.0.as_ref()))]
    Gone(Option<ClosingNotice>),
    /// The answer could not be parsed.
    #[error(
        "this program does not understand the engine's answer ({0}); check that both have the same version"
    )]
    Garbled(String),
    /// The engine does not answer.
    #[error("the engine{} does not answer (waited {} s); check whether its process hangs", in_brackets(*.pid), .waited.as_secs())]
    NoAnswer {
        /// The engine's process, if known.
        pid: Option<u32>,
        /// How long the client waited.
        waited: Duration,
    },
    /// The engine can't answer: its process was stopped by Ctrl-Z or a signal.
    #[error(transparent)]
    Stopped(#[from] StoppedHolder),
    /// The socket can't be used.
    #[error("the engine's control socket can't be used: {0}")]
    Socket(#[from] io::Error),
}

/// The process that holds a data directory does not run: a signal stopped it, or a debugger holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine (process {pid}) is stopped (state {state}); {}", stopped_advice(*state, *pid))]
pub struct StoppedHolder {
    pub pid: u32,
    /// Its state as the kernel writes it: `T` after a signal, `t` in a debugger.
    pub state: char,
}

fn stopped_advice(state: char, pid: u32) -> String {
    match state {
        't' => "continue it in the debugger that holds it".to_owned(),
        _ => format!("continue it with `kill -CONT {pid}`, or `fg` in its terminal"),
    }
}

impl StoppedHolder {
    /// The holder of `data_dir`, if it is stopped. None when it runs, or no process holds the directory.
    pub fn of(data_dir: &Path) -> Option<Self> {
        let pid = named_holder(data_dir)?;
        let found = Proc::read(pid).ok().flatten().filter(Proc::is_stopped)?;
        // Checked last because it costs more: the holder in the file may be dead, and its pid another process's by now.
        let is_holder = presence(data_dir) == Presence::Engine { pid };
        is_holder.then_some(Self { pid, state: char::from(found.state) })
    }
}

fn in_brackets(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn gone(notice: Option<&ClosingNotice>) -> String {
    match notice {
        Some(notice) => format!("the engine closed the connection: {}", notice.reason),
        None => "the connection to the engine broke; it may have died".to_owned(),
    }
}

/// An answer with the descriptors that came with it.
#[derive(Debug)]
pub struct HandedOver<T> {
    pub answer: T,
    /// In the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
}

/// A connection to the engine of a data directory.
#[derive(Debug)]
pub struct ControlClient {
    shared: Arc<Shared>,
    reader: Option<Thread>,
    welcome: Welcome,
    data_dir: PathBuf,
}

impl ControlClient {
    /// Connects to the engine of `data_dir` and says hello as `client` (name and version). None when no engine listens.
    ///
    /// # Errors
    /// [`ControlError`]: the socket is another user's, or the engine speaks another protocol or does not answer.
    pub fn connect(data_dir: &Path, client: &str) -> Result<Option<Self>, ControlError> {
        Self::connect_within(data_dir, client, HELLO_WITHIN)
    }

    /// As [`Self::connect`], but waits for the answer no longer than `patience`; for a caller that can do without the
    /// engine.
    pub fn connect_within(
        data_dir: &Path,
        client: &str,
        patience: Duration,
    ) -> Result<Option<Self>, ControlError> {
        if let Some(stopped) = StoppedHolder::of(data_dir) {
            return Err(stopped.into());
        }
        let stream = match crate::socket::connect(data_dir, SOCKET_NAME) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let shared = Arc::new(Shared::new(stream));
        let for_reader = shared.clone();
        let reader = thread::short("control-reader", move || reader::read_all(&for_reader))?;
        let link = Link { shared, reader: Some(reader) };
        let hello = SessionRequest::Hello { protocol: PROTOCOL, client: client.to_owned() };
        let answer = match link.shared.ask(&hello, Pending::call) {
            Ok(answer) => answer,
            // The engine closed before the hello was sent.
            Err(ControlError::Gone(None)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let answer = match look_after_a_while(&answer, data_dir)? {
            Some(answer) => Ok(answer),
            None => answer.recv_timeout(patience.saturating_sub(SUSPICIOUS)),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                return Err(ControlError::NoAnswer { pid: holder(data_dir), waited: patience });
            }
            // The engine closed during the hello.
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        };
        match answer {
            Ok(reply) => Ok(Some(link.into_client(parse(&reply.result)?, data_dir))),
            // The engine closed without an answer.
            Err(ControlError::Gone(None)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// As [`Self::ask`], for a `request` that serializes to `method` and `params`.
    pub fn call<T: DeserializeOwned>(&self, request: &impl Serialize) -> Result<T, ControlError> {
        Ok(self.call_with_descriptors(request)?.answer)
    }

    /// Sends a request and waits for the answer.
    pub fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, ControlError> {
        self.call(&Call::from(request))
    }

    /// As [`Self::call`], with the descriptors that come with the answer.
    pub fn call_with_descriptors<T: DeserializeOwned>(
        &self,
        request: &impl Serialize,
    ) -> Result<HandedOver<T>, ControlError> {
        let answer = self.shared.ask(request, Pending::call)?;
        let reply = self.wait(&answer)?;
        Ok(HandedOver { answer: parse(&reply.result)?, descriptors: reply.descriptors })
    }

    /// Subscribes to the events that match `filter`.
    pub fn subscribe(&self, filter: EventFilter) -> Result<Events, ControlError> {
        self.subscribe_to(filter, Queue::new(None))
    }

    /// As [`Self::subscribe`]. `wake` is called on the client's thread when events start to wait and when no more will
    /// come. It must return at once.
    pub fn subscribe_with_waker(
        &self,
        filter: EventFilter,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Events, ControlError> {
        self.subscribe_to(filter, Queue::new(Some(Box::new(wake))))
    }

    fn subscribe_to(&self, filter: EventFilter, queue: Queue) -> Result<Events, ControlError> {
        let queue = Arc::new(queue);
        let (request, of_reader) = (SessionRequest::Subscribe(filter), queue.clone());
        let answer = self.shared.ask(&request, |tell| Pending { tell, queue: Some(of_reader) })?;
        let Subscribed { subscription, seq } = parse(&self.wait(&answer)?.result)?;
        let shared = self.shared.clone();
        let end = move || {
            shared.forget(subscription);
            // If the engine is gone, no events come anyway.
            let _ = shared.say(&Outgoing::notification(SessionRequest::Unsubscribe { subscription }));
        };
        Ok(Events { queue, subscription, seq, end: Box::new(end) })
    }

    /// Waits for an answer without a limit, unless the engine's process was stopped.
    fn wait(&self, answer: &Receiver<Result<Reply, ControlError>>) -> Result<Reply, ControlError> {
        match look_after_a_while(answer, &self.data_dir)? {
            Some(reply) => reply,
            None => answer.recv().unwrap_or(Err(ControlError::Gone(None))),
        }
    }

    /// Waits until the engine is gone.
    ///
    /// # Errors
    /// [`ControlError`] when the client can't subscribe.
    pub fn wait_for_end(&self) -> Result<(), ControlError> {
        let events = self.subscribe(EventFilter { types: Some(Vec::new()), ..EventFilter::default() })?;
        while events.recv().is_some() {}
        Ok(())
    }

    /// Ends the connection: every thread that waits for an answer or an event returns.
    pub fn hang_up(&self) {
        hang_up(&self.shared, None);
    }

    /// The reason that the engine gave when it closed the connection, if it did.
    pub fn closing(&self) -> Option<ClosingNotice> {
        self.shared.closing()
    }
}

impl Drop for ControlClient {
    fn drop(&mut self) {
        hang_up(&self.shared, self.reader.take());
    }
}

/// A connection before the engine has answered the hello.
struct Link {
    shared: Arc<Shared>,
    reader: Option<Thread>,
}

impl Link {
    fn into_client(mut self, welcome: Welcome, data_dir: &Path) -> ControlClient {
        let (shared, reader) = (self.shared.clone(), self.reader.take());
        ControlClient { shared, reader, welcome, data_dir: data_dir.to_owned() }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            hang_up(&self.shared, Some(reader));
        }
    }
}

fn hang_up(shared: &Shared, reader: Option<Thread>) {
    // Fails when the other side has closed already.
    let _ = shared.stream.shutdown(Shutdown::Both);
    shared.finish_queues();
    // The thread may drop the client itself, in a waker. It is then not joined.
    drop(reader);
}

fn holder(data_dir: &Path) -> Option<u32> {
    match presence(data_dir) {
        Presence::Engine { pid } => Some(pid),
        Presence::Nobody => None,
    }
}

/// The answer, if it comes soon; none when the caller is to wait further.
///
/// # Errors
/// [`ControlError::Stopped`] when the engine's process was stopped before it could answer.
fn look_after_a_while(
    answer: &Receiver<Result<Reply, ControlError>>,
    data_dir: &Path,
) -> Result<Option<Result<Reply, ControlError>>, ControlError> {
    match answer.recv_timeout(SUSPICIOUS) {
        Ok(answer) => Ok(Some(answer)),
        Err(RecvTimeoutError::Disconnected) => Ok(Some(Err(ControlError::Gone(None)))),
        Err(RecvTimeoutError::Timeout) => match StoppedHolder::of(data_dir) {
            Some(stopped) => Err(stopped.into()),
            None => Ok(None),
        },
    }
}

fn parse<T: DeserializeOwned>(result: &RawValue) -> Result<T, ControlError> {
    serde_json::from_str(result.get()).map_err(|error| ControlError::Garbled(error.to_string()))
}

impl Shared {
    /// Sends a request. The answer comes through the returned channel.
    pub(super) fn ask(
        &self,
        request: &impl Serialize,
        pending: impl FnOnce(crossbeam_channel::Sender<Result<Reply, ControlError>>) -> Pending,
    ) -> Result<Receiver<Result<Reply, ControlError>>, ControlError> {
        // Capacity 1: the one answer. Closed without one when the connection has ended.
        let (tell, answer) = bounded(1);
        let id = self.expect(pending(tell))?;
        if let Err(error) = self.say(&Outgoing::request(id, request)) {
            // The reader may know the reason already, and then answers in the channel.
            if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
                self.give_up(id);
                return Err(error.into());
            }
        }
        Ok(answer)
    }

    /// Sends a message as one line.
    pub(super) fn say(&self, message: &impl Serialize) -> io::Result<()> {
        let line = wire::line(message)?;
        let _writing = self.writing.lock();
        send_all(&self.stream, &line)
    }
}

impl HasExitCode for ControlError {
    fn exit_code(&self) -> u8 {
        match self {
            // A code that is no exit code is an error of the protocol.
            Self::Refused(error) => u8::try_from(error.code).unwrap_or(FAILED),
            Self::NoAnswer { .. } | Self::Stopped(_) => NO_ANSWER,
            Self::Gone(_) | Self::Garbled(_) | Self::Socket(_) => FAILED,
        }
    }
}
