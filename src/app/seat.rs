//! Who is the engine of a data directory. Whoever holds the seat, the directory's lock with the control socket, is;
//! everybody else is a client of it. A seat is taken when it is free, and else handed over by its holder: it is never
//! free in between, so that nobody can slip in.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::control::wire::{ErrorObject, Face, SessionRequest, Successor};
use crate::control::{self, ControlClient, ControlError, HandedOver};
use crate::logs::FolderWatch;
use crate::store::{DataDir, DataDirError, EngineLock};

/// How a client of ours is called in the messages of an engine.
pub const OWN_NAME: &str = concat!("leverframe ", env!("CARGO_PKG_VERSION"));

/// Between the lock and the socket of a holder that is just starting or ending lies a moment in which neither is to be
/// had. The folder tells of the socket; of the lock nothing tells, so that it is tried again so long after.
const MOMENTS: [Duration; 6] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// The right to be the engine of a data directory.
#[derive(Debug)]
pub struct Seat {
    pub(super) dir: DataDir,
    pub(super) lock: EngineLock,
    pub(super) listener: UnixListener,
    /// What the holder before has left, if it handed the seat over.
    pub(super) bequest: Option<Bequest>,
}

/// What came of asking for the seat.
#[derive(Debug)]
pub enum Joined {
    /// It is ours: be the engine.
    Seat(Seat),
    /// An engine lives: ask it.
    Client(ControlClient),
}

/// Why there is neither a seat nor an engine to talk to.
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

/// What a successor is told with the seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bequest {
    /// The last event that the engine before told.
    pub seq: u64,
    /// What that engine belonged to.
    pub face: Face,
}

impl Seat {
    /// Takes the seat, if it is free.
    ///
    /// # Errors
    /// [`JoinError::DataDir`] when it is not, or can't be taken; [`JoinError::Socket`].
    pub fn take(dir: &DataDir) -> Result<Self, JoinError> {
        let lock = dir.lock()?;
        // Before anything slow: whoever comes from now on waits at the door.
        let listener = control::bind(dir.path())?;
        Ok(Self { dir: dir.clone(), lock, listener, bequest: None })
    }

    /// A seat that was handed over: the lock and the socket.
    fn of(dir: &DataDir, handed_over: HandedOver<Bequest>) -> Result<Self, JoinError> {
        let HandedOver { answer, descriptors } = handed_over;
        let garbled = |n| ControlError::Garbled(format!("a seat of {n} descriptors"));
        let [lock, listener] =
            <[OwnedFd; 2]>::try_from(descriptors).map_err(|descriptors| garbled(descriptors.len()))?;
        let (lock, listener) = (dir.take_over_lock(lock)?, UnixListener::from(listener));
        Ok(Self { dir: dir.clone(), lock, listener, bequest: Some(answer) })
    }
}

/// Takes the seat of `dir` if it is free, else becomes a client of the engine that holds it.
///
/// # Errors
/// [`JoinError`]; `Busy` when it is held by an engine without a socket.
pub fn join(dir: &DataDir) -> Result<Joined, JoinError> {
    let mut moments = Moments::new(dir.path());
    loop {
        let busy = match Seat::take(dir) {
            Err(JoinError::DataDir(busy @ DataDirError::Busy { .. })) => busy,
            taken => return taken.map(Joined::Seat),
        };
        if let Some(client) = ControlClient::connect(dir.path(), OWN_NAME)? {
            return Ok(Joined::Client(client));
        }
        if !moments.wait() {
            return Err(busy.into());
        }
    }
}

/// What came of asking the engine of a data directory for something.
#[derive(Debug)]
pub enum Asking<T> {
    /// There is none: the seat is ours.
    Seat(Seat),
    /// It has answered, and can be listened to.
    Answered(ControlClient, T),
}

/// Asks the engine of `dir` for something; where none lives the seat is taken. An engine that leaves before it has
/// looked at the request leaves it to the next.
///
/// # Errors
/// [`JoinError`]; [`ControlError::Refused`] in it when the engine said no.
pub fn ask<T: DeserializeOwned>(dir: &DataDir, request: &impl Serialize) -> Result<Asking<T>, JoinError> {
    let mut moments = Moments::new(dir.path());
    loop {
        let client = match join(dir)? {
            Joined::Seat(seat) => return Ok(Asking::Seat(seat)),
            Joined::Client(client) => client,
        };
        match client.call(request) {
            Ok(answer) => return Ok(Asking::Answered(client, answer)),
            // It said that it leaves, and what it has not answered then it has not done.
            Err(ControlError::Gone(Some(_))) if moments.wait() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the seat of `dir` as `face`: a holder is asked to hand it over.
///
/// # Errors
/// [`JoinError::Kept`] when the holder keeps it, else as [`join`].
pub fn succeed(dir: &DataDir, face: Face) -> Result<Seat, JoinError> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let request = SessionRequest::HandOver(Successor { face, version });
    let mut moments = Moments::new(dir.path());
    loop {
        let client = match join(dir)? {
            Joined::Seat(seat) => return Ok(seat),
            Joined::Client(client) => client,
        };
        match client.call_with_descriptors::<Bequest>(&request) {
            Ok(handed_over) => return Seat::of(dir, handed_over),
            Err(ControlError::Refused(error)) => return Err(JoinError::Kept(error)),
            // It went before it could answer: then the seat is free, or somebody else's.
            Err(ControlError::Gone(_)) if moments.wait() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The moments at which a data directory is looked at again: when its socket is another one, and a few times beside.
struct Moments<'a> {
    data_dir: &'a Path,
    /// Begun with the first wait: mostly there is none.
    watch: Option<SocketWatch>,
    left: std::slice::Iter<'static, Duration>,
}

struct SocketWatch {
    changes: Receiver<()>,
    /// Ends the watch when it is dropped. Where the system has none left, the moments alone have to do.
    _watch: io::Result<FolderWatch>,
}

impl<'a> Moments<'a> {
    fn new(data_dir: &'a Path) -> Self {
        Self { data_dir, watch: None, left: MOMENTS.iter() }
    }

    /// Waits for the next one; false when there are no more.
    fn wait(&mut self) -> bool {
        let Some(moment) = self.left.next() else { return false };
        let watch = self.watch.get_or_insert_with(|| SocketWatch::start(self.data_dir));
        // Either is a reason to look again.
        let _ = watch.changes.recv_timeout(*moment);
        true
    }
}

impl SocketWatch {
    fn start(data_dir: &Path) -> Self {
        // Capacity 1: a change that waits is as good as two.
        let (tell, changes) = bounded(1);
        let watch = FolderWatch::open(data_dir, &[control::SOCKET_NAME], move || {
            // Full: it will be looked at in any case.
            let _ = tell.try_send(());
        });
        Self { changes, _watch: watch }
    }
}
