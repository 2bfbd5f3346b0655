//! What the supervisor remembers for its successor: `supervisor.journal`.
//!
//! Records `{u32 length, u32 crc32, JSON}` in a preallocated file, written with `pwrite` and not synced: it must
//! survive the death of a process, and the databases the loss of power. The checksum covers the file's generation. So
//! starting over at the front of the file invalidates the old records behind it without touching them. A torn tail is
//! ignored.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustix::fs::FallocateFlags;
use serde::{Deserialize, Serialize};

use super::host::StepExit;
use super::process::ProcId;
use crate::base::id::AttemptKey;

/// The journal's name in the data directory.
pub(super) const FILE_NAME: &str = "supervisor.journal";
const NEW_FILE_NAME: &str = "supervisor.journal.new";
const CAPACITY: u64 = 256 << 10;
const MAX_RECORD: usize = 8 << 20;
const PREFIX: usize = 8;

/// One entry of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Record {
    /// First in the file.
    Begin { generation: u32, boot: String },
    /// An engine of this epoch said hello.
    Epoch { epoch: u64 },
    /// A step is about to be started.
    Start { n: u64, start: StartNote },
    /// Its process lives.
    Spawned { n: u64, spawned: SpawnNote },
    /// It could not be started.
    Failed { n: u64, reason: String },
    /// Its processes are being stopped.
    Freezing { n: u64 },
    /// They are stopped; these were stopped by us.
    Frozen { n: u64, stopped: Vec<ProcId> },
    /// They run again.
    Thawed { n: u64 },
    /// It was asked to end, and will be killed at this reading of the awake clock.
    Stopping { n: u64, kill_at_ms: u64 },
    /// It ended.
    Exited { n: u64, exit: StepExit },
    /// Processes that it left behind still write to its log.
    LogKept { n: u64 },
    /// No process writes to its log any more.
    LogClosed { n: u64 },
    /// The engine has its end on disk.
    Acknowledged { n: u64 },
}

/// What is known of a step before its spawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StartNote {
    pub(super) key: AttemptKey,
    pub(super) token: String,
    #[serde(with = "exact_path")]
    pub(super) log_path: PathBuf,
    pub(super) log_limit: u64,
    pub(super) keep_background: bool,
    /// When, in clock ticks since boot: its process started then or later.
    #[serde(default)]
    pub(super) at_ticks: u64,
}

/// What is known of a step after its spawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SpawnNote {
    pub(super) main: ProcId,
    pub(super) pipe: Option<u64>,
    pub(super) at: DateTime<Utc>,
}

/// How far a freeze has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FreezeNote {
    Freezing,
    Frozen(Vec<ProcId>),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum EndNote {
    Failed(String),
    Exited(StepExit),
}

/// Everything remembered of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) start: StartNote,
    pub(super) spawned: Option<SpawnNote>,
    pub(super) freeze: Option<FreezeNote>,
    pub(super) kill_at_ms: Option<u64>,
    pub(super) end: Option<EndNote>,
    /// Processes that it left behind still write to its log.
    pub(super) log_is_kept: bool,
    /// Kept only for its log.
    pub(super) is_acknowledged: bool,
}

/// The file, and its entries that are alive or unacknowledged.
pub(super) struct Journal {
    dir: PathBuf,
    file: File,
    boot: String,
    generation: u32,
    position: u64,
    capacity: u64,
    epoch: u64,
    entries: BTreeMap<u64, Entry>,
}

impl Journal {
    /// Reads what a predecessor left in `dir` since the machine booted, and begins a file that holds only what still
    /// matters.
    ///
    /// # Errors
    /// The file exists and can't be read, or it can't be written.
    pub(super) fn open(dir: &Path, boot: String) -> io::Result<Self> {
        let bytes = match fs::read(dir.join(FILE_NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            // It may name living steps: without it they would be started a second time.
            Err(error) => return Err(error),
        };
        let records = read_records(&bytes);
        let generation = match records.first() {
            Some(Record::Begin { generation, .. }) => *generation,
            _ => 0,
        };
        let same_boot = matches!(records.first(), Some(Record::Begin { boot: then, .. }) if *then == boot);
        let (epoch, entries) = if same_boot { replay(records) } else { (0, BTreeMap::new()) };
        let file = create(&dir.join(NEW_FILE_NAME))?;
        let mut journal =
            Self { dir: dir.to_owned(), file, boot, generation, position: 0, capacity: 0, epoch, entries };
        journal.rotate()?;
        Ok(journal)
    }

    /// The highest epoch that said hello.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The attempts that are alive or unacknowledged.
    pub(super) fn entries(&self) -> &BTreeMap<u64, Entry> {
        &self.entries
    }

    /// Writes one record.
    ///
    /// # Errors
    /// It could not be written. It is kept in memory all the same, and written with the next rotation.
    pub(super) fn write(&mut self, record: Record) -> io::Result<()> {
        let bytes = encode(&record, self.generation);
        apply(&record, &mut self.epoch, &mut self.entries);
        if self.entries.is_empty() && self.position > CAPACITY / 2 {
            return self.start_over();
        }
        if self.position + bytes.len() as u64 > self.capacity {
            return self.rotate();
        }
        self.file.write_all_at(&bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Removes the file, when nothing is alive or unacknowledged and no engine is connected.
    pub(super) fn remove(self) {
        // A file that is left behind holds no entries, and does no harm.
        let _ = fs::remove_file(self.dir.join(FILE_NAME));
    }

    /// Begins again at the front of the same file, when nothing in it matters any more.
    fn start_over(&mut self) -> io::Result<()> {
        let generation = self.generation.wrapping_add(1);
        let bytes = self.image(generation);
        self.file.write_all_at(&bytes, 0)?;
        (self.generation, self.position) = (generation, bytes.len() as u64);
        Ok(())
    }

    /// Replaces the file by a new one that holds only what still matters.
    fn rotate(&mut self) -> io::Result<()> {
        let generation = self.generation.wrapping_add(1);
        let bytes = self.image(generation);
        let capacity = CAPACITY.max(4 * bytes.len() as u64);
        let path = self.dir.join(NEW_FILE_NAME);
        let file = create(&path)?;
        // Where it can't be preallocated, the file grows as it is written.
        let _ = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, capacity);
        file.write_all_at(&bytes, 0)?;
        fs::rename(&path, self.dir.join(FILE_NAME))?;
        // Only now: until the rename succeeds, records go to the old file under its own generation.
        self.generation = generation;
        (self.file, self.position, self.capacity) = (file, bytes.len() as u64, capacity);
        Ok(())
    }

    /// The records from which a reader gets the present state, as a file of this generation.
    fn image(&self, generation: u32) -> Vec<u8> {
        let begin = Record::Begin { generation, boot: self.boot.clone() };
        let epoch = Record::Epoch { epoch: self.epoch };
        let entries = self.entries.iter().flat_map(|(n, entry)| entry.records(*n));
        [begin, epoch].into_iter().chain(entries).flat_map(|record| encode(&record, generation)).collect()
    }
}

impl Entry {
    fn new(start: StartNote) -> Self {
        let (spawned, freeze, kill_at_ms, end) = (None, None, None, None);
        Self { start, spawned, freeze, kill_at_ms, end, log_is_kept: false, is_acknowledged: false }
    }

    fn records(&self, n: u64) -> Vec<Record> {
        let mut records = vec![Record::Start { n, start: self.start.clone() }];
        records.extend(self.spawned.clone().map(|spawned| Record::Spawned { n, spawned }));
        records.extend(self.freeze.clone().map(|freeze| match freeze {
            FreezeNote::Freezing => Record::Freezing { n },
            FreezeNote::Frozen(stopped) => Record::Frozen { n, stopped },
        }));
        records.extend(self.kill_at_ms.map(|kill_at_ms| Record::Stopping { n, kill_at_ms }));
        records.extend(self.end.clone().map(|end| match end {
            EndNote::Failed(reason) => Record::Failed { n, reason },
            EndNote::Exited(exit) => Record::Exited { n, exit },
        }));
        records.extend(self.log_is_kept.then_some(Record::LogKept { n }));
        records.extend(self.is_acknowledged.then_some(Record::Acknowledged { n }));
        records
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The checksum of a record. The first record of a file, which names the generation, is checked with generation 0.
fn checksum(payload: &[u8], generation: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn encode(record: &Record, generation: u32) -> Vec<u8> {
    let generation = if matches!(record, Record::Begin { .. }) { 0 } else { generation };
    let payload = serde_json::to_vec(record).unwrap_or_default();
    let mut bytes = Vec::with_capacity(PREFIX + payload.len());
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&checksum(&payload, generation).to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// Every record before the first one that is torn, of another generation, or not understood.
fn read_records(bytes: &[u8]) -> Vec<Record> {
    let (mut records, mut rest, mut generation) = (Vec::new(), bytes, 0);
    while let Some((record, after)) = read_record(rest, generation) {
        if let Record::Begin { generation: found, .. } = &record {
            if !records.is_empty() {
                break;
            }
            generation = *found;
        } else if records.is_empty() {
            break;
        }
        records.push(record);
        rest = after;
    }
    records
}

fn read_record(bytes: &[u8], generation: u32) -> Option<(Record, &[u8])> {
    let (length, after) = bytes.split_first_chunk::<4>()?;
    let (sum, after) = after.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length == 0 || length > MAX_RECORD {
        return None;
    }
    let (payload, after) = after.split_at_checked(length)?;
    if checksum(payload, generation) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((serde_json::from_slice(payload).ok()?, after))
}

fn replay(records: Vec<Record>) -> (u64, BTreeMap<u64, Entry>) {
    let (mut epoch, mut entries) = (0, BTreeMap::new());
    for record in records {
        apply(&record, &mut epoch, &mut entries);
    }
    (epoch, entries)
}

fn apply(record: &Record, epoch: &mut u64, entries: &mut BTreeMap<u64, Entry>) {
    match record {
        Record::Begin { .. } => {}
        Record::Epoch { epoch: found } => *epoch = (*epoch).max(*found),
        Record::Start { n, start } => {
            entries.insert(*n, Entry::new(start.clone()));
        }
        Record::Acknowledged { n } => {
            change(entries, *n, |entry| entry.is_acknowledged = true);
            forget_if_settled(entries, *n);
        }
        Record::LogKept { n } => change(entries, *n, |entry| entry.log_is_kept = true),
        Record::LogClosed { n } => {
            change(entries, *n, |entry| entry.log_is_kept = false);
            forget_if_settled(entries, *n);
        }
        Record::Spawned { n, spawned } => change(entries, *n, |entry| entry.spawned = Some(spawned.clone())),
        Record::Failed { n, reason } => {
            change(entries, *n, |entry| entry.end = Some(EndNote::Failed(reason.clone())));
        }
        Record::Freezing { n } => change(entries, *n, |entry| entry.freeze = Some(FreezeNote::Freezing)),
        Record::Frozen { n, stopped } => {
            change(entries, *n, |entry| entry.freeze = Some(FreezeNote::Frozen(stopped.clone())));
        }
        Record::Thawed { n } => change(entries, *n, |entry| entry.freeze = None),
        Record::Stopping { n, kill_at_ms } => {
            change(entries, *n, |entry| entry.kill_at_ms = Some(*kill_at_ms));
        }
        Record::Exited { n, exit } => {
            change(entries, *n, |entry| entry.end = Some(EndNote::Exited(exit.clone())));
        }
    }
}

fn change(entries: &mut BTreeMap<u64, Entry>, n: u64, change: impl FnOnce(&mut Entry)) {
    if let Some(entry) = entries.get_mut(&n) {
        change(entry);
    }
}

fn forget_if_settled(entries: &mut BTreeMap<u64, Entry>, n: u64) {
    if entries.get(&n).is_some_and(|entry| entry.is_acknowledged && !entry.log_is_kept) {
        entries.remove(&n);
    }
}

/// A path as text if it is UTF-8, else as bytes.
mod exact_path {
    use super::{Deserialize, OsStrExt, OsString, OsStringExt, Path, PathBuf, Serialize};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Exact {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        let exact = match path.to_str() {
            Some(text) => Exact::Text(text.to_owned()),
            None => Exact::Bytes(path.as_os_str().as_bytes().to_vec()),
        };
        exact.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Exact::deserialize(deserializer)? {
            Exact::Text(text) => PathBuf::from(text),
            Exact::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}

#[cfg(test)]
mod tests;
