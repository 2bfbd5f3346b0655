//! Connecting to the socket of a data directory, however deep that lies: the kernel takes paths of 108 bytes, so the
//! directory is opened and the socket named through the descriptor.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Connects to the socket `name` in `dir`.
///
/// # Errors
/// There is none, nobody listens, or the directory can't be used.
pub(super) fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}
