//! Folders of runs that a prune sets aside before it deletes their rows, and removes afterwards. The name of a folder
//! says which run it was, so that the next prune can continue after a crash.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::id::RunId;

/// The beginning of the name of such a folder. No run's name begins so.
const ASIDE: &str = ".pruned-";

/// The folders set aside below `data_dir`: the run, the folder's own path, and its present path.
pub(super) fn aside_in(data_dir: &Path) -> Vec<(RunId, PathBuf, PathBuf)> {
    let kinds = ["logs", "reports"].map(|kind| data_dir.join(kind));
    let folders = kinds.iter().filter_map(|kind| std::fs::read_dir(kind).ok()).flatten().flatten();
    folders
        .filter_map(|folder| {
            let name = folder.file_name();
            let run_id = RunId::new(name.to_str()?.strip_prefix(ASIDE)?).ok()?;
            let place = folder.path().with_file_name(run_id.as_str());
            Some((run_id, place, folder.path()))
        })
        .collect()
}

/// The folders of one run that were set aside: each with its own path and its present path.
#[derive(Default)]
pub(super) struct Aside(Vec<(PathBuf, PathBuf)>);

impl Aside {
    /// Sets aside those folders of a run that exist: all or none.
    pub(super) fn put(data_dir: &Path, kinds: &[&str], run_id: &RunId) -> Result<Self, String> {
        let mut aside = Self::default();
        for kind in kinds {
            let place = data_dir.join(kind).join(run_id.as_str());
            let away = data_dir.join(kind).join(format!("{ASIDE}{run_id}"));
            let is_no_folder = std::fs::symlink_metadata(&place).is_ok_and(|it| !it.is_dir());
            let outcome = match is_no_folder {
                true => Err(io::ErrorKind::NotADirectory.into()),
                false => std::fs::rename(&place, &away),
            };
            match outcome {
                Ok(()) => aside.0.push((place, away)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    aside.put_back();
                    return Err(format!("cannot remove {}: {error}", place.display()));
                }
            }
        }
        Ok(aside)
    }

    pub(super) fn put_back(self) {
        for (place, away) in self.0 {
            // If it fails, the next prune gives the folder back.
            let _ = std::fs::rename(away, place);
        }
    }

    /// The present paths.
    pub(super) fn into_folders(self) -> impl Iterator<Item = PathBuf> {
        self.0.into_iter().map(|(_, away)| away)
    }
}

/// Removes a folder with its contents. A missing folder is no error.
pub(super) fn remove_folder(folder: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot remove {}: {error}", folder.display())),
    }
}
