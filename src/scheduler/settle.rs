//! Commits decisions about several jobs together. If the database refuses the data of one job, only that job is set
//! aside: its row has the reason, there is an event, and the others go on.

use std::ops::Range;

use super::claims::Draft;
use super::core::{Act, SchedulerCore, changed};
use crate::base::id::JobId;
use crate::base::time::Now;
use crate::run::EventKind;
use crate::store::{Durability, JobWrite, StoreError};

/// How long until the scheduler looks again, when a job could not even be set aside.
const HOLD_OFF_MS: u64 = 5_000;

impl SchedulerCore {
    /// Writes all drafts in one commit, and returns their acts. If the database refuses the data, each draft is written
    /// by itself, and the jobs of those that are refused again are set aside.
    ///
    /// # Errors
    /// As the database reports; nothing was written then. If it fails after a part was written, the acts of that part
    /// are returned and the error is kept in `trouble`; the caller then recovers.
    pub(super) fn commit_each(
        &mut self,
        drafts: Vec<Draft>,
        durability: Durability,
        now: Now,
    ) -> Result<Vec<Act>, StoreError> {
        let mut writes: Vec<JobWrite> = Vec::new();
        let mut parts: Vec<(Option<String>, Range<usize>, Vec<Act>)> = Vec::new();
        for draft in drafts {
            let from = writes.len();
            writes.extend(draft.writes);
            self.may_catch_up |= draft.has_catch_up;
            parts.push((draft.job, from..writes.len(), draft.acts));
        }
        match self.jobs.commit(&writes, durability) {
            Ok(()) => return Ok(parts.into_iter().flat_map(|(_, _, acts)| acts).collect()),
            Err(error) if !error.is_about_data() => {
                // The reserved ids are free again.
                self.names.borrow_mut().forget();
                return Err(error);
            }
            Err(_) => {}
        }
        let mut done = Vec::new();
        for (job, range, acts) in parts {
            match self.jobs.commit(&writes[range], durability) {
                Ok(()) => done.extend(acts),
                Err(error) if error.is_about_data() => {
                    done.extend(self.set_aside(job.as_deref(), &error, now));
                }
                Err(error) => {
                    self.names.borrow_mut().forget();
                    if done.is_empty() {
                        return Err(error);
                    }
                    self.trouble = Some(error);
                    return Ok(done);
                }
            }
        }
        Ok(done)
    }

    /// If the error is about this job's data, sets the job aside.
    ///
    /// # Errors
    /// Any other error of the database.
    pub(super) fn bear(
        &mut self,
        job_id: Option<&JobId>,
        outcome: Result<Vec<Act>, StoreError>,
        now: Now,
    ) -> Result<Vec<Act>, StoreError> {
        match outcome {
            Err(error) if error.is_about_data() => Ok(self.set_aside(job_id.map(JobId::as_str), &error, now)),
            outcome => outcome,
        }
    }

    /// As [`bear`](Self::bear), for a job as its row names it.
    pub(super) fn bear_of(
        &mut self,
        job: &str,
        outcome: Result<Vec<Act>, StoreError>,
        now: Now,
    ) -> Result<Vec<Act>, StoreError> {
        match outcome {
            Err(error) if error.is_about_data() => Ok(self.set_aside(Some(job), &error, now)),
            outcome => outcome,
        }
    }

    /// Sets a job aside whose data can't be written: it never fires until it is changed. Its row and an event have the
    /// reason.
    pub(super) fn set_aside(&mut self, job: Option<&str>, error: &StoreError, now: Now) -> Vec<Act> {
        let warning = |text: String| Act::Tell(None, Box::new(EventKind::WarningRaised { text }));
        let Some(job) = job else {
            return vec![warning(format!("something about jobs can't be recorded: {error}"))];
        };
        self.jobs_set_aside.insert(job.to_owned());
        let problem = format!("its outcome can't be recorded: {error}");
        let mut acts = vec![warning(format!(
            "job {job} is set aside, and the others go on: {problem}; correct it, then set its schedule again or remove it"
        ))];
        acts.extend(JobId::new(job).ok().as_ref().map(changed));
        let parked = match self.jobs.load_job(job) {
            Ok(Some(row)) => {
                self.jobs.commit(&[JobWrite::Park { rowid: row.rowid, problem }], Durability::Synced)
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = parked {
            self.hold_off_ms = Some(now.awake_ms + HOLD_OFF_MS);
            acts.push(warning(format!("job {job} can't be set aside: {error}; it is tried again")));
        }
        acts
    }
}
