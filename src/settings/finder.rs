//! What a pipeline's id means to a job that fires: its file is read anew only when it has changed, and one that no
//! longer parses leaves its last good version in force.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::catalogue::{Catalogue, CatalogueEntry};
use super::live::LiveSettings;
use super::model::Settings;
use crate::base::id::PipelineId;
use crate::engine::CoreExecutionEngine;
use crate::run::Definition;
use crate::scheduler::{DesktopScheduler, FileTables, JobSpec, Listing, SchedulerError};

/// Finds pipelines for jobs.
#[derive(Debug)]
pub struct PipelineFinder {
    data_dir: PathBuf,
    settings: LiveSettings,
    known: Mutex<HashMap<PipelineId, Known>>,
}

/// A definition, and its file as that was when it was read.
#[derive(Debug)]
struct Known {
    definition: Arc<Definition>,
    stamp: Option<Stamp>,
}

/// When a file was written, its size, and which file it is: another stamp means another content.
type Stamp = (i64, i64, u64, u64);

impl PipelineFinder {
    /// For the pipelines of a data directory under these settings.
    pub fn new(data_dir: &Path, settings: impl Into<LiveSettings>) -> Self {
        Self { data_dir: data_dir.to_owned(), settings: settings.into(), known: Mutex::default() }
    }

    /// The definition of this id: as its file says, or as it said when it was last valid.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    pub fn find(&self, id: &PipelineId) -> Result<Arc<Definition>, String> {
        let mut known = self.known.lock();
        if let Some(Known { definition, stamp: Some(stamp) }) = known.get(id)
            && stamp_of(&definition.path) == Some(*stamp)
        {
            return Ok(definition.clone());
        }
        let catalogue = Catalogue::scan(&self.data_dir, &self.settings.now());
        match catalogue.find(id.as_str()) {
            Ok(definition) => {
                let stamp = stamp_of(&definition.path);
                known.insert(id.clone(), Known { definition: definition.clone(), stamp });
                Ok(definition)
            }
            Err(error) => {
                // The file is there and not valid: it is being edited.
                let last_good = known.get(id).filter(|known| is_broken(&catalogue, &known.definition.path));
                let last_good = last_good.map(|known| known.definition.clone());
                if last_good.is_none() {
                    known.remove(id);
                }
                last_good.ok_or_else(|| error.to_string())
            }
        }
    }
}

fn is_broken(catalogue: &Catalogue, path: &str) -> bool {
    catalogue.entries.iter().any(|entry| entry.path == Path::new(path) && entry.outcome.is_err())
}

fn stamp_of(path: &str) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino()))
}

impl DesktopScheduler {
    /// Opens `scheduler.db` in the engine's data directory, without starting anything. The pipelines that jobs name are
    /// the functions registered with the engine, else the pipeline files of the data directory and of the folders that its
    /// settings name; a file that no longer parses leaves its last good version in force.
    ///
    /// # Errors
    /// [`SchedulerError::Settings`] when `settings.toml` can't be read or understood, else as
    /// [`open_with`](Self::open_with).
    pub fn open(engine: &CoreExecutionEngine) -> Result<Self, SchedulerError> {
        let data_dir = engine.data_dir().path();
        let settings =
            Settings::load(data_dir).map_err(|error| SchedulerError::Settings(error.to_string()))?;
        let finder = PipelineFinder::new(data_dir, settings);
        Self::open_with(engine, move |id| finder.find(id))
    }
}

/// The `[[schedule]]` tables of all pipeline files.
pub fn file_tables(catalogue: &Catalogue) -> (Vec<FileTables>, Listing) {
    let tables = |entry: &CatalogueEntry| {
        let file = entry.path.to_string_lossy().into_owned();
        let jobs = entry.outcome.as_ref().ok().map(|definition| {
            let pipeline = &definition.pipeline;
            let job = |schedule| JobSpec::from_table(pipeline.id.clone(), schedule);
            pipeline.schedules.iter().map(job).collect()
        });
        FileTables { file, jobs }
    };
    let listing = if catalogue.problems.is_empty() { Listing::Complete } else { Listing::Partial };
    (catalogue.entries.iter().map(tables).collect(), listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, text: &str) {
        fs::create_dir_all(dir.join("pipelines")).unwrap();
        fs::write(dir.join("pipelines/p.toml"), text).unwrap();
    }

    #[test]
    fn a_file_that_no_longer_parses_leaves_its_last_good_version_and_a_deleted_one_none() {
        let dir = tempfile::tempdir().unwrap();
        let finder = PipelineFinder::new(dir.path(), Settings::default());
        let id = PipelineId::new("p").unwrap();
        let find = || finder.find(&id).map(|found| found.pipeline.steps[0].id.to_string());
        assert!(find().unwrap_err().contains("no pipeline"));
        write(dir.path(), "[[step]]\nid = \"a\"\nrun = \"true\"\n");
        assert_eq!(find().as_deref(), Ok("a"));
        write(dir.path(), "[[step]]\nid = \"longer\"\nrun = \"true\"\n");
        assert_eq!(find().as_deref(), Ok("longer"));
        write(dir.path(), "[[step]]\nid = \"broken");
        assert_eq!(find().as_deref(), Ok("longer"));
        fs::remove_file(dir.path().join("pipelines/p.toml")).unwrap();
        assert!(find().unwrap_err().contains("no pipeline"));
    }
}
