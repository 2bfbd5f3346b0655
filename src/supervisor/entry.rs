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

/// `argv[0]` of the supervisor's parent. The program finds its role by it.
pub(super) const ARGV0: &str = "leverframe-sub-reaper";
/// The name that the supervisor itself takes.
const SUPERVISOR_NAME: &str = "leverframe-supervisor";
const _: () = assert!(ARGV0.len() == SUPERVISOR_NAME.len(), "one is written in the place of the other");
/// The lock's name in the data directory.
const LOCK_NAME: &str = "supervisor.lock";

/// Whether [`supervisor_entry`] was called, so that this program, started again, becomes a supervisor. A constant fact
/// about the program, not state. Without it a program that forgot the call would start itself for ever.
static CAN_SUPERVISE: AtomicBool = AtomicBool::new(false);

/// Call this first thing in `main` of a program that starts steps: the same program serves as their supervisor, in a
/// process of its own. Returns at once in a normal process. In a process that was started as the supervisor, or as the
/// guard of a command that prints a secret, it never returns.
///
/// It raises the soft limit of open files to the hard one (steps get the earlier limit) and ignores SIGXFSZ. It
/// restores SIGCHLD if the parent of this process left it ignored.
pub fn supervisor_entry() {
    // Every hidden mode waits for children, and so does the calling program.
    sys::restore_sigchld();
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    if name == guard::ARGV0 {
        std::process::exit(i32::from(guard::run_guard(args).is_err()));
    }
    // A write beyond the shell's limit of file size then fails like one on a full disk, and does not kill the process.
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

/// The whole life of a supervisor and of its parent, which exits in here. When this fails, the engine gets the reason
/// over the connection that it made.
fn supervise(data_dir: PathBuf) -> io::Result<()> {
    sys::close_from_3();
    let first = sys::take_stdin().map(UnixStream::from)?;
    let mut first = first.peer_addr().is_ok().then_some(first);
    serve(data_dir, &mut first).inspect_err(|error| {
        if let Some(first) = &mut first {
            let message = format!("the supervisor could not start: {error}");
            // The engine may be gone; then there is no other place for the message.
            let _ = first.write_all(&Reply::Error { message }.encode());
        }
    })
}

fn serve(data_dir: PathBuf, first: &mut Option<UnixStream>) -> io::Result<()> {
    // A session of its own: neither a closed terminal nor Ctrl-C reaches it. The kernel refuses this to a group leader,
    // whose own group protects it as well.
    let _ = rustix::process::setsid();
    // The name that the kernel shows; otherwise it would be `exe`.
    let _ = rustix::thread::set_name(c"lf-sub-reaper");
    rustix::process::chdir(data_dir.as_os_str().as_bytes())?;
    scope::leave_session();
    sys::ignore_signals(&[libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP]);
    reaper::block_signals()?;
    // Never closed: parent and supervisor share the descriptor, and a supervisor that fails must not close it for its
    // parent.
    let lock: &File = Box::leak(Box::new(take_lock(first.as_ref())?));
    let boot_id = process::boot_id()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let place = match reaper::run_parent(lock)? {
        // Exit without destructors: the descriptors that this process seems to own were the supervisor's, and are
        // closed.
        Role::ParentDone(code) => std::process::exit(code),
        Role::Supervisor(place) => place,
    };
    let mut inherited = Inherited::default();
    if place.predecessor.is_some() {
        // The parent has closed it: the number may belong to another descriptor by now.
        std::mem::forget(first.take());
        if rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
            // The predecessor had finished its work and released the lock.
            std::process::exit(0);
        }
        inherited = Inherited::take();
    }
    let _ = rustix::thread::set_name(c"lf-supervisor");
    // Without the name the supervisor is harder to find, but works.
    let _ = reaper::take_name(SUPERVISOR_NAME);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGPWR])?;
    let mut server = Server::open(Parts { lock, signals, boot_id, place, inherited })?;
    if let Some(first) = first.take() {
        server.add_connection(first);
    }
    server.run()
}

/// Waits for the lock, until no other supervisor of this data directory lives.
fn take_lock(first: Option<&UnixStream>) -> io::Result<File> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(LOCK_NAME)?;
    if rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        if let Some(mut first) = first {
            // So that the engine connects to the supervisor that holds the lock.
            let _ = first.write_all(&Reply::Waiting {}.encode());
        }
        rustix::fs::flock(lock.as_fd(), FlockOperation::LockExclusive)?;
    }
    Ok(lock)
}
