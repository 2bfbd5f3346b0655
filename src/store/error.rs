//! Why the store refused, by kind: the engine treats a full disk differently from a corrupt file.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::disk::free_space;
use crate::base::id::{InvalidId, RunId};

/// With fewer free bytes than this, an unexplained I/O failure counts as a full disk: SQLite reports some of these
/// (growing the shared index, a late fsync) as plain I/O errors.
const NEARLY_NOTHING: u64 = 256 * 1024;

/// A commit was refused because a run has changed since its caller read it.
#[derive(Debug, thiserror::Error)]
#[error("run {0} was changed or removed meanwhile; nothing was done: try again")]
pub(super) struct Changed(pub(super) RunId);

/// Why the store did not do what was asked. In each case nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A later version of this program has written the file.
    #[error(
        "{} was written by a newer Leverframe (its version is {found}, this program knows up to {known}); it was not touched: use the newer program, or move the file away to begin with an empty one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file is damaged or no database.
    #[error(
        "{} is damaged or not a database ({reason}); it was left as it is: restore a copy of it (such as {}), or move it and its -wal file away to begin with an empty one",
        path.display(), backup_hint(path)
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        reason: String,
    },
    /// The file is a database with other tables than ours.
    #[error(
        "{} is a database of another program ({reason}); it was not touched: move it away, or name another data directory",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is different.
        reason: String,
    },
    /// No space is left.
    #[error("cannot write {}: the disk is full; free some space on it", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file, its directory or its file system is read-only, or the store was opened for reading.
    #[error("cannot write {}: it or its directory is read-only for this user", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another program's transaction stayed open for longer than the store waits.
    #[error(
        "cannot write {}: another program holds a transaction open on it; let that program commit or end it",
        path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened at all.
    #[error("cannot open {}: {reason}", path.display())]
    Unopenable {
        /// The file.
        path: PathBuf,
        /// The reason, in a few words.
        reason: String,
    },
    /// The operating system failed to read or write.
    #[error("cannot read or write {}: {reason}; check the disk", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason, in a few words.
        reason: String,
    },
    /// The caller's data can't be stored; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The definition stored with a run no longer parses.
    #[error("run {run_id} cannot be taken up: its stored definition of {path} is not understood: {reason}")]
    Definition {
        /// The run.
        run_id: RunId,
        /// The pipeline file from which it was stored.
        path: String,
        /// The parser's message.
        reason: String,
    },
    /// Anything else that SQLite refuses: an error in this program.
    #[error("{} refused a statement: {reason}", path.display())]
    Statement {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        reason: String,
    },
}

impl From<InvalidId> for StoreError {
    fn from(error: InvalidId) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl StoreError {
    /// Sorts an error of SQLite by kind.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of SQLite's many codes, few are chosen by")]
    pub(super) fn from_sql(path: &Path, error: &rusqlite::Error) -> Self {
        if let rusqlite::Error::ToSqlConversionFailure(why) = error
            && let Some(changed) = why.downcast_ref::<Changed>()
        {
            return Self::Invalid(changed.to_string());
        }
        let reason = error.to_string();
        let path = path.to_owned();
        let Some(code) = error.sqlite_error() else {
            return Self::Statement { path, reason };
        };
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                Self::Locked { path }
            }
            ErrorCode::DiskFull => Self::DiskFull { path },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly { path },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt { path, reason },
            ErrorCode::CannotOpen if !is_writable(&path) => Self::ReadOnly { path },
            ErrorCode::CannotOpen => Self::Unopenable { path, reason },
            ErrorCode::SystemIoFailure if means_no_space(code.extended_code, &path) => {
                Self::DiskFull { path }
            }
            ErrorCode::SystemIoFailure => Self::Io { path, reason },
            ErrorCode::TooBig => Self::Invalid(format!("a value is too big for the database: {reason}")),
            _ => Self::Statement { path, reason },
        }
    }

    /// Sorts an error of the operating system by kind.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the system's many kinds, few are chosen by")]
    pub(super) fn from_io(path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path }
            }
            std::io::ErrorKind::NotFound
            | std::io::ErrorKind::NotADirectory
            | std::io::ErrorKind::IsADirectory => Self::Unopenable { path, reason: error.to_string() },
            _ => Self::Io { path, reason: error.to_string() },
        }
    }

    /// Whether the error is about one caller's data and not about the database.
    pub const fn is_about_data(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Definition { .. } | Self::Statement { .. })
    }

    /// Whether the same call may succeed later although no one repairs our files: the disk may have space again, or
    /// another program may release its lock. The engine then holds its writes back and tries again.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Locked { .. } | Self::Io { .. })
    }
}

/// Whether an I/O failure of SQLite is really a full disk.
fn means_no_space(extended_code: i32, path: &Path) -> bool {
    extended_code == ffi::SQLITE_IOERR_SHMSIZE
        || path.parent().and_then(|dir| free_space(dir).ok()).is_some_and(|free| free < NEARLY_NOTHING)
}

/// Whether this user may create files beside `path`; true if that can't be determined.
fn is_writable(path: &Path) -> bool {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    !matches!(
        rustix::fs::access(dir, rustix::fs::Access::WRITE_OK),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::ROFS)
    )
}

/// A pattern for the names of the copies made before migrations.
fn backup_hint(path: &Path) -> String {
    format!("{}.v*.bak", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(extended_code: i32) -> StoreError {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None);
        StoreError::from_sql(Path::new("/nowhere/x.db"), &error)
    }

    #[test]
    fn each_kind_of_failure_is_told_apart() {
        let path = PathBuf::from("/nowhere/x.db");
        let check = |code, expected: StoreError| assert_eq!(sorted(code), expected, "{code}");
        check(ffi::SQLITE_FULL, StoreError::DiskFull { path: path.clone() });
        check(ffi::SQLITE_IOERR_SHMSIZE, StoreError::DiskFull { path: path.clone() });
        check(ffi::SQLITE_BUSY, StoreError::Locked { path: path.clone() });
        check(ffi::SQLITE_BUSY_SNAPSHOT, StoreError::Locked { path: path.clone() });
        check(ffi::SQLITE_READONLY, StoreError::ReadOnly { path: path.clone() });
        check(ffi::SQLITE_READONLY_DIRECTORY, StoreError::ReadOnly { path: path.clone() });
        assert!(matches!(sorted(ffi::SQLITE_CORRUPT), StoreError::Corrupt { .. }));
        assert!(matches!(sorted(ffi::SQLITE_NOTADB), StoreError::Corrupt { .. }));
        assert!(matches!(sorted(ffi::SQLITE_IOERR_READ), StoreError::Io { .. }));
        assert!(matches!(sorted(ffi::SQLITE_CANTOPEN), StoreError::Unopenable { .. }));
    }
}
