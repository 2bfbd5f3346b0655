//! The writing side of a connection: whole lines, from any thread. A client that does not read for a while is dropped,
//! and finds the reason behind the lines that it had not read.

use std::io;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::control::send_with_descriptors;

/// How long a client may read nothing while something waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Room for the reason behind a full buffer. The kernel doubles this value; the result is more than its default.
const LAST_ROOM: usize = 212_992;

/// The one place through which everything is written to a client.
#[derive(Debug)]
pub(crate) struct ConnectionWriter {
    stream: UnixStream,
    /// Held while lines are written. True while the connection can be written.
    is_open: Mutex<bool>,
}

/// Why a client is no longer written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// It read nothing for too long.
    Stuck,
    /// It is gone.
    Gone,
}

impl ConnectionWriter {
    ///
    /// # Errors
    /// The kernel refuses the timeout.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, is_open: Mutex::new(true) })
    }

    /// Writes whole lines; waits as long as the client reads now and then. If it stops reading, `last_word` is sent
    /// behind the line that it has begun to read.
    ///
    /// # Errors
    /// [`Unsent`]; no more can be written then.
    pub(crate) fn write(&self, lines: &[u8], last_word: impl FnOnce() -> Vec<u8>) -> Result<(), Unsent> {
        let mut is_open = self.is_open.lock();
        if !*is_open {
            return Err(Unsent::Gone);
        }
        let mut n_sent = 0;
        while n_sent < lines.len() {
            match rustix::net::send(&self.stream, &lines[n_sent..], SendFlags::NOSIGNAL) {
                Ok(n) => n_sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    *is_open = false;
                    self.send_last_word(lines, n_sent, &last_word());
                    return Err(Unsent::Stuck);
                }
                Err(_) => {
                    *is_open = false;
                    self.hang_up();
                    return Err(Unsent::Gone);
                }
            }
        }
        Ok(())
    }

    /// Writes a line with descriptors.
    ///
    /// # Errors
    /// The client is gone or does not read.
    pub(crate) fn hand_over(&self, line: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let is_open = self.is_open.lock();
        if !*is_open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        send_with_descriptors(&self.stream, line, descriptors)
    }

    /// Writes the last line and ends the connection.
    pub(crate) fn close(&self, last_line: &[u8]) {
        // If the client is gone or does not read, it misses the reason.
        if self.write(last_line, Vec::new).is_ok() {
            *self.is_open.lock() = false;
        }
        self.hang_up();
    }

    /// Ends the connection. The client can still read what was written.
    pub(crate) fn hang_up(&self) {
        // Fails when the other side has closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Finishes the line that was begun and adds the reason, as far as that works without waiting.
    fn send_last_word(&self, lines: &[u8], n_sent: usize, last_word: &[u8]) {
        let is_within_line = n_sent > 0 && lines[n_sent - 1] != b'\n';
        let rest = &lines[n_sent..];
        let n_rest = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let mut last = if is_within_line { rest[..n_rest].to_vec() } else { Vec::new() };
        last.extend_from_slice(last_word);
        // Each can fail: the client may be gone, or there may be no room.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&self.stream, LAST_ROOM);
        let _ = rustix::net::send(&self.stream, &last, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        self.hang_up();
    }
}
