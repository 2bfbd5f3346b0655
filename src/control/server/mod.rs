//! The engine's side of the control socket: everybody who may ask, answered by one [`Handler`].
//!
//! In reading order: `acceptor` accepts and closes; `connection` is one client and `session` what is said
//! with it, requests answered in order; `methods` finds what a request asks; `journal` keeps the last events, encoded once, for all subscriptions; `filter`
//! says which of them one wants. It deliberately owns no state of any run.

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
