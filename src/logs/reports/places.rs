//! Where reports lie.

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

/// The attempt whose report lies at `…/<run_id>/<step_id>.<attempt>.jsonl`.
pub(super) fn key_of_path(path: &Path) -> Option<AttemptKey> {
    let run_id = RunId::new(path.parent()?.file_name()?.to_str()?).ok()?;
    let (step_id, attempt) = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.rsplit_once('.')?;
    Some(AttemptKey { run_id, step_id: StepId::new(step_id).ok()?, attempt: attempt.parse().ok()? })
}
