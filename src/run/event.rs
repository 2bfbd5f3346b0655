//! The events. They carry whole new values, so that no listener derives a state of its own; none carries a checkpoint's
//! body.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::RunState;
use super::summary::{RunSummary, StepSummary};
use crate::admission::Orders;
use crate::base::id::{JobId, RunId, StepId};
use crate::base::time::{instant, maybe_instant};
use crate::schedule::Outcome;

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Strictly increasing for the life of the data directory; below 2^53.
    pub seq: u64,
    /// When it happened.
    #[serde(serialize_with = "instant")]
    pub at: DateTime<Utc>,
    /// The run it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_id: Option<RunId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened, with the new values whole. In JSON `"event"` holds the name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A run was recorded.
    ExecutionStarted {
        /// The run as it is now.
        run: Arc<RunSummary>,
        /// All its steps.
        steps: Vec<StepSummary>,
    },
    /// A run waits before its first step; `run.waits_for` says for what.
    ExecutionQueued {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// Its first step runs, or the driving program reported.
    ExecutionRunning {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// Its whole tree is seen frozen.
    ExecutionPaused {
        /// The run as it is now.
        run: Arc<RunSummary>,
        /// Processes that could not be frozen (state D), as `name (pid)`.
        unfrozen: Vec<String>,
    },
    /// It goes on.
    ExecutionResumed {
        /// The run as it is now.
        run: Arc<RunSummary>,
        /// The state it comes from.
        from: RunState,
    },
    /// It was asked to stop.
    ExecutionStopping {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// It has stopped.
    ExecutionStopped {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// It has ended well.
    ExecutionCompleted {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// It has ended badly; `run.error` says why.
    ExecutionFailed {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// It was ended by force.
    ExecutionForceStopped {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// It was lost and waits to be resumed; `run.error` says why.
    ExecutionInterrupted {
        /// The run as it is now.
        run: Arc<RunSummary>,
    },
    /// How far it is. Telemetry: a slow subscriber sees the newest.
    ExecutionProgress {
        /// 0 to 1, over the whole run.
        progress: f64,
        /// The step that reported or began last.
        current_step: Option<Arc<str>>,
        /// What it said.
        message: Option<Arc<str>>,
    },
    /// A checkpoint is on disk.
    CheckpointSaved {
        /// Whose.
        step_id: Arc<str>,
    },
    /// A step's process was started.
    StepStarted {
        /// The step as it is now.
        step: StepSummary,
    },
    /// A step changed without starting or ending: it waits, is frozen or thawed.
    StepChanged {
        /// The step as it is now.
        step: StepSummary,
    },
    /// A step's attempt has ended, or the step was skipped.
    StepFinished {
        /// The step as it is now.
        step: StepSummary,
    },
    /// How far a step is. Telemetry.
    StepProgress {
        /// Which.
        step_id: StepId,
        /// 0 to 1 within the step.
        progress: f64,
        /// What it said.
        message: Option<Arc<str>>,
    },
    /// Numbers that a step reported. Telemetry.
    MetricReported {
        /// Which.
        step_id: StepId,
        /// By name.
        metrics: BTreeMap<String, f64>,
    },
    /// Something is odd, and everything goes on.
    WarningRaised {
        /// What, in one sentence.
        text: String,
    },
    /// The machine is short of something; `cleared` when it is over.
    ResourceAlert {
        /// What, in one sentence.
        text: String,
        /// Whether it is over.
        cleared: bool,
    },
    /// What recovery decided at this start, a line a decision.
    RecoveryDecided {
        /// In the order in which they were made.
        decisions: Vec<Decision>,
    },
    /// A job has fired: its run was started.
    JobFired {
        /// Which job.
        job_id: JobId,
        /// The instant that it was due; none for a run by hand.
        #[serde(serialize_with = "maybe_instant")]
        due_at: Option<DateTime<Utc>>,
    },
    /// Due instants of a job did not become runs of their own, or could not.
    JobSkipped {
        /// Which job.
        job_id: JobId,
        /// The first of these instants.
        #[serde(serialize_with = "instant")]
        due_at: DateTime<Utc>,
        /// The last one.
        #[serde(serialize_with = "instant")]
        through_at: DateTime<Utc>,
        /// How many there are.
        n_instants: u64,
        /// How they were settled.
        outcome: Outcome,
        /// Why, in a sentence.
        reason: Option<String>,
    },
    /// A job was added, changed, renamed or removed, or its next instant moved: ask for it anew.
    JobChanged {
        /// Which job.
        job_id: JobId,
    },
    /// The operator has ordered something for everything at once, or it is over.
    OrdersChanged {
        /// What is in force now.
        orders: Box<Orders>,
    },
    /// Events were lost to this subscriber: take a snapshot.
    Resync,
}

/// One decision of recovery, for the operator to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    #[serde(serialize_with = "instant")]
    pub at: DateTime<Utc>,
    /// Which run.
    pub run_id: RunId,
    /// Which step, if it is about one.
    pub step_id: Option<StepId>,
    /// What was found and what was done, in one sentence.
    pub text: String,
}

/// One row for each variant: its name, and what it carries. `run` and `step` are whole new values; `telemetry` is worthless
/// once there is a newer event of the same run, step and name.
macro_rules! facts {
    ($($variant:ident $name:literal: $($fact:ident)*;)+) => {
        impl EventKind {
            /// The names of all events.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The event's name, as in JSON.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name),+
                }
            }

            /// Whether a newer one of the same run, step and name makes this one worthless.
            pub const fn is_telemetry(&self) -> bool {
                match self {
                    $(Self::$variant { .. } => false $(|| facts!(is_telemetry $fact))*),+
                }
            }

            /// The run as it is after this event, if it changed.
            pub const fn run(&self) -> Option<&Arc<RunSummary>> {
                $($(facts!(run $fact self $variant);)*)+
                None
            }

            /// The step as it is after this event, if it changed.
            pub const fn step(&self) -> Option<&StepSummary> {
                $($(facts!(step $fact self $variant);)*)+
                None
            }

            /// The step of which it is telemetry; none where it is of a run, or a fact.
            pub const fn telemetry_step(&self) -> Option<&StepId> {
                $($(facts!(telemetry_step $fact self $variant);)*)+
                None
            }

            /// The run and the steps as they are after this event, to be completed by the decision that they belong to.
            pub(super) fn values_mut(&mut self) -> (Option<&mut Arc<RunSummary>>, &mut [StepSummary]) {
                $($(facts!(values_mut $fact self $variant);)*)+
                (None, &mut [])
            }
        }
    };
    (is_telemetry telemetry) => { true };
    (is_telemetry telemetry_of_step) => { true };
    (is_telemetry $other:ident) => { false };
    (run run $self:ident $variant:ident) => { if let Self::$variant { run, .. } = $self { return Some(run) } };
    (run run_and_steps $self:ident $variant:ident) => { facts!(run run $self $variant) };
    (step step $self:ident $variant:ident) => { if let Self::$variant { step, .. } = $self { return Some(step) } };
    (telemetry_step telemetry_of_step $self:ident $variant:ident) => {
        if let Self::$variant { step_id, .. } = $self { return Some(step_id) }
    };
    (values_mut run $self:ident $variant:ident) => {
        if let Self::$variant { run, .. } = $self { return (Some(run), &mut []) }
    };
    (values_mut run_and_steps $self:ident $variant:ident) => {
        if let Self::$variant { run, steps, .. } = $self { return (Some(run), steps) }
    };
    (values_mut step $self:ident $variant:ident) => {
        if let Self::$variant { step, .. } = $self { return (None, std::slice::from_mut(step)) }
    };
    ($question:ident $fact:ident $self:ident $variant:ident) => {};
}

facts! {
    ExecutionStarted "execution_started": run_and_steps;
    ExecutionQueued "execution_queued": run;
    ExecutionRunning "execution_running": run;
    ExecutionPaused "execution_paused": run;
    ExecutionResumed "execution_resumed": run;
    ExecutionStopping "execution_stopping": run;
    ExecutionStopped "execution_stopped": run;
    ExecutionCompleted "execution_completed": run;
    ExecutionFailed "execution_failed": run;
    ExecutionForceStopped "execution_force_stopped": run;
    ExecutionInterrupted "execution_interrupted": run;
    ExecutionProgress "execution_progress": telemetry;
    CheckpointSaved "checkpoint_saved":;
    StepStarted "step_started": step;
    StepChanged "step_changed": step;
    StepFinished "step_finished": step;
    StepProgress "step_progress": telemetry_of_step;
    MetricReported "metric_reported": telemetry_of_step;
    WarningRaised "warning_raised":;
    ResourceAlert "resource_alert":;
    RecoveryDecided "recovery_decided":;
    JobFired "job_fired":;
    JobSkipped "job_skipped":;
    JobChanged "job_changed":;
    OrdersChanged "orders_changed":;
    Resync "resync":;
}

impl EventKind {
    /// The event of a run's end; none while it lives.
    pub fn end_of(run: RunSummary) -> Option<Self> {
        let (state, run) = (run.state, Arc::new(run));
        match state {
            RunState::Completed => Some(Self::ExecutionCompleted { run }),
            RunState::Failed => Some(Self::ExecutionFailed { run }),
            RunState::Stopped => Some(Self::ExecutionStopped { run }),
            RunState::ForceStopped => Some(Self::ExecutionForceStopped { run }),
            RunState::Interrupted => Some(Self::ExecutionInterrupted { run }),
            RunState::Queued | RunState::Running | RunState::Paused | RunState::Stopping => None,
        }
    }

    /// Makes the logs that it names absolute, for a data directory that is.
    pub fn locate_logs(&mut self, data_dir: &Path) {
        self.values_mut().1.iter_mut().for_each(|step| step.locate_log(data_dir));
    }
}
