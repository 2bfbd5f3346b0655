//! The picker of a path: the folder that it shows, the names that match, and the marked one. It paints nothing.

use std::path::PathBuf;

use crate::window::{FolderContent, FolderEntry};

/// An open picker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPicker {
    /// The parameter whose field it fills.
    pub(super) param: String,
    /// The folder that is shown, or a path in it.
    pub(super) asked: PathBuf,
    /// Only names that contain it are listed.
    pub(super) filter: String,
    /// The marked row.
    pub(super) marked: usize,
    /// Whether its field gets the keyboard in the next frame.
    pub(super) takes_focus: bool,
}

impl PathPicker {
    pub(super) fn new(param: &str, asked: PathBuf) -> Self {
        Self { param: param.to_owned(), asked, filter: String::new(), marked: 0, takes_focus: true }
    }

    /// The entries that match. Hidden ones are listed once a dot is typed first.
    pub(super) fn matching<'a>(&self, content: &'a FolderContent) -> Vec<&'a FolderEntry> {
        let wanted = self.filter.trim().to_lowercase();
        let is_listed = |entry: &&FolderEntry| {
            (wanted.starts_with('.') || !entry.name.starts_with('.'))
                && entry.name.to_lowercase().contains(&wanted)
        };
        content.entries.iter().filter(is_listed).collect()
    }

    /// Shows another folder.
    pub(super) fn look_into(&mut self, folder: PathBuf) {
        (self.asked, self.marked) = (folder, 0);
        self.filter.clear();
    }

    /// Takes an entry: looks into a folder, and returns the path of a file.
    pub(super) fn take(&mut self, content: &FolderContent, entry: &FolderEntry) -> Option<PathBuf> {
        let path = content.folder.join(&entry.name);
        if entry.is_folder {
            self.look_into(path);
            return None;
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> FolderContent {
        let entry = |name: &str, is_folder| FolderEntry { name: name.to_owned(), is_folder };
        let entries = vec![entry(".git", true), entry("Data", true), entry("data.csv", false)];
        FolderContent { folder: "/home/ada".into(), entries, is_cut: false, problem: None }
    }

    #[test]
    fn names_are_found_in_either_case_and_hidden_ones_by_a_dot() {
        let mut picker = PathPicker::new("out", "/home/ada".into());
        for (filter, names) in
            [("", vec!["Data", "data.csv"]), ("CSV", vec!["data.csv"]), (".g", vec![".git"])]
        {
            picker.filter = filter.to_owned();
            let content = content();
            let found: Vec<_> = picker.matching(&content).iter().map(|entry| &*entry.name).collect();
            assert_eq!(found, names, "{filter}");
        }
    }

    #[test]
    fn a_folder_is_looked_into_and_a_file_is_the_path() {
        let (mut picker, content) = (PathPicker::new("out", "/home/ada".into()), content());
        picker.filter = "data".to_owned();
        assert_eq!(picker.take(&content, &content.entries[2]), Some("/home/ada/data.csv".into()));
        assert_eq!(picker.take(&content, &content.entries[1]), None);
        assert_eq!((picker.asked, picker.filter), ("/home/ada/Data".into(), String::new()));
    }
}
