//! Output of the verbs: results go to standard output, everything else to standard error. Tables, times and sizes are
//! for people, JSON is for programs.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use chrono::{DateTime, Local, TimeDelta, Utc};
use serde::Serialize;

use super::exit::Failure;
use crate::diagnostics::{Listening, listen};
use crate::run::{RunState, StepState};
use crate::store::DataDir;

/// Whether output is for people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Tables and sentences.
    Text,
    /// One document, or for streams one on each line.
    Json,
}

impl Form {
    /// Prints `value` as one JSON document, or what `text` prints of it.
    pub(super) fn print(
        self,
        value: &impl Serialize,
        text: impl FnOnce(&mut Page) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut page = Page::new();
        match self {
            Self::Json => page.document(value)?,
            Self::Text => text(&mut page)?,
        }
        page.flush()
    }
}

/// Standard output: buffered, and flushed by [`Page::end`].
pub(super) struct Page {
    stdout: BufWriter<Stdout>,
    colours: Colours,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

/// The colours by their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Good,
    Bad,
    Busy,
    Held,
    Faint,
}

impl Colours {
    /// On for a terminal, unless `NO_COLOR` is set (<https://no-color.org>) or the terminal has no colours.
    pub(super) fn of_terminal(terminal: &impl IsTerminal) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if moves_cursor(terminal) && !is_set("NO_COLOR") { Self::On } else { Self::Off }
    }

    /// Marks `text` with a colour. [`for_terminal`] turns the marks into escape sequences.
    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        let mark = match (self, colour) {
            (Self::Off, _) | (Self::On, Colour::Plain) => return text.to_owned(),
            (Self::On, Colour::Good) => '\u{fdd1}',
            (Self::On, Colour::Bad) => '\u{fdd2}',
            (Self::On, Colour::Busy) => '\u{fdd3}',
            (Self::On, Colour::Held) => '\u{fdd4}',
            (Self::On, Colour::Faint) => '\u{fdd5}',
        };
        format!("{mark}{text}{PLAIN}")
    }
}

/// The mark that ends a colour. Marks stand for our own escape sequences in a text. They are noncharacters, which
/// Unicode reserves for internal use.
const PLAIN: char = '\u{fdd0}';

/// The escape sequence of a mark; none for any other character.
const fn sequence_of(mark: char) -> Option<&'static str> {
    Some(match mark {
        PLAIN => "\x1b[0m",
        '\u{fdd1}' => "\x1b[32m",
        '\u{fdd2}' => "\x1b[31m",
        '\u{fdd3}' => "\x1b[36m",
        '\u{fdd4}' => "\x1b[33m",
        '\u{fdd5}' => "\x1b[2m",
        _ => return None,
    })
}

/// Whether it is a terminal whose cursor can be moved: `TERM` is set and not `dumb`.
pub(super) fn moves_cursor(terminal: &impl IsTerminal) -> bool {
    terminal.is_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Prepares a text for a terminal; every text for people goes through here. Text from outside (names and paths of
/// files, output of steps) may contain characters that move the cursor, set a title or change the direction of reading.
/// Each of them is replaced by a visible sign. Line ends and tabs stay, and our own colours if they are on. JSON does
/// not go through here, and stays exact.
pub(super) fn for_terminal(text: &str, colours: Colours) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match (c, sequence_of(c)) {
            (_, Some(sequence)) if colours == Colours::On => shown.push_str(sequence),
            (_, Some(_)) => {}
            ('\n' | '\t', None) => shown.push(c),
            (c, None) => shown.push(sign_for(c)),
        }
    }
    shown
}

/// The visible sign for a character that would control a terminal; any other character stays.
fn sign_for(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        // The controls of ISO 6429, marks and embeddings of bidirectional text, and other line separators.
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

impl Page {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let colours = Colours::of_terminal(&stdout);
        Self { stdout: BufWriter::new(stdout), colours }
    }

    pub(super) fn colours(&self) -> Colours {
        self.colours
    }

    /// Whether standard output is a terminal.
    pub(super) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Prints a line for people, through [`for_terminal`].
    pub(super) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{}", for_terminal(&text.to_string(), self.colours))?)
    }

    /// Prints bytes unchanged: a log, say, which may contain colours on purpose.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// Prints one JSON document, indented.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.stdout, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Prints one JSON document on one line, as part of a stream.
    pub(super) fn document_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Prints rows under headings, each column as wide as its widest cell. The last column is not padded.
    pub(super) fn table(&mut self, headings: &[&str], rows: &[Vec<Cell>]) -> Result<(), Failure> {
        let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let headings: Vec<_> = headings.iter().map(|heading| Cell::of(Colour::Faint, *heading)).collect();
        for row in std::iter::once(&headings).chain(rows) {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = " ".repeat(width - cell.text.chars().count());
                let text = self.colours.paint(cell.colour, &cell.text);
                let is_last = i + 1 == row.len();
                match (cell.align, is_last) {
                    (Align::Left, true) => line.push_str(&text),
                    (Align::Left, false) => line.extend([text.as_str(), &gap, "  "]),
                    (Align::Right, true) => line.extend([gap.as_str(), &text]),
                    (Align::Right, false) => line.extend([gap.as_str(), &text, "  "]),
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }

    /// Flushes the output, and returns the exit code.
    pub(super) fn end(mut self, code: u8) -> Result<u8, Failure> {
        self.flush()?;
        Ok(code)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A cell of a table.
pub(super) struct Cell {
    colour: Colour,
    align: Align,
    text: String,
}

impl Cell {
    pub(super) fn of(colour: Colour, text: impl AsRef<str>) -> Self {
        Self { colour, align: Align::Left, text: printable(text.as_ref()) }
    }

    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::of(Colour::Plain, text)
    }

    /// A number, aligned to the right.
    pub(super) fn figure(text: impl AsRef<str>) -> Self {
        Self { align: Align::Right, ..Self::plain(text) }
    }

    pub(super) fn run(state: RunState) -> Self {
        let (colour, glyph) = run_sign(state);
        Self::of(colour, format!("{glyph} {state}"))
    }

    pub(super) fn step(state: StepState) -> Self {
        let (colour, glyph) = step_sign(state);
        Self::of(colour, format!("{glyph} {state}"))
    }
}

/// Prints one line to standard error, for text that is not a result.
pub(super) fn note(text: impl Display) {
    let text = for_terminal(&text.to_string(), Colours::Off);
    // If standard error can't be written, there is no other place for it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints that `LEVERFRAME_LOG` is ignored, if it was not understood.
pub(super) fn say_ignored(installed: Result<(), String>) {
    if let Err(why) = installed {
        note(format_args!("leverframe: {why}"));
    }
}

/// Prints the warnings about a data directory, until the returned value is dropped.
pub(super) fn show_warnings(dir: &DataDir) -> Listening {
    listen(dir.path(), |text| note(format_args!("leverframe: {text}")))
}

/// Colour and glyph of a run's state.
pub(super) const fn run_sign(state: RunState) -> (Colour, &'static str) {
    match state {
        RunState::Queued => (Colour::Faint, "◌"),
        RunState::Running => (Colour::Busy, "▶"),
        RunState::Paused => (Colour::Held, "‖"),
        RunState::Stopping => (Colour::Held, "◐"),
        RunState::Stopped | RunState::ForceStopped => (Colour::Held, "■"),
        RunState::Completed => (Colour::Good, "✔"),
        RunState::Failed => (Colour::Bad, "✖"),
        RunState::Interrupted => (Colour::Bad, "↯"),
    }
}

/// Colour and glyph of a step's state.
pub(super) const fn step_sign(state: StepState) -> (Colour, &'static str) {
    match state {
        StepState::Pending => (Colour::Faint, "·"),
        StepState::Waiting => (Colour::Faint, "◌"),
        StepState::Running => (Colour::Busy, "▶"),
        StepState::Paused => (Colour::Held, "‖"),
        StepState::Completed => (Colour::Good, "✔"),
        StepState::Failed => (Colour::Bad, "✖"),
        StepState::Skipped => (Colour::Faint, "↷"),
        StepState::Stopped => (Colour::Held, "■"),
        StepState::Interrupted => (Colour::Bad, "↯"),
    }
}

/// A text on one line, without colours and with signs for control characters.
pub(super) fn printable(text: &str) -> String {
    let shown = |c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { sign_for(c) };
    text.chars().filter(|c| sequence_of(*c).is_none()).map(shown).collect()
}

/// An instant as local time of day: `12:00:03`.
pub(super) fn clock_time(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%H:%M:%S").to_string()
}

/// An instant in the machine's zone: `2026-11-23 12:00:03`.
pub(super) fn local_time(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago an instant was: `5 min ago`.
pub(super) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    match seconds {
        ..0 => local_time(at),
        0..10 => "just now".to_owned(),
        10..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".to_owned(),
        172_800..2_592_000 => format!("{} days ago", seconds / 86_400),
        _ => at.with_timezone(&Local).format("%Y-%m-%d").to_string(),
    }
}

/// A span of time: `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 07 min`, `3 d 04 h`.
pub(super) fn span(ms: i64) -> String {
    let (ms, s) = (ms.max(0), ms.max(0) / 1000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", s, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", s / 60, s % 60),
        3_600_000..86_400_000 => format!("{} h {:02} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {:02} h", s / 86_400, s / 3600 % 24),
    }
}

/// The time between two instants, or until `now` if it has not ended.
pub(super) fn span_between(from: DateTime<Utc>, to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    span((to.unwrap_or(now) - from).num_milliseconds())
}

/// A duration.
pub(super) fn taken(time: TimeDelta) -> String {
    span(time.num_milliseconds())
}

/// A size: `12.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 run`, `2 runs`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_readable() {
        let spans = [0, 999, 1000, 12_340, 245_000, 7_620_000, 273_600_000].map(span);
        assert_eq!(spans, ["0 ms", "999 ms", "1.0 s", "12.3 s", "4 min 05 s", "2 h 07 min", "3 d 04 h"]);
        assert_eq!([10, 1024, 12_900_000].map(size), ["10 B", "1.0 KiB", "12.3 MiB"]);
    }

    #[test]
    fn recent_instants_are_shown_as_a_time_ago() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let shown = |seconds: i64| ago(now - chrono::TimeDelta::seconds(seconds), now);
        assert_eq!(
            [3, 30, 90, 7300, 100_000, 300_000].map(shown),
            ["just now", "30 s ago", "1 min ago", "2 h ago", "yesterday", "3 days ago"]
        );
    }

    #[test]
    fn what_a_step_says_moves_no_cursor() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a␛[2Jb c");
        let evil = "a\x1b]0;t\x07b\u{202e}c\u{9b}2J\td\re\u{2066}\u{7f}\nf";
        let shown = "a␛]0;t␇b\u{fffd}c\u{fffd}2J\td␍e\u{fffd}␡\nf";
        for colours in [Colours::On, Colours::Off] {
            assert_eq!(for_terminal(evil, colours), shown);
        }
    }

    #[test]
    fn our_own_colours_go_through_where_there_are_any() {
        let painted = format!("{} \x1b[31m", Colours::On.paint(Colour::Good, "well"));
        assert_eq!(for_terminal(&painted, Colours::On), "\x1b[32mwell\x1b[0m ␛[31m");
        assert_eq!(for_terminal(&painted, Colours::Off), "well ␛[31m");
        assert_eq!(printable(&painted), "well ␛[31m");
    }
}
