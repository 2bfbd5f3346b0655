//! What lies in a folder, for the picker of paths. Reading it is bounded in entries and time, as far as the file system
//! answers: one of a network that is gone does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most entries of a folder that are listed.
pub const MAX_ENTRIES: usize = 5000;
/// How long a folder is read.
const MAX_TIME: Duration = Duration::from_secs(2);

/// A file or a folder in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub name: String,
    pub is_folder: bool,
}

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderContent {
    /// The folder that was asked for, or the nearest one around it if that is none.
    pub folder: PathBuf,
    /// Folders first, both by name. Names that are not UTF-8 are left out: no parameter can hold them.
    pub entries: Vec<FolderEntry>,
    /// Whether some are left out because there are too many of them.
    pub is_cut: bool,
    /// Why it can't be read.
    pub problem: Option<String>,
}

/// Reads a folder, and at most [`MAX_ENTRIES`] of it.
pub(crate) fn read_folder(asked: &Path) -> FolderContent {
    read_at_most(asked, MAX_ENTRIES)
}

fn read_at_most(asked: &Path, max: usize) -> FolderContent {
    let folder = asked.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned();
    let mut content = FolderContent { folder, entries: Vec::new(), is_cut: false, problem: None };
    let found = match fs::read_dir(&content.folder) {
        Ok(found) => found,
        Err(error) => {
            content.problem = Some(error.to_string());
            return content;
        }
    };
    let begun = Instant::now();
    for entry in found {
        if content.entries.len() >= max || begun.elapsed() > MAX_TIME {
            content.is_cut = true;
            break;
        }
        // An entry that can't be read was removed meanwhile.
        let Ok(entry) = entry else { continue };
        if let Ok(name) = entry.file_name().into_string() {
            content.entries.push(FolderEntry { name, is_folder: is_folder(&entry) });
        }
    }
    content.entries.sort_by_cached_key(|entry| (!entry.is_folder, entry.name.to_lowercase()));
    content
}

/// Whether it is a folder or a link to one.
fn is_folder(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(content: &FolderContent) -> Vec<&str> {
        content.entries.iter().map(|entry| &*entry.name).collect()
    }

    #[test]
    fn folders_come_first_and_a_file_shows_the_folder_that_it_lies_in() {
        let place = tempfile::tempdir().unwrap();
        for folder in ["zoo", "Data"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        fs::write(place.path().join("a.csv"), "").unwrap();
        std::os::unix::fs::symlink(place.path().join("zoo"), place.path().join("link")).unwrap();
        for asked in ["", "a.csv", "gone/further"] {
            let content = read_at_most(&place.path().join(asked), 10);
            assert_eq!(names(&content), ["Data", "link", "zoo", "a.csv"], "{asked}");
            assert_eq!(content.folder, place.path().join(""), "{asked}");
            assert!(!content.is_cut && content.problem.is_none());
        }
    }

    #[test]
    fn of_a_large_folder_a_bounded_part_is_listed_and_the_rest_is_said_to_be_left_out() {
        let place = tempfile::tempdir().unwrap();
        for n in 0..12 {
            fs::write(place.path().join(n.to_string()), "").unwrap();
        }
        let content = read_at_most(place.path(), 10);
        assert_eq!((content.entries.len(), content.is_cut), (10, true));
        assert!(!read_at_most(place.path(), 12).is_cut);
    }
}
