//! Finds the lines of a log that contain a text, streaming: counts them between the marks of its [`LineIndex`], so that
//! however many there are, memory stays bounded and each can be found again.

use std::fs::File;
use std::io;
use std::ops::Range;

use memchr::memchr;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;

use super::holes::{Piece, next_piece};
use super::line_index::{LineIndex, Mark, PIECE};

/// Into how many parts the places of hits are counted.
pub const N_PLACES: usize = 400;

/// A search through one log, as far as it is indexed. Without capital letters in the text, capital letters of the log
/// (ASCII) match too.
#[derive(Debug)]
pub struct LogSearch {
    text: Box<[u8]>,
    matcher: Regex,
    /// Lines that match, for each mark up to the next.
    counts: Vec<u32>,
    n_hits: u64,
    at: u64,
    /// The end of the open line that a match may begin in.
    carry: Vec<u8>,
    /// Whether the open line was counted.
    is_counted: bool,
}

/// A line that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHit {
    /// The number of the line, from 0.
    pub line: u64,
    /// Which hit it is, from 0.
    pub ordinal: u64,
}

impl LogSearch {
    /// A search for `text`; none if it is empty or too long to be searched for.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        // Without letters there is no case to ignore, which is faster.
        let ignores_case =
            text.contains(|c: char| c.is_ascii_lowercase()) && !text.contains(char::is_uppercase);
        // A regular expression of nothing but the text finds it by the machine's wide registers, in capitals too.
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        let config = Config::new().utf8_empty(false);
        let expression = expression(text, ignores_case);
        let matcher = Regex::builder().syntax(syntax).configure(config).build(&expression).ok()?;
        Some(Self {
            text: text.as_bytes().into(),
            matcher,
            counts: Vec::new(),
            n_hits: 0,
            at: 0,
            carry: Vec::new(),
            is_counted: false,
        })
    }

    /// The lines that match so far.
    pub fn n_hits(&self) -> u64 {
        self.n_hits
    }

    /// Everything before this byte is searched.
    pub fn end(&self) -> u64 {
        self.at
    }

    /// Begins anew: the log is not what it was, or its marks are not.
    pub fn restart(&mut self) {
        self.counts.clear();
        self.carry.clear();
        (self.n_hits, self.at, self.is_counted) = (0, 0, false);
    }

    /// Searches on, up to about `max_bytes`. To be called until [`Self::end`] is the index's end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn extend(&mut self, file: &File, index: &LineIndex, max_bytes: u64) -> io::Result<()> {
        let mut budget = max_bytes;
        while budget > 0 {
            match next_piece(file, self.at, index.end(), PIECE)? {
                None => break,
                Some(Piece::Dropped(n_bytes)) => {
                    self.end_line();
                    self.at += n_bytes;
                }
                Some(Piece::Data(bytes)) => {
                    budget = budget.saturating_sub(bytes.len() as u64);
                    self.add_bytes(&bytes, index.marks());
                }
            }
        }
        Ok(())
    }

    fn add_bytes(&mut self, bytes: &[u8], marks: &[Mark]) {
        // Matches across the border of pieces are found with the end of the piece before.
        let carry = std::mem::take(&mut self.carry);
        let n_carried = carry.len();
        let joined = [&carry[..], bytes].concat();
        let start = self.at - n_carried as u64;
        let mut from = 0;
        let mut segment = marks.partition_point(|mark| mark.offset <= start).saturating_sub(1);
        if self.is_counted {
            from = memchr(b'\n', &joined).map_or(joined.len(), |end| end + 1);
            self.is_counted = from == joined.len() && !joined.ends_with(b"\n");
        }
        while from < joined.len() {
            let Some(found) = self.matcher.find(&joined[from..]) else { break };
            let hit = from + found.start();
            while marks.get(segment + 1).is_some_and(|mark| mark.offset <= start + hit as u64) {
                segment += 1;
            }
            self.count(segment);
            match memchr(b'\n', &joined[hit..]) {
                Some(end) => from = hit + end + 1,
                None => {
                    self.is_counted = true;
                    from = joined.len();
                }
            }
        }
        self.at += bytes.len() as u64;
        if !self.is_counted {
            let n_open =
                joined.iter().rev().take(self.text.len() - 1).take_while(|byte| **byte != b'\n').count();
            self.carry = joined[joined.len() - n_open..].to_vec();
        }
    }

    fn end_line(&mut self) {
        self.carry.clear();
        self.is_counted = false;
    }

    fn count(&mut self, segment: usize) {
        if self.counts.len() <= segment {
            self.counts.resize(segment + 1, 0);
        }
        self.counts[segment] += 1;
        self.n_hits += 1;
    }

    /// Where hits are: for each of [`N_PLACES`] equal parts of the log's lines, whether one of them matches.
    pub fn places(&self, index: &LineIndex) -> Vec<bool> {
        let mut places = vec![false; N_PLACES];
        let n_lines = index.n_lines().max(1);
        let marks = index.marks();
        for (segment, _) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let Some(mark) = marks.get(segment) else { break };
            let end = marks.get(segment + 1).map_or(n_lines, |next| next.line);
            let middle = (mark.line + end) / 2;
            let at = middle as u128 * N_PLACES as u128 / u128::from(n_lines);
            places[(at as usize).min(N_PLACES - 1)] = true;
        }
        places
    }

    /// The first hit after `line`, or from the start if there is none; none without hits.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next(&self, file: &File, index: &LineIndex, line: Option<u64>) -> io::Result<Option<LogHit>> {
        let first = line.map_or(0, |line| segment_of(index, line));
        let found = self.first_in(file, index, first, |hit| line.is_none_or(|line| hit > line))?;
        if found.is_some() { Ok(found) } else { self.first_in(file, index, 0, |_| true) }
    }

    /// The last hit before `line`, or from the end if there is none; none without hits.
    ///
    /// # Errors
    /// What the file system says.
    pub fn previous(&self, file: &File, index: &LineIndex, line: Option<u64>) -> io::Result<Option<LogHit>> {
        let last = line.map_or(usize::MAX, |line| segment_of(index, line));
        let found = self.last_in(file, index, last, |hit| line.is_none_or(|line| hit < line))?;
        if found.is_some() { Ok(found) } else { self.last_in(file, index, usize::MAX, |_| true) }
    }

    /// The lines of the hits `wanted`, counted from 0, as far as they are found.
    ///
    /// # Errors
    /// What the file system says.
    pub fn lines(&self, file: &File, index: &LineIndex, wanted: Range<u64>) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        let mut n_before = 0;
        for (segment, count) in self.counts.iter().enumerate() {
            let hits = n_before..n_before + u64::from(*count);
            if hits.start >= wanted.end {
                break;
            }
            if *count > 0 && hits.end > wanted.start {
                let lines = self.lines_in(file, index, segment)?;
                let inside = hits.clone().zip(lines).filter(|(hit, _)| wanted.contains(hit));
                found.extend(inside.map(|(_, line)| line));
            }
            n_before = hits.end;
        }
        Ok(found)
    }

    fn first_in(
        &self,
        file: &File,
        index: &LineIndex,
        first: usize,
        is_wanted: impl Fn(u64) -> bool,
    ) -> io::Result<Option<LogHit>> {
        let mut n_before: u64 = self.counts.iter().take(first).map(|count| u64::from(*count)).sum();
        for segment in first..self.counts.len() {
            let count = self.counts[segment];
            if count > 0 {
                let lines = self.lines_in(file, index, segment)?;
                if let Some(at) = lines.iter().position(|line| is_wanted(*line)) {
                    return Ok(Some(LogHit { line: lines[at], ordinal: n_before + at as u64 }));
                }
            }
            n_before += u64::from(count);
        }
        Ok(None)
    }

    fn last_in(
        &self,
        file: &File,
        index: &LineIndex,
        last: usize,
        is_wanted: impl Fn(u64) -> bool,
    ) -> io::Result<Option<LogHit>> {
        let n_segments = self.counts.len().min(last.saturating_add(1));
        let mut n_before: u64 = self.counts[..n_segments].iter().map(|count| u64::from(*count)).sum();
        for segment in (0..n_segments).rev() {
            n_before -= u64::from(self.counts[segment]);
            if self.counts[segment] > 0 {
                let lines = self.lines_in(file, index, segment)?;
                if let Some(at) = lines.iter().rposition(|line| is_wanted(*line)) {
                    return Ok(Some(LogHit { line: lines[at], ordinal: n_before + at as u64 }));
                }
            }
        }
        Ok(None)
    }

    /// The numbers of the lines that match between a mark and the next.
    fn lines_in(&self, file: &File, index: &LineIndex, segment: usize) -> io::Result<Vec<u64>> {
        let Some(mark) = index.marks().get(segment) else { return Ok(Vec::new()) };
        let end = index.marks().get(segment + 1).map_or(index.end(), |next| next.offset);
        let mut lines = Vec::new();
        let mut of_segment = Self::new(std::str::from_utf8(&self.text).unwrap_or_default());
        let Some(search) = &mut of_segment else { return Ok(lines) };
        let (mut line, mut at) = (mark.line, mark.offset);
        let mut before = 0;
        while let Some(piece) = next_piece(file, at, end, PIECE)? {
            let bytes = match piece {
                Piece::Data(bytes) => bytes,
                // A dropped part has a mark of its own.
                Piece::Dropped(_) => break,
            };
            at += bytes.len() as u64;
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                search.add_bytes(part, &[]);
                if search.n_hits > before {
                    before = search.n_hits;
                    lines.push(line);
                }
                line += u64::from(part.ends_with(b"\n"));
            }
        }
        Ok(lines)
    }
}

/// A regular expression that matches the bytes of `text`.
fn expression(text: &str, ignores_case: bool) -> String {
    let of = |byte: u8| match char::from(byte) {
        letter @ ('a'..='z') if ignores_case => format!("[{letter}{}]", letter.to_ascii_uppercase()),
        plain @ ('a'..='z' | 'A'..='Z' | '0'..='9' | ' ') => plain.to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    text.bytes().map(of).collect()
}

/// The mark that `line` lies behind.
fn segment_of(index: &LineIndex, line: u64) -> usize {
    index.marks().partition_point(|mark| mark.line <= line).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::holes::tests::{file_with, punch};
    use super::*;

    fn searched(file: &File, text: &str) -> (LineIndex, LogSearch) {
        let (mut index, mut search) = (LineIndex::default(), LogSearch::new(text).unwrap());
        let log_len = file.metadata().unwrap().len();
        index.check(file, log_len).unwrap();
        index.extend(file, log_len, u64::MAX).unwrap();
        while search.end() < log_len {
            search.extend(file, &index, 1).unwrap();
        }
        (index, search)
    }

    fn all_hits(file: &File, text: &str) -> Vec<u64> {
        let (index, search) = searched(file, text);
        let (mut lines, mut line) = (Vec::new(), None);
        for ordinal in 0..search.n_hits() {
            let hit = search.next(file, &index, line).unwrap().unwrap();
            assert_eq!(hit.ordinal, ordinal);
            lines.push(hit.line);
            line = Some(hit.line);
        }
        lines
    }

    #[test]
    fn the_lines_that_match_are_counted_and_stepped_through_both_ways() {
        let text: String = (0..200_000).map(|n| format!("Line {n} of many\n")).collect();
        let file = file_with(text.as_bytes());
        let expected: Vec<u64> = (0..200_000).filter(|n| n.to_string().contains("4321")).collect();
        assert_eq!(all_hits(&file, "4321"), expected);
        let (index, search) = searched(&file, "line 150250 ");
        assert_eq!(search.n_hits(), 1);
        let hit = Some(LogHit { line: 150_250, ordinal: 0 });
        for from in [None, Some(0), Some(150_250), Some(199_999)] {
            assert_eq!(search.next(&file, &index, from).unwrap(), hit);
            assert_eq!(search.previous(&file, &index, from).unwrap(), hit);
        }
        let marked: Vec<usize> = (0..N_PLACES).filter(|at| search.places(&index)[*at]).collect();
        assert_eq!(marked, [N_PLACES * 3 / 4]);
        assert_eq!(searched(&file, "LINE 15").1.n_hits(), 0, "a capital letter is meant as one");
        let (index, search) = searched(&file, "4321");
        let n = expected.len() as u64;
        for wanted in [0..n, 0..1, 3..9, n - 1..n + 5, n..n + 5] {
            let inside = expected.iter().copied().skip(wanted.start as usize);
            let inside: Vec<u64> = inside.take((wanted.end - wanted.start) as usize).collect();
            assert_eq!(search.lines(&file, &index, wanted).unwrap(), inside);
        }
    }

    #[test]
    fn a_match_across_two_pieces_and_several_in_one_long_line_count_once() {
        let mut bytes = vec![b'.'; PIECE * 3];
        bytes[PIECE - 3..PIECE + 3].copy_from_slice(b"needle");
        bytes[PIECE * 2 - 3..PIECE * 2 + 3].copy_from_slice(b"needle");
        bytes.extend(b"\nnee\ndle\nneedle and needle\nneedle");
        assert_eq!(all_hits(&file_with(&bytes), "needle"), [0, 3, 4]);
    }

    #[test]
    fn a_log_that_grows_is_searched_on() {
        let mut file = file_with(b"nothing\nnee");
        let (mut index, mut search) = searched(&file, "needle");
        assert_eq!(search.n_hits(), 0);
        file.write_all(b"dle\nneedle\n").unwrap();
        let log_len = file.metadata().unwrap().len();
        index.extend(&file, log_len, 1 << 20).unwrap();
        search.extend(&file, &index, 1 << 20).unwrap();
        assert_eq!(search.n_hits(), 2);
        assert_eq!(search.next(&file, &index, None).unwrap(), Some(LogHit { line: 1, ordinal: 0 }));
    }

    #[test]
    fn hits_before_and_after_a_dropped_part_have_the_numbers_of_their_lines() {
        let text: String = (0..100_000).map(|n| format!("line {n:6}\n")).collect();
        let file = file_with(text.as_bytes());
        punch(&file, 65_536..131_072);
        assert_eq!(all_hits(&file, "line   5460"), [5460]);
        assert_eq!(all_hits(&file, " 10923"), [5464]);
        assert!(all_hits(&file, "line   6000").is_empty());
    }

    #[test]
    fn any_text_is_meant_as_it_stands() {
        let file = file_with("a.b*c [x] \\d\nFehler: ÄRGER ärger 漢字\nabbbc xd\n".as_bytes());
        for (text, lines) in [
            (".b*", &[0][..]),
            ("[x] \\d", &[0]),
            ("fehler: ", &[1]),
            ("ärger", &[1]),
            ("漢字", &[1]),
            ("bb", &[2]),
            ("a.b*C", &[]),
        ] {
            assert_eq!(all_hits(&file, text), lines, "{text}");
        }
    }

    #[test]
    fn nothing_is_no_search() {
        assert!(LogSearch::new("").is_none());
    }
}
