//! Who drives a run, and by which definition.

use std::sync::Arc;

use crate::pipeline::Pipeline;

/// Who drives a run.
#[derive(Debug, Clone)]
pub enum Body {
    /// A Rust program, through the engine's calls; also a registered function.
    Driven,
    /// The engine, by this definition.
    Pipeline(Arc<Definition>),
}

/// The definition that a run started with: retries, resume and recovery use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Absolute path of the file.
    pub path: Arc<str>,
    /// The file's text.
    pub text: Arc<str>,
    /// What it says.
    pub pipeline: Pipeline,
}
