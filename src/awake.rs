//! Keeps the machine awake while a run wants it: holds an inhibitor of logind against sleep and idleness.
//!
//! The inhibitor is a file descriptor that logind gives out over D-Bus. It works as long as it is open.
//! `systemd-inhibit`, logind's own client, takes it and runs a `cat` that reads a pipe of ours. When the pipe is
//! closed, `cat` ends, and the inhibitor with it. The kernel closes the pipe when this process ends in any way, `kill
//! -9` included. A D-Bus library would add some forty crates and an executor's thread to the build without a window,
//! for one call. A client written by hand would be a protocol of its own. The price of this way is two small processes
//! while an inhibitor is held.
//!
//! This module does not know runs: the caller of [`AwakeHandle::want`] gives a reason, or none when the machine may
//! sleep. When there is no logind, or it refuses, one warning says so, and everything else goes on.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::{io, mem};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::base::thread::{self, Thread};
use crate::diagnostics::NOTICE;

/// The program that takes inhibitors.
const PROGRAM: &str = "systemd-inhibit";
/// The most bytes of its standard error that are read.
const MAX_ERROR_OUTPUT: u64 = 4096;

/// Controls an [`AwakeKeeper`] from any thread. Does nothing once that has ended.
#[derive(Clone)]
pub struct AwakeHandle {
    shared: Arc<Shared>,
}

/// Holds what is wanted, on a thread of its own that begins with the first wish, until it is dropped.
pub struct AwakeKeeper {
    shared: Arc<Shared>,
}

struct Shared {
    wish: Mutex<Wish>,
    /// Signalled at each change of the wish. A descriptor, because the thread also waits for its child's output.
    bell: OwnedFd,
}

/// Only the newest wish counts, so that the caller never waits.
#[derive(Default)]
struct Wish {
    /// Why the machine is kept awake; none when it may sleep.
    why: Option<Arc<str>>,
    is_over: bool,
    holder: Holder,
}

/// The thread that does what is wished.
#[derive(Default)]
enum Holder {
    /// No wish has come yet.
    NotNeeded(Worker),
    Works {
        /// Joined when it is dropped.
        _thread: Thread,
    },
    #[default]
    None,
}

impl AwakeHandle {
    /// Keeps the machine awake for this reason, which the desktop shows to people. With none the machine may sleep.
    /// Returns at once.
    pub fn want(&self, why: Option<&str>) {
        self.shared.update(|wish| {
            wish.why = why.map(Arc::from);
            if why.is_some() && !wish.is_over {
                self.shared.start(wish);
            }
        });
    }
}

impl AwakeKeeper {
    /// Holds for the runs of a data directory. If the machine can't be kept awake, it warns once and says why.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn start(data_dir: &Path) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let worker = Worker { held: None, requested: None, unwarned: Some(data_dir.to_owned()) };
        let wish = Wish { why: None, is_over: false, holder: Holder::NotNeeded(worker) };
        Ok(Self { shared: Arc::new(Shared { wish: Mutex::new(wish), bell }) })
    }

    /// A handle for any thread.
    pub fn handle(&self) -> AwakeHandle {
        AwakeHandle { shared: self.shared.clone() }
    }
}

impl Drop for AwakeKeeper {
    fn drop(&mut self) {
        let mut holder = Holder::None;
        self.shared.update(|wish| {
            wish.is_over = true;
            holder = mem::take(&mut wish.holder);
        });
        // Without the lock: a thread is joined, which lets go of everything.
        drop(holder);
    }
}

impl Shared {
    /// Starts the thread with the first wish.
    fn start(self: &Arc<Self>, wish: &mut Wish) {
        let worker = match mem::take(&mut wish.holder) {
            Holder::NotNeeded(worker) => worker,
            other @ (Holder::Works { .. } | Holder::None) => {
                wish.holder = other;
                return;
            }
        };
        let (shared, unwarned) = (self.clone(), worker.unwarned.clone());
        let thread = thread::short("lf-awake", move || {
            let _mark_ended = MarkEnded(&shared);
            worker.keep(&shared);
        });
        match thread {
            Ok(_thread) => wish.holder = Holder::Works { _thread },
            Err(error) => warn(unwarned, &error.to_string()),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Wish)) {
        let mut wish = self.wish.lock();
        change(&mut wish);
        drop(wish);
        // Full means signalled already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// Marks that the thread has ended, also after a panic.
struct MarkEnded<'a>(&'a Shared);

impl Drop for MarkEnded<'_> {
    fn drop(&mut self) {
        self.0.wish.lock().is_over = true;
    }
}

/// Tries whether the machine can be kept awake here: only logind knows whether it permits it.
///
/// # Errors
/// Why not, as the end of a sentence.
pub fn check() -> Result<(), String> {
    let mut inhibitor = Inhibitor::ask("checking whether runs may keep the machine awake")?;
    match inhibitor.wait_for_state() {
        InhibitorState::Holds => Ok(()),
        InhibitorState::Ended => Err(inhibitor.failure_reason()),
    }
}

/// The thread's state.
struct Worker {
    held: Option<Inhibitor>,
    /// Requested, and not yet there. Until it is, the held one is kept: in a gap the machine could fall asleep.
    requested: Option<Inhibitor>,
    /// The data directory that the warning names; none after the warning.
    unwarned: Option<PathBuf>,
}

impl Worker {
    fn keep(mut self, shared: &Shared) {
        loop {
            let ready = {
                let mut fds = vec![PollFd::new(&shared.bell, PollFlags::IN)];
                let inhibitors = self.held.iter().chain(&self.requested);
                fds.extend(inhibitors.map(|one| PollFd::new(&one.output, PollFlags::IN)));
                match poll(&mut fds, None) {
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(error) => return self.fail(io::Error::from(error).to_string()),
                }
                fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>()
            };
            let (is_rung, n_held) = (ready[0], usize::from(self.held.is_some()));
            if ready[1 + n_held..].contains(&true) {
                self.check_requested();
            }
            // If no inhibitor was held before, this flag belongs to the requested one.
            if n_held == 1
                && ready[1]
                && self.held.as_mut().is_some_and(|held| held.wait_for_state() == InhibitorState::Ended)
            {
                self.report_lost();
            }
            if is_rung && self.apply_wish(shared) {
                return;
            }
        }
    }

    /// Carries out the newest wish. Returns true when the thread must end.
    fn apply_wish(&mut self, shared: &Shared) -> bool {
        let _ = rustix::io::read(&shared.bell, &mut [0; 8]);
        let (why, is_over) = {
            let wish = shared.wish.lock();
            (wish.why.clone(), wish.is_over)
        };
        let newest = self.requested.as_ref().or(self.held.as_ref());
        match why {
            Some(why) if !is_over => {
                if newest.is_none_or(|newest| newest.why != why) {
                    self.requested = None;
                    match Inhibitor::ask(&why) {
                        Ok(requested) => self.requested = Some(requested),
                        Err(why_not) => self.fail(why_not),
                    }
                }
            }
            Some(_) | None => (self.requested, self.held) = (None, None),
        }
        is_over
    }

    fn check_requested(&mut self) {
        let Some(mut requested) = self.requested.take() else { return };
        match requested.wait_for_state() {
            InhibitorState::Holds => drop(self.held.replace(requested)),
            InhibitorState::Ended => self.fail(requested.failure_reason()),
        }
    }

    fn report_lost(&mut self) {
        if let Some(held) = self.held.take() {
            self.fail(held.failure_reason());
        }
    }

    fn fail(&mut self, why: String) {
        warn(self.unwarned.take(), &why);
    }
}

/// Warns that the machine of a data directory can't be kept awake, unless that was done before.
fn warn(unwarned: Option<PathBuf>, why: &str) {
    if let Some(data_dir) = unwarned {
        tracing::warn!(
            target: NOTICE,
            data_dir = %data_dir.display(),
            "the machine can't be kept awake for runs that ask for it: {why}"
        );
    }
}

/// A `systemd-inhibit` that runs a `cat`. Dropping it releases the inhibitor.
struct Inhibitor {
    why: Arc<str>,
    child: Child,
    /// Closed to end it.
    input: Option<ChildStdin>,
    output: ChildStdout,
    holds: bool,
}

/// What the output of an inhibitor shows.
#[derive(Debug, PartialEq, Eq)]
enum InhibitorState {
    /// It is held.
    Holds,
    /// It is not held, or no longer.
    Ended,
}

impl Inhibitor {
    fn ask(why: &str) -> Result<Self, String> {
        let cant_start = |error: io::Error| match error.kind() == io::ErrorKind::NotFound {
            true => format!("`{PROGRAM}` is not installed, so logind can't be asked"),
            false => format!("`{PROGRAM}` can't be started: {error}"),
        };
        let mut child = Command::new(PROGRAM)
            .args(["--what=sleep:idle", "--who=Leverframe", "--mode=block"])
            .arg(format!("--why={why}"))
            .arg("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Keeps Ctrl-C and Ctrl-Z of a terminal away from it.
            .process_group(0)
            .spawn()
            .map_err(cant_start)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("`{PROGRAM}` has no pipes"));
        };
        // `cat` runs once the inhibitor is held, and sends the line back. If it has ended already, its output says so.
        let _ = input.write_all(b"\n");
        Ok(Self { why: why.into(), child, input: Some(input), output, holds: false })
    }

    /// Waits for its next output.
    fn wait_for_state(&mut self) -> InhibitorState {
        match self.output.read(&mut [0; 16]) {
            Ok(1..) => {
                self.holds = true;
                InhibitorState::Holds
            }
            Ok(0) | Err(_) => InhibitorState::Ended,
        }
    }

    /// Why it has ended.
    fn failure_reason(mut self) -> String {
        drop(self.input.take());
        let mut words = String::new();
        if let Some(errors) = self.child.stderr.take() {
            // Output that can't be read is left out.
            let _ = errors.take(MAX_ERROR_OUTPUT).read_to_string(&mut words);
        }
        match words.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(line) => line.to_owned(),
            None => format!("`{PROGRAM}` ended and gave no reason"),
        }
    }
}

impl Drop for Inhibitor {
    fn drop(&mut self) {
        drop(self.input.take());
        if !mem::take(&mut self.holds) {
            // It may be waiting for an answer that never comes.
            let _ = self.child.kill();
        }
        // Else `cat` has read the end of its input, and both end by themselves.
        let _ = self.child.wait();
    }
}
