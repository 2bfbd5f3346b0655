//! Measurements as the window shows them.

use super::port::{AppUpdate, RunUsage, UpdateSender};
use crate::daemon::waits_of;
use crate::engine::{CoreExecutionEngine, CurrentWait};
use crate::monitor::SampleStream;
use crate::resources::Resource;

/// What was sent to a window last.
pub(crate) struct Shown<'a> {
    updates: &'a UpdateSender,
    short_of: Vec<Resource>,
    waits: Vec<CurrentWait>,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(updates: &'a UpdateSender) -> Self {
        Self { updates, short_of: Vec::new(), waits: Vec::new() }
    }

    /// Sends what is new; false when the window is gone.
    pub(crate) fn show(
        &mut self,
        short_of: Vec<Resource>,
        waits: Option<Vec<CurrentWait>>,
        usage: Vec<RunUsage>,
    ) -> bool {
        let mut news = Vec::new();
        if short_of != self.short_of {
            self.short_of.clone_from(&short_of);
            news.push(AppUpdate::ShortOf(short_of));
        }
        if let Some(waits) = waits.filter(|waits| *waits != self.waits) {
            self.waits.clone_from(&waits);
            news.push(AppUpdate::Waits(waits));
        }
        if !usage.is_empty() {
            news.push(AppUpdate::Usage(usage));
        }
        news.into_iter().all(|update| self.updates.send(update).is_ok())
    }
}

/// Sends samples to a window until it or the monitor is gone, and the waits of `engine` with each sample. If the window
/// is behind, samples are left out.
pub(crate) fn show_samples(
    samples: &SampleStream,
    engine: Option<&CoreExecutionEngine>,
    updates: &UpdateSender,
) {
    let mut shown = Shown::new(updates);
    while let Some(sample) = samples.recv() {
        let at = sample.machine.at;
        let short_of = sample.raised.iter().map(|raised| raised.limit.resource()).collect();
        let usage = sample.by_run().map(|(run_id, cpu_fraction, memory_bytes)| RunUsage {
            run_id: run_id.clone(),
            at,
            cpu_fraction,
            memory_bytes,
        });
        if !shown.show(short_of, engine.map(waits_of), usage.collect())
            || updates.send(AppUpdate::Machine(sample.machine.clone())).is_err()
        {
            return;
        }
    }
}
