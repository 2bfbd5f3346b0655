//! The engine's side of the control socket: requests of all clients, answered by one [`Handler`].
//!
//! In reading order: `acceptor` accepts and closes; `connection` is one client, and `session` its requests and answers,
//! in order; `methods` parses a request; `journal` keeps the last events, encoded once, for all subscriptions; `filter`
//! says which events one of them wants. No state of a run is kept here.

mod acceptor;
mod connection;
mod filter;
mod hand_over;
mod journal;
mod methods;
mod session;
mod writer;

pub use acceptor::{ControlOptions, ControlServer, Handler};
pub use hand_over::HandOver;
pub use methods::METHODS;
