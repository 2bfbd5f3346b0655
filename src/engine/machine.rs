//! The machine that steps run on: its measurements, its limits and power, and the runs for which it is kept awake.

use std::sync::Arc;

use super::clock;
use super::limits::{LimitHold, SampleNews};
use super::message::PendingInput;
use super::power::Power;
use super::runs::Runs;
use super::sleep_inhibition::SleepInhibition;
use crate::awake::AwakeHandle;
use crate::base::id::{AttemptKey, RunId};
use crate::monitor::{MonitorHandle, Shortage};
use crate::resources::ResourceSnapshot;
use crate::run::{Exit, MemoryAtEnd, Run, Starts, StepCost};
use crate::supervisor::{ExitCause, StepExit};

/// The signal with which the kernel ends processes when memory runs out.
const KILL: i32 = 9;

pub(super) struct Machine {
    n_cpus: usize,
    boot_id: String,
    /// Measures the machine and the steps. None: an end has only the kernel's figures.
    monitor: Option<MonitorHandle>,
    shortage: Shortage,
    limits: LimitHold,
    power: Power,
    sleep_inhibition: SleepInhibition,
}

impl Machine {
    pub(super) fn new(n_cpus: usize, monitor: Option<MonitorHandle>, awake: Option<AwakeHandle>) -> Self {
        let (limits, power) = Default::default();
        let (boot_id, shortage) = (clock::boot_id(), Shortage::watch());
        let sleep_inhibition = SleepInhibition::new(awake);
        Self { n_cpus, boot_id, monitor, shortage, limits, power, sleep_inhibition }
    }

    pub(super) fn n_cpus(&self) -> usize {
        self.n_cpus
    }

    /// An id of this boot.
    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// A first look at the machine, before there is a sample. None when nothing is measured.
    pub(super) fn first_look(&self) -> Option<ResourceSnapshot> {
        let monitor = self.monitor.as_ref()?;
        Some(ResourceSnapshot { machine: monitor.first_look(), ..ResourceSnapshot::default() })
    }

    /// The newest sample.
    pub(super) fn newest_sample(&self) -> Option<Arc<ResourceSnapshot>> {
        self.monitor.as_ref()?.get_snapshot()
    }

    /// Starts to measure the process tree of an attempt.
    pub(super) fn measure(&self, key: &AttemptKey, pid: u32, runs: &Runs) {
        if let (Some(monitor), Some((_, step))) = (&self.monitor, runs.find_step(key)) {
            monitor.track(key.clone(), pid, &step.ledger.token);
        }
    }

    /// How an attempt ended, with all that is known of its use. It is no longer measured.
    pub(super) fn exit_of(&self, key: &AttemptKey, exit: StepExit) -> Exit {
        let (code, signal) = match exit.cause {
            ExitCause::Code(code) => (Some(code), None),
            ExitCause::Signal(signal) => (None, Some(signal)),
            ExitCause::Unknown => (None, None),
        };
        let totals = self.monitor.as_ref().and_then(|monitor| monitor.forget(key));
        let rusage = exit.usage.map(|usage| (usage.peak_rss_bytes, usage.cpu_seconds));
        Exit {
            code,
            signal,
            ended_at: exit.ended_at,
            cost: StepCost::of(rusage, totals),
            memory: if signal == Some(KILL) { self.memory_at_end() } else { None },
            interrupted: exit.interrupted,
            log_dropped_bytes: exit.log_dropped_bytes,
        }
    }

    /// What is known of memory when a process was killed.
    fn memory_at_end(&self) -> Option<MemoryAtEnd> {
        Some(MemoryAtEnd { limit_bytes: self.shortage.limit_bytes()?, n_ended: self.shortage.n_ended() })
    }

    /// Notes a decided run.
    pub(super) fn note(&mut self, run: &Run) {
        self.power.note(run);
    }

    /// Takes in a run as it is published: while its steps may work, it may keep the machine awake.
    pub(super) fn see(&mut self, run: &Run) {
        self.sleep_inhibition.see(run);
    }

    /// Removes a run that no longer lives here.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        self.power.forget(run_id);
    }

    /// The consequences of a sample for limits; see [`LimitHold::answer`].
    pub(super) fn look_at_limits(
        &mut self,
        sample: &ResourceSnapshot,
        runs: &Runs,
        may_thaw: bool,
    ) -> SampleNews {
        self.limits.answer(sample, runs, may_thaw)
    }

    /// The inputs to runs when the power has changed.
    pub(super) fn look_at_power(&mut self, on_battery: bool) -> Vec<PendingInput> {
        self.power.see(on_battery)
    }

    /// Whether power matters to a run, so that every sample counts.
    pub(super) fn is_power_minded(&self) -> bool {
        self.power.is_minded()
    }

    /// What may start within the limits.
    pub(super) fn starts_within_limits(&self) -> Starts {
        self.limits.starts()
    }

    /// Which limit holds starts back.
    pub(super) fn held_for(&self) -> Option<&str> {
        self.limits.reason()
    }

    /// Takes over runs that an earlier engine froze for a limit, for [`take_thawed`](Self::take_thawed).
    pub(super) fn take_over_frozen(&mut self, runs: &Runs) {
        self.limits.take_over(runs);
    }

    /// The inputs that thaw runs that could not be thawed when their limit was cleared.
    pub(super) fn take_thawed(&mut self, runs: &Runs) -> Vec<PendingInput> {
        self.limits.take_thawed(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_runs::of_steps;

    #[test]
    fn an_end_says_what_it_came_to_and_that_memory_may_have_run_out_only_where_the_kernel_kills() {
        let machine = Machine::new(2, None, None);
        let key = of_steps("a", &["s"]).attempt_key(0);
        let end = |cause| {
            let ended_at = chrono::DateTime::UNIX_EPOCH;
            let exit = StepExit { cause, ended_at, usage: None, interrupted: false, log_dropped_bytes: 7 };
            let exit = machine.exit_of(&key, exit);
            (exit.code, exit.signal, exit.memory.is_some(), exit.log_dropped_bytes)
        };
        assert_eq!(end(ExitCause::Code(3)), (Some(3), None, false, 7));
        assert_eq!(end(ExitCause::Signal(15)), (None, Some(15), false, 7));
        assert_eq!(end(ExitCause::Signal(KILL)), (None, Some(KILL), true, 7));
        assert_eq!(end(ExitCause::Unknown), (None, None, false, 7));
    }
}
