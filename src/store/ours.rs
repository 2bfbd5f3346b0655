//! Whether a folder is ours to take as a data directory, and to close to everybody else: that is no favour to a folder
//! that somebody named by mistake.

use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use crate::files;

/// Files that only a data directory has: where one of them is, the folder was taken before.
const MARKS: &[&str] =
    &["instance.lock", "checkpoints.db", "scheduler.db", "supervisor.journal", "supervisor.lock"];

/// What else lies in a data directory, of our making or of the user's for us.
const OWN: &[&str] = &[
    "settings.toml",
    ".settings.toml.new",
    "window.toml",
    ".window.toml.new",
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
    // Of the file system itself, where a disk is mounted for it.
    "lost+found",
];

const DATABASES: &[&str] = &["checkpoints.db", "scheduler.db", "samples.db"];

/// What may be done with a folder as a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It is not there, is empty, or holds only what is ours: it is closed to everybody else.
    Ours,
    /// It was taken before, or holds pipelines of ours, and also what is not ours, such as this: it can be used, and
    /// stays as open as it is.
    Shared(String),
    /// It is something else's: it holds this, and nothing that makes it ours.
    Strange(String),
}

/// Looks through a folder.
///
/// # Errors
/// It can't be read.
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

/// Whether a database's file can go on so: what SQLite writes beside it, and the copies from before an upgrade.
fn is_beside_database(ending: &str) -> bool {
    let version = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_copy = |ending: &str| {
        ending.strip_prefix(".v").and_then(|rest| rest.strip_suffix(".bak")).is_some_and(version)
    };
    matches!(ending, "-wal" | "-shm" | "-journal") || is_copy(ending.strip_suffix(".new").unwrap_or(ending))
}

/// Whether pipelines of ours lie in it.
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
