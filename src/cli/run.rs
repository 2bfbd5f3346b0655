//! `leverframe run`.

use std::sync::Arc;

use clap::Args;

use super::exit::{Failure, Outcome};
use super::foreground::{Foreground, Until};
use super::output::note;
use super::validate::Folders;
use super::{Place, Print, key_value, no_such_run};
use crate::api::StartRun;
use crate::base::id::RunId;
use crate::daemon::Acquisition;
use crate::run::{Definition, Plan};
use crate::settings::{Catalogue, Settings};
use crate::store::DataDir;
use crate::{daemon, records};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The pipeline: a file, or an id (see the folders of pipelines).
    #[arg(required_unless_present = "like")]
    pipeline: Option<String>,
    /// A parameter; once for each.
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = key_value)]
    params: Vec<(String, String)>,
    /// The name of the run; default: made of the source and the time.
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    /// Such as FULL_REFRESH, which is the default.
    #[arg(long, value_name = "TYPE")]
    run_type: Option<String>,
    /// Such as dev, which is the default.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// From 0 to 9: of the waiting runs, the highest starts first; default: the pipeline's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Take this run's parameters, run type and environment, and without PIPELINE its definition as well.
    #[arg(long, value_name = "RUN_ID")]
    like: Option<RunId>,
    #[command(flatten)]
    print: Print,
}

pub(super) fn run(args: RunArgs, place: &Place) -> Outcome {
    let data_dir = place.path()?;
    let settings = Settings::load(&data_dir)?;
    let form = args.print.form();
    let named = args.pipeline.as_deref();
    let named = named.map(|name| Catalogue::find_in(name, &data_dir, &settings)).transpose()?;
    let start = StartRun {
        pipeline: named.as_ref().map(|definition| definition.path.to_string()),
        params: given_once(args.params)?,
        run_id: args.run_id,
        run_type: args.run_type,
        environment: args.environment,
        priority: args.priority,
        like: args.like,
    };
    if let Some(text) = named.as_ref().and_then(|definition| Folders::of(place).no_job_yet(definition)) {
        note(text);
    }
    // Checked here even if another process is the engine, so that errors are reported before it is asked.
    let plan = match (&start.like, named) {
        (Some(earlier), named) => like(earlier, named, &start, place)?,
        (None, Some(definition)) => start.plan(definition)?,
        (None, None) => return Err(Failure::usage("name a pipeline to run: a file or an id")),
    };
    let dir = DataDir::open(&data_dir)?;
    dir.open_to_others().into_iter().for_each(note);
    match daemon::ask(&dir, &start)? {
        Acquisition::Answered(client, run) => {
            Foreground::attach(dir, client, settings, &run.run_id, form)?.follow(&run.run_id, Until::End)
        }
        Acquisition::EngineLease(lease) => {
            let (mut foreground, run_id) = Foreground::start(lease, settings, plan, form)?;
            foreground.tell_others(&run_id)?;
            foreground.follow(&run_id, Until::End)
        }
    }
}

/// The definition and options of an earlier run, except for those that were given.
fn like(
    earlier: &RunId,
    named: Option<Arc<Definition>>,
    start: &StartRun,
    place: &Place,
) -> Result<Plan, Failure> {
    let records = place.records()?;
    let stored = records.stored(earlier)?.ok_or_else(|| no_such_run(&records, earlier))?;
    let definition = match named {
        Some(definition) => definition,
        None => records::definition_of(&stored)?,
    };
    Ok(start.clone().filled_from(&stored, &definition).plan(definition)?)
}

fn given_once(params: Vec<(String, String)>) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let mut by_name = std::collections::BTreeMap::new();
    for (name, value) in params {
        if by_name.insert(name.clone(), value).is_some() {
            return Err(Failure::usage(format!("the parameter {name:?} was given twice; leave one out")));
        }
    }
    Ok(by_name)
}
