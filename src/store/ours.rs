//! Whether a folder can become a data directory, which is closed to all other users. A folder of another program, named
//! by mistake, must not be.

use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use crate::files;

/// Files that only a data directory has. A folder with one of them has been a data directory before.
const MARKS: &[&str] =
    &["instance.lock", "checkpoints.db", "scheduler.db", "supervisor.journal", "supervisor.lock"];

/// What else a data directory may hold, written by us or by the user for us.
const OWN: &[&str] = &[
    "settings.toml",
    ".settings.toml.new",
    "window.toml",
    ".window.toml.new",
    "away.toml",
    ".away.toml.new",
    "pipelines",
    "logs",
    "reports",
    "reserve",
    "samples.db",
    "control.sock",
    "control.sock.new",
    "supervisor.journal.new",
    "supervisor.sock",
    "supervisor.sock.new",
    "serve.log",
    "serve.log.1",
    "leverframe.log",
    "leverframe.log.1",
    // The file system's own, if the data directory is a mount point.
    "lost+found",
];

const DATABASES: &[&str] = &["checkpoints.db", "scheduler.db", "samples.db"];

/// What may be done with a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It does not exist, is empty, or holds only our files. It may be closed to other users.
    Ours,
    /// It was used before, or holds pipelines, and also something else, such as this. It can be used, and keeps its
    /// mode.
    Shared(String),
    /// It belongs to something else: it holds this, and nothing that makes it ours.
    Strange(String),
}

/// Looks at the names in a folder.
///
/// # Errors
/// The folder can't be read.
pub(super) fn ownership(folder: &Path) -> io::Result<Ownership> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ownership::Ours),
        entries => entries?,
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| text_of(&entry.file_name())))
        .collect::<io::Result<Vec<String>>>()?;
    names.sort_unstable();
    let Some(strange) = names.iter().find(|name| !is_own(name)) else { return Ok(Ownership::Ours) };
    let was_taken = names.iter().any(|name| MARKS.contains(&name.as_str()));
    let strange = strange.clone();
    Ok(if was_taken || holds_pipelines(folder) {
        Ownership::Shared(strange)
    } else {
        Ownership::Strange(strange)
    })
}

fn text_of(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

fn is_own(name: &str) -> bool {
    let of_database = |database: &&str| name.strip_prefix(*database).is_some_and(is_beside_database);
    MARKS.contains(&name) || OWN.contains(&name) || DATABASES.iter().any(of_database)
}

/// Whether a database's name may continue so: SQLite's files beside it, and the copies made before migrations.
fn is_beside_database(ending: &str) -> bool {
    let version = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_copy = |ending: &str| {
        ending.strip_prefix(".v").and_then(|rest| rest.strip_suffix(".bak")).is_some_and(version)
    };
    matches!(ending, "-wal" | "-shm" | "-journal") || is_copy(ending.strip_suffix(".new").unwrap_or(ending))
}

/// Whether the folder holds a pipeline with a step.
fn holds_pipelines(folder: &Path) -> bool {
    let Ok(files) = fs::read_dir(folder.join("pipelines")) else { return false };
    files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .any(|path| files::read_small_text(&path).is_ok_and(|text| text.contains("[[step]]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[&str]) -> Ownership {
        let temp = tempfile::tempdir().expect("a folder");
        for name in files {
            let path = temp.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "[[step]]\n").expect("a file");
        }
        ownership(temp.path()).expect("it can be read")
    }

    #[test]
    fn a_folder_is_taken_when_it_is_empty_or_ours_and_not_when_it_is_anything_else() {
        assert_eq!(look(&[]), Ownership::Ours);
        assert_eq!(ownership(Path::new("/nowhere/at/all")).expect("it can be made"), Ownership::Ours);
        let ours =
            ["settings.toml", "pipelines/notes.txt", "logs/a", "checkpoints.db-wal", "samples.db.v3.bak"];
        assert_eq!(look(&ours), Ownership::Ours);
        let strange = |name: &str| Ownership::Strange(name.to_owned());
        assert_eq!(look(&["notes.txt"]), strange("notes.txt"));
        assert_eq!(look(&["pipelines/ci.yml", "src/main.c"]), strange("src"));
        assert_eq!(look(&["logs/a", "Photos/a"]), strange("Photos"));
    }

    #[test]
    fn what_only_begins_like_something_of_ours_is_not() {
        for name in [
            "statements/a",
            "state.json",
            "logs-2024/a",
            "reports.pdf",
            "pipelines.bak/a.toml",
            "settings.toml.orig",
            "checkpoints.db.old",
            "checkpoints.db.vx.bak",
            "serve.py",
            "supervisor.conf",
            "reserved",
        ] {
            let top = name.split('/').next().expect("a name").to_owned();
            assert_eq!(look(&[name]), Ownership::Strange(top), "{name}");
        }
    }

    #[test]
    fn pipelines_or_files_of_ours_beside_anything_else_make_it_shared() {
        let shared = |name: &str| Ownership::Shared(name.to_owned());
        assert_eq!(look(&["pipelines/a.toml", "src/main.c"]), shared("src"));
        assert_eq!(look(&["checkpoints.db", "notes.txt"]), shared("notes.txt"));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_not_taken() {
        let temp = tempfile::tempdir().expect("a folder");
        let file = temp.path().join("file");
        fs::write(&file, "x").expect("a file");
        ownership(&file).expect_err("it is no folder");
        ownership(Path::new(&"x".repeat(5000))).expect_err("it can't be looked up");
    }
}
