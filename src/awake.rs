//! Keeps the machine awake while somebody wants it: holds an inhibitor of logind's against sleep and idleness.
//!
//! The inhibitor is a file descriptor, which logind hands out over D-Bus and which works as long as it is open. It is
//! taken by `systemd-inhibit`, logind's own client, around a `cat` that reads a pipe of ours: when the pipe is closed,
//! `cat` ends, and the inhibitor with it. The kernel closes the pipe when this process ends in whatever way, `kill -9`
//! included. A D-Bus library would cost the build without a window some forty crates and an executor's thread, for one
//! call; written by hand it would be a protocol of its own. The price is two small processes while an inhibitor is held,
//! and none for those who never want one.
//!
//! This module does not know runs: [`AwakeHandle::want`] is told why, or that nothing is wanted any more. Where there is
//! no logind, or it refuses, that is said once, and everything else goes on.

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

/// What takes inhibitors.
const PROGRAM: &str = "systemd-inhibit";
/// How much of its standard error is read.
const MAX_LAST_WORDS: u64 = 4096;

/// Speaks to an [`AwakeKeeper`] from any thread. Harmless once that has ended.
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
    /// Rung at each change of the wish. A descriptor, because the thread waits for its child's output as well.
    bell: OwnedFd,
}

/// The newest wish alone counts, so that nobody who wishes ever waits.
#[derive(Default)]
struct Wish {
    /// Why the machine is to be kept awake; none: it may sleep.
    why: Option<Arc<str>>,
    is_over: bool,
    holder: Holder,
}

/// The thread that does what is wished.
#[derive(Default)]
enum Holder {
    /// No wish has come yet.
    NotNeeded(Hands),
    Works {
        /// Joined when it is dropped.
        _thread: Thread,
    },
    #[default]
    None,
}

impl AwakeHandle {
    /// From now on the machine is kept awake for this reason, which people are shown; without one it may sleep. Returns
    /// at once.
    pub fn want(&self, why: Option<&str>) {
        self.shared.tell(|wish| {
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
        let hands = Hands { held: None, coming: None, unwarned: Some(data_dir.to_owned()) };
        let wish = Wish { why: None, is_over: false, holder: Holder::NotNeeded(hands) };
        Ok(Self { shared: Arc::new(Shared { wish: Mutex::new(wish), bell }) })
    }

    /// What speaks to it.
    pub fn handle(&self) -> AwakeHandle {
        AwakeHandle { shared: self.shared.clone() }
    }
}

impl Drop for AwakeKeeper {
    fn drop(&mut self) {
        let mut holder = Holder::None;
        self.shared.tell(|wish| {
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
        let hands = match mem::take(&mut wish.holder) {
            Holder::NotNeeded(hands) => hands,
            other @ (Holder::Works { .. } | Holder::None) => {
                wish.holder = other;
                return;
            }
        };
        let (shared, unwarned) = (self.clone(), hands.unwarned.clone());
        let thread = thread::short("lf-awake", move || {
            let _leaving = Leaving(&shared);
            hands.keep(&shared);
        });
        match thread {
            Ok(_thread) => wish.holder = Holder::Works { _thread },
            Err(error) => warn(unwarned, &error.to_string()),
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Wish)) {
        let mut wish = self.wish.lock();
        change(&mut wish);
        drop(wish);
        // Full: it has been rung, and was not heard yet.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// Says that the thread has ended, on panic too: nobody waits for it any more.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.wish.lock().is_over = true;
    }
}

/// Whether the machine could be kept awake here. It is tried, for only logind knows whom it lets.
///
/// # Errors
/// Why not, as the end of a sentence.
pub fn check() -> Result<(), String> {
    let mut inhibitor = Inhibitor::ask("it is being tried whether runs may keep the machine awake")?;
    match inhibitor.hear() {
        Heard::Holds => Ok(()),
        Heard::Ended => Err(inhibitor.last_words()),
    }
}

/// What the thread holds.
struct Hands {
    held: Option<Inhibitor>,
    /// Asked for, and not yet there. Until it is, what is held stays so: in a gap the machine would fall asleep.
    coming: Option<Inhibitor>,
    /// The data directory that a warning is to name; none once it has warned.
    unwarned: Option<PathBuf>,
}

impl Hands {
    fn keep(mut self, shared: &Shared) {
        loop {
            let ready = {
                let mut fds = vec![PollFd::new(&shared.bell, PollFlags::IN)];
                let inhibitors = self.held.iter().chain(&self.coming);
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
                self.hear_coming();
            }
            // What came has taken its place otherwise.
            if n_held == 1 && ready[1] && self.held.as_mut().is_some_and(|held| held.hear() == Heard::Ended) {
                self.lose_held();
            }
            if is_rung && self.heed(shared) {
                return;
            }
        }
    }

    /// Does what is wished now. True when it is over.
    fn heed(&mut self, shared: &Shared) -> bool {
        let _ = rustix::io::read(&shared.bell, &mut [0; 8]);
        let (why, is_over) = {
            let wish = shared.wish.lock();
            (wish.why.clone(), wish.is_over)
        };
        let newest = self.coming.as_ref().or(self.held.as_ref());
        match why {
            Some(why) if !is_over => {
                if newest.is_none_or(|newest| newest.why != why) {
                    self.coming = None;
                    match Inhibitor::ask(&why) {
                        Ok(coming) => self.coming = Some(coming),
                        Err(why_not) => self.fail(why_not),
                    }
                }
            }
            Some(_) | None => (self.coming, self.held) = (None, None),
        }
        is_over
    }

    fn hear_coming(&mut self) {
        let Some(mut coming) = self.coming.take() else { return };
        match coming.hear() {
            Heard::Holds => drop(self.held.replace(coming)),
            Heard::Ended => self.fail(coming.last_words()),
        }
    }

    fn lose_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.fail(held.last_words());
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
            "the machine can't be kept awake while runs want it: {why}"
        );
    }
}

/// A `systemd-inhibit` around a `cat`; what it holds is let go with this value.
struct Inhibitor {
    why: Arc<str>,
    child: Child,
    /// Closed to end it.
    input: Option<ChildStdin>,
    output: ChildStdout,
    holds: bool,
}

/// What an inhibitor says.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// It is there.
    Holds,
    /// It is not, or no longer.
    Ended,
}

impl Inhibitor {
    fn ask(why: &str) -> Result<Self, String> {
        let cant_start = |error: io::Error| match error.kind() == io::ErrorKind::NotFound {
            true => format!("there is no `{PROGRAM}`, and so no logind"),
            false => format!("`{PROGRAM}` can't be started: {error}"),
        };
        let mut child = Command::new(PROGRAM)
            .args(["--what=sleep:idle", "--who=Leverframe", "--mode=block"])
            .arg(format!("--why={why}"))
            .arg("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C and Ctrl-Z in a terminal are not meant for it.
            .process_group(0)
            .spawn()
            .map_err(cant_start)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("`{PROGRAM}` has no pipes"));
        };
        // `cat` runs once the inhibitor is held, and sends it back. If nobody reads it, its end is heard.
        let _ = input.write_all(b"\n");
        Ok(Self { why: why.into(), child, input: Some(input), output, holds: false })
    }

    /// Waits for what it says next.
    fn hear(&mut self) -> Heard {
        match self.output.read(&mut [0; 16]) {
            Ok(1..) => {
                self.holds = true;
                Heard::Holds
            }
            Ok(0) | Err(_) => Heard::Ended,
        }
    }

    /// Why it has ended.
    fn last_words(mut self) -> String {
        drop(self.input.take());
        let mut words = String::new();
        if let Some(errors) = self.child.stderr.take() {
            // What can't be read was not said.
            let _ = errors.take(MAX_LAST_WORDS).read_to_string(&mut words);
        }
        match words.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(line) => line.to_owned(),
            None => format!("`{PROGRAM}` has ended without a word"),
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
