//! Somebody asks to take the engine's place: what is handed over goes back with the answer.

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

/// Somebody asks for the engine's place. Whoever is told answers with what is handed over, or refuses.
pub struct HandOver {
    /// Who asks.
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

    /// The socket on which clients come.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The process that asks, as far as the system knows it.
    pub fn peer_pid(&self) -> Option<u32> {
        let peer = rustix::net::sockopt::socket_peercred(&self.connection.stream).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    /// Whether the asker has gone: then nothing need be handed over.
    pub fn is_gone(&self) -> bool {
        let mut watched = [PollFd::new(&self.connection.stream, PollFlags::HUP)];
        // A look without a wait. One that fails says nothing against the asker.
        let _ = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        watched[0].revents().contains(PollFlags::HUP)
    }

    /// Hands `descriptors` over with an answer.
    ///
    /// # Errors
    /// The asker is gone, or takes nothing: it has taken nothing over.
    pub fn hand(&self, answer: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let descriptors_sent = Some(descriptors.len());
        let answer = answer_to(self.id.as_deref(), Outcome::Result(answer));
        let line = wire::line(&Answer { descriptors: descriptors_sent, ..answer })?;
        self.connection.writer.hand_over(&line, descriptors)
    }

    /// Says why it can't be.
    pub fn refuse(&self, message: &str) {
        let error = ErrorObject::new(BUSY.into(), message);
        if let Ok(line) = wire::line(&answer_to::<()>(self.id.as_deref(), Outcome::Error(error))) {
            // If the asker is gone, it needs no answer.
            self.connection.write(&line);
        }
    }
}
