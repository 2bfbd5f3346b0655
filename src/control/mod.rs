//! The control socket of a data directory, `control.sock`: what is said over it, how it is bound, and the client's
//! side. JSON-RPC 2.0, one message a line, versioned by a hello.
//!
//! In reading order: [`wire`] is what both sides say; `lines` cuts a stream into messages; `socket` binds;
//! `descriptors` hands files over; [`ControlClient`] asks, and [`Events`] is what it hears. The client deliberately
//! does not know what can be asked: requests are whatever serializes to `method` and `params`. `server` reads
//! them as what [`crate::api`] knows, and hands them to a [`server::Handler`].

mod client;
mod descriptors;
mod events;
mod lines;
mod reader;
pub mod server;
mod socket;
pub mod wire;

pub use client::{ControlClient, ControlError, HandedOver, StoppedHolder};
pub use descriptors::send_with_descriptors;
pub use events::{Events, ReceivedEvent};
pub use lines::{LineDecoder, LineTooLong};
pub use socket::{SOCKET_NAME, bind, is_of_our_user};
