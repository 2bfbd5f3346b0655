//! The monitor's thread: it waits for the next sample or an order, and does one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::forest::Forest;
use super::listeners::Listeners;
use super::machine::MachineReader;
use super::meter::Moment;
use super::outlook::Outlook;
use super::{MonitorOptions, Order, Published};
use crate::resources::{LimitChange, LimitWatch, ResourceSnapshot};

/// How long after the start the first sample comes: CPU time must have passed to be measured.
const FIRST_AFTER: Duration = Duration::from_millis(250);

/// Everything that samples are made with.
pub(super) struct Sampler {
    machine: MachineReader,
    forest: Forest,
    limits: LimitWatch,
    /// Whether the last sample found the machine on its batteries.
    on_battery: bool,
    /// What changed about limits since the last sample.
    changes: Vec<LimitChange>,
    interval: Duration,
    /// At least so long while no step is measured.
    idle_interval: Duration,
    published: Arc<Published>,
    listeners: Arc<Listeners>,
}

impl Sampler {
    pub(super) fn new(
        options: &MonitorOptions,
        outlook: Arc<Outlook>,
        published: Arc<Published>,
        listeners: Arc<Listeners>,
    ) -> Result<Self, sysinfo::Error> {
        let machine = MachineReader::new(outlook)?;
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

    /// Samples until it is told to stop.
    pub(super) fn run(&mut self, ordered: &Receiver<Order>) {
        let mut next = Instant::now() + FIRST_AFTER.min(self.interval);
        loop {
            match ordered.recv_deadline(next) {
                Err(RecvTimeoutError::Timeout) => {
                    let sample = self.sample();
                    *self.published.last.lock() = Some(sample.clone());
                    self.published.sampled.notify_all();
                    self.listeners.tell(&sample);
                    // At an even pace; one that was missed, because somebody blocked or the machine was busy, is left out.
                    next = (next + self.pace()).max(Instant::now());
                }
                Ok(Order::Every(interval)) => {
                    self.interval = interval;
                    next = next.min(Instant::now() + self.pace());
                }
                Ok(Order::Limits(limits)) => {
                    self.changes.extend(self.limits.set_limits(limits));
                    // Whoever waits behind a limit that is none any more hears of it soon.
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
                    // It may have come back with a sample that was taken meanwhile.
                    self.published.totals.lock().remove(&key);
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// From this sample to the next.
    fn pace(&self) -> Duration {
        if self.forest.is_empty() { self.interval.max(self.idle_interval) } else { self.interval }
    }

    /// Everything now.
    pub(super) fn sample(&mut self) -> Arc<ResourceSnapshot> {
        let (now, boot_ticks) = super::now(self.forest.units().ticks_per_second);
        let machine = self.machine.sample(now.wall, now.awake_ms);
        let steps = self.forest.look(Moment { awake_ms: now.awake_ms, boot_ticks });
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
