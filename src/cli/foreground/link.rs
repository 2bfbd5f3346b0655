//! The engine that a verb in the foreground follows: one of its own, or that of another process.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::super::exit::Failure;
use super::super::output::show_warnings;
use crate::api::ProcessKind;
use crate::backend::{Backend, EngineEvents};
use crate::base::id::RunId;
use crate::base::wake::bell;
use crate::control::wire::EventFilter;
use crate::control::{ControlClient, Wake};
use crate::daemon::{EngineLease, Mode, ServiceOptions};
use crate::diagnostics::Listening;
use crate::engine::{CoreExecutionEngine, EngineOptions, EventBus, HostStart, Scope};
use crate::run::Input;
use crate::settings::Settings;
use crate::store::DataDir;

pub(super) struct Link {
    pub(super) backend: Backend,
    pub(super) events: EngineEvents,
    /// Rings when events wait.
    pub(super) wakes: Receiver<()>,
    /// Shows the warnings of an engine of this process, and outlives it.
    _listening: Option<Listening>,
}

impl Link {
    /// Opens an engine that recovers the runs in `scope`, and follows it from its first event. `first_input` is its
    /// first decision about a run.
    pub(super) fn own(
        lease: EngineLease,
        settings: Settings,
        scope: Scope,
        first_input: Option<(RunId, Input)>,
    ) -> Result<Self, Failure> {
        let engine = EngineOptions { scope, first_input, ..settings.engine_options() };
        Self::own_and(lease, settings, engine, HostStart::AtOnce, |_| ()).map(|(this, ())| this)
    }

    /// As [`own`](Self::own), with these options. What is most urgent is done by `first`, as soon as the engine is open.
    pub(super) fn own_and<T>(
        lease: EngineLease,
        settings: Settings,
        engine: EngineOptions,
        host_start: HostStart,
        first: impl FnOnce(&CoreExecutionEngine) -> T,
    ) -> Result<(Self, T), Failure> {
        let (wake, wakes) = bell();
        let engine = EngineOptions { host_start, bus: EventBus::new(), ..engine };
        let options = ServiceOptions { face: ProcessKind::Run, parts: Mode::EngineOnly, engine, raise: None };
        let listening = Some(show_warnings(&lease.dir));
        let wake: Wake = Arc::new(move || wake.ring());
        let (backend, events, first) = Backend::open_and(lease, settings, options, wake, first)?;
        Ok((Self { backend, events, wakes, _listening: listening }, first))
    }

    /// Follows the engine behind `client`: its events about a run after `since`.
    pub(super) fn live(
        client: ControlClient,
        dir: DataDir,
        settings: Settings,
        run_id: &RunId,
        since: Option<u64>,
    ) -> Result<Self, Failure> {
        let (wake, wakes) = bell();
        let filter = EventFilter { since, runs: Some(vec![run_id.clone()]), types: None };
        let (backend, events) =
            Backend::attach(client, dir, settings, filter, Arc::new(move || wake.ring()))?;
        Ok(Self { backend, events, wakes, _listening: None })
    }
}
