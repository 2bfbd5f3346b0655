//! The `[[schedule]]` tables of pipeline files become jobs: when the engine is put into service, and whenever one of
//! the folders changes.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::diagnostics::NOTICE;
use crate::files::FolderWatch;
use crate::scheduler::{DesktopScheduler, SchedulerError};
use crate::settings::{Catalogue, Settings, file_tables};
use crate::store::DataDir;

/// A save is several changes: the folders are read when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(200);

/// Changes that follow each other without a pause are waited for so many times.
const MOST_CHANGES: usize = 25;

/// How long a table may be away before its job is disabled.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the tables over, until it is dropped.
pub(crate) struct JobFiles {
    /// Ends the watch, and with [`Self::tell`] the thread.
    watch: Option<FolderWatch>,
    tell: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Reader {
    dir: DataDir,
    settings: Arc<Settings>,
    scheduler: DesktopScheduler,
    /// The problems that were warned of last: each is said once.
    said: Vec<(String, String)>,
}

impl JobFiles {
    /// Takes them over once before it returns, and then when they change. Warns of every table
    /// that can't be taken over.
    ///
    /// # Errors
    /// When there is no thread left.
    pub(crate) fn start(
        dir: &DataDir,
        settings: Arc<Settings>,
        scheduler: DesktopScheduler,
    ) -> std::io::Result<Self> {
        let own = dir.pipelines_dir();
        let folders: Vec<_> = std::iter::once(own).chain(settings.pipeline_dirs.iter().cloned()).collect();
        // Capacity 1: a change that waits is as good as two. Closed when nobody watches any more.
        let (tell, changes) = bounded(1);
        let on_change = tell.clone();
        // Before the first look, so that nothing is missed.
        let on_change = move || {
            // Full: it will be looked at in any case.
            let _ = on_change.try_send(());
        };
        let warn = |data_dir: &Path, which: &str, error: &io::Error| {
            tracing::warn!(
                target: NOTICE,
                data_dir = %data_dir.display(),
                "{which} can't be watched: {error}; a [[schedule]] table that is edited there counts from the next start on"
            );
        };
        let data_dir = dir.path().to_owned();
        let on_lost = move |folder: &Path, error: &io::Error| {
            warn(&data_dir, &format!("the folder {}", folder.display()), error);
        };
        let watch = FolderWatch::of_all(&folders, on_change, on_lost);
        if let Err(error) = &watch {
            warn(dir.path(), "the folders of pipelines", error);
        }
        let dir = dir.clone();
        let mut reader = Reader { dir, settings, scheduler, said: Vec::new() };
        reader.take_over();
        let work = move || reader.run(&changes);
        let thread = crate::base::thread::lasting("lf-job-files", work)?;
        Ok(Self { watch: watch.ok(), tell: Some(tell), thread: Some(thread) })
    }
}

impl Drop for JobFiles {
    fn drop(&mut self) {
        drop((self.watch.take(), self.tell.take()));
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Waits until nothing changes any more, for a few seconds at most; at once when nobody watches any more.
fn settle(changes: &Receiver<()>) {
    for _ in 0..MOST_CHANGES {
        if changes.recv_timeout(QUIET).is_err() {
            return;
        }
    }
}

/// An editor may have moved a file away, to write it anew: it is given the time to, whatever else changes meanwhile.
/// Returns at once when nobody watches any more.
fn wait_for_tables(changes: &Receiver<()>, patience: Duration, has_lost_tables: impl Fn() -> bool) {
    let over = crossbeam_channel::after(patience);
    while has_lost_tables() {
        select! {
            recv(changes) -> change => match change {
                Ok(()) => settle(changes),
                Err(_) => return,
            },
            recv(over) -> _ => return,
        }
    }
}

impl Reader {
    fn run(mut self, changes: &Receiver<()>) {
        for () in changes {
            settle(changes);
            wait_for_tables(changes, PATIENCE, || self.has_lost_tables());
            self.take_over();
        }
    }

    /// Whether the table of a job that was there when they were read last is not there now.
    fn has_lost_tables(&self) -> bool {
        let (files, _) = file_tables(&Catalogue::scan(self.dir.path(), &self.settings));
        let unread: HashSet<_> =
            files.iter().filter(|tables| tables.jobs.is_none()).map(|tables| tables.file.as_str()).collect();
        let there: HashSet<_> = files
            .iter()
            .flat_map(|tables| tables.jobs.iter().flatten())
            .map(|job| job.job_id.as_str())
            .collect();
        let rows = self.scheduler.store().jobs_of_files().unwrap_or_default();
        rows.iter().any(|row| {
            row.has_table()
                && !there.contains(row.job_id.as_str())
                && row.file.as_deref().is_none_or(|file| !unread.contains(file))
        })
    }

    fn take_over(&mut self) {
        let catalogue = Catalogue::scan(self.dir.path(), &self.settings);
        let (files, listing) = file_tables(&catalogue);
        let broken = self.broken(&catalogue);
        let mut problems = match self.scheduler.take_over(files, listing) {
            Ok(taken) => taken.problems,
            // The engine ends, and so does this.
            Err(SchedulerError::Stopped) => return,
            Err(error) => vec![("scheduler.db".to_owned(), error.to_string())],
        };
        problems.extend(broken);
        for problem @ (file, why) in &problems {
            if !self.said.contains(problem) {
                tracing::warn!(
                    target: NOTICE,
                    data_dir = %self.dir.path().display(),
                    "the schedules of {file} can't be taken over: {why}"
                );
            }
        }
        self.said = problems;
    }

    /// The files of jobs that can't be understood any more: what they said last counts.
    fn broken(&self, catalogue: &Catalogue) -> Vec<(String, String)> {
        let mut broken = Vec::new();
        for entry in &catalogue.entries {
            let Err(problems) = &entry.outcome else { continue };
            let file = entry.path.to_string_lossy().into_owned();
            let rows = self.scheduler.store().jobs_of_files().unwrap_or_default();
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
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_lost_table_is_waited_for_whatever_else_changes() {
        // Capacity 1, as that of a reader.
        let (tell, changes) = bounded(1);
        let looks = Cell::new(0);
        // Something else has changed before each look; at the third, the table is back.
        tell.send(()).expect("it is read");
        wait_for_tables(&changes, Duration::from_secs(60), || {
            looks.set(looks.get() + 1);
            // Full: a change waits already.
            let _ = tell.try_send(());
            looks.get() < 3
        });
        assert_eq!(looks.get(), 3);
        // One that does not come back is given up, and so it is at the end of the watch.
        wait_for_tables(&changes, Duration::from_millis(1), || true);
        drop(tell);
        wait_for_tables(&changes, Duration::from_secs(60), || true);
    }
}
