//! Calls about jobs: adding, changing, removing, enabling. They are the same with and without an engine, and each
//! changes everything or nothing.

use chrono::SubsecRound;

use super::after::Pending;
use super::claims::{Draft, Entry};
use super::core::{Act, SchedulerCore, Target, changed};
use super::error::SchedulerError;
use super::instants::{ceil_ms, just_after, just_before};
use super::job::{Job, JobPatch, JobSpec};
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::schedule::{Outcome, Plan, ScheduleConfig, Situation, Zone, plan};
use crate::store::{Durability, JobWrite, StoreError, StoredJob, from_ms};

impl SchedulerCore {
    /// Adds a job. It is first due after `now`.
    ///
    /// # Errors
    /// [`SchedulerError::Exists`], [`SchedulerError::Schedule`], [`SchedulerError::Pipeline`],
    /// [`SchedulerError::Param`], [`SchedulerError::NoUpstream`], [`SchedulerError::Cycle`].
    pub fn schedule_job(&mut self, spec: JobSpec, now: Now) -> Result<Vec<Act>, SchedulerError> {
        let job = self.new_job(spec, now)?;
        let acts = vec![changed(&job.spec.job_id)];
        let writes = self.writes_of_new(&job, now)?;
        self.jobs.commit(&writes, Durability::Synced)?;
        Ok(acts)
    }

    /// A new job, checked.
    pub(super) fn new_job(&self, mut spec: JobSpec, now: Now) -> Result<Job, SchedulerError> {
        if self.jobs.load_job(spec.job_id.as_str())?.is_some() {
            return Err(SchedulerError::Exists { job_id: spec.job_id });
        }
        let zone = match spec.zone {
            Some(zone) => zone,
            None => self.local.parse::<Zone>()?,
        };
        spec.schedule.check_new(now.wall)?;
        never_early(&mut spec.schedule);
        let source = self.check_target(&spec)?;
        self.check_upstreams(&spec.job_id, &spec.schedule)?;
        let source = spec.source.clone().unwrap_or(source);
        let job = Job { spec, source, zone, created_at: now.wall.trunc_subsecs(3), file: None };
        job.tz(&self.local)?;
        Ok(job)
    }

    pub(super) fn writes_of_new(&self, job: &Job, now: Now) -> Result<Vec<JobWrite>, SchedulerError> {
        let row = job.to_row(job.timetable(&self.local)?.next_after(now.wall), &self.local);
        Ok(vec![JobWrite::AddJob(Box::new(row)), upstreams_of(job)])
    }

    /// Checks that the pipeline exists and takes the parameters. Returns its source.
    pub(super) fn check_target(&self, spec: &JobSpec) -> Result<String, SchedulerError> {
        let refused = |reason| SchedulerError::Pipeline {
            job_id: spec.job_id.clone(),
            pipeline_id: spec.pipeline_id.clone(),
            reason,
        };
        match (self.resolve)(&spec.pipeline_id).map_err(refused)? {
            Target::Pipeline(definition) => {
                let home = std::env::home_dir();
                let (run_type, environment) = (spec.run_type.as_deref(), spec.environment.as_deref());
                definition
                    .pipeline
                    .resolve_arguments(&spec.params, run_type, environment, home.as_deref())
                    .map_err(|error| SchedulerError::Param { job_id: spec.job_id.clone(), error })?;
                Ok(definition.pipeline.source.clone())
            }
            Target::Function => Ok(spec.pipeline_id.to_string()),
        }
    }

    /// Applies a patch to a job. With another timing it is due after `now`, so that no past instant fires.
    ///
    /// # Errors
    /// As [`schedule_job`](Self::schedule_job); also [`SchedulerError::Invalid`], [`SchedulerError::NotFound`],
    /// [`SchedulerError::Broken`], [`SchedulerError::FromFile`].
    pub fn set_job(&mut self, patch: JobPatch, now: Now) -> Result<Vec<Act>, SchedulerError> {
        let job_id = &patch.job_id.clone();
        let schedule = patch.schedule()?;
        let mut row = self.row(job_id)?;
        self.jobs_set_aside.remove(job_id.as_str());
        let is_about_timing = schedule.is_some() || patch.zone.is_some();
        if is_about_timing {
            refuse_if_in_file(&row, job_id, "edit its timing")?;
        }
        let is_broken = Job::read(&row).is_err();
        if let (true, Some(schedule)) = (is_broken, &schedule) {
            // What could not be parsed is replaced.
            row.schedule_type = schedule.kind().to_owned();
            row.schedule_config = schedule.to_json().to_string();
            row.problem = None;
        }
        let job = Job::read(&row)
            .map_err(|problem| SchedulerError::Broken { job_id: row.job_id.clone(), problem })?;
        let mut next = job.clone();
        if let Some(schedule) = &schedule {
            schedule.check_new(now.wall)?;
            self.check_upstreams(job_id, schedule)?;
            let was_once = matches!(job.spec.schedule, ScheduleConfig::Once { .. });
            // A job that has run once and disabled itself is meant to run again.
            next.spec.enabled |= was_once && row.next_run_ms.is_none_or(|ms| ms >= crate::store::NEVER_MS);
        }
        patch.apply_to(&mut next.spec)?;
        never_early(&mut next.spec.schedule);
        next.zone = next.spec.zone.unwrap_or(next.zone);
        next.source = next.spec.source.clone().unwrap_or(next.source);
        self.check_target(&next.spec)?;
        let mut draft = Draft::default();
        let next_at = if is_about_timing {
            if !is_broken {
                self.account_until(&job, &row, now, &mut draft)?;
            }
            next.timetable(&self.local)?.next_after(now.wall)
        } else {
            next.tz(&self.local)?;
            row.next_run_ms.filter(|ms| *ms < crate::store::NEVER_MS).map(from_ms)
        };
        let stored = StoredJob {
            first_by_hand: row.first_by_hand && !is_about_timing,
            ..next.to_row(next_at, &self.local)
        };
        draft.writes.push(JobWrite::ChangeJob(Box::new(stored)));
        if is_about_timing {
            draft.writes.push(upstreams_of(&next));
        }
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        self.may_catch_up |= draft.has_catch_up;
        draft.acts.push(changed(job_id));
        Ok(draft.acts)
    }

    /// Records the instants up to `now` by the timing that the job had.
    pub(super) fn account_until(
        &self,
        job: &Job,
        row: &StoredJob,
        now: Now,
        draft: &mut Draft,
    ) -> Result<(), SchedulerError> {
        let is_due = row.next_run_ms.is_some_and(|ms| ms <= now.wall.timestamp_millis());
        if !is_due {
            return Ok(());
        }
        if row.enabled {
            return Ok(self.take_in(job, row, now, draft)?);
        }
        let first = from_ms(row.next_run_ms.unwrap_or_default());
        let timetable = job.timetable(self.reckoned_by(row))?;
        let (_, kept) = self.recorded(job, first, now, Some((&timetable, &mut *draft)))?;
        let plan = self.plan_of_disabled(job, row, now)?;
        let mut entry = Entry::open(self, job, draft, first.timestamp_millis(), kept)?;
        plan.fires.iter().for_each(|fire| entry.skip(fire));
        let next_at = job.timetable(&self.local)?.next_after(now.wall.max(just_before(first)));
        draft.writes.push(self.next_run(job, next_at));
        Ok(())
    }

    /// The instants that a disabled job has missed by `now`.
    pub(super) fn plan_of_disabled(
        &self,
        job: &Job,
        row: &StoredJob,
        now: Now,
    ) -> Result<Plan, SchedulerError> {
        let from = from_ms(row.next_run_ms.unwrap_or_default());
        let (recorded, _) = self.recorded(job, from, now, None)?;
        Ok(plan(&Situation {
            timetable: &job.timetable(self.reckoned_by(row))?,
            accounted_until: just_before(from),
            recorded: &recorded,
            now: now.wall,
            watched_from: now.wall,
            misfire: &job.spec.misfire,
            disabled: &[(from, just_after(now.wall.max(from)))],
        }))
    }

    /// Removes a job. Its history and its fires stay until they are too old.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`], [`SchedulerError::HasDownstream`], [`SchedulerError::FromFile`].
    pub fn unschedule_job(&mut self, job_id: &JobId) -> Result<Vec<Act>, SchedulerError> {
        let row = self.row(job_id)?;
        refuse_if_in_file(&row, job_id, "remove it")?;
        let downstream = self.downstream_names(job_id)?;
        if !downstream.is_empty() {
            return Err(SchedulerError::HasDownstream { job_id: job_id.clone(), downstream });
        }
        let mut draft = Draft::default();
        self.settle_open(job_id, Outcome::Skipped, "the job was removed", &mut draft)?;
        draft.writes.push(JobWrite::RemoveJob { job_id: job_id.to_string() });
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        draft.acts.push(changed(job_id));
        Ok(draft.acts)
    }

    /// Renames a job, with its history and its fires.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`], [`SchedulerError::Exists`], [`SchedulerError::FromFile`].
    pub fn rename_job(&mut self, from: &JobId, to: &JobId) -> Result<Vec<Act>, SchedulerError> {
        let row = self.row(from)?;
        if from == to {
            return Ok(Vec::new());
        }
        refuse_if_in_file(&row, from, "give it another id")?;
        if self.jobs.load_job(to.as_str())?.is_some() {
            return Err(SchedulerError::Exists { job_id: to.clone() });
        }
        let above = match Job::read(&row).map(|job| job.spec.schedule) {
            Ok(ScheduleConfig::After { jobs, .. }) => jobs,
            Ok(_) | Err(_) => Vec::new(),
        };
        // A script may have written jobs that wait for one of the new name.
        if let Some(cycle) = self.cycle(to, &above, &Pending::default())? {
            return Err(SchedulerError::Cycle { cycle });
        }
        let mut writes = vec![JobWrite::RenameJob { from: from.to_string(), to: to.to_string() }];
        for row in self.jobs.downstream(from.as_str())? {
            let Ok(mut job) = Job::read(&row) else { continue };
            if let ScheduleConfig::After { jobs, .. } = &mut job.spec.schedule {
                jobs.iter_mut().filter(|name| *name == from).for_each(|name| *name = to.clone());
            }
            writes.push(JobWrite::ChangeJob(Box::new(job.to_row(None, &self.local))));
        }
        self.jobs.commit(&writes, Durability::Synced)?;
        if let Some(runs) = self.live.remove(from) {
            self.live.insert(to.clone(), runs);
        }
        Ok(vec![changed(from), changed(to)])
    }

    /// Enables a job. The instants that came while it was disabled are recorded as one range and never caught up.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`], [`SchedulerError::Broken`].
    pub fn enable_job(&mut self, job_id: &JobId, now: Now) -> Result<Vec<Act>, SchedulerError> {
        let (row, job) = self.understood(job_id)?;
        self.jobs_set_aside.remove(job_id.as_str());
        if row.enabled {
            return Ok(Vec::new());
        }
        let mut draft = Draft::default();
        self.account_until(&job, &row, now, &mut draft)?;
        let job_id_text = job_id.to_string();
        // Ends of upstream jobs while it was disabled do not count.
        draft.writes.push(JobWrite::UpstreamEnded {
            upstream: None,
            job_id: job_id_text.clone(),
            at_ms: None,
        });
        draft.writes.push(JobWrite::Enable { job_id: job_id_text, enabled: true });
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        draft.acts.push(changed(job_id));
        Ok(draft.acts)
    }

    /// Disables a job. Its fires that wait to be started are not started.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn disable_job(&mut self, job_id: &JobId) -> Result<Vec<Act>, SchedulerError> {
        let row = self.row(job_id)?;
        if !row.enabled {
            return Ok(Vec::new());
        }
        let mut draft = Draft::default();
        self.settle_open(job_id, Outcome::Disabled, "the job was disabled before its turn came", &mut draft)?;
        draft.writes.push(JobWrite::Enable { job_id: row.job_id, enabled: false });
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        draft.acts.push(changed(job_id));
        Ok(draft.acts)
    }

    /// Settles the open fires that have no run yet, so that they are not started.
    pub(super) fn settle_open(
        &self,
        job_id: &JobId,
        outcome: Outcome,
        reason: &str,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        for fire in self.jobs.open_fires_of(job_id.as_str())? {
            let run_id = fire.run_id.as_deref().and_then(|id| RunId::new(id).ok());
            let is_there = match run_id {
                Some(run_id) => self.runs.load_summary(&run_id)?.is_some(),
                None => false,
            };
            if !is_there {
                draft.settle(&fire, outcome, Some(reason.to_owned()), None);
            }
        }
        Ok(())
    }
}

pub(super) fn upstreams_of(job: &Job) -> JobWrite {
    let upstreams = job.spec.schedule.upstreams().iter().map(ToString::to_string).collect();
    JobWrite::Upstreams { job_id: job.spec.job_id.to_string(), upstreams }
}

/// Instants are whole milliseconds: one between two of them is moved to the later one.
fn never_early(schedule: &mut ScheduleConfig) {
    if let ScheduleConfig::Once { at } = schedule {
        *at = ceil_ms(*at);
    }
}

/// Refuses to change a job whose table is in a file.
fn refuse_if_in_file(row: &StoredJob, job_id: &JobId, what: &'static str) -> Result<(), SchedulerError> {
    match &row.file {
        Some(file) if row.file_table.as_deref() == Some("there") => {
            Err(SchedulerError::FromFile { job_id: job_id.clone(), file: file.clone(), what })
        }
        Some(_) | None => Ok(()),
    }
}
