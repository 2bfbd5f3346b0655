//! The ledger of fires as a CSV file, for spreadsheets and scripts.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::base::time::format_instant;
use crate::scheduler::{DesktopScheduler, LedgerEntry, SchedulerError};
use crate::store::LedgerFilter;

/// How many rows are read at once.
const PART: usize = 5_000;

const COLUMNS: [&str; 9] = [
    "job_id",
    "due_at",
    "through_at",
    "n_instants",
    "outcome",
    "reason",
    "run_id",
    "run_state",
    "run_finished_at",
];

/// Writes the rows of the ledger that match `filter`, the newest first, into a new file in `folder`. Returns the file
/// and the number of rows.
///
/// # Errors
/// A sentence that says why not. What was written until then is removed.
pub(super) fn export_fires(
    data_dir: &Path,
    filter: &LedgerFilter,
    folder: &Path,
    now: DateTime<Utc>,
) -> Result<(PathBuf, usize), String> {
    let path = folder.join(format!("leverframe-fires-{}.csv", now.format("%Y%m%d-%H%M%S")));
    let failed = |error: &dyn std::fmt::Display| format!("{} can't be written: {error}", path.display());
    let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| failed(&error))?;
    let scheduler = DesktopScheduler::read_only(data_dir);
    let write = || -> Result<usize, String> {
        let mut file = csv::Writer::from_writer(BufWriter::new(&file));
        file.write_record(COLUMNS).map_err(|error| failed(&error))?;
        let mut n_rows = 0;
        loop {
            let (wanted, offset) = (filter.clone(), n_rows);
            let entries = scheduler
                .look(move |core| Ok::<_, SchedulerError>(core.ledger(&wanted, offset, PART)?))
                .map_err(|error| error.to_string())?;
            for entry in &entries {
                file.write_record(fields(entry)).map_err(|error| failed(&error))?;
            }
            n_rows += entries.len();
            if entries.len() < PART {
                break;
            }
        }
        let mut file = file.into_inner().map_err(|error| failed(&error))?;
        file.flush().map_err(|error| failed(&error))?;
        Ok(n_rows)
    };
    match write() {
        Ok(n_rows) => Ok((path, n_rows)),
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

fn fields(entry: &LedgerEntry) -> [String; 9] {
    let LedgerEntry { fire, run, zone: _ } = entry;
    let run = run.as_ref();
    [
        fire.job_id.clone(),
        format_instant(fire.due_at),
        format_instant(fire.through_at),
        fire.n_instants.to_string(),
        fire.outcome.clone(),
        fire.reason.clone().unwrap_or_default(),
        fire.run_id.clone().unwrap_or_default(),
        run.and_then(|run| run.status.clone()).unwrap_or_default(),
        run.and_then(|run| run.finished_at).map(format_instant).unwrap_or_default(),
    ]
}

/// The folder for files that a user takes along: that of downloads, else the home.
pub(super) fn folder_for_files() -> io::Result<PathBuf> {
    let dirs = directories::UserDirs::new();
    let known = dirs.as_ref().and_then(|dirs| dirs.download_dir().filter(|folder| folder.is_dir()));
    let home = || dirs.as_ref().map(|dirs| dirs.home_dir().to_owned());
    known
        .map(Path::to_owned)
        .or_else(home)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no home directory"))
}
