//! Taking over what a predecessor left: by the journal, and by token where the journal knows no process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ending::awake_ms;
use super::step::{AskedBy, End, Ended, Ending, Freeze, LogState, MainEnd, Step};
use super::{Server, Source};
use crate::process::tree::{self, Origin, Tree};
use crate::supervisor::host::{ExitCause, HostEvent, StepExit};
use crate::supervisor::journal::{EndNote, Entry, FreezeNote, Record, SpawnNote, StartNote};
use crate::supervisor::log::Log;
use crate::supervisor::process::{self, Proc, ProcId, ProcTable};

impl Server {
    /// Makes of every entry of the journal a step again, or an end.
    pub(super) fn recover(&mut self) {
        let entries: BTreeMap<u64, Entry> = self.journal.entries().clone();
        self.next_n = entries.keys().next_back().copied().unwrap_or(0) + 1;
        if entries.values().all(|entry| entry.end.is_some()) {
            entries.into_iter().for_each(|(n, entry)| self.recover_end(n, entry));
            return;
        }
        let table = ProcTable::read();
        for (n, entry) in entries {
            self.by_key.insert(entry.start.key.clone(), n);
            if entry.end.is_some() {
                self.recover_end(n, entry);
            } else {
                self.recover_living(n, entry, &table);
            }
        }
        // Everything that was left is known: what is gone is settled before anybody is told what is there.
        let is_gone = |step: &Step| matches!(step.main_end, MainEnd::Leaves { .. });
        let gone: Vec<u64> = self.steps.iter().filter(|(_, step)| is_gone(step)).map(|(n, _)| *n).collect();
        for n in gone {
            self.look_at(n);
        }
    }

    /// Looks which main processes have ended, of those whose ends have not been heard yet: nobody is told of a dead
    /// process that it lives.
    pub(super) fn look_at_mains(&mut self) {
        let living = |step: &&Step| step.main_end == MainEnd::Lives && step.reaped_by.is_none();
        let (numbers, mut handles): (Vec<u64>, Vec<PollFd<'_>>) = self
            .steps
            .iter()
            .filter(|(_, step)| living(step))
            .filter_map(|(n, step)| Some((*n, PollFd::new(step.main.as_ref()?, PollFlags::IN))))
            .unzip();
        // A look that failed is made again by the loop.
        let _ = poll(&mut handles, Some(&Timespec::default()));
        let has_ended = |handle: &PollFd<'_>| !handle.revents().is_empty();
        let ended: Vec<u64> = numbers
            .into_iter()
            .zip(&handles)
            .filter_map(|(n, handle)| has_ended(handle).then_some(n))
            .collect();
        for n in ended {
            self.main_ended(n);
        }
    }

    fn recover_end(&mut self, n: u64, entry: Entry) {
        let key = entry.start.key;
        self.by_key.insert(key.clone(), n);
        let how = match entry.end {
            Some(EndNote::Failed(reason)) => End::StartFailed(reason),
            Some(EndNote::Exited(exit)) => End::Exited(exit),
            None => return,
        };
        self.ended.insert(n, Ended { key, how });
    }

    fn recover_living(&mut self, n: u64, entry: Entry, table: &ProcTable) {
        let spawned = entry.spawned.clone().or_else(|| {
            // Its start was noted, its process was not: it may have been spawned all the same.
            let bearers = tree::bearers_of(&entry.start.token, table, self.me);
            let main = tree::main_among(&bearers)?;
            Some(SpawnNote { main, pipe: None, at: Utc::now() })
        });
        let Some(spawned) = spawned else {
            if tree::bearers_of(&entry.start.token, table, self.me).is_empty() {
                return self.recover_unseen(n, entry.start);
            }
            return self.take_over(n, &entry.start, None);
        };
        self.take_over(n, &entry.start, Some(&spawned));
        if let Some(kill_at_ms) = entry.kill_at_ms
            && let Some(step) = self.steps.get_mut(&n)
        {
            let kill_at = Instant::now() + Duration::from_millis(kill_at_ms.saturating_sub(awake_ms()));
            step.ending = Ending::Asked { kill_at, by: AskedBy::Engine };
            step.wake_at(kill_at);
            return;
        }
        match entry.freeze {
            None => {}
            Some(FreezeNote::Freezing) => self.inherit_freeze(n),
            Some(FreezeNote::Frozen(stopped)) => {
                if let Some(step) = self.steps.get_mut(&n) {
                    step.freeze = Freeze::Frozen(stopped);
                }
            }
        }
    }

    /// A start was noted, and no process is there. The log is made right before the spawn: without it there was none, and
    /// the engine, which finds no trace of it, may ask again. With it there may have been one that has ended already:
    /// the same attempt must not run twice.
    fn recover_unseen(&mut self, n: u64, start: StartNote) {
        if !start.log_path.exists() {
            self.by_key.remove(&start.key);
            return self.remember(Record::Acknowledged { n });
        }
        let exit = StepExit {
            cause: ExitCause::Unknown,
            ended_at: Utc::now(),
            usage: None,
            interrupted: self.told_to_end,
            log_dropped_bytes: 0,
        };
        self.end(n, start.key, End::Exited(exit));
    }

    /// Looks for a living tree with the token of a start, whose supervisor is gone. Says whether there was one.
    pub(super) fn adopt_survivor(&mut self, n: u64, start: &StartNote) -> bool {
        let bearers = tree::bearers_of(&start.token, &ProcTable::read(), self.me);
        if bearers.is_empty() {
            return false;
        }
        self.by_key.insert(start.key.clone(), n);
        self.remember(Record::Start { n, start: start.clone() });
        let spawned = tree::main_among(&bearers).map(|main| SpawnNote { main, pipe: None, at: Utc::now() });
        self.take_over(n, start, spawned.as_ref());
        if let Some(SpawnNote { main, at, .. }) = spawned {
            self.tell(HostEvent::Started { key: start.key.clone(), pid: main.pid, at });
        }
        true
    }

    /// Makes a step of processes that somebody else started. Where the main one is gone, what is left is ended.
    fn take_over(&mut self, n: u64, start: &StartNote, spawned: Option<&SpawnNote>) {
        let main = spawned.map(|spawned| spawned.main);
        let handle = main.and_then(process::open);
        let mut tree = Tree::new(main, &start.token, spawned.and_then(|s| s.pipe), Origin::TakenOver);
        let main_end = if let Some(handle) = &handle {
            self.mains.extend(main.map(|main| main.pid));
            let _ = epoll::add(&self.epoll, handle, Source::Main(n).data(), EventFlags::IN);
            MainEnd::Lives
        } else {
            MainEnd::Leaves { at: Utc::now(), interrupted: self.told_to_end }
        };
        let log = self.go_on_with_log(n, start, &mut tree);
        if let Some(spawned) = spawned {
            self.remember(Record::Spawned { n, spawned: SpawnNote { pipe: tree.pipe, ..spawned.clone() } });
        }
        let mut step = Step {
            key: start.key.clone(),
            started_at: spawned.map_or_else(Utc::now, |spawned| spawned.at),
            keep_background: start.keep_background,
            tree,
            main: handle,
            reaped_by: None,
            log,
            freeze: Freeze::None,
            ending: Ending::No,
            main_end,
            orphans_usage: None,
            alarm: None,
            n_scans: 0,
        };
        // Looked at from the loop, when everything that was left is known.
        step.wake_at(Instant::now());
        self.steps.insert(n, step);
    }

    /// Opens the pipe of a survivor again, and moves its log from where the file ends.
    fn go_on_with_log(&mut self, n: u64, start: &StartNote, tree: &mut Tree) -> LogState {
        let main = tree.main.filter(|main| Proc::read(main.pid).is_some_and(|found| found.id == *main));
        let candidates: Vec<ProcId> = match main {
            Some(main) => vec![main],
            None => {
                tree::bearers_of(&start.token, &ProcTable::read(), self.me).iter().map(|p| p.id).collect()
            }
        };
        let pipe = candidates.iter().find_map(|id| process::reopen_output_pipe(id.pid, tree.pipe));
        let Some((inode, pipe)) = pipe else { return LogState::Closed };
        tree.pipe = Some(inode);
        let added = Log::open(&start.log_path, pipe, start.log_limit).and_then(|log| self.mover.add(n, log));
        if added.is_ok() { LogState::Open } else { LogState::Closed }
    }
}
