//! The engine's side of `control.sock`: bound for this user alone; it replaces the socket of a dead engine.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Binds the control socket of `data_dir`, mode 0600. The caller holds the directory's lock, so an existing socket is a
/// dead engine's and is replaced. Opening the directory checks its mode.
///
/// # Errors
/// The directory belongs to another user, or can't be used.
pub fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let meta = std::fs::metadata(data_dir)?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the data directory belongs to another user",
        ));
    }
    crate::socket::bind(data_dir, SOCKET_NAME)
}

/// Whether the other side of a connection is a process of this user.
pub fn is_of_our_user(stream: &UnixStream) -> bool {
    crate::socket::is_of_our_user(stream)
}
