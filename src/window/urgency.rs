//! How soon what the world tells a window wants to be seen, and who is woken for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::port::AppUpdate;

/// How soon an update wants to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once: somebody waits for it.
    AtOnce,
    /// Within so long, for what may come again and again.
    Within(Duration),
    /// With the next beat of the clocks, once a second: what changes all the time of its own accord.
    WithClocks,
}

/// Facts want to be seen at once. Progress and figures of the machine come from as many runs as there are, each at its
/// own moment: seen together with the clocks, they cost a window one frame a second.
pub(crate) fn urgency_of(update: &AppUpdate) -> Urgency {
    match update {
        AppUpdate::Event(event) if event.kind.is_telemetry() => Urgency::WithClocks,
        AppUpdate::Machine(_) | AppUpdate::Usage(_) | AppUpdate::Waits(_) | AppUpdate::JobsLeft(_) => {
            Urgency::WithClocks
        }
        // Rows are asked for again while jobs fire: no faster than they can be read.
        AppUpdate::Jobs(_) | AppUpdate::Job { .. } => Urgency::Within(Duration::from_millis(40)),
        AppUpdate::Event(_)
        | AppUpdate::Snapshot { .. }
        | AppUpdate::RecentRuns(_)
        | AppUpdate::EndedCount(_)
        | AppUpdate::RunDetail(_)
        | AppUpdate::LogTail { .. }
        | AppUpdate::Pipelines(_)
        | AppUpdate::JobSaved(_)
        | AppUpdate::ShortOf(_)
        | AppUpdate::Limits(_)
        | AppUpdate::Alerts(_)
        | AppUpdate::History(_)
        | AppUpdate::Failure { .. }
        | AppUpdate::Raise
        | AppUpdate::ReadyToClose => Urgency::AtOnce,
    }
}

/// Calls what the window has connected, from any thread; before that, nothing.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<OnceLock<Wake>>);

type Wake = Box<dyn Fn(Urgency) + Send + Sync>;

impl Waker {
    pub(crate) fn connect(&self, wake: Wake) {
        // A second window on the same port has no claim to be woken: the first connection stays.
        let _ = self.0.set(wake);
    }

    pub(crate) fn wake(&self, urgency: Urgency) {
        if let Some(wake) = self.0.get() {
            wake(urgency);
        }
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waker").field("connected", &self.0.get().is_some()).finish()
    }
}
