//! Upkeep from the command line: retention, and the sample pipelines.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::reader::Records;
use crate::base::id::RunId;
use crate::base::time::Now;
use crate::engine::EngineError;
use crate::pipeline::samples;
use crate::settings::Settings;
use crate::store::{CheckpointManager, DataDir, JobStore, PrunePlan, PruneReport, StoreError};

/// Plans what the settings' retention removes at `now`. Takes no lock and removes nothing.
pub fn plan_prune(records: &Records, settings: &Settings, now: Now) -> Result<PrunePlan, StoreError> {
    let data_dir = records.data_dir();
    let plan =
        records.store().plan_prune(&settings.retention, now.wall, |run_id| log_bytes(data_dir, run_id))?;
    spare_unbooked(plan, &JobStore::open_read_only(data_dir.join("scheduler.db"))?)
}

/// Removes what the settings' retention removes at `now`. Returns the plan and the result. Holds the engine's lock
/// meanwhile.
///
/// # Errors
/// [`EngineError::DataDir`] when an engine holds the directory or it can't be used, [`EngineError::Store`] when
/// the database can't be written.
pub fn apply_prune(
    data_dir: &Path,
    settings: &Settings,
    now: Now,
) -> Result<(PrunePlan, PruneReport), EngineError> {
    let dir = DataDir::open(data_dir)?;
    let lock = dir.lock()?;
    let store = CheckpointManager::open(dir.checkpoints_db())?;
    let jobs = JobStore::open(dir.scheduler_db())?;
    let plan = store.plan_prune(&settings.retention, now.wall, |run_id| log_bytes(dir.path(), run_id))?;
    let plan = spare_unbooked(plan, &jobs)?;
    let report = store.apply_prune(&plan, dir.path())?;
    prune_fires(&jobs, settings.fires_max_age, now.wall)?;
    drop(lock);
    Ok((plan, report))
}

/// Takes those runs out of `plan` whose end is not recorded in the scheduler's history yet, or that are reserved for a
/// fire.
pub(crate) fn spare_unbooked(mut plan: PrunePlan, jobs: &JobStore) -> Result<PrunePlan, StoreError> {
    let unbooked = jobs.unbooked_run_ids()?;
    plan.runs.retain(|run| !unbooked.contains(run.run_id.as_str()));
    Ok(plan)
}

/// Removes fires and history that are older than the settings keep.
pub(crate) fn prune_fires(jobs: &JobStore, max_age: Duration, now: DateTime<Utc>) -> Result<(), StoreError> {
    let age = TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX);
    match now.checked_sub_signed(age) {
        Some(before) => jobs.prune(before.timestamp_millis()).map(drop),
        // The age limit reaches back before the first instant.
        None => Ok(()),
    }
}

/// Bytes that a run's logs occupy on disk.
pub fn log_bytes(data_dir: &Path, run_id: &RunId) -> u64 {
    let Ok(files) = fs::read_dir(data_dir.join("logs").join(run_id.as_str())) else { return 0 };
    // `st_blocks` counts in 512 bytes, whatever the file system's block size.
    files.flatten().filter_map(|file| file.metadata().ok()).map(|meta| meta.blocks() * 512).sum()
}

/// The outcome of writing the samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnpackedSamples {
    /// Files that were written.
    pub written: Vec<PathBuf>,
    /// Files that existed and were kept.
    pub kept: Vec<PathBuf>,
}

/// Writes the sample pipelines into `folder`, creating it. Existing files are kept.
///
/// # Errors
/// What the file system reports, with the path.
pub fn unpack_samples(folder: &Path) -> io::Result<UnpackedSamples> {
    let mut done = UnpackedSamples::default();
    let with_path = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{} can't be written: {error}", path.display()))
    };
    for sample in samples() {
        let path = folder.join(sample.path);
        let parent = path.parent().unwrap_or(folder);
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|e| with_path(parent, e))?;
        let mode = if sample.executable { 0o700 } else { 0o600 };
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            Ok(mut file) => {
                file.write_all(sample.contents.as_bytes()).map_err(|e| with_path(&path, e))?;
                done.written.push(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => done.kept.push(path),
            Err(error) => return Err(with_path(&path, error)),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_never_overwrite_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let first = unpack_samples(dir.path()).unwrap();
        assert_eq!((first.written.len(), first.kept.len()), (samples().len(), 0));
        let second = unpack_samples(dir.path()).unwrap();
        assert_eq!((second.written.len(), second.kept.len()), (0, samples().len()));
    }
}
