//! Jobs that come after others: what their runs' ends make due, and that none comes after itself.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::claim::ceil_ms;
use super::core::SchedulerCore;
use super::error::SchedulerError;
use super::job::Job;
use super::ledger::{Draft, Entry};
use crate::id::JobId;
use crate::run::RunState;
use crate::schedule::{AfterOn, Fire, OnTime, Outcome, ScheduleConfig, Start, cycle_through};
use crate::store::{FireKind, JobWrite, StoreError, StoredJob, from_ms};

impl SchedulerCore {
    /// A run of `job_id` has ended in `state`: the jobs that have waited for that, and for no other, are due.
    pub(super) fn fire_downstream(
        &self,
        job_id: &JobId,
        state: RunState,
        at: DateTime<Utc>,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        for row in self.jobs.downstream(job_id.as_str())? {
            let Ok(job) = Job::read(&row) else { continue };
            let ScheduleConfig::After { on, .. } = &job.spec.schedule else { continue };
            let Some(is_as_wanted) = is_as_wanted(*on, state) else { continue };
            let others = self.jobs.upstreams(&row.job_id)?;
            let is_complete =
                others.iter().all(|(other, ended_ms)| other == job_id.as_str() || ended_ms.is_some());
            if is_as_wanted && is_complete {
                self.fire_after(&job, &row, at, draft)?;
                // From now on it waits for all of them again.
                draft.writes.push(JobWrite::UpstreamEnded {
                    upstream: None,
                    job_id: row.job_id,
                    at_ms: None,
                });
            } else {
                draft.writes.push(JobWrite::UpstreamEnded {
                    upstream: Some(job_id.to_string()),
                    job_id: row.job_id,
                    at_ms: is_as_wanted.then_some(at.timestamp_millis()),
                });
            }
        }
        Ok(())
    }

    fn fire_after(
        &self,
        job: &Job,
        row: &StoredJob,
        at: DateTime<Utc>,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        // Two ends within one millisecond are two instants.
        let last = self.jobs.fire_before(&row.job_id, i64::MAX)?;
        let next_free = last.map_or(i64::MIN, |last| last.through_ms + 1);
        let due_at = from_ms(ceil_ms(at).timestamp_millis().max(next_free));
        let mut entry = Entry::open(self, job, draft, due_at.timestamp_millis())?;
        if row.enabled {
            return entry.start(&Start { due_at, on_time: OnTime::OnTime }, FireKind::After);
        }
        entry.skip(&Fire {
            due_at,
            through_at: due_at,
            n_instants: 1,
            outcome: Outcome::Disabled,
            reason: Some("the job was disabled".to_owned()),
        });
        Ok(())
    }

    /// That the jobs above are there, and that none of them comes after `job_id`.
    pub(super) fn check_upstreams(
        &self,
        job_id: &JobId,
        schedule: &ScheduleConfig,
    ) -> Result<(), SchedulerError> {
        let ScheduleConfig::After { jobs, .. } = schedule else { return Ok(()) };
        let mut above: BTreeMap<JobId, Vec<JobId>> = BTreeMap::new();
        let mut waiting: VecDeque<JobId> = jobs.iter().cloned().collect();
        while let Some(upstream) = waiting.pop_front() {
            if above.contains_key(&upstream) {
                continue;
            }
            let names: Vec<JobId> = self
                .jobs
                .upstreams(upstream.as_str())?
                .into_iter()
                .filter_map(|(name, _)| JobId::new(name).ok())
                .collect();
            waiting.extend(names.iter().cloned());
            above.insert(upstream, names);
        }
        if let Some(cycle) = cycle_through(job_id, jobs, &above) {
            return Err(SchedulerError::Cycle { cycle });
        }
        for upstream in jobs {
            if self.jobs.load_job(upstream.as_str())?.is_none() {
                let near = self.near_job(upstream.as_str())?;
                let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                let (job_id, upstream) = (job_id.clone(), upstream.clone());
                return Err(SchedulerError::NoUpstream { job_id, upstream, hint });
            }
        }
        Ok(())
    }

    /// The names of the jobs that come after `job_id`.
    pub(super) fn downstream_names(&self, job_id: &JobId) -> Result<Vec<String>, StoreError> {
        Ok(self.jobs.downstream(job_id.as_str())?.into_iter().map(|row| row.job_id).collect())
    }
}

/// Whether that is the end that is waited for; none for what is no end, since it can go on.
fn is_as_wanted(on: AfterOn, state: RunState) -> Option<bool> {
    let has_failed = match state {
        RunState::Completed => false,
        RunState::Failed => true,
        RunState::Stopped | RunState::ForceStopped => return Some(on == AfterOn::Finished),
        RunState::Interrupted
        | RunState::Queued
        | RunState::Running
        | RunState::Paused
        | RunState::Stopping => return None,
    };
    Some(match on {
        AfterOn::Completed => !has_failed,
        AfterOn::Failed => has_failed,
        AfterOn::Finished => true,
    })
}

/// How long a backfill may be: more instants are a slip of whoever asks.
pub(super) const MOST_BACKFILLED: u64 = 1_000;

/// The millisecond before.
pub(super) fn just_before(at: DateTime<Utc>) -> DateTime<Utc> {
    at - TimeDelta::milliseconds(1)
}
