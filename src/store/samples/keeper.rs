//! The thread that writes `samples.db`: several samples in one transaction, then coarser points, then the removal of
//! old ones. It reports no failure: history is not worth a disturbance.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, after, never, select};
use rusqlite::{Connection, params};

use super::schema::SAMPLES;
use super::{MAX_BYTES, Order, Resolution};
use crate::base::id::AttemptKey;
use crate::resources::{LimitChange, ResourceSnapshot};
use crate::store::error::StoreError;
use crate::store::sqlite::open;

/// How long samples may wait to share a transaction.
const COMPANY: Duration = Duration::from_secs(10);
/// How long a statement waits for another program's lock, such as that of a user who looks at the file.
const BUSY: Duration = Duration::from_secs(2);
/// From one removal of old points to the next, in milliseconds of samples.
const CLEAN_EVERY_MS: i64 = 60_000;
/// A point that is further ahead than this was written while the clock was wrong; in milliseconds.
const FUTURE_MS: i64 = 24 * 3_600_000;
/// How many changes of limits are kept.
const MAX_CHANGES: i64 = 10_000;
/// How many ids of series are remembered.
const MAX_SERIES: usize = 4096;

pub(super) struct Keeper {
    path: PathBuf,
    n_lost: Arc<AtomicU64>,
    file: Option<File>,
    waiting: Vec<Arc<ResourceSnapshot>>,
}

/// The database while it is open.
struct File {
    conn: Connection,
    /// The file, its log and its index, each by device and inode.
    identity: Identity,
    series: HashMap<AttemptKey, i64>,
    /// For each resolution, the instant up to which its points exist.
    done_ms: [i64; 3],
    cleaned_ms: Option<i64>,
}

type Identity = [Option<(u64, u64)>; 3];

impl Keeper {
    pub(super) fn new(path: PathBuf, n_lost: Arc<AtomicU64>) -> Self {
        Self { path, n_lost, file: None, waiting: Vec::new() }
    }

    /// Writes samples as they arrive, until it is stopped.
    pub(super) fn run(mut self, arriving: &Receiver<Arc<ResourceSnapshot>>, ordered: &Receiver<Order>) {
        let mut due = never();
        loop {
            select! {
                recv(arriving) -> sample => match sample {
                    Ok(sample) => {
                        if self.waiting.is_empty() {
                            due = after(COMPANY);
                        }
                        self.waiting.push(sample);
                    }
                    Err(_) => return self.write(),
                },
                recv(due) -> _ => {
                    due = never();
                    self.write();
                }
                recv(ordered) -> order => {
                    self.waiting.extend(arriving.try_iter());
                    due = never();
                    self.write();
                    match order {
                        // The caller may be gone.
                        Ok(Order::Flush(reply)) => drop(reply.send(())),
                        Ok(Order::Stop) | Err(_) => return,
                    }
                }
            }
        }
    }

    /// Writes the waiting samples. Samples that can't be written are lost.
    fn write(&mut self) {
        let samples = std::mem::take(&mut self.waiting);
        if samples.is_empty() {
            return;
        }
        // The second try is for a file that was removed while in use, or was corrupt.
        if self.try_write(&samples).is_err() && self.try_write(&samples).is_err() {
            self.n_lost.fetch_add(samples.len() as u64, Ordering::Relaxed);
        }
    }

    fn try_write(&mut self, samples: &[Arc<ResourceSnapshot>]) -> Result<(), StoreError> {
        if self.file.as_ref().is_some_and(|file| file.identity != identity(&self.path)) {
            // The file was removed or replaced: no one would ever read what is written there now.
            self.file = None;
        }
        let outcome = match &mut self.file {
            Some(file) => file.write(samples).map_err(|error| StoreError::from_sql(&self.path, &error)),
            None => File::open(&self.path).and_then(|file| {
                let file = self.file.insert(file);
                file.write(samples).map_err(|error| StoreError::from_sql(&self.path, &error))
            }),
        };
        if let Err(error) = &outcome {
            self.file = None;
            if matches!(error, StoreError::Corrupt { .. }) {
                // It holds nothing that is needed.
                for path in files(&self.path) {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
        outcome
    }
}

impl File {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let (conn, _) = open::writer(&SAMPLES, path, BUSY)?;
        let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
        // NORMAL: samples may be lost when power fails. A small log, because each write is small.
        conn.execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 500; PRAGMA journal_size_limit = 4194304;
             DELETE FROM series WHERE id NOT IN (SELECT series FROM step_samples);",
        )
        .map_err(sql)?;
        let mut done_ms = [0; 3];
        for resolution in [Resolution::TenSeconds, Resolution::Minute] {
            let newest: Option<i64> = conn
                .query_row(
                    "SELECT max(at_ms) FROM machine_samples WHERE level = ?1",
                    [resolution.level()],
                    |row| row.get(0),
                )
                .map_err(sql)?;
            let next = newest.map_or(0, |newest| newest + resolution.step_ms());
            done_ms[resolution.level() as usize] = next;
        }
        Ok(Self { conn, identity: identity(path), series: HashMap::new(), done_ms, cleaned_ms: None })
    }

    fn write(&mut self, samples: &[Arc<ResourceSnapshot>]) -> rusqlite::Result<()> {
        let Some(newest_ms) = samples.iter().map(|sample| sample.machine.at.timestamp_millis()).max() else {
            return Ok(());
        };
        if self.series.len() > MAX_SERIES {
            self.series.clear();
        }
        let tx = self.conn.transaction()?;
        for sample in samples {
            insert(&tx, &mut self.series, sample)?;
        }
        let mut done_ms = self.done_ms;
        for (finer, coarser) in
            [(Resolution::Full, Resolution::TenSeconds), (Resolution::TenSeconds, Resolution::Minute)]
        {
            let step_ms = coarser.step_ms();
            let done = &mut done_ms[coarser.level() as usize];
            let until = newest_ms.div_euclid(step_ms) * step_ms;
            if *done > until + Resolution::Full.kept_ms() {
                // The clock was set back: begin anew with what is there.
                *done = 0;
            }
            if until > *done {
                condense(&tx, finer, coarser, (*done).max(until - finer.kept_ms()), until)?;
                *done = until;
            }
        }
        let is_dirty = self.cleaned_ms.is_none_or(|at| (newest_ms - at).abs() >= CLEAN_EVERY_MS);
        if is_dirty {
            clean(&tx, newest_ms, MAX_BYTES)?;
        }
        tx.commit()?;
        self.done_ms = done_ms;
        if is_dirty {
            self.cleaned_ms = Some(newest_ms);
        }
        Ok(())
    }
}

fn insert(
    conn: &Connection,
    series: &mut HashMap<AttemptKey, i64>,
    sample: &ResourceSnapshot,
) -> rusqlite::Result<()> {
    let machine = &sample.machine;
    let at_ms = machine.at.timestamp_millis();
    conn.prepare_cached(
        "INSERT OR REPLACE INTO machine_samples
         VALUES (0, ?1, ?2, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        at_ms,
        ppm(machine.cpu_fraction),
        whole(machine.memory_used_bytes),
        whole(machine.memory_total_bytes),
        whole(machine.swap_used_bytes),
        whole(machine.swap_total_bytes),
        whole(machine.disk_free_bytes),
        machine.disk_read_rate as i64,
        machine.disk_write_rate as i64,
        machine.network_receive_rate as i64,
        machine.network_send_rate as i64,
    ])?;
    for step in &sample.steps {
        let id = match series.get(&step.key) {
            Some(id) => *id,
            None => {
                let id = series_id(conn, &step.key)?;
                series.insert(step.key.clone(), id);
                id
            }
        };
        conn.prepare_cached(
            "INSERT OR REPLACE INTO step_samples VALUES (0, ?1, ?2, ?3, ?3, ?4, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            at_ms,
            id,
            ppm(step.cpu_fraction),
            whole(step.memory_bytes),
            step.read_rate as i64,
            step.write_rate as i64,
            step.n_processes,
        ])?;
    }
    for change in &sample.changes {
        let (of, is_raised) = match change {
            LimitChange::Raised(of) => (of, true),
            LimitChange::Cleared(of) => (of, false),
        };
        conn.prepare_cached(
            "INSERT INTO limit_changes (at_ms, resource, volume, is_raised, text) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            at_ms,
            of.limit.resource().name(),
            of.volume.as_ref().map(|path| path.to_string_lossy()),
            is_raised,
            change.text(sample),
        ])?;
    }
    Ok(())
}

fn series_id(conn: &Connection, key: &AttemptKey) -> rusqlite::Result<i64> {
    let name = params![key.run_id.as_str(), key.step_id.as_str(), key.attempt];
    conn.prepare_cached("INSERT OR IGNORE INTO series (run_id, step_id, attempt) VALUES (?1, ?2, ?3)")?
        .execute(name)?;
    conn.prepare_cached("SELECT id FROM series WHERE run_id = ?1 AND step_id = ?2 AND attempt = ?3")?
        .query_row(name, |row| row.get(0))
}

/// Makes one point of all points within each step of a coarser resolution: the means, and the peaks.
fn condense(
    conn: &Connection,
    finer: Resolution,
    coarser: Resolution,
    from_ms: i64,
    until_ms: i64,
) -> rusqlite::Result<()> {
    let bounds = params![coarser.level(), coarser.step_ms(), finer.level(), from_ms, until_ms];
    let mean = |column: &str| format!("CAST(round(avg({column})) AS INTEGER)");
    let of_machine = [
        mean("cpu_ppm"),
        "max(cpu_peak_ppm)".to_owned(),
        mean("memory_bytes"),
        "max(memory_peak_bytes), max(memory_total_bytes)".to_owned(),
        mean("swap_bytes"),
        "max(swap_total_bytes), min(disk_free_bytes)".to_owned(),
        mean("disk_read_rate"),
        mean("disk_write_rate"),
        mean("network_receive_rate"),
        mean("network_send_rate"),
    ];
    let of_steps = [
        mean("cpu_ppm"),
        "max(cpu_peak_ppm)".to_owned(),
        mean("memory_bytes"),
        "max(memory_peak_bytes)".to_owned(),
        mean("read_rate"),
        mean("write_rate"),
        "max(n_processes)".to_owned(),
    ];
    conn.prepare_cached(&format!(
        "INSERT OR REPLACE INTO machine_samples SELECT ?1, at_ms / ?2 * ?2, {}
         FROM machine_samples WHERE level = ?3 AND at_ms >= ?4 AND at_ms < ?5 GROUP BY at_ms / ?2",
        of_machine.join(", ")
    ))?
    .execute(bounds)?;
    conn.prepare_cached(&format!(
        "INSERT OR REPLACE INTO step_samples SELECT ?1, at_ms / ?2 * ?2, series, {}
         FROM step_samples WHERE level = ?3 AND at_ms >= ?4 AND at_ms < ?5 GROUP BY at_ms / ?2, series",
        of_steps.join(", ")
    ))?
    .execute(bounds)?;
    Ok(())
}

/// Removes points that are too old, and then, if the file is too large, the older history of steps.
pub(super) fn clean(conn: &Connection, now_ms: i64, max_bytes: u64) -> rusqlite::Result<()> {
    for resolution in Resolution::ALL {
        let bounds = params![resolution.level(), now_ms - resolution.kept_ms(), now_ms + FUTURE_MS];
        for table in ["machine_samples", "step_samples"] {
            for which in ["at_ms < ?2", "at_ms > ?3"] {
                // Names both bounds, so that both statements take the same parameters.
                let sql = format!("DELETE FROM {table} WHERE level = ?1 AND {which} AND ?2 < ?3");
                conn.prepare_cached(&sql)?.execute(bounds)?;
            }
        }
    }
    // Kept as long as the coarsest points, and limited in number, in case a limit changes all the time.
    conn.prepare_cached(
        "DELETE FROM limit_changes WHERE at_ms < ?1 OR at_ms > ?2
           OR id <= (SELECT max(id) FROM limit_changes) - ?3",
    )?
    .execute(params![now_ms - Resolution::Minute.kept_ms(), now_ms + FUTURE_MS, MAX_CHANGES])?;
    let mut share = 2;
    while used_bytes(conn)? > max_bytes && share <= 1024 {
        for resolution in Resolution::ALL {
            conn.execute(
                "DELETE FROM step_samples WHERE level = ?1 AND at_ms < ?2",
                params![resolution.level(), now_ms - resolution.kept_ms() / share],
            )?;
        }
        share *= 2;
    }
    Ok(())
}

/// Bytes of the file that are in use. Freed pages are used again before the file grows.
pub(super) fn used_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let bytes = (number("page_count")? - number("freelist_count")?) * number("page_size")?;
    Ok(bytes.unsigned_abs())
}

fn ppm(fraction: f64) -> i64 {
    (fraction * 1e6).round() as i64
}

fn whole(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn identity(path: &Path) -> Identity {
    files(path).map(|path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino())))
}

/// The file, its log and its index.
pub(super) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}
