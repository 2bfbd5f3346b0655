//! Follows the reports of living steps: file notification wakes one thread, which reads what is new and passes it on in
//! batches.
//!
//! An attempt has at most one batch under way. The next is read once [`ReportFollower::taken`] says that the last is
//! recorded. So memory holds one batch for each attempt, a slow disk makes batches larger and not queues longer, and no
//! step blocks another. [`ReportFollower::finish`] reads the rest for a step's end on the caller's thread and never
//! waits for the follower's.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::inotify::{ReadFlags, WatchFlags};

use super::report_file::{Cursor, LastLine, Reading, read_reports};
use crate::base::id::{AttemptKey, RunId};
use crate::base::thread::{self, Thread};
use crate::base::wake::{Bell, bell};
use crate::files::{FolderChange, FolderChanges};
use crate::run::{ReportBatch, ReportFaultKind};

mod places;
use places::{attempt_path, key_of_file, make_folder, run_folder};

/// How many bytes of one attempt are read before another has its turn.
const TURN_BYTES: u64 = 4 << 20;

/// Events that may mean new reports, or that take the folder away.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// Follows the report files of one data directory.
///
/// Dropping it ends and joins its thread, so the sink must not wait for the thread that drops it.
pub struct ReportFollower {
    data_dir: PathBuf,
    shared: Arc<Shared>,
    _thread: Thread,
}

struct Shared {
    state: Mutex<State>,
    /// Each ring makes the thread look at the whole state.
    wake: Bell,
}

/// What the callers, the watch and the follower's thread share. Never locked while anything is read, watched or passed
/// on.
#[derive(Default)]
struct State {
    attempts: HashMap<AttemptKey, Attempt>,
    /// The attempts to read, in the order of their turns.
    ready: VecDeque<AttemptKey>,
    /// Folders to watch and to stop watching, in order.
    orders: VecDeque<Order>,
    /// Runs whose folders are watched, or will be.
    followed: HashSet<RunId>,
    /// Runs that can't be watched, each with the reason.
    unwatched: HashMap<RunId, String>,
    closing: bool,
}

enum Order {
    Follow(RunId),
    FollowAgain(RunId),
    Unfollow(RunId),
}

struct Attempt {
    /// The position after the last recorded batch.
    taken: Cursor,
    /// The position after the batch under way, if there is one.
    sent: Option<Cursor>,
    /// The file may have changed since it was read last.
    dirty: bool,
    turn: Turn,
}

#[derive(PartialEq, Eq)]
enum Turn {
    None,
    Waits,
    Reads,
}

impl ReportFollower {
    /// Starts to follow reports in `data_dir`. `sink` is called on the follower's thread and may block.
    ///
    /// When the kernel's limit of watches is reached, a run gets a warning, and its reports are read when steps end.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn new(
        data_dir: impl Into<PathBuf>,
        sink: impl Fn(ReportBatch) + Send + 'static,
    ) -> io::Result<Self> {
        let data_dir = data_dir.into();
        let (wake, woken) = bell();
        let shared = Arc::new(Shared { state: Mutex::default(), wake });
        let worker =
            Worker { data_dir: data_dir.clone(), shared: shared.clone(), sink, watched: HashMap::new() };
        let _thread = thread::start("report-follower", move || worker.run(&woken))?;
        Ok(Self { data_dir, shared, _thread })
    }

    /// Creates the folder for a run's reports and watches it. Cheap: the follower's thread sets the watch, and then
    /// reads what was written before.
    ///
    /// # Errors
    /// The folder can't be created.
    pub fn follow(&self, run_id: &RunId) -> io::Result<()> {
        make_folder(&run_folder(&self.data_dir, run_id))?;
        self.shared.state.lock().followed.insert(run_id.clone());
        self.shared.order(Order::Follow(run_id.clone()));
        Ok(())
    }

    /// Ends the watch of a run and forgets its attempts.
    pub fn unfollow(&self, run_id: &RunId) {
        self.shared.state.lock().followed.remove(run_id);
        self.shared.order(Order::Unfollow(run_id.clone()));
    }

    /// Registers an attempt, of which everything before `offset` is recorded. To be called before the step is started,
    /// or when it is recovered. A registered attempt stays as it is.
    pub fn begin(&self, key: &AttemptKey, offset: u64) {
        let is_unwatched = self.register(key, offset);
        // Checked after the registration: later writes are notified.
        if is_unwatched || offset > 0 || self.path(key).exists() {
            self.shared.mark(key);
        }
    }

    /// The same for an attempt that nobody has started yet, so that it has reported nothing.
    pub fn begin_new(&self, key: &AttemptKey) {
        if self.register(key, 0) {
            self.shared.mark(key);
        }
    }

    /// Returns whether the run's folder can't be watched, of which the first reading warns.
    fn register(&self, key: &AttemptKey, offset: u64) -> bool {
        let mut state = self.shared.state.lock();
        state.attempts.entry(key.clone()).or_insert_with(|| Attempt {
            taken: Cursor::at(offset),
            sent: None,
            dirty: false,
            turn: Turn::None,
        });
        state.unwatched.contains_key(&key.run_id)
    }

    /// Says that the batch that ended at `new_offset` is recorded. The next may then be read.
    pub fn taken(&self, key: &AttemptKey, new_offset: u64) {
        let mut state = self.shared.state.lock();
        if let Some(attempt) = state.attempts.get_mut(key)
            && let Some(sent) = attempt.sent.take_if(|sent| sent.offset == new_offset)
        {
            attempt.taken = sent;
            state.make_ready(key);
            self.shared.wake_if_ready(state);
        }
    }

    /// Forgets an attempt, and reads its report after `offset` to the end of the file on the caller's thread, including
    /// a last line without a newline. `offset` is what the step's ledger has. A batch under way beyond it is read again
    /// here, and must be dropped when it arrives.
    ///
    /// A missing report costs one failed `open`. Also works for attempts that were never registered.
    pub fn finish(&self, key: &AttemptKey, offset: u64) -> ReportBatch {
        let known = self.shared.state.lock().attempts.remove(key);
        let mut cursor = known
            .and_then(|attempt| {
                // The batch under way may be a warning alone, which moves no offset. It will be dropped, so the warning
                // is repeated here.
                [attempt.taken].into_iter().chain(attempt.sent).find(|cursor| cursor.offset == offset)
            })
            .unwrap_or_else(|| Cursor::at(offset));
        read_reports(&self.path(key), key, &mut cursor, LastLine::IsTaken, u64::MAX).batch
    }

    fn path(&self, key: &AttemptKey) -> PathBuf {
        attempt_path(&self.data_dir, key)
    }
}

impl Drop for ReportFollower {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        // Ends the thread, which is joined then.
        self.shared.wake.ring();
    }
}

impl Shared {
    fn wake_if_ready(&self, state: MutexGuard<'_, State>) {
        let ready = !state.ready.is_empty();
        drop(state);
        if ready {
            self.wake.ring();
        }
    }

    fn order(&self, order: Order) {
        self.state.lock().orders.push_back(order);
        self.wake.ring();
    }

    /// Notes that an attempt's report may have changed.
    fn mark(&self, key: &AttemptKey) {
        let mut state = self.state.lock();
        if let Some(attempt) = state.attempts.get_mut(key) {
            attempt.dirty = true;
            state.make_ready(key);
            self.wake_if_ready(state);
        }
    }

    fn mark_all(&self, of: impl Fn(&AttemptKey) -> bool) {
        let mut state = self.state.lock();
        let keys: Vec<_> = state.attempts.keys().filter(|key| of(key)).cloned().collect();
        for key in keys {
            if let Some(attempt) = state.attempts.get_mut(&key) {
                attempt.dirty = true;
            }
            state.make_ready(&key);
        }
        self.wake_if_ready(state);
    }

    /// Handles a change in the folder of a run.
    fn notified(&self, run_id: &RunId, change: FolderChange<'_>) {
        let is_gone = change.events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
        if is_gone {
            // The folder is created again and followed.
            if self.state.lock().followed.contains(run_id) {
                self.order(Order::FollowAgain(run_id.clone()));
            }
        } else if change.events.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.mark_all(|key| key.run_id == *run_id);
        } else if let Some(key) = change.name.and_then(|name| key_of_file(run_id, name)) {
            self.mark(&key);
        }
    }
}

impl State {
    /// Queues an attempt that has something to read and may be read now.
    fn make_ready(&mut self, key: &AttemptKey) {
        if let Some(attempt) = self.attempts.get_mut(key)
            && attempt.dirty
            && attempt.sent.is_none()
            && attempt.turn == Turn::None
        {
            attempt.turn = Turn::Waits;
            self.ready.push_back(key.clone());
        }
    }

    /// Takes the next attempt in turn.
    fn next_turn(&mut self) -> Option<(AttemptKey, Cursor)> {
        while let Some(key) = self.ready.pop_front() {
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.turn = Turn::Reads;
                attempt.dirty = false;
                return Some((key, attempt.taken.clone()));
            }
        }
        None
    }

    /// Records the result of a turn. None if the attempt has ended meanwhile or nothing was new.
    fn end_turn(&mut self, reading: Reading, cursor: Cursor) -> Option<ReportBatch> {
        let Reading { batch, more } = reading;
        let attempt = self.attempts.get_mut(&batch.key)?;
        attempt.turn = Turn::None;
        attempt.dirty |= more;
        if batch.is_empty() {
            attempt.taken = cursor;
            self.make_ready(&batch.key);
            return None;
        }
        attempt.sent = Some(cursor);
        Some(batch)
    }
}

struct Worker<S> {
    data_dir: PathBuf,
    shared: Arc<Shared>,
    sink: S,
    watched: HashMap<RunId, FolderChanges>,
}

impl<S: Fn(ReportBatch)> Worker<S> {
    fn run(mut self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            loop {
                let mut state = self.shared.state.lock();
                if state.closing {
                    return;
                }
                if let Some(order) = state.orders.pop_front() {
                    drop(state);
                    self.carry_out(order);
                } else if let Some((key, cursor)) = state.next_turn() {
                    drop(state);
                    self.serve(&key, cursor);
                } else {
                    break;
                }
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::FollowAgain(run_id) => {
                // Unless the run has ended meanwhile.
                if self.shared.state.lock().followed.contains(&run_id) {
                    // If it can't be created, the watch fails and says why.
                    let _ = make_folder(&run_folder(&self.data_dir, &run_id));
                    self.carry_out(Order::Follow(run_id));
                }
            }
            Order::Follow(run_id) => {
                let (shared, of_call) = (self.shared.clone(), run_id.clone());
                let tell = move |change: FolderChange<'_>| shared.notified(&of_call, change);
                // Ends the earlier watch.
                self.watched.remove(&run_id);
                match FolderChanges::watch(&run_folder(&self.data_dir, &run_id), EVENTS, tell) {
                    Ok(changes) => {
                        self.watched.insert(run_id.clone(), changes);
                    }
                    Err(error) => {
                        self.shared.state.lock().unwatched.insert(run_id.clone(), error.to_string());
                    }
                }
                self.shared.mark_all(|key| key.run_id == run_id);
            }
            Order::Unfollow(run_id) => {
                let mut state = self.shared.state.lock();
                state.attempts.retain(|key, _| key.run_id != run_id);
                state.unwatched.remove(&run_id);
                drop(state);
                self.watched.remove(&run_id);
            }
        }
    }

    fn serve(&self, key: &AttemptKey, mut cursor: Cursor) {
        let path = attempt_path(&self.data_dir, key);
        let mut reading = read_reports(&path, key, &mut cursor, LastLine::Waits, TURN_BYTES);
        let mut state = self.shared.state.lock();
        if let Some(why) = state.unwatched.get_mut(&key.run_id)
            && !why.is_empty()
        {
            // Emptied, so that a run is warned once.
            let text = format!(
                "reports can't be followed ({}): they are read when a step ends",
                std::mem::take(why)
            );
            cursor.warn(&mut reading.batch, ReportFaultKind::NotFollowed, text);
        }
        let batch = state.end_turn(reading, cursor);
        self.shared.wake_if_ready(state);
        if let Some(batch) = batch {
            (self.sink)(batch);
        }
    }
}

#[cfg(test)]
mod tests;
