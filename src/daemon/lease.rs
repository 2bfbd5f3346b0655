//! Who is the engine of a data directory. Whoever holds the lease, the directory's lock with the control socket, is;
//! everybody else is a client of it. A lease is taken when it is free, and else handed over by its holder: it is never
//! free in between, so that nobody can slip in.

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
    /// What the holder before has left, if it handed the lease over.
    pub(crate) handover: Option<Handover>,
}

/// What came of asking for the lease.
#[derive(Debug)]
pub enum Joined {
    /// It is ours: be the engine.
    EngineLease(EngineLease),
    /// An engine lives: ask it.
    Client(ControlClient),
}

/// Why there is neither a lease nor an engine to talk to.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The directory can't be used, or is held by an engine that has no socket.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Its engine does not want to leave.
    #[error("{0}")]
    Kept(ErrorObject),
    /// Its engine can't be talked to.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The socket can't be bound.
    #[error("the control socket can't be made: {0}")]
    Socket(#[from] io::Error),
}

/// What a successor is told with the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// The last event that the engine before told.
    pub seq: u64,
    /// What that engine belonged to.
    pub face: ProcessKind,
    /// The runs that it had.
    #[serde(default)]
    pub living: Vec<RunId>,
}

impl EngineLease {
    /// Takes the lease, if it is free.
    ///
    /// # Errors
    /// [`JoinError::DataDir`] when it is not, or can't be taken; [`JoinError::Socket`].
    pub fn take(dir: &DataDir) -> Result<Self, JoinError> {
        Self::with(dir, dir.lock()?)
    }

    fn with(dir: &DataDir, lock: EngineLock) -> Result<Self, JoinError> {
        // Before anything slow: whoever comes from now on waits at the door.
        let listener = control::bind(dir.path())?;
        Ok(Self { dir: dir.clone(), lock, listener, handover: None })
    }

    /// Of which directory it is.
    pub fn data_dir(&self) -> &DataDir {
        &self.dir
    }

    /// The lock of that directory, held.
    pub fn lock(&self) -> &EngineLock {
        &self.lock
    }

    /// The runs that the holder before had, if it handed the lease over.
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

/// Takes the lease of `dir` if it is free, else becomes a client of the engine that holds it.
///
/// # Errors
/// [`JoinError`]; `Busy` when it is held by an engine without a socket.
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

/// What came of asking the engine of a data directory for something.
#[derive(Debug)]
pub enum Acquisition<T> {
    /// There is none: the lease is ours.
    EngineLease(EngineLease),
    /// It has answered, and can be listened to.
    Answered(ControlClient, T),
}

/// Asks the engine of `dir` for something; where none lives the lease is taken. An engine that leaves before it has
/// looked at the request leaves it to the next.
///
/// # Errors
/// [`JoinError`]; [`ControlError::Refused`] in it when the engine said no.
pub fn ask<R: Request>(dir: &DataDir, request: &R) -> Result<Acquisition<R::Answer>, JoinError> {
    look_again(dir.path(), || {
        let client = match join(dir)? {
            Joined::EngineLease(lease) => return Ok(ControlFlow::Break(Acquisition::EngineLease(lease))),
            Joined::Client(client) => client,
        };
        match client.ask(request) {
            Ok(answer) => Ok(ControlFlow::Break(Acquisition::Answered(client, answer))),
            // It said that it leaves, and what it has not answered then it has not done.
            Err(left @ ControlError::Gone(Some(_))) => Ok(ControlFlow::Continue(left.into())),
            Err(error) => Err(error.into()),
        }
    })
}

/// Takes the lease of `dir` as `face`: a holder is asked to hand it over.
///
/// # Errors
/// [`JoinError::Kept`] when the holder keeps it, else as [`join`].
pub fn succeed(dir: &DataDir, face: ProcessKind) -> Result<EngineLease, JoinError> {
    look_again(dir.path(), || match join(dir)? {
        Joined::EngineLease(lease) => Ok(ControlFlow::Break(lease)),
        Joined::Client(client) => unless_gone(request_lease(dir, &client, face, false)),
    })
}

/// Has the holder hand its lease over; with `waits` when it leaves.
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

/// A holder that went before it could answer: then the lease is free, or another's.
fn unless_gone<T>(outcome: Result<T, JoinError>) -> Result<ControlFlow<T, JoinError>, JoinError> {
    match outcome {
        Err(gone @ JoinError::Control(ControlError::Gone(_))) => Ok(ControlFlow::Continue(gone)),
        outcome => outcome.map(ControlFlow::Break),
    }
}

/// Waits for the lease of a data directory as `serve`, beside whoever holds it: it comes when the holder leaves, dies, or
/// is one that makes room for `serve`. Dropping it gives up.
#[derive(Debug)]
pub struct Standby {
    /// The lease, once it is ours; none when another engine serves and this one is needed no longer.
    pub lease: Receiver<Result<Option<EngineLease>, JoinError>>,
    line: Arc<Mutex<Line>>,
}

/// What a standby waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandFor {
    /// The lease, however long another engine serves.
    Good,
    /// That the one who has taken over is seen serving; the lease, where it dies before.
    UntilServed,
}

/// The connection that the standby's thread waits on.
#[derive(Debug, Default)]
struct Line {
    client: Option<Arc<ControlClient>>,
    is_over: bool,
}

impl Standby {
    /// Begins to wait.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(dir: &DataDir, stand_for: StandFor) -> io::Result<Self> {
        // Capacity 1: the one lease. When it is closed nobody waits for it any more, and the lease is free again.
        let (tell, lease) = bounded(1);
        let line = Arc::new(Mutex::new(Line::default()));
        let (dir, of_thread) = (dir.clone(), line.clone());
        // Not joined: it ends with the connection, and where there is none with the lock or the program.
        crate::base::thread::lasting("lf-standby", move || {
            // Whoever waits no longer lets it go again.
            let _ = tell.send(wait_for_seat(&dir, &of_thread, stand_for));
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

/// The lease; none when nobody waits for it any more, or another serves and that was waited for.
fn wait_for_seat(
    dir: &DataDir,
    line: &Mutex<Line>,
    stand_for: StandFor,
) -> Result<Option<EngineLease>, JoinError> {
    let outcome = look_again(dir.path(), || {
        let outcome = match stand_for {
            StandFor::Good => ask_for_seat(dir, line).map(Some),
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
        // A holder that can't be talked to, or whose place nobody knows: the lock tells when it is free.
        Err(JoinError::Control(_) | JoinError::Kept(_) | JoinError::DataDir(DataDirError::Busy { .. })) => {
            let lock = dir.wait_for_lock()?;
            EngineLease::with(dir, lock).map(Some)
        }
        outcome => outcome,
    }
}

fn ask_for_seat(dir: &DataDir, line: &Mutex<Line>) -> Result<EngineLease, JoinError> {
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
