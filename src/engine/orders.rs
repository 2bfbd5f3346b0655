//! The operator's orders for everything at once: quiet and drain.

use chrono::{DateTime, Utc};
use crossbeam_channel::bounded;

use super::clock;
use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::message::Message;
use crate::admission::{Order, Orders};

#[doc(hidden)]
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
        self.published().snapshot().orders
    }

    fn order(&self, order: Order) -> Result<Orders, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Order(order, reply))?;
        answer.recv().map_err(|_| EngineError::ShutDown)?
    }
}
