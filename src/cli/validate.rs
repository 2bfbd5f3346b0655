//! `leverframe validate`: the problems of a pipeline file, and warnings about things that are seldom intended.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::exit::Outcome;
use super::output::{Colour, Form, Page, count, note};
use super::{Place, Print};
use crate::api::exit_code::{DONE, NOT_FOUND, USAGE};
use crate::config::Diagnostic;
use crate::pipeline::Pipeline;
use crate::run::Definition;
use crate::settings::{Catalogue, CatalogueError, Settings, read_definition};

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Pipeline files, or ids of pipelines.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    print: Print,
}

#[derive(Default, Serialize)]
struct Document {
    file: PathBuf,
    valid: bool,
    id: Option<String>,
    source: Option<String>,
    n_steps: usize,
    n_levels: usize,
    problems: Vec<Problem>,
    /// Things that are allowed but seldom intended.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Problem {
    line: usize,
    column: usize,
    message: String,
}

pub(super) fn validate(args: &ValidateArgs, place: &Place) -> Outcome {
    let mut page = Page::new();
    let mut code = DONE;
    let mut documents = Vec::new();
    let folders = Folders::of(place);
    for file in &args.files {
        let outcome = folders.find(file);
        let warnings = outcome.as_ref().map(|definition| folders.warnings(definition)).unwrap_or_default();
        match (&outcome, args.print.form()) {
            (Ok(definition), Form::Text) => {
                let good = page.colours().paint(Colour::Good, "✔");
                page.line(format_args!("{}: {good} {}", file.display(), described(&definition.pipeline)))?;
                page.flush()?;
                warnings.iter().for_each(|text| note(format_args!("{}: warning: {text}", file.display())));
            }
            (Err(CatalogueError::Invalid(problems)), Form::Text) => {
                for problem in problems {
                    page.line(as_named(file, problem))?;
                }
            }
            (Err(error), Form::Text) => {
                page.flush()?;
                note(format_args!("leverframe: {error}"));
            }
            (_, Form::Json) => documents.push(Document { warnings, ..document(file, &outcome) }),
        }
        code = match outcome {
            Ok(_) => code,
            // An invalid file counts more than a missing one.
            Err(CatalogueError::NoFile { .. } | CatalogueError::Unknown { .. }) if code != USAGE => NOT_FOUND,
            Err(_) => USAGE,
        };
    }
    if args.print.form() == Form::Json {
        page.document(&documents)?;
    }
    page.end(code)
}

/// The folders of pipelines, if the settings can be read. A file can be checked without them.
pub(super) struct Folders(Option<(PathBuf, Settings)>);

impl Folders {
    pub(super) fn of(place: &Place) -> Self {
        Self(place.path().ok().and_then(|dir| Some((dir.clone(), Settings::load(&dir).ok()?))))
    }

    /// Finds a file, or the pipeline with an id, as `run` does.
    fn find(&self, name: &Path) -> Result<Arc<Definition>, CatalogueError> {
        match (&self.0, name.to_str()) {
            (Some((dir, settings)), Some(text)) => Catalogue::find_in(text, dir, settings),
            (None, _) | (_, None) => read_definition(name),
        }
    }

    /// The warnings about this file, including those about its place.
    fn warnings(&self, definition: &Definition) -> Vec<String> {
        definition.pipeline.advice().into_iter().chain(self.no_job_yet(definition)).collect()
    }

    /// The warning that the `[[schedule]]` tables of a file outside the folders make no jobs.
    pub(super) fn no_job_yet(&self, definition: &Definition) -> Option<String> {
        let (dir, settings) = self.0.as_ref()?;
        let n = definition.pipeline.schedules.len();
        if n == 0 || Catalogue::is_in_folders(Path::new(&*definition.path), dir, settings) {
            return None;
        }
        let tables =
            if n == 1 { "its [[schedule]] makes no job" } else { "its [[schedule]] tables make no jobs" };
        Some(format!(
            "{tables} yet: the file lies outside the folders of pipelines; put it into {}, or name its folder in `[pipelines] dirs` of the settings",
            dir.join("pipelines").display()
        ))
    }
}

/// The problem with the file as the user named it, so that a terminal can open it. If the user gave an id, the path
/// stays absolute.
fn as_named(file: &Path, problem: &Diagnostic) -> Diagnostic {
    let is_named = file.file_name() == problem.file.file_name();
    Diagnostic { file: if is_named { file } else { &problem.file }.to_owned(), ..problem.clone() }
}

fn n_levels(pipeline: &Pipeline) -> usize {
    pipeline.levels().iter().max().map_or(0, |last| last + 1)
}

fn described(pipeline: &Pipeline) -> String {
    let steps = count(pipeline.steps.len(), "step", "steps");
    let levels = count(n_levels(pipeline), "level", "levels");
    format!("pipeline {}, {steps} on {levels}", pipeline.id)
}

fn document(file: &Path, outcome: &Result<Arc<Definition>, CatalogueError>) -> Document {
    let file = file.to_owned();
    match outcome {
        Ok(definition) => Document {
            file,
            valid: true,
            id: Some(definition.pipeline.id.to_string()),
            source: Some(definition.pipeline.source.clone()),
            n_steps: definition.pipeline.steps.len(),
            n_levels: n_levels(&definition.pipeline),
            problems: Vec::new(),
            warnings: Vec::new(),
        },
        Err(CatalogueError::Invalid(problems)) => {
            let problem =
                |it: &Diagnostic| Problem { line: it.line, column: it.column, message: it.message.clone() };
            Document { file, problems: problems.iter().map(problem).collect(), ..Document::default() }
        }
        Err(error) => {
            let problem = Problem { line: 1, column: 1, message: error.to_string() };
            Document { file, problems: vec![problem], ..Document::default() }
        }
    }
}
