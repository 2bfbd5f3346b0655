//! A run as the engine holds and the store keeps it. An immutable value once published: a decision
//! works on a copy, which costs little because steps are shared until they change.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::definition::{Body, Definition};
use super::phase::Phase;
use super::state::{RunState, StepState, Trigger};
use super::steps::{StepMut, Steps};
use super::summary::{RunSummary, StepSummary};
use super::work_time::WorkTime;
use crate::base::id::{AttemptKey, JobId, PipelineId, RunId};
use crate::base::time::{Now, Stopwatch};

/// A run with all its steps.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub id: RunId,
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
    /// Who drives it.
    pub body: Body,
    /// Resolved parameters, without secrets.
    pub params: Arc<BTreeMap<String, String>>,
    /// Its state, with what belongs to that state alone.
    pub phase: Phase,
    /// From 1; one more at each resume or retry.
    pub attempt: u32,
    /// When it was recorded.
    pub started_at: DateTime<Utc>,
    /// 0 to 1.
    pub progress: f64,
    /// The step that reported or began last.
    pub current_step: Option<Arc<str>>,
    /// What it said last.
    pub message: Option<Arc<str>>,
    /// Why it failed, was interrupted or is held.
    pub error: Option<Arc<str>>,
    /// What the caller of `start_execution` wants kept with it, as JSON text.
    pub metadata: Option<Arc<str>>,
    /// One for each step of the pipeline, in its order; none of a driven run.
    pub steps: Steps,
    /// What only decisions need; kept as JSON.
    pub ledger: RunLedger,
}

/// The part of a run that only decisions need, in whatever phase it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunLedger {
    /// Awake time less frozen time, for the run's timeout.
    pub clock: Stopwatch,
    /// How long something of it has run, over all its attempts; none where an earlier version began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkTime>,
    /// Milliseconds frozen before [`Freeze::since`](super::freeze::Freeze::since).
    pub frozen_ms: u64,
    /// From 0 to 9: among runs that wait, the highest goes first.
    pub priority: u8,
    /// The operator wants it to start, whatever it waits for.
    pub is_admitted: bool,
    /// The beginning of the last time of quiet that has frozen it, or in which it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_met: Option<DateTime<Utc>>,
    /// The time on battery that lasts has frozen it already, or it began within it.
    pub battery_met: bool,
    /// The operator has let it go on although a limit was exceeded, and the limit is not cleared yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub limit_met: bool,
    /// How often in a row lost steps ran again without asking, since a step last completed.
    pub resumes_in_row: u32,
    /// Whether `execution_running` was published for this attempt.
    pub told_running: bool,
    /// The boot on which it was last recorded; another one means that every process is gone.
    pub boot_id: String,
    /// How long it may be held for a secret that is missing, in milliseconds; none: until the operator does something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_at_most_ms: Option<u64>,
    /// The job that it is a run of, and the instant at which that was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fired_by: Option<Arc<FiredBy>>,
}

/// The job that a run belongs to. It stays the same over retries, resumes and recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredBy {
    /// The job's name when it was fired.
    pub job_id: JobId,
    /// The instant that it was due, RFC 3339 in the job's zone; none for a run by hand.
    pub due_at: Option<String>,
    /// The due instant before that one, if there was one.
    pub previous_due_at: Option<String>,
}

impl Run {
    /// Its state.
    pub const fn state(&self) -> RunState {
        self.phase.state()
    }

    /// Its definition, if the engine drives it.
    pub fn definition(&self) -> Option<&Arc<Definition>> {
        match &self.body {
            Body::Driven => None,
            Body::Pipeline(definition) => Some(definition),
        }
    }

    /// The step at `index`, to be changed: copied if it is shared.
    pub(crate) fn step_mut(&mut self, index: usize) -> StepMut<'_> {
        self.steps.change(index)
    }

    /// The name of the current attempt of the step at `index`.
    pub fn attempt_key(&self, index: usize) -> AttemptKey {
        let step = &self.steps[index];
        AttemptKey { run_id: self.id.clone(), step_id: step.id.clone(), attempt: step.attempt }
    }

    /// Whether a step of it has a process, or may have one.
    pub fn has_living_steps(&self) -> bool {
        self.steps.has_any(StepState::is_live)
    }

    /// Milliseconds frozen by `now`.
    pub fn frozen_ms(&self, now: Now) -> u64 {
        let since = self.phase.frozen_since();
        let current = since.map_or(0, |since| (now.wall - since).num_milliseconds().max(0) as u64);
        self.ledger.frozen_ms + current
    }

    /// The run as others see it.
    pub fn summary(&self) -> RunSummary {
        RunSummary {
            run_id: self.id.clone(),
            pipeline_id: self.pipeline_id.clone(),
            source: self.source.clone(),
            run_type: self.run_type.clone(),
            environment: self.environment.clone(),
            trigger: self.trigger,
            state: self.state(),
            live: !self.state().is_ended(),
            progress: self.progress,
            current_step: self.current_step.clone(),
            message: self.message.clone(),
            started_at: self.started_at,
            finished_at: self.phase.finished_at(),
            frozen_seconds: self.ledger.frozen_ms as f64 / 1000.0,
            frozen_since: self.phase.frozen_since(),
            worked_seconds: self.ledger.work.map(WorkTime::seconds),
            works_since: self.ledger.work.and_then(|work| work.since),
            error: self.error.clone(),
            attempt: self.attempt,
            waits_for: self.phase.wait().cloned(),
        }
    }

    /// Its steps as others see them.
    pub fn step_summaries(&self) -> Vec<StepSummary> {
        self.steps.iter().map(|step| step.summary(&self.id)).collect()
    }
}
