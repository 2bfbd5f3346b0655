//! Ends: what a main process leaves behind is ended, stops become kills when their grace is over, and an end is told
//! only when nobody is left and the log is whole.

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

/// What a main process left behind has this long to end by itself.
const LEFTOVERS_GRACE: Duration = Duration::from_secs(2);
/// A process that not even KILL ends (state D on a dead disk) holds up the news of its step's end this long.
const UNKILLABLE: Duration = Duration::from_secs(30);
/// A step that ends by a signal nobody here sent waits this long for the news that the system is shutting down.
const SETTLING: Duration = Duration::from_millis(250);
/// The parent of a taken-over process has this long to reap it.
const REAPING: Duration = Duration::from_secs(1);
/// From one round of kills to the next, at most: what forks meanwhile must not outrun them.
const KILL_ROUND: Duration = Duration::from_millis(20);
/// The same where kills have been in vain for long.
const UNKILLABLE_ROUND: Duration = Duration::from_secs(1);
const MAX_RESCAN_DELAY: Duration = Duration::from_millis(250);

impl Server {
    /// The main process of a step has ended.
    pub(super) fn main_ended(&mut self, n: u64) {
        let Some(step) = self.steps.get_mut(&n) else { return };
        let (MainEnd::Lives, Some(handle)) = (&step.main_end, &step.main) else { return };
        if step.tree.origin == Origin::TakenOver && !is_reaped(step.tree.main, Some(handle.as_fd())) {
            let patience = Instant::now() + REAPING;
            if *step.reaped_by.get_or_insert(patience) > Instant::now() {
                step.wake_at(patience);
                // From here on only the hang-up is told, which comes when it is reaped.
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
            self.nobody_left(n);
        } else {
            self.look_at(n);
        }
    }

    /// Orphans or main processes have ended, or the parent has reaped what a predecessor left.
    pub(super) fn orphans_ended(&mut self) {
        self.n_living_orphans();
        let is_waited_for = |step: &Step| step.main_end == MainEnd::Lives && step.reaped_by.is_some();
        let reaped: Vec<u64> =
            self.steps.iter().filter(|(_, step)| is_waited_for(step)).map(|(n, _)| *n).collect();
        for n in reaped {
            self.main_ended(n);
        }
        let is_ending = |step: &Step| matches!(step.main_end, MainEnd::Leaves { .. });
        let ending: Vec<u64> =
            self.steps.iter().filter(|(_, step)| is_ending(step)).map(|(n, _)| *n).collect();
        for n in ending {
            self.look_at(n);
        }
    }

    /// Reaps the orphans that have ended, and counts those that live: our children that are no main processes. None is
    /// certain: whoever dies leaves its children to us before it can be reaped, so that a list from which nobody is reaped
    /// lacks nobody.
    pub(super) fn n_living_orphans(&mut self) -> usize {
        if let Some(n) = self.n_orphans {
            return n;
        }
        loop {
            let children = self.with_reserve(|server| match process::own_children()? {
                Some(children) => Ok(children),
                None => server.eyes.children_of(server.me),
            });
            let Ok(children) = children else {
                // There may be some, and some may have died: whoever asks has to look for them.
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

    /// Brings a step on its way as far as it goes now. Called when something may have changed, and at its alarm.
    pub(super) fn look_at(&mut self, n: u64) {
        let now = Instant::now();
        let Some(step) = self.steps.get_mut(&n) else { return };
        step.alarm = None;
        if step.unsent.is_some() {
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
            (MainEnd::Lives, _) if step.reaped_by.is_some_and(|at| at <= now) => self.main_ended(n),
            (MainEnd::Lives, Ending::No) => self.go_on_freezing(n),
            (MainEnd::Lives, Ending::Asked { kill_at, .. }) => step.wake_at(kill_at),
            (MainEnd::Lives | MainEnd::Leaves { .. }, Ending::Killing { since }) => self.kill_round(n, since),
            (MainEnd::Leaves { .. }, Ending::No) if step.keep_background => self.keep_leftovers(n),
            (MainEnd::Leaves { .. }, Ending::No) => self.end_leftovers(n),
            (MainEnd::Leaves { .. }, Ending::Asked { kill_at, .. }) => {
                if self.members_for_certain(n).is_some_and(|members| members.is_empty()) {
                    self.nobody_left(n);
                } else {
                    self.rescan(n, kill_at);
                }
            }
        }
    }

    /// What the main process left behind is left alone, and remembered so that no other step is taken for its owner.
    fn keep_leftovers(&mut self, n: u64) {
        let Some(members) = self.members(n) else { return };
        if let Ok(table) = self.table() {
            self.kept.retain(|id| table.holds(*id));
        }
        self.kept.extend(members.iter().map(|member| member.id));
        self.nobody_left(n);
    }

    /// What the main process left behind is asked to end.
    fn end_leftovers(&mut self, n: u64) {
        let Some(members) = self.members_for_certain(n) else { return };
        if members.is_empty() {
            return self.nobody_left(n);
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

    /// Kills whoever is there; goes on until nobody is.
    fn kill_round(&mut self, n: u64, since: Instant) {
        let now = Instant::now();
        let Some(members) = self.members_for_certain(n) else { return };
        let is_first = self.steps.get(&n).is_some_and(|step| step.n_scans == 0);
        let killed = self.with_reserve(|server| {
            process::signal_all(ids(&members), Signal::KILL)?;
            // What outruns a look does not outrun whoever follows it.
            if is_first { Ok(()) } else { server.pursue(n, Signal::KILL).map(drop) }
        });
        if self.seen(n, killed).is_none() {
            return;
        }
        let Some(step) = self.steps.get_mut(&n) else { return };
        let main_lives = step.main_end == MainEnd::Lives;
        let Some(delay) = delay_of_next_kills(main_lives, !members.is_empty(), now - since) else {
            return self.nobody_left(n);
        };
        if delay <= KILL_ROUND {
            return self.rescan(n, now + delay);
        }
        step.wake_at(now + delay);
        if !std::mem::replace(&mut step.is_unkillable, true) {
            let names: Vec<_> = ids(&members).map(process::describe).collect();
            let (step_id, names) = (&step.key.step_id, names.join(", "));
            let reason = format!("step {step_id} can't be ended: the kernel does not end {names}");
            self.tell(HostEvent::Trouble { reason });
        }
    }

    /// Looks again soon, then less and less often, and not later than `at`.
    fn rescan(&mut self, n: u64, at: Instant) {
        if let Some(step) = self.steps.get_mut(&n) {
            let delay = Duration::from_millis(1 << step.n_scans.min(8)).min(MAX_RESCAN_DELAY);
            step.n_scans += 1;
            step.wake_at(at.min(Instant::now() + delay));
        }
    }

    /// The tree has ended: learns how its main process did. That is reaped when its end is in the journal: if this
    /// supervisor dies before, its parent still sees how it ended.
    fn nobody_left(&mut self, n: u64) {
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
                    step.main.as_ref().and_then(|handle| sys::exit_of_stranger(handle.as_fd()))
                {
                    cause = how;
                }
            }
            (Origin::Started | Origin::TakenOver, None) => {}
        }
        // Where all were killed, our parent too, we came right after.
        let died_at = self.predecessor.map_or(self.began_at, |death| death.at);
        let killed_together =
            step.tree.origin == Origin::TakenOver && were_killed_together(cause, ended_at, died_at);
        let interrupted = (interrupted || killed_together) && cause != ExitCause::Code(0);
        let usage = usage.and(sum(usage.map(of_its_own), step.orphans_usage));
        let exit = StepExit { cause, ended_at, usage, interrupted, log_dropped_bytes: 0 };
        let until = Instant::now() + SETTLING;
        step.main_end = MainEnd::Settling { exit, until };
        if may_be_a_shutdown(cause) && !interrupted && !is_asked_by_engine(step) {
            step.wake_at(until);
        } else {
            self.settled(n);
        }
    }

    /// Its end is clear: lets its log be finished.
    pub(super) fn settled(&mut self, n: u64) {
        let Some(step) = self.steps.get_mut(&n) else { return };
        let MainEnd::Settling { exit, .. } = step.main_end.clone() else { return };
        step.main_end = MainEnd::Draining { exit };
        if let Some(n_dropped) = self.mover.finish(n) {
            self.drained(n, n_dropped);
        }
    }

    /// Its log is whole: tells its end.
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

    /// Asks a tree to end, and kills it when the grace is over, whether there is an engine or not.
    pub(super) fn stop(&mut self, key: &AttemptKey, signal: i32, grace: Duration) {
        let Some(n) = self.living(key) else { return };
        let Some(step) = self.steps.get_mut(&n) else { return };
        let now = Instant::now();
        let mut kill_at = now + grace;
        match step.ending {
            Ending::Killing { .. } => return,
            // An engine that took it back says it again: to many a program a second signal means "at once".
            Ending::Asked { kill_at: earlier, by: AskedBy::Engine } => kill_at = kill_at.min(earlier),
            // Sent in this turn still, together with all others that are to end: one look finds the processes of all.
            Ending::No | Ending::Asked { by: AskedBy::ItsOwnEnd, .. } => step.unsent = Some(signal),
        }
        step.freeze = Freeze::None;
        step.ending = Ending::Asked { kill_at, by: AskedBy::Engine };
        step.wake_at(if step.unsent.is_some() { now } else { kill_at });
        self.remember(Record::Thawed { n });
        self.remember(Record::Stopping { n, kill_at_ms: awake_ms_at(kill_at) });
    }

    /// Sends the signal of a stop that was asked for; it is tried again where the processes can't be reached.
    fn send_stop(&mut self, n: u64) {
        let Some(members) = self.members(n) else { return };
        let Some(signal) = self.steps.get(&n).and_then(|step| step.unsent) else { return };
        if self.ask_to_end(n, &members, Signal::from_named_raw(signal).unwrap_or(Signal::TERM))
            && let Some(step) = self.steps.get_mut(&n)
        {
            step.unsent = None;
        }
    }

    /// Sends a signal to processes and lets them see it. Says whether that could be done; else it is to be done again.
    fn ask_to_end(&mut self, n: u64, members: &[Proc], signal: Signal) -> bool {
        let sent = self.with_reserve(|_| {
            process::signal_all(ids(members), signal)?;
            // A stopped process does not see the signal until it goes on.
            process::signal_all(ids(members), Signal::CONT)
        });
        self.seen(n, sent).is_some()
    }

    /// Ends a tree at once.
    pub(super) fn kill(&mut self, key: &AttemptKey) {
        let Some(n) = self.living(key) else { return };
        let Some(step) = self.steps.get_mut(&n) else { return };
        let now = Instant::now();
        if !matches!(step.ending, Ending::Killing { .. }) {
            step.ending = Ending::Killing { since: now };
            step.n_scans = 0;
            self.remember(Record::Stopping { n, kill_at_ms: awake_ms_at(now) });
        }
        self.look_at(n);
    }

    /// The number of a step some of whose processes may live.
    pub(super) fn living(&self, key: &AttemptKey) -> Option<u64> {
        let n = *self.by_key.get(key)?;
        let step = self.steps.get(&n)?;
        matches!(step.main_end, MainEnd::Lives | MainEnd::Leaves { .. }).then_some(n)
    }
}

/// What a main process used, without what is said of it before it became its program.
fn of_its_own(usage: Usage) -> Usage {
    // What can't be read is not known.
    let own_peak = memory::own_peak().ok().flatten();
    let peak_rss_bytes = usage.peak_rss_bytes.and_then(|bytes| memory::peak_of_child(bytes, own_peak));
    Usage { peak_rss_bytes, ..usage }
}

fn ids(members: &[Proc]) -> impl Iterator<Item = ProcId> {
    members.iter().map(|member| member.id)
}

/// How long after a round of kills the next one comes, at most, where the first was so long ago; none: the tree counts as
/// ended.
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
    let told = handle.is_some_and(|handle| sys::exit_of_stranger(handle).is_some());
    let is_gone = |main: ProcId| {
        // What could not be looked at may be there.
        Proc::read(main.pid).is_ok_and(|found| found.is_none_or(|found| found.id != main))
    };
    told || main.is_none_or(is_gone)
}

fn is_asked_by_engine(step: &Step) -> bool {
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

/// The reading of the awake clock at an instant to come.
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

    /// Whether a kernel tells how a process ended that is not its asker's child: since Linux 6.15.
    fn kernel_tells_of_strangers() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(6), Some(15))
    }

    #[test]
    fn a_process_that_is_not_our_child_is_waited_for_until_its_parent_has_reaped_it() {
        // A parent that reaps when it is told to, and says so.
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
            let how = sys::exit_of_stranger(handle.as_fd());
            (how, is_reaped(Some(main), Some(handle.as_fd())))
        };
        assert_eq!(seen(), (None, false), "it lives");
        process::signal(main, Signal::KILL).unwrap();
        let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ended, None).unwrap();
        assert_eq!(seen(), (None, false), "it has ended, and how is not known yet");
        orders.write_all(b"now\n").unwrap();
        assert_eq!(said.next().unwrap(), "137");
        let how = kernel_tells_of_strangers().then_some(ExitCause::Signal(libc::SIGKILL));
        assert_eq!(seen(), (how, true), "its parent has reaped it");
        drop(orders);
        parent.wait().unwrap();
    }
}
