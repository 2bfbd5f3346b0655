//! Queries about jobs: their state, their history, and their fires. Nothing is changed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::claims::Entry;
use super::core::SchedulerCore;
use super::error::SchedulerError;
use super::job::Job;
use super::view::{FireView, HistoryView, JobView, UnderWay};
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::run::RunSummary;
use crate::store::{FireFilter, StoreError, StoredFire, StoredHistory, StoredJob};

impl SchedulerCore {
    /// One job.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn get_job(&self, job_id: &JobId) -> Result<JobView, SchedulerError> {
        let row = self.row(job_id)?;
        let open = self.jobs.unbooked_history_of(job_id.as_str())?;
        let under_way = self.under_way(open)?.remove(job_id.as_str()).unwrap_or_default();
        self.view(&row, under_way)
    }

    /// All jobs, by name.
    pub fn list_jobs(&self) -> Result<Vec<JobView>, SchedulerError> {
        self.views(self.jobs.list_jobs()?)
    }

    /// At most `limit` jobs by name, from the `offset`-th on.
    pub fn list_some_jobs(&self, offset: usize, limit: usize) -> Result<Vec<JobView>, SchedulerError> {
        self.views(self.jobs.list_some_jobs(offset, limit)?)
    }

    /// At most `limit` jobs of a pipeline, the enabled ones first and the earliest due first; and how many it has. Their
    /// runs under way are not looked up.
    pub fn jobs_of_pipeline(
        &self,
        pipeline_id: &str,
        limit: usize,
    ) -> Result<(Vec<JobView>, usize), SchedulerError> {
        let rows = self.jobs.jobs_of_pipeline(pipeline_id, limit)?;
        let n_jobs = self.jobs.count_jobs_of_pipeline(pipeline_id)?;
        let views = rows.iter().map(|row| self.view(row, UnderWay::default()));
        Ok((views.collect::<Result<_, _>>()?, n_jobs))
    }

    fn views(&self, rows: Vec<StoredJob>) -> Result<Vec<JobView>, SchedulerError> {
        let mut under_way = self.under_way(self.jobs.unbooked_history()?)?;
        rows.iter().map(|row| self.view(row, under_way.remove(&row.job_id).unwrap_or_default())).collect()
    }

    fn view(&self, row: &StoredJob, under_way: UnderWay) -> Result<JobView, SchedulerError> {
        let last = self.jobs.fire_before(&row.job_id, i64::MAX)?;
        Ok(JobView::of(row, &self.local, under_way, last))
    }

    /// How many jobs there are, and how many of them are disabled.
    pub fn count_jobs(&self) -> Result<(usize, usize), SchedulerError> {
        Ok((self.jobs.count_jobs()?, self.jobs.count_disabled_jobs()?))
    }

    /// Those of these runs that have not ended, by job.
    fn under_way(&self, open: Vec<StoredHistory>) -> Result<HashMap<String, UnderWay>, StoreError> {
        let mut found: HashMap<String, UnderWay> = HashMap::new();
        for history in open {
            let Ok(run_id) = RunId::new(&history.run_id) else { continue };
            let run = self.runs.load_summary(&run_id)?;
            if run.as_ref().is_some_and(|run| run.state.is_ended()) {
                continue;
            }
            let under_way = found.entry(history.job_id).or_default();
            under_way.runs.push(run_id);
            let held = run.as_ref().and_then(RunSummary::held_for);
            under_way.held = under_way.held.take().or_else(|| held.map(str::to_owned));
        }
        Ok(found)
    }

    /// The newest runs of a job, newest first.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`] when there is neither such a job nor any run of it.
    pub fn get_job_history(&self, job_id: &JobId, limit: usize) -> Result<Vec<HistoryView>, SchedulerError> {
        let found = self.jobs.history(job_id.as_str(), limit)?;
        if found.is_empty() {
            self.row(job_id)?;
        }
        Ok(found.into_iter().map(HistoryView::from).collect())
    }

    /// As [`get_job_history`](Self::get_job_history), for people and without a running scheduler: ends that are not
    /// recorded in the history yet are taken from the runs.
    pub fn history_as_it_stands(
        &self,
        job_id: &JobId,
        limit: usize,
    ) -> Result<Vec<HistoryView>, SchedulerError> {
        let booked = self.get_job_history(job_id, limit)?;
        booked.into_iter().map(|view| self.as_it_stands(view)).collect()
    }

    fn as_it_stands(&self, mut view: HistoryView) -> Result<HistoryView, SchedulerError> {
        // A run that is recorded as ended may have been resumed since.
        let run_id = RunId::new(&view.run_id).ok();
        let run = run_id.map(|run_id| self.runs.load_summary(&run_id)).transpose()?.flatten();
        if let Some(run) = run {
            view.status = Some(run.state.as_str().to_owned());
            view.finished_at = run.finished_at;
            view.error = run.error.as_deref().map(str::to_owned);
        }
        Ok(view)
    }

    /// The fires of a job that match `filter`, oldest first, including what a disabled job has missed by `now`.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`] when there is neither such a job nor any fire of it.
    pub fn fires(
        &self,
        job_id: &JobId,
        filter: &FireFilter,
        now: Now,
    ) -> Result<Vec<FireView>, SchedulerError> {
        let mut found = self.jobs.fires(job_id.as_str(), filter)?;
        let row = match self.jobs.load_job(job_id.as_str())? {
            Some(row) => row,
            None if !found.is_empty() => return Ok(found.into_iter().map(FireView::from).collect()),
            None => return Err(self.not_found(job_id.as_str())?),
        };
        if let (false, Ok(job)) = (row.enabled, Job::read(&row)) {
            // It is recorded when the job is enabled again.
            for fire in self.plan_of_disabled(&job, &row, now)?.fires {
                let fire = Entry::row_of(&job, &fire);
                match found.last_mut() {
                    Some(last) if last.outcome == fire.outcome && last.reason == fire.reason => {
                        last.through_ms = fire.through_ms;
                        last.n_instants += fire.n_instants;
                    }
                    _ if is_within(&fire, filter) => found.push(fire),
                    Some(_) | None => {}
                }
            }
        }
        let excess = filter.limit.map_or(0, |limit| found.len().saturating_sub(limit));
        Ok(found.into_iter().skip(excess).map(FireView::from).collect())
    }

    /// The fires of all jobs that should have run within `span` and did not, the newest first; at most `limit`.
    ///
    /// # Errors
    /// As the database reports.
    pub fn missed_fires(
        &self,
        span: (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
    ) -> Result<Vec<FireView>, SchedulerError> {
        Ok(self.jobs.missed_fires(span, limit)?.into_iter().map(FireView::from).collect())
    }
}

fn is_within(fire: &StoredFire, filter: &FireFilter) -> bool {
    filter.since.is_none_or(|since| fire.through_ms >= since.timestamp_millis())
        && filter.until.is_none_or(|until| fire.due_ms < until.timestamp_millis())
}
