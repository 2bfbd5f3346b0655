//! Where the lines of a log begin, however long it is: a sparse index of at most [`MAX_MARKS`] line starts (512 KiB),
//! spaced evenly in bytes, built piece by piece. A line between two marks is found by reading from the mark before it.
//!
//! A dropped part counts as one line. A line that a dropped part cuts is two lines.

use std::fs::File;
use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use super::holes::{Piece, data_ranges, next_piece, read_up_to};
use super::styled::{StyledText, styled_line};

/// The most marks. When there are more, every other one is dropped, and the distance doubles.
const MAX_MARKS: usize = 1 << 15;
/// The distance of marks in a short log.
const MIN_STRIDE: u64 = 256;
/// Bytes read at a time: few enough that they stay in the processor's cache, and that the allocator need not ask the
/// kernel for them each time.
pub(super) const PIECE: usize = 64 << 10;
/// Bytes that are read to show lines where none are counted yet.
const PART: usize = 256 << 10;
/// The most bytes of a line that are kept to be shown.
pub const MAX_ROW_BYTES: usize = 4 << 10;

/// The start of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its number, from 0.
    pub(super) line: u64,
    /// Its first byte.
    pub(super) offset: u64,
}

/// The index of one log.
#[derive(Debug)]
pub struct LineIndex {
    marks: Vec<Mark>,
    stride: u64,
    /// A line that begins here or later gets a mark.
    next_mark: u64,
    /// Everything before it is indexed.
    end: u64,
    /// Lines that have ended.
    n_ended: u64,
    /// Where the last line begins.
    last_start: u64,
    /// The dropped parts, exact to a block.
    holes: Vec<Range<u64>>,
}

/// A line to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRow {
    /// As a terminal would finally show it.
    Text {
        text: StyledText,
        /// Bytes at its end that are not shown: it is too long.
        n_cut: u64,
    },
    /// So many bytes were dropped here.
    Dropped(u64),
}

impl Default for LineIndex {
    fn default() -> Self {
        let first = Mark { line: 0, offset: 0 };
        Self {
            marks: vec![first],
            stride: MIN_STRIDE,
            next_mark: MIN_STRIDE,
            end: 0,
            n_ended: 0,
            last_start: 0,
            holes: Vec::new(),
        }
    }
}

impl LineIndex {
    /// The lines up to [`Self::end`], with one that has not ended.
    pub fn n_lines(&self) -> u64 {
        self.n_ended + u64::from(self.last_start < self.end)
    }

    /// Everything before this byte is indexed.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Indexes on, up to about `max_bytes` of data, not beyond `log_len`. To be called until [`Self::end`] is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn extend(&mut self, file: &File, log_len: u64, max_bytes: u64) -> io::Result<()> {
        let mut budget = max_bytes;
        while budget > 0 {
            match next_piece(file, self.end, log_len, PIECE)? {
                None => break,
                Some(Piece::Data(bytes)) => {
                    budget = budget.saturating_sub(bytes.len() as u64);
                    self.add_bytes(&bytes);
                }
                Some(Piece::Dropped(n_bytes)) => self.add_gap(n_bytes),
            }
        }
        Ok(())
    }

    /// Goes back to before the first change, if the log became shorter or more of it was dropped. Returns whether it did.
    ///
    /// # Errors
    /// What the file system says.
    pub fn check(&mut self, file: &File, log_len: u64) -> io::Result<bool> {
        let holes = holes_of(file, log_len)?;
        let n_same = self.holes.iter().zip(&holes).take_while(|(old, new)| old == new).count();
        let changed =
            [self.holes.get(n_same), holes.get(n_same)].into_iter().flatten().map(|it| it.start).min();
        let has_shrunk = (log_len < self.end).then_some(0);
        self.holes = holes;
        let from = has_shrunk.or(changed).filter(|from| *from < self.end);
        if let Some(from) = from {
            // The mark itself may be the start of a part that was dropped before: one further back is sure.
            let n_kept = self.marks.partition_point(|mark| mark.offset < from).max(1);
            self.marks.truncate(n_kept);
            let last = self.marks[n_kept - 1];
            (self.end, self.last_start, self.n_ended) = (last.offset, last.offset, last.line);
            self.set_next_mark();
        }
        Ok(from.is_some())
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The distance of its marks in bytes.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            // Newlines before this one begin no marked line.
            let n_before = self.next_mark.saturating_sub(self.end + 1).min(rest.len() as u64) as usize;
            let (before, after) = rest.split_at(n_before);
            self.count(before);
            let Some(at) = memchr(b'\n', after) else {
                self.count(after);
                return;
            };
            let (line, after) = after.split_at(at + 1);
            self.count(line);
            self.push_mark();
            rest = after;
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        if let Some(last) = memrchr(b'\n', bytes) {
            self.n_ended += memchr_iter(b'\n', bytes).count() as u64;
            self.last_start = self.end + last as u64 + 1;
        }
        self.end += bytes.len() as u64;
    }

    fn add_gap(&mut self, n_bytes: u64) {
        if self.last_start < self.end {
            self.n_ended += 1;
            self.last_start = self.end;
        }
        self.push_mark();
        self.n_ended += 1;
        self.end += n_bytes;
        self.last_start = self.end;
        self.push_mark();
    }

    /// Marks the line that begins at the end.
    fn push_mark(&mut self) {
        let mark = Mark { line: self.n_ended, offset: self.end };
        if self.marks.last() != Some(&mark) {
            self.marks.push(mark);
        }
        if self.marks.len() > MAX_MARKS {
            let mut at = 0;
            self.marks.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.stride *= 2;
        }
        self.set_next_mark();
    }

    fn set_next_mark(&mut self) {
        self.next_mark = (self.end / self.stride + 1) * self.stride;
    }

    /// Reads the lines `wanted`, as far as they are indexed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn rows(&self, file: &File, wanted: Range<u64>) -> io::Result<Vec<LogRow>> {
        let wanted = wanted.start..wanted.end.min(self.n_lines());
        let mut rows = Vec::new();
        self.read_lines(file, wanted.clone(), |line, row| {
            if wanted.contains(&line) {
                rows.push(row);
            }
        })?;
        Ok(rows)
    }

    /// The line that the byte at `offset` is in; the last one beyond the end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn line_of(&self, file: &File, offset: u64) -> io::Result<u64> {
        let before = self.marks.partition_point(|mark| mark.offset <= offset).saturating_sub(1);
        let Mark { mut line, offset: mut at } = self.marks[before];
        let end = offset.min(self.end);
        while at < end {
            match next_piece(file, at, end, PIECE)? {
                // It lies in a dropped part, which is one line.
                None | Some(Piece::Dropped(_)) => break,
                Some(Piece::Data(bytes)) => {
                    line += memchr_iter(b'\n', &bytes).count() as u64;
                    at += bytes.len() as u64;
                }
            }
        }
        Ok(line.min(self.n_lines().saturating_sub(1)))
    }

    /// Reads from the mark before `wanted` to its end, and calls `found` with each line.
    fn read_lines(
        &self,
        file: &File,
        wanted: Range<u64>,
        mut found: impl FnMut(u64, LogRow),
    ) -> io::Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let first = self.marks.partition_point(|mark| mark.line <= wanted.start).saturating_sub(1);
        let Mark { mut line, offset: mut at } = self.marks[first];
        let mut open = OpenLine::at(at);
        while line < wanted.end {
            match next_piece(file, at, self.end, PIECE)? {
                None => {
                    if let Some(row) = open.end(at) {
                        found(line, row);
                    }
                    return Ok(());
                }
                Some(Piece::Dropped(n_bytes)) => {
                    if let Some(row) = open.end(at) {
                        found(line, row);
                        line += 1;
                    }
                    found(line, LogRow::Dropped(n_bytes));
                    line += 1;
                    at += n_bytes;
                    open = OpenLine::at(at);
                }
                Some(Piece::Data(bytes)) => {
                    let mut rest = &bytes[..];
                    while let Some(length) = memchr(b'\n', rest) {
                        open.add(&rest[..length]);
                        at += length as u64 + 1;
                        found(line, open.row(at - 1));
                        line += 1;
                        open = OpenLine::at(at);
                        rest = &rest[length + 1..];
                        if line >= wanted.end {
                            return Ok(());
                        }
                    }
                    open.add(rest);
                    at += rest.len() as u64;
                    // The rest of a line that is longer than the distance of marks need not be read.
                    if let Some(next) = self.mark_after(line, at) {
                        found(line, open.row(next.offset - 1));
                        (line, at) = (next.line, next.offset);
                        open = OpenLine::at(at);
                    }
                }
            }
        }
        Ok(())
    }

    /// The mark at the start of the line after `line`, if it is beyond `at`, where the line goes on, and no dropped part
    /// lies between.
    fn mark_after(&self, line: u64, at: u64) -> Option<Mark> {
        let next = *self.marks.get(self.marks.partition_point(|mark| mark.line <= line))?;
        let is_whole = !self.holes.iter().any(|hole| (at..next.offset + 1).contains(&hole.start));
        (next.line == line + 1 && next.offset > at && is_whole).then_some(next)
    }
}

/// A line while it is read.
struct OpenLine {
    start: u64,
    kept: Vec<u8>,
}

impl OpenLine {
    fn at(start: u64) -> Self {
        Self { start, kept: Vec::new() }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_ROW_BYTES - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The row of a line that ends before `end`; none if it is empty and only begins there.
    fn end(&self, end: u64) -> Option<LogRow> {
        (end > self.start).then(|| self.row(end))
    }

    fn row(&self, end: u64) -> LogRow {
        let n_cut = (end - self.start) - self.kept.len() as u64;
        // Cut within a character, it would seem broken.
        let n_whole = if n_cut == 0 { self.kept.len() } else { whole_chars(&self.kept) };
        let n_cut = n_cut + (self.kept.len() - n_whole) as u64;
        LogRow::Text { text: styled_line(&self.kept[..n_whole]), n_cut }
    }
}

/// The length without a character that is cut at the end.
fn whole_chars(bytes: &[u8]) -> usize {
    match std::str::from_utf8(&bytes[bytes.len().saturating_sub(4)..]) {
        Ok(_) => bytes.len(),
        Err(_) => {
            let n_torn = bytes.iter().rev().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count();
            let lead = bytes.len().checked_sub(n_torn + 1).map(|at| bytes[at]);
            if lead.is_some_and(|byte| byte >= 0xc0) { bytes.len() - n_torn - 1 } else { bytes.len() }
        }
    }
}

/// About the lines from the byte `from` on: a log that is not indexed so far. A line that begins before it is not among
/// them.
///
/// # Errors
/// What the file system says.
pub fn rows_from(file: &File, from: u64, log_len: u64, n_rows: u64) -> io::Result<Vec<LogRow>> {
    let bytes = read_up_to(file, from, PART.min((log_len - from.min(log_len)) as usize))?;
    let start = if from == 0 { 0 } else { memchr(b'\n', &bytes).map_or(0, |at| at + 1) };
    let mut of_part = LineIndex::default();
    of_part.marks[0].offset = from + start as u64;
    (of_part.end, of_part.last_start) = (from + start as u64, from + start as u64);
    of_part.extend(file, log_len, PART as u64)?;
    of_part.rows(file, 0..n_rows)
}

/// About the last `n_rows` lines of a log that is not indexed so far, if they are not too long.
///
/// # Errors
/// What the file system says.
pub fn rows_before_end(file: &File, log_len: u64, n_rows: u64) -> io::Result<Vec<LogRow>> {
    let from = log_len.saturating_sub((PART / 2) as u64);
    let mut rows = rows_from(file, from, log_len, u64::MAX)?;
    rows.drain(..rows.len().saturating_sub(n_rows as usize));
    Ok(rows)
}

/// The dropped parts.
fn holes_of(file: &File, log_len: u64) -> io::Result<Vec<Range<u64>>> {
    let kept = data_ranges(file, log_len)?;
    let starts = std::iter::once(0).chain(kept.iter().map(|range| range.end));
    let ends = kept.iter().map(|range| range.start).chain([log_len]);
    Ok(starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::holes::tests::{file_with, punch};
    use super::*;

    fn index(file: &File) -> LineIndex {
        let mut index = LineIndex::default();
        let log_len = file.metadata().unwrap().len();
        index.check(file, log_len).unwrap();
        while index.end() < log_len {
            index.extend(file, log_len, 100_000).unwrap();
        }
        index
    }

    fn texts(rows: &[LogRow]) -> Vec<String> {
        let text = |row: &LogRow| match row {
            LogRow::Text { text, n_cut: 0 } => text.text.clone(),
            LogRow::Text { text, n_cut } => format!("{} bytes and {n_cut}", text.text.len()),
            LogRow::Dropped(n_bytes) => format!("dropped {n_bytes}"),
        };
        rows.iter().map(text).collect()
    }

    #[test]
    fn every_line_is_found_by_its_number_whether_it_has_a_mark_or_not() {
        let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        let file = file_with(text.as_bytes());
        let index = index(&file);
        assert_eq!(index.n_lines(), 100_000);
        for first in [0, 1, 777, 50_000, 99_998] {
            let expected = [format!("line {first}"), format!("line {}", first + 1)];
            assert_eq!(texts(&index.rows(&file, first..first + 2).unwrap()), expected);
        }
        assert_eq!(texts(&index.rows(&file, 99_999..200_000).unwrap()), ["line 99999"]);
        assert!(index.rows(&file, 100_000..100_010).unwrap().is_empty());
    }

    #[test]
    fn the_index_stays_small_and_right_when_marks_are_thinned_out() {
        let n_lines = 3_000_000;
        let text: String = (0..n_lines).map(|n| format!("{n}\n")).collect();
        let file = file_with(text.as_bytes());
        let index = index(&file);
        assert!(index.marks.len() <= MAX_MARKS && index.stride > MIN_STRIDE, "{}", index.marks.len());
        assert_eq!(index.n_lines(), n_lines);
        for line in [0, 1_234_567, n_lines - 1] {
            assert_eq!(texts(&index.rows(&file, line..line + 1).unwrap()), [line.to_string()]);
        }
    }

    #[test]
    fn a_very_long_line_is_cut_and_the_line_after_it_is_found_without_reading_it() {
        let mut bytes = b"before\n".to_vec();
        bytes.extend(std::iter::repeat_n("ä".as_bytes(), 1_500_000).flatten());
        bytes.extend(b"\nafter\nlast");
        let file = file_with(&bytes);
        let index = index(&file);
        assert_eq!(index.n_lines(), 4);
        let rows = texts(&index.rows(&file, 0..4).unwrap());
        assert_eq!(rows, ["before", "4096 bytes and 2995904", "after", "last"]);
    }

    #[test]
    fn a_log_that_grows_is_indexed_on_and_its_last_line_counts_once() {
        let mut file = file_with(b"one\ntwo");
        let mut index = index(&file);
        assert_eq!(texts(&index.rows(&file, 0..9).unwrap()), ["one", "two"]);
        file.write_all(b" and more\nthree\n").unwrap();
        let log_len = file.metadata().unwrap().len();
        assert!(!index.check(&file, log_len).unwrap());
        index.extend(&file, log_len, 1 << 20).unwrap();
        assert_eq!(texts(&index.rows(&file, 0..9).unwrap()), ["one", "two and more", "three"]);
    }

    #[test]
    fn a_dropped_part_is_a_line_and_what_is_dropped_later_is_noticed() {
        let text: String = (0..100_000).map(|n| format!("line {n:6}\n")).collect();
        let file = file_with(text.as_bytes());
        let mut index = index(&file);
        punch(&file, 65_536..131_072);
        let log_len = text.len() as u64;
        assert!(index.check(&file, log_len).unwrap());
        index.extend(&file, log_len, 2 << 20).unwrap();
        // 5461 whole lines of 12 bytes, 4 bytes, the gap, 4 bytes, and the lines from 10923 on.
        assert_eq!(index.n_lines(), 5461 + 3 + (100_000 - 10_923));
        let rows = texts(&index.rows(&file, 5460..5465).unwrap());
        assert_eq!(rows, ["line   5460", "line", "dropped 65536", "922", "line  10923"]);
        assert!(!index.check(&file, log_len).unwrap());
    }

    #[test]
    fn a_log_that_became_shorter_is_indexed_again() {
        let file = file_with(b"one\ntwo\nthree\n");
        let mut index = index(&file);
        file.set_len(4).unwrap();
        assert!(index.check(&file, 4).unwrap());
        index.extend(&file, 4, 100).unwrap();
        assert_eq!(texts(&index.rows(&file, 0..9).unwrap()), ["one"]);
    }

    #[test]
    fn lines_near_a_place_are_read_before_the_log_is_indexed_so_far() {
        let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        let file = file_with(text.as_bytes());
        let log_len = text.len() as u64;
        let rows = texts(&rows_from(&file, 100_000, log_len, 2).unwrap());
        assert!(text.contains(&format!("\n{}\n{}\n", rows[0], rows[1])), "{rows:?}");
        assert_eq!(texts(&rows_before_end(&file, log_len, 2).unwrap()), ["line 99998", "line 99999"]);
        assert_eq!(texts(&rows_from(&file, 0, log_len, 1).unwrap()), ["line 0"]);
    }
}
