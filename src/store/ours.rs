//! Whether a folder is ours to take as a data directory. It is closed to everybody else then, which is no favour to a
//! folder that somebody named by mistake.

use std::fs;
use std::path::Path;

use crate::files;

/// Files that only a data directory has: where one of them is, the folder was taken before.
const MARKS: &[&str] =
    &["instance.lock", "checkpoints.db", "scheduler.db", "supervisor.journal", "supervisor.lock"];

/// What else lies in a data directory, of our making or of the user's for us, with what each name may go on with.
const OWN: &[&str] = &[
    "settings.toml",
    "window.toml",
    ".window.toml.new",
    "pipelines",
    "logs",
    "reports",
    "state",
    "reserve",
    "checkpoints.db",
    "scheduler.db",
    "samples.db",
    "supervisor.",
    "control.sock",
    "serve.",
    // Of the file system itself, where a disk is mounted for it.
    "lost+found",
];

/// The name of something that keeps this folder from being taken: none where it is not there, is empty, was taken
/// before, or was made ready for it.
pub(super) fn first_strange(folder: &Path) -> Option<String> {
    // What can't be read is looked at by whoever opens it.
    let names: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name())
        .map(|name| text_of(&name))
        .collect();
    if names.iter().any(|name| MARKS.contains(&name.as_str())) || holds_pipelines(folder) {
        return None;
    }
    names.into_iter().filter(|name| !OWN.iter().any(|own| name.starts_with(own))).min()
}

fn text_of(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// Whether pipelines of ours lie in it: then it was made ready for us, whatever else is there.
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

    fn strange(files: &[(&str, &str)]) -> Option<String> {
        let temp = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = temp.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        first_strange(temp.path())
    }

    #[test]
    fn a_folder_is_taken_when_it_is_empty_or_ours_and_not_when_it_is_anything_else() {
        assert_eq!(strange(&[]), None);
        assert_eq!(first_strange(Path::new("/nowhere/at/all")), None);
        assert_eq!(strange(&[("settings.toml", ""), ("pipelines/notes.txt", "")]), None);
        assert_eq!(strange(&[("checkpoints.db", ""), ("notes.txt", "")]), None);
        assert_eq!(strange(&[("pipelines/a.toml", "[[step]]\n"), ("notes.txt", "")]), None);
        assert_eq!(strange(&[("notes.txt", "")]).as_deref(), Some("notes.txt"));
        assert_eq!(strange(&[("pipelines/ci.yml", ""), ("src/main.c", "")]).as_deref(), Some("src"));
        assert_eq!(strange(&[("logs/a", ""), ("Photos/a", "")]).as_deref(), Some("Photos"));
    }
}
