//! `leverframe schema`.

use clap::{Args, ValueEnum};

use super::Print;
use super::exit::Outcome;
use super::output::Page;
use crate::api::exit_code::DONE;
use crate::{pipeline, settings};

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// For which file.
    #[arg(value_enum, default_value_t = File::Pipeline)]
    file: File,
    /// The output is always JSON.
    #[command(flatten)]
    _print: Print,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum File {
    Pipeline,
    Settings,
}

pub(super) fn schema(args: &SchemaArgs) -> Outcome {
    let mut page = Page::new();
    page.document(&match args.file {
        File::Pipeline => pipeline::schema(),
        File::Settings => settings::schema(),
    })?;
    page.end(DONE)
}
