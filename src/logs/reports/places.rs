//! Where reports are.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::base::id::{AttemptKey, RunId, StepId};
use crate::run::report_path;

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn run_folder(data_dir: &Path, run_id: &RunId) -> PathBuf {
    data_dir.join("reports").join(run_id.as_str())
}

pub(super) fn attempt_path(data_dir: &Path, key: &AttemptKey) -> PathBuf {
    data_dir.join(report_path(&key.run_id, &key.step_id, key.attempt))
}

/// The attempt of this run whose report is named `<step_id>.<attempt>.jsonl`.
pub(super) fn key_of_file(run_id: &RunId, name: &OsStr) -> Option<AttemptKey> {
    let (step_id, attempt) = name.to_str()?.strip_suffix(".jsonl")?.rsplit_once('.')?;
    let step_id = StepId::new(step_id).ok()?;
    Some(AttemptKey { run_id: run_id.clone(), step_id, attempt: attempt.parse().ok()? })
}
