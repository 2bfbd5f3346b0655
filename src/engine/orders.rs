//! The operator's orders for all runs: quiet and drain.

use chrono::{DateTime, Utc};
use crossbeam_channel::bounded;

use super::clock;
use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::message::Message;
use crate::admission::{Order, Orders};

#[doc(hidden)]
impl CoreExecutionEngine {
    /// Begins quiet: freezes the runs whose pipelines allow it, and holds new ones, until `until` or
    /// [`Self::end_quiet`]. If it is quiet already, only the end changes. Recorded when this returns; the event is
    /// `orders_changed`.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when `until` is past; [`EngineError::Store`] when it can't be recorded.
    pub fn begin_quiet(&self, until: Option<DateTime<Utc>>) -> Result<Orders, EngineError> {
        if until.is_some_and(|until| until <= clock::now().wall) {
            return Err(EngineError::Invalid(
                "the end of the quiet time is in the past; give a later one".into(),
            ));
        }
        self.order(Order::Quiet(until))
    }

    /// Ends quiet: thaws what was frozen, and starts the runs that waited one at a time.
    ///
    /// # Errors
    /// [`EngineError::Store`] when it can't be recorded.
    pub fn end_quiet(&self) -> Result<Orders, EngineError> {
        self.order(Order::EndQuiet)
    }

    /// Starts no more runs until [`Self::end_drain`]; running ones go on. The order outlives the engine.
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

    /// The orders in force, as of the last event.
    pub fn orders(&self) -> Orders {
        self.published().snapshot().orders
    }

    fn order(&self, order: Order) -> Result<Orders, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Order(order, reply))?;
        answer.recv().map_err(|_| EngineError::ShutDown)?
    }
}
