//! The time index beside a log, `<log>.idx`: when which byte came. It is searched in the file, so that no index is too
//! long. The log's keeper writes it; see `supervisor::log`.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::holes::read_up_to;
use crate::files;

const ENTRY: u64 = 16;
/// Entries read at a time when all are read.
const MANY: usize = 4096;

/// From which byte on a log came at which moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// The time index of one log.
#[derive(Debug)]
pub struct LogTimes {
    file: File,
}

impl LogTimes {
    /// Opens the time index of the log at `path`; none if it has none.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match files::open_to_read(&index_of(path)) {
            Ok(file) => Ok(Some(Self { file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn n_entries(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len() / ENTRY)
    }

    /// Entries from the `first` on, at most a few thousand; none at the end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn entries(&self, first: u64) -> io::Result<Vec<TimedOffset>> {
        let bytes = read_up_to(&self.file, first * ENTRY, MANY * ENTRY as usize)?;
        Ok(bytes.chunks_exact(ENTRY as usize).filter_map(entry).collect())
    }

    /// Where the log stood in the second that begins at `at`: its first byte of that second, else the last that came
    /// before; the start of the log if none did.
    ///
    /// # Errors
    /// What the file system says.
    pub fn offset_at(&self, at: DateTime<Utc>) -> io::Result<u64> {
        let at_ms = at.timestamp_millis();
        // Entries are in the order of time, unless the clock was set back.
        let (mut low, mut high) = (0, self.n_entries()?);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.is_some_and(|entry| entry.at_ms < at_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let within = self.entry(low)?.filter(|entry| entry.at_ms < at_ms + 1000);
        let before = || low.checked_sub(1).map_or(Ok(None), |last| self.entry(last));
        let found = if within.is_some() { within } else { before()? };
        Ok(found.map_or(0, |entry| entry.offset))
    }

    /// When the log began; none if it is empty.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begun_at(&self) -> io::Result<Option<DateTime<Utc>>> {
        Ok(self.entry(0)?.and_then(|entry| DateTime::from_timestamp_millis(entry.at_ms)))
    }

    fn entry(&self, n: u64) -> io::Result<Option<TimedOffset>> {
        Ok(entry(&read_up_to(&self.file, n * ENTRY, ENTRY as usize)?))
    }
}

fn entry(bytes: &[u8]) -> Option<TimedOffset> {
    let (offset, at_ms) = bytes.split_first_chunk()?;
    let at_ms = at_ms.first_chunk()?;
    Some(TimedOffset { offset: u64::from_le_bytes(*offset), at_ms: i64::from_le_bytes(*at_ms) })
}

/// The path of the time index of the log at `path`.
fn index_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".idx");
    name.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes a time index.
    pub(in crate::logs) fn write_index(log: &Path, entries: &[(u64, i64)]) {
        let bytes = entries.iter().flat_map(|(offset, at_ms)| [offset.to_le_bytes(), at_ms.to_le_bytes()]);
        std::fs::write(index_of(log), bytes.flatten().collect::<Vec<u8>>()).unwrap();
    }

    #[test]
    fn a_second_leads_to_its_first_byte_or_to_the_last_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("fetch.1.log");
        assert!(LogTimes::open(&log).unwrap().is_none());
        write_index(&log, &[(0, 10_000), (50, 10_400), (70, 12_100), (90, 12_900), (99, 20_000)]);
        let times = LogTimes::open(&log).unwrap().unwrap();
        for (second, offset) in [(5, 0), (10, 0), (11, 50), (12, 70), (13, 90), (19, 90), (20, 99), (99, 99)]
        {
            let at = DateTime::from_timestamp(second, 0).unwrap();
            assert_eq!(times.offset_at(at).unwrap(), offset, "{second}");
        }
        assert_eq!(times.begun_at().unwrap(), DateTime::from_timestamp(10, 0));
        assert_eq!(times.entries(3).unwrap().len(), 2);
        write_index(&log, &[]);
        let times = LogTimes::open(&log).unwrap().unwrap();
        assert_eq!(times.offset_at(DateTime::UNIX_EPOCH).unwrap(), 0);
        assert_eq!(times.begun_at().unwrap(), None);
    }
}
