//! Pipelines: the model, the file format with located errors, and the graph of steps.
//!
//! Pure: text in, [`Pipeline`] or diagnostics out. The caller reads files, finds the home directory, fetches
//! secrets and looks up variables.
//!
//! In reading order: `model` (the parsed pipeline), `keys` (the table of all keys of the file, against which `config` reads
//! it), `parse` (rules about several values together), `graph` (which step is above which), `schedules` (its jobs),
//! `params` and `secret`, `advice`, `expand`, `differences`, `samples`, `templates`.

mod model;

mod keys;
mod parse;
mod paths;
mod schedules;

mod graph;

mod advice;
mod differences;
mod expand;
mod params;
mod samples;
mod secret;
mod templates;

pub use crate::base::units::{
    about, format_duration, format_size, parse_duration, parse_size, signal_name, signal_number,
    size_in_words,
};
pub use differences::differences;
pub use expand::{ExpandError, expand};
pub use graph::Graph;
pub use keys::{key_table, schema};
pub use model::{
    Background, Command, OnBattery, OnFailure, OnInterrupt, OnQuiet, Param, ParamType, Pipeline,
    PipelineSchedule, Resources, Retries, SecretCommand, SecretSource, Step, When,
};
pub use params::{
    Arguments, DEFAULT_ENVIRONMENT, DEFAULT_RUN_TYPE, ENVIRONMENT, ParamError, RUN_TYPE, param_env_name,
};
pub use samples::{SampleFile, samples};
pub use secret::{SecretState, origin as secret_origin};
pub use templates::Template;

#[cfg(test)]
mod tests;
