//! Jobs of pipeline files: their `[[schedule]]` tables are taken over when the files are read. A changed table replaces
//! all of the job but whether it is enabled, which only the operator changes. Jobs created by hand are not touched.

use std::collections::{HashMap, HashSet};

use chrono::SubsecRound;
use sha2::{Digest, Sha256};

use super::claims::Draft;
use super::core::{Act, SchedulerCore, TakenOut, changed};
use super::error::SchedulerError;
use super::job::{Job, JobSpec};
use crate::base::id::JobId;
use crate::base::time::Now;
use crate::schedule::Outcome;
use crate::store::{Durability, JobWrite, NEVER_MS, StoreError, StoredFire, StoredJob, from_ms};

/// `file_table` of a job whose table is in its file.
const THERE: &str = StoredJob::TABLE_THERE;
/// Of a job whose table was removed while the job was disabled.
const GONE: &str = "gone";
/// Of a job whose table was removed, which has disabled the job.
const GONE_ENABLED: &str = "gone_enabled";

/// A table that returns within this time, in milliseconds, was only away while its file was saved.
const RETURNS_WITHIN_MS: u64 = 60_000;

/// The tables of one pipeline file.
#[derive(Debug, Clone)]
pub struct FileTables {
    /// The file, absolute.
    pub file: String,
    /// Its jobs. None while the file can't be parsed: its last good version stays in force.
    pub jobs: Option<Vec<JobSpec>>,
}

/// Whether all files could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// All: a file that is not among them is gone.
    Complete,
    /// Not all, because a folder could not be read: a file that is not among them may still exist.
    Partial,
}

/// The result of taking tables over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Jobs that are new.
    pub added: Vec<JobId>,
    /// Jobs whose tables have changed.
    pub changed: Vec<JobId>,
    /// Jobs whose tables were removed: they are disabled.
    pub disabled: Vec<JobId>,
    /// Tables that could not be taken over: the file and the reason.
    pub problems: Vec<(String, String)>,
}

impl SchedulerCore {
    /// Takes the tables of all pipeline files over as jobs: adds new ones, changes changed ones, and disables those
    /// whose tables were removed. What can't be taken over is listed, and does not prevent the others.
    pub fn take_over(
        &mut self,
        files: Vec<FileTables>,
        listing: Listing,
        now: Now,
    ) -> Result<(TakenOver, Vec<Act>), StoreError> {
        let mut taken = TakenOver::default();
        let mut acts = Vec::new();
        let unread: HashSet<String> =
            files.iter().filter(|tables| tables.jobs.is_none()).map(|tables| tables.file.clone()).collect();
        let mut waiting: Vec<(String, JobSpec)> = files
            .into_iter()
            .flat_map(|tables| {
                let file = tables.file;
                tables.jobs.into_iter().flatten().map(move |spec| (file.clone(), spec))
            })
            .collect();
        let none = HashSet::new();
        let mut places: HashMap<JobId, HashSet<String>> = HashMap::new();
        for (file, spec) in &waiting {
            places.entry(spec.job_id.clone()).or_default().insert(file.clone());
        }
        loop {
            let n_before = waiting.len();
            let mut left = Vec::new();
            for (file, spec) in waiting {
                // The files that have a table of this name.
                let others = places.get(&spec.job_id).unwrap_or(&none);
                match self.take_over_one(&file, spec.clone(), others, now, &mut taken) {
                    Ok(more) => acts.extend(more),
                    // The upstream job may be in a later file.
                    Err(error @ SchedulerError::NoUpstream { .. }) => left.push((file, spec, error)),
                    Err(SchedulerError::Store(error)) => return Err(error),
                    Err(error) => taken.problems.push((file, error.to_string())),
                }
            }
            if left.is_empty() || left.len() == n_before {
                taken.problems.extend(left.into_iter().map(|(file, _, error)| (file, error.to_string())));
                break;
            }
            waiting = left.into_iter().map(|(file, spec, _)| (file, spec)).collect();
        }
        acts.extend(self.disable_gone(&places, &unread, listing, now, &mut taken)?);
        Ok((taken, acts))
    }

    fn take_over_one(
        &mut self,
        file: &str,
        spec: JobSpec,
        others: &HashSet<String>,
        now: Now,
        taken: &mut TakenOver,
    ) -> Result<Vec<Act>, SchedulerError> {
        let job_id = spec.job_id.clone();
        let mark = mark_of(&spec);
        let Some(row) = self.jobs.load_job(job_id.as_str())? else {
            let job = Job { file: Some(file.to_owned()), ..self.new_job(spec, now)? };
            let mut writes = self.writes_of_new(&job, now)?;
            writes.push(in_file(&job_id, Some(file), THERE, &mark));
            self.jobs.commit(&writes, Durability::Synced)?;
            taken.added.push(job_id.clone());
            return Ok(vec![changed(&job_id)]);
        };
        let is_there = row.file_table.as_deref() == Some(THERE);
        // A table that was moved to another file is the same job. Two tables of the same name are an error.
        let is_elsewhere = |other: &String| other != file && is_there && others.contains(other);
        if row.file.as_ref().is_none_or(is_elsewhere) {
            return Err(SchedulerError::Exists { job_id });
        }
        if is_there && row.file.as_deref() == Some(file) && row.file_mark.as_deref() == Some(&mark) {
            return Ok(Vec::new());
        }
        let acts = self.change_by_file(file, spec, row, &mark, now)?;
        taken.changed.push(job_id);
        Ok(acts)
    }

    fn change_by_file(
        &mut self,
        file: &str,
        spec: JobSpec,
        row: StoredJob,
        mark: &str,
        now: Now,
    ) -> Result<Vec<Act>, SchedulerError> {
        let job_id = spec.job_id.clone();
        self.check_upstreams(&job_id, &spec.schedule)?;
        let source = self.check_target(&spec)?;
        let before = Job::read(&row);
        let zone = match (spec.zone, &before) {
            (Some(zone), _) => zone,
            (None, Ok(before)) => before.zone,
            (None, Err(_)) => self.local.parse()?,
        };
        let created_at = before.as_ref().map_or(now.wall.trunc_subsecs(3), |before| before.created_at);
        let enabled = row.enabled || row.file_table.as_deref() == Some(GONE_ENABLED);
        let source = spec.source.clone().unwrap_or(source);
        let spec = JobSpec { enabled, ..spec };
        let next = Job { spec, source, zone, created_at, file: Some(file.to_owned()) };
        let is_same_timing = before
            .as_ref()
            .is_ok_and(|before| before.spec.schedule == next.spec.schedule && before.zone == next.zone);
        let was_saved = self.give_back(&job_id, now)?;
        let row = StoredJob { enabled: row.enabled || was_saved, ..row };
        let mut draft = Draft::of(&job_id);
        if let Ok(before) = &before {
            self.account_until(before, &row, now, &mut draft)?;
        }
        let is_accounted = row.next_run_ms.is_none_or(|ms| ms <= now.wall.timestamp_millis());
        let next_at = match row.next_run_ms {
            Some(ms) if is_same_timing && !is_accounted && ms < NEVER_MS => Some(from_ms(ms)),
            _ => {
                // A job that runs once keeps its instant, which may have passed.
                next.timetable(&self.local)?.next_after(now.wall)
            }
        };
        draft.writes.push(JobWrite::ChangeJob(Box::new(next.to_row(next_at, &self.local))));
        draft.writes.push(super::jobs::upstreams_of(&next));
        draft.writes.push(in_file(&job_id, Some(file), THERE, mark));
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        self.may_catch_up |= draft.has_catch_up;
        draft.acts.push(changed(&job_id));
        let next = self.let_next_go(&job_id)?;
        draft.acts.extend(self.commit_each(vec![next], Durability::Synced, now)?);
        Ok(draft.acts)
    }

    /// Restores fires that waited when the job's table was removed, if that was a moment ago: the file was only saved,
    /// and instants since then count too.
    fn give_back(&mut self, job_id: &JobId, now: Now) -> Result<bool, StoreError> {
        let taken_out = self.taken_out.remove(job_id);
        let is_recent = |out: &TakenOut| now.awake_ms.saturating_sub(out.at_ms) <= RETURNS_WITHIN_MS;
        let Some(taken_out) = taken_out.filter(is_recent) else { return Ok(false) };
        let give = |fire: StoredFire| JobWrite::SettleFire {
            job_id: fire.job_id,
            due_ms: fire.due_ms,
            outcome: fire.outcome,
            reason: fire.reason,
            run_id: fire.run_id,
        };
        let writes: Vec<_> = taken_out.fires.into_iter().map(give).collect();
        self.jobs.commit(&writes, Durability::Synced)?;
        self.may_catch_up = true;
        Ok(true)
    }

    /// Disables the jobs whose tables were removed.
    fn disable_gone(
        &mut self,
        places: &HashMap<JobId, HashSet<String>>,
        unread: &HashSet<String>,
        listing: Listing,
        now: Now,
        taken: &mut TakenOver,
    ) -> Result<Vec<Act>, StoreError> {
        let (mut draft, mut gone) = (Draft::default(), Vec::new());
        for row in self.jobs.jobs_of_files()? {
            let (Ok(job_id), Some(file)) = (JobId::new(&row.job_id), &row.file) else { continue };
            let may_be_there = unread.contains(file) || listing == Listing::Partial;
            if places.contains_key(&job_id) || row.file_table.as_deref() != Some(THERE) || may_be_there {
                continue;
            }
            let state = if row.enabled { GONE_ENABLED } else { GONE };
            if row.enabled {
                let fires = self.jobs.open_fires_of(job_id.as_str())?;
                gone.push((job_id.clone(), TakenOut { at_ms: now.awake_ms, fires }));
            }
            self.settle_open(
                &job_id,
                Outcome::Disabled,
                "its table was taken out of the pipeline file",
                &mut draft,
            )?;
            draft.writes.push(JobWrite::Enable { job_id: row.job_id.clone(), enabled: false });
            draft.writes.push(in_file(&job_id, row.file.as_deref(), state, ""));
            draft.acts.push(changed(&job_id));
            taken.disabled.push(job_id);
        }
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        self.taken_out.retain(|_, out| now.awake_ms.saturating_sub(out.at_ms) <= RETURNS_WITHIN_MS);
        self.taken_out.extend(gone);
        Ok(draft.acts)
    }
}

fn in_file(job_id: &JobId, file: Option<&str>, state: &str, mark: &str) -> JobWrite {
    JobWrite::InFile {
        job_id: job_id.to_string(),
        file: file.map(str::to_owned),
        file_table: state.to_owned(),
        file_mark: mark.to_owned(),
    }
}

/// A digest of a table: another digest means another table.
fn mark_of(spec: &JobSpec) -> String {
    let hash = Sha256::digest(format!("{spec:?}"));
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
