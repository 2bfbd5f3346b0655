//! One client: its requests are answered in order on one thread; once it subscribes, a second one writes events.

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

/// What both threads of a client share, and the server with them.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: UnixStream,
    pub(crate) writer: ConnectionWriter,
    cursors: Mutex<Vec<Cursor>>,
    is_over: AtomicBool,
    /// Why the connection ends, if the client is to be told.
    reason: Mutex<Option<String>>,
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    /// It ends now.
    End,
    /// The engine has ended: it ends with the server, and nothing more is heard.
    Wait,
}

impl Connection {
    /// Prepares a connection that was accepted.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(crate) fn new(shared: Arc<Shared>, stream: UnixStream) -> io::Result<Self> {
        // What is accepted from a socket that does not wait may not wait either.
        stream.set_nonblocking(false)?;
        let writer = ConnectionWriter::new(stream.try_clone()?)?;
        let (cursors, reason) = Default::default();
        Ok(Self { shared, stream, writer, cursors, is_over: AtomicBool::new(false), reason })
    }

    /// Has the connection end in good order: what was asked is answered, what waits is written, and the client is
    /// told the reason.
    pub(crate) fn close(&self, reason: &str) {
        self.end_because(reason);
        // Fails when it has ended already.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends the connection at once.
    pub(crate) fn hang_up(&self) {
        self.writer.hang_up();
    }

    /// Turns a client away before it was heard.
    pub(crate) fn refuse(&self, error: ErrorObject) {
        let refusal = answer_to::<()>(None, Outcome::Error(error));
        if let Ok(line) = wire::line(&refusal) {
            self.writer.close(&line);
        }
    }

    /// Its subscriptions.
    pub(crate) fn cursors(&self) -> MutexGuard<'_, Vec<Cursor>> {
        self.cursors.lock()
    }

    /// Has the client be told this reason when the connection ends, if there is none yet.
    pub(crate) fn end_because(&self, reason: impl Into<String>) {
        let mut known = self.reason.lock();
        known.get_or_insert_with(|| reason.into());
    }

    /// The client's thread: reads and answers until it ends.
    pub(crate) fn serve(self: Arc<Self>) {
        let mut writer = None;
        self.read_requests(&mut writer);
        let is_leaving = self.shared.is_closing();
        if !is_leaving {
            self.is_over.store(true, Ordering::Release);
            self.shared.journal.wake();
        }
        // When the server closes, it writes what waits first.
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
                // The hello is late: said above.
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

    /// Leaves unread what the client still says, until the server closes the connection and tells it why: what has no
    /// answer then was not done, and can be asked of the next engine.
    fn wait_for_close(&self) {
        let mut buffer = [0; 4096];
        while matches!(
            rustix::net::recv(&self.stream, &mut buffer[..], RecvFlags::empty()),
            Ok((1.., _)) | Err(Errno::INTR)
        ) {}
    }

    /// The writer's thread: events of all subscriptions, as long as there are any.
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
                // The reader ends with it.
                return self.writer.hang_up();
            }
        }
    }

    /// Writes whole lines.
    pub(crate) fn write(&self, lines: &[u8]) -> Then {
        let last_word =
            || self.shared.closing_line(format!("nothing was taken for {} s", PATIENCE.as_secs()));
        match self.writer.write(lines, last_word) {
            Ok(()) => Then::GoOn,
            Err(Unsent::Stuck | Unsent::Gone) => Then::End,
        }
    }
}
