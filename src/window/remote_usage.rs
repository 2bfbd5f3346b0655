//! What the runs of somebody else's engine cost, for a window that is attached to it: asked over a connection of its own,
//! since an answer that waits for the next sample must not hold up a lever; after a hand-over, of the next engine.

use chrono::{DateTime, Utc};

use super::port::{RunUsage, UpdateSender};
use super::samples::Shown;
use crate::api::GetUsage;
use crate::control::{Connection, ControlClient};
use crate::resources::Resource;

/// Shows it to a window until that is gone or leaves, or no engine lives any more.
pub(crate) fn show_usage(connection: &Connection, updates: &UpdateSender) {
    let (mut shown, mut after) = (Shown::new(updates), None);
    let mut client = connection.client();
    while let Ok(engine) = client {
        if !follow(&engine, &mut shown, &mut after) {
            return;
        }
        // Where this engine measures nothing the next one may. One that has gone already can't be waited for.
        let _ = engine.wait_for_end();
        client = connection.next_client(&engine);
    }
}

/// Shows what one engine tells for as long as it does, from the sample on that comes `after`; false when the window is
/// gone.
fn follow(client: &ControlClient, shown: &mut Shown<'_>, after: &mut Option<DateTime<Utc>>) -> bool {
    while let Ok(usage) = client.ask(&GetUsage { after: *after }) {
        let Some(at) = usage.at.filter(|at| *after != Some(*at)) else { continue };
        *after = Some(at);
        let is_short = |resource: &Resource| usage.short_of.iter().any(|name| name == resource.name());
        let short_of = Resource::ALL.into_iter().filter(is_short).collect();
        // As a sample has it: of a run without a step that is measured nothing is known.
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
