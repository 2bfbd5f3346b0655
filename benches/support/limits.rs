//! What the machine itself takes: for a process, for a file, for a commit that is on disk.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use super::seconds;

/// One row, one transaction, one fsync, everything prepared.
pub(crate) struct RawCommit(Connection, Cell<u64>);

impl RawCommit {
    /// In a database of its own in `dir`.
    pub(crate) fn open(dir: &Path) -> Self {
        let conn = Connection::open(dir.join("limit.db")).expect("a database");
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE row (id INTEGER PRIMARY KEY, data TEXT NOT NULL)",
        )
        .expect("a table");
        Self(conn, Cell::new(0))
    }

    /// Commits one row; how long that took.
    pub(crate) fn commit(&self, id: usize) -> f64 {
        seconds(|| {
            let run = |sql| self.0.prepare_cached(sql).expect("a statement");
            run("BEGIN IMMEDIATE").execute([]).expect("begin");
            // Another text each time: where a row stays as it was, SQLite writes nothing and syncs nothing.
            let text = format!("{{\"page\":{}}}", self.1.replace(self.1.get() + 1));
            run("INSERT INTO row VALUES (?1, ?2) ON CONFLICT DO UPDATE SET data = excluded.data")
                .execute((id as i64 % 64, text))
                .expect("a row");
            run("COMMIT").execute([]).expect("commit");
        })
    }
}

/// Spawns `/bin/true` (std's `posix_spawn`, nothing redirected) and waits for it; how long that took.
pub(crate) fn spawn_and_wait() -> f64 {
    seconds(|| {
        let status = Command::new("/bin/true").status().expect("/bin/true runs");
        assert!(status.success());
    })
}

/// Creates files that were not there, one after another.
pub(crate) struct FileMaker {
    dir: PathBuf,
    n: usize,
}

impl FileMaker {
    /// In a folder of its own in `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let dir = dir.join("limit-files");
        std::fs::create_dir(&dir).expect("a folder");
        Self { dir, n: 0 }
    }

    /// Creates the next file; how long that took.
    pub(crate) fn create(&mut self) -> f64 {
        self.n += 1;
        let path = self.dir.join(format!("step-{}.1.log", self.n));
        seconds(|| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a file");
        })
    }
}

/// Steps a second of two threads that spawn and wait side by side, `n` in all.
pub(crate) fn spawns_a_second_of_two(n: usize) -> f64 {
    let took = seconds(|| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    (0..n / 2).for_each(|_| {
                        spawn_and_wait();
                    })
                });
            }
        });
    });
    n as f64 / took
}
