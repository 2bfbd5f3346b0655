//! The sockets of a data directory, however deep that lies: the kernel takes paths of 108 bytes, so the directory is
//! opened and the socket named through the descriptor. What is said over them, others know.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{Mode, OFlags};

/// Connects to the socket `name` in `dir`.
///
/// # Errors
/// There is none, nobody listens, or the directory can't be used.
pub(crate) fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let dir = open(dir)?;
    UnixStream::connect(through(&dir, name))
}

/// Binds the socket `name` in `dir` for our user alone, in one step: whoever finds it can connect to it. One that is
/// there is replaced; a lock must say that nobody needs it any more.
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

/// Does nothing about a file that is not there.
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
