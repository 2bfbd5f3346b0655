//! One thread for several tasks that no one waits for. A task is called when its bell rings, and at the time that it
//! named itself. A slow task delays the others, so it does a part and asks to be called again.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::thread::{Thread, start};

/// The thread. It ends when this is dropped, and its tasks are not called afterwards.
#[derive(Debug)]
pub(crate) struct TaskThread {
    shared: Arc<Shared>,
    // Dropped last, after the thread was told to end.
    _thread: End,
}

/// A task, which lasts until this is dropped. When the drop has returned, the task is not called any more and its
/// closure is dropped. A call may drop its own task.
#[derive(Debug)]
pub(crate) struct Task {
    bell: TaskBell,
}

/// Has a task called soon, from any thread and without waiting. Does nothing when the task is gone.
#[derive(Debug, Clone)]
pub(crate) struct TaskBell {
    number: u64,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct End {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

#[derive(Debug, Default)]
struct Shared {
    tasks: Mutex<Tasks>,
    /// A task is due earlier than before, a call has ended, or all is over.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Tasks {
    last_number: u64,
    by_number: HashMap<u64, Entry>,
    /// The task that is being called, and on which thread.
    current: Option<(u64, ThreadId)>,
    is_over: bool,
}

struct Entry {
    /// None while it is created and while it is called.
    work: Option<Work>,
    /// None: not before its bell rings.
    due: Option<Instant>,
}

/// Called with the present time. Returns the delay after which it is to be called again, unless its bell rings before.
type Work = Box<dyn FnMut(Instant) -> Option<Duration> + Send>;

impl TaskThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        let thread = Some(start(name, move || of_thread.run())?);
        Ok(Self { _thread: End { shared: shared.clone(), thread }, shared })
    }

    /// Adds a task. It is first called after `delay`, or when its bell rings before; without a delay, only when its
    /// bell rings. `make` gets the bell and returns the task's work.
    pub(crate) fn add<W>(&self, delay: Option<Duration>, make: impl FnOnce(TaskBell) -> W) -> Task
    where
        W: FnMut(Instant) -> Option<Duration> + Send + 'static,
    {
        let mut tasks = self.shared.tasks.lock();
        tasks.last_number += 1;
        let bell = TaskBell { number: tasks.last_number, shared: self.shared.clone() };
        let due = delay.map(|delay| Instant::now() + delay);
        // Before `make`: the bell may ring from then on.
        tasks.by_number.insert(bell.number, Entry { work: None, due });
        drop(tasks);
        let task = Task { bell: bell.clone() };
        let work: Work = Box::new(make(bell));
        if let Some(entry) = self.shared.tasks.lock().by_number.get_mut(&task.bell.number) {
            entry.work = Some(work);
        }
        self.shared.changed.notify_all();
        task
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let TaskBell { number, shared } = &self.bell;
        let mut tasks = shared.tasks.lock();
        let entry = tasks.by_number.remove(number);
        let is_own_call =
            |(current, caller): (u64, ThreadId)| current == *number && caller == std::thread::current().id();
        if !tasks.current.is_some_and(is_own_call) {
            while tasks.current.is_some_and(|(current, _)| current == *number) {
                shared.changed.wait(&mut tasks);
            }
        }
        drop(tasks);
        drop(entry);
    }
}

impl TaskBell {
    /// Rings. False when the task is gone.
    pub(crate) fn ring(&self) -> bool {
        let mut tasks = self.shared.tasks.lock();
        let Some(entry) = tasks.by_number.get_mut(&self.number) else { return false };
        entry.due = Some(Instant::now());
        drop(tasks);
        self.shared.changed.notify_all();
        true
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared.tasks.lock().is_over = true;
        self.shared.changed.notify_all();
        drop(self.thread.take());
        // The closures may hold bells, which hold this.
        let left = std::mem::take(&mut self.shared.tasks.lock().by_number);
        drop(left);
    }
}

impl Shared {
    fn run(&self) {
        let mut tasks = self.tasks.lock();
        while !tasks.is_over {
            let is_made = |(_, entry): &(&u64, &Entry)| entry.work.is_some();
            let waiting = tasks.by_number.iter().filter(is_made);
            let waiting = waiting.filter_map(|(number, entry)| Some((entry.due?, *number)));
            let Some((due, number)) = waiting.min() else {
                self.changed.wait(&mut tasks);
                continue;
            };
            let now = Instant::now();
            if due > now {
                self.changed.wait_until(&mut tasks, due);
                continue;
            }
            let Some(entry) = tasks.by_number.get_mut(&number) else { continue };
            entry.due = None;
            let Some(mut work) = entry.work.take() else { continue };
            tasks.current = Some((number, std::thread::current().id()));
            drop(tasks);
            let again = work(now);
            tasks = self.tasks.lock();
            let ended = match tasks.by_number.get_mut(&number) {
                Some(entry) => {
                    entry.work = Some(work);
                    // If the bell has rung meanwhile, that is earlier.
                    entry.due = entry.due.or_else(|| again.map(|again| Instant::now() + again));
                    None
                }
                None => Some(work),
            };
            if ended.is_some() {
                // Without the lock: dropping the closure may drop a bell.
                drop(tasks);
                drop(ended);
                tasks = self.tasks.lock();
            }
            tasks.current = None;
            self.changed.notify_all();
        }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("due", &self.due).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const LATE: Duration = Duration::from_secs(3600);

    #[test]
    fn tasks_are_called_when_it_is_time_and_when_their_bell_rings() {
        let thread = TaskThread::start("lf-test").unwrap();
        // Unbounded: as many calls as the test waits for.
        let (sender, called) = crossbeam_channel::unbounded();
        // Unbounded: one bell for each task.
        let (bells, made) = crossbeam_channel::unbounded();
        let counted = |name: &'static str, again| {
            let (sender, bells) = (sender.clone(), bells.clone());
            move |bell: TaskBell| {
                bells.send(bell).unwrap();
                move |_| {
                    sender.send(name).unwrap();
                    again
                }
            }
        };
        let often = thread.add(Some(Duration::ZERO), counted("often", Some(Duration::ZERO)));
        assert_eq!(called.recv_timeout(SOON), Ok("often"));
        assert_eq!(called.recv_timeout(SOON), Ok("often"));
        drop((often, made.recv().unwrap()));
        while called.try_recv().is_ok() {}
        let rung = thread.add(Some(LATE), counted("rung", Some(LATE)));
        let asleep = thread.add(None, counted("asleep", None));
        let bell = made.recv().unwrap();
        assert!(bell.ring());
        assert_eq!(called.recv_timeout(SOON), Ok("rung"));
        assert!(made.recv().unwrap().ring());
        assert_eq!(called.recv_timeout(SOON), Ok("asleep"));
        drop((rung, asleep));
        assert!(!bell.ring());
        drop(sender);
        assert!(called.recv().is_err(), "what was called is gone");
    }

    #[test]
    fn a_bell_that_rings_while_its_task_is_made_has_it_called() {
        let thread = TaskThread::start("lf-test").unwrap();
        // Unbounded: one call.
        let (sender, called) = crossbeam_channel::unbounded();
        let _task = thread.add(None, |bell| {
            assert!(bell.ring());
            move |_| {
                sender.send(()).unwrap();
                None
            }
        });
        assert_eq!(called.recv_timeout(SOON), Ok(()));
    }

    #[test]
    fn a_bell_that_rings_while_its_task_is_called_has_it_called_once_more() {
        let thread = TaskThread::start("lf-test").unwrap();
        // Unbounded: two calls.
        let (sender, called) = crossbeam_channel::unbounded();
        let mut n_calls = 0;
        let _task = thread.add(Some(Duration::ZERO), |bell| {
            move |_| {
                n_calls += 1;
                if n_calls == 1 {
                    bell.ring();
                }
                sender.send(n_calls).unwrap();
                Some(LATE)
            }
        });
        assert_eq!(called.recv_timeout(SOON), Ok(1));
        assert_eq!(called.recv_timeout(SOON), Ok(2));
    }

    #[test]
    fn a_task_that_is_dropped_is_waited_for_unless_it_drops_itself() {
        let thread = TaskThread::start("lf-test").unwrap();
        // Capacity 0: each side waits for the other.
        let (sender, called) = crossbeam_channel::bounded(0);
        let task = thread.add(Some(Duration::ZERO), |_| {
            let done = sender.clone();
            move |_| {
                done.send(()).unwrap();
                Some(Duration::ZERO)
            }
        });
        called.recv_timeout(SOON).unwrap();
        // A call is under way or about to begin: the drop waits until the other side has answered it.
        std::thread::scope(|scope| {
            scope.spawn(|| while called.recv_timeout(Duration::from_millis(200)).is_ok() {});
            drop(task);
        });
        let own = Arc::new(Mutex::new(None::<Task>));
        let mut kept = own.lock();
        let of_call = own.clone();
        *kept = Some(thread.add(Some(Duration::ZERO), |_| {
            move |_| {
                drop(of_call.lock().take());
                sender.send(()).unwrap();
                None
            }
        }));
        drop(kept);
        called.recv_timeout(SOON).unwrap();
        assert!(called.recv_timeout(SOON).is_err(), "it has ended itself, and its sender with it");
    }
}
