//! Taking over what a predecessor left: by the journal, and by token where the journal knows no process.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::event::epoll::{self, EventFlags};

use super::ending::awake_ms;
use super::step::{AskedBy, End, Ended, Ending, Freeze, LogState, MainEnd, Step};
use super::{Server, Source};
use crate::process::tree::{self, Origin, Tree};
use crate::supervisor::host::{ExitCause, HostEvent, StepExit};
use crate::supervisor::journal::{EndNote, Entry, FreezeNote, Record, SpawnNote, StartNote};
use crate::supervisor::log::Log;
use crate::supervisor::process::{self, ProcId, ProcTable};

impl Server {
    /// Makes of every entry of the journal a step again, or an end.
    ///
    /// # Errors
    /// The processes could not be looked at: what lives is not known.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        let entries: BTreeMap<u64, Entry> = self.journal.entries().clone();
        self.next_n = entries.keys().next_back().copied().unwrap_or(0) + 1;
        if entries.values().all(|entry| entry.end.is_some()) {
            entries.into_iter().for_each(|(n, entry)| self.recover_end(n, entry));
            return Ok(());
        }
        let table = self.table()?;
        for (n, entry) in entries {
            self.by_key.insert(entry.start.key.clone(), n);
            if entry.end.is_some() {
                self.recover_end(n, entry);
            } else {
                self.recover_living(n, entry, &table)?;
            }
        }
        Ok(())
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

    fn recover_living(&mut self, n: u64, entry: Entry, table: &ProcTable) -> io::Result<()> {
        let spawned = match entry.spawned.clone() {
            Some(spawned) => spawned,
            None => {
                // Its start was noted, its process was not: it may have been spawned all the same.
                let bearers = tree::bearers_of(&entry.start.token, table, self.me)?;
                if bearers.is_empty() {
                    self.recover_unseen(n, entry.start);
                    return Ok(());
                }
                let Some(main) = tree::main_among(&bearers) else {
                    return self.take_over(n, &entry.start, None);
                };
                SpawnNote { main, pipe: None, at: Utc::now() }
            }
        };
        self.take_over(n, &entry.start, Some(&spawned))?;
        if let Some(kill_at_ms) = entry.kill_at_ms
            && let Some(step) = self.steps.get_mut(&n)
        {
            let kill_at = Instant::now() + Duration::from_millis(kill_at_ms.saturating_sub(awake_ms()));
            step.ending = Ending::Asked { kill_at, by: AskedBy::Engine };
            step.wake_at(kill_at);
            return Ok(());
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
        Ok(())
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
    ///
    /// # Errors
    /// The processes could not be looked at: there may be one.
    pub(super) fn adopt_survivor(&mut self, n: u64, start: &StartNote) -> io::Result<bool> {
        let table = self.table()?;
        let bearers = tree::bearers_of(&start.token, &table, self.me)?;
        if bearers.is_empty() {
            return Ok(false);
        }
        self.by_key.insert(start.key.clone(), n);
        self.remember(Record::Start { n, start: start.clone() });
        let spawned = tree::main_among(&bearers).map(|main| SpawnNote { main, pipe: None, at: Utc::now() });
        self.take_over(n, start, spawned.as_ref())?;
        if let Some(SpawnNote { main, at, .. }) = spawned {
            self.tell(HostEvent::Started { key: start.key.clone(), pid: main.pid, at });
        }
        Ok(true)
    }

    /// Makes a step of processes that somebody else started. Where the main one is gone, what is left is ended.
    fn take_over(&mut self, n: u64, start: &StartNote, spawned: Option<&SpawnNote>) -> io::Result<()> {
        let main = spawned.map(|spawned| spawned.main);
        let handle = main.map(process::open).transpose()?.flatten();
        let mut tree = Tree::new(main, &start.token, spawned.and_then(|s| s.pipe), Origin::TakenOver);
        let main_end = if let Some(handle) = &handle {
            self.mains.extend(main.map(|main| main.pid));
            let _ = epoll::add(&self.epoll, handle, Source::Main(n).data(), EventFlags::IN);
            MainEnd::Lives
        } else {
            MainEnd::Leaves { at: Utc::now(), interrupted: self.told_to_end }
        };
        let log = self.go_on_with_log(n, start, &mut tree)?;
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
            unsent: None,
            main_end,
            orphans_usage: None,
            deserted_at: None,
            alarm: None,
            n_scans: 0,
        };
        // Looked at from the loop, when everything that was left is known.
        step.wake_at(Instant::now());
        self.steps.insert(n, step);
        Ok(())
    }

    /// Opens the pipe of a survivor again, and moves its log from where the file ends.
    fn go_on_with_log(&mut self, n: u64, start: &StartNote, tree: &mut Tree) -> io::Result<LogState> {
        let table = self.table()?;
        let candidates: Vec<ProcId> = match tree.main.filter(|main| table.holds(*main)) {
            Some(main) => vec![main],
            None => tree::bearers_of(&start.token, &table, self.me)?.iter().map(|p| p.id).collect(),
        };
        let pipe = candidates.iter().find_map(|id| process::reopen_output_pipe(id.pid, tree.pipe));
        let Some((inode, pipe)) = pipe else { return Ok(LogState::Closed) };
        tree.pipe = Some(inode);
        let (path, limit) = (&start.log_path, start.log_limit);
        // Opened twice only where the first can't become a log: the step writes on, and must not wait for a reader.
        let spare = pipe.try_clone()?;
        let log = Log::open(path, pipe, limit).or_else(|error| {
            let reason = format!("{error}; what it writes is dropped");
            self.tell(HostEvent::LogTrouble { key: start.key.clone(), reason, disk_full: false });
            Log::without_file(path, spare, limit)
        });
        let added = log.and_then(|log| self.mover.add(n, log));
        Ok(if added.is_ok() { LogState::Open } else { LogState::Closed })
    }
}
