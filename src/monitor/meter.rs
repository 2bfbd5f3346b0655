//! Adds up what the processes of a tree have used, including ended ones. Pure: readings and time are arguments.
//!
//! When a process ends and its parent waits for it, the kernel adds what it used to the parent's figures. When no
//! process of the tree waits for it (an orphan, or a parent that ignores SIGCHLD), its last reading is kept here. The
//! page faults in the parent's figures show which of the two happened, because every process has some.

use std::collections::HashMap;

use super::procfs::IoBytes;
use crate::process::{ProcId, Stat};
use crate::resources::StepTotals;

/// When something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Milliseconds since boot while the machine was awake.
    pub(super) awake_ms: u64,
    /// Clock ticks since boot, sleep included: the unit of start times.
    pub(super) boot_ticks: u64,
}

/// The units of the figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    pub(super) ticks_per_second: u64,
    pub(super) page_bytes: u64,
    pub(super) n_cpus: usize,
}

/// One reading of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) stat: Stat,
    /// None when it can't be read.
    pub(super) io: Option<IoBytes>,
}

/// Resources that add up over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    cpu_ticks: u64,
    io: IoBytes,
}

/// What a tree uses at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) cpu_fraction: f64,
    pub(super) memory_bytes: u64,
    pub(super) read_rate: f64,
    pub(super) write_rate: f64,
    pub(super) written_bytes: u64,
    pub(super) output_rate: f64,
    pub(super) n_processes: u32,
}

/// The sums of one tree.
#[derive(Debug, Default)]
pub(super) struct TreeMeter {
    last: HashMap<u32, Reading>,
    /// Used by ended processes for which no process of the tree has waited.
    ended: Used,
    total: Used,
    totals: StepTotals,
}

impl TreeMeter {
    /// The processes of the last reading, by which zombies are found again.
    pub(super) fn known(&self) -> impl Iterator<Item = ProcId> {
        self.last.values().map(|reading| reading.stat.proc.id)
    }

    /// What the tree has used so far.
    pub(super) fn totals(&self) -> StepTotals {
        self.totals
    }

    /// Takes in a reading of the whole tree. `before` is the moment of the last reading. A process that began after it
    /// has used everything since then. An older process that is new in the tree counts from now on only.
    pub(super) fn take(
        &mut self,
        now: Moment,
        before: Option<Moment>,
        readings: impl IntoIterator<Item = Reading>,
        units: Units,
    ) -> Cost {
        let mut current: HashMap<u32, Reading> =
            readings.into_iter().map(|reading| (reading.stat.proc.id.pid, reading)).collect();
        for reading in current.values_mut() {
            let last = self.last.get(&reading.stat.proc.id.pid);
            let last = last.filter(|last| last.stat.proc.id == reading.stat.proc.id);
            reading.io = reading.io.or(last.and_then(|last| last.io));
        }
        self.settle_ended(&current);
        let mut total = self.ended;
        let mut older = Used::default();
        for reading in current.values() {
            let used = reading.used();
            total.add(used);
            let is_new = !self.knows(reading.stat.proc.id);
            if is_new && before.is_none_or(|before| reading.stat.proc.id.start < before.boot_ticks) {
                older.add(used);
            }
        }
        // A sum never becomes less.
        let total = total.at_least(self.total);
        let grown = total.less(self.total).less(older);
        self.total = total;
        self.last = current;
        self.cost(grown, before.map_or(0, |before| now.awake_ms.saturating_sub(before.awake_ms)), units)
    }

    fn cost(&mut self, grown: Used, elapsed_ms: u64, units: Units) -> Cost {
        let living = || self.last.values().filter(|reading| !reading.stat.proc.is_dead());
        let memory_bytes = living().map(|reading| reading.stat.resident_pages * units.page_bytes).sum();
        let n_processes = u32::try_from(living().count()).unwrap_or(u32::MAX);
        let per_second = |n: u64| if elapsed_ms == 0 { 0.0 } else { n as f64 * 1000.0 / elapsed_ms as f64 };
        let cpu_seconds = per_second(grown.cpu_ticks) / units.ticks_per_second.max(1) as f64;
        self.totals = StepTotals {
            peak_memory_bytes: self.totals.peak_memory_bytes.max(memory_bytes),
            cpu_ms: self.total.cpu_ticks.saturating_mul(1000) / units.ticks_per_second.max(1),
            read_bytes: self.total.io.read,
            written_bytes: self.total.io.written,
            n_samples: self.totals.n_samples.saturating_add(1),
        };
        Cost {
            cpu_fraction: (cpu_seconds / units.n_cpus.max(1) as f64).clamp(0.0, 1.0),
            memory_bytes,
            read_rate: per_second(grown.io.read),
            write_rate: per_second(grown.io.written),
            written_bytes: self.total.io.written,
            output_rate: per_second(grown.io.output),
            n_processes,
        }
    }

    fn knows(&self, id: ProcId) -> bool {
        self.last.get(&id.pid).is_some_and(|last| last.stat.proc.id == id)
    }

    /// Keeps what ended processes have used, unless the kernel has added it to a living ancestor.
    fn settle_ended(&mut self, current: &HashMap<u32, Reading>) {
        let lives = |last: &Reading| {
            let id = last.stat.proc.id;
            current.get(&id.pid).is_some_and(|reading| reading.stat.proc.id == id)
        };
        let mut gone: HashMap<Option<u32>, Vec<&Reading>> = HashMap::new();
        for last in self.last.values().filter(|last| !lives(last)) {
            let ancestors = std::iter::successors(self.last.get(&last.stat.proc.parent), |above| {
                self.last.get(&above.stat.proc.parent)
            });
            let living_ancestor = ancestors.take(self.last.len()).find(|above| lives(above));
            gone.entry(living_ancestor.map(|living_ancestor| living_ancestor.stat.proc.id.pid))
                .or_default()
                .push(last);
        }
        for (living_ancestor, mut gone) in gone {
            let reaped = |readings: &HashMap<u32, Reading>| {
                living_ancestor
                    .and_then(|pid| readings.get(&pid))
                    .map_or(0, |living_ancestor| living_ancestor.stat.reaped_faults)
            };
            let mut inherited = reaped(current).saturating_sub(reaped(&self.last));
            gone.sort_by_key(|reading| std::cmp::Reverse(reading.faults()));
            for reading in gone {
                match inherited.checked_sub(reading.faults()) {
                    Some(rest) if living_ancestor.is_some() => inherited = rest,
                    Some(_) | None => self.ended.add(reading.used()),
                }
            }
        }
    }
}

impl Reading {
    fn faults(&self) -> u64 {
        self.stat.faults.saturating_add(self.stat.reaped_faults)
    }

    fn used(&self) -> Used {
        let cpu_ticks = self.stat.cpu_ticks.saturating_add(self.stat.reaped_cpu_ticks);
        Used { cpu_ticks, io: self.io.unwrap_or_default() }
    }
}

impl Used {
    fn each(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu_ticks: op(self.cpu_ticks, other.cpu_ticks),
            io: IoBytes {
                read: op(self.io.read, other.io.read),
                written: op(self.io.written, other.io.written),
                output: op(self.io.output, other.io.output),
            },
        }
    }

    fn add(&mut self, other: Self) {
        *self = self.each(other, u64::saturating_add);
    }

    fn less(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    fn at_least(self, other: Self) -> Self {
        self.each(other, u64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Proc;

    const UNITS: Units = Units { ticks_per_second: 100, page_bytes: 4096, n_cpus: 2 };

    fn moment(second: u64) -> Moment {
        Moment { awake_ms: second * 1000, boot_ticks: second * 100 }
    }

    /// A process of pid and parent, with its CPU ticks, those of reaped children, and their faults.
    fn p(pid: u32, parent: u32, cpu: u64, reaped: u64, reaped_faults: u64) -> Reading {
        let id = ProcId { pid, start: u64::from(pid) };
        let proc = Proc { id, parent, session: 10, state: b'S', n_threads: 1 };
        let stat = Stat {
            proc,
            faults: 50,
            reaped_faults,
            cpu_ticks: cpu,
            reaped_cpu_ticks: reaped,
            resident_pages: 1,
        };
        Reading {
            stat,
            io: Some(IoBytes { read: 0, written: (cpu + reaped) * 10, output: (cpu + reaped) * 30 }),
        }
    }

    /// Readings a second apart, the first at second 1, each with the CPU milliseconds expected after it.
    #[track_caller]
    fn check(rounds: &[(&[Reading], u64)]) {
        let mut meter = TreeMeter::default();
        for (n, (readings, cpu_ms)) in rounds.iter().enumerate() {
            let second = n as u64 + 1;
            let before = (n > 0).then(|| moment(second - 1));
            let cost = meter.take(moment(second), before, readings.iter().copied(), UNITS);
            assert_eq!(meter.totals().cpu_ms, *cpu_ms, "round {n}");
            assert_eq!(meter.totals().written_bytes, *cpu_ms, "round {n}");
            assert!((0.0..=1.0).contains(&cost.cpu_fraction));
        }
    }

    #[test]
    fn a_child_that_was_waited_for_counts_once() {
        let (shell, child) = (p(10, 1, 5, 0, 0), p(11, 10, 100, 0, 0));
        check(&[(&[shell, child], 1050), (&[p(10, 1, 5, 120, 60)], 1250)]);
    }

    #[test]
    fn an_orphan_without_a_waiting_parent_in_the_tree_is_not_forgotten() {
        let orphan = p(12, 1, 100, 0, 0);
        check(&[(&[p(10, 1, 5, 0, 0), orphan], 1050), (&[p(10, 1, 5, 0, 0)], 1050)]);
    }

    #[test]
    fn a_child_whose_parent_ignores_its_end_is_not_forgotten() {
        let (shell, child) = (p(10, 1, 5, 0, 0), p(11, 10, 100, 0, 0));
        check(&[(&[shell, child], 1050), (&[p(10, 1, 6, 0, 0)], 1060)]);
    }

    #[test]
    fn a_whole_branch_that_ended_is_in_the_account_of_who_waited_for_it() {
        let tree = [p(10, 1, 0, 0, 0), p(11, 10, 10, 0, 0), p(12, 11, 20, 0, 0)];
        check(&[(&tree, 300), (&[p(10, 1, 0, 35, 110)], 350)]);
    }

    #[test]
    fn what_joins_late_counts_from_then_on_and_what_is_new_from_its_beginning() {
        let mut meter = TreeMeter::default();
        let first = meter.take(moment(1), None, [p(10, 1, 5000, 0, 0)], UNITS);
        assert_eq!((first.cpu_fraction, meter.totals().cpu_ms), (0.0, 50_000));
        // One that is older than the last reading, and one that has begun since.
        let (older, newer) = (p(20, 1, 9000, 0, 0), p(150, 10, 40, 0, 0));
        let second = meter.take(moment(2), Some(moment(1)), [p(10, 1, 5060, 0, 0), older, newer], UNITS);
        assert_eq!(second.cpu_fraction, 0.5);
        assert_eq!((second.write_rate, second.output_rate), (1000.0, 3000.0));
    }

    #[test]
    fn sleep_of_the_machine_is_no_time_in_which_anything_was_used() {
        let mut meter = TreeMeter::default();
        let before = moment(1);
        meter.take(before, None, [p(10, 1, 100, 0, 0)], UNITS);
        let after = Moment { awake_ms: before.awake_ms + 1000, boot_ticks: before.boot_ticks + 8 * 360_000 };
        let cost = meter.take(after, Some(before), [p(10, 1, 200, 0, 0)], UNITS);
        assert_eq!(cost.cpu_fraction, 0.5);
        // No time at all, or a clock that runs backwards, makes no figure.
        let cost = meter.take(before, Some(after), [p(10, 1, 300, 0, 0)], UNITS);
        assert_eq!(cost.cpu_fraction, 0.0);
    }

    #[test]
    fn an_account_that_can_not_be_read_for_a_moment_stays_as_it_was() {
        let mut meter = TreeMeter::default();
        meter.take(moment(1), None, [p(10, 1, 100, 0, 0)], UNITS);
        let unreadable = Reading { io: None, ..p(10, 1, 100, 0, 0) };
        let cost = meter.take(moment(2), Some(moment(1)), [unreadable], UNITS);
        assert_eq!((cost.write_rate, meter.totals().written_bytes), (0.0, 1000));
        let cost = meter.take(moment(3), Some(moment(2)), [p(10, 1, 100, 0, 0)], UNITS);
        assert_eq!((cost.write_rate, meter.totals().written_bytes), (0.0, 1000));
    }

    #[test]
    fn a_zombie_holds_no_memory_and_is_no_process() {
        let mut meter = TreeMeter::default();
        let mut zombie = p(11, 10, 10, 0, 0);
        zombie.stat.proc.state = b'Z';
        let cost = meter.take(moment(1), None, [p(10, 1, 0, 0, 0), zombie], UNITS);
        assert_eq!((cost.memory_bytes, cost.n_processes), (4096, 1));
        assert_eq!(meter.totals().cpu_ms, 100);
    }
}
