//! One client: one thread answers its requests in order; after it subscribes, a second one writes its events.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::acceptor::Shared;
use super::journal::Cursor;
use super::session::{Session, answer_to};
use super::writer::{ConnectionWriter, PATIENCE, Unsent};
use crate::base::thread::Thread;
use crate::control::wire::{ErrorObject, INVALID_REQUEST, MAX_LINE, Outcome};
use crate::control::{LineDecoder, wire};

/// How long a client may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// What the threads of a client share with the server.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: UnixStream,
    pub(crate) writer: ConnectionWriter,
    cursors: Mutex<Vec<Cursor>>,
    is_over: AtomicBool,
    /// Why the connection ends, if the client is to get a reason.
    reason: Mutex<Option<String>>,
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    /// The connection ends now.
    End,
    /// The engine has ended. No more requests are read, and the connection ends with the server.
    Wait,
}

impl Connection {
    /// Prepares an accepted connection.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(crate) fn new(shared: Arc<Shared>, stream: UnixStream) -> io::Result<Self> {
        // On some systems an accepted socket inherits non-blocking mode from its listener.
        stream.set_nonblocking(false)?;
        let writer = ConnectionWriter::new(stream.try_clone()?)?;
        let (cursors, reason) = Default::default();
        Ok(Self { shared, stream, writer, cursors, is_over: AtomicBool::new(false), reason })
    }

    /// Ends the connection in order: accepted requests are answered, waiting events are written, and the client gets
    /// the reason.
    pub(crate) fn close(&self, reason: &str) {
        self.end_because(reason);
        // Fails when the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends the connection at once.
    pub(crate) fn hang_up(&self) {
        self.writer.hang_up();
    }

    /// Refuses a client before it has sent anything.
    pub(crate) fn refuse(&self, error: ErrorObject) {
        let refusal = answer_to::<()>(None, Outcome::Error(error));
        if let Ok(line) = wire::line(&refusal) {
            self.writer.close(&line);
        }
    }

    pub(crate) fn cursors(&self) -> MutexGuard<'_, Vec<Cursor>> {
        self.cursors.lock()
    }

    /// Sets the reason that the client gets when the connection ends, unless there is one.
    pub(crate) fn end_because(&self, reason: impl Into<String>) {
        let mut known = self.reason.lock();
        known.get_or_insert_with(|| reason.into());
    }

    /// The client's thread: reads and answers until the connection ends.
    pub(crate) fn serve(self: Arc<Self>) {
        let mut writer = None;
        self.read_requests(&mut writer);
        let is_leaving = self.shared.is_closing();
        if !is_leaving {
            self.is_over.store(true, Ordering::Release);
            self.shared.journal.wake();
        }
        // Joined here: when the server closes, it first writes the waiting events.
        drop(writer);
        let reason = self.reason.lock().take();
        match reason {
            Some(reason) => self.writer.close(&self.shared.closing_line(reason)),
            None => self.writer.hang_up(),
        }
    }

    fn read_requests(self: &Arc<Self>, writer: &mut Option<Thread>) {
        let hello_until = Instant::now() + HELLO_WITHIN;
        let mut session = Session::new(self, writer);
        let mut lines = LineDecoder::new(MAX_LINE);
        let mut buffer = vec![0; 16 << 10];
        loop {
            if !session.has_greeted() {
                let left = hello_until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return self.end_because(format!("no hello came within {} s", HELLO_WITHIN.as_secs()));
                }
                if self.stream.set_read_timeout(Some(left)).is_err() {
                    return;
                }
            }
            let n = match rustix::net::recv(&self.stream, &mut buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return,
                Ok((n, _)) => n,
                // A late hello is handled above.
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(_) => return,
            };
            lines.extend(&buffer[..n]);
            loop {
                match lines.next_line() {
                    Ok(Some(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Ok(Some(line)) => match session.hear(line) {
                        Then::GoOn => {}
                        Then::End => return,
                        Then::Wait => return self.wait_for_close(),
                    },
                    Ok(None) => break,
                    Err(error) => {
                        let refused = ErrorObject::new(INVALID_REQUEST, error.to_string());
                        session.refuse(refused);
                        return self.end_because(error.to_string());
                    }
                }
            }
        }
    }

    /// Ignores further requests until the server closes the connection with its reason. A request without an answer was
    /// not handled, and the client can send it to the next engine.
    fn wait_for_close(&self) {
        let mut buffer = [0; 4096];
        while matches!(
            rustix::net::recv(&self.stream, &mut buffer[..], RecvFlags::empty()),
            Ok((1.., _)) | Err(Errno::INTR)
        ) {}
    }

    /// The writer's thread: writes the events of all subscriptions.
    pub(crate) fn write_events(&self) {
        let mut lines = Vec::new();
        while let Some(taken) =
            self.shared.journal.take(&self.cursors, || self.is_over.load(Ordering::Acquire))
        {
            lines.clear();
            for (subscription, taken) in &taken {
                let head = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":"#;
                lines.extend_from_slice(head.as_bytes());
                lines.extend_from_slice(subscription.to_string().as_bytes());
                lines.extend_from_slice(br#","event":"#);
                lines.extend_from_slice(taken.json());
                lines.extend_from_slice(b"}}\n");
            }
            drop(taken);
            if self.write(&lines) == Then::End {
                // Ends the reader too.
                return self.writer.hang_up();
            }
        }
    }

    /// Writes whole lines.
    pub(crate) fn write(&self, lines: &[u8]) -> Then {
        let last_word =
            || self.shared.closing_line(format!("the client read nothing for {} s", PATIENCE.as_secs()));
        match self.writer.write(lines, last_word) {
            Ok(()) => Then::GoOn,
            Err(Unsent::Stuck | Unsent::Gone) => Then::End,
        }
    }
}
