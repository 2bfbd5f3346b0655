//! The engine's end of the connection to the supervisor.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::frame::FrameBuffer;
use super::host::{HostEvent, HostRequest, StepHost};
use super::launch::{ConnectError, Launcher};
use super::mover::timespec;
use super::platform::when_ended;
use super::process::Proc;
use super::protocol::{Reply, Request, encode_request};
use super::pulse::{Due, Pulse};
use crate::base::thread::{self, Thread};

/// The local supervisor, as the engine sees it. Dropping it closes the connection and joins its threads; the
/// supervisor lives on while there is something to do.
#[derive(Debug)]
pub struct SupervisorHost {
    line: Arc<Line>,
    reader: Option<Thread>,
    supervisor_pid: u32,
}

/// The connection and its queue. Frames of several threads never mix on it.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    outbox: Mutex<Outbox>,
    changed: Condvar,
    /// A request was sent since the last ping.
    is_asked: AtomicBool,
    /// Signalled when `is_asked` becomes true. The reader waits for it and for the connection.
    bell: OwnedFd,
}

/// Frames that the socket did not take at once. Unbounded, but never more than one engine can ask of its living steps.
/// The writer thread empties it; it is dropped with the connection.
#[derive(Debug, Default)]
struct Outbox {
    frames: VecDeque<Vec<u8>>,
    /// The writer holds a frame that is not written yet: new frames must wait behind it.
    is_writing: bool,
    is_closed: bool,
    writer: Option<Thread>,
}

impl SupervisorHost {
    /// Finds or starts the supervisor of `data_dir` and says hello as the engine of this epoch. The sink is called on
    /// one thread of the host, in order, with [`HostEvent::Inventory`] first.
    ///
    /// # Errors
    /// As [`Launcher::launch`] and [`super::Launched::hello`].
    pub fn connect(
        data_dir: &Path,
        epoch: u64,
        sink: impl Fn(HostEvent) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        Launcher::new(data_dir).launch()?.hello(epoch, sink)
    }

    pub(super) fn new(
        stream: UnixStream,
        child: Option<Child>,
        supervisor_pid: u32,
        pulse: Pulse,
        rest: FrameBuffer,
        sink: impl Fn(HostEvent) + Send + 'static,
    ) -> io::Result<Self> {
        stream.set_read_timeout(None)?;
        if let Some(child) = child {
            reap_when_it_ends(child)?;
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (outbox, changed, is_asked) = Default::default();
        let line = Arc::new(Line { stream, outbox, changed, is_asked, bell });
        let for_reader = Arc::clone(&line);
        let reader = thread::start("supervisor-reader", move || {
            read_all(&for_reader, supervisor_pid, pulse, rest, sink);
        })?;
        Ok(Self { line, reader: Some(reader), supervisor_pid })
    }

    /// The supervisor's process.
    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor_pid
    }
}

impl StepHost for SupervisorHost {
    fn send(&mut self, request: HostRequest) {
        self.line.ask(encode_request(request));
    }

    fn send_all(&mut self, requests: Vec<HostRequest>) {
        let frames: Vec<_> = requests.into_iter().map(encode_request).collect();
        self.line.ask(frames.concat());
    }
}

impl Drop for SupervisorHost {
    fn drop(&mut self) {
        let writer = {
            let mut outbox = self.line.outbox.lock();
            outbox.is_closed = true;
            outbox.writer.take()
        };
        self.line.changed.notify_one();
        self.line.hang_up();
        // The sink itself may drop the host.
        drop((self.reader.take(), writer));
    }
}

impl Line {
    fn hang_up(&self) {
        // Fails when the other side has done so before.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends requests, and makes the reader expect an answer.
    fn ask(self: &Arc<Self>, frames: Vec<u8>) {
        self.send(frames);
        if !self.is_asked.swap(true, Ordering::Relaxed) {
            // Full means signalled already.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Sends whole frames. What the socket does not take now goes to the writer thread.
    fn send(self: &Arc<Self>, mut frame: Vec<u8>) {
        let mut outbox = self.outbox.lock();
        while outbox.is_empty() {
            match rustix::net::send(&self.stream, &frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) if n == frame.len() => return,
                Ok(n) => drop(frame.drain(..n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The connection is gone; the reader reports it.
                Err(_) => return self.hang_up(),
            }
        }
        outbox.frames.push_back(frame);
        self.changed.notify_one();
        if outbox.writer.is_none() && !outbox.is_closed {
            let line = Arc::clone(self);
            let write = move || line.write_all();
            // Without a thread nothing can be delivered: the connection is closed, and the reader reports it.
            match thread::start("supervisor-writer", write) {
                Ok(thread) => outbox.writer = Some(thread),
                Err(_) => self.hang_up(),
            }
        }
    }

    /// The writer thread: waits for frames and writes them until the connection ends.
    fn write_all(&self) {
        let mut outbox = self.outbox.lock();
        while !outbox.is_closed {
            let Some(frame) = outbox.frames.pop_front() else {
                outbox.is_writing = false;
                self.changed.wait(&mut outbox);
                continue;
            };
            outbox.is_writing = true;
            drop(outbox);
            let is_written = write_frame(&self.stream, &frame).is_ok();
            outbox = self.outbox.lock();
            outbox.is_closed |= !is_written;
        }
    }

    /// Waits until the supervisor sent something, a request was sent, or `until` is reached.
    fn wait(&self, until: Option<Instant>) {
        let left = until.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        // Interrupted: the caller checks again.
        let _ = poll(&mut fds, left.as_ref());
        if !fds[1].revents().is_empty() {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
    }
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.is_writing
    }
}

fn write_frame(stream: &UnixStream, mut frame: &[u8]) -> Result<(), Errno> {
    while !frame.is_empty() {
        match rustix::net::send(stream, frame, SendFlags::NOSIGNAL) {
            Ok(n) => frame = &frame[n..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The reader thread: passes events to the sink in order, and reports a supervisor that does not answer. Its last event
/// is [`HostEvent::Gone`].
fn read_all(line: &Arc<Line>, pid: u32, mut pulse: Pulse, mut frames: FrameBuffer, sink: impl Fn(HostEvent)) {
    let mut buffer = [0; 16 << 10];
    let reason = loop {
        let frame = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => match rustix::net::recv(&line.stream, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => break "the supervisor closed the connection".to_owned(),
                Ok((n, _)) => {
                    frames.extend(&buffer[..n]);
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    wait_for_more(line, pid, &mut pulse, &sink);
                    continue;
                }
                Err(error) => break format!("the connection to the supervisor broke: {error}"),
            },
            Err(_) => break "the supervisor sent something that is not a message".to_owned(),
        };
        let Some(reply) = Reply::decode(&frame) else { continue };
        if pulse.receive(&reply, Instant::now()) {
            sink(HostEvent::Answers { pid });
        }
        match reply {
            Reply::Event(event) => sink(event),
            // An error answers a request that only another version sends; this connection never asks for the others.
            Reply::Error { .. }
            | Reply::Welcome { .. }
            | Reply::Refused { .. }
            | Reply::Waiting {}
            | Reply::Pong {}
            | Reply::Info(_) => {}
        }
    };
    line.hang_up();
    sink(HostEvent::Gone { reason });
}

/// There is nothing to read: sends the ping or reports the silence that is due, or waits.
fn wait_for_more(line: &Arc<Line>, pid: u32, pulse: &mut Pulse, sink: &impl Fn(HostEvent)) {
    let now = Instant::now();
    if line.is_asked.load(Ordering::Relaxed) {
        pulse.expect(now);
    }
    match pulse.due(now) {
        Due::Ask => {
            line.is_asked.store(false, Ordering::Relaxed);
            line.send(Request::Ping {}.encode());
        }
        Due::Silence => {
            let is_stopped = Proc::read(pid).ok().flatten().is_some_and(|found| found.is_stopped());
            sink(HostEvent::Silent { pid, is_stopped });
        }
        Due::Wait(until) => line.wait(until),
    }
}

/// Reaps the supervisor that this process started, so that no zombie is left. The thread is not joined: the supervisor
/// may outlive this process, and the thread ends with either.
fn reap_when_it_ends(mut child: Child) -> io::Result<()> {
    when_ended(child.id(), move || {
        // It has ended: there is nothing to wait for.
        let _ = child.wait();
    })
}
