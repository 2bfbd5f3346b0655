//! Connections: frames in, frames out, and the fence between engines.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::look::{is_want_of_descriptors, max_connections};
use super::start::Lever;
use super::step::{End, Freeze};
use super::{Server, Source};
use crate::socket;
use crate::supervisor::frame::{Frame, FrameBuffer};
use crate::supervisor::host::{Known, KnownStatus};
use crate::supervisor::journal::Record;
use crate::supervisor::protocol;
use crate::supervisor::protocol::{
    Hello, Misread, PROTOCOL, Reply, Request, StartHeader, SupervisorInfo, own_version,
};

/// A listener that lets this much pile up is closed: it finds everything in the inventory when it comes back.
const MAX_UNSENT: usize = 64 << 20;
/// A hello waits this long, at most, for the ends of steps that are dead and not yet settled.
const CLARITY: Duration = Duration::from_millis(1500);

/// Somebody who is connected.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    incoming: FrameBuffer,
    unsent: VecDeque<u8>,
    /// The other side reads no more. What it sent before that is still done; the end of it closes the connection.
    is_deaf: bool,
    watched: EventFlags,
}

impl Server {
    /// Takes in whoever came to the socket, and reads at once what they say.
    pub(super) fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Some(n) = self.add_connection(stream) {
                        self.serve(n);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_want_of_descriptors(&error) => {
                    // Turned away: they try again. Left to wait they would wake us without end.
                    self.eyes.give_up_reserve();
                    drop(self.listener.accept());
                    return self.eyes.refill();
                }
                // Nobody else.
                Err(_) => return,
            }
        }
    }

    /// Adds a connection; one of another user is closed.
    pub(in crate::supervisor) fn add_connection(&mut self, stream: UnixStream) -> Option<u64> {
        if !socket::is_of_our_user(&stream)
            || self.connections.len() >= max_connections()
            || stream.set_nonblocking(true).is_err()
        {
            return None;
        }
        let n = self.take_n();
        epoll::add(&self.epoll, &stream, Source::Connection(n).data(), EventFlags::IN).ok()?;
        let (incoming, unsent, is_deaf) = Default::default();
        self.connections.insert(n, Connection { stream, incoming, unsent, is_deaf, watched: EventFlags::IN });
        Some(n)
    }

    pub(super) fn take_n(&mut self) -> u64 {
        self.next_n += 1;
        self.next_n
    }

    /// Reads and does what a connection asks, and writes what it could not take before.
    pub(super) fn serve(&mut self, n: u64) {
        self.flush(n);
        let mut buffer = [0; 16 << 10];
        while let Some(connection) = self.connections.get_mut(&n) {
            let n_read = match rustix::net::recv(&connection.stream, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return self.disconnect(n),
                Ok((n_read, _)) => n_read,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(_) => return self.disconnect(n),
            };
            connection.incoming.extend(&buffer[..n_read]);
            self.obey(n);
            if n_read < buffer.len() {
                return;
            }
        }
    }

    /// Does what has been read so far.
    fn obey(&mut self, n: u64) {
        while let Some(connection) = self.connections.get_mut(&n) {
            match connection.incoming.next() {
                Ok(Some(frame)) => self.obey_frame(n, frame),
                Ok(None) => return,
                Err(_) => return self.disconnect(n),
            }
        }
    }

    fn obey_frame(&mut self, n: u64, frame: Frame) {
        let request = match Request::decode(&frame) {
            Ok(request) => request,
            Err(Misread::Unknown(message)) => return self.reply(n, &Reply::Error { message }),
            Err(Misread::Garbage) => return self.disconnect(n),
        };
        match request {
            Request::Hello(hello) => self.greet(n, &hello),
            Request::Probe {} => self.reply(n, &Reply::Info(self.info())),
            Request::Ping {} => self.reply(n, &Reply::Pong {}),
            Request::Start(_)
            | Request::Freeze(_)
            | Request::Thaw(_)
            | Request::Stop { .. }
            | Request::Kill(_)
            | Request::Acknowledge(_)
                if self.engine != Some(n) =>
            {
                let message = "say hello first".to_owned();
                self.reply(n, &Reply::Error { message });
            }
            Request::Start(header) => self.asked_to_start(header, &frame.blob),
            Request::Freeze(key) => self.pull(Lever::Freeze, key),
            Request::Thaw(key) => self.pull(Lever::Thaw, key),
            Request::Stop { key, signal, grace_ms } => {
                self.pull(Lever::Stop { signal, grace: protocol::grace(grace_ms) }, key);
            }
            Request::Kill(key) => self.pull(Lever::Kill, key),
            Request::Acknowledge(key) => self.acknowledge(&key),
        }
    }

    /// The fence: from here on nobody but this engine is heard, and what others had not been heard saying is lost.
    fn greet(&mut self, n: u64, hello: &Hello) {
        if hello.epoch < self.highest_epoch {
            let highest_epoch = self.highest_epoch;
            return self.reply(n, &Reply::Refused { highest_epoch });
        }
        if let Some(earlier) = self.engine.take_if(|earlier| *earlier != n) {
            self.disconnect(earlier);
        }
        // The inventory lacks them: who wants them still asks for them again.
        self.unseen_starts.clear();
        // Before anybody is told: the inventory says what is there now.
        self.look_at_mains();
        self.engine = Some(n);
        if hello.epoch > self.highest_epoch {
            self.highest_epoch = hello.epoch;
            self.remember(Record::Epoch { epoch: hello.epoch });
        }
        self.look_at_due(Instant::now());
        self.welcome_by = Some(Instant::now() + CLARITY);
        self.welcome_if_clear();
    }

    /// Answers the hello, as soon as of every step it is clear whether it lives: what is dead is never said to be alive.
    pub(super) fn welcome_if_clear(&mut self) {
        let Some(by) = self.welcome_by else { return };
        let is_clear = self.steps.values().all(|step| !step.is_between_life_and_end());
        let Some(n) = self.engine.filter(|_| is_clear || by <= Instant::now()) else { return };
        self.welcome_by = None;
        let inventory = self.inventory();
        self.reply(
            n,
            &Reply::Welcome { protocol: PROTOCOL, pid: self.me, version: own_version(), inventory },
        );
        self.told_capacity = None;
        self.tell_capacity();
    }

    fn inventory(&self) -> Vec<Known> {
        let living = self.steps.values().map(|step| Known {
            key: step.key.clone(),
            status: KnownStatus::Running {
                pid: step.living_main().unwrap_or(0),
                started_at: step.started_at,
                frozen: matches!(step.freeze, Freeze::Frozen(_)),
            },
        });
        let ended = self.ended.values().map(|ended| Known {
            key: ended.key.clone(),
            status: match &ended.how {
                End::StartFailed(reason) => KnownStatus::StartFailed(reason.clone()),
                End::Exited(exit) => KnownStatus::Exited(exit.clone()),
            },
        });
        living.chain(ended).collect()
    }

    fn info(&self) -> SupervisorInfo {
        SupervisorInfo {
            pid: self.me,
            version: own_version(),
            n_steps: self.steps.len(),
            n_unacknowledged: self.ended.len(),
        }
    }

    fn asked_to_start(&mut self, header: StartHeader, blob: &[u8]) {
        let key = header.key.clone();
        match protocol::decode_start(header, blob) {
            Ok(spec) => self.start(spec),
            Err(reason) => self.start_failed(key, reason),
        }
    }

    /// Sends a frame, or as much of it as the other side takes now.
    pub(super) fn reply(&mut self, n: u64, reply: &Reply) {
        self.enqueue(n, reply);
        self.flush(n);
    }

    /// Puts a frame behind those that are to be sent.
    pub(super) fn enqueue(&mut self, n: u64, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(&n).filter(|connection| !connection.is_deaf) {
            connection.unsent.extend(reply.encode());
        }
    }

    pub(super) fn flush(&mut self, n: u64) {
        self.flush_at.take_if(|_| self.engine == Some(n));
        let Some(connection) = self.connections.get_mut(&n) else { return };
        while !connection.unsent.is_empty() {
            let (front, _) = connection.unsent.as_slices();
            match rustix::net::send(&connection.stream, front, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n_sent) => drop(connection.unsent.drain(..n_sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if connection.unsent.len() <= MAX_UNSENT => break,
                Err(Errno::AGAIN) => return self.disconnect(n),
                Err(_) => {
                    connection.is_deaf = true;
                    connection.unsent.clear();
                }
            }
        }
        let wanted =
            if connection.unsent.is_empty() { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
        if connection.watched != wanted {
            connection.watched = wanted;
            // It is watched since it was added.
            let _ = epoll::modify(&self.epoll, &connection.stream, Source::Connection(n).data(), wanted);
        }
    }

    /// Closes a connection; what it had not been heard saying is lost.
    fn disconnect(&mut self, n: u64) {
        if let Some(connection) = self.connections.remove(&n) {
            // Not only by closing: a copy of the descriptor elsewhere would keep it watched.
            let _ = epoll::delete(&self.epoll, &connection.stream);
        }
        self.engine.take_if(|engine| *engine == n);
    }
}
