//! The engine's end of the connection to the supervisor.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::frame::FrameBuffer;
use super::host::{HostEvent, HostRequest, StepHost};
use super::launch::{ConnectError, Launcher};
use super::protocol::{Reply, encode_request};

/// The local supervisor, as the engine sees it. Dropping it closes the connection and joins its threads; the
/// supervisor lives on while there is something to do.
#[derive(Debug)]
pub struct SupervisorHost {
    stream: Arc<UnixStream>,
    outbox: Arc<Outbox>,
    reader: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    supervisor_pid: u32,
}

/// Frames that the socket did not take at once. Unbounded: it holds at most what one engine can ask of its living
/// steps; it is emptied by the writer's thread, and dropped with the connection.
#[derive(Debug, Default)]
struct Outbox {
    state: Mutex<OutboxState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct OutboxState {
    frames: VecDeque<Vec<u8>>,
    /// The writer holds a frame that is not written yet: what comes now must wait behind it.
    is_writing: bool,
    is_closed: bool,
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
        rest: FrameBuffer,
        sink: impl Fn(HostEvent) + Send + 'static,
    ) -> io::Result<Self> {
        stream.set_read_timeout(None)?;
        let stream = Arc::new(stream);
        if let Some(child) = child {
            reap_when_it_ends(child)?;
        }
        let for_reader = Arc::clone(&stream);
        let reader = crate::thread::lasting("supervisor-reader", move || read_all(&for_reader, rest, sink))?;
        Ok(Self { stream, outbox: Arc::default(), reader: Some(reader), writer: None, supervisor_pid })
    }

    /// The supervisor's process.
    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor_pid
    }

    /// Hands a frame to the thread that waits until the socket takes it.
    fn enqueue(&mut self, frame: Vec<u8>) {
        self.outbox.lock().frames.push_back(frame);
        self.outbox.changed.notify_one();
        if self.writer.is_none() {
            let (stream, outbox) = (Arc::clone(&self.stream), Arc::clone(&self.outbox));
            let write = move || outbox.write_all(&stream);
            // Without a thread nothing can be delivered: the connection is given up, which the reader tells.
            match crate::thread::lasting("supervisor-writer", write) {
                Ok(thread) => self.writer = Some(thread),
                Err(_) => self.hang_up(),
            }
        }
    }

    fn hang_up(&self) {
        // Fails when the other side has done so before.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl StepHost for SupervisorHost {
    fn send(&mut self, request: HostRequest) {
        self.send_bytes(encode_request(request));
    }

    fn send_all(&mut self, requests: Vec<HostRequest>) {
        let frames: Vec<_> = requests.into_iter().map(encode_request).collect();
        self.send_bytes(frames.concat());
    }
}

impl SupervisorHost {
    /// Hands whole frames to the socket, or to the writer's thread what the socket does not take now.
    fn send_bytes(&mut self, mut frame: Vec<u8>) {
        if !self.outbox.lock().is_empty() {
            return self.enqueue(frame);
        }
        loop {
            match rustix::net::send(&*self.stream, &frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) if n == frame.len() => return,
                Ok(n) => drop(frame.drain(..n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return self.enqueue(frame),
                // Gone: the reader tells.
                Err(_) => return self.hang_up(),
            }
        }
    }
}

impl Drop for SupervisorHost {
    fn drop(&mut self) {
        self.outbox.lock().is_closed = true;
        self.outbox.changed.notify_one();
        self.hang_up();
        for thread in self.reader.take().into_iter().chain(self.writer.take()) {
            // A panic of the sink has been reported where it happened. The sink itself may drop the host.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread: waits for frames, writes them, ends with the connection.
    fn write_all(&self, stream: &UnixStream) {
        let mut state = self.lock();
        while !state.is_closed {
            let Some(frame) = state.frames.pop_front() else {
                state.is_writing = false;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.is_writing = true;
            drop(state);
            let is_written = write_frame(stream, &frame).is_ok();
            state = self.lock();
            state.is_closed |= !is_written;
        }
    }
}

impl OutboxState {
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

/// The reader's thread: hands on what comes, in order; its last word is [`HostEvent::Gone`].
fn read_all(stream: &UnixStream, mut frames: FrameBuffer, sink: impl Fn(HostEvent)) {
    let reason = loop {
        match frames.next() {
            Ok(Some(frame)) => match Reply::decode(&frame) {
                Some(Reply::Event(event)) => sink(event),
                // An error answers what only another version would ask; the rest answers nothing that was asked here.
                Some(
                    Reply::Error { .. }
                    | Reply::Welcome { .. }
                    | Reply::Refused { .. }
                    | Reply::Waiting {}
                    | Reply::Info(_),
                )
                | None => {}
            },
            Ok(None) => {
                let mut buffer = [0; 16 << 10];
                match rustix::net::recv(stream, &mut buffer, RecvFlags::empty()) {
                    Ok((0, _)) => break "the supervisor closed the connection".to_owned(),
                    Ok((n, _)) => frames.extend(&buffer[..n]),
                    Err(Errno::INTR) => {}
                    Err(error) => break format!("the connection to the supervisor broke: {error}"),
                }
            }
            Err(_) => break "the supervisor sent what is no message".to_owned(),
        }
    };
    let _ = stream.shutdown(Shutdown::Both);
    sink(HostEvent::Gone { reason });
}

/// Leaves no zombie when the supervisor that we started ends. Nobody joins this thread: the supervisor may outlive
/// us, and the thread ends with either.
fn reap_when_it_ends(mut child: Child) -> io::Result<()> {
    let wait = move || {
        let _ = child.wait();
    };
    std::thread::Builder::new().name("supervisor-reaper".to_owned()).stack_size(64 << 10).spawn(wait)?;
    Ok(())
}
