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
        let (row, job) = self.understood(job_id)?;
        self.jobs_set_aside.remove(job_id.as_str());
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
        let mut draft = Draft::default();
        let mut n_claimed = 0;
        let mut left = wanted.as_slice();
        for row in &rows {
            let (first, through) = (from_ms(row.due_ms), from_ms(row.through_ms));
            let n_before = left.partition_point(|at| *at < first);
            n_claimed += self.claim_again(&job, &left[..n_before], &mut draft)?;
            let n_within = left.partition_point(|at| *at <= through) - n_before;
            let within = &left[n_before..n_before + n_within];
            left = &left[n_before + n_within..];
            if may_run_again(row) && !within.is_empty() {
                draft.writes.push(JobWrite::RemoveFire { job_id: row.job_id.clone(), due_ms: row.due_ms });
                cut(row, within, &timetable, &mut draft);
                n_claimed += self.claim_again(&job, within, &mut draft)?;
            }
        }
        n_claimed += self.claim_again(&job, left, &mut draft)?;
        if n_claimed == 0 {
            return Err(refused("everything in that time has run, or is about to".to_owned()));
        }
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        self.may_catch_up = true;
        Ok((n_claimed, draft.acts))
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
