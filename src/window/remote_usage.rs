//! What the runs of somebody else's engine cost, for a window that is attached to it: asked over a connection of its own,
//! since an answer that waits for the next sample must not hold up a lever; after a hand-over, of the next engine.

use chrono::{DateTime, Utc};

use super::port::{AppUpdate, RunUsage, UpdateSender};
use crate::api::{Query, Usage};
use crate::control::{Connection, ControlClient};
use crate::engine::CurrentWait;
use crate::resources::Resource;

/// Shows it to a window until that is gone or leaves, or no engine lives any more.
pub(crate) fn show_usage(connection: &Connection, updates: &UpdateSender) {
    let mut shown = Shown { after: None, short_of: Vec::new(), waits: Vec::new(), updates };
    let mut client = connection.client();
    while let Ok(engine) = client {
        if !shown.follow(&engine) {
            return;
        }
        // Where this engine measures nothing the next one may. One that has gone already can't be waited for.
        let _ = engine.wait_for_end();
        client = connection.next_client(&engine);
    }
}

struct Shown<'a> {
    /// The sample that was shown last.
    after: Option<DateTime<Utc>>,
    short_of: Vec<Resource>,
    waits: Vec<CurrentWait>,
    updates: &'a UpdateSender,
}

impl Shown<'_> {
    /// Shows what one engine tells for as long as it does; false when the window is gone.
    fn follow(&mut self, client: &ControlClient) -> bool {
        while let Ok(usage) = client.call::<Usage>(&Query::Usage { after: self.after }) {
            let Some(at) = usage.at.filter(|at| self.after != Some(*at)) else { continue };
            self.after = Some(at);
            let short_of: Vec<_> = Resource::ALL
                .into_iter()
                .filter(|resource| usage.short_of.iter().any(|name| name == resource.name()))
                .collect();
            if short_of != self.short_of {
                self.short_of.clone_from(&short_of);
                if self.updates.send(AppUpdate::ShortOf(short_of)).is_err() {
                    return false;
                }
            }
            if usage.waits != self.waits {
                self.waits.clone_from(&usage.waits);
                if self.updates.send(AppUpdate::Waits(usage.waits)).is_err() {
                    return false;
                }
            }
            // As a sample has it: of a run without a step that is measured nothing is known.
            let measured = usage.runs.into_iter().filter(|run| !run.steps.is_empty());
            let usages: Vec<_> = measured
                .map(|run| RunUsage {
                    run_id: run.run_id,
                    at,
                    cpu_fraction: run.cpu_fraction,
                    memory_bytes: run.memory_bytes,
                })
                .collect();
            if !usages.is_empty() && self.updates.send(AppUpdate::Usage(usages)).is_err() {
                return false;
            }
        }
        true
    }
}
