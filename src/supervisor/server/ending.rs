//! Ends of steps. Processes that a main process leaves behind are ended. A stop becomes a kill when its grace is over.
//! An end is reported only when no process is left and the log is complete.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::event::epoll::{self, EventFlags};
use rustix::process::Signal;

use super::shutdown::{may_be_a_shutdown, were_killed_together};
use super::step::{AskedBy, End, Ending, Freeze, LogState, MainEnd, Step, sum};
use super::{Server, Source};
use crate::base::id::AttemptKey;
use crate::process::tree::Origin;
use crate::supervisor::host::{ExitCause, HostEvent, StepExit, Usage};
use crate::supervisor::journal::Record;
use crate::supervisor::process::{Proc, ProcId};
use crate::supervisor::reaper::Peeked;
use crate::supervisor::{memory, process, reaper, sys};

/// The grace for processes that a main process left behind.
const LEFTOVERS_GRACE: Duration = Duration::from_secs(2);
/// A process that not even KILL ends (state D on a dead disk) delays the report of its step's end this long.
const UNKILLABLE: Duration = Duration::from_secs(30);
/// When a signal ended a step that the engine did not stop, the report waits this long: the system may be shutting
/// down.
const SETTLING: Duration = Duration::from_millis(250);
/// The parent of a taken-over process has this long to reap it.
const REAPING: Duration = Duration::from_secs(1);
/// The longest time between two rounds of kills: processes must not fork faster than they are killed.
const KILL_ROUND: Duration = Duration::from_millis(20);
/// The same, after kills have had no effect for long.
const UNKILLABLE_ROUND: Duration = Duration::from_secs(1);
const MAX_RESCAN_DELAY: Duration = Duration::from_millis(250);

impl Server {
    /// The main process of a step has ended.
    pub(super) fn main_ended(&mut self, n: u64) {
        let Some(step) = self.steps.get_mut(&n) else { return };
        let (MainEnd::Lives, Some(handle)) = (&step.main_end, &step.main) else { return };
        if step.tree.origin == Origin::TakenOver && !is_reaped(step.tree.main, Some(handle.as_fd())) {
            let patience = Instant::now() + REAPING;
            if *step.reap_deadline.get_or_insert(patience) > Instant::now() {
                step.wake_at(patience);
                // From here on only the hang-up is reported, which comes when the process is reaped.
                if let Some(handle) = &step.main {
                    let _ = epoll::modify(&self.epoll, handle, Source::Main(n).data(), EventFlags::empty());
                }
                return;
            }
        }
        let _ = epoll::delete(&self.epoll, handle);
        step.main_end = MainEnd::Leaves { at: Utc::now(), interrupted: self.shutdown.seems_under_way() };
        step.n_scans = 0;
        let started_here = step.tree.origin == Origin::Started;
        if started_here && self.n_living_orphans() == 0 {
            self.tree_ended(n);
        } else {
            self.advance(n);
        }
    }

    /// Orphans or main processes have ended, or the supervisor's parent has reaped a process of a predecessor.
    pub(super) fn orphans_ended(&mut self) {
        self.n_living_orphans();
        let is_waited_for = |step: &Step| step.main_end == MainEnd::Lives && step.reap_deadline.is_some();
        let reaped: Vec<u64> =
            self.steps.iter().filter(|(_, step)| is_waited_for(step)).map(|(n, _)| *n).collect();
        for n in reaped {
            self.main_ended(n);
        }
        let is_ending = |step: &Step| matches!(step.main_end, MainEnd::Leaves { .. });
        let ending: Vec<u64> =
            self.steps.iter().filter(|(_, step)| is_ending(step)).map(|(n, _)| *n).collect();
        for n in ending {
            self.advance(n);
        }
    }

    /// Reaps the orphans that have ended, and counts those that live. Orphans are our children that are no main
    /// processes. A count of zero is certain: a process that dies leaves its children to us before it can be reaped, so
    /// a list from which none was reaped is complete.
    pub(super) fn n_living_orphans(&mut self) -> usize {
        if let Some(n) = self.n_orphans {
            return n;
        }
        loop {
            let children = self.with_reserve(|server| match process::own_children()? {
                Some(children) => Ok(children),
                None => server.scanner.children_of(server.me),
            });
            let Ok(children) = children else {
                // Some may live and some may have died: the caller must look at the processes.
                self.n_reaped += 1;
                return 1;
            };
            let (mut n_living, n_before) = (0, self.n_reaped);
            for pid in children.into_iter().filter(|pid| !self.mains.contains(pid)) {
                match sys::reap(pid) {
                    None => n_living += 1,
                    Some((_, usage)) => {
                        self.n_reaped += 1;
                        if let Some(step) = self.steps.values_mut().find(|step| step.tree.has_seen(pid)) {
                            step.orphans_usage = sum(step.orphans_usage, Some(usage));
                        }
                    }
                }
            }
            if self.n_reaped == n_before || n_living > 0 {
                self.n_orphans = Some(n_living);
                return n_living;
            }
        }
    }

    /// Advances a step as far as possible now. Called when something may have changed, and at the step's alarm.
    pub(super) fn advance(&mut self, n: u64) {
        let now = Instant::now();
        let Some(step) = self.steps.get_mut(&n) else { return };
        step.alarm = None;
        if step.unsent_signal.is_some() {
            self.send_stop(n);
        }
        let Some(step) = self.steps.get_mut(&n) else { return };
        if let Ending::Asked { kill_at, .. } = step.ending
            && kill_at <= now
        {
            (step.ending, step.n_scans) = (Ending::Killing { since: now }, 0);
        }
        match (&step.main_end, step.ending) {
            (MainEnd::Draining { .. }, _) => {}
            (MainEnd::Settling { until, .. }, _) => match *until {
                until if until <= now => self.settled(n),
                until => step.wake_at(until),
            },
            (MainEnd::Lives, _) if step.reap_deadline.is_some_and(|at| at <= now) => self.main_ended(n),
            (MainEnd::Lives, Ending::No) => self.go_on_freezing(n),
            (MainEnd::Lives, Ending::Asked { kill_at, .. }) => step.wake_at(kill_at),
            (MainEnd::Lives | MainEnd::Leaves { .. }, Ending::Killing { since }) => self.kill_round(n, since),
            (MainEnd::Leaves { .. }, Ending::No) if step.keep_background => self.keep_leftovers(n),
            (MainEnd::Leaves { .. }, Ending::No) => self.end_leftovers(n),
            (MainEnd::Leaves { .. }, Ending::Asked { kill_at, .. }) => {
                if self.confirmed_members(n).is_some_and(|members| members.is_empty()) {
                    self.tree_ended(n);
                } else {
                    self.rescan(n, kill_at);
                }
            }
        }
    }

    /// Processes that the main process left behind may go on. They are remembered, so that they are not taken for
    /// another step's.
    fn keep_leftovers(&mut self, n: u64) {
        let Some(members) = self.members(n) else { return };
        if let Ok(table) = self.table() {
            self.kept.retain(|id| table.holds(*id));
        }
        self.kept.extend(members.iter().map(|member| member.id));
        self.tree_ended(n);
    }

    /// Asks the processes that the main process left behind to end.
    fn end_leftovers(&mut self, n: u64) {
        let Some(members) = self.confirmed_members(n) else { return };
        if members.is_empty() {
            return self.tree_ended(n);
        }
        if !self.ask_to_end(n, &members, Signal::TERM) {
            return;
        }
        let kill_at = Instant::now() + LEFTOVERS_GRACE;
        if let Some(step) = self.steps.get_mut(&n) {
            step.ending = Ending::Asked { kill_at, by: AskedBy::ItsOwnEnd };
            step.freeze = Freeze::None;
        }
        self.rescan(n, kill_at);
    }

    /// Kills every process of the tree, in rounds until none is left.
    fn kill_round(&mut self, n: u64, since: Instant) {
        let now = Instant::now();
        let Some(members) = self.confirmed_members(n) else { return };
        let is_first = self.steps.get(&n).is_some_and(|step| step.n_scans == 0);
        let killed = self.with_reserve(|server| {
            process::signal_all(ids(&members), Signal::KILL)?;
            // A chain of forks can be faster than a look at all processes, but not faster than following it.
            if is_first { Ok(()) } else { server.signal_descendants(n, Signal::KILL).map(drop) }
        });
        if self.checked(n, killed).is_none() {
            return;
        }
        let Some(step) = self.steps.get_mut(&n) else { return };
        let main_lives = step.main_end == MainEnd::Lives;
        let Some(delay) = delay_of_next_kills(main_lives, !members.is_empty(), now - since) else {
            return self.tree_ended(n);
        };
        if delay <= KILL_ROUND {
            return self.rescan(n, now + delay);
        }
        step.wake_at(now + delay);
        if !std::mem::replace(&mut step.is_unkillable, true) {
            let names: Vec<_> = ids(&members).map(process::describe).collect();
            let (step_id, names) = (&step.key.step_id, names.join(", "));
            let reason = format!("step {step_id} can't be ended: the kernel does not end {names}");
            self.send_event(HostEvent::Trouble { reason });
        }
    }

    /// Looks again soon, then less and less often, but not later than `at`.
    fn rescan(&mut self, n: u64, at: Instant) {
        if let Some(step) = self.steps.get_mut(&n) {
            let delay = Duration::from_millis(1 << step.n_scans.min(8)).min(MAX_RESCAN_DELAY);
            step.n_scans += 1;
            step.wake_at(at.min(Instant::now() + delay));
        }
    }

    /// The tree has ended: finds out how its main process ended. That process is reaped only when its end is in the
    /// journal. So if this supervisor dies before, its parent still sees how the process ended.
    fn tree_ended(&mut self, n: u64) {
        let Some(step) = self.steps.get_mut(&n) else { return };
        let MainEnd::Leaves { at, interrupted } = step.main_end else { return };
        let (mut cause, mut usage, mut ended_at) = (ExitCause::Unknown, None, at);
        match (step.tree.origin, step.tree.main) {
            (Origin::Started, Some(main)) => {
                if let Peeked::Ended(_, how, used) = reaper::peek(Some(main.pid)) {
                    (cause, usage) = (how, Some(used));
                }
            }
            (Origin::TakenOver, Some(main)) => {
                self.mains.remove(&main.pid);
                if let Some(note) = self.notes.of(main) {
                    (cause, usage, ended_at) = (note.cause, Some(note.usage), note.at);
                } else if let Some(how) =
                    step.main.as_ref().and_then(|handle| sys::exit_of_non_child(handle.as_fd()))
                {
                    cause = how;
                }
            }
            (Origin::Started | Origin::TakenOver, None) => {}
        }
        // When the parent was killed as well, this supervisor began right after.
        let died_at = self.predecessor.map_or(self.began_at, |death| death.at);
        let killed_together =
            step.tree.origin == Origin::TakenOver && were_killed_together(cause, ended_at, died_at);
        let interrupted = (interrupted || killed_together) && cause != ExitCause::Code(0);
        let usage = usage.map(|used| of_its_own(used, step.peak_before));
        let usage = usage.and(sum(usage, step.orphans_usage));
        let exit = StepExit { cause, ended_at, usage, interrupted, log_dropped_bytes: 0 };
        let until = Instant::now() + SETTLING;
        step.main_end = MainEnd::Settling { exit, until };
        if may_be_a_shutdown(cause) && !interrupted && !is_stopped_by_engine(step) {
            step.wake_at(until);
        } else {
            self.settled(n);
        }
    }

    /// How it ended is settled: completes its log.
    pub(super) fn settled(&mut self, n: u64) {
        let Some(step) = self.steps.get_mut(&n) else { return };
        let MainEnd::Settling { exit, .. } = step.main_end.clone() else { return };
        step.main_end = MainEnd::Draining { exit };
        if let Some(n_dropped) = self.mover.finish(n) {
            self.drained(n, n_dropped);
        }
    }

    /// Its log is complete: reports its end.
    pub(super) fn drained(&mut self, n: u64, n_dropped: u64) {
        let is_draining = |step: &Step| matches!(step.main_end, MainEnd::Draining { .. });
        if !self.steps.get(&n).is_some_and(is_draining) {
            return;
        }
        let Some(step) = self.steps.remove(&n) else { return };
        let MainEnd::Draining { mut exit } = step.main_end else { return };
        exit.log_dropped_bytes = n_dropped;
        if step.keep_background && step.log == LogState::Open {
            self.keep_log(n);
        } else {
            self.mover.remove(n);
        }
        self.end(n, step.key, End::Exited(exit));
        if let (Origin::Started, Some(main)) = (step.tree.origin, step.tree.main) {
            self.mains.remove(&main.pid);
            sys::reap(main.pid);
        }
    }

    /// Asks a tree to end, and kills it when the grace is over, with or without an engine.
    pub(super) fn stop(&mut self, key: &AttemptKey, signal: i32, grace: Duration) {
        let Some(n) = self.living(key) else { return };
        let Some(step) = self.steps.get_mut(&n) else { return };
        let now = Instant::now();
        let mut kill_at = now + grace;
        match step.ending {
            Ending::Killing { .. } => return,
            // The engine may repeat a stop after recovery. The signal is not sent again: many programs take a second
            // one as "at once".
            Ending::Asked { kill_at: earlier, by: AskedBy::Engine } => kill_at = kill_at.min(earlier),
            // Sent later in this turn, together with all other stops, so that one look finds the processes of all.
            Ending::No | Ending::Asked { by: AskedBy::ItsOwnEnd, .. } => step.unsent_signal = Some(signal),
        }
        step.freeze = Freeze::None;
        step.ending = Ending::Asked { kill_at, by: AskedBy::Engine };
        step.wake_at(if step.unsent_signal.is_some() { now } else { kill_at });
        self.remember(Record::Thawed { n });
        self.remember(Record::Stopping { n, kill_at_ms: awake_ms_at(kill_at) });
    }

    /// Sends the signal of a stop. It is tried again when a process can't be signalled.
    fn send_stop(&mut self, n: u64) {
        let Some(members) = self.members(n) else { return };
        let Some(signal) = self.steps.get(&n).and_then(|step| step.unsent_signal) else { return };
        if self.ask_to_end(n, &members, Signal::from_named_raw(signal).unwrap_or(Signal::TERM))
            && let Some(step) = self.steps.get_mut(&n)
        {
            step.unsent_signal = None;
        }
    }

    /// Sends a signal to processes and continues the stopped ones. Returns false when that failed and must be done
    /// again.
    fn ask_to_end(&mut self, n: u64, members: &[Proc], signal: Signal) -> bool {
        let sent = self.with_reserve(|_| {
            process::signal_all(ids(members), signal)?;
            // A stopped process does not get the signal until it is continued.
            process::signal_all(ids(members), Signal::CONT)
        });
        self.checked(n, sent).is_some()
    }

    /// Kills a tree at once.
    pub(super) fn kill(&mut self, key: &AttemptKey) {
        let Some(n) = self.living(key) else { return };
        let Some(step) = self.steps.get_mut(&n) else { return };
        let now = Instant::now();
        if !matches!(step.ending, Ending::Killing { .. }) {
            step.ending = Ending::Killing { since: now };
            step.n_scans = 0;
            self.remember(Record::Stopping { n, kill_at_ms: awake_ms_at(now) });
        }
        self.advance(n);
    }

    /// The number of the step, if some of its processes may live.
    pub(super) fn living(&self, key: &AttemptKey) -> Option<u64> {
        let n = *self.by_key.get(key)?;
        let step = self.steps.get(&n)?;
        matches!(step.main_end, MainEnd::Lives | MainEnd::Leaves { .. }).then_some(n)
    }
}

/// What a main process used, without a memory peak that may be from before its exec.
fn of_its_own(usage: Usage, peak_before: Option<u64>) -> Usage {
    // A supervisor before this one, which may have made the process, is alike. Unknown if it can't be read.
    let peak_before = peak_before.or_else(|| memory::peak_of(std::process::id()).ok().flatten());
    let peak_rss_bytes = usage.peak_rss_bytes.and_then(|bytes| memory::peak_of_program(bytes, peak_before));
    Usage { peak_rss_bytes, ..usage }
}

fn ids(members: &[Proc]) -> impl Iterator<Item = ProcId> {
    members.iter().map(|member| member.id)
}

/// The longest time from a round of kills to the next, given the time since the first round; none when the tree counts
/// as ended.
fn delay_of_next_kills(main_lives: bool, others_live: bool, since_first: Duration) -> Option<Duration> {
    let is_late = since_first >= UNKILLABLE;
    match (main_lives, others_live) {
        (true, _) if is_late => Some(UNKILLABLE_ROUND),
        (false, true) if is_late => None,
        (true, _) | (false, true) => Some(KILL_ROUND),
        (false, false) => None,
    }
}

/// Whether a taken-over main process has left the table of processes.
fn is_reaped(main: Option<ProcId>, handle: Option<BorrowedFd<'_>>) -> bool {
    let is_reported = handle.is_some_and(|handle| sys::exit_of_non_child(handle).is_some());
    let is_gone = |main: ProcId| {
        // If it could not be read, it may still be there.
        Proc::read(main.pid).is_ok_and(|found| found.is_none_or(|found| found.id != main))
    };
    is_reported || main.is_none_or(is_gone)
}

fn is_stopped_by_engine(step: &Step) -> bool {
    match step.ending {
        Ending::No | Ending::Asked { by: AskedBy::ItsOwnEnd, .. } => false,
        Ending::Asked { by: AskedBy::Engine, .. } | Ending::Killing { .. } => true,
    }
}

/// Milliseconds since boot while the machine was awake.
pub(super) fn awake_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The reading of that clock at a coming instant.
fn awake_ms_at(at: Instant) -> u64 {
    let ahead = at.saturating_duration_since(Instant::now());
    awake_ms() + u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_kills_do_not_end_is_killed_less_often_and_leftovers_hold_up_an_end_no_longer() {
        let (soon, late) = (Duration::ZERO, UNKILLABLE);
        for (main_lives, others_live, since_first, expected) in [
            (true, true, soon, Some(KILL_ROUND)),
            (true, false, soon, Some(KILL_ROUND)),
            (false, true, soon, Some(KILL_ROUND)),
            (false, false, soon, None),
            (true, true, late, Some(UNKILLABLE_ROUND)),
            (true, false, late, Some(UNKILLABLE_ROUND)),
            (false, true, late, None),
            (false, false, late, None),
        ] {
            let delay = delay_of_next_kills(main_lives, others_live, since_first);
            assert_eq!(delay, expected, "{main_lives} {others_live} {since_first:?}");
        }
    }

    /// Whether the kernel reports how a process ended that is not the caller's child: since Linux 6.15.
    fn kernel_reports_non_children() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(6), Some(15))
    }

    #[test]
    fn a_process_that_is_not_our_child_is_waited_for_until_its_parent_has_reaped_it() {
        // A parent that reaps on command, and reports it.
        let script = "sleep 600 & echo $!; read now; wait $!; echo $?; read end";
        let mut parent = Command::new("sh");
        parent.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut parent = parent.spawn().unwrap();
        let (mut orders, said) = (parent.stdin.take().unwrap(), parent.stdout.take().unwrap());
        let mut said = BufReader::new(said).lines().map(Result::unwrap);
        let pid = said.next().unwrap().parse().unwrap();
        let main = Proc::read(pid).unwrap().unwrap().id;
        let handle = process::open(main).unwrap().unwrap();
        let seen = || {
            let how = sys::exit_of_non_child(handle.as_fd());
            (how, is_reaped(Some(main), Some(handle.as_fd())))
        };
        assert_eq!(seen(), (None, false), "it lives");
        process::signal(main, Signal::KILL).unwrap();
        let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ended, None).unwrap();
        assert_eq!(seen(), (None, false), "it has ended, and how is not known yet");
        orders.write_all(b"now\n").unwrap();
        assert_eq!(said.next().unwrap(), "137");
        let how = kernel_reports_non_children().then_some(ExitCause::Signal(libc::SIGKILL));
        assert_eq!(seen(), (how, true), "its parent has reaped it");
        drop(orders);
        parent.wait().unwrap();
    }
}
