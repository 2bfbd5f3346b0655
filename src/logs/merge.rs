//! Several logs as one, by the time at which their lines came, each line with its time and the name of its log. The
//! merged text is written to a file without a name, which is gone with its owner; so it is read and searched as any log.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, Utc};
use memchr::memchr;

use super::holes::{Piece, next_piece};
use super::times::{LogTimes, TimedOffset};
use crate::files;

/// The most bytes of all logs together. Of longer ones, the ends are merged.
const MAX_BYTES: u64 = 256 << 20;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// A longer line is cut.
const MAX_LINE: usize = 64 << 10;
/// The most moments that are remembered.
const MAX_MOMENTS: usize = 1 << 16;

/// Logs that are merged.
#[derive(Debug)]
pub struct LogMerge {
    parts: Vec<Part>,
    merged: File,
    len: u64,
    /// Where what came from a moment on begins in the merged text, in the order of both.
    moments: Vec<TimedOffset>,
    /// The least time between two moments, in milliseconds.
    moment_ms: i64,
}

#[derive(Debug)]
struct Part {
    name: String,
    path: PathBuf,
    file: Option<File>,
    times: Option<LogTimes>,
    /// Entries of the time index that were read and not reached, the next one last.
    waiting: Vec<TimedOffset>,
    n_entries: u64,
    /// Up to where it is merged.
    at: u64,
    at_ms: i64,
    /// A line that has no end yet.
    open: Vec<u8>,
}

impl LogMerge {
    /// Merges these logs, each with the name that its lines get. `folder` is where the merged text may be written.
    ///
    /// # Errors
    /// The file for the merged text can't be made.
    pub fn new(logs: Vec<(String, PathBuf)>, folder: &Path) -> io::Result<Self> {
        let width = logs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default().min(24);
        let part = |(name, path)| Part {
            name: format!("{name:width$}"),
            path,
            file: None,
            times: None,
            waiting: Vec::new(),
            n_entries: 0,
            at: 0,
            at_ms: 0,
            open: Vec::new(),
        };
        let merged = nameless(folder)?;
        let parts = logs.into_iter().map(part).collect();
        Ok(Self { parts, merged, len: 0, moments: Vec::new(), moment_ms: 1000 })
    }

    /// The merged text.
    pub fn file(&self) -> &File {
        &self.merged
    }

    /// Its length.
    pub fn merged_len(&self) -> u64 {
        self.len
    }

    /// The paths of the logs.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|part| &*part.path)
    }

    /// Where the merged text stood in the second that begins at `at`, as [`LogTimes::offset_at`].
    pub fn offset_at(&self, at: DateTime<Utc>) -> u64 {
        let at_ms = at.timestamp_millis();
        let first = self.moments.partition_point(|moment| moment.at_ms < at_ms);
        let within = self.moments.get(first).filter(|moment| moment.at_ms < at_ms + 1000);
        let before = first.checked_sub(1).and_then(|last| self.moments.get(last));
        within.or(before).map_or(0, |moment| moment.offset)
    }

    /// When the first line came.
    pub fn begun_at(&self) -> Option<DateTime<Utc>> {
        self.moments.first().and_then(|moment| DateTime::from_timestamp_millis(moment.at_ms))
    }

    /// Looks for logs that are there by now, and skips what is too much.
    ///
    /// # Errors
    /// What the file system says.
    pub fn look(&mut self) -> io::Result<()> {
        let share = MAX_BYTES / self.parts.len().max(1) as u64;
        for part in &mut self.parts {
            if part.file.is_none() {
                match files::open_to_read(&part.path) {
                    Ok(file) => {
                        let log_len = file.metadata()?.len();
                        (part.file, part.times) = (Some(file), LogTimes::open(&part.path)?);
                        part.skip_to(log_len.saturating_sub(share))?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            if part.times.is_none() && part.file.is_some() {
                part.times = LogTimes::open(&part.path)?;
            }
        }
        Ok(())
    }

    /// Merges on, about `max_bytes`. Returns whether more is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn extend(&mut self, max_bytes: u64) -> io::Result<bool> {
        let mut lines = Vec::new();
        let end = self.len + max_bytes;
        while self.len + (lines.len() as u64) < end {
            let mut next: Option<(i64, usize)> = None;
            for (n, part) in self.parts.iter_mut().enumerate() {
                let Some(at_ms) = part.next_ms()? else { continue };
                if next.is_none_or(|(first, _)| at_ms < first) {
                    next = Some((at_ms, n));
                }
            }
            let Some((at_ms, n)) = next else {
                self.write(&lines)?;
                return Ok(false);
            };
            let is_new = self.moments.last().is_none_or(|last| at_ms >= last.at_ms + self.moment_ms);
            if is_new {
                self.moments.push(TimedOffset { offset: self.len + lines.len() as u64, at_ms });
            }
            if self.moments.len() > MAX_MOMENTS {
                let mut is_odd = true;
                self.moments.retain(|_| {
                    is_odd = !is_odd;
                    !is_odd
                });
                self.moment_ms *= 2;
            }
            self.parts[n].merge_into(&mut lines)?;
        }
        self.write(&lines)?;
        Ok(true)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.merged.write_all_at(lines, self.len)?;
        self.len += lines.len() as u64;
        Ok(())
    }
}

impl Part {
    /// Begins at the first moment from `offset` on.
    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        if offset == 0 {
            return Ok(());
        }
        self.at = offset;
        while let Some(next) = self.next_entry()? {
            if next.offset >= offset {
                self.at = next.offset;
                break;
            }
            self.at_ms = next.at_ms;
            self.waiting.pop();
        }
        Ok(())
    }

    /// The next entry of its time index that is not reached.
    fn next_entry(&mut self) -> io::Result<Option<TimedOffset>> {
        if self.waiting.is_empty()
            && let Some(times) = &self.times
        {
            self.waiting = times.entries(self.n_entries)?;
            self.n_entries += self.waiting.len() as u64;
            self.waiting.reverse();
        }
        Ok(self.waiting.last().copied())
    }

    /// When its next bytes came; none if there are none now.
    fn next_ms(&mut self) -> io::Result<Option<i64>> {
        let Some(file) = &self.file else { return Ok(None) };
        if file.metadata()?.len() <= self.at {
            return Ok(None);
        }
        while let Some(next) = self.next_entry()? {
            if next.offset > self.at {
                break;
            }
            self.at_ms = next.at_ms;
            self.waiting.pop();
        }
        Ok(Some(self.at_ms))
    }

    /// Merges what came at the same moment, or a part of it.
    fn merge_into(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        let next = self.next_entry()?.map(|next| next.offset);
        let Some(file) = &self.file else { return Ok(()) };
        let log_len = file.metadata()?.len();
        let end = next.map_or(log_len, |next| next.min(log_len));
        match next_piece(file, self.at, end, CHUNK)? {
            // It became shorter.
            None => self.at = end.max(self.at + 1),
            Some(Piece::Dropped(n_bytes)) => {
                self.at += n_bytes;
                self.open.clear();
                let text = format!("… {n_bytes} bytes dropped here …");
                self.line(text.as_bytes(), lines);
            }
            Some(Piece::Data(bytes)) => {
                self.at += bytes.len() as u64;
                let mut rest = &bytes[..];
                while let Some(length) = memchr(b'\n', rest) {
                    let mut line = std::mem::take(&mut self.open);
                    line.extend_from_slice(&rest[..length]);
                    self.line(&line, lines);
                    rest = &rest[length + 1..];
                }
                let room = MAX_LINE.saturating_sub(self.open.len());
                self.open.extend_from_slice(&rest[..rest.len().min(room)]);
            }
        }
        Ok(())
    }

    fn line(&self, text: &[u8], lines: &mut Vec<u8>) {
        let at = DateTime::from_timestamp_millis(self.at_ms).unwrap_or_default().with_timezone(&Local);
        lines.extend_from_slice(format!("{} {} ", at.format("%H:%M:%S"), self.name).as_bytes());
        lines.extend_from_slice(text);
        lines.push(b'\n');
    }
}

/// A new file for reading and writing that has no name any more.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut n = 0;
    loop {
        let path = folder.join(format!(".merged-{}-{n}", std::process::id()));
        match files::open(OpenOptions::new().read(true).write(true).create_new(true), &path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            // One of a process before, which was killed at this moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && n < 1000 => n += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::times::tests::write_index;
    use super::*;

    fn text(merge: &LogMerge) -> Vec<String> {
        let mut bytes = vec![0; merge.merged_len() as usize];
        merge.file().read_exact_at(&mut bytes, 0).unwrap();
        // Without the time, which depends on the zone.
        String::from_utf8(bytes).unwrap().lines().map(|line| line[9..].to_owned()).collect()
    }

    #[test]
    fn lines_stand_in_the_order_of_their_time_and_those_that_come_later_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.1.log"), dir.path().join("b.1.log"));
        std::fs::write(&a, "a one\na two\na thr").unwrap();
        write_index(&a, &[(0, 1000), (6, 5000), (12, 9000)]);
        std::fs::write(&b, "b one\n").unwrap();
        write_index(&b, &[(0, 3000)]);
        let logs = vec![("a".to_owned(), a.clone()), ("bb".to_owned(), b.clone())];
        let mut merge = LogMerge::new(logs, dir.path()).unwrap();
        merge.look().unwrap();
        assert!(!merge.extend(1 << 20).unwrap());
        assert_eq!(text(&merge), ["a  a one", "bb b one", "a  a two"], "a line without an end waits");
        std::fs::write(&a, "a one\na two\na three\n").unwrap();
        std::fs::write(&b, "b one\nb two\n").unwrap();
        write_index(&b, &[(0, 3000), (6, 12_000)]);
        merge.look().unwrap();
        assert!(!merge.extend(1 << 20).unwrap());
        assert_eq!(text(&merge)[3..], ["a  a three", "bb b two"]);
        let offset = |second| merge.offset_at(DateTime::from_timestamp(second, 0).unwrap());
        let line = "00:00:00 a  a one\n".len() as u64;
        assert_eq!([offset(0), offset(1), offset(3), offset(4), offset(5)], [0, 0, line, line, 2 * line]);
        assert_eq!(merge.begun_at(), DateTime::from_timestamp(1, 0));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "the merged text has no name");
    }

    #[test]
    fn a_little_at_a_time_makes_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut logs = Vec::new();
        for n in 0..3_i64 {
            let path = dir.path().join(format!("{n}.log"));
            let line = |at: i64| format!("line {at:4}\n");
            let entries: Vec<_> = (0..500).map(|at| (at as u64 * 10, at * 3000 + n * 1000)).collect();
            std::fs::write(&path, (0..500).map(line).collect::<String>()).unwrap();
            write_index(&path, &entries);
            logs.push((n.to_string(), path));
        }
        let mut merge = LogMerge::new(logs, dir.path()).unwrap();
        merge.look().unwrap();
        while merge.extend(100).unwrap() {}
        let lines = text(&merge);
        assert_eq!(lines.len(), 1500);
        assert_eq!(lines[..4], ["0 line    0", "1 line    0", "2 line    0", "0 line    1"]);
        assert_eq!(lines[1499], "2 line  499");
    }
}
