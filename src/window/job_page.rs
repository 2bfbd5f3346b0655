//! Jobs as the window shows them: some rows of the list, and one job with its fires. Read from the database alone:
//! nothing here waits for a scheduler.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::base::tz::Tz;
use crate::run::RunState;
use crate::schedule::{Outcome, Zone};
use crate::scheduler::{
    DesktopScheduler, FireView, HistoryView, JobView, SchedulerCore, SchedulerError, machine_zone,
};
use crate::store::FireFilter;

/// How many outcomes a row shows.
pub const MAX_MARKS: usize = 12;
/// The most jobs that are known by name alone.
const MAX_JOB_NAMES: usize = 5000;
/// How many fires of one job are shown.
const MAX_FIRES: usize = 200;

/// Some of all jobs, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// How many jobs there are.
    pub total: usize,
    /// How many of them are disabled.
    pub n_disabled: usize,
    /// The index of the first row, from 0.
    pub offset: usize,
    pub rows: Vec<JobRow>,
    pub local: Tz,
}

/// A job in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    pub job: JobView,
    /// The job's id. None when a script wrote a name that is no id: no command can name such a job.
    pub job_id: Option<JobId>,
    /// The zone in which the job's instants are shown.
    pub zone: Tz,
    /// The outcomes of its last instants, oldest first; at most [`MAX_MARKS`].
    pub marks: Vec<FireRow>,
}

/// One job with its fires.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDetail {
    pub row: JobRow,
    /// The newest first; at most `MAX_FIRES`.
    pub fires: Vec<FireRow>,
}

/// One due instant, or consecutive ones with the same outcome; or a run by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct FireRow {
    /// The first instant; for a run by hand, its start.
    pub due_at: DateTime<Utc>,
    /// The last instant.
    pub through_at: DateTime<Utc>,
    /// How many instants there are.
    pub n_instants: u64,
    /// The outcome. None when a script wrote an unknown word.
    pub outcome: Option<Outcome>,
    pub reason: Option<String>,
    /// The run that was started.
    pub run_id: Option<RunId>,
    /// The final state of that run. None while its end is not recorded.
    pub state: Option<RunState>,
    /// How long the run took.
    pub took: Option<TimeDelta>,
    /// Whether the run was started by hand.
    pub is_by_hand: bool,
}

/// The jobs of a data directory from the `offset`-th on, at most `limit`.
pub(crate) fn job_page(
    data_dir: &Path,
    offset: usize,
    limit: usize,
    now: Now,
) -> Result<JobPage, SchedulerError> {
    DesktopScheduler::read_only(data_dir).look(move |core| {
        let local = local_zone();
        let (total, n_disabled) = core.count_jobs()?;
        let mut rows = Vec::new();
        for job in core.list_some_jobs(offset, limit)? {
            rows.push(row_of(core, job, local, now)?);
        }
        Ok(JobPage { total, n_disabled, offset, rows, local })
    })
}

/// The first jobs of a data directory by name, at most [`MAX_JOB_NAMES`], and whether each is enabled. Those whose name is
/// no id can't be named by a command and are left out.
pub(crate) fn job_names(data_dir: &Path) -> Result<Vec<(JobId, bool)>, SchedulerError> {
    DesktopScheduler::read_only(data_dir).look(move |core| {
        let jobs = core.list_some_jobs(0, MAX_JOB_NAMES)?.into_iter();
        Ok(jobs.filter_map(|job| Some((JobId::new(&job.job_id).ok()?, job.enabled))).collect())
    })
}

/// One job of a data directory; none where there is none of this name.
pub(crate) fn job_detail(
    data_dir: &Path,
    job_id: &JobId,
    now: Now,
) -> Result<Option<JobDetail>, SchedulerError> {
    let job_id = job_id.clone();
    let detail = DesktopScheduler::read_only(data_dir).look(move |core| {
        let job = core.get_job(&job_id)?;
        let mut fires = fires_of(core, &job_id, MAX_FIRES, now)?;
        let row = row_of(core, job, local_zone(), now)?;
        fires.reverse();
        Ok(JobDetail { row, fires })
    });
    match detail {
        Ok(detail) => Ok(Some(detail)),
        Err(SchedulerError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The zone of the machine.
pub(super) fn local_zone() -> Tz {
    Zone::Local.resolve(&machine_zone()).unwrap_or(Tz::UTC)
}

/// The zone in which a job's instants are shown.
pub(super) fn zone_of(job: &JobView, local: Tz) -> Tz {
    match job.zone.parse::<Zone>() {
        Ok(Zone::Named(zone)) => zone,
        Ok(Zone::Local) | Err(_) => local,
    }
}

fn row_of(core: &SchedulerCore, job: JobView, local: Tz, now: Now) -> Result<JobRow, SchedulerError> {
    let job_id = JobId::new(&job.job_id).ok();
    let zone = zone_of(&job, local);
    let marks = match &job_id {
        Some(job_id) => fires_of(core, job_id, MAX_MARKS, now)?,
        None => Vec::new(),
    };
    Ok(JobRow { job, job_id, zone, marks })
}

/// The newest `limit` fires and runs by hand of a job, oldest first.
fn fires_of(
    core: &SchedulerCore,
    job_id: &JobId,
    limit: usize,
    now: Now,
) -> Result<Vec<FireRow>, SchedulerError> {
    let filter = FireFilter { limit: Some(limit), ..FireFilter::default() };
    let fires = core.fires(job_id, &filter, now)?;
    let runs = core.get_job_history(job_id, limit)?;
    Ok(joined(fires, runs, limit))
}

/// Joins fires (oldest first) with their runs, and adds the runs that have no fire.
fn joined(fires: Vec<FireView>, runs: Vec<HistoryView>, limit: usize) -> Vec<FireRow> {
    let mut rows = Vec::with_capacity(fires.len());
    let mut is_told = vec![false; runs.len()];
    // If the fires were cut off, a run older than the oldest of them may have a fire too.
    let is_cut = fires.len() == limit;
    let oldest = fires.first().map(|fire| fire.due_at).filter(|_| is_cut);
    for fire in fires {
        let at = runs.iter().position(|run| Some(&run.run_id) == fire.run_id.as_ref());
        let run = at.map(|at| {
            is_told[at] = true;
            &runs[at]
        });
        rows.push(FireRow {
            due_at: fire.due_at,
            through_at: fire.through_at,
            n_instants: fire.n_instants,
            outcome: fire.outcome.parse().ok(),
            reason: fire.reason.or_else(|| run.and_then(|run| run.error.clone())),
            run_id: fire.run_id.and_then(|id| RunId::new(&id).ok()),
            state: run.and_then(state_of),
            took: run.and_then(took),
            is_by_hand: false,
        });
    }
    for (run, is_told) in runs.iter().zip(is_told) {
        if is_told || oldest.is_some_and(|oldest| run.started_at < oldest) {
            continue;
        }
        rows.push(FireRow {
            due_at: run.started_at,
            through_at: run.started_at,
            n_instants: 1,
            outcome: Some(if run.status.as_deref() == Some(Outcome::FailedToStart.as_str()) {
                Outcome::FailedToStart
            } else {
                Outcome::Ran
            }),
            reason: run.error.clone(),
            run_id: RunId::new(&run.run_id).ok(),
            state: state_of(run),
            took: took(run),
            is_by_hand: true,
        });
    }
    rows.sort_by_key(|row| row.due_at);
    let excess = rows.len().saturating_sub(limit);
    rows.drain(..excess);
    rows
}

fn state_of(run: &HistoryView) -> Option<RunState> {
    let word = run.status.as_deref()?;
    RunState::ALL.iter().copied().find(|state| state.as_str() == word && state.is_ended())
}

fn took(run: &HistoryView) -> Option<TimeDelta> {
    Some(run.finished_at? - run.started_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::parse_instant;

    fn fire(due_at: &str, outcome: &str, run_id: Option<&str>) -> FireView {
        FireView {
            job_id: "books".into(),
            due_at: parse_instant(due_at).unwrap(),
            through_at: parse_instant(due_at).unwrap(),
            n_instants: 1,
            outcome: outcome.into(),
            reason: None,
            run_id: run_id.map(Into::into),
        }
    }

    fn run(started_at: &str, run_id: &str, status: Option<&str>) -> HistoryView {
        HistoryView {
            job_id: "books".into(),
            run_id: run_id.into(),
            started_at: parse_instant(started_at).unwrap(),
            finished_at: status.map(|_| parse_instant("2026-11-23T02:41:12Z").unwrap()),
            status: status.map(Into::into),
            error: None,
        }
    }

    #[test]
    fn fires_are_joined_with_their_runs_and_runs_by_hand_stand_among_them() {
        let fires = vec![
            fire("2026-11-22T02:00:00Z", "skipped", None),
            fire("2026-11-23T02:00:00Z", "ran", Some("books-1")),
        ];
        let runs = vec![
            run("2026-11-23T02:00:00Z", "books-1", Some("completed")),
            run("2026-11-22T12:00:00Z", "books-0", Some("failed")),
        ];
        let rows = joined(fires.clone(), runs.clone(), 12);
        let told: Vec<_> = rows.iter().map(|row| (row.outcome, row.state, row.is_by_hand)).collect();
        assert_eq!(
            told,
            [
                (Some(Outcome::Skipped), None, false),
                (Some(Outcome::Ran), Some(RunState::Failed), true),
                (Some(Outcome::Ran), Some(RunState::Completed), false),
            ]
        );
        assert_eq!(rows[2].took, Some(TimeDelta::seconds(41 * 60 + 12)));
        let newest = joined(fires[1..].to_vec(), runs, 1);
        assert_eq!(newest.len(), 1, "a run older than the oldest fire shown is left out");
        assert_eq!(newest[0].run_id.as_ref().map(RunId::as_str), Some("books-1"));
    }
}
