//! Taking over what a predecessor left: by the journal, and by token where the journal names no process.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ending::awake_ms;
use super::step::{AskedBy, End, Ended, Ending, Freeze, LogState, MainEnd, Step};
use super::{Server, Source};
use crate::process::tree::{Origin, Tree};
use crate::process::{output_pipes, tree};
use crate::supervisor::host::{ExitCause, HostEvent, StepExit};
use crate::supervisor::journal::{EndNote, Entry, FreezeNote, Record, SpawnNote, StartNote};
use crate::supervisor::log::Log;
use crate::supervisor::process;
use crate::supervisor::process::{ProcId, ProcTable};
use crate::supervisor::reaper::Inherited;

impl Server {
    /// Turns every entry of the journal into a step or an end. `inherited` holds the pipes that a predecessor had open.
    ///
    /// # Errors
    /// The processes could not be read, so it is not known which live.
    pub(super) fn recover(&mut self, inherited: &mut Inherited) -> io::Result<()> {
        let entries: BTreeMap<u64, Entry> = self.journal.entries().clone();
        self.next_n = entries.keys().next_back().copied().unwrap_or(0) + 1;
        if entries.values().all(|entry| entry.end.is_some() && !entry.log_is_kept) {
            entries.into_iter().for_each(|(n, entry)| self.recover_end(n, entry));
            return Ok(());
        }
        let table = self.table()?;
        let mains: HashSet<ProcId> =
            entries.values().filter_map(|entry| entry.spawned.as_ref()).map(|spawned| spawned.main).collect();
        let mut unseen = Vec::new();
        for (n, entry) in entries {
            if entry.log_is_kept && entry.end.is_some() {
                self.recover_kept_log(n, &entry, &table, inherited)?;
            }
            match (&entry.end, entry.spawned.clone()) {
                (Some(_), _) if entry.is_acknowledged => {}
                (Some(_), _) => self.recover_end(n, entry),
                (None, Some(spawned)) => self.recover_living(n, entry, &spawned, inherited)?,
                (None, None) => unseen.push((n, entry)),
            }
        }
        for (n, entry) in unseen {
            self.recover_unspawned(n, entry, &table, &mains, inherited)?;
        }
        // All processes are known now. Trees whose main process is gone are settled before the first inventory.
        let is_gone = |step: &Step| matches!(step.main_end, MainEnd::Leaves { .. });
        let gone: Vec<u64> = self.steps.iter().filter(|(_, step)| is_gone(step)).map(|(n, _)| *n).collect();
        for n in gone {
            self.advance(n);
        }
        Ok(())
    }

    /// Finds main processes that have ended without an event so far, so that no dead process is reported as living.
    pub(super) fn check_main_processes(&mut self) {
        let living = |step: &&Step| step.main_end == MainEnd::Lives && step.reap_deadline.is_none();
        let (numbers, mut handles): (Vec<u64>, Vec<PollFd<'_>>) = self
            .steps
            .iter()
            .filter(|(_, step)| living(step))
            .filter_map(|(n, step)| Some((*n, PollFd::new(step.main.as_ref()?, PollFlags::IN))))
            .unzip();
        // If it fails, the loop finds the ends later.
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

    fn recover_living(
        &mut self,
        n: u64,
        entry: Entry,
        spawned: &SpawnNote,
        inherited: &mut Inherited,
    ) -> io::Result<()> {
        self.by_key.insert(entry.start.key.clone(), n);
        self.take_over(n, &entry.start, Some(spawned), inherited)?;
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

    /// The journal holds a start without a process. It may have been spawned all the same. Then a process with its
    /// token lives, or the parent noted the end of a process that no entry names. The log is created right before the
    /// spawn. Without a log there was no spawn, and the engine may ask for the start again. With a log there may have
    /// been one, and the same attempt must not run twice.
    fn recover_unspawned(
        &mut self,
        n: u64,
        entry: Entry,
        table: &ProcTable,
        mains: &HashSet<ProcId>,
        inherited: &mut Inherited,
    ) -> io::Result<()> {
        let holders = tree::processes_with_token(&entry.start.token, table, self.me)?;
        let at = Utc::now();
        let living = tree::main_among(&holders).map(|main| SpawnNote { main, pipe: None, at });
        let spawned = living.or_else(|| {
            let main = self.unclaimed_exit(entry.start.at_ticks, mains)?;
            Some(SpawnNote { main, pipe: inherited.only_unclaimed(), at })
        });
        if let Some(spawned) = spawned {
            return self.recover_living(n, entry, &spawned, inherited);
        }
        let start = entry.start;
        if !holders.is_empty() {
            self.by_key.insert(start.key.clone(), n);
            return self.take_over(n, &start, None, inherited);
        }
        if !start.log_path.exists() {
            self.remember(Record::Acknowledged { n });
            return Ok(());
        }
        self.by_key.insert(start.key.clone(), n);
        let exit = StepExit {
            cause: ExitCause::Unknown,
            ended_at: Utc::now(),
            usage: None,
            interrupted: self.shutdown.seems_under_way(),
            log_dropped_bytes: 0,
        };
        self.end(n, start.key, End::Exited(exit));
        Ok(())
    }

    /// The main process of a noted exit that no entry of the journal names, started between `since_ticks` and our
    /// predecessor's death. None unless there is exactly one.
    fn unclaimed_exit(&self, since_ticks: u64, mains: &HashSet<ProcId>) -> Option<ProcId> {
        let until_ticks = self.predecessor?.at_ticks;
        let noted = self.notes.read().into_iter().map(|note| note.main);
        only_unclaimed(noted, since_ticks..=until_ticks, mains)
    }

    /// Looks for a living tree with the token of a start, left by a supervisor that is gone. Returns whether there was
    /// one.
    ///
    /// # Errors
    /// The processes could not be read: there may be one.
    pub(super) fn adopt_survivor(&mut self, n: u64, start: &StartNote) -> io::Result<bool> {
        let holders = self.survivors(&start.token)?;
        if holders.is_empty() {
            return Ok(false);
        }
        self.by_key.insert(start.key.clone(), n);
        self.remember(Record::Start { n, start: start.clone() });
        let spawned = tree::main_among(&holders).map(|main| SpawnNote { main, pipe: None, at: Utc::now() });
        self.take_over(n, start, spawned.as_ref(), &mut Inherited::default())?;
        if let Some(SpawnNote { main, at, .. }) = spawned {
            self.send_event(HostEvent::Started { key: start.key.clone(), pid: main.pid, at });
        }
        Ok(true)
    }

    /// Makes a step of processes that an earlier supervisor started. If the main process is gone, the others are ended.
    fn take_over(
        &mut self,
        n: u64,
        start: &StartNote,
        spawned: Option<&SpawnNote>,
        inherited: &mut Inherited,
    ) -> io::Result<()> {
        let main = spawned.map(|spawned| spawned.main);
        let handle = main.map(process::open).transpose()?.flatten();
        let mut tree = Tree::new(main, &start.token, spawned.and_then(|s| s.pipe), Origin::TakenOver);
        let main_end = if let Some(handle) = &handle {
            self.mains.extend(main.map(|main| main.pid));
            let _ = epoll::add(&self.epoll, handle, Source::Main(n).data(), EventFlags::IN);
            MainEnd::Lives
        } else {
            MainEnd::Leaves { at: Utc::now(), interrupted: self.shutdown.seems_under_way() }
        };
        let log = self.go_on_with_log(n, start, &mut tree, inherited)?;
        if let Some(spawned) = spawned {
            self.remember(Record::Spawned { n, spawned: SpawnNote { pipe: tree.pipe, ..spawned.clone() } });
        }
        let mut step = Step {
            key: start.key.clone(),
            started_at: spawned.map_or_else(Utc::now, |spawned| spawned.at),
            keep_background: start.keep_background,
            tree,
            main: handle,
            reap_deadline: None,
            peak_before: None,
            log,
            freeze: Freeze::None,
            ending: Ending::No,
            unsent_signal: None,
            main_end,
            orphans_usage: None,
            first_empty_snapshot: None,
            alarm: None,
            n_scans: 0,
            is_unkillable: false,
        };
        // The loop looks at it when all processes are known.
        step.wake_at(Instant::now());
        self.steps.insert(n, step);
        Ok(())
    }

    /// Goes on moving the log of a survivor from the end of the file: from the pipe that a predecessor had open, else
    /// from that of one of its processes.
    fn go_on_with_log(
        &mut self,
        n: u64,
        start: &StartNote,
        tree: &mut Tree,
        inherited: &mut Inherited,
    ) -> io::Result<LogState> {
        let writers = self.writers_of(start, tree)?;
        if tree.pipe.is_none() {
            tree.pipe = writers.iter().find_map(|id| Some(output_pipes(id.pid).next()?.0));
        }
        let claimed = tree.pipe.and_then(|inode| inherited.claim(inode));
        let reopened = || {
            let reopen = |id: &ProcId| process::reopen_output_pipe(id.pid, tree.pipe);
            writers.iter().find_map(reopen).map(|(_, pipe)| pipe)
        };
        let Some(pipe) = claimed.or_else(reopened) else { return Ok(LogState::Closed) };
        let (path, limit) = (&start.log_path, start.log_limit);
        // A second descriptor, in case the first can't become a log: the step writes on, and must not be blocked by a
        // full pipe.
        let spare = pipe.try_clone()?;
        let log = Log::open(path, pipe, limit).or_else(|error| {
            let reason = format!("{error}; what it writes is dropped");
            self.send_event(HostEvent::LogTrouble { key: start.key.clone(), reason, disk_full: false });
            Log::without_file(path, spare, limit)
        });
        let added = log.and_then(|log| self.mover.add(n, log));
        Ok(if added.is_ok() { LogState::Open } else { LogState::Closed })
    }

    /// The processes that may have the pipe of a survivor's log as their output.
    fn writers_of(&mut self, start: &StartNote, tree: &Tree) -> io::Result<Vec<ProcId>> {
        let table = self.table()?;
        Ok(match tree.main.filter(|main| table.holds(*main)) {
            Some(main) => vec![main],
            None => tree::processes_with_token(&start.token, &table, self.me)?.iter().map(|p| p.id).collect(),
        })
    }
}

/// The only process of `noted` that started within this time (in clock ticks since boot) and is not a known main
/// process. None when there are several, or when the beginning of the time is not known.
fn only_unclaimed(
    noted: impl Iterator<Item = ProcId>,
    started: RangeInclusive<u64>,
    known: &HashSet<ProcId>,
) -> Option<ProcId> {
    let is_unclaimed =
        |main: &ProcId| *started.start() > 0 && started.contains(&main.start) && !known.contains(main);
    let mut strangers = noted.filter(is_unclaimed);
    strangers.next().filter(|_| strangers.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_began_between_the_start_and_the_death_of_the_supervisor_can_be_what_was_started() {
        let noted = |start: u64| ProcId { pid: 1_000 + u32::try_from(start).unwrap(), start };
        let check = |starts: &[u64], started, known: &[u64], expected: Option<u64>| {
            let known = known.iter().copied().map(noted).collect();
            let found = only_unclaimed(starts.iter().copied().map(noted), started, &known);
            assert_eq!(found, expected.map(noted), "{starts:?}");
        };
        check(&[5], 4..=6, &[], Some(5));
        check(&[3, 5, 7], 4..=6, &[], Some(5));
        check(&[3], 4..=6, &[], None);
        // A process in a session of its own that a step of the next supervisor left behind.
        check(&[7], 4..=6, &[], None);
        check(&[5, 6], 4..=6, &[], None);
        check(&[5, 6], 4..=6, &[6], Some(5));
        check(&[5], 0..=6, &[], None);
    }
}
