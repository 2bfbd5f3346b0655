//! The one thread that waits for descriptors: for changes of files, for timers, and for the ends of processes.
//!
//! It is the process's own and is shared by all that wait: it begins with the first [`Waiting`] and ends with the last.
//! What it calls must return at once (it rings a bell, or notes something), because everything else waits meanwhile.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::ThreadId;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

use crate::base::thread::{self, Thread};

/// The poller of this process while anything waits.
static POLLER: Mutex<Weak<Poller>> = Mutex::new(Weak::new());

/// Number of the descriptor that ends the thread.
const END: u64 = 0;

/// Told one time only, whether it is read or not.
const ONCE: epoll::EventFlags = epoll::EventFlags::IN.union(epoll::EventFlags::ONESHOT);

/// The thread, until nothing waits any more.
#[derive(Debug)]
struct Poller {
    shared: Arc<Shared>,
    /// Joined when this is dropped, unless that is done by what it calls.
    _thread: Thread,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    /// Written to once, when the thread is to end. Open for as long as the thread waits for it.
    end: OwnedFd,
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    last_number: u64,
    by_number: HashMap<u64, Arc<Source>>,
}

/// A descriptor and what is called while it can be read.
struct Source {
    descriptor: Arc<OwnedFd>,
    ready: Slot<dyn FnMut() + Send>,
}

/// Has the poller's thread call while a descriptor can be read, until this is dropped. When the drop has returned, it is
/// called no more, and what it was made with is dropped; a call may drop its own.
#[derive(Debug)]
pub(crate) struct Waiting {
    number: u64,
    source: Arc<Source>,
    poller: Arc<Poller>,
}

impl Waiting {
    /// Calls `ready` whenever there is something to read from `descriptor`, which it must take.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub(crate) fn start(descriptor: Arc<OwnedFd>, ready: impl FnMut() + Send + 'static) -> io::Result<Self> {
        Self::add(descriptor, epoll::EventFlags::IN, Box::new(ready))
    }

    /// Calls `ready` once, when there is something to read from `descriptor`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn once(descriptor: OwnedFd, ready: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut ready = Some(ready);
        let call = move || {
            if let Some(ready) = ready.take() {
                ready();
            }
        };
        Self::add(Arc::new(descriptor), ONCE, Box::new(call))
    }

    fn add(
        descriptor: Arc<OwnedFd>,
        events: epoll::EventFlags,
        ready: Box<dyn FnMut() + Send>,
    ) -> io::Result<Self> {
        let poller = Poller::get()?;
        let source = Arc::new(Source { descriptor, ready: Slot::new(ready) });
        let number = poller.shared.add(source.clone(), events)?;
        Ok(Self { number, source, poller })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.poller.shared.remove(self.number);
        self.source.ready.end();
    }
}

/// Calls `ready` once, when there is something to read from `descriptor`, however long that takes.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub(crate) fn call_once(descriptor: OwnedFd, ready: impl FnOnce() + Send + 'static) -> io::Result<()> {
    call_once_by(Poller::get()?, descriptor, ready)
}

fn call_once_by(
    poller: Arc<Poller>,
    descriptor: OwnedFd,
    ready: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let number = Arc::new(OnceLock::new());
    let (of_call, shared) = (number.clone(), poller.shared.clone());
    // The poller lasts as long as this waits; it is the call that lets go of it.
    let mut once = Some((poller.clone(), ready));
    let call = move || {
        let number = *of_call.wait();
        shared.remove(number);
        if let Some((_poller, ready)) = once.take() {
            ready();
        }
    };
    let source = Source { descriptor: Arc::new(descriptor), ready: Slot::new(Box::new(call)) };
    let _ = number.set(poller.shared.add(Arc::new(source), ONCE)?);
    Ok(())
}

impl Poller {
    /// That of this process.
    fn get() -> io::Result<Arc<Self>> {
        let mut current = POLLER.lock();
        if let Some(poller) = current.upgrade() {
            return Ok(poller);
        }
        let poller = Arc::new(Self::start()?);
        *current = Arc::downgrade(&poller);
        Ok(poller)
    }

    fn start() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &end, epoll::EventData::new_u64(END), epoll::EventFlags::IN)?;
        let sources = Mutex::new(Sources { last_number: END, by_number: HashMap::new() });
        let shared = Arc::new(Shared { epoll, end, sources });
        let of_thread = shared.clone();
        let thread = thread::start("lf-poller", move || of_thread.wait())?;
        Ok(Self { shared, _thread: thread })
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        // An eventfd takes eight bytes at any time.
        let _ = rustix::io::write(&self.shared.end, &1_u64.to_ne_bytes());
    }
}

impl Shared {
    fn add(&self, source: Arc<Source>, events: epoll::EventFlags) -> io::Result<u64> {
        let mut sources = self.sources.lock();
        sources.last_number += 1;
        let number = sources.last_number;
        let data = epoll::EventData::new_u64(number);
        epoll::add(&self.epoll, &*source.descriptor, data, events)?;
        sources.by_number.insert(number, source);
        Ok(number)
    }

    fn remove(&self, number: u64) {
        let source = self.sources.lock().by_number.remove(&number);
        if let Some(source) = source {
            // It was added, and is still open.
            let _ = epoll::delete(&self.epoll, &*source.descriptor);
        }
    }

    /// The thread.
    fn wait(&self) {
        loop {
            let mut ready = Vec::with_capacity(32);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            for event in ready {
                let number = event.data.u64();
                if number == END {
                    return;
                }
                let source = self.sources.lock().by_number.get(&number).cloned();
                if let Some(source) = source {
                    source.ready.call(|ready| ready());
                }
            }
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

/// Something that one thread calls, until another ends that.
pub(crate) struct Slot<F: ?Sized> {
    function: Mutex<Option<Box<F>>>,
    is_over: AtomicBool,
    /// The thread that calls it, once it has.
    caller: OnceLock<ThreadId>,
}

impl<F: ?Sized> Slot<F> {
    pub(crate) fn new(function: Box<F>) -> Self {
        let (is_over, caller) = (AtomicBool::new(false), OnceLock::new());
        Self { function: Mutex::new(Some(function)), is_over, caller }
    }

    /// Calls it, unless that is over. Always on the same thread.
    pub(crate) fn call(&self, with: impl FnOnce(&mut F)) {
        self.caller.get_or_init(|| std::thread::current().id());
        let mut function = self.function.lock();
        if let Some(function) = function.as_mut()
            && !self.is_over.load(Ordering::Acquire)
        {
            with(function);
        }
        // It has ended itself.
        let ended = if self.is_over.load(Ordering::Acquire) { function.take() } else { None };
        drop(function);
        drop(ended);
    }

    /// Has it called no more: waits for a call that goes on, unless it is this call that ends it.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        let is_caller = self.caller.get() == Some(&std::thread::current().id());
        let function = if is_caller { self.function.try_lock() } else { Some(self.function.lock()) };
        // Dropped after the lock is: what it holds may be anything.
        let ended = function.and_then(|mut function| function.take());
        drop(ended);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bell() -> Arc<OwnedFd> {
        Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap())
    }

    fn ring(bell: &OwnedFd) {
        rustix::io::write(bell, &1_u64.to_ne_bytes()).unwrap();
    }

    fn hear(bell: &OwnedFd) {
        rustix::io::read(bell, &mut [0; 8]).unwrap();
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn each_descriptor_that_can_be_read_is_told_until_its_wait_is_dropped() {
        // Unbounded: as many as are rung below.
        let (sender, heard) = crossbeam_channel::unbounded();
        let wait = |name: &'static str| {
            let (bell, sender) = (bell(), sender.clone());
            let of_call = bell.clone();
            let call = move || {
                hear(&of_call);
                sender.send(name).unwrap();
            };
            (Waiting::start(bell.clone(), call).unwrap(), bell)
        };
        let ((one, bell_one), (_two, bell_two)) = (wait("one"), wait("two"));
        ring(&bell_one);
        assert_eq!(heard.recv_timeout(SOON), Ok("one"));
        drop(one);
        ring(&bell_one);
        ring(&bell_two);
        assert_eq!(heard.recv_timeout(SOON), Ok("two"), "the other one is not told any more");
    }

    #[test]
    fn a_call_may_end_its_own_wait_and_one_that_is_dropped_lets_go_of_everything() {
        let (bell, own) = (bell(), Arc::new(Mutex::new(None::<Waiting>)));
        // Capacity 1: the one call.
        let (sender, heard) = crossbeam_channel::bounded(1);
        let of_call = own.clone();
        let mut kept = own.lock();
        let call = move || {
            drop(of_call.lock().take());
            sender.send(()).unwrap();
        };
        *kept = Some(Waiting::start(bell.clone(), call).unwrap());
        drop(kept);
        ring(&bell);
        heard.recv_timeout(SOON).unwrap();
        assert!(heard.recv_timeout(SOON).is_err(), "the call and its sender are gone");
    }

    #[test]
    fn a_thread_whose_last_call_lets_go_of_it_ends() {
        let poller = Arc::new(Poller::start().unwrap());
        // Nothing is sent: closed when the thread has let go of all that it could call.
        let (kept, ended) = crossbeam_channel::bounded::<()>(0);
        let call = move || assert!(kept.is_empty(), "nothing is sent");
        let source = Source { descriptor: bell(), ready: Slot::new(Box::new(call)) };
        poller.shared.add(Arc::new(source), ONCE).unwrap();
        let bell = bell();
        call_once_by(poller, bell.try_clone().unwrap(), || ()).unwrap();
        ring(&bell);
        assert_eq!(ended.recv_timeout(SOON), Err(crossbeam_channel::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn what_waits_once_is_called_once_whatever_else_is_dropped() {
        let bell = bell();
        // Unbounded: one call.
        let (sender, heard) = crossbeam_channel::unbounded();
        call_once(bell.try_clone().unwrap(), move || sender.send(()).unwrap()).unwrap();
        ring(&bell);
        heard.recv_timeout(SOON).unwrap();
        assert!(heard.recv_timeout(SOON).is_err(), "it is called no more");
    }
}
