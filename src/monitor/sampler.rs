//! The monitor's thread: it waits until the next sample is due or an order comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::forest::Forest;
use super::listeners::Listeners;
use super::machine::MachineReader;
use super::meter::Moment;
use super::quick_reader::QuickReader;
use super::{MonitorOptions, Order, Published};
use crate::resources::{LimitChange, LimitWatch, ResourceSnapshot};

/// The time from the start to the first sample: CPU usage is measured over time.
const FIRST_AFTER: Duration = Duration::from_millis(250);

/// Everything that makes samples.
pub(super) struct Sampler {
    machine: MachineReader,
    forest: Forest,
    limits: LimitWatch,
    /// Whether the machine ran on battery in the last sample.
    on_battery: bool,
    /// Changes of limits since the last sample.
    changes: Vec<LimitChange>,
    interval: Duration,
    /// The shortest interval while no step is measured.
    idle_interval: Duration,
    published: Arc<Published>,
    listeners: Arc<Listeners>,
}

impl Sampler {
    pub(super) fn new(
        options: &MonitorOptions,
        quick_reader: Arc<QuickReader>,
        published: Arc<Published>,
        listeners: Arc<Listeners>,
    ) -> Result<Self, sysinfo::Error> {
        let machine = MachineReader::new(quick_reader)?;
        let forest = Forest::new(machine.n_cpus());
        let limits = LimitWatch::new(options.limits.clone());
        let (interval, idle_interval) = (options.interval, options.idle_interval);
        Ok(Self {
            machine,
            forest,
            limits,
            on_battery: false,
            changes: Vec::new(),
            interval,
            idle_interval,
            published,
            listeners,
        })
    }

    /// Samples until the order to stop.
    pub(super) fn run(&mut self, ordered: &Receiver<Order>) {
        let mut next = Instant::now() + FIRST_AFTER.min(self.interval);
        loop {
            match ordered.recv_deadline(next) {
                Err(RecvTimeoutError::Timeout) => {
                    let sample = self.sample();
                    *self.published.last.lock() = Some(sample.clone());
                    self.published.sampled.notify_all();
                    self.listeners.send(&sample);
                    // At an even pace. A sample that was missed, because a callback blocked or the machine was busy, is
                    // left out.
                    next = (next + self.pace()).max(Instant::now());
                }
                Ok(Order::SetInterval(interval)) => {
                    self.interval = interval;
                    next = next.min(Instant::now() + self.pace());
                }
                Ok(Order::SetLimits(limits)) => {
                    self.changes.extend(self.limits.set_limits(limits));
                    // Steps that wait because of a removed limit must start soon.
                    next = next.min(Instant::now() + FIRST_AFTER.min(self.interval));
                }
                Ok(Order::Track(tracked)) => {
                    if self.forest.is_empty() {
                        next = next.min(Instant::now() + self.interval.min(FIRST_AFTER));
                    }
                    self.forest.track(tracked);
                }
                Ok(Order::Forget(key)) => {
                    self.forest.forget(&key);
                    // A sample taken meanwhile may have added it again.
                    self.published.totals.lock().remove(&key);
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The time from this sample to the next.
    fn pace(&self) -> Duration {
        if self.forest.is_empty() { self.interval.max(self.idle_interval) } else { self.interval }
    }

    /// Takes one sample.
    pub(super) fn sample(&mut self) -> Arc<ResourceSnapshot> {
        let (now, boot_ticks) = super::now(self.forest.units().ticks_per_second);
        let machine = self.machine.sample(now.wall, now.awake_ms);
        let steps = self.forest.measure(Moment { awake_ms: now.awake_ms, boot_ticks });
        let mut totals = self.published.totals.lock();
        for (key, of_step) in self.forest.totals() {
            match totals.get_mut(key) {
                Some(known) => *known = of_step,
                None => drop(totals.insert(key.clone(), of_step)),
            }
        }
        drop(totals);
        let mut changes = std::mem::take(&mut self.changes);
        changes.extend(self.limits.observe(now, &machine));
        let on_battery = machine.power.is_some_and(|power| power.on_battery);
        let power_changed = std::mem::replace(&mut self.on_battery, on_battery) != on_battery;
        Arc::new(ResourceSnapshot {
            machine,
            power_changed,
            steps,
            raised: self.limits.raised().cloned().collect(),
            changes,
        })
    }
}
