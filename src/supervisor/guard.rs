//! Runs a command of the engine's own (one that prints a secret) so that none of its processes is left behind.
//!
//! Between the engine and the command stands a guard: this program in a hidden mode, in a session of its own, which
//! does nothing but wait. The engine ends the whole session when the command has ended, takes too long, prints too much
//! or is cancelled; the guard ends it when the engine dies. Such a command is not a step: it has no log, no token and
//! no entry in the journal.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use super::process::{Proc, ProcDir, ProcId, signal};
use super::{entry, sys};

/// `argv[0]` of the guard. The program finds its role by it.
pub(super) const ARGV0: &str = "leverframe-guard";
/// Rounds of killing what is left of a session: a member may start another process while it is being killed.
const MAX_ROUNDS: usize = 16;

/// The program that serves as the guard: this one, or another that calls [`super::supervisor_entry`].
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    program: PathBuf,
}

/// The limits of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Time from its start to its end.
    pub(crate) time: Duration,
    /// Bytes on its standard output.
    pub(crate) bytes: usize,
}

/// Cancels a command from another thread, also before it has begun.
#[derive(Debug, Clone)]
pub(crate) struct Cancel(Arc<OwnedFd>);

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardError {
    /// [`Cancel::fire`] was called.
    #[error("it is no longer needed")]
    Cancelled,
    /// It was ended because it ran longer than allowed.
    #[error("did not end within {} s, and was killed", .0.as_secs_f64())]
    TooLong(Duration),
    /// It was ended because it printed more than allowed.
    #[error("printed more than {0} bytes, and was killed")]
    TooMuch(usize),
    /// It ended otherwise than with code 0.
    #[error("failed ({0})")]
    Failed(ExitStatus),
    /// It could not be started, or its guard was lost.
    #[error("can't be run: {0}")]
    NotRun(String),
}

impl From<io::Error> for GuardError {
    fn from(error: io::Error) -> Self {
        Self::NotRun(error.to_string())
    }
}

impl From<Errno> for GuardError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl Cancel {
    /// # Errors
    /// When the system has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Cancels the command that runs under it, and every later one. Never waits.
    pub(crate) fn fire(&self) {
        // It can only fail when it has been fired 2^64 times.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Whether it was fired.
    pub(crate) fn is_fired(&self) -> bool {
        poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|n| n > 0)
    }
}

/// A guard that was started. Dropping it kills everything in its session.
struct Guarded(Child);

impl Guard {
    /// This program as the guard; none when it does not call [`super::supervisor_entry`].
    pub(crate) fn this_program() -> Option<Self> {
        entry::can_supervise().then(|| Self { program: PathBuf::from("/proc/self/exe") })
    }

    /// Another program as the guard.
    pub(crate) fn program(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// Runs a command and returns what it printed, if it ended with code 0. Its stdin is empty, and what it writes to
    /// stderr is thrown away. Nothing in its session is alive when this returns.
    ///
    /// # Errors
    /// [`GuardError`]; it never holds what was printed.
    pub(crate) fn output_of(
        &self,
        argv: &[String],
        bounds: Bounds,
        cancel: &Cancel,
    ) -> Result<Vec<u8>, GuardError> {
        if cancel.is_fired() {
            return Err(GuardError::Cancelled);
        }
        let until = Instant::now() + bounds.time;
        let (link, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.program)
            .arg0(ARGV0)
            .args(argv)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut guarded = Guarded(child);
        let mut printed = Printed::of(&mut guarded.0, bounds.bytes)?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(GuardError::TooLong(bounds.time));
            }
            let stdout = printed.stdout.as_ref().map(|stdout| stdout.as_fd());
            let [is_cancelled, has_ended, has_printed] =
                wait_for([Some(cancel.0.as_fd()), Some(link.as_fd()), stdout], left)?;
            if is_cancelled {
                return Err(GuardError::Cancelled);
            }
            if has_printed || has_ended {
                printed.take()?;
            }
            if has_ended {
                let status = read_end(link)?;
                // What it printed between the last read and its end.
                printed.take()?;
                return if status.success() { Ok(printed.bytes) } else { Err(GuardError::Failed(status)) };
            }
        }
    }
}

/// Waits at most `left`. Returns which descriptors can be read or were closed at their other end.
fn wait_for<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    left: Duration,
) -> Result<[bool; N], GuardError> {
    let there: Vec<usize> = (0..N).filter(|i| fds[*i].is_some()).collect();
    let mut polled: Vec<_> = fds.iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    match poll(&mut polled, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready = [false; N];
    for (i, fd) in there.into_iter().zip(&polled) {
        ready[i] = !fd.revents().is_empty();
    }
    Ok(ready)
}

/// What a command has printed.
struct Printed {
    stdout: Option<ChildStdout>,
    bytes: Vec<u8>,
    max: usize,
}

impl Printed {
    fn of(child: &mut Child, max: usize) -> io::Result<Self> {
        let stdout = child.stdout.take();
        if let Some(stdout) = &stdout {
            rustix::io::ioctl_fionbio(stdout, true)?;
        }
        Ok(Self { stdout, bytes: Vec::new(), max })
    }

    /// Reads what is there, without waiting for more.
    fn take(&mut self) -> Result<(), GuardError> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        let mut chunk = [0; 4096];
        loop {
            match stdout.read(&mut chunk) {
                Ok(0) => {
                    self.stdout = None;
                    return Ok(());
                }
                Ok(n) if self.bytes.len() + n > self.max => return Err(GuardError::TooMuch(self.max)),
                Ok(n) => self.bytes.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reads from the guard how the command ended.
fn read_end(mut link: UnixStream) -> Result<ExitStatus, GuardError> {
    // One short line, written at once.
    let mut line = [0; 512];
    let n = link.read(&mut line)?;
    let line = String::from_utf8_lossy(&line[..n]);
    match line.trim_end().split_once(' ') {
        Some(("ended", status)) if let Ok(status) = status.parse() => Ok(ExitStatus::from_raw(status)),
        Some(("failed", why)) => Err(GuardError::NotRun(why.to_owned())),
        Some(_) | None => Err(GuardError::NotRun("its guard was killed by another process".into())),
    }
}

impl Drop for Guarded {
    /// Kills the guard first, so that nothing new is started. It is reaped only when its session is empty, so that its
    /// pid is not given to another process.
    fn drop(&mut self) {
        // It can only fail when it is gone.
        let _ = self.0.kill();
        // The group holds nearly all of them; a look at every process finds those that left the group.
        end_group(self.0.id());
        end_session(self.0.id());
        // It was killed.
        let _ = self.0.wait();
    }
}

/// Ends every process of this session but the calling one.
fn end_session(session: u32) {
    for _ in 0..MAX_ROUNDS {
        // A look that failed does not mean an empty session: it is done again.
        let Ok(table) = ProcDir::open().and_then(|dir| dir.table()) else { continue };
        let is_member = |process: &&Proc| !process.is_dead() && process.id.pid != std::process::id();
        let of_session = table.session(session).iter().filter_map(|pid| table.get(*pid));
        let members: Vec<ProcId> = of_session.filter(is_member).map(|process| process.id).collect();
        if members.is_empty() {
            return;
        }
        for member in members {
            // The next round finds one that could not be reached.
            let _ = signal(member, Signal::KILL);
        }
    }
}

/// Ends the group whose leader is or was this process, the calling one too if it is a member.
fn end_group(leader: u32) {
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // Fails when the group is empty.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// The whole life of a guard. It reports over its stdin, which is a socket to the engine, and then waits to be killed.
pub(super) fn run_guard(argv: impl Iterator<Item = OsString>) -> io::Result<()> {
    sys::close_from_3();
    let link = UnixStream::from(sys::take_stdin()?);
    rustix::process::setsid()?;
    // As the kernel shows it: it was started as `exe`.
    let _ = rustix::thread::set_name(c"lf-guard");
    let watched = link.try_clone()?;
    let watcher = std::thread::Builder::new().name("lf-lifeline".into()).spawn(move || {
        // The engine never writes here: the read returns when the engine has closed its end or died.
        let _ = (&watched).read(&mut [0; 1]);
        end_session(std::process::id());
        // Kills what was started after the last look, and this process.
        end_group(std::process::id());
    })?;
    let line = match run(argv) {
        Ok(status) => format!("ended {}\n", status.into_raw()),
        Err(error) => format!("failed {error}\n"),
    };
    // The engine may be gone; then the other thread ends this process.
    let _ = (&link).write_all(line.as_bytes());
    // That thread ends the process.
    let _ = watcher.join();
    Ok(())
}

fn run(mut argv: impl Iterator<Item = OsString>) -> io::Result<ExitStatus> {
    let program = argv.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program).args(argv).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // The guard's own copy of stdout keeps the pipe open. That is harmless: the end is reported over the link.
    child.wait()
}
