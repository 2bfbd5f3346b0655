//! `leverframe schedule add` and `leverframe schedule set`.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::super::exit::{Failure, Outcome};
use super::super::output::Form;
use super::super::{Place, Print, key_value};
use super::timing::Timing;
use super::words::{next_of, preview_of, warn_ignored_tz, zone_named};
use super::{add_locally, change, jobs_on_disk};
use crate::api::exit_code::DONE;
use crate::api::{AddJob, JobPatch, JobView, SetJob};
use crate::base::id::{JobId, PipelineId};
use crate::base::units::parse_duration;
use crate::engine::now;
use crate::schedule::{MAX_CATCHUP, Misfire, Overlap};
use crate::scheduler::machine_zone;

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    /// The job's name.
    job_id: JobId,
    /// The id of the pipeline that it runs.
    #[arg(long, value_name = "ID")]
    pipeline: PipelineId,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    more: More,
    /// Add it disabled.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SetArgs {
    /// The job.
    job_id: JobId,
    /// The id of another pipeline.
    #[arg(long, value_name = "ID")]
    pipeline: Option<PipelineId>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    more: More,
    /// A parameter to set back to the pipeline's default; once for each.
    #[arg(long = "unset-param", value_name = "KEY")]
    unset_params: Vec<String>,
    #[command(flatten)]
    print: Print,
}

// The options that `add` and `set` have in common. No doc comment: clap would take it as their description.
#[derive(Debug, Args)]
struct More {
    /// The zone that it follows, such as Europe/Madrid, or `local`; of a new job by default the machine's.
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// What happens to missed instants: run_once (default), run_all or skip.
    #[arg(long, value_name = "POLICY", value_parser = words(Misfire::ALL.iter().map(|word| word.as_str())))]
    misfire: Option<String>,
    /// How many missed instants run_all runs at most, up to 10000; default 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_CATCHUP)))]
    catchup_limit: Option<u32>,
    /// How late an instant may still run under skip, and how long a run is held for a missing secret; default 1h.
    #[arg(long, value_name = "DURATION")]
    misfire_grace: Option<String>,
    /// How old a missed instant may be at most, under any policy; `none`: however old, which is the default.
    #[arg(long, value_name = "DURATION")]
    misfire_max_age: Option<String>,
    /// What happens when the job is due and its last run has not ended: skip (default), queue, allow or cancel_previous.
    #[arg(long, value_name = "POLICY", value_parser = words(Overlap::ALL.iter().map(|word| word.as_str())))]
    overlap: Option<String>,
    /// A parameter of its runs; once for each.
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = key_value)]
    params: Vec<(String, String)>,
    /// Such as FULL_REFRESH; `default`: the pipeline's.
    #[arg(long, value_name = "TYPE")]
    run_type: Option<String>,
    /// Such as dev; `default`: the pipeline's.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// From 0 to 9: of the waiting runs, the highest starts first; default 0, which is the pipeline's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=9))]
    priority: Option<i32>,
}

fn words(words: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words.collect::<Vec<_>>())
}

pub(super) fn add(args: AddArgs, place: &Place) -> Outcome {
    let schedule = args.timing.required(zone_named(args.more.tz.as_deref())?)?;
    let params = JobPatch {
        pipeline_id: Some(args.pipeline),
        enabled: args.disabled.then_some(false),
        ..JobPatch::new(args.job_id).with_schedule(&schedule)
    };
    let mut params = args.more.applied_to(params)?;
    warn_ignored_tz(params.zone.as_deref());
    // The zone of this session, which may differ from the engine's.
    params.zone.get_or_insert_with(machine_zone);
    let (job, firing) = change(place, AddJob { params: Box::new(params) }, add_locally)?;
    print_job(&args.print, "added", &job)?;
    if args.print.form() == Form::Text {
        firing.note_if_not_firing();
    }
    Ok(DONE)
}

pub(super) fn set(args: SetArgs, place: &Place) -> Outcome {
    let mut params = JobPatch { pipeline_id: args.pipeline, ..JobPatch::new(args.job_id.clone()) };
    let zone = match &args.more.tz {
        // A wall-clock time is read in the job's own zone.
        None if args.timing.reads_wall_clock() => Some(jobs_on_disk(place)?.get_job(&args.job_id)?.zone),
        given => given.clone(),
    };
    if let Some(schedule) = args.timing.schedule(zone_named(zone.as_deref())?)? {
        params = params.with_schedule(&schedule);
    }
    // An existing job keeps its zone; TZ has no effect.
    if let Some(zone) = &args.more.tz {
        warn_ignored_tz(Some(zone));
    }
    let mut params = args.more.applied_to(params)?;
    for name in args.unset_params {
        if params.params.insert(name.clone(), None).is_some() {
            return Err(Failure::usage(format!(
                "the parameter {name:?} is both set and unset; leave one out"
            )));
        }
    }
    if params == JobPatch::new(args.job_id.clone()) {
        return Err(Failure::usage(format!(
            "no change of job {} was given; say what to change: --daily 02:00, --tz, --param and the like (`leverframe schedule set --help`)",
            args.job_id
        )));
    }
    let (job, firing) =
        change(place, SetJob { params: Box::new(params) }, |jobs, asked| jobs.set_job(*asked.params))?;
    print_job(&args.print, "changed", &job)?;
    if args.print.form() == Form::Text {
        firing.note_if_not_firing();
    }
    Ok(DONE)
}

/// Prints the job: in words, when it is due next, and the effect of the coming clock changes.
fn print_job(print: &Print, done: &str, job: &JobView) -> Result<(), Failure> {
    print.form().print(job, |page| {
        let now = now().wall;
        page.line(format_args!("{done} job {}: {}", job.job_id, job.words))?;
        page.line(format_args!("next: {}", next_of(job, now)))?;
        let mut changes = preview_of(job, now, 0).into_iter().flat_map(|preview| preview.clock_changes);
        changes.try_for_each(|change| page.line(change.text))
    })
}

impl More {
    fn applied_to(self, params: JobPatch) -> Result<JobPatch, Failure> {
        let mut by_name = params.params;
        for (name, value) in self.params {
            if by_name.insert(name.clone(), Some(value)).is_some() {
                return Err(Failure::usage(format!("the parameter {name:?} was given twice; leave one out")));
            }
        }
        let seconds = |text: String| {
            let span = parse_duration(&text).map_err(Failure::usage)?;
            Ok::<_, Failure>(span.as_secs_f64())
        };
        let max_age = match self.misfire_max_age {
            Some(text) if text == "none" => Some(None),
            text => text.map(seconds).transpose()?.map(Some),
        };
        let or_default = |text: String| (text != "default").then_some(text);
        Ok(JobPatch {
            zone: self.tz,
            misfire: self.misfire.map(|word| word.parse::<Misfire>()).transpose()?,
            catchup_limit: self.catchup_limit,
            misfire_grace_seconds: self.misfire_grace.map(seconds).transpose()?,
            misfire_max_age_seconds: max_age,
            overlap: self.overlap.map(|word| word.parse::<Overlap>()).transpose()?,
            priority: self.priority,
            params: by_name,
            run_type: self.run_type.map(or_default),
            environment: self.environment.map(or_default),
            ..params
        })
    }
}
