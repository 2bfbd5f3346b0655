//! Follows a run's logs to the end of the run, in any process. It reads what the engine records and what steps write,
//! and is woken by the file system; it does not poll.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::reader::{LogSection, Records, RunRecord};
use crate::base::id::{RunId, StepId};
use crate::base::thread::{self, Thread};
use crate::base::wake::{Bell, bell};
use crate::files::FolderWatch;
use crate::logs::{LogChunk, LogFollower, LogFollowerHandle};
use crate::run::{RunState, StepSummary};
use crate::store::Presence;
use crate::supervisor::EndWatch;
use crate::{engine, supervisor};

/// SQLite first writes a commit to its log, which wakes the watch, and makes it visible in shared memory after the
/// sync, which does not. So the database is read again after these delays.
const SETTLING: [Duration; 5] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// The next thing that was found.
#[derive(Debug)]
pub enum Followed {
    /// A step has written to its log.
    Chunk(LogSection, LogChunk),
    /// No more will come.
    End(FollowEnd),
}

/// Why no more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowEnd {
    /// The run has ended.
    Ended(RunState),
    /// The run has not ended, but neither an engine nor a process of the run lives.
    Abandoned(RunState),
}

type Key = (StepId, u32);

enum Message {
    Chunk(LogSection, LogChunk),
    Over(Key, io::Result<()>),
}

/// Follows the logs of one run. Blocks its caller's thread.
pub struct RunFollower {
    records: Records,
    run_id: RunId,
    step: Option<StepId>,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    looks: Receiver<()>,
    look: Bell,
    settled: Receiver<Instant>,
    n_settled: usize,
    must_look: bool,
    end: Option<FollowEnd>,
    open: BTreeMap<Key, (LogFollowerHandle, Thread)>,
    seen: BTreeSet<Key>,
    ends: BTreeMap<u32, EndWatch>,
    /// Ends the watch when dropped.
    _watch: FolderWatch,
}

impl RunFollower {
    /// Follows the logs of `run_id`, of one step or of all, each from its beginning.
    ///
    /// # Errors
    /// The data directory can't be watched.
    pub fn open(records: Records, run_id: RunId, step: Option<StepId>) -> io::Result<Self> {
        // Capacity 64 chunks of 256 KiB: when it is full the readers of logs wait, which no step feels. When it is
        // closed they end.
        let (sender, messages) = bounded(64);
        let (look, looks) = bell();
        let told = look.clone();
        let names = ["checkpoints.db", "checkpoints.db-wal", "supervisor.journal"];
        let watch = FolderWatch::open(records.data_dir(), &names, move || told.ring())?;
        Ok(Self {
            records,
            run_id,
            step,
            messages,
            sender,
            looks,
            look,
            settled: never(),
            n_settled: 0,
            must_look: true,
            end: None,
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            ends: BTreeMap::new(),
            _watch: watch,
        })
    }

    /// Blocks until there is more.
    ///
    /// # Errors
    /// The records or a log can't be read.
    pub fn wait(&mut self) -> anyhow::Result<Followed> {
        loop {
            if std::mem::take(&mut self.must_look) {
                self.look_at_run()?;
            }
            if let (Some(end), true) = (self.end, self.open.is_empty()) {
                return Ok(Followed::End(end));
            }
            select! {
                recv(self.messages) -> message => match message {
                    Ok(Message::Chunk(section, chunk)) => return Ok(Followed::Chunk(section, chunk)),
                    Ok(Message::Over(key, outcome)) => {
                        self.join(&key);
                        outcome?;
                    }
                    // Can't happen: this side holds a sender.
                    Err(_) => {}
                },
                recv(self.looks) -> _ => {
                    self.must_look = true;
                    self.n_settled = 0;
                    self.settle();
                }
                recv(self.settled) -> _ => {
                    self.must_look = true;
                    self.settle();
                }
            }
        }
    }

    fn settle(&mut self) {
        self.settled = SETTLING.get(self.n_settled).map_or_else(never, |delay| after(*delay));
        self.n_settled += 1;
    }

    /// Follows new attempts, tells the followers of ended ones, and notices the end of the run.
    fn look_at_run(&mut self) -> anyhow::Result<()> {
        let mut record = self.read_record()?;
        self.end = self.end_of(&record);
        if let Some(FollowEnd::Abandoned(_)) = self.end {
            // The engine may have recorded the end and left between the two looks.
            record = self.read_record()?;
            self.end = self.end_of(&record);
        }
        for step in &record.steps {
            if self.step.as_ref().is_some_and(|wanted| *wanted != step.step_id) {
                continue;
            }
            let key = (step.step_id.clone(), step.attempt);
            if step.started_at.is_some() && self.seen.insert(key.clone()) {
                self.follow(&key)?;
            }
        }
        for ((step_id, attempt), (handle, _)) in &self.open {
            let is_current = |step: &&StepSummary| step.step_id == *step_id && step.attempt == *attempt;
            let is_over = record.steps.iter().find(is_current).is_none_or(|step| step.state.is_ended());
            if is_over || self.end.is_some() {
                handle.attempt_is_over();
            }
        }
        Ok(())
    }

    fn read_record(&self) -> anyhow::Result<RunRecord> {
        let record = self.records.run(&self.run_id, engine::now())?;
        record.with_context(|| format!("run {} is gone: it was pruned", self.run_id))
    }

    fn end_of(&mut self, record: &RunRecord) -> Option<FollowEnd> {
        let state = record.run.state;
        if state.is_ended() {
            return Some(FollowEnd::Ended(state));
        }
        let engine = match self.records.presence() {
            Presence::Nobody => None,
            Presence::Engine { pid } => Some(pid),
        };
        let steps = || record.steps.iter().filter(|step| step.state.is_live());
        let living: BTreeSet<u32> = engine.into_iter().chain(steps().filter_map(|step| step.pid)).collect();
        self.ends.retain(|pid, _| living.contains(pid));
        let n_living = living.into_iter().filter(|pid| self.watches(*pid)).count();
        // A process that had just started when its engine died is not recorded. The supervisor knows it, and its
        // journal changes when the process ends.
        let may_be_unrecorded = || steps().any(|step| step.pid.is_none());
        let is_supervised = || supervisor::probe(self.records.data_dir()).is_some_and(|it| it.n_steps > 0);
        let is_abandoned = n_living == 0 && !(may_be_unrecorded() && is_supervised());
        is_abandoned.then_some(FollowEnd::Abandoned(state))
    }

    /// Whether a process lives. Its end then rings `look`.
    fn watches(&mut self, pid: u32) -> bool {
        if self.ends.contains_key(&pid) {
            // Its end may have rung: look anew.
            self.ends.remove(&pid);
        }
        let look = self.look.clone();
        match EndWatch::new(pid, move || look.ring()) {
            Ok(watch) => {
                self.ends.insert(pid, watch);
                true
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    fn follow(&mut self, key: &Key) -> io::Result<()> {
        let section = self.records.log_of(&self.run_id, &key.0, key.1);
        let mut follower = match LogFollower::open(&section.path, 0) {
            Ok(follower) => follower,
            // The log was pruned or never created: there is nothing to follow.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let handle = follower.handle();
        let (sender, done) = (self.sender.clone(), key.clone());
        let thread = thread::short(&format!("lf-log {}", key.0), move || {
            let outcome = loop {
                match follower.next_chunk() {
                    Ok(Some(chunk)) => {
                        if sender.send(Message::Chunk(section.clone(), chunk)).is_err() {
                            return;
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            // Fails when the follower was dropped.
            let _ = sender.send(Message::Over(done, outcome));
        })?;
        self.open.insert(key.clone(), (handle, thread));
        Ok(())
    }

    fn join(&mut self, key: &Key) {
        drop(self.open.remove(key));
    }
}

impl Drop for RunFollower {
    fn drop(&mut self) {
        self.open.values().for_each(|(handle, _)| handle.cancel());
        // Lets go of readers that wait for room in the channel.
        self.messages = never();
        let keys: Vec<_> = self.open.keys().cloned().collect();
        keys.iter().for_each(|key| self.join(key));
    }
}
