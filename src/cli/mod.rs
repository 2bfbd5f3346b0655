//! The command line: one verb for each file. Results go to standard output, everything else to standard error, and the
//! exit code says how it went (`exit`).
//!
//! `run`, `resume` and `retry` drive a run in the foreground (`foreground`). Verbs that only read use the disk, take no
//! lock and recover nothing.

mod checkpoints;
mod control;
mod doctor;
mod events;
mod exit;
mod foreground;
mod import;
mod init;
mod logs;
mod order;
mod output;
mod painter;
mod prune;
mod report;
mod resume;
mod run;
mod runs;
mod schedule;
mod schema;
mod sentences;
mod serve;
mod service;
mod show;
mod signals;
mod stats;
mod top;
mod validate;
mod why;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::base::id::RunId;
use crate::diagnostics;
use crate::records::Records;
use crate::store::DataDir;
use crate::window::WindowPort;
use exit::{Failure, Outcome};
use output::Form;

/// Runs pipelines on this machine, survives crashes, and puts pause and stop levers in your hand.
///
/// Without a verb the window opens.
#[derive(Debug, Parser)]
#[command(name = "leverframe", version)]
struct Cli {
    #[command(flatten)]
    place: Place,
    /// Connect the window to the engine that is running, instead of taking it over.
    #[arg(long)]
    attach: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Where everything lies.
#[derive(Debug, Args)]
struct Place {
    /// The data directory; default: the platform's own place for such data.
    #[arg(long, value_name = "DIR", env = "LEVERFRAME_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The absolute path of the data directory, which need not exist.
    fn path(&self) -> Result<PathBuf, Failure> {
        Ok(DataDir::locate(self.data_dir.as_deref())?)
    }

    /// The records of the data directory, read-only.
    fn records(&self) -> Result<Records, Failure> {
        Ok(Records::open(&self.path()?)?)
    }
}

// How facts are printed. No doc comment: clap would take it as the description of each verb that has it.
#[derive(Debug, Args)]
struct Print {
    /// Print JSON: one document, or one a line for streams.
    #[arg(long)]
    json: bool,
}

impl Print {
    fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

// Deferred: to describe the arguments of all verbs would take a tenth of what a short run takes.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    /// Run a pipeline in the foreground.
    Run(run::RunArgs),
    /// Let a run go on; completed steps are not run again.
    Resume(resume::ResumeArgs),
    /// Run steps of an ended run again.
    Retry(resume::RetryArgs),
    /// Freeze a run; returns when it is frozen.
    Pause(control::PauseArgs),
    /// Stop a run; returns when it has ended.
    Stop(control::StopArgs),
    /// Print the events of the running engine, or follow them.
    Events(events::EventsArgs),
    /// Run the engine and the scheduler without a window.
    Serve(serve::ServeArgs),
    /// Manage the jobs that run pipelines automatically.
    #[command(subcommand)]
    Schedule(schedule::ScheduleVerb),
    /// Import jobs from elsewhere.
    #[command(subcommand)]
    Import(import::ImportVerb),
    /// List runs, newest first.
    Runs(runs::RunsArgs),
    /// Show what the current runs use, as it is measured.
    Top(top::TopArgs),
    /// Show the usual time and resource use of a pipeline's steps, from its last runs.
    Stats(stats::StatsArgs),
    /// Show one run with its steps.
    Show(show::ShowArgs),
    /// List the last checkpoints of a run's steps.
    Checkpoints(checkpoints::CheckpointsArgs),
    /// Print the logs of a run.
    Logs(logs::LogsArgs),
    /// Look for mistakes in pipeline files.
    Validate(validate::ValidateArgs),
    /// Print the JSON Schema of pipeline files or of the settings, for editors.
    Schema(schema::SchemaArgs),
    /// Write sample pipelines.
    Init(init::InitArgs),
    /// Remove what the retention settings no longer keep.
    Prune(prune::PruneArgs),
    /// Report progress, checkpoints, outputs and metrics from inside a step.
    Report(report::ReportArgs),
    /// Check the directory, the databases, the pipelines and the platform.
    Doctor(doctor::DoctorArgs),
    /// Run `serve` as a service of the login session.
    Service(service::ServiceArgs),
    /// Explain why a run is in its state, and what to do about it.
    Why(why::WhyArgs),
    /// Start a waiting run now, without what it waits for.
    Admit(control::AdmitArgs),
    /// Freeze all runs and start no new ones, for a while.
    Quiet(order::QuietArgs),
    /// Let current runs end, and start nothing new.
    Drain(order::DrainArgs),
}

/// Shows a window on this port until it is closed.
pub type Window = fn(WindowPort) -> anyhow::Result<()>;

/// Parses the arguments, carries them out, and returns the exit code. `window` is shown when there is no verb; none in
/// a build without a window.
pub fn main(window: Option<Window>) -> ExitCode {
    let Cli { place, attach, verb } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(print_clap_error(&error)),
    };
    if !matches!(verb, None | Some(Verb::Serve(_))) {
        // The window and `serve` may write diagnostics into their data directory, which they must open first.
        output::say_ignored(diagnostics::install(diagnostics::Output::Stderr));
    }
    let outcome = match verb {
        None => window::open(&place, window, attach),
        Some(_) if attach => Err(Failure::usage("--attach opens a window and can't be combined with a verb")),
        Some(verb) => verb.execute(&place),
    };
    let code = outcome.unwrap_or_else(|failure| {
        if let Some(message) = &failure.message {
            output::note(format_args!("leverframe: {message}"));
        }
        failure.code
    });
    ExitCode::from(code)
}

/// Prints clap's message (help or wrong usage), and returns the exit code.
fn print_clap_error(error: &clap::Error) -> u8 {
    if error.use_stderr() {
        // It repeats the arguments, whose characters may not be safe for a terminal.
        output::note(error.render().to_string().trim_end());
    } else {
        // If standard output can't be written, there is no other place for it.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).unwrap_or(exit::USAGE)
}

impl Verb {
    fn execute(self, place: &Place) -> Outcome {
        match self {
            Self::Run(args) => run::run(args, place),
            Self::Resume(args) => resume::resume(args, place),
            Self::Retry(args) => resume::retry(args, place),
            Self::Pause(args) => control::pause(args, place),
            Self::Stop(args) => control::stop(args, place),
            Self::Serve(args) => serve::serve(&args, place),
            Self::Events(args) => events::events(&args, place),
            Self::Schedule(verb) => schedule::schedule(verb, place),
            Self::Import(verb) => import::import(verb, place),
            Self::Runs(args) => runs::runs(args, place),
            Self::Top(args) => top::top(&args, place),
            Self::Stats(args) => stats::stats(&args, place),
            Self::Show(args) => show::show(&args, place),
            Self::Checkpoints(args) => checkpoints::checkpoints(&args, place),
            Self::Logs(args) => logs::logs(args, place),
            Self::Validate(args) => validate::validate(&args, place),
            Self::Schema(args) => schema::schema(&args),
            Self::Init(args) => init::init(args, place),
            Self::Prune(args) => prune::prune(&args, place),
            Self::Report(args) => report::report(args),
            Self::Doctor(args) => doctor::doctor(&args, place),
            Self::Service(args) => service::service(&args, place),
            Self::Why(args) => why::why(&args, place),
            Self::Admit(args) => control::admit(&args, place),
            Self::Quiet(args) => order::quiet(&args, place),
            Self::Drain(args) => order::drain(&args, place),
        }
    }
}

/// Parses `KEY=VALUE`.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write KEY=VALUE".to_owned()),
    }
}

/// The failure for an unknown run, with the name of a run that may have been meant.
fn no_such_run(records: &Records, run_id: &RunId) -> Failure {
    // Without a suggestion if it can't be looked up.
    let near = records.nearest_run(run_id).ok().flatten();
    Failure::no_run(run_id, near.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_value_may_hold_what_it_likes_and_a_key_is_needed() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err() && key_value("=b").is_err());
    }
}
