//! The use of the runs of another process's engine, for a window that is attached to it. It has a connection of its
//! own, because a request that waits for the next sample must not delay a lever. After a hand-over it asks the next
//! engine.

use chrono::{DateTime, Utc};

use super::port::{RunUsage, UpdateSender};
use super::samples::Shown;
use crate::api::GetUsage;
use crate::control::{Connection, ControlClient};
use crate::resources::Resource;

/// Sends updates until the window is gone or the connection has ended, or there is no engine any more.
pub(crate) fn show_usage(connection: &Connection, updates: &UpdateSender) {
    let (mut shown, mut after) = (Shown::new(updates), None);
    let mut client = connection.client();
    while let Ok(engine) = client {
        if !follow(&engine, &mut shown, &mut after) {
            return;
        }
        // This engine may measure nothing; the next one may. If this one is gone already, there is nothing to wait for.
        let _ = engine.wait_for_end();
        client = connection.next_client(&engine);
    }
}

/// Sends what one engine measures, from the sample after `after` on. False when the window is gone.
fn follow(client: &ControlClient, shown: &mut Shown<'_>, after: &mut Option<DateTime<Utc>>) -> bool {
    while let Ok(usage) = client.ask(&GetUsage { after: *after }) {
        let Some(at) = usage.at.filter(|at| *after != Some(*at)) else { continue };
        *after = Some(at);
        let is_short = |resource: &Resource| usage.short_of.iter().any(|name| name == resource.name());
        let short_of = Resource::ALL.into_iter().filter(is_short).collect();
        // As in a sample: a run without a measured step has no figures.
        let measured = usage.runs.into_iter().filter(|run| !run.steps.is_empty());
        let usages = measured.map(|run| RunUsage {
            run_id: run.run_id,
            at,
            cpu_fraction: run.cpu_fraction,
            memory_bytes: run.memory_bytes,
        });
        if !shown.show(short_of, Some(usage.waits), usages.collect()) {
            return false;
        }
    }
    true
}
