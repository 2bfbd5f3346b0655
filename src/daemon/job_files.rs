//! Turns the `[[schedule]]` tables of pipeline files into jobs: when the engine is put into service, and whenever one
//! of the folders changes.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::base::tasks::{Task, TaskBell, TaskThread};
use crate::diagnostics::NOTICE;
use crate::files::FolderWatch;
use crate::scheduler::{DesktopScheduler, SchedulerError};
use crate::settings::{Catalogue, LiveSettings, file_tables};
use crate::store::{DataDir, JobStore, StoredJob};

/// Saving a file is several changes: the folders are read after this time without a change.
const QUIET: Duration = Duration::from_millis(200);

/// After this many changes without a pause, the folders are read anyway.
const MOST_CHANGES: usize = 25;

/// How long a table may be missing before its job is disabled.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the tables over until it is dropped.
pub(crate) struct JobFiles {
    _task: Task,
}

struct Reader {
    dir: DataDir,
    settings: LiveSettings,
    scheduler: DesktopScheduler,
    /// The problems of the last warnings, so that each is reported once.
    said: Vec<(String, String)>,
}

impl JobFiles {
    /// Takes the tables over once before it returns, and then, as a task, whenever they change. Warns of every table
    /// that can't be taken over.
    pub(crate) fn start(
        tasks: &TaskThread,
        dir: &DataDir,
        settings: LiveSettings,
        scheduler: DesktopScheduler,
    ) -> Self {
        let live = settings.clone();
        let mut reader = Reader { dir: dir.clone(), settings, scheduler, said: Vec::new() };
        let task = tasks.add(None, |bell| {
            let changed = Arc::new(AtomicBool::new(false));
            live.on_folders({
                let bell = bell.clone();
                move |_| {
                    bell.ring();
                }
            });
            let watch_of = {
                let (data_dir, changed) = (dir.path().to_owned(), changed.clone());
                move |folders: &[PathBuf]| watch(&data_dir, folders, &changed, &bell)
            };
            // Before the first look, so that no change is missed.
            let mut folders = live.pipeline_folders(reader.dir.path());
            let mut watched = watch_of(&folders);
            reader.take_over();
            let mut patience = Patience::Idle;
            move |now| {
                let fresh = live.pipeline_folders(reader.dir.path());
                let has_others = fresh != folders;
                if has_others {
                    // The watch before ends.
                    (watched, folders) = (watch_of(&fresh), fresh);
                }
                // It lasts as long as this closure.
                let _watched = &watched;
                let has_changed = changed.swap(false, Ordering::AcqRel) || has_others;
                match patience.turn(has_changed, now, || reader.has_lost_tables()) {
                    Turn::Wait(time) => time,
                    Turn::TakeOver => {
                        reader.take_over();
                        None
                    }
                }
            }
        });
        Self { _task: task }
    }
}

/// Notes in `changed` that a file in one of the folders has changed, and rings, for as long as what is returned lives.
/// Warns of what can't be watched.
fn watch(
    data_dir: &Path,
    folders: &[PathBuf],
    changed: &Arc<AtomicBool>,
    bell: &TaskBell,
) -> io::Result<FolderWatch> {
    let (changed, bell) = (changed.clone(), bell.clone());
    let on_change = move || {
        changed.store(true, Ordering::Release);
        bell.ring();
    };
    let warn = |data_dir: &Path, which: &str, error: &io::Error| {
        tracing::warn!(
            target: NOTICE,
            data_dir = %data_dir.display(),
            "{which} can't be watched: {error}; a [[schedule]] table that is edited there takes effect at the next start"
        );
    };
    let of_lost = data_dir.to_owned();
    let on_lost = move |folder: &Path, error: &io::Error| {
        warn(&of_lost, &format!("the folder {}", folder.display()), error);
    };
    FolderWatch::of_all(folders, on_change, on_lost)
        .inspect_err(|error| warn(data_dir, "the folders of pipelines", error))
}

/// What the task waits for before it takes the tables over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// For a change.
    Idle,
    /// For a time without changes, but not forever.
    Settles {
        n_changes: usize,
        until: Instant,
        /// Until when to wait for a missing table, if one is missing.
        give_up: Option<Instant>,
    },
    /// For a missing table. An editor may have moved its file away to write it anew, and gets this time, whatever else
    /// changes.
    Lacks { give_up: Instant },
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Wait this long, or until something changes.
    Wait(Option<Duration>),
    TakeOver,
}

impl Patience {
    fn turn(&mut self, has_changed: bool, now: Instant, has_lost_tables: impl FnOnce() -> bool) -> Turn {
        let (n_changes, give_up) = match *self {
            Self::Idle => (0, None),
            Self::Settles { n_changes, give_up, .. } => (n_changes, give_up),
            Self::Lacks { give_up } => (0, Some(give_up)),
        };
        if has_changed && n_changes < MOST_CHANGES {
            *self = Self::Settles { n_changes: n_changes + 1, until: now + QUIET, give_up };
            return Turn::Wait(Some(QUIET));
        }
        let until = match *self {
            Self::Idle => return Turn::Wait(None),
            Self::Settles { until, .. } if !has_changed => until,
            Self::Settles { .. } => now,
            Self::Lacks { give_up } => give_up,
        };
        if now < until {
            return Turn::Wait(Some(until - now));
        }
        let give_up = give_up.unwrap_or(now + PATIENCE);
        if now < give_up && has_lost_tables() {
            *self = Self::Lacks { give_up };
            Turn::Wait(Some(give_up - now))
        } else {
            *self = Self::Idle;
            Turn::TakeOver
        }
    }
}

impl Reader {
    /// Whether a job's table that was there at the last reading is missing now.
    fn has_lost_tables(&self) -> bool {
        let (files, _) = file_tables(&Catalogue::scan(self.dir.path(), &self.settings.now()));
        let unread: HashSet<_> =
            files.iter().filter(|tables| tables.jobs.is_none()).map(|tables| tables.file.as_str()).collect();
        let there: HashSet<_> = files
            .iter()
            .flat_map(|tables| tables.jobs.iter().flatten())
            .map(|job| job.job_id.as_str())
            .collect();
        self.jobs_of_files().iter().any(|row| {
            row.has_table()
                && !there.contains(row.job_id.as_str())
                && row.file.as_deref().is_none_or(|file| !unread.contains(file))
        })
    }

    /// The jobs that stand in files; none where these can't be read at the moment.
    fn jobs_of_files(&self) -> Vec<StoredJob> {
        let rows = self.scheduler.store().map(JobStore::jobs_of_files);
        rows.transpose().ok().flatten().unwrap_or_default()
    }

    fn take_over(&mut self) {
        let catalogue = Catalogue::scan(self.dir.path(), &self.settings.now());
        let (files, listing) = file_tables(&catalogue);
        let broken = self.broken(&catalogue);
        let mut problems = match self.scheduler.take_over(files, listing) {
            Ok(taken) => taken.problems,
            // The engine ends, and so does this task.
            Err(SchedulerError::Stopped) => return,
            Err(error) => vec![("scheduler.db".to_owned(), error.to_string())],
        };
        problems.extend(broken);
        for problem @ (file, why) in &problems {
            if !self.said.contains(problem) {
                tracing::warn!(
                    target: NOTICE,
                    data_dir = %self.dir.path().display(),
                    "the schedules of {file} can't be applied: {why}"
                );
            }
        }
        self.said = problems;
    }

    /// Files of jobs that can't be parsed any more: their last good version stays in force.
    fn broken(&self, catalogue: &Catalogue) -> Vec<(String, String)> {
        let rows = self.jobs_of_files();
        let mut broken = Vec::new();
        for entry in &catalogue.entries {
            let Err(problems) = &entry.outcome else { continue };
            let file = entry.path.to_string_lossy().into_owned();
            if rows.iter().any(|row| row.file.as_ref() == Some(&file)) {
                let why = crate::settings::in_lines(problems);
                broken.push((file, format!("its last good version stays in force: {why}")));
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: fn() -> bool = || true;
    const BACK: fn() -> bool = || false;

    #[test]
    fn changes_are_taken_over_when_nothing_has_changed_for_a_while() {
        let start = Instant::now();
        let mut patience = Patience::Idle;
        assert_eq!(patience.turn(false, start, BACK), Turn::Wait(None));
        assert_eq!(patience.turn(true, start, BACK), Turn::Wait(Some(QUIET)));
        let early = start + QUIET / 2;
        assert_eq!(patience.turn(false, early, BACK), Turn::Wait(Some(QUIET / 2)), "it was called too soon");
        assert_eq!(patience.turn(true, early, BACK), Turn::Wait(Some(QUIET)), "it has changed once more");
        assert_eq!(patience.turn(false, early + QUIET, BACK), Turn::TakeOver);
        assert_eq!(patience.turn(false, early + QUIET, BACK), Turn::Wait(None));
    }

    #[test]
    fn changes_without_a_pause_are_taken_over_in_the_end() {
        let start = Instant::now();
        let mut patience = Patience::Idle;
        let turns = (0..=MOST_CHANGES).map(|_| patience.turn(true, start, BACK));
        assert_eq!(turns.filter(|turn| *turn == Turn::TakeOver).count(), 1);
    }

    #[test]
    fn a_lost_table_is_waited_for_whatever_else_changes_and_is_given_up_in_the_end() {
        let start = Instant::now();
        let settled = start + QUIET;
        let lacking = || {
            let mut patience = Patience::Idle;
            patience.turn(true, start, LOST);
            assert_eq!(patience.turn(false, settled, LOST), Turn::Wait(Some(PATIENCE)));
            patience
        };
        // Something else changes. Then the table is looked for again, and is back.
        let mut patience = lacking();
        assert_eq!(patience.turn(true, settled, LOST), Turn::Wait(Some(QUIET)));
        assert_eq!(patience.turn(false, settled + QUIET, LOST), Turn::Wait(Some(PATIENCE - QUIET)));
        assert_eq!(patience.turn(true, settled + QUIET, BACK), Turn::Wait(Some(QUIET)));
        assert_eq!(patience.turn(false, settled + QUIET * 2, BACK), Turn::TakeOver);
        assert_eq!(lacking().turn(false, settled + PATIENCE, LOST), Turn::TakeOver);
    }
}
