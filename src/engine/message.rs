//! The messages that wake the engine, and the inputs to runs that they become, with the callers that wait for them.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::error::EngineError;
use super::launch::LaunchRefusal;
use super::lifecycle::{ShutdownKind, When};
use super::line::{CurrentWait, OrderAnswer};
use super::signal::Signal;
use crate::admission::{AdmissionPolicy, Footprints, Order};
use crate::base::id::{AttemptKey, RunId};
use crate::resources::ResourceSnapshot;
use crate::run::{EventKind, Input, ReportBatch, Run};
use crate::store::EngineLock;
use crate::supervisor::{HostEvent, StartSpec, StepHost};

/// A message that wakes the engine.
pub(super) enum Message {
    /// A caller's request about a run.
    Ask(Ask),
    /// A caller starts a run. Without an id, one is chosen.
    Start {
        run_id: Option<RunId>,
        run: Box<Run>,
        /// What its steps usually need.
        footprints: Option<Arc<Footprints>>,
        reply: Sender<Answer>,
    },
    /// A caller wants the signals of a run that it drives.
    Signals { run_id: RunId, reply: Sender<(Signal, Signal)> },
    /// A progress slot was filled.
    Progress(RunId),
    /// An event of the step host of this generation.
    Host(u64, HostEvent),
    /// A step host is connected again, or can't be had.
    HostReady(u64, anyhow::Result<Box<dyn StepHost>>),
    /// A step has reported.
    Report(Box<ReportBatch>),
    /// A start that took time is ready, or has failed. The number is its ticket.
    Spec(AttemptKey, u64, Result<Box<StartSpec>, LaunchRefusal>),
    /// Events of the scheduler, each about a run or about none.
    Tell(Vec<(Option<RunId>, EventKind)>),
    /// A sample of the machine and the steps.
    Sample(Arc<ResourceSnapshot>),
    /// An order of the operator.
    Order(Order, Sender<OrderAnswer>),
    /// A new admission policy.
    Policy(Box<AdmissionPolicy>),
    /// A caller wants to know what waits for admission.
    Waits(Sender<Vec<CurrentWait>>),
    /// An instant of the wall clock was reached, or the clock was set.
    WallRing,
    /// End in order. The answer is the data directory's lock, or none when the engine goes on.
    Shutdown { kind: ShutdownKind, when: When, reply: Sender<Option<EngineLock>> },
    /// An end that waits for runs waits no longer: they are left as they are.
    LeaveAtOnce,
    /// The last handle was dropped.
    Abandoned,
}

pub(super) type Answer = Result<Arc<Run>, EngineError>;

/// A request about one run.
pub(super) struct Ask {
    pub(super) run_id: RunId,
    pub(super) input: Input,
    pub(super) reply: Sender<Answer>,
}

/// One input to one run, with the party that waits for its outcome.
pub(super) struct PendingInput {
    pub(super) run_id: RunId,
    pub(super) input: Input,
    /// The new run, if this starts one.
    pub(super) new_run: Option<Box<Run>>,
    pub(super) waiting: Waiting,
}

/// Who waits for an input to be recorded.
pub(super) enum Waiting {
    Nobody,
    Caller(Sender<Answer>),
    /// The follower of reports: the next batch of this attempt may then be read.
    Reporter(AttemptKey, u64),
}

impl Message {
    /// Answers the waiting caller, if there is one.
    pub(super) fn refuse(self, error: EngineError) {
        match self {
            // The caller may be gone.
            Self::Ask(Ask { reply, .. }) | Self::Start { reply, .. } => drop(reply.send(Err(error))),
            // The caller may be gone.
            Self::Order(_, reply) => drop(reply.send(Err(error))),
            Self::Signals { .. }
            | Self::Progress(_)
            | Self::Host(..)
            | Self::HostReady(..)
            | Self::Report(_)
            | Self::Spec(..)
            | Self::Tell(_)
            | Self::Sample(_)
            | Self::Policy(_)
            | Self::Waits(_)
            | Self::WallRing
            | Self::Shutdown { .. }
            | Self::LeaveAtOnce
            | Self::Abandoned => {}
        }
    }
}

impl PendingInput {
    /// An input from the world, for which no one waits.
    pub(super) fn world(run_id: RunId, input: Input) -> Self {
        Self { run_id, input, new_run: None, waiting: Waiting::Nobody }
    }

    pub(super) fn refuse(self, error: EngineError) {
        match self.waiting {
            // The caller may be gone.
            Waiting::Caller(reply) => drop(reply.send(Err(error))),
            Waiting::Nobody | Waiting::Reporter(..) => {}
        }
    }
}

impl Message {
    /// Whether it may let something start that waits for admission.
    pub(super) fn may_make_room(&self) -> bool {
        !matches!(
            self,
            Self::Signals { .. } | Self::Progress(_) | Self::Report(_) | Self::Tell(_) | Self::Waits(_)
        )
    }

    /// Whether it is only news of a step.
    pub(super) fn is_news_of_a_step(&self) -> bool {
        use HostEvent::{Exited, StartFailed, Started};
        matches!(self, Self::Report(_) | Self::Host(_, Started { .. } | StartFailed { .. } | Exited { .. }))
    }
}
