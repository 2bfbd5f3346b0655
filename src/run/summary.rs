//! A run and a step as they are shown outside the engine. `model` has what the engine holds.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::state::{RunState, StepState, Trigger};
use super::work_time::counted;
use crate::admission::Wait;
use crate::base::id::{PipelineId, RunId, StepId};
use crate::base::time::{instant, maybe_instant};

/// A run as it is shown outside the engine: a row of `leverframe runs --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its name.
    pub run_id: RunId,
    /// Which pipeline.
    pub pipeline_id: PipelineId,
    /// What it reads from.
    pub source: Arc<str>,
    /// Such as `FULL_REFRESH`.
    pub run_type: Arc<str>,
    /// Such as `dev`.
    pub environment: Arc<str>,
    /// What started it.
    pub trigger: Trigger,
    /// Its state.
    pub state: RunState,
    /// Whether an engine holds it at this moment (always in an event; never for what is read from disk alone).
    pub live: bool,
    /// 0 to 1.
    pub progress: f64,
    /// The step that reported or began last.
    pub current_step: Option<Arc<str>>,
    /// What it said last.
    pub message: Option<Arc<str>>,
    /// When it was recorded.
    #[serde(serialize_with = "instant")]
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(serialize_with = "maybe_instant")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Seconds frozen by `frozen_since`, without what has passed since then.
    pub frozen_seconds: f64,
    /// Since when it is frozen.
    #[serde(serialize_with = "maybe_instant")]
    pub frozen_since: Option<DateTime<Utc>>,
    /// How long something of it has run, in seconds, without what has passed since `works_since`: neither frozen time
    /// counts nor that in which nothing ran. None where an earlier version did not count.
    #[serde(default)]
    pub worked_seconds: Option<f64>,
    /// Since when something of it runs.
    #[serde(default, serialize_with = "maybe_instant")]
    pub works_since: Option<DateTime<Utc>>,
    /// Why it failed, was interrupted or is held.
    pub error: Option<Arc<str>>,
    /// From 1; one more at each resume or retry.
    pub attempt: u32,
    /// What it waits for before it begins; none for what is read from disk alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Arc<Wait>>,
}

impl RunSummary {
    /// Why it is held, in a sentence; none where it is not, or where the operator has frozen it.
    pub fn held_for(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.state == RunState::Paused)
    }
}

/// A step as it is shown outside the engine: a row of `steps` in `leverframe show --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// Its name.
    pub step_id: StepId,
    /// Its state.
    pub state: StepState,
    /// From 1 over the life of the run; 0 before the first.
    pub attempt: u32,
    /// What it exited with.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When this attempt started.
    #[serde(serialize_with = "maybe_instant")]
    pub started_at: Option<DateTime<Utc>>,
    /// When this attempt ended.
    #[serde(serialize_with = "maybe_instant")]
    pub finished_at: Option<DateTime<Utc>>,
    /// How long this attempt has run, in seconds, without what has passed since `works_since` and without the time frozen.
    /// None where it never ran, or an earlier version did not count.
    #[serde(default)]
    pub worked_seconds: Option<f64>,
    /// Since when it runs.
    #[serde(default, serialize_with = "maybe_instant")]
    pub works_since: Option<DateTime<Utc>>,
    /// The tree's peak memory.
    pub peak_rss_bytes: Option<u64>,
    /// How that was measured: `samples` or `rusage`.
    pub peak_rss_source: Option<Arc<str>>,
    /// CPU time of the tree.
    pub cpu_seconds: Option<f64>,
    /// Bytes that the tree has written towards a disk; none for a step shorter than a sample.
    #[serde(default)]
    pub written_bytes: Option<u64>,
    /// Path of this attempt's log: within the data directory in a decision, absolute in whatever leaves the engine.
    pub log: Option<Arc<str>>,
    /// 0 to 1 within the step.
    pub progress: f64,
    /// What it said last, or for what it waits.
    pub message: Option<Arc<str>>,
    /// Its main process.
    pub pid: Option<u32>,
    /// Why it failed.
    pub error: Option<Arc<str>>,
    /// What it waits for, once its turn has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Arc<Wait>>,
}

impl StepSummary {
    /// Makes the path of its log absolute, for a data directory that is.
    pub fn locate_log(&mut self, data_dir: &Path) {
        self.log = self.log.take().map(|log| data_dir.join(&*log).to_string_lossy().into());
    }
}

impl RunSummary {
    /// How long it has worked by `now`: time in which something of it ran.
    pub fn took(&self, now: DateTime<Utc>) -> TimeDelta {
        counted(self.worked_seconds, self.works_since, now).unwrap_or_else(|| {
            let until = self.finished_at.or(self.frozen_since).unwrap_or(now);
            let frozen = TimeDelta::milliseconds((self.frozen_seconds * 1000.0).round() as i64);
            (until - self.started_at - frozen).max(TimeDelta::zero())
        })
    }
}

impl StepSummary {
    /// How long its attempt has worked by `now`, without the time frozen; none where it has not begun, or it is unknown
    /// until when it ran.
    pub fn took(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let from = self.started_at?;
        counted(self.worked_seconds, self.works_since, now).or_else(|| {
            let until = self.finished_at.or_else(|| self.state.is_live().then_some(now))?;
            Some((until - from).max(TimeDelta::zero()))
        })
    }
}
