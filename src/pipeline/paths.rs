//! Makes the paths of a file absolute by their text alone, without access to the disk.

use std::path::{Component, Path, PathBuf};

use crate::config::Problems;

/// The absolute form of a path of the file, without `.` and `..`. A `~` is the home directory.
pub(super) fn resolve(
    base: &Path,
    text: &str,
    home: Option<&Path>,
    at: usize,
    problems: &mut Problems<'_>,
) -> PathBuf {
    let Some(after) = text.strip_prefix('~') else { return clean(&base.join(text)) };
    if !after.is_empty() && !after.starts_with('/') {
        let message = format!(
            "{text:?} names another user's home directory, which is not looked up; write its path, or \"./{text}\" for a folder of that name"
        );
        problems.add(at, message);
    } else if let Some(home) = home {
        return clean(&home.join(after.trim_start_matches('/')));
    } else {
        problems.add(
            at,
            format!("the home directory for the ~ in {text:?} is not known; write an absolute path"),
        );
    }
    PathBuf::new()
}

/// Removes `.` and `..` from a path by its text alone.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => cleaned.push(part),
        }
    }
    cleaned
}
