//! The control socket of a data directory, `control.sock`: its messages, how it is bound, and the client's side.
//! JSON-RPC 2.0, one message a line; a hello agrees on the version.
//!
//! In reading order: [`wire`] has the messages; `lines` splits a stream into messages; `socket` binds; `descriptors`
//! passes open files; [`ControlClient`] calls one engine, and [`Events`] are its events; [`Connection`] calls the
//! present engine, also after a hand-over. [`crate::api`] defines the requests; a [`server::Handler`] handles them.

mod client;
mod descriptors;
mod lines;
pub mod server;
mod socket;
pub mod wire;

pub use client::{
    Connection, ControlClient, ControlError, EventStream, Events, HandedOver, OWN_NAME, ReceivedEvent,
    StoppedHolder, Wake, look_again,
};
pub use descriptors::send_with_descriptors;
pub use lines::{LineDecoder, LineTooLong};
pub use socket::{SOCKET_NAME, bind, is_of_our_user};
