//! The engine's side of `control.sock`: bound for our user alone, whatever a dead engine has left in its place.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Its name in the data directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Binds the control socket of `data_dir`, mode 0600. The caller holds the directory's lock, so that a socket which is
/// there is a dead engine's, and is replaced. The directory's mode is the business of whoever opens it.
///
/// # Errors
/// The directory is another user's, or can't be used.
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

/// Whether the other side of a connection is a process of our user.
pub fn is_of_our_user(stream: &UnixStream) -> bool {
    crate::socket::is_of_our_user(stream)
}
