//! What varies from run to run or from machine to machine, replaced by placeholders that keep its type visible.

use crate::support::PROGRAM;
use crate::test_command_line::Home;

/// Keys whose numbers vary. What may be unknown (a figure of a process that was too short to be measured) is the same
/// placeholder with a number and with null.
const NUMBERS: &[(&str, &str)] = &[
    ("pid", "<int or null>"),
    ("epoch", "<int>"),
    ("seq", "<int>"),
    ("uptime_seconds", "<int>"),
    ("n_cpus", "<int>"),
    ("n_processes", "<int>"),
    ("processes", "<int>"),
    ("cpu_fraction", "<float or null>"),
    (MAYBE_UNKNOWN, "<int, spread or null>"),
    ("median", "<number or null>"),
    ("p95", "<number or null>"),
    ("frozen_seconds", "<number or null>"),
    ("worked_seconds", "<number or null>"),
];

/// Null where the step's process could not be made by the spawner; in `stats` a spread of lines or a null.
const MAYBE_UNKNOWN: &str = "peak_rss_bytes";

/// Ends of keys whose numbers vary.
const ENDINGS: &[(&str, &str)] = &[
    ("_ms", "<number or null>"),
    ("_bytes", "<int or null>"),
    ("_per_s", "<number or null>"),
    ("cpu_seconds", "<number or null>"),
    ("elapsed_seconds", "<number or null>"),
    ("duration_seconds", "<number or null>"),
    ("remaining_seconds", "<number or null>"),
    ("active_seconds", "<number or null>"),
    ("rss_source", "<word or null>"),
];

/// What is replaced in the texts of one home.
pub(super) struct Scrub {
    names: Vec<(String, &'static str)>,
}

impl Scrub {
    pub(super) fn of(home: &Home) -> Self {
        let folder = home.folder();
        let real = folder.canonicalize().expect("it is there");
        let name = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let names = vec![
            (name(&real), "<home>"),
            (name(&folder), "<home>"),
            (PROGRAM.to_owned(), "<program>"),
            (env!("CARGO_PKG_VERSION").to_owned(), "<version>"),
        ];
        Self { names }
    }

    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, placeholder) in &self.names {
            text = text.replace(name, placeholder);
        }
        let mut lines = text.lines();
        let mut scrubbed = String::new();
        while let Some(line) = lines.next() {
            let key = line.trim_start().strip_prefix('"').and_then(|rest| rest.split_once("\": "));
            let is_spread = key.is_some_and(|(key, value)| key == MAYBE_UNKNOWN && value == "{");
            let last = if is_spread { lines.find(|line| line.trim_start().starts_with('}')) } else { None };
            let line = match last {
                Some(last) => line.replace('{', &last.trim_start().replace('}', "0")),
                None => line.to_owned(),
            };
            scrubbed += &tokens(&number(&line));
            scrubbed.push('\n');
        }
        scrubbed
    }
}

/// A line of JSON such as `"pid": 7,`, its varying number replaced.
fn number(line: &str) -> String {
    let key = line.trim_start().strip_prefix('"').and_then(|rest| rest.split_once("\": "));
    let Some((key, value)) = key else { return line.to_owned() };
    let exact = NUMBERS.iter().find(|(name, _)| *name == key);
    let placeholder = exact.or_else(|| ENDINGS.iter().find(|(ending, _)| key.ends_with(ending)));
    let Some((_, placeholder)) = placeholder else { return line.to_owned() };
    if value.starts_with(['{', '[']) {
        return line.to_owned();
    }
    let start = &line[..line.len() - value.len()];
    format!("{start}{placeholder}{}", if value.ends_with(',') { "," } else { "" })
}

/// Shapes of instants (0 is a digit), the longer ones first.
const INSTANTS: &[&str] = &[
    "0000-00-00T00:00:00.000000000Z",
    "0000-00-00T00:00:00.000000Z",
    "0000-00-00T00:00:00.000Z",
    "0000-00-00T00:00:00+00:00",
    "0000-00-00T00:00:00Z",
    "0000-00-00 00:00:00",
    "0000-00-00 00:00",
    "0000-00-00",
    "-00000000000000",
];

/// Times, wherever they stand in a line.
fn tokens(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        let shape = INSTANTS.iter().find(|shape| has_shape(rest, shape));
        if let Some(shape) = shape {
            // The stamp in the name of a run stands behind a hyphen.
            out += if shape.starts_with('-') { "-<time>" } else { "<time>" };
            rest = &rest[shape.len()..];
        } else if let Some(word) = ["pid ", "process "]
            .into_iter()
            .find(|word| rest.strip_prefix(word).is_some_and(|rest| has_shape(rest, "0")))
        {
            out += word;
            out += "<int>";
            rest = rest[word.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn has_shape(text: &str, shape: &str) -> bool {
    let matches = |(c, s): (u8, u8)| if s == b'0' { c.is_ascii_digit() } else { c == s };
    text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(matches)
}
