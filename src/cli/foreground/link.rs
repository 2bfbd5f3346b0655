//! The engine as a verb in the foreground reaches it: one of its own, or the one that lives, over its control socket.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, never};

use super::super::exit::Failure;
use super::super::output::show_warnings;
use crate::api::exit_code::NOT_FOUND;
use crate::api::{Command, ProcessKind, Query};
use crate::base::id::{RunId, StepId};
use crate::base::wake::bell;
use crate::control::wire::{ClosingNotice, EventFilter};
use crate::control::{ControlClient, ControlError, Events};
use crate::daemon::{EngineLease, Mode, Service, ServiceOptions};
use crate::diagnostics::Listening;
use crate::engine::{EngineError, EngineOptions, EventBus, HostStart, Scope, ShutdownKind, Subscription};
use crate::records::RunRecord;
use crate::run::{Event, Input, RunSummary, StepRun};
use crate::settings::Settings;

/// An engine that is listened to.
pub(super) enum Link {
    /// It lives in this process.
    Own(Box<Own>),
    /// It lives in another.
    Live(Live),
    /// It went before it could be listened to.
    Lost(Lost),
}

/// An engine that has gone.
pub(super) struct Lost {
    notice: Option<ClosingNotice>,
    wakes: Receiver<()>,
}

/// An engine of this process, which others may join.
pub(super) struct Own {
    pub(super) service: Service,
    events: Subscription,
    wakes: Receiver<()>,
    /// Outlives the engine, whose warnings it shows.
    _listening: Listening,
}

/// The engine of another process.
pub(super) struct Live {
    client: ControlClient,
    events: Events,
    wakes: Receiver<()>,
}

impl Link {
    /// Opens an engine that takes back what `scope` says, and listens from its first event on.
    pub(super) fn own(lease: EngineLease, settings: &Settings, scope: Scope) -> Result<Self, Failure> {
        Self::open(lease, settings, scope, None)
    }

    /// Opens an engine that takes back one run and has this done about it.
    pub(super) fn own_for(
        lease: EngineLease,
        settings: &Settings,
        run_id: &RunId,
        input: Input,
    ) -> Result<Self, Failure> {
        let scope = Scope::Only(vec![run_id.clone()]);
        Self::open(lease, settings, scope, Some((run_id.clone(), input)))
    }

    fn open(
        lease: EngineLease,
        settings: &Settings,
        scope: Scope,
        first_input: Option<(RunId, Input)>,
    ) -> Result<Self, Failure> {
        let bus = EventBus::new();
        let (wake, wakes) = bell();
        let events = bus.subscribe_with_waker(move || wake.ring());
        let engine = EngineOptions {
            scope,
            first_input,
            host_start: HostStart::AtOnce,
            bus,
            ..settings.engine_options()
        };
        let options = ServiceOptions { face: ProcessKind::Run, parts: Mode::EngineOnly, engine, raise: None };
        let listening = show_warnings(&lease.dir);
        let service = Service::open(lease, settings.clone(), options)?;
        Ok(Self::Own(Box::new(Own { service, events, wakes, _listening: listening })))
    }

    /// Listens to the engine behind `client`: to what it tells of a run after `since`.
    pub(super) fn live(client: ControlClient, run_id: &RunId, since: Option<u64>) -> Result<Self, Failure> {
        let (wake, wakes) = bell();
        let filter = EventFilter { since, runs: Some(vec![run_id.clone()]), types: None };
        match client.subscribe_with_waker(filter, move || wake.ring()) {
            Ok(events) => Ok(Self::Live(Live { client, events, wakes })),
            Err(ControlError::Gone(notice)) => Ok(Self::Lost(Lost { notice, wakes: never() })),
            Err(error) => Err(error.into()),
        }
    }

    /// None at the moment.
    pub(super) fn lost() -> Self {
        Self::Lost(Lost { notice: None, wakes: never() })
    }

    /// Ends with the engine that has gone: what it said last, if it said anything.
    pub(super) fn take_leave(&mut self) -> Result<Option<ClosingNotice>, Failure> {
        match self {
            Self::Own(own) => {
                // Until it has taken leave of everybody: else we would be our own client.
                own.service.end(ShutdownKind::LeaveSteps)?;
                Ok(None)
            }
            Self::Live(live) => Ok(live.client.closing()),
            Self::Lost(lost) => Ok(lost.notice.take()),
        }
    }

    /// The next event, if one waits.
    pub(super) fn try_event(&self) -> Option<Arc<Event>> {
        match self {
            Self::Own(own) => own.events.try_recv(),
            // What a newer engine says beyond this program's words is not for it.
            Self::Live(live) => std::iter::from_fn(|| live.events.try_recv())
                .find_map(|event| event.event().ok())
                .map(Arc::new),
            Self::Lost(_) => None,
        }
    }

    /// Attempts that were taken back although their processes are gone: their ends are still to be told.
    pub(super) fn dying(&self, run_id: &RunId) -> BTreeMap<StepId, u32> {
        let Self::Own(own) = self else { return BTreeMap::new() };
        let snapshot = own.service.engine().snapshot();
        let steps = snapshot.runs.get(run_id).into_iter().flat_map(|run| &run.steps);
        let is_gone = |step: &StepRun| step.state.is_live() && step.pid.is_none() && step.ledger.told_started;
        steps.filter(|step| is_gone(step)).map(|step| (step.id.clone(), step.attempt)).collect()
    }

    /// Something waits.
    pub(super) fn wakes(&self) -> &Receiver<()> {
        match self {
            Self::Own(own) => &own.wakes,
            Self::Live(live) => &live.wakes,
            Self::Lost(lost) => &lost.wakes,
        }
    }

    /// Whether that engine has gone and everything was taken.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Own(own) => own.events.is_over(),
            Self::Live(live) => live.events.is_over(),
            Self::Lost(_) => true,
        }
    }

    /// Has it do something.
    pub(super) fn command(&self, command: &Command) -> Result<(), Failure> {
        match self {
            Self::Own(own) => own.service.handler().handle(command.clone()).map(drop).map_err(Failure::from),
            Self::Live(live) => Ok(live.client.call::<serde_json::Value>(command).map(drop)?),
            Self::Lost(_) => Err(EngineError::ShutDown.into()),
        }
    }

    /// How a run stands; none where there is no such run.
    pub(super) fn run(&self, run_id: &RunId) -> Result<Option<RunSummary>, Failure> {
        match self {
            Self::Own(own) => Ok(own.service.engine().get_execution_state(run_id)?),
            Self::Live(live) => {
                let query = Query::Run { run_id: run_id.clone() };
                match live.client.call::<RunRecord>(&query) {
                    Ok(record) => Ok(Some(record.run)),
                    Err(ControlError::Refused(error)) if error.code == i64::from(NOT_FOUND) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Self::Lost(_) => Err(EngineError::ShutDown.into()),
        }
    }
}
