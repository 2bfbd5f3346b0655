//! The writing side of a connection: whole lines, by whichever thread has something to say. A client that takes
//! nothing for a while is dropped, and finds the reason behind what it had not read.

use std::io;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::control::send_with_descriptors;

/// How long a client may take nothing while something waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Room for the reason behind a full buffer: the kernel gives twice this, more than it gives unasked.
const LAST_ROOM: usize = 212_992;

/// Where everything goes that is said to one client.
#[derive(Debug)]
pub(crate) struct ConnectionWriter {
    stream: UnixStream,
    /// Held while lines are written. What it holds: whether anything can still be.
    is_open: Mutex<bool>,
}

/// Why a client is not written to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// It took nothing for too long.
    Stuck,
    /// It is gone.
    Gone,
}

impl ConnectionWriter {
    /// The writing side of a stream.
    ///
    /// # Errors
    /// The kernel refuses the limit of time.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, is_open: Mutex::new(true) })
    }

    /// Writes whole lines; waits while the client takes something now and then. `last_word` is what a client that
    /// took nothing is told, behind the line that it has begun to read.
    ///
    /// # Errors
    /// [`Unsent`]; nothing more can be written then.
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

    /// Writes a line that descriptors come with.
    ///
    /// # Errors
    /// The client is gone or takes nothing.
    pub(crate) fn hand_over(&self, line: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let is_open = self.is_open.lock();
        if !*is_open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        send_with_descriptors(&self.stream, line, descriptors)
    }

    /// Writes the last line, and ends the connection.
    pub(crate) fn close(&self, last_line: &[u8]) {
        // If it is gone, or takes nothing, it has missed the reason.
        if self.write(last_line, Vec::new).is_ok() {
            *self.is_open.lock() = false;
        }
        self.hang_up();
    }

    /// Ends the connection; what is written can still be read by the client.
    pub(crate) fn hang_up(&self) {
        // Fails when the other side has done so before.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Finishes the line that was begun, and says why there is nothing behind it, as far as that goes without waiting.
    fn send_last_word(&self, lines: &[u8], n_sent: usize, last_word: &[u8]) {
        let is_within_line = n_sent > 0 && lines[n_sent - 1] != b'\n';
        let rest = &lines[n_sent..];
        let n_rest = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let mut last = if is_within_line { rest[..n_rest].to_vec() } else { Vec::new() };
        last.extend_from_slice(last_word);
        // Each fails where the client has just gone, or where there is no room for it.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&self.stream, LAST_ROOM);
        let _ = rustix::net::send(&self.stream, &last, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        self.hang_up();
    }
}
