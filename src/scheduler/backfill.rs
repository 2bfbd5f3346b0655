//! Backfill: instants that did not run are run later on request. Each leaves the row that covered it, and gets a row of
//! its own.

use chrono::{DateTime, Utc};

use super::claims::{Draft, one_fire};
use super::core::{Act, SchedulerCore};
use super::error::SchedulerError;
use super::instants::{just_after, just_before};
use super::job::Job;
use super::view::outcome_of;
use crate::base::id::JobId;
use crate::base::time::{Now, within_years};
use crate::schedule::{Outcome, Timetable};
use crate::store::{Durability, FireFilter, FireKind, JobWrite, StoredFire, from_ms};

/// The longest backfill. More instants are taken for an error.
const MOST_BACKFILLED: u64 = 1_000;

/// What a backfill begins with.
pub(super) struct WantedAgain {
    pub(super) job: Job,
    /// The instants at which the job was due.
    pub(super) wanted: Vec<DateTime<Utc>>,
    /// The rows of the ledger that cover them.
    pub(super) rows: Vec<StoredFire>,
}

impl SchedulerCore {
    /// Backfills the instants from `from` to `to`, both included, that did not run: the oldest first, one after
    /// another, with the usual distance of catch-up. Returns their number, and the acts to carry out.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`]; [`SchedulerError::Broken`]; [`SchedulerError::Backfill`] when there is nothing to
    /// run, or more than a thousand instants.
    pub fn backfill(
        &mut self,
        job_id: &JobId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        now: Now,
    ) -> Result<(usize, Vec<Act>), SchedulerError> {
        let WantedAgain { job, wanted, rows } = self.wanted_again(job_id, from, to, now)?;
        self.jobs_set_aside.remove(job_id.as_str());
        let timetable = job.timetable(&self.local)?;
        let parts = instants_again(&wanted, &rows);
        let mut draft = Draft::default();
        let mut n_claimed = 0;
        for part in &parts {
            if let Some(row) = part.row {
                let (job_id, due_ms) = (row.job_id.clone(), row.due_ms);
                draft.writes.push(JobWrite::RemoveFire { job_id, due_ms });
                cut(row, part.instants, &timetable, &mut draft);
            }
            n_claimed += self.claim_again(&job, part.instants, &mut draft)?;
        }
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        self.may_catch_up = true;
        Ok((n_claimed, draft.acts))
    }

    /// The job, the instants from `from` to `to` at which it was due, and the rows of the ledger that cover them.
    ///
    /// # Errors
    /// As [`Self::backfill`].
    pub(super) fn wanted_again(
        &self,
        job_id: &JobId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        now: Now,
    ) -> Result<WantedAgain, SchedulerError> {
        let (row, job) = self.understood(job_id)?;
        let (from, to) = (within_years(from), within_years(to));
        let refused = |why: String| SchedulerError::Backfill { job_id: job_id.clone(), from, to, why };
        let timetable = job.timetable(&self.local)?;
        // Later instants are still to come by themselves.
        let accounted = row.next_run_ms.map_or(now.wall, |ms| just_before(from_ms(ms)));
        let (after, through) = (just_before(from), to.min(now.wall).min(accounted));
        let n_instants = timetable.count(after, through);
        if n_instants > MOST_BACKFILLED {
            return Err(refused(format!(
                "these are {n_instants} instants, and at most {MOST_BACKFILLED} are run again at once; choose a shorter period"
            )));
        }
        let wanted = timetable.newest(after, through, n_instants);
        let Some(last) = wanted.last() else {
            return Err(refused("the job was not due in that time".to_owned()));
        };
        let filter = FireFilter { since: Some(from), until: Some(just_after(*last)), limit: None };
        let rows = self.jobs.fires(job_id.as_str(), &filter)?;
        if instants_again(&wanted, &rows).is_empty() {
            return Err(refused("everything in that time has run, or is about to".to_owned()));
        }
        Ok(WantedAgain { job, wanted, rows })
    }

    fn claim_again(
        &self,
        job: &Job,
        instants: &[DateTime<Utc>],
        draft: &mut Draft,
    ) -> Result<usize, SchedulerError> {
        let timetable = job.timetable(&self.local)?;
        for at in instants {
            let run_id = self.reserve(job, *at)?;
            let before = timetable.last(DateTime::<Utc>::UNIX_EPOCH, just_before(*at));
            draft.writes.push(JobWrite::AddFire(StoredFire {
                run_id: Some(run_id.to_string()),
                previous_ms: before.map(|at| at.timestamp_millis()),
                kind: FireKind::Backfill,
                ..one_fire(&job.spec.job_id, at.timestamp_millis(), Outcome::Claimed)
            }));
        }
        Ok(instants.len())
    }
}

/// Instants that are run again: those of one row of the ledger, or some that no row covers.
pub(super) struct Again<'a> {
    row: Option<&'a StoredFire>,
    pub(super) instants: &'a [DateTime<Utc>],
}

/// Which of `wanted` have not run and are not about to, in their order. `rows` are those that cover them, oldest first.
pub(super) fn instants_again<'a>(wanted: &'a [DateTime<Utc>], rows: &'a [StoredFire]) -> Vec<Again<'a>> {
    let mut parts = Vec::new();
    let mut left = wanted;
    for row in rows {
        let n_before = left.partition_point(|at| *at < from_ms(row.due_ms));
        parts.push(Again { row: None, instants: &left[..n_before] });
        let n_within = left.partition_point(|at| *at <= from_ms(row.through_ms)) - n_before;
        let within = &left[n_before..n_before + n_within];
        left = &left[n_before + n_within..];
        if may_run_again(row) {
            parts.push(Again { row: Some(row), instants: within });
        }
    }
    parts.push(Again { row: None, instants: left });
    parts.retain(|part| !part.instants.is_empty());
    parts
}

/// Whether none of these instants has run or is about to. An outcome that a script has written is left alone.
fn may_run_again(row: &StoredFire) -> bool {
    outcome_of(&row.outcome).is_some_and(Outcome::is_without_run)
}

/// Writes what is left of `row` without the instants of `taken`.
fn cut(row: &StoredFire, taken: &[DateTime<Utc>], timetable: &Timetable, draft: &mut Draft) {
    let ends = taken.iter().map(|at| just_before(*at)).chain([from_ms(row.through_ms)]);
    let starts = [just_before(from_ms(row.due_ms))].into_iter().chain(taken.iter().copied());
    for (after, through) in starts.zip(ends) {
        let n_instants = timetable.count(after, through);
        if let (Some(first), Some(last)) = (timetable.next_after(after), timetable.last(after, through)) {
            draft.writes.push(JobWrite::AddFire(StoredFire {
                due_ms: first.timestamp_millis(),
                through_ms: last.timestamp_millis(),
                n_instants,
                previous_ms: None,
                ..row.clone()
            }));
        }
    }
}
