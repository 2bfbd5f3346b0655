//! Problems of a file: what is wrong, where, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::nearest::nearest;

/// One problem of a file that people write. It is shown as `file:line:column: message`, which editors and terminals turn into a
/// link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its path, as it was given.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong and what to do about it, in one line.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// The time to find the nearest name grows with the number of names, so only the first problems of a file get a
/// suggestion.
const MAX_SUGGESTIONS: usize = 50;

/// Collects the problems of one file, by byte offset, while it is read.
pub(crate) struct Problems<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
    suggestions: usize,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new(), suggestions: 0 }
    }

    /// Notes a problem at a byte offset of the text.
    pub(crate) fn add(&mut self, at: usize, message: impl Into<String>) {
        self.found.push((at, message.into()));
    }

    /// `; did you mean …?` for the name nearest to `wrong`; empty when none is near.
    pub(crate) fn did_you_mean<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> String {
        self.nearest(wrong, names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
    }

    /// The name nearest to `wrong`, within the limit of suggestions.
    pub(crate) fn nearest<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions += 1;
        if self.suggestions > MAX_SUGGESTIONS { None } else { nearest(wrong, names) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// All problems without duplicates, in the order of the text. Takes one pass over the text.
    pub(crate) fn into_diagnostics(mut self, file: &Path) -> Vec<Diagnostic> {
        self.found.sort();
        self.found.dedup();
        let mut letters = self.text.char_indices().peekable();
        let (mut line, mut column) = (1, 1);
        let diagnose = |(at, message)| {
            while let Some((_, letter)) = letters.next_if(|(offset, _)| *offset < at) {
                (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            Diagnostic { file: file.to_owned(), line, column, message }
        };
        self.found.into_iter().map(diagnose).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters() {
        let mut problems = Problems::new("a = 1\näö = 2\n");
        problems.add("a = 1\näö ".len(), "here");
        problems.add(10_000, "past the end");
        let shown: Vec<String> =
            problems.into_diagnostics(Path::new("x.toml")).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["x.toml:2:4: here", "x.toml:3:1: past the end"]);
    }
}
