//! Pipelines: the model, the file format with located errors, and the graph of steps.
//!
//! Pure: text in, [`Pipeline`] or [`Diagnostic`]s out. The caller reads files, finds the home directory, fetches
//! secrets and looks up variables.
//!
//! In reading order: `model` (the parsed pipeline), `keys` and `kinds` (the table of all keys of the file), `reader`
//! and `values` (TOML, checked against that table), `parse` (rules about several values together), `graph` (which step
//! is above which), `schedules` (its jobs), `params` and `secret`, `advice`, `expand`, `differences`, `schema`,
//! `samples`.

mod model;

mod keys;
mod kinds;

mod diagnostic;
mod reader;
mod values;

mod parse;
mod paths;
mod schedules;

mod graph;

mod advice;
mod differences;
mod expand;
mod params;
mod samples;
mod schema;
mod secret;

pub use crate::base::units::{
    about, format_duration, format_size, parse_duration, parse_size, signal_name, signal_number,
    size_in_words,
};
pub use crate::pipeline::model::*;
pub use diagnostic::Diagnostic;
pub(crate) use diagnostic::Problems;
pub use differences::differences;
pub use expand::{ExpandError, expand};
pub use graph::Graph;
pub use params::{Arguments, DEFAULT_ENVIRONMENT, DEFAULT_RUN_TYPE, ParamError, param_env_name};
pub use samples::{SampleFile, samples};
pub use schedules::PipelineSchedule;
pub use schema::{key_table, schema};

#[cfg(test)]
mod tests;
