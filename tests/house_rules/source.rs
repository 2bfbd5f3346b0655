//! Rust source as the rules see it: comments and literals blanked out, so that only code is judged, and told apart
//! by whether it is a test. No parser; what the rules need can be seen in the text.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// Everything that the rules judge.
pub(crate) struct House {
    pub(crate) sources: Vec<Source>,
    pub(crate) cargo_toml: String,
}

/// One `.rs` file.
pub(crate) struct Source {
    /// Within the crate, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and literals as spaces; offsets and lines are the same.
    pub(crate) code: String,
    test_spans: Vec<Range<usize>>,
}

/// One breach of one rule.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) path: String,
    pub(crate) line: usize,
    /// What, why, and what to do.
    pub(crate) text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

impl House {
    /// Reads the crate that is tested.
    pub(crate) fn open() -> Self {
        let root = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let mut sources = Vec::new();
        for folder in ["src", "tests", "benches", "examples"] {
            read_folder(&root, &root.join(folder), &mut sources);
        }
        assert!(sources.len() > 5, "there is no crate at {}", root.display());
        let cargo_toml = fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml can be read");
        Self { sources, cargo_toml }
    }

    /// A house of these files, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let sources = files.iter().map(|(path, text)| Source::new((*path).into(), (*text).into())).collect();
        Self { sources, cargo_toml: String::new() }
    }

    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.path == path)
    }
}

fn read_folder(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_folder(root, &path, sources);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let name = path.strip_prefix(root).expect("it lies below").to_string_lossy().replace('\\', "/");
            sources.push(Source::new(name, fs::read_to_string(&path).expect("source can be read")));
        }
    }
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Self {
        let code = blank(&text);
        let test_spans = test_spans(&code);
        Self { path, text, code, test_spans }
    }

    /// Where `needle` stands in the code as whole words.
    pub(crate) fn find<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(needle).map(|(at, _)| at).filter(move |at| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[at + needle.len()..].chars().next();
            let torn_before = needle.starts_with(is_word) && before.is_some_and(is_word);
            let torn_after = needle.ends_with(is_word) && after.is_some_and(is_word);
            !torn_before && !torn_after
        })
    }

    /// Where `needle` stands in code that is no test.
    pub(crate) fn find_in_program<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.find(needle).filter(|at| !self.is_test(*at))
    }

    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test_file() || self.test_spans.iter().any(|span| span.contains(&at))
    }

    pub(crate) fn is_test_file(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.starts_with("benches/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// From 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// Whether a comment stands on this line or one of the three above it.
    pub(crate) fn has_comment_near(&self, at: usize) -> bool {
        let line = self.line_of(at);
        let pairs = self.text.lines().zip(self.code.lines());
        pairs.skip(line.saturating_sub(4)).take(line.min(4)).any(|(text, code)| {
            text.find("//").is_some_and(|i| !code.is_char_boundary(i) || !code[i..].starts_with("//"))
        })
    }

    pub(crate) fn breach(&self, at: usize, text: impl Into<String>) -> Breach {
        Breach { path: self.path.clone(), line: self.line_of(at), text: text.into() }
    }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word at `at`; empty if none is there.
pub(crate) fn word_at(code: &str, at: usize) -> &str {
    let rest = &code[at..];
    &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
}

/// The offset after the bracket that closes the one at `open`.
pub(crate) fn after_bracket(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, c) in code[open..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return open + i + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn test_spans(code: &str) -> Vec<Range<usize>> {
    ["#[cfg(test)]", "#[cfg(all(test", "#[test]"]
        .iter()
        .flat_map(|mark| code.match_indices(mark))
        .map(|(at, mark)| {
            let body = code[at + mark.len()..].find(['{', ';']).map_or(code.len(), |i| at + mark.len() + i);
            at..if code[body..].starts_with('{') { after_bracket(code, body) } else { body }
        })
        .collect()
}

/// Replaces every byte of comments, strings and characters by a space; line breaks stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    // What is left of characters beyond ASCII stands in code, whole.
    String::from_utf8(out).expect("literals begin and end at characters")
}

/// The end of the comment or literal that begins at `at`; `at` if none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let find = |from: usize, needle: &[u8]| {
        bytes[from..].windows(needle.len()).position(|window| window == needle).map(|i| from + i)
    };
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return find(at, b"\n").unwrap_or(bytes.len());
    }
    if rest.starts_with(b"/*") {
        let (mut depth, mut i) = (0, at);
        while i < bytes.len() {
            match &bytes[i..(i + 2).min(bytes.len())] {
                b"/*" => (depth, i) = (depth + 1, i + 2),
                b"*/" if depth == 1 => return i + 2,
                b"*/" => (depth, i) = (depth - 1, i + 2),
                _ => i += 1,
            }
        }
        return bytes.len();
    }
    let n_prefix = [&b"br"[..], b"cr", b"r"].iter().find(|p| rest.starts_with(p)).map_or(0, |p| p.len());
    if n_prefix > 0 && !in_word {
        let n_hashes = rest[n_prefix..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(n_prefix + n_hashes) == Some(&b'"') {
            let mut close = vec![b'"'];
            close.resize(1 + n_hashes, b'#');
            let body = at + n_prefix + n_hashes + 1;
            return find(body, &close).map_or(bytes.len(), |i| i + close.len());
        }
    }
    if rest[0] == b'"' {
        return after_escaped(bytes, at + 1, b'"');
    }
    if rest[0] == b'\'' && rest.len() > 2 {
        let char_len = std::str::from_utf8(&rest[1..rest.len().min(5)])
            .or_else(|error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()]))
            .ok()
            .and_then(|s| s.chars().next())
            .map_or(1, char::len_utf8);
        if rest[1] == b'\\' {
            return after_escaped(bytes, at + 1, b'\'');
        }
        if rest.get(1 + char_len) == Some(&b'\'') {
            return at + char_len + 2;
        }
    }
    at
}

fn after_escaped(bytes: &[u8], from: usize, close: u8) -> usize {
    let mut i = from;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            byte if byte == close => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("x(\"a\\\"b\", 'c', '\\'', '→')", "x(      ,    ,     ,      )"),
            ("r#\"a\"b\"# + br\"c\" + var\"d\"", "         +       + var   "),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("\"ä\n\"", "   \n "),
        ] {
            assert_eq!(blank(text), code.replace('→', "   "), "{text}");
        }
    }

    #[test]
    fn tests_within_a_file_are_told_from_the_program() {
        let text = "fn a() { x() }\n#[cfg(test)]\nmod tests { fn b() { x() } }\nfn c() { x() }";
        let source = Source::new("src/a.rs".into(), text.into());
        let lines: Vec<_> = source.find_in_program("x(").map(|at| source.line_of(at)).collect();
        assert_eq!(lines, [1, 4]);
        assert!(Source::new("src/a/tests.rs".into(), String::new()).is_test_file());
    }

    #[test]
    fn words_are_found_whole() {
        let source = Source::new("src/a.rs".into(), "egui::x; egui_plot::y; my_egui::z".into());
        assert_eq!(source.find("egui").count(), 1);
    }
}
