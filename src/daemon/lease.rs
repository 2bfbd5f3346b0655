//! Which process is the engine of a data directory: the holder of the lease, which is the directory's lock with the
//! control socket. All others are clients. A lease is acquired when it is free, or handed over by its holder. During a
//! hand-over it is never free, so that no third process can take it.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::api::exit_code::{BUSY, HasExitCode, UNUSABLE};
use crate::api::{ProcessKind, Request};
use crate::base::id::RunId;
use crate::control;
use crate::control::wire::{ErrorObject, SessionRequest, Successor};
use crate::control::{ControlClient, ControlError, HandedOver, OWN_NAME, look_again};
use crate::store::{DataDir, DataDirError, EngineLock};

/// The right to be the engine of a data directory.
#[derive(Debug)]
pub struct EngineLease {
    pub(crate) dir: DataDir,
    pub(crate) lock: EngineLock,
    pub(crate) listener: UnixListener,
    /// What the last holder left, if it handed the lease over.
    pub(crate) handover: Option<Handover>,
}

/// The outcome of [`join`].
#[derive(Debug)]
pub enum Joined {
    /// The lease is acquired: this process is the engine.
    EngineLease(EngineLease),
    /// Another process is the engine.
    Client(ControlClient),
}

/// Why there is neither a lease nor an engine to talk to.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The directory can't be used, or an engine without a socket holds it.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The engine refuses to hand over.
    #[error("{0}")]
    Kept(ErrorObject),
    /// The engine can't be reached.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The socket can't be bound.
    #[error("the control socket can't be made: {0}")]
    Socket(#[from] io::Error),
}

/// What a successor gets with the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// The last event of the engine before.
    pub seq: u64,
    /// The kind of process of that engine.
    pub face: ProcessKind,
    /// The runs of that engine that had not ended.
    #[serde(default)]
    pub living: Vec<RunId>,
}

impl EngineLease {
    /// Acquires the lease, if it is free.
    ///
    /// # Errors
    /// [`JoinError::DataDir`] when it is not free or can't be acquired; [`JoinError::Socket`] when the socket can't be
    /// bound.
    pub fn take(dir: &DataDir) -> Result<Self, JoinError> {
        Self::with(dir, dir.lock()?)
    }

    fn with(dir: &DataDir, lock: EngineLock) -> Result<Self, JoinError> {
        // Before anything slow: clients that connect from now on wait for an answer.
        let listener = control::bind(dir.path())?;
        Ok(Self { dir: dir.clone(), lock, listener, handover: None })
    }

    pub fn data_dir(&self) -> &DataDir {
        &self.dir
    }

    /// The lock of that directory, held.
    pub fn lock(&self) -> &EngineLock {
        &self.lock
    }

    /// The living runs of the last holder, if it handed the lease over.
    pub fn inherited_runs(&self) -> Option<&[RunId]> {
        self.handover.as_ref().map(|handover| handover.living.as_slice())
    }

    /// A lease that was handed over: the lock and the socket.
    fn of(dir: &DataDir, handed_over: HandedOver<Handover>) -> Result<Self, JoinError> {
        let HandedOver { answer, descriptors } = handed_over;
        let garbled = |n| ControlError::Garbled(format!("a lease of {n} descriptors"));
        let [lock, listener] =
            <[OwnedFd; 2]>::try_from(descriptors).map_err(|descriptors| garbled(descriptors.len()))?;
        let (lock, listener) = (dir.take_over_lock(lock)?, UnixListener::from(listener));
        Ok(Self { dir: dir.clone(), lock, listener, handover: Some(answer) })
    }
}

/// Acquires the lease of `dir` if it is free; otherwise connects to the engine that holds it.
///
/// # Errors
/// [`JoinError`]; `Busy` when an engine without a socket holds it.
pub fn join(dir: &DataDir) -> Result<Joined, JoinError> {
    look_again(dir.path(), || {
        let busy = match EngineLease::take(dir) {
            Err(JoinError::DataDir(busy @ DataDirError::Busy { .. })) => busy,
            taken => return taken.map(Joined::EngineLease).map(ControlFlow::Break),
        };
        Ok(match ControlClient::connect(dir.path(), OWN_NAME)? {
            Some(client) => ControlFlow::Break(Joined::Client(client)),
            None => ControlFlow::Continue(busy.into()),
        })
    })
}

/// The outcome of [`ask`].
#[derive(Debug)]
pub enum Acquisition<T> {
    /// There is no engine: the lease is acquired.
    EngineLease(EngineLease),
    /// The engine's answer, and a client connected to it.
    Answered(ControlClient, T),
}

/// Sends a request to the engine of `dir`; if there is none, acquires the lease. If an engine leaves before it has
/// handled the request, the next one is asked.
///
/// # Errors
/// [`JoinError`]; it holds [`ControlError::Refused`] when the engine refused the request.
pub fn ask<R: Request>(dir: &DataDir, request: &R) -> Result<Acquisition<R::Answer>, JoinError> {
    look_again(dir.path(), || {
        let client = match join(dir)? {
            Joined::EngineLease(lease) => return Ok(ControlFlow::Break(Acquisition::EngineLease(lease))),
            Joined::Client(client) => client,
        };
        match client.ask(request) {
            Ok(answer) => Ok(ControlFlow::Break(Acquisition::Answered(client, answer))),
            // An engine that has announced its end has not done what it left unanswered.
            Err(left @ ControlError::Gone(Some(_))) => Ok(ControlFlow::Continue(left.into())),
            Err(error) => Err(error.into()),
        }
    })
}

/// Acquires the lease of `dir` for a process of kind `face`. A holder is asked to hand it over.
///
/// # Errors
/// [`JoinError::Kept`] when the holder keeps it; otherwise as [`join`].
pub fn succeed(dir: &DataDir, face: ProcessKind) -> Result<EngineLease, JoinError> {
    look_again(dir.path(), || match join(dir)? {
        Joined::EngineLease(lease) => Ok(ControlFlow::Break(lease)),
        Joined::Client(client) => unless_gone(request_lease(dir, &client, face, false)),
    })
}

/// Asks the holder to hand its lease over; with `waits`, when it leaves.
fn request_lease(
    dir: &DataDir,
    holder: &ControlClient,
    face: ProcessKind,
    waits: bool,
) -> Result<EngineLease, JoinError> {
    let successor = Successor { face, version: env!("CARGO_PKG_VERSION").to_owned(), waits };
    match holder.call_with_descriptors::<Handover>(&SessionRequest::HandOver(successor)) {
        Ok(handed_over) => EngineLease::of(dir, handed_over),
        Err(ControlError::Refused(error)) => Err(JoinError::Kept(error)),
        Err(error) => Err(error.into()),
    }
}

/// If the holder went before it answered, the lease is free or another's: look again.
fn unless_gone<T>(outcome: Result<T, JoinError>) -> Result<ControlFlow<T, JoinError>, JoinError> {
    match outcome {
        Err(gone @ JoinError::Control(ControlError::Gone(_))) => Ok(ControlFlow::Continue(gone)),
        outcome => outcome.map(ControlFlow::Break),
    }
}

/// Waits for the lease of a data directory as `serve`, beside the present holder. It gets the lease when the holder
/// leaves or dies, or is of a kind that makes room for `serve`. Dropping it gives up.
#[derive(Debug)]
pub struct Standby {
    /// The lease, once it is acquired. None when another engine serves and that was waited for.
    pub lease: Receiver<Result<Option<EngineLease>, JoinError>>,
    line: Arc<Mutex<Line>>,
}

/// What a standby waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandFor {
    /// For the lease, however long another engine serves.
    Good,
    /// For the new engine to serve; for the lease if that engine dies before.
    UntilServed,
}

/// The connection on which the standby's thread waits.
#[derive(Debug, Default)]
struct Line {
    client: Option<Arc<ControlClient>>,
    is_over: bool,
}

impl Standby {
    /// Starts to wait.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(dir: &DataDir, stand_for: StandFor) -> io::Result<Self> {
        // Capacity 1: the one lease. When the channel is closed, the lease is dropped and free again.
        let (tell, lease) = bounded(1);
        let line = Arc::new(Mutex::new(Line::default()));
        let (dir, of_thread) = (dir.clone(), line.clone());
        // Not joined: it ends with the connection, or else with the lock or the program.
        crate::base::thread::lasting("lf-standby", move || {
            // If the receiver is gone, this drops the lease.
            let _ = tell.send(wait_for_lease(&dir, &of_thread, stand_for));
        })?;
        Ok(Self { lease, line })
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let mut line = self.line.lock();
        line.is_over = true;
        if let Some(client) = line.client.take() {
            client.hang_up();
        }
    }
}

/// The lease. None when the standby was dropped, or another engine serves and that was waited for.
fn wait_for_lease(
    dir: &DataDir,
    line: &Mutex<Line>,
    stand_for: StandFor,
) -> Result<Option<EngineLease>, JoinError> {
    let outcome = look_again(dir.path(), || {
        let outcome = match stand_for {
            StandFor::Good => ask_for_lease(dir, line).map(Some),
            StandFor::UntilServed => join(dir).map(|joined| match joined {
                Joined::Client(_) => None,
                Joined::EngineLease(lease) => Some(lease),
            }),
        };
        if line.lock().is_over {
            return Ok(ControlFlow::Break(None));
        }
        unless_gone(outcome)
    });
    match outcome {
        // The holder can't be reached, or keeps the lease: wait for its lock.
        Err(JoinError::Control(_) | JoinError::Kept(_) | JoinError::DataDir(DataDirError::Busy { .. })) => {
            let lock = dir.wait_for_lock()?;
            EngineLease::with(dir, lock).map(Some)
        }
        outcome => outcome,
    }
}

fn ask_for_lease(dir: &DataDir, line: &Mutex<Line>) -> Result<EngineLease, JoinError> {
    let client = match join(dir)? {
        Joined::EngineLease(lease) => return Ok(lease),
        Joined::Client(client) => Arc::new(client),
    };
    {
        let mut line = line.lock();
        if line.is_over {
            return Err(ControlError::Gone(None).into());
        }
        line.client = Some(client.clone());
    }
    request_lease(dir, &client, ProcessKind::Serve, true)
}

impl HasExitCode for JoinError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::DataDir(error) => error.exit_code(),
            Self::Control(error) => error.exit_code(),
            Self::Kept(_) => BUSY,
            Self::Socket(_) => UNUSABLE,
        }
    }
}
