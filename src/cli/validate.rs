//! `leverframe validate`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Print;
use super::exit::{DONE, NOT_FOUND, Outcome, USAGE};
use super::output::{Colour, Form, Page, count, note};
use crate::app::{CatalogueError, read_definition};
use crate::pipeline::{Diagnostic, Pipeline};

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Pipeline files.
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
}

#[derive(Serialize)]
struct Problem {
    line: usize,
    column: usize,
    message: String,
}

pub(super) fn validate(args: &ValidateArgs) -> Outcome {
    let mut page = Page::new();
    let mut code = DONE;
    let mut documents = Vec::new();
    for file in &args.files {
        let outcome = read_definition(file);
        match (&outcome, args.print.form()) {
            (Ok(definition), Form::Text) => {
                let good = page.colours().paint(Colour::Good, "✔");
                page.line(format_args!("{}: {good} {}", file.display(), described(&definition.pipeline)))?;
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
            (_, Form::Json) => documents.push(document(file, &outcome)),
        }
        code = match outcome {
            Ok(_) => code,
            // A wrong file weighs more than one that is not there.
            Err(CatalogueError::NoFile { .. }) if code != USAGE => NOT_FOUND,
            Err(_) => USAGE,
        };
    }
    if args.print.form() == Form::Json {
        page.document(&documents)?;
    }
    page.end(code)
}

/// The file as the caller named it, so that it can be clicked where he stands.
fn as_named(file: &Path, problem: &Diagnostic) -> Diagnostic {
    Diagnostic { file: file.to_owned(), ..problem.clone() }
}

fn n_levels(pipeline: &Pipeline) -> usize {
    pipeline.levels().iter().max().map_or(0, |last| last + 1)
}

fn described(pipeline: &Pipeline) -> String {
    let steps = count(pipeline.steps.len(), "step", "steps");
    let levels = count(n_levels(pipeline), "level", "levels");
    format!("pipeline {}, {steps} on {levels}", pipeline.id)
}

fn document(
    file: &Path,
    outcome: &Result<std::sync::Arc<crate::run::Definition>, CatalogueError>,
) -> Document {
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
