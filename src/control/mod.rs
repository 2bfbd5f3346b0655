//! The control socket of a data directory, `control.sock`: what is said over it, how it is bound, and the client's
//! side. JSON-RPC 2.0, one message a line, versioned by a hello.
//!
//! In reading order: [`wire`] is what both sides say; `lines` cuts a stream into messages; `socket` binds;
//! `descriptors` hands files over; [`ControlClient`] asks one engine, and [`Events`] is what it hears; [`Connection`] asks
//! whichever engine there is, also after a hand-over. Both sides know from [`crate::api`] what can be asked; a
//! [`server::Handler`] carries it out.

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
