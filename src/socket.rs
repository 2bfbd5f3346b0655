//! The sockets of a data directory. The kernel accepts paths of at most 108 bytes, so the directory is opened and the
//! socket is named through the descriptor: then any directory works. The protocols are in other modules.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{Mode, OFlags};

/// Connects to the socket `name` in `dir`.
///
/// # Errors
/// There is no socket, no process listens on it, or the directory can't be used.
pub(crate) fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let dir = open(dir)?;
    UnixStream::connect(through(&dir, name))
}

/// Binds the socket `name` in `dir`, for our user only. It appears in one step: a client that finds it can connect. An
/// existing socket is replaced, so the caller must hold a lock that says that it is not in use.
///
/// # Errors
/// The directory can't be used.
pub(crate) fn bind(dir: &Path, name: &str) -> io::Result<UnixListener> {
    let dir = open(dir)?;
    let (new, place) = (through(&dir, &format!("{name}.new")), through(&dir, name));
    fs::remove_file(&new).or_else(ignore_missing)?;
    let listener = UnixListener::bind(&new)?;
    rustix::fs::chmod(&new, Mode::from_raw_mode(0o600))?;
    fs::rename(&new, &place)?;
    Ok(listener)
}

/// Whether the other side of a connection is a process of our user.
pub(crate) fn is_of_our_user(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// Turns the error "not found" into success.
pub(crate) fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn open(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}

fn through(dir: &OwnedFd, name: &str) -> PathBuf {
    format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).into()
}
