//! The operator's orders for everything at once: quiet and drain. Recorded first, then told, then met by every run; a start
//! that finds one recorded has every run meet it.

use chrono::{DateTime, TimeDelta, Utc};
use crossbeam_channel::{Sender, bounded};

use super::core::Engine;
use super::message::{Message, OrderAnswer, PendingInput};
use super::{CoreExecutionEngine, EngineError, clock};
use crate::admission::{Order, Orders, Quiet};
use crate::run::{EventKind, Input};
use crate::store::RunWrite;

/// Between two starts of what waited for the end of quiet, as between those that catch up.
pub(super) const TURN: TimeDelta = TimeDelta::seconds(5);

impl CoreExecutionEngine {
    /// Freezes the runs whose pipelines let it, and has new ones wait, until then or until it is taken back. Where it is
    /// quiet already, its end is moved. Recorded when this returns; told as `orders_changed`.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when that instant is past, [`EngineError::Store`] when it can't be recorded.
    pub fn begin_quiet(&self, until: Option<DateTime<Utc>>) -> Result<Orders, EngineError> {
        if until.is_some_and(|until| until <= clock::now().wall) {
            return Err(EngineError::Invalid("the end of quiet is past; give one that is to come".into()));
        }
        self.order(Order::Quiet(until))
    }

    /// Lets what was frozen for quiet go on, and starts what waited for its end one at a time.
    ///
    /// # Errors
    /// [`EngineError::Store`] when it can't be recorded.
    pub fn end_quiet(&self) -> Result<Orders, EngineError> {
        self.order(Order::EndQuiet)
    }

    /// Starts no run any more, until it is taken back; those that run go on to their end. Survives the engine.
    ///
    /// # Errors
    /// [`EngineError::Store`] when it can't be recorded.
    pub fn begin_drain(&self) -> Result<Orders, EngineError> {
        self.order(Order::Drain)
    }

    /// Starts runs again.
    ///
    /// # Errors
    /// [`EngineError::Store`] when it can't be recorded.
    pub fn end_drain(&self) -> Result<Orders, EngineError> {
        self.order(Order::EndDrain)
    }

    /// The orders that are in force, as of the last event.
    pub fn orders(&self) -> Orders {
        self.shared.published.snapshot.load().orders
    }

    fn order(&self, order: Order) -> Result<Orders, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Order(order, reply))?;
        answer.recv().map_err(|_| EngineError::ShutDown)?
    }
}

impl Engine {
    /// Carries out an order: recorded, then told, then met by every run. Whoever gave it hears of it after that.
    pub(super) fn translate_order(
        &mut self,
        order: Order,
        reply: Sender<OrderAnswer>,
        heard: &mut Vec<PendingInput>,
    ) {
        let orders = self.admission.orders.after(order, clock::now().wall);
        let outcome = self.set_orders(orders, heard);
        self.given_orders.push((reply, outcome.map(|()| orders)));
    }

    /// Answers those who gave orders: every run has met them.
    pub(super) fn answer_orders(&mut self) {
        for (reply, outcome) in self.given_orders.drain(..) {
            // A caller that has gone needs no answer.
            let _ = reply.send(outcome);
        }
    }

    fn set_orders(&mut self, orders: Orders, heard: &mut Vec<PendingInput>) -> Result<(), EngineError> {
        if orders != self.admission.orders {
            // By itself, and before anything is made of it: a start that finds it recorded has every run meet it.
            self.published.store.commit(&[RunWrite::Orders(orders)])?;
            self.adopt_orders(orders, heard);
        }
        Ok(())
    }

    fn adopt_orders(&mut self, orders: Orders, heard: &mut Vec<PendingInput>) {
        let was_quiet = self.admission.orders.quiet.is_some();
        self.admission.orders = orders;
        if was_quiet && orders.quiet.is_none() {
            // What was frozen goes on first.
            self.admission.next_turn_at = Some(clock::now().wall + TURN);
        }
        self.arm_timer();
        self.tell(EventKind::OrdersChanged { orders: Box::new(orders) });
        self.publish_seq();
        heard.extend(self.meet_quiet());
    }

    /// What every living run is to hear of quiet, whether it has met it or not.
    fn meet_quiet(&self) -> Vec<PendingInput> {
        let since = self.admission.orders.quiet.map(|quiet| quiet.since);
        let living = self.runs.keys().cloned();
        living.map(|run_id| PendingInput::world(run_id, Input::Quiet(since))).collect()
    }

    /// After a start: orders that were recorded are met by the runs that an earlier engine left.
    pub(super) fn look_at_orders(&mut self) {
        let now = clock::now().wall;
        let mut heard = Vec::new();
        if self.admission.orders.quiet.is_some_and(|quiet| quiet.until.is_some_and(|until| until <= now)) {
            self.end_quiet_in_time(&mut heard);
        } else {
            heard = self.meet_quiet();
        }
        self.arm_timer();
        self.handle(heard);
    }

    /// Looks whether quiet is over, or the next one's turn has come.
    pub(super) fn look_at_turns(&mut self, now: DateTime<Utc>) {
        let is_over = |quiet: Quiet| quiet.until.is_some_and(|until| until <= now);
        if self.admission.orders.quiet.is_some_and(is_over) {
            let mut heard = Vec::new();
            self.end_quiet_in_time(&mut heard);
            self.handle(heard);
        }
        // Later than the next turn may be: the clock was set back.
        if self.admission.next_turn_at.is_some_and(|at| at <= now || at > now + TURN) {
            self.admission.next_turn_at = None;
            self.is_line_stale = true;
            self.arm_timer();
        }
    }

    fn end_quiet_in_time(&mut self, heard: &mut Vec<PendingInput>) {
        let orders = Orders { quiet: None, ..self.admission.orders };
        if self.set_orders(orders, heard).is_err() {
            // It can't be recorded at the moment: it is over all the same, and the next start finds that it is past.
            self.adopt_orders(orders, heard);
        }
    }

    /// When the engine must look at the line again without being told.
    pub(super) fn next_turn_at(&self) -> Option<DateTime<Utc>> {
        let end_of_quiet = self.admission.orders.quiet.and_then(|quiet| quiet.until);
        [end_of_quiet, self.admission.next_turn_at].into_iter().flatten().min()
    }
}
