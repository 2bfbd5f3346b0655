//! How this program becomes the supervisor: the hidden mode of every program that calls [`supervisor_entry`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FlockOperation;

use super::process;
use super::protocol::Reply;
use super::scope;
use super::server::{Parts, Server};
use super::sys;

/// The name by which the supervisor is called, and by which it knows what it is.
pub(super) const ARGV0: &str = "leverframe-supervisor";
/// Its name in the data directory.
const LOCK_NAME: &str = "supervisor.lock";

/// Whether [`supervisor_entry`] was called: whether running this program again as the supervisor makes it one. A fact
/// about the program, not a state of it; without it a program that forgot the call would start itself for ever.
static CAN_SUPERVISE: AtomicBool = AtomicBool::new(false);

/// Call this first thing in `main` of a program that starts steps: the same program serves as their supervisor, in a
/// process of its own. Returns at once, unless this process was started to be the supervisor; then it never does.
pub fn supervisor_entry() {
    let mut args = std::env::args_os();
    if args.next().is_some_and(|name| name == ARGV0) {
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

/// The whole life of a supervisor. What fails here is seen by the engine as a supervisor that does not answer; it is
/// told why over the connection that it made.
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
    let _ = rustix::thread::set_name(c"lf-supervisor");
    rustix::process::chdir(data_dir.as_os_str().as_bytes())?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    scope::leave_session();
    sys::ignore_signals(&[libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP]);
    let signals = sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGPWR])?;
    let lock = take_lock(first.as_ref())?;
    let boot_id = process::boot_id()?;
    let mut server = Server::open(Parts { lock, signals, boot_id })?;
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
