//! What is measured, as the window shows it.

use super::port::{AppUpdate, RunUsage, UpdateSender};
use crate::daemon::waits_of;
use crate::engine::CoreExecutionEngine;
use crate::monitor::SampleStream;

/// Shows samples to a window until it is gone, or the monitor is, and what waits at `engine` with the figures of that
/// moment. While the window is behind, samples are left out.
pub(crate) fn show_samples(
    samples: &SampleStream,
    engine: Option<&CoreExecutionEngine>,
    updates: &UpdateSender,
) {
    let (mut short_of, mut waits) = (Vec::new(), Vec::new());
    while let Some(sample) = samples.recv() {
        let at = sample.machine.at;
        let short_now: Vec<_> = sample.raised.iter().map(|raised| raised.limit.resource()).collect();
        if short_now != short_of {
            short_of.clone_from(&short_now);
            if updates.send(AppUpdate::ShortOf(short_now)).is_err() {
                return;
            }
        }
        if let Some(engine) = engine {
            let waits_now = waits_of(engine);
            if waits_now != waits {
                waits.clone_from(&waits_now);
                if updates.send(AppUpdate::Waits(waits_now)).is_err() {
                    return;
                }
            }
        }
        let usage: Vec<_> = sample
            .by_run()
            .map(|(run_id, cpu_fraction, memory_bytes)| RunUsage {
                run_id: run_id.clone(),
                at,
                cpu_fraction,
                memory_bytes,
            })
            .collect();
        let mut goes_on = usage.is_empty() || updates.send(AppUpdate::Usage(usage)).is_ok();
        goes_on = goes_on && updates.send(AppUpdate::Machine(sample.machine.clone())).is_ok();
        if !goes_on {
            return;
        }
    }
}
