//! One report file: reading from the last position on, and appending a line. The only state is a [`Cursor`]; `reports`
//! decides which file is read when.
//!
//! A step may do anything to its file. A pipe or a link in its place can neither block nor mislead the reader (see
//! [`crate::files`]), and however long the lines are, little more than 1 MiB is in memory at a time.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::base::id::AttemptKey;
use crate::files;
use crate::run::{
    MAX_REPORT_LINE, ReportBatch, ReportFault, ReportFaultKind, ReportLine, ReportWarning, parse_report_line,
};

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Where reading a report continues, and which warnings were given.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// The first byte not processed: the start of a line, or the middle of a line that is skipped.
    pub(super) offset: u64,
    /// The number of lines before it. None when reading did not begin at the start of the file.
    n_lines: Option<u64>,
    /// Device and inode of the file read so far.
    identity: Option<(u64, u64)>,
    /// The kinds of fault of which was warned.
    warned: BTreeSet<ReportFaultKind>,
}

impl Cursor {
    /// At `offset` of a file of which nothing else is known.
    pub(super) fn at(offset: u64) -> Self {
        Self { offset, n_lines: (offset == 0).then_some(0), identity: None, warned: BTreeSet::new() }
    }

    /// Adds a warning to `batch`, unless one of its kind was given before.
    pub(super) fn warn(&mut self, batch: &mut ReportBatch, kind: ReportFaultKind, text: String) {
        if self.warned.insert(kind) {
            let text = format!("step {}: {text}", batch.key.step_id);
            batch.warnings.push(ReportWarning { kind, text });
        }
    }

    fn warn_of_line(&mut self, batch: &mut ReportBatch, fault: ReportFault) {
        let text = match self.n_lines {
            Some(n_before) => format!("line {} of its report {}", n_before + 1, fault.why),
            None => format!("the line at byte {} of its report {}", self.offset, fault.why),
        };
        self.warn(batch, fault.kind, text);
    }

    fn take_line(&mut self, batch: &mut ReportBatch, line: &[u8]) {
        let (said, faults) = parse_report_line(line);
        let too_much = batch.take(said, line.len());
        for fault in faults.into_iter().chain(too_much) {
            self.warn_of_line(batch, fault);
        }
    }

    fn restart(&mut self) {
        self.offset = 0;
        self.n_lines = Some(0);
    }
}

/// What happens to a last line without a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLine {
    /// It is left: its writer may not be done.
    Waits,
    /// It is taken: no more will come.
    IsTaken,
}

/// The result of one read.
pub(super) struct Reading {
    pub(super) batch: ReportBatch,
    /// Whether there was more than `max_bytes`.
    pub(super) more: bool,
}

/// Reads from `cursor` on, at most `max_bytes` (much more than the longest line), and moves the cursor.
///
/// A missing file costs one failed `open` and is no error. A file that can't be read is a warning.
pub(super) fn read_reports(
    path: &Path,
    key: &AttemptKey,
    cursor: &mut Cursor,
    last_line: LastLine,
    max_bytes: u64,
) -> Reading {
    let mut batch = ReportBatch::new(key.clone(), cursor.offset);
    let more = match open(path) {
        Ok(Some(file)) => read_file(&file, &mut batch, cursor, last_line, max_bytes),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    let more = more.unwrap_or_else(|error| {
        let text = format!("its report {} can't be read: {error}", path.display());
        cursor.warn(&mut batch, ReportFaultKind::Unreadable, text);
        false
    });
    batch.new_offset = cursor.offset;
    Reading { batch, more }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match files::open_to_read(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_file(
    file: &File,
    batch: &mut ReportBatch,
    cursor: &mut Cursor,
    last_line: LastLine,
    max_bytes: u64,
) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let identity = (metadata.dev(), metadata.ino());
    let replaced = cursor.identity.is_some_and(|known| known != identity);
    cursor.identity = Some(identity);
    if replaced || metadata.len() < cursor.offset {
        let what = if replaced { "was replaced" } else { "became shorter" };
        let text = format!("its report {what}; it is read again from the start");
        cursor.warn(batch, ReportFaultKind::Restarted, text);
        cursor.restart();
    }

    // The end is fixed at the beginning, so that a writer can't keep the reader busy.
    let end = metadata.len().min(cursor.offset.saturating_add(max_bytes));
    let mut passing_over = in_passed_over_line(file, cursor.offset)?;
    let mut chunk = vec![0; CHUNK.min((end - cursor.offset) as usize)];
    let mut begun_line = Vec::new();
    let mut at = cursor.offset;
    while at < end {
        let n_wanted = chunk.len().min((end - at) as usize);
        let n_read = match file.read_at(&mut chunk[..n_wanted], at) {
            Ok(0) => break,
            Ok(n_read) => n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut rest = &chunk[..n_read];
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..length];
            rest = &rest[length + 1..];
            if passing_over {
                passing_over = false;
            } else if begun_line.is_empty() {
                cursor.take_line(batch, line);
            } else {
                begun_line.extend_from_slice(line);
                cursor.take_line(batch, &begun_line);
                begun_line.clear();
            }
            cursor.n_lines = cursor.n_lines.map(|n| n + 1);
            cursor.offset = at + (n_read - rest.len()) as u64;
        }
        at += n_read as u64;
        if !passing_over {
            begun_line.extend_from_slice(rest);
            if begun_line.len() > MAX_REPORT_LINE {
                cursor.take_line(batch, &begun_line);
                begun_line = Vec::new();
                passing_over = true;
            }
        }
        if passing_over {
            cursor.offset = at;
        }
    }
    if last_line == LastLine::IsTaken && at >= metadata.len() && !begun_line.is_empty() {
        cursor.take_line(batch, &begun_line);
        cursor.offset = at;
    }
    Ok(end < metadata.len())
}

/// A recorded offset is the start of a line, or lies within a line that is too long, whose rest is skipped.
fn in_passed_over_line(file: &File, offset: u64) -> io::Result<bool> {
    let mut before = [b'\n'];
    if offset > 0 {
        file.read_at(&mut before, offset - 1)?;
    }
    Ok(before != *b"\n")
}

/// Appends one line to the report at `path` in a single write. It is on disk when this returns.
///
/// # Errors
/// `InvalidInput` with the reason when the engine would not accept the line; otherwise what the file system reports.
pub fn append_report(path: &Path, line: &ReportLine) -> io::Result<()> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let mut bytes = serde_json::to_vec(line).map_err(|error| invalid(error.to_string()))?;
    // JSON has line breaks only between values: a checkpoint of several lines becomes one line.
    bytes.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    if let Some(fault) = parse_report_line(&bytes).1.into_iter().next() {
        return Err(invalid(format!("the report {}", fault.why)));
    }
    bytes.push(b'\n');

    let mut file = files::open(OpenOptions::new().append(true).create(true), path)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    if file.metadata()?.len() == bytes.len() as u64 {
        // The first line has created the file: its name must be on disk too.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
