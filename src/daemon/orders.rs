//! The operator's orders for all runs: given to the living engine, or recorded for the next one.

use super::background::ServeFor;
use super::lease::{Acquisition, EngineLease, ask};
use super::service::{Mode, Service, ServiceOptions};
use crate::admission::{Order, Orders};
use crate::api::{Drain, EndDrain, EndQuiet, Error, ProcessKind, Quiet};
use crate::engine::{EngineOptions, EventBus, Scope, ShutdownKind, now};
use crate::records::Records;
use crate::settings::Settings;
use crate::store::{DataDir, StoreError};
use crate::supervisor::is_left_behind;

/// Gives an order to the living engine, or else to one of this process, which lives as long as that takes. Steps that
/// run under the supervisor alone are frozen or thawed before this returns.
///
/// # Errors
/// [`Error`] when the order is refused, or the directory can't be used.
pub fn give_order(dir: &DataDir, settings: Settings, order: Order) -> Result<Orders, Error> {
    let asked = match order {
        Order::Quiet(until) => ask(dir, &Quiet { until }),
        Order::EndQuiet => ask(dir, &EndQuiet {}),
        Order::Drain => ask(dir, &Drain {}),
        Order::EndDrain => ask(dir, &EndDrain {}),
    };
    match asked? {
        Acquisition::Answered(_, orders) => Ok(orders),
        Acquisition::EngineLease(lease) => order_here(lease, settings, order),
    }
}

fn order_here(lease: EngineLease, settings: Settings, order: Order) -> Result<Orders, Error> {
    // Without a supervisor nothing runs. Recovery is then left to a later engine.
    let scope = if is_left_behind(lease.dir.path()) { Scope::All } else { Scope::Nothing };
    let bus = EventBus::new();
    let events = bus.subscribe();
    if matches!(order, Order::Quiet(Some(until)) if until <= now().wall) {
        return Err(Error::invalid("the end of the quiet time is in the past; give a later one"));
    }
    let engine = EngineOptions {
        scope,
        bus,
        // Given before recovery, so that nothing starts that the order holds back.
        first_order: Some(order),
        ..settings.engine_options()
    };
    let options = ServiceOptions { face: ProcessKind::Run, parts: Mode::EngineOnly, engine, raise: None };
    let service = Service::open(lease, settings, options)?;
    let orders = service.engine().orders();
    let is_being_frozen = || {
        let snapshot = service.engine().snapshot();
        snapshot.runs.values().any(|run| run.phase.freeze().is_some_and(|freeze| freeze.since.is_none()))
    };
    while is_being_frozen() && events.recv().is_some() {}
    if service.is_busy() {
        service.leave_behind(ShutdownKind::LeaveSteps, ServeFor::WhatRuns).map_err(Error::impossible)?;
    } else {
        service.close(ShutdownKind::LeaveSteps)?;
    }
    Ok(orders)
}

impl Records {
    /// The orders that were recorded last.
    pub fn orders(&self) -> Result<Orders, StoreError> {
        self.store().load_orders()
    }
}
