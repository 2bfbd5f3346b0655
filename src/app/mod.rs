//! Joins the parts: what stands between the engine and its faces. [`AppStore`] is the read model that
//! the window paints from; [`window_port`] makes the pair of channels through which updates come in and actions
//! go out. Nothing here knows how anything is painted.

mod port;
mod store;

pub use port::*;
pub use store::*;
