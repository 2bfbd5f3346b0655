//! Connections: frames in, frames out, and the rule that only the latest engine is obeyed.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::scanner::{is_want_of_descriptors, max_connections};
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
use crate::supervisor::spawner::Spawner;

/// A client that leaves more than this unread is disconnected. When it comes back, the inventory has everything.
const MAX_UNSENT: usize = 64 << 20;
/// The answer to a hello waits at most this long for the ends of dead steps to be settled.
const HELLO_PATIENCE: Duration = Duration::from_millis(1500);

/// A client that is connected.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    incoming: FrameBuffer,
    unsent: VecDeque<u8>,
    /// The other side reads no more. Requests that it sent before are still carried out; their end closes the
    /// connection.
    is_write_closed: bool,
    watched: EventFlags,
}

impl Server {
    /// Accepts every waiting connection, and reads at once what it sent.
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
                    // Accepted and closed; the client tries again. If it were left waiting, the loop would wake without
                    // end.
                    self.scanner.give_up_reserve();
                    drop(self.listener.accept());
                    return self.scanner.refill();
                }
                // No connection is waiting.
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
        let (incoming, unsent, is_write_closed) = Default::default();
        self.connections
            .insert(n, Connection { stream, incoming, unsent, is_write_closed, watched: EventFlags::IN });
        Some(n)
    }

    pub(super) fn take_n(&mut self) -> u64 {
        self.next_n += 1;
        self.next_n
    }

    /// Handles the requests of a connection, and sends it what it could not take before.
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
            self.handle_frames(n);
            if n_read < buffer.len() {
                return;
            }
        }
    }

    /// Handles the frames that have been read so far.
    fn handle_frames(&mut self, n: u64) {
        while let Some(connection) = self.connections.get_mut(&n) {
            match connection.incoming.next() {
                Ok(Some(frame)) => self.handle_frame(n, frame),
                Ok(None) => return,
                Err(_) => return self.disconnect(n),
            }
        }
    }

    fn handle_frame(&mut self, n: u64, frame: Frame) {
        let request = match Request::decode(&frame) {
            Ok(request) => request,
            Err(Misread::Unknown(message)) => return self.reply(n, &Reply::Error { message }),
            Err(Misread::Garbage) => return self.disconnect(n),
        };
        match request {
            Request::Hello(hello) => self.accept_hello(n, &hello),
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
                let message = "send hello first".to_owned();
                self.reply(n, &Reply::Error { message });
            }
            Request::Start(header) => self.handle_start(header, &frame.blob),
            Request::Freeze(key) => self.apply(Lever::Freeze, key),
            Request::Thaw(key) => self.apply(Lever::Thaw, key),
            Request::Stop { key, signal, grace_ms } => {
                self.apply(Lever::Stop { signal, grace: protocol::grace(grace_ms) }, key);
            }
            Request::Kill(key) => self.apply(Lever::Kill, key),
            Request::Acknowledge(key) => self.acknowledge(&key),
        }
    }

    /// From here on only this engine is obeyed. Unread requests of an earlier engine are thrown away.
    fn accept_hello(&mut self, n: u64, hello: &Hello) {
        if hello.epoch < self.highest_epoch {
            let highest_epoch = self.highest_epoch;
            return self.reply(n, &Reply::Refused { highest_epoch });
        }
        if let Some(earlier) = self.engine.filter(|earlier| *earlier != n) {
            self.disconnect(earlier);
        }
        // They are not in the inventory: the new engine asks again for those that it still wants.
        self.deferred_starts.clear();
        // Before the answer, so that the inventory shows the present state.
        self.check_main_processes();
        self.engine = Some(n);
        if hello.epoch > self.highest_epoch {
            self.highest_epoch = hello.epoch;
            self.remember(Record::Epoch { epoch: hello.epoch });
        }
        self.advance_due(Instant::now());
        self.hello_deadline = Some(Instant::now() + HELLO_PATIENCE);
        self.answer_hello_if_settled();
    }

    /// Answers the hello as soon as it is settled for every step whether it lives, so that the inventory calls no dead
    /// step alive.
    pub(super) fn answer_hello_if_settled(&mut self) {
        let Some(by) = self.hello_deadline else { return };
        let is_settled = self.steps.values().all(|step| !step.is_end_unsettled());
        let Some(n) = self.engine.filter(|_| is_settled || by <= Instant::now()) else { return };
        self.hello_deadline = None;
        let inventory = self.inventory();
        let n_steps = self.capacity();
        self.sent_capacity = n_steps;
        self.enqueue(
            n,
            &Reply::Welcome { protocol: PROTOCOL, pid: self.me, version: own_version(), inventory, n_steps },
        );
        self.flush(n);
        // Now, while the engine records what it starts first.
        self.with_spawner(Spawner::prepare);
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

    fn handle_start(&mut self, header: StartHeader, blob: &[u8]) {
        let key = header.key.clone();
        match protocol::decode_start(header, blob) {
            Ok(spec) => self.start(spec),
            Err(reason) => self.start_failed(key, reason),
        }
    }

    /// Sends a frame, or as much of it as the socket takes now.
    pub(super) fn reply(&mut self, n: u64, reply: &Reply) {
        self.enqueue(n, reply);
        self.flush(n);
    }

    /// Appends a frame to those that wait to be sent.
    pub(super) fn enqueue(&mut self, n: u64, reply: &Reply) {
        if let Some(connection) =
            self.connections.get_mut(&n).filter(|connection| !connection.is_write_closed)
        {
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
                    connection.is_write_closed = true;
                    connection.unsent.clear();
                }
            }
        }
        let wanted =
            if connection.unsent.is_empty() { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
        if connection.watched != wanted {
            connection.watched = wanted;
            // Can't fail: the connection has been watched since it was added.
            let _ = epoll::modify(&self.epoll, &connection.stream, Source::Connection(n).data(), wanted);
        }
    }

    /// Closes a connection; its unread requests are thrown away.
    fn disconnect(&mut self, n: u64) {
        if let Some(connection) = self.connections.remove(&n) {
            // Closing alone is not enough: a copy of the descriptor elsewhere would keep it watched.
            let _ = epoll::delete(&self.epoll, &connection.stream);
        }
        if self.engine.take_if(|engine| *engine == n).is_some() {
            // What the engine was to get at a certain time: without it nobody would do it, and the time would stay due.
            self.flush_at = None;
            self.hello_deadline = None;
        }
    }
}
