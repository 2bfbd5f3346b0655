//! The time index beside a log: which bytes were written when.
//!
//! It has records of 16 bytes, appended by the log's keeper: an offset (u64, little endian), and the milliseconds since
//! 1970 (i64, little endian) at which the bytes from there on were written. It may be missing, torn, behind the log, or
//! ahead of it after a loss of power. A lookup is then less exact, but never out of bounds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::files;

const RECORD: u64 = 16;

#[derive(Debug, Clone, Copy)]
struct Record {
    offset: u64,
    unix_ms: i64,
}

/// The time index of one log. A lookup reads a few records and keeps none.
#[derive(Debug)]
pub struct TimeIndex {
    file: Option<File>,
}

impl TimeIndex {
    /// Opens the index beside `log`. A missing one answers every lookup with none.
    ///
    /// # Errors
    /// It exists and can't be opened.
    pub fn open(log: &Path) -> io::Result<Self> {
        match files::open_to_read(&Self::path(log)) {
            Ok(file) => Ok(Self { file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { file: None }),
            Err(error) => Err(error),
        }
    }

    /// The path of the index of `log`: its path with `.idx` appended.
    pub fn path(log: &Path) -> PathBuf {
        let mut path = log.as_os_str().to_owned();
        path.push(".idx");
        path.into()
    }

    /// Where reading must begin to see everything written at `time` and later, in a log of `log_len` bytes: the start
    /// of the record that covers it. None without an index.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn offset_at(&self, time: DateTime<Utc>, log_len: u64) -> io::Result<Option<u64>> {
        let ms = time.timestamp_millis();
        let found = self.last_where(|record| record.unix_ms <= ms)?;
        let Some(n_records) = found.map(|(n_before, record)| (n_before, record.map_or(0, |r| r.offset)))
        else {
            return Ok(None);
        };
        Ok(Some(n_records.1.min(log_len)))
    }

    /// When the byte at `offset` was written. None without an index, or before its first record.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn time_at(&self, offset: u64) -> io::Result<Option<DateTime<Utc>>> {
        let found = self.last_where(|record| record.offset <= offset)?;
        Ok(found.and_then(|(_, record)| DateTime::from_timestamp_millis(record?.unix_ms)))
    }

    /// The last of the leading records for which `holds` is true, with their number. The outer none: there are no
    /// records.
    fn last_where(&self, holds: impl Fn(Record) -> bool) -> io::Result<Option<(u64, Option<Record>)>> {
        let Some(file) = &self.file else { return Ok(None) };
        let n_whole = file.metadata()?.len() / RECORD;
        // A loss of power may leave zeros at the end.
        let n_records = partition_point(file, n_whole, |record| record.unix_ms != 0)?;
        if n_records == 0 {
            return Ok(None);
        }
        let n_holding = partition_point(file, n_records, holds)?;
        let last = n_holding.checked_sub(1).map(|i| read(file, i)).transpose()?;
        Ok(Some((n_holding, last)))
    }
}

fn read(file: &File, i: u64) -> io::Result<Record> {
    let mut bytes = [0; RECORD as usize];
    file.read_exact_at(&mut bytes, i * RECORD)?;
    let [mut offset, mut unix_ms] = [[0; 8]; 2];
    offset.copy_from_slice(&bytes[..8]);
    unix_ms.copy_from_slice(&bytes[8..]);
    Ok(Record { offset: u64::from_le_bytes(offset), unix_ms: i64::from_le_bytes(unix_ms) })
}

/// The number of leading records for which `holds` is true, as `slice::partition_point`.
fn partition_point(file: &File, n_records: u64, holds: impl Fn(Record) -> bool) -> io::Result<u64> {
    let (mut low, mut high) = (0, n_records);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(read(file, middle)?) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn index(records: &[(u64, i64)], torn: &[u8]) -> (tempfile::TempDir, TimeIndex) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("s.1.log");
        let mut bytes: Vec<u8> =
            records.iter().flat_map(|(o, ms)| [o.to_le_bytes(), ms.to_le_bytes()].concat()).collect();
        bytes.extend_from_slice(torn);
        std::fs::write(TimeIndex::path(&log), bytes).unwrap();
        let index = TimeIndex::open(&log).unwrap();
        (dir, index)
    }

    #[test]
    fn a_moment_leads_to_its_bytes_and_back() {
        for torn in [&b""[..], b"torn", &[0; 40]] {
            let (_dir, index) = index(&[(0, 1000), (50, 2000), (90, 3000)], torn);
            for (ms, offset) in [(500, 0), (1000, 0), (1999, 0), (2000, 50), (9999, 80)] {
                assert_eq!(index.offset_at(at(ms), 80).unwrap(), Some(offset), "{ms} {torn:?}");
            }
            for (offset, ms) in [(0, 1000), (49, 1000), (50, 2000), (1 << 40, 3000)] {
                assert_eq!(index.time_at(offset).unwrap(), Some(at(ms)), "{offset} {torn:?}");
            }
        }
    }

    #[test]
    fn an_index_that_lacks_or_is_empty_knows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let absent = TimeIndex::open(&dir.path().join("x.log")).unwrap();
        let (_dir, empty) = index(&[], b"torn");
        for index in [absent, empty] {
            assert_eq!(index.offset_at(at(1), 10).unwrap(), None);
            assert_eq!(index.time_at(1).unwrap(), None);
        }
    }

    #[test]
    fn before_the_first_entry_no_time_is_known() {
        let (_dir, index) = index(&[(10, 1000)], b"");
        assert_eq!(index.time_at(5).unwrap(), None);
    }
}
