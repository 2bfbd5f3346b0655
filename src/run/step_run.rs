//! A step within a run, and where its files lie.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::StepState;
use super::step_phase::StepPhase;
use super::summary::StepSummary;
use super::work_time::WorkTime;
use crate::base::id::{RunId, StepId};
use crate::base::time::Stopwatch;

/// A step within a run: its current attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRun {
    /// Its name.
    pub id: StepId,
    /// Its state, with what belongs to that state alone.
    pub phase: StepPhase,
    /// From 1 over the life of the run; 0 before the first.
    pub attempt: u32,
    /// What it exited with.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When this attempt started.
    pub started_at: Option<DateTime<Utc>>,
    /// When this attempt ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Peak memory in bytes, and how that was measured.
    pub peak_rss: Option<(u64, Arc<str>)>,
    /// CPU time of the tree, in seconds.
    pub cpu_seconds: Option<f64>,
    /// 0 to 1.
    pub progress: f64,
    /// What it said last, or for what it waits.
    pub message: Option<Arc<str>>,
    /// Why it failed.
    pub error: Option<Arc<str>>,
    /// Its main process.
    pub pid: Option<u32>,
    /// What it has handed on, as a JSON object's text.
    pub outputs: Option<Arc<str>>,
    /// What only decisions need; kept as JSON.
    pub ledger: StepLedger,
}

/// The part of a step that only decisions need, in whatever phase it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepLedger {
    /// Marks every process of this attempt: `LEVERFRAME_TOKEN`.
    pub token: String,
    /// Awake time less frozen time of this attempt, for its timeout.
    pub clock: Stopwatch,
    /// How long this attempt has run; none where an earlier version ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkTime>,
    /// Retries used since the step was last begun afresh.
    pub retries_used: u32,
    /// Whether this or an earlier attempt has a checkpoint to go on from.
    pub has_checkpoint: bool,
    /// Bytes of its report file that are recorded.
    pub report_offset: u64,
    /// [`RunLedger::resumes_in_row`](super::RunLedger::resumes_in_row) when this attempt began.
    #[serde(skip_serializing_if = "is_zero")]
    pub begun_after: u32,
    /// An engine that is gone may have started it: the supervisor looks for a survivor before it starts another one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_be_alive: bool,
    /// Whether `step_started` was published for this attempt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub told_started: bool,
    /// Bytes that its tree has written towards a disk, as far as samples saw it.
    pub written_bytes: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl StepRun {
    /// Its state.
    pub const fn state(&self) -> StepState {
        self.phase.state()
    }

    /// A step whose turn has not come.
    pub fn new(id: StepId) -> Self {
        Self {
            id,
            phase: StepPhase::Pending,
            attempt: 0,
            exit_code: None,
            signal: None,
            started_at: None,
            finished_at: None,
            peak_rss: None,
            cpu_seconds: None,
            progress: 0.0,
            message: None,
            error: None,
            pid: None,
            outputs: None,
            ledger: StepLedger::default(),
        }
    }

    /// Gives it the next attempt, unless this one was never started. Its phase stays for the caller to change.
    pub(crate) fn fresh_attempt(&mut self) {
        let was_sent = self.started_at.is_some() || self.finished_at.is_some() || self.ledger.may_be_alive;
        let is_unused = self.attempt > 0 && !was_sent;
        *self = Self {
            phase: self.phase.clone(),
            attempt: if is_unused { self.attempt } else { self.attempt + 1 },
            ledger: StepLedger {
                retries_used: self.ledger.retries_used,
                has_checkpoint: self.ledger.has_checkpoint,
                ..StepLedger::default()
            },
            ..Self::new(self.id.clone())
        };
    }

    /// The step as others see it.
    pub fn summary(&self, run_id: &RunId) -> StepSummary {
        StepSummary {
            step_id: self.id.clone(),
            state: self.state(),
            attempt: self.attempt,
            exit_code: self.exit_code,
            signal: self.signal,
            started_at: self.started_at,
            finished_at: self.finished_at,
            worked_seconds: self.ledger.work.map(WorkTime::seconds),
            works_since: self.ledger.work.and_then(|work| work.since),
            peak_rss_bytes: self.peak_rss.as_ref().map(|(bytes, _)| *bytes),
            peak_rss_source: self.peak_rss.as_ref().map(|(_, source)| source.clone()),
            cpu_seconds: self.cpu_seconds,
            written_bytes: self.ledger.written_bytes,
            log: self.started_at.map(|_| log_path(run_id, &self.id, self.attempt).into()),
            progress: self.progress,
            message: self.message.clone(),
            pid: self.pid,
            error: self.error.clone(),
            waits_for: self.phase.wait().map(|(wait, _)| wait.clone()),
        }
    }
}

/// Where an attempt's log lies within the data directory.
pub fn log_path(run_id: &RunId, step_id: &StepId, attempt: u32) -> String {
    format!("logs/{run_id}/{step_id}.{attempt}.log")
}

/// Where an attempt's reports lie within the data directory.
pub fn report_path(run_id: &RunId, step_id: &StepId, attempt: u32) -> String {
    format!("reports/{run_id}/{step_id}.{attempt}.jsonl")
}
