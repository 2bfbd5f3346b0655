//! How this program becomes the supervisor and its parent: the hidden mode of every program that calls
//! [`supervisor_entry`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FlockOperation;

use super::protocol::Reply;
use super::reaper::{Inherited, Role};
use super::server::{Parts, Server};
use super::{guard, process, reaper, scope, sys};
use crate::process::descriptors;

/// The name by which the supervisor's parent is called, and by which it knows what it is.
pub(super) const ARGV0: &str = "leverframe-sub-reaper";
/// The name that the supervisor itself goes by.
const SUPERVISOR_NAME: &str = "leverframe-supervisor";
const _: () = assert!(ARGV0.len() == SUPERVISOR_NAME.len(), "one is written in the place of the other");
/// Its name in the data directory.
const LOCK_NAME: &str = "supervisor.lock";

/// Whether [`supervisor_entry`] was called: whether running this program again as the supervisor makes it one. A fact
/// about the program, not a state of it; without it a program that forgot the call would start itself for ever.
static CAN_SUPERVISE: AtomicBool = AtomicBool::new(false);

/// Call this first thing in `main` of a program that starts steps: the same program serves as their supervisor, in a
/// process of its own. Returns at once, unless this process was started to be the supervisor, or to stand guard over a
/// command that prints a secret; then it never does.
///
/// The soft limit of open files is raised to the hard one (steps get the one that was), SIGXFSZ is ignored, and SIGCHLD is
/// not, whatever the parent of this process has left.
pub fn supervisor_entry() {
    // Every hidden mode waits for children, and so does who calls this.
    sys::expect_news_of_children();
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    if name == guard::ARGV0 {
        std::process::exit(i32::from(guard::stand(args).is_err()));
    }
    // A write beyond the largest file that the shell allows fails, as one on a full disk does, and ends nobody.
    sys::ignore_signals(&[libc::SIGXFSZ]);
    descriptors::raise();
    if name == ARGV0 {
        let code = match args.next().map(PathBuf::from).map(supervise) {
            Some(Ok(())) => 0,
            Some(Err(_)) | None => 1,
        };
        std::process::exit(code);
    }
    CAN_SUPERVISE.store(true, Ordering::Relaxed);
}

/// Whether this program can be its own supervisor.
pub(super) fn can_supervise() -> bool {
    CAN_SUPERVISE.load(Ordering::Relaxed)
}

/// The whole life of a supervisor; its parent's ends within. What fails here is seen by the engine
/// as a supervisor that does not answer; it is told why over the connection that it made.
fn supervise(data_dir: PathBuf) -> io::Result<()> {
    sys::close_from_3();
    let first = sys::take_stdin().map(UnixStream::from)?;
    let mut first = first.peer_addr().is_ok().then_some(first);
    serve(data_dir, &mut first).inspect_err(|error| {
        if let Some(first) = &mut first {
            let message = format!("the supervisor could not start: {error}");
            // The engine may be gone; nobody else can be told.
            let _ = first.write_all(&Reply::Error { message }.encode());
        }
    })
}

fn serve(data_dir: PathBuf, first: &mut Option<UnixStream>) -> io::Result<()> {
    // A session of its own: neither a closed terminal nor Ctrl-C reaches it. Refused to one that leads a group, which
    // is as good.
    let _ = rustix::process::setsid();
    // As the kernel shows it: it was started as `exe`.
    let _ = rustix::thread::set_name(c"lf-sub-reaper");
    rustix::process::chdir(data_dir.as_os_str().as_bytes())?;
    scope::leave_session();
    sys::ignore_signals(&[libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP]);
    reaper::block_signals()?;
    // Never closed: parent and supervisor hold it by one number, and a supervisor that fails must not take it from the other.
    let lock: &File = Box::leak(Box::new(take_lock(first.as_ref())?));
    let boot_id = process::boot_id()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let place = match reaper::stand_behind(lock)? {
        // At once: what this process still seems to own was the supervisor's, and is closed.
        Role::Over(code) => std::process::exit(code),
        Role::Supervisor(place) => place,
    };
    let mut inherited = Inherited::default();
    if place.predecessor.is_some() {
        // Closed by the parent: the number may be another's by now.
        std::mem::forget(first.take());
        if rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
            // Its predecessor had done all its work and let go of the lock.
            std::process::exit(0);
        }
        inherited = Inherited::take();
    }
    let _ = rustix::thread::set_name(c"lf-supervisor");
    // Without the name it is harder to find, and works all the same.
    let _ = reaper::take_name(SUPERVISOR_NAME);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGPWR])?;
    let mut server = Server::open(Parts { lock, signals, boot_id, place, inherited })?;
    if let Some(first) = first.take() {
        server.add_connection(first);
    }
    server.run()
}

/// Waits until no other supervisor lives for this data directory.
fn take_lock(first: Option<&UnixStream>) -> io::Result<File> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(LOCK_NAME)?;
    if rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        if let Some(mut first) = first {
            // So that the engine turns to the one that holds it.
            let _ = first.write_all(&Reply::Waiting {}.encode());
        }
        rustix::fs::flock(lock.as_fd(), FlockOperation::LockExclusive)?;
    }
    Ok(lock)
}
