//! A step's log, read in windows: however long it is, a few MiB are in memory. Says where the middle of a too long log
//! was dropped. Reads what exists; [`LogFollower`](super::LogFollower) waits for more.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::follower::{LogChunk, MAX_CHUNK_BYTES};
use super::holes::{Piece, data_ranges, next_piece, read_up_to};
use super::plain_line;
use crate::files;

/// The most data of one window.
pub const MAX_WINDOW_BYTES: usize = 4 << 20;
/// The most lines of one window.
const MAX_WINDOW_LINES: usize = 1 << 16;
/// Bytes read at a time when searching back from the end.
const CHUNK: u64 = 64 << 10;

/// One line of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogLine {
    /// A line without its newline, as a terminal would finally show it, without colours; see [`plain_line`]. The first
    /// and the last of a window may be parts of a line.
    Text {
        /// Where it begins.
        offset: u64,
        text: String,
    },
    /// The middle of the log was dropped here.
    Dropped {
        /// Where the gap begins.
        offset: u64,
        /// Its length.
        n_bytes: u64,
    },
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogWindow {
    /// Where it begins.
    pub start: u64,
    /// Where it ends and the next window begins: at the start of a line, if there is one.
    pub end: u64,
    /// The length of the log when it was read.
    pub log_len: u64,
    pub lines: Vec<LogLine>,
}

/// Reads one log.
#[derive(Debug)]
pub struct LogReader {
    file: File,
}

impl LogReader {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// What the file system says; `NotFound` while the step has not started.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: files::open_to_read(path)? })
    }

    /// The present length of the log, with dropped bytes.
    pub fn log_len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The dropped ranges: the middle of a log that was longer than its limit. Exact to a block of the file system; a
    /// window has the exact bytes.
    pub fn dropped(&self) -> io::Result<Vec<Range<u64>>> {
        let log_len = self.log_len()?;
        let kept = data_ranges(&self.file, log_len)?;
        let starts = std::iter::once(0).chain(kept.iter().map(|range| range.end));
        let ends = kept.iter().map(|range| range.start).chain([log_len]);
        Ok(starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end).collect())
    }

    /// The last `n_lines` lines, if they fit into `max_bytes` of data; otherwise as much of the end as fits.
    pub fn tail(&self, n_lines: usize, max_bytes: usize) -> io::Result<LogWindow> {
        let log_len = self.log_len()?;
        let max_bytes = max_bytes.min(MAX_WINDOW_BYTES) as u64;
        let start = self.tail_start(n_lines.min(MAX_WINDOW_LINES / 2), max_bytes, log_len)?;
        self.window(start, log_len, MAX_WINDOW_BYTES)
    }

    /// The bytes at `offset`: at most 256 KiB, or a whole gap. None at the end.
    pub fn chunk_at(&self, offset: u64) -> io::Result<Option<LogChunk>> {
        let piece = next_piece(&self.file, offset, self.log_len()?, MAX_CHUNK_BYTES)?;
        Ok(piece.map(|piece| match piece {
            Piece::Data(bytes) => LogChunk::Bytes { offset, bytes },
            Piece::Dropped(n_bytes) => LogChunk::Dropped { offset, n_bytes },
        }))
    }

    fn tail_start(&self, n_lines: usize, max_bytes: u64, log_len: u64) -> io::Result<u64> {
        let mut budget = max_bytes;
        // A newline at the end of the log ends its last line and begins none.
        let ends_line = log_len > 0 && read_up_to(&self.file, log_len - 1, 1)? == b"\n";
        let mut n_newlines_left = n_lines + usize::from(ends_line);
        let mut start = log_len;
        for range in data_ranges(&self.file, log_len)?.into_iter().rev() {
            let mut upper = range.end;
            while upper > range.start {
                if budget == 0 || n_newlines_left == 0 {
                    return Ok(start);
                }
                let lower = upper.saturating_sub(CHUNK.min(budget)).max(range.start);
                let chunk = read_up_to(&self.file, lower, (upper - lower) as usize)?;
                for (i, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                    n_newlines_left -= 1;
                    if n_newlines_left == 0 {
                        return Ok(lower + i as u64 + 1);
                    }
                }
                budget -= upper - lower;
                (upper, start) = (lower, lower);
            }
        }
        // All data is within the window, and so is a gap before it.
        Ok(if budget > 0 { 0 } else { start })
    }

    /// The lines from `start` on, at most `max_bytes` of data; a gap does not count. The window ends after a whole line,
    /// unless one line is longer or the log ends.
    fn window(&self, start: u64, log_len: u64, max_bytes: usize) -> io::Result<LogWindow> {
        let mut window = LogWindow { start, end: start, log_len, lines: Vec::new() };
        let mut budget = max_bytes;
        while budget > 0 && window.lines.len() < MAX_WINDOW_LINES {
            match next_piece(&self.file, window.end, log_len, budget)? {
                None => break,
                Some(Piece::Dropped(n_bytes)) => window.add_gap(n_bytes),
                Some(Piece::Data(bytes)) => {
                    budget -= bytes.len();
                    let at_end = budget > 0 || window.end + bytes.len() as u64 >= log_len;
                    window.add_lines(&bytes, at_end);
                }
            }
        }
        Ok(window)
    }
}

impl LogWindow {
    fn add_gap(&mut self, n_bytes: u64) {
        match self.lines.last_mut() {
            Some(LogLine::Dropped { n_bytes: gap, .. }) => *gap += n_bytes,
            Some(LogLine::Text { .. }) | None => {
                self.lines.push(LogLine::Dropped { offset: self.end, n_bytes });
            }
        }
        self.end += n_bytes;
    }

    /// Adds whole lines; a part of a line only `at_end`, or when there is no whole one.
    fn add_lines(&mut self, bytes: &[u8], at_end: bool) {
        let mut rest = bytes;
        if self.lines.is_empty() && self.start > 0 {
            // A window may begin within a character.
            let n_torn = rest.iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count();
            rest = &rest[n_torn..];
            self.end += n_torn as u64;
        }
        let n_lines_before = self.lines.len();
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            if self.lines.len() >= MAX_WINDOW_LINES {
                return;
            }
            self.add_line(&rest[..length]);
            self.end += 1;
            rest = &rest[length + 1..];
        }
        if !rest.is_empty() && (at_end || self.lines.len() == n_lines_before) {
            self.add_line(rest);
        }
    }

    fn add_line(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.lines.push(LogLine::Text { offset: self.end, text: plain_line(&text) });
        self.end += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests;
