//! How soon a window should show an update, and how it is woken.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::port::AppUpdate;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once: the operator waits for it.
    AtOnce,
    /// Within this time, for what may come again and again.
    Within(Duration),
    /// With the next tick of the clocks, once a second: for what changes all the time.
    WithClocks,
}

/// Facts are shown at once. Progress and figures of the machine come at moments of their own from each run: shown
/// together with the clocks, they cost one frame a second.
pub(crate) fn urgency_of(update: &AppUpdate) -> Urgency {
    match update {
        AppUpdate::Event(event) if event.kind.is_telemetry() => Urgency::WithClocks,
        AppUpdate::Machine(_)
        | AppUpdate::Usage(_)
        | AppUpdate::Waits(_)
        | AppUpdate::JobsLeft(_)
        | AppUpdate::Estimates(_) => Urgency::WithClocks,
        // Rows are requested again while jobs fire: no faster than they can be read.
        AppUpdate::Jobs(_) | AppUpdate::Job { .. } => Urgency::Within(Duration::from_millis(40)),
        AppUpdate::Event(_)
        | AppUpdate::Snapshot { .. }
        | AppUpdate::RecentRuns(_)
        | AppUpdate::EndedCount(_)
        | AppUpdate::Runs(_)
        | AppUpdate::RunsDeleted { .. }
        | AppUpdate::RunDetail(_)
        | AppUpdate::RunFacts { .. }
        | AppUpdate::Compared { .. }
        | AppUpdate::LogTail { .. }
        | AppUpdate::Log { .. }
        | AppUpdate::Pipelines(_)
        | AppUpdate::PipelineFacts(_)
        | AppUpdate::Pipeline(_)
        | AppUpdate::Edited { .. }
        | AppUpdate::PipelineMade(_)
        | AppUpdate::Day(_)
        | AppUpdate::Month(_)
        | AppUpdate::Fires(_)
        | AppUpdate::FiresExported { .. }
        | AppUpdate::BackfillPreview(_)
        | AppUpdate::Backfilled(_)
        | AppUpdate::JobSaved(_)
        | AppUpdate::StartBasis(_)
        | AppUpdate::Folder { .. }
        | AppUpdate::Started(_)
        | AppUpdate::Away(_)
        | AppUpdate::Settings(_)
        | AppUpdate::SettingsSaved(_)
        | AppUpdate::ShortOf(_)
        | AppUpdate::Limits(_)
        | AppUpdate::Alerts(_)
        | AppUpdate::History(_)
        | AppUpdate::JobNames(_)
        | AppUpdate::Attached(_)
        | AppUpdate::Done(_)
        | AppUpdate::Time(_)
        | AppUpdate::Failure { .. }
        | AppUpdate::Raise
        | AppUpdate::ReadyToClose => Urgency::AtOnce,
    }
}

/// Calls the window's function from any thread; does nothing before it is connected.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<OnceLock<Wake>>);

type Wake = Box<dyn Fn(Urgency) + Send + Sync>;

impl Waker {
    pub(crate) fn connect(&self, wake: Wake) {
        // The first connection stays: a second window on the same port is not woken.
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
