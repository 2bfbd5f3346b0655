//! What a pipeline is: its model, its file format with located errors, and its graph.
//!
//! Pure: text in, [`Pipeline`] or diagnostics out. Reading files, fetching secrets and expanding `~`
//! are done by the caller.

mod graph;
mod model;

pub use model::*;
