//! Pipelines as the window shows them: the last outcomes and jobs of those in some rows of the list, and one pipeline
//! with its steps, its jobs, and what is wrong with its file.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::job_page::{MAX_MARKS, local_zone, zone_of};
use super::run_facts::StepNeeds;
use crate::api::{Error, JobView};
use crate::backend::Backend;
use crate::base::id::{JobId, PipelineId, RunId};
use crate::base::time::Now;
use crate::base::tz::Tz;
use crate::config::Diagnostic;
use crate::engine::EngineError;
use crate::files::read_small_text;
use crate::pipeline::{Command, Param, Pipeline, Template};
use crate::run::{Definition, RunState, RunSummary};
use crate::scheduler::{DesktopScheduler, SchedulerCore, SchedulerError};
use crate::settings::{CatalogueError, read_definition};
use crate::store::RunFilter;

/// How many of a pipeline's newest runs count for its median.
const N_RUNS: usize = 20;
/// How many jobs of a pipeline are listed.
const MAX_JOBS: usize = 20;
/// How many problems of a file are listed.
const MAX_PROBLEMS: usize = 20;
/// How many lines are shown before and after that of a problem.
const AROUND: usize = 2;
/// Characters of a line of a file that are shown.
const MAX_LINE: usize = 400;

/// What a row of the list shows of a pipeline beside its file.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineFacts {
    pub id: String,
    /// Its last ended runs, oldest first; at most [`MAX_MARKS`].
    pub marks: Vec<RunMark>,
    /// How long the completed ones of its newest runs usually took.
    pub median: Option<TimeDelta>,
    pub n_jobs: usize,
    /// The job that is due first, or else one of those that wait for something; none if it has none.
    pub job: Option<JobBrief>,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMark {
    pub run_id: RunId,
    pub state: RunState,
    pub started_at: DateTime<Utc>,
    pub took: TimeDelta,
}

/// A job in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobBrief {
    /// None when a script wrote a name that is no id.
    pub job_id: Option<JobId>,
    /// The name as it is written.
    pub name: String,
    /// When it is due, in a sentence.
    pub words: String,
    /// Such as `cron` or `after`.
    pub schedule_type: String,
    pub enabled: bool,
    /// When it is due next; none: never by the clock.
    pub next_at: Option<DateTime<Utc>>,
    /// The zone in which its instants are shown.
    pub zone: Tz,
    /// Why it never fires.
    pub problem: Option<String>,
}

/// One pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineDetail {
    pub id: String,
    pub path: PathBuf,
    /// The steps with what each needs; empty if the file can't be read.
    pub needs: Vec<StepNeeds>,
    /// What each step runs and how it usually went, in the same order.
    pub steps: Vec<StepBrief>,
    pub params: Vec<ParamBrief>,
    /// Its jobs, the enabled ones first and the earliest due first; at most `MAX_JOBS`.
    pub jobs: Vec<JobBrief>,
    pub n_jobs: usize,
    /// What is wrong with the file, by line; at most `MAX_PROBLEMS`.
    pub problems: Vec<FileProblem>,
    pub n_problems: usize,
}

/// A step of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepBrief {
    /// The command, as it stands in the file.
    pub command: String,
    /// How long it usually takes.
    pub usual: Option<TimeDelta>,
    /// In how many of the newest runs it failed.
    pub n_failed: usize,
}

/// A parameter of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamBrief {
    pub name: String,
    /// Its type, and its default or that it has none.
    pub kind: String,
    pub description: Option<String>,
}

/// A problem of a file, with the lines around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// From 1; none where the problem is no line's.
    pub line: Option<usize>,
    pub message: String,
    /// The lines around it, each with its number.
    pub excerpt: Vec<(usize, String)>,
}

/// The facts of these pipelines, in their order.
pub(crate) fn pipeline_facts(
    backend: &Backend,
    ids: &[PipelineId],
    now: Now,
) -> Result<Vec<PipelineFacts>, Error> {
    let records = backend.records()?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let runs = ended_runs(&records, id)?;
        let marks = marks_of(&runs, now.wall);
        let median = median(&runs, now.wall);
        found.push(PipelineFacts { id: id.to_string(), marks, median, n_jobs: 0, job: None });
    }
    let names = ids.to_vec();
    let jobs = DesktopScheduler::read_only(backend.data_dir().path()).look(move |core| {
        names.iter().map(|id| jobs_of(core, id.as_str(), 1)).collect::<Result<Vec<_>, _>>()
    })?;
    for (facts, (mut jobs, n_jobs)) in found.iter_mut().zip(jobs) {
        (facts.job, facts.n_jobs) = (jobs.pop(), n_jobs);
    }
    Ok(found)
}

/// One pipeline, read from its file and the databases.
pub(crate) fn pipeline_detail(
    backend: &Backend,
    id: &str,
    path: &Path,
    now: Now,
) -> Result<PipelineDetail, Error> {
    let mut detail = PipelineDetail { id: id.to_owned(), path: path.to_owned(), ..PipelineDetail::default() };
    let name = id.to_owned();
    let scheduler = DesktopScheduler::read_only(backend.data_dir().path());
    (detail.jobs, detail.n_jobs) = scheduler.look(move |core| jobs_of(core, &name, MAX_JOBS))?;
    match read_definition(path) {
        Ok(definition) => fill(&mut detail, &definition, backend, now)?,
        Err(CatalogueError::Invalid(problems)) => {
            let text = read_small_text(path).unwrap_or_default();
            detail.n_problems = problems.len();
            detail.problems = problems.iter().take(MAX_PROBLEMS).map(|it| problem_of(it, &text)).collect();
        }
        Err(error) => {
            let message = error.to_string();
            detail.n_problems = 1;
            detail.problems = vec![FileProblem { line: None, message, excerpt: Vec::new() }];
        }
    }
    Ok(detail)
}

/// Writes the file of a new pipeline; its path, or why it was not written. A file that is there stays as it is.
pub(super) fn new_pipeline(
    folder: &Path,
    template: &Template,
    pipeline_id: &PipelineId,
) -> Result<PathBuf, String> {
    let path = folder.join(format!("{pipeline_id}.toml"));
    let written = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(template.text(pipeline_id.as_str()).as_bytes())
    });
    match written {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(format!("there is a file {} already; choose another name", path.display()))
        }
        Err(error) => Err(format!("{} can't be written: {error}", path.display())),
    }
}

fn fill(
    detail: &mut PipelineDetail,
    definition: &Definition,
    backend: &Backend,
    now: Now,
) -> Result<(), Error> {
    let pipeline = &definition.pipeline;
    let steps = pipeline.steps.iter();
    detail.needs =
        steps.map(|step| StepNeeds { step_id: step.id.clone(), needs: step.needs.clone() }).collect();
    let records = backend.records()?;
    let mut past = Vec::new();
    for run in ended_runs(&records, &pipeline.id)?.iter().take(MAX_MARKS) {
        past.extend(records.run(&run.run_id, now).map_err(EngineError::from)?);
    }
    let steps = pipeline.steps.iter().map(|step| {
        let before = || past.iter().flat_map(|run| &run.steps).filter(|it| it.step_id == step.id);
        let is_completed = |it: &&crate::run::StepSummary| it.state == crate::run::StepState::Completed;
        let took = before().filter(is_completed).filter_map(|it| it.took(now.wall)).collect();
        StepBrief {
            command: match &step.command {
                Command::Line { line, .. } => line.trim().chars().take(MAX_LINE).collect(),
                Command::Argv(words) => words.join(" ").chars().take(MAX_LINE).collect(),
            },
            usual: middle(took),
            n_failed: before().filter(|it| it.state == crate::run::StepState::Failed).count(),
        }
    });
    detail.steps = steps.collect();
    detail.params = params_of(pipeline);
    Ok(())
}

fn params_of(pipeline: &Pipeline) -> Vec<ParamBrief> {
    let brief = |(name, param): (&String, &Param)| {
        let (kind, description) = match param {
            Param::Secret(source) => {
                (format!("secret, from {}", crate::pipeline::secret_origin(source)), None)
            }
            Param::Value { kind, description, default, choices: _ } => {
                let default = default.as_ref().map_or_else(
                    || "no default".to_owned(),
                    |default| format!("default {}", if default.is_empty() { "empty" } else { default }),
                );
                (format!("{}, {default}", kind.word()), description.clone())
            }
        };
        ParamBrief { name: name.clone(), kind, description }
    };
    pipeline.params.iter().map(brief).collect()
}

/// The newest runs of a pipeline that have ended, the newest first.
fn ended_runs(records: &crate::records::Records, id: &PipelineId) -> Result<Vec<RunSummary>, Error> {
    let filter = RunFilter { pipeline: Some(id.clone()), limit: Some(N_RUNS), ..RunFilter::default() };
    let mut runs = records.store().list_runs(&filter).map_err(EngineError::from)?;
    runs.retain(|run| run.state.is_ended());
    Ok(runs)
}

/// How long the completed ones of a pipeline's newest runs usually took.
pub(super) fn usual_span(
    records: &crate::records::Records,
    id: &PipelineId,
    now: DateTime<Utc>,
) -> Result<Option<TimeDelta>, Error> {
    Ok(median(&ended_runs(records, id)?, now))
}

fn marks_of(runs: &[RunSummary], now: DateTime<Utc>) -> Vec<RunMark> {
    let mark = |run: &RunSummary| RunMark {
        run_id: run.run_id.clone(),
        state: run.state,
        started_at: run.started_at,
        took: run.took(now),
    };
    runs.iter().take(MAX_MARKS).rev().map(mark).collect()
}

fn median(runs: &[RunSummary], now: DateTime<Utc>) -> Option<TimeDelta> {
    let completed = runs.iter().filter(|run| run.state == RunState::Completed);
    middle(completed.map(|run| run.took(now)).collect())
}

/// The median; of an even number the upper one.
fn middle(mut spans: Vec<TimeDelta>) -> Option<TimeDelta> {
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied()
}

fn jobs_of(
    core: &SchedulerCore,
    pipeline_id: &str,
    limit: usize,
) -> Result<(Vec<JobBrief>, usize), SchedulerError> {
    let local = local_zone();
    let (jobs, n_jobs) = core.jobs_of_pipeline(pipeline_id, limit)?;
    Ok((jobs.into_iter().map(|job| brief_of(job, local)).collect(), n_jobs))
}

fn brief_of(job: JobView, local: Tz) -> JobBrief {
    JobBrief {
        job_id: JobId::new(&job.job_id).ok(),
        zone: zone_of(&job, local),
        name: job.job_id,
        words: job.words,
        schedule_type: job.schedule_type,
        enabled: job.enabled,
        next_at: job.next_run,
        problem: job.problem,
    }
}

fn problem_of(problem: &Diagnostic, text: &str) -> FileProblem {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let around = numbered.filter(|(number, _)| number.abs_diff(problem.line) <= AROUND);
    let excerpt = around.map(|(number, line)| (number, line.chars().take(MAX_LINE).collect()));
    FileProblem { line: Some(problem.line), message: problem.message.clone(), excerpt: excerpt.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_the_lines_around_it_also_at_either_end_of_the_file() {
        let text = (1..=9).map(|n| format!("line {n}\n")).collect::<String>();
        for (line, shown) in [(5, 3..=7), (1, 1..=3), (9, 7..=9), (10, 8..=9)] {
            let problem = Diagnostic { file: "a.toml".into(), line, column: 1, message: "odd".to_owned() };
            let problem = problem_of(&problem, &text);
            let expected: Vec<_> = shown.map(|n| (n, format!("line {n}"))).collect();
            assert_eq!((problem.line, problem.excerpt), (Some(line), expected));
        }
    }

    #[test]
    fn a_new_pipeline_is_written_once_and_never_over_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("pipelines");
        let id = PipelineId::new("books").unwrap();
        let path = new_pipeline(&folder, &Template::ALL[0], &id).unwrap();
        assert_eq!(read_definition(&path).unwrap().pipeline.id, id);
        let before = std::fs::read(&path).unwrap();
        let refused = new_pipeline(&folder, &Template::ALL[1], &id).unwrap_err();
        assert!(refused.contains("choose another name"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn the_median_is_one_of_the_spans() {
        let spans = |all: &[i64]| middle(all.iter().map(|n| TimeDelta::seconds(*n)).collect());
        assert_eq!(spans(&[]), None);
        assert_eq!(spans(&[9, 1, 5]), Some(TimeDelta::seconds(5)));
        assert_eq!(spans(&[9, 1]), Some(TimeDelta::seconds(9)));
    }
}
