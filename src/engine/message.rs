//! Everything that wakes the engine, and what becomes of it: inputs to runs, with whoever waits for them.

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

/// Everything that wakes the engine.
pub(super) enum Message {
    /// A caller asks something of a run.
    Ask(Ask),
    /// A caller starts a run; without an id one is made.
    Start {
        run_id: Option<RunId>,
        run: Box<Run>,
        /// What its steps usually need.
        footprints: Option<Arc<Footprints>>,
        reply: Sender<Answer>,
    },
    /// A caller wants the signals of a run that it drives.
    Signals { run_id: RunId, reply: Sender<(Signal, Signal)> },
    /// A progress slot has been filled.
    Progress(RunId),
    /// The step host of this generation says something.
    Host(u64, HostEvent),
    /// A step host is there again, or can't be had.
    HostReady(u64, anyhow::Result<Box<dyn StepHost>>),
    /// A step reported.
    Report(Box<ReportBatch>),
    /// A start that took time is made, or can't be; the number says which start of this attempt it is.
    Spec(AttemptKey, u64, Result<Box<StartSpec>, LaunchRefusal>),
    /// Somebody above has something to tell everybody, about this run or about none.
    Tell(Vec<(Option<RunId>, EventKind)>),
    /// The machine and the steps were measured.
    Sample(Arc<ResourceSnapshot>),
    /// The operator orders something for everything at once.
    Order(Order, Sender<OrderAnswer>),
    /// Something else may run at once from now on.
    Policy(Box<AdmissionPolicy>),
    /// A caller wants to know what waits to be admitted.
    Waits(Sender<Vec<CurrentWait>>),
    /// An instant of the wall clock was reached, or the clock was set.
    WallRing,
    /// End in good order; the answer is the data directory's lock, or none when the engine goes on.
    Shutdown { kind: ShutdownKind, when: When, reply: Sender<Option<EngineLock>> },
    /// Nobody holds a handle any more.
    Abandoned,
}

pub(super) type Answer = Result<Arc<Run>, EngineError>;

/// A request that concerns one run.
pub(super) struct Ask {
    pub(super) run_id: RunId,
    pub(super) input: Input,
    pub(super) reply: Sender<Answer>,
}

/// One input to one run, with whoever waits for what becomes of it.
pub(super) struct PendingInput {
    pub(super) run_id: RunId,
    pub(super) input: Input,
    /// The new run, when this starts one.
    pub(super) new_run: Option<Box<Run>>,
    pub(super) waiting: Waiting,
}

/// Who waits for an input to be recorded.
pub(super) enum Waiting {
    Nobody,
    Caller(Sender<Answer>),
    /// The follower of reports: the next batch of this attempt may be read.
    Reporter(AttemptKey, u64),
}

impl Message {
    /// Answers the caller who waits for it, if one does.
    pub(super) fn refuse(self, error: EngineError) {
        match self {
            // A caller that has gone needs no answer.
            Self::Ask(Ask { reply, .. }) | Self::Start { reply, .. } => drop(reply.send(Err(error))),
            // A caller that has gone needs no answer.
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
            | Self::Abandoned => {}
        }
    }
}

impl PendingInput {
    /// Something that the world says, for which nobody waits.
    pub(super) fn world(run_id: RunId, input: Input) -> Self {
        Self { run_id, input, new_run: None, waiting: Waiting::Nobody }
    }

    pub(super) fn refuse(self, error: EngineError) {
        match self.waiting {
            // A caller that has gone needs no answer.
            Waiting::Caller(reply) => drop(reply.send(Err(error))),
            Waiting::Nobody | Waiting::Reporter(..) => {}
        }
    }
}

impl Message {
    /// Whether something that waits to be admitted may start because of it.
    pub(super) fn may_make_room(&self) -> bool {
        match self {
            Self::Signals { .. } | Self::Progress(_) | Self::Report(_) | Self::Tell(_) | Self::Waits(_) => {
                false
            }
            Self::Ask(_)
            | Self::Start { .. }
            | Self::Host(..)
            | Self::HostReady(..)
            | Self::Spec(..)
            | Self::Sample(_)
            | Self::Order(..)
            | Self::Policy(_)
            | Self::WallRing
            | Self::Shutdown { .. }
            | Self::Abandoned => true,
        }
    }

    /// Whether it tells how a step is getting on, and no more.
    pub(super) fn is_news_of_a_step(&self) -> bool {
        match self {
            Self::Report(_)
            | Self::Host(
                _,
                HostEvent::Started { .. } | HostEvent::StartFailed { .. } | HostEvent::Exited { .. },
            ) => true,
            Self::Host(
                _,
                HostEvent::Inventory(_)
                | HostEvent::Frozen { .. }
                | HostEvent::Thawed { .. }
                | HostEvent::LogTrouble { .. }
                | HostEvent::Capacity { .. }
                | HostEvent::Trouble { .. }
                | HostEvent::Silent { .. }
                | HostEvent::Answers { .. }
                | HostEvent::Gone { .. },
            )
            | Self::Ask(_)
            | Self::Start { .. }
            | Self::Signals { .. }
            | Self::Progress(_)
            | Self::HostReady(..)
            | Self::Spec(..)
            | Self::Tell(_)
            | Self::Sample(_)
            | Self::Order(..)
            | Self::Policy(_)
            | Self::Waits(_)
            | Self::WallRing
            | Self::Shutdown { .. }
            | Self::Abandoned => false,
        }
    }
}
