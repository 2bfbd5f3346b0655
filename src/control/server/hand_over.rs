//! A hand-over: another process asks to become the engine, and the lock and the socket go back with the answer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::value::RawValue;

use super::connection::Connection;
use super::session::answer_to;
use crate::api::exit_code::BUSY;
use crate::control::wire;
use crate::control::wire::{Answer, ErrorObject, Outcome, Successor};

/// A request for a hand-over. Its receiver answers with the descriptors, or refuses.
pub struct HandOver {
    /// The process that asks.
    pub successor: Successor,
    connection: Arc<Connection>,
    id: Option<Box<RawValue>>,
    listener: OwnedFd,
}

impl HandOver {
    pub(crate) fn new(
        successor: Successor,
        connection: Arc<Connection>,
        id: Option<Box<RawValue>>,
        listener: OwnedFd,
    ) -> Self {
        Self { successor, connection, id, listener }
    }

    /// The listening socket.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The id of the process that asks, as the kernel reports it.
    pub fn peer_pid(&self) -> Option<u32> {
        let peer = rustix::net::sockopt::socket_peercred(&self.connection.stream).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    /// Whether the successor is gone: then nothing needs to be handed over.
    pub fn is_gone(&self) -> bool {
        let mut watched = [PollFd::new(&self.connection.stream, PollFlags::HUP)];
        // Does not wait. If it fails, the successor counts as there.
        let _ = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        watched[0].revents().contains(PollFlags::HUP)
    }

    /// Sends the answer with `descriptors`.
    ///
    /// # Errors
    /// The successor is gone or does not read. It has received nothing.
    pub fn hand(&self, answer: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let descriptors_sent = Some(descriptors.len());
        let answer = answer_to(self.id.as_deref(), Outcome::Result(answer));
        let line = wire::line(&Answer { descriptors: descriptors_sent, ..answer })?;
        self.connection.writer.hand_over(&line, descriptors)
    }

    /// Refuses the hand-over, with a reason.
    pub fn refuse(&self, message: &str) {
        let error = ErrorObject::new(BUSY.into(), message);
        if let Ok(line) = wire::line(&answer_to::<()>(self.id.as_deref(), Outcome::Error(error))) {
            // If the successor is gone, it needs no answer.
            self.connection.write(&line);
        }
    }
}
