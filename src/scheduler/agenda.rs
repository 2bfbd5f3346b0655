//! What all jobs will do and have done, for a calendar, a time axis and the ledger as a whole; and which instants a
//! backfill would run. Nothing here changes anything.

use chrono::{DateTime, Utc};

use super::backfill::{WantedAgain, instants_again};
use super::core::SchedulerCore;
use super::error::SchedulerError;
use super::job::Job;
use super::view::{FireView, HistoryView};
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::base::tz::Tz;
use crate::store::{LedgerFilter, StoreError, from_ms};

/// How many jobs are looked at for what is to come.
const MAX_JOBS: usize = 1_000;

/// An instant at which a job is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComingFire {
    pub job_id: String,
    pub pipeline_id: String,
    pub at: DateTime<Utc>,
}

/// What is to come in a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coming {
    /// The earliest first.
    pub fires: Vec<ComingFire>,
    /// Whether there are more than were asked for.
    pub is_cut: bool,
}

/// A row of the ledger with the run that it started.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerEntry {
    pub fire: FireView,
    /// The run as it is in the history of jobs; none where no run was started.
    pub run: Option<HistoryView>,
    /// The zone of its job, if that is known.
    pub zone: Option<Tz>,
}

impl SchedulerCore {
    /// The instants from now up to `until` at which enabled jobs, or this one, are due; at most `limit` of each job and
    /// of all.
    ///
    /// # Errors
    /// As the database reports.
    pub fn coming(
        &self,
        job_id: Option<&JobId>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Result<Coming, StoreError> {
        let rows = match job_id {
            Some(job_id) => {
                self.jobs.load_job(job_id.as_str())?.into_iter().filter(|row| row.enabled).collect()
            }
            None => self.jobs.due_jobs(until.timestamp_millis(), MAX_JOBS)?,
        };
        let mut is_cut = rows.len() == MAX_JOBS;
        let mut fires = Vec::new();
        for row in rows {
            let (Some(first_ms), Ok(job)) = (row.next_run_ms, Job::read(&row)) else { continue };
            let Ok(timetable) = job.timetable(&self.local) else { continue };
            let instants = std::iter::successors(Some(from_ms(first_ms)), |at| timetable.next_after(*at));
            let n_before = fires.len();
            fires.extend(instants.take_while(|at| *at <= until).take(limit).map(|at| ComingFire {
                job_id: row.job_id.clone(),
                pipeline_id: row.pipeline_id.clone(),
                at,
            }));
            is_cut |= fires.len() - n_before == limit;
        }
        fires.sort_by(|a, b| (a.at, &a.job_id).cmp(&(b.at, &b.job_id)));
        is_cut |= fires.len() > limit;
        fires.truncate(limit);
        Ok(Coming { fires, is_cut })
    }

    /// Rows of the ledger that match `filter`, the newest first: at most `limit` from the `offset`-th on.
    ///
    /// # Errors
    /// As the database reports.
    pub fn ledger(
        &self,
        filter: &LedgerFilter,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut zones = std::collections::HashMap::new();
        let mut entries = Vec::new();
        for row in self.jobs.ledger(filter, offset, limit)? {
            let run_id = row.run_id.as_deref().and_then(|id| RunId::new(id).ok());
            let run = run_id.map(|run_id| self.jobs.history_of_run(&run_id)).transpose()?.flatten();
            let zone = match zones.get(&row.job_id) {
                Some(zone) => *zone,
                None => {
                    let job = self.jobs.load_job(&row.job_id)?;
                    let zone = job.and_then(|row| Job::read(&row).ok()?.tz(&self.local).ok());
                    zones.insert(row.job_id.clone(), zone);
                    zone
                }
            };
            entries.push(LedgerEntry { fire: row.into(), run: run.map(HistoryView::from), zone });
        }
        Ok(entries)
    }

    /// How many rows of the ledger match `filter`.
    ///
    /// # Errors
    /// As the database reports.
    pub fn count_ledger(&self, filter: &LedgerFilter) -> Result<usize, StoreError> {
        self.jobs.count_ledger(filter)
    }

    /// The instants that [`Self::backfill`] would run, the oldest first.
    ///
    /// # Errors
    /// As there.
    pub fn preview_backfill(
        &self,
        job_id: &JobId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        now: Now,
    ) -> Result<Vec<DateTime<Utc>>, SchedulerError> {
        let WantedAgain { wanted, rows, job: _ } = self.wanted_again(job_id, from, to, now)?;
        let parts = instants_again(&wanted, &rows);
        Ok(parts.iter().flat_map(|part| part.instants).copied().collect())
    }
}
