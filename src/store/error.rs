//! Why the store refused, by kind: the engine meets a full disk otherwise than a corrupt file.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::disk::free_space;
use crate::base::id::{InvalidId, RunId};

/// Below this many free bytes an unexplained I/O failure is taken for a full disk: SQLite reports some
/// of those (growing the shared index, a late fsync) as plain I/O errors.
const NEARLY_NOTHING: u64 = 256 * 1024;

/// Why a commit was refused: its caller had read a run that is another one by now.
#[derive(Debug, thiserror::Error)]
#[error("run {0} was changed or removed meanwhile; nothing was done about it: try again")]
pub(super) struct Changed(pub(super) RunId);

/// Why the store did not do what was asked. Nothing was changed, whichever it is.
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
        /// The last one known here.
        known: i64,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "{} is damaged or not a database ({reason}); it was left as it is: restore a copy of it (such as {}), or move it and its -wal file away to begin with an empty one",
        path.display(), backup_hint(path)
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The file is a database, with other tables than ours.
    #[error(
        "{} is a database of something else ({reason}); it was not touched: move it away, or name another data directory",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// No space is left.
    #[error("cannot write {}: the disk is full; free some space on it", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file, its directory or its file system cannot be written, or the store was opened for reading.
    #[error("cannot write {}: it or its directory is read-only for this user", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else's transaction was open for longer than we wait.
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
        /// Why.
        reason: String,
    },
    /// The operating system failed to read or write.
    #[error("cannot read or write {}: {reason}; check the disk", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What the caller handed over cannot be stored.
    #[error("{0}")]
    Invalid(String),
    /// The definition stored with a run does not parse any more.
    #[error("run {run_id} cannot be taken up: its stored definition of {path} is not understood: {reason}")]
    Definition {
        /// The run.
        run_id: RunId,
        /// The file that it once was.
        path: String,
        /// Why.
        reason: String,
    },
    /// Anything else that SQLite refuses: a mistake of ours.
    #[error("{} refused a statement: {reason}", path.display())]
    Statement {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl From<InvalidId> for StoreError {
    fn from(error: InvalidId) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl StoreError {
    /// Sorts what SQLite said about `path`.
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

    /// Sorts what the operating system said about `path`.
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

    /// Whether it is about what one caller handed over, and not about the database.
    pub const fn is_about_data(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Definition { .. } | Self::Statement { .. } => true,
            Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::Foreign { .. }
            | Self::DiskFull { .. }
            | Self::ReadOnly { .. }
            | Self::Locked { .. }
            | Self::Unopenable { .. }
            | Self::Io { .. } => false,
        }
    }

    /// Whether the same call may well succeed later without anybody mending our files: a full disk, a
    /// lock of somebody else. The engine then holds back and tries again.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Locked { .. } | Self::Io { .. } => true,
            Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::Foreign { .. }
            | Self::ReadOnly { .. }
            | Self::Unopenable { .. }
            | Self::Invalid(_)
            | Self::Definition { .. }
            | Self::Statement { .. } => false,
        }
    }
}

/// Whether an I/O failure of SQLite is a full disk in disguise.
fn means_no_space(extended_code: i32, path: &Path) -> bool {
    extended_code == ffi::SQLITE_IOERR_SHMSIZE
        || path.parent().and_then(|dir| free_space(dir).ok()).is_some_and(|free| free < NEARLY_NOTHING)
}

/// Whether this user may create files beside `path`; true where that cannot be told.
fn is_writable(path: &Path) -> bool {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    !matches!(
        rustix::fs::access(dir, rustix::fs::Access::WRITE_OK),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::ROFS)
    )
}

/// What the copies made before migrations are called.
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
