//! The operator's orders for everything at once: given to the engine that lives, or else recorded for the next one.

use std::sync::Arc;

use super::integration::IntegrationError;
use super::{
    Answer, Asking, Command, DataDir, Parts, Records, Seat, ServeFor, Service, ServiceOptions, Settings, ask,
};
use crate::admission::Orders;
use crate::control::wire::Face;
use crate::engine::{EngineOptions, EventBus, Scope, ShutdownKind};
use crate::run::{AutoResume, RunState};
use crate::store::StoreError;
use crate::supervisor::is_left_behind;

/// Has an order carried out: by the engine that lives, or else by one of this process, which is there as long as that
/// takes. Steps that run with the supervisor alone are frozen, or go on, before this returns.
///
/// # Errors
/// [`IntegrationError`], when it is refused, or the directory can't be used.
pub fn give_order(
    dir: &DataDir,
    settings: Settings,
    order: &Command,
    complain: impl Fn(String) + Send + Sync + 'static,
) -> Result<Orders, IntegrationError> {
    match ask::<Orders>(dir, order)? {
        Asking::Answered(_, orders) => Ok(orders),
        Asking::Seat(seat) => order_here(seat, settings, order, complain),
    }
}

fn order_here(
    seat: Seat,
    settings: Settings,
    order: &Command,
    complain: impl Fn(String) + Send + Sync + 'static,
) -> Result<Orders, IntegrationError> {
    // Without a supervisor nothing runs; then what waits to be taken up is left to those who do that.
    let scope = if is_left_behind(seat.dir.path()) { Scope::All } else { Scope::Nothing };
    let bus = EventBus::new();
    let events = bus.subscribe();
    let engine = EngineOptions { scope, auto_resume: AutoResume::No, bus, ..settings.engine_options() };
    let options = ServiceOptions {
        face: Face::Run,
        parts: Parts::RunsAlone,
        engine,
        raise: None,
        complain: Arc::new(complain),
    };
    let service = Service::open(seat, settings, options)?;
    let Answer::Orders(orders) = service.desk().carry_out(order.clone())? else {
        return Err(IntegrationError::Invalid(format!(
            "{} is no order for everything at once",
            order.text()
        )));
    };
    let is_being_frozen = || {
        let snapshot = service.engine().snapshot();
        snapshot.runs.values().any(|run| run.state == RunState::Paused && run.ledger.frozen_since.is_none())
    };
    while is_being_frozen() && events.recv().is_some() {}
    if service.is_busy() {
        service.leave_behind(ServeFor::WhatRuns).map_err(IntegrationError::Impossible)?;
    } else {
        service.close(ShutdownKind::LeaveSteps)?;
    }
    Ok(orders)
}

impl Records {
    /// The orders that were recorded last.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub fn orders(&self) -> Result<Orders, StoreError> {
        self.store().load_orders()
    }
}
