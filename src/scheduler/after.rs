//! Jobs that run after others: what the ends of runs make due, and the check that no job comes after itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use super::claims::{Draft, Entry, park};
use super::core::{Act, SchedulerCore};
use super::error::SchedulerError;
use super::instants::{ceil_ms, just_after};
use super::job::Job;
use crate::base::id::JobId;
use crate::base::time::Now;
use crate::run::RunState;
use crate::schedule::{AfterOn, Fire, OnTime, Outcome, ScheduleConfig, Start, cycle_through};
use crate::store::{Durability, FireKind, JobWrite, StoreError, StoredJob};

impl SchedulerCore {
    /// A run of `job_id` has ended in `state`: the jobs that were waiting only for this are due.
    pub(super) fn fire_downstream(
        &self,
        job_id: &JobId,
        state: RunState,
        at: DateTime<Utc>,
    ) -> Result<Vec<Draft>, StoreError> {
        let mut drafts = Vec::new();
        for row in self.jobs.downstream(job_id.as_str())? {
            let Ok(job) = Job::read(&row) else { continue };
            let ScheduleConfig::After { on, .. } = &job.spec.schedule else { continue };
            let Some(is_as_wanted) = is_as_wanted(*on, state) else { continue };
            let others = self.jobs.upstreams(&row.job_id)?;
            let is_complete =
                others.iter().all(|(other, ended_ms)| other == job_id.as_str() || ended_ms.is_some());
            let mut draft = Draft::of(&job.spec.job_id);
            if is_as_wanted && is_complete {
                self.fire_after(&job, &row, at, &mut draft)?;
                // From now on it waits for all of its upstream jobs again.
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
            drafts.push(draft);
        }
        Ok(drafts)
    }

    fn fire_after(
        &self,
        job: &Job,
        row: &StoredJob,
        at: DateTime<Utc>,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let mut due_at = ceil_ms(at);
        // Two ends within one millisecond get two instants.
        while self.jobs.fire_at(&row.job_id, due_at.timestamp_millis())?.is_some() {
            due_at = just_after(due_at);
        }
        let mut entry = Entry::open(self, job, draft, due_at.timestamp_millis(), Vec::new())?;
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

    /// Checks that the upstream jobs exist, and that none of them comes after `job_id`.
    pub(super) fn check_upstreams(
        &self,
        job_id: &JobId,
        schedule: &ScheduleConfig,
    ) -> Result<(), SchedulerError> {
        let ScheduleConfig::After { jobs, .. } = schedule else { return Ok(()) };
        if let Some(cycle) = self.cycle(job_id, jobs, &Pending::default())? {
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

    /// The cycle that would exist if `job_id` came after `jobs`, taking `pending` jobs into account.
    pub(super) fn cycle(
        &self,
        job_id: &JobId,
        jobs: &[JobId],
        pending: &Pending,
    ) -> Result<Option<Vec<JobId>>, StoreError> {
        let is_above = |name: &JobId| pending.named.contains(name) || jobs.contains(name);
        if jobs.is_empty() || (!is_above(job_id) && self.jobs.downstream(job_id.as_str())?.is_empty()) {
            // No job comes after it, so it is on no cycle.
            return Ok(None);
        }
        let mut above: BTreeMap<JobId, Vec<JobId>> = BTreeMap::new();
        let mut waiting: VecDeque<JobId> = jobs.iter().cloned().collect();
        while let Some(upstream) = waiting.pop_front() {
            if above.contains_key(&upstream) {
                continue;
            }
            let names: Vec<JobId> = match pending.above.get(&upstream) {
                Some(names) => names.clone(),
                None => {
                    let stored = self.jobs.upstreams(upstream.as_str())?;
                    stored.into_iter().filter_map(|(name, _)| JobId::new(name).ok()).collect()
                }
            };
            waiting.extend(names.iter().cloned());
            above.insert(upstream, names);
        }
        Ok(cycle_through(job_id, jobs, &above))
    }

    /// Sets jobs aside that come after themselves, until there is no cycle. An earlier version may have allowed them.
    pub(super) fn break_cycles(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        let mut above: BTreeMap<JobId, Vec<JobId>> = BTreeMap::new();
        for (job_id, upstream) in self.jobs.all_upstreams()? {
            if let (Ok(job_id), Ok(upstream)) = (JobId::new(job_id), JobId::new(upstream)) {
                above.entry(job_id).or_default().push(upstream);
            }
        }
        // A job that comes only after jobs without upstreams is on no cycle, and so on.
        loop {
            let n_before = above.len();
            let still: BTreeSet<JobId> = above.keys().cloned().collect();
            above.retain(|_, upstreams| upstreams.iter().any(|upstream| still.contains(upstream)));
            if above.len() == n_before {
                break;
            }
        }
        let (mut drafts, mut acts) = (Vec::new(), Vec::new());
        for job_id in above.keys().cloned().collect::<Vec<_>>() {
            let Some(jobs) = above.get(&job_id) else { continue };
            let Some(cycle) = cycle_through(&job_id, jobs, &above) else { continue };
            above.remove(&job_id);
            let row = match self.jobs.load_job(job_id.as_str()) {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                Err(error) => {
                    acts.extend(self.bear(Some(&job_id), Err(error), now)?);
                    continue;
                }
            };
            let mut draft = park(&row, SchedulerError::Cycle { cycle }.to_string());
            draft.writes.push(JobWrite::Upstreams { job_id: row.job_id, upstreams: Vec::new() });
            drafts.push(draft);
        }
        acts.extend(self.commit_each(drafts, Durability::Synced, now)?);
        Ok(acts)
    }

    /// The names of the jobs that come after `job_id`.
    pub(super) fn downstream_names(&self, job_id: &JobId) -> Result<Vec<String>, StoreError> {
        Ok(self.jobs.downstream(job_id.as_str())?.into_iter().map(|row| row.job_id).collect())
    }
}

/// Whether an end is as wanted. None for a state that is no end, or from which the run will be resumed.
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

/// Jobs that are being given upstream jobs, and are not on disk yet.
#[derive(Default)]
pub(super) struct Pending {
    above: BTreeMap<JobId, Vec<JobId>>,
    /// The upstream jobs of all of them.
    named: BTreeSet<JobId>,
}

impl Pending {
    /// Notes that `job_id` will come after `jobs`.
    pub(super) fn put(&mut self, job_id: JobId, jobs: Vec<JobId>) {
        self.named.extend(jobs.iter().cloned());
        self.above.insert(job_id, jobs);
    }
}
