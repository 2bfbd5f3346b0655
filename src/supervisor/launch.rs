//! Finds the supervisor of a data directory or starts one, and registers with it as the one engine that it obeys.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::SupervisorHost;
use super::entry;
use super::entry::ARGV0;
use super::frame::FrameBuffer;
use super::host::{HostEvent, Known};
use super::process::Proc;
use super::protocol::{Hello, PROTOCOL, Reply, Request, SupervisorInfo, own_version};
use super::pulse::Pulse;
use super::server::SOCKET_NAME;
use crate::process::descriptors;
use crate::socket;

/// A supervisor that was started and does not answer within this time is probably waiting for another one to end.
const PATIENCE: Duration = Duration::from_millis(250);
/// A supervisor that was found and does not answer within this time may be stopped.
const FOUND_PATIENCE: Duration = Duration::from_secs(2);
/// A supervisor that was found and does not answer within this time hangs.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// When no supervisor has answered within this time, something is wrong.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no supervisor to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The program can't be its own supervisor.
    #[error("this program can't supervise steps: call leverframe::supervisor_entry() first thing in main")]
    NoEntry,
    /// The data directory can't be used.
    #[error("could not use the data directory {dir}: {source}", dir = dir.display())]
    DataDir { dir: PathBuf, source: io::Error },
    /// No process could be started.
    #[error("could not start the supervisor ({program}): {source}", program = program.display())]
    Spawn {
        /// What was to be run.
        program: PathBuf,
        source: io::Error,
    },
    /// A later engine has registered: the supervisor does not obey this one any more.
    #[error(
        "the supervisor has seen a later engine (epoch {highest_epoch}) and does not accept this one (epoch {epoch})"
    )]
    Superseded {
        /// The epoch of this engine.
        epoch: u64,
        /// The highest epoch that the supervisor has seen.
        highest_epoch: u64,
    },
    /// The supervisor reported why it could not start.
    #[error("{0}")]
    Failed(String),
    /// The supervisor is running and does not answer.
    #[error("{}", silence(*pid, *is_stopped))]
    Silent {
        pid: u32,
        /// Whether that process is stopped.
        is_stopped: bool,
    },
    /// No supervisor answered in time.
    #[error(
        "no supervisor of {dir} answers (waited {waited} s): check whether a process leverframe-supervisor or leverframe-sub-reaper hangs",
        dir = dir.display(), waited = DEADLINE.as_secs()
    )]
    NoAnswer { dir: PathBuf },
}

/// The beginning of every sentence of [`silence`].
pub const SILENT: &str = "the supervisor does not answer";

/// A sentence about a supervisor that does not answer: why, as far as known, and what to do.
pub fn silence(pid: u32, is_stopped: bool) -> String {
    if is_stopped {
        format!("{SILENT}: process {pid} is stopped (state T); `kill -CONT {pid}` lets it go on")
    } else {
        format!(
            "{SILENT}: process {pid} hangs; check what it waits for, or `kill -9 {pid}`: steps go on, and the next supervisor takes them over"
        )
    }
}

/// How a supervisor is found or started.
#[derive(Debug, Clone)]
pub struct Launcher {
    data_dir: PathBuf,
    program: PathBuf,
}

/// A supervisor that was found or is starting. It obeys this engine after [`Launched::hello`].
#[derive(Debug)]
pub struct Launched {
    launcher: Launcher,
    link: Link,
}

/// How a supervisor is reached.
#[derive(Debug)]
enum Link {
    /// It was running.
    Found(UnixStream),
    /// It was started just now, and may find that another one holds the lock.
    Started(UnixStream, Child),
}

/// The outcome of one hello.
enum Answer {
    Welcome(Welcome),
    /// The connection ended without an answer.
    Disconnected,
    /// No answer in time, or another supervisor holds the lock.
    TryAnother,
}

/// A supervisor's answer to a hello that it accepts.
struct Welcome {
    pid: u32,
    inventory: Vec<Known>,
    n_steps: Option<usize>,
    /// Bytes that were read after the answer.
    rest: FrameBuffer,
}

impl Launcher {
    /// For the supervisor of this data directory, which is created if it is missing.
    pub fn new(data_dir: impl AsRef<Path>) -> Self {
        Self { data_dir: data_dir.as_ref().to_owned(), program: PathBuf::from("/proc/self/exe") }
    }

    /// Starts this program instead of the running one; it must call [`super::supervisor_entry`].
    #[must_use]
    pub fn program(self, program: impl AsRef<Path>) -> Self {
        Self { program: program.as_ref().to_owned(), ..self }
    }

    /// Finds or starts a supervisor, without waiting for it.
    ///
    /// # Errors
    /// [`ConnectError::NoEntry`] when the running program can't be a supervisor; [`ConnectError::DataDir`] and
    /// [`ConnectError::Spawn`] as they say.
    pub fn launch(self) -> Result<Launched, ConnectError> {
        if self.program == Path::new("/proc/self/exe") && !entry::can_supervise() {
            return Err(ConnectError::NoEntry);
        }
        let link = self.link()?;
        Ok(Launched { launcher: self, link })
    }

    fn link(&self) -> Result<Link, ConnectError> {
        match socket::connect(&self.data_dir, SOCKET_NAME) {
            Ok(stream) => Ok(Link::Found(stream)),
            Err(_) => self.start(),
        }
    }

    fn start(&self) -> Result<Link, ConnectError> {
        let data_dir = self.prepare_data_dir().map_err(|source| {
            let dir = self.data_dir.clone();
            ConnectError::DataDir { dir, source }
        })?;
        let failed = |source| ConnectError::Spawn { program: self.program.clone(), source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.arg0(ARGV0).arg(data_dir).env_clear();
        // The supervisor needs these too, to find libraries, the system's tools and the system bus.
        let wanted = ["LD_LIBRARY_PATH", "PATH", "DBUS_SYSTEM_BUS_ADDRESS"];
        command.envs(wanted.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(descriptors::for_child());
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(failed)?;
        Ok(Link::Started(ours, child))
    }

    fn prepare_data_dir(&self) -> io::Result<PathBuf> {
        if !self.data_dir.is_dir() {
            std::fs::create_dir_all(&self.data_dir)?;
            std::fs::set_permissions(&self.data_dir, std::fs::Permissions::from_mode(0o700))?;
        }
        std::path::absolute(&self.data_dir)
    }
}

impl Launched {
    /// Registers this engine. The sink gets [`HostEvent::Inventory`] first, on this thread, before this returns; then
    /// all later events, in order, on one thread of the host.
    ///
    /// # Errors
    /// [`ConnectError::Superseded`] when a later engine said hello before; the others as they say.
    pub fn hello(
        mut self,
        epoch: u64,
        sink: impl Fn(HostEvent) + Send + 'static,
    ) -> Result<SupervisorHost, ConnectError> {
        let begun_at = Instant::now();
        let deadline = begun_at + DEADLINE;
        loop {
            let answer = match &mut self.link {
                Link::Found(stream) => {
                    let answer = say_hello(stream, epoch, deadline.min(Instant::now() + FOUND_PATIENCE))?;
                    if let (Answer::TryAnother, Some(pid)) = (&answer, process_behind(stream)) {
                        let is_stopped =
                            Proc::read(pid).ok().flatten().is_some_and(|found| found.is_stopped());
                        if is_stopped || begun_at.elapsed() >= HANGS_AFTER {
                            return Err(ConnectError::Silent { pid, is_stopped });
                        }
                    }
                    answer
                }
                Link::Started(stream, _) => {
                    say_hello(stream, epoch, deadline.min(Instant::now() + PATIENCE))?
                }
            };
            if let Answer::Welcome(Welcome { pid, inventory, n_steps, rest }) = answer {
                let (stream, child) = match self.link {
                    Link::Found(stream) => (stream, None),
                    Link::Started(stream, child) => (stream, Some(child)),
                };
                let pulse = Pulse::new(&inventory, Instant::now());
                // First: after the inventory the engine starts what waits.
                if let Some(n_steps) = n_steps {
                    sink(HostEvent::Capacity { n_steps });
                }
                sink(HostEvent::Inventory(inventory));
                return SupervisorHost::new(stream, child, pid, pulse, rest, sink)
                    .map_err(|source| ConnectError::Spawn { program: PathBuf::from("a thread"), source });
            }
            if Instant::now() >= deadline {
                self.link.give_up();
                return Err(ConnectError::NoAnswer { dir: self.launcher.data_dir });
            }
            self.link = self.launcher.next_link(self.link, &answer)?;
        }
    }
}

impl Launcher {
    /// After a supervisor did not answer: connects to the socket if one listens there now, else goes on with the one
    /// that was started and waits, else starts another.
    fn next_link(&self, link: Link, answer: &Answer) -> Result<Link, ConnectError> {
        match (socket::connect(&self.data_dir, SOCKET_NAME), link, answer) {
            // The one that was started was slow, and listens now.
            (Ok(found), Link::Started(_, child), _) if is_of(&found, &child) => {
                Ok(Link::Started(found, child))
            }
            (Ok(found), link, _) => {
                link.give_up();
                Ok(Link::Found(found))
            }
            // It waits for the lock. The hello that was sent waits in its connection.
            (Err(_), link @ Link::Started(..), Answer::TryAnother) => Ok(link),
            (Err(_), link, _) => {
                link.give_up();
                self.start()
            }
        }
    }
}

/// The process that listens at the other end.
fn process_behind(stream: &UnixStream) -> Option<u32> {
    let peer = rustix::net::sockopt::socket_peercred(stream).ok()?;
    Some(peer.pid.as_raw_nonzero().get().cast_unsigned())
}

/// Whether a connection leads to the supervisor whose parent is this child of ours.
fn is_of(stream: &UnixStream, parent: &Child) -> bool {
    process_behind(stream)
        .and_then(|pid| Proc::read(pid).ok().flatten())
        .is_some_and(|found| found.parent == parent.id())
}

impl Link {
    /// Kills and reaps a supervisor that was started and has not answered.
    fn give_up(self) {
        if let Self::Started(_, mut child) = self {
            // It is blocked before it has done anything, or gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn say_hello(stream: &mut UnixStream, epoch: u64, deadline: Instant) -> Result<Answer, ConnectError> {
    let hello = Hello { protocol: PROTOCOL, epoch, pid: std::process::id(), version: own_version() };
    if stream.write_all(&Request::Hello(hello).encode()).is_err() {
        return Ok(Answer::Disconnected);
    }
    let mut frames = FrameBuffer::default();
    loop {
        match read_reply(stream, &mut frames, deadline) {
            Ok(Some(Reply::Welcome { pid, inventory, n_steps, .. })) => {
                let rest = std::mem::take(&mut frames);
                return Ok(Answer::Welcome(Welcome { pid, inventory, n_steps, rest }));
            }
            Ok(Some(Reply::Refused { highest_epoch })) => {
                return Err(ConnectError::Superseded { epoch, highest_epoch });
            }
            Ok(Some(Reply::Error { message })) => return Err(ConnectError::Failed(message)),
            Ok(Some(Reply::Waiting {})) => return Ok(Answer::TryAnother),
            Ok(Some(Reply::Info(_) | Reply::Pong {} | Reply::Event(_)) | None) => {}
            Err(error) if is_timeout(&error) => return Ok(Answer::TryAnother),
            Err(_) => return Ok(Answer::Disconnected),
        }
    }
}

/// The next reply; none for a kind that is not known here.
fn read_reply(
    stream: &mut UnixStream,
    frames: &mut FrameBuffer,
    deadline: Instant,
) -> io::Result<Option<Reply>> {
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some(frame) = frames.next().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))? {
            return Ok(Reply::decode(&frame));
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => frames.extend(&buffer[..n]),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether a supervisor lives in a data directory, or an earlier one has left ends that no engine has acknowledged.
pub fn is_left_behind(data_dir: impl AsRef<Path>) -> bool {
    data_dir.as_ref().join(super::journal::FILE_NAME).exists()
}

/// Asks the supervisor of a data directory about itself, without taking it from its engine. None when no supervisor
/// answers.
pub fn probe(data_dir: impl AsRef<Path>) -> Option<SupervisorInfo> {
    let mut stream = socket::connect(data_dir.as_ref(), SOCKET_NAME).ok()?;
    stream.write_all(&Request::Probe {}.encode()).ok()?;
    let mut frames = FrameBuffer::default();
    match read_reply(&mut stream, &mut frames, Instant::now() + Duration::from_secs(1)).ok()?? {
        Reply::Info(info) => Some(info),
        Reply::Welcome { .. }
        | Reply::Refused { .. }
        | Reply::Waiting {}
        | Reply::Pong {}
        | Reply::Event(_)
        | Reply::Error { .. } => None,
    }
}
