//! A golden file: titled sections of scrubbed text, compared as a whole.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use super::scrub::Scrub;
use crate::test_command_line::{Home, Said};

pub(super) struct Golden {
    name: &'static str,
    scrub: Scrub,
    text: String,
}

impl Golden {
    pub(super) fn new(name: &'static str, home: &Home) -> Self {
        Self { name, scrub: Scrub::of(home), text: String::new() }
    }

    pub(super) fn add(&mut self, title: &str, text: &str) {
        let (title, text) = (self.scrub.text(title), self.scrub.text(text));
        writeln!(self.text, "=== {title}\n{}\n", text.trim_end()).expect("it is a text");
    }

    /// JSON on one line, or on several, with its keys in the order in which they were printed.
    pub(super) fn add_json(&mut self, title: &str, text: &str) {
        let value = serde_json::from_str::<serde::de::IgnoredAny>(text);
        value.unwrap_or_else(|error| panic!("{title}: {error}: {text}"));
        self.add(title, &pretty(text));
    }

    /// What a command line printed, and its exit code.
    pub(super) fn add_said(&mut self, title: &str, said: &Said) {
        let mut text = format!("exit code {}\n", said.code);
        for (stream, said) in [("stdout", &said.out), ("stderr", &said.err)] {
            if !said.is_empty() {
                write!(text, "--- {stream}\n{said}").expect("it is a text");
            }
        }
        self.add(title, &text);
    }

    pub(super) fn check(self) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.name);
        if std::env::var_os("LEVERFRAME_GOLDEN").is_some_and(|word| word == "write") {
            fs::write(&path, self.text).expect("the golden file can be written");
            return;
        }
        let expected = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; LEVERFRAME_GOLDEN=write writes it", path.display()));
        if expected != self.text {
            panic!(
                "{} differs (-: expected, +: now); if that is meant, LEVERFRAME_GOLDEN=write writes it anew\n{}",
                path.display(),
                difference(&expected, &self.text)
            );
        }
    }
}

/// The lines that differ, section by section.
fn difference(expected: &str, now: &str) -> String {
    let sections = |text: &str| -> Vec<(String, String)> {
        let split = text.split("=== ").skip(1).map(|section| section.split_once('\n').expect("a title"));
        split.map(|(title, body)| (title.to_owned(), body.to_owned())).collect()
    };
    let (before, after) = (sections(expected), sections(now));
    let find = |among: &[(String, String)], title: &str| {
        among.iter().find(|(other, _)| other == title).map(|(_, body)| body.clone())
    };
    let mut titles: Vec<_> = before.iter().map(|(title, _)| title).collect();
    titles.extend(after.iter().map(|(title, _)| title).filter(|title| find(&before, title).is_none()));
    let mut shown = String::new();
    for title in titles {
        let (old, new) = (find(&before, title).unwrap_or_default(), find(&after, title).unwrap_or_default());
        if old != new {
            shown += &format!("=== {title}\n{}", lines_that_differ(&old, &new));
        }
    }
    if shown.is_empty() { "the order of its sections, or a title that comes twice".to_owned() } else { shown }
}

/// By the longest common subsequence of lines.
fn lines_that_differ(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let mut longest = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i][j] = if old[i] == new[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut shown) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            shown += &format!("  line {}: - {}\n", i + 1, old[i]);
            i += 1;
        } else {
            shown += &format!("  line {}: + {}\n", j + 1, new[j]);
            j += 1;
        }
    }
    shown
}

/// Valid JSON with one value a line.
pub(super) fn pretty(text: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut chars = text.trim().chars().filter(|c| *c != '\n').peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    out += &format!("\n{}", "  ".repeat(depth));
                }
            }
            '}' | ']' => {
                depth -= 1;
                out += &format!("\n{}{c}", "  ".repeat(depth));
            }
            ',' => out += &format!(",\n{}", "  ".repeat(depth)),
            ':' => out += ": ",
            ' ' => {}
            c => out.push(c),
        }
    }
    out
}
