//! `samples.db`: samples as time passes, and the file when it is damaged or removed.

use chrono::{DateTime, TimeDelta, Utc};

use super::keeper::{clean, files, used_bytes};
use super::*;
use crate::base::id::AttemptKey;
use crate::base::id::{RunId, StepId};
use crate::resources::{Limit, LimitChange, MachineSample, RaisedLimit, Resource, StepSample, Threshold};

fn at(second: i64) -> DateTime<Utc> {
    "2026-11-23T02:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(second)
}

fn run_id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

/// A sample whose figures are its second.
fn sample(second: i64, runs: &[&str]) -> Arc<ResourceSnapshot> {
    let step = |run: &&str| StepSample {
        key: AttemptKey { run_id: run_id(run), step_id: StepId::new("s").unwrap(), attempt: 1 },
        cpu_fraction: 0.25,
        memory_bytes: second as u64,
        read_rate: 10.0,
        write_rate: 20.0,
        written_bytes: 0,
        output_rate: 40.0,
        n_processes: 3,
    };
    let machine = MachineSample {
        at: at(second),
        cpu_fraction: 0.5,
        memory_used_bytes: second as u64,
        memory_total_bytes: 1 << 35,
        disk_free_bytes: 1 << 40,
        ..MachineSample::default()
    };
    Arc::new(ResourceSnapshot {
        machine,
        steps: runs.iter().map(step).collect(),
        ..ResourceSnapshot::default()
    })
}

fn store() -> (tempfile::TempDir, SampleStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SampleStore::open(dir.path().join("samples.db")).unwrap();
    (dir, store)
}

/// Pushes samples one by one, no faster than the thread writes them.
fn push_all(store: &SampleStore, seconds: impl Iterator<Item = i64>, runs: &[&str]) {
    for (n, second) in seconds.enumerate() {
        store.push(&sample(second, runs));
        if n % 100 == 99 {
            store.flush();
        }
    }
    store.flush();
}

fn machine(history: &SampleHistory, resolution: Resolution, from: i64, until: i64) -> Vec<MachinePoint> {
    let (range, step) = ((at(from), at(until)), TimeDelta::milliseconds(1));
    history.machine_in_steps(resolution, range, step).unwrap()
}

fn seconds(store: &SampleStore, resolution: Resolution) -> Vec<i64> {
    let points = machine(store.history(), resolution, -1_000_000, 10_000_000);
    points.iter().map(|point| (point.at - at(0)).num_seconds()).collect()
}

/// The run, the mean and the peak of memory, and the CPU of the points of steps, by time and run.
fn steps(store: &SampleStore, resolution: Resolution, from: i64, until: i64) -> Vec<(String, i64, i64, i64)> {
    let statement = "SELECT run_id, memory_bytes, memory_peak_bytes, cpu_ppm FROM step_samples
        JOIN series ON series.id = step_samples.series WHERE level = ?1 AND at_ms >= ?2 AND at_ms < ?3
        ORDER BY at_ms, run_id";
    let about = (resolution.level(), at(from).timestamp_millis(), at(until).timestamp_millis());
    let read = |conn: &rusqlite::Connection| {
        conn.prepare(statement)?.query_map(about, |row| row.try_into())?.collect()
    };
    store.history().ask(read).unwrap()
}

#[test]
fn what_was_pushed_can_be_read_by_time_and_by_run() {
    let (_dir, store) = store();
    assert_eq!(machine(store.history(), Resolution::Full, 0, 9), []);
    push_all(&store, 0..5, &["a", "b"]);
    assert_eq!(seconds(&store, Resolution::Full), [0, 1, 2, 3, 4]);
    let found = machine(store.history(), Resolution::Full, 3, 4);
    assert_eq!((found.len(), found[0].cpu_fraction, found[0].memory_used_bytes), (1, 0.5, 3));
    let point = |run: &str, second| (run.to_owned(), second, second, 250_000);
    let of_both = [point("a", 1), point("b", 1), point("a", 2), point("b", 2)];
    assert_eq!(steps(&store, Resolution::Full, 1, 3), of_both);
    assert_eq!(steps(&store, Resolution::Full, 0, 9).len(), 10);
    assert_eq!(store.n_lost(), 0);
}

#[test]
fn a_range_comes_in_as_many_points_as_are_wanted_with_the_peaks_of_all() {
    let (_dir, store) = store();
    push_all(&store, 0..1000, &["a"]);
    let (range, step) = ((at(0), at(1000)), TimeDelta::seconds(100));
    let points = store.history().machine_in_steps(Resolution::Full, range, step).unwrap();
    assert_eq!(points.len(), 10);
    assert!(points.windows(2).all(|pair| pair[1].at - pair[0].at == step));
    let second = &points[1];
    let first_second = (second.at - at(0)).num_seconds() as u64;
    assert_eq!(second.memory_peak_bytes, first_second + 99);
    assert_eq!(second.memory_used_bytes, first_second + 50, "the mean, rounded");
    assert_eq!((second.cpu_fraction, second.disk_free_bytes), (0.5, 1 << 40));
}

#[test]
fn the_steps_of_a_range_are_told_with_their_peaks_and_the_heaviest_of_too_many() {
    let (_dir, store) = store();
    push_all(&store, 0..10, &["short"]);
    push_all(&store, 10..100, &["light", "long"]);
    let spans = |limit| {
        let spans = store.history().step_spans(Resolution::Full, (at(5), at(60)), 1000, limit).unwrap();
        let told = spans.iter().map(|span| {
            let seconds = (span.from - at(0)).num_seconds()..=(span.until - at(0)).num_seconds();
            (span.key.run_id.as_str().to_owned(), seconds, span.memory_peak_bytes)
        });
        told.collect::<Vec<_>>()
    };
    let (light, long) = (("light".to_owned(), 10..=59, 59), ("long".to_owned(), 10..=59, 59));
    assert_eq!(spans(9), [("short".to_owned(), 5..=9, 9), light.clone(), long.clone()]);
    assert_eq!(spans(2), [light, long]);
    assert_eq!(spans(0), []);
}

#[test]
fn changes_of_limits_are_kept_with_their_sentences_and_for_thirty_days() {
    let (_dir, store) = store();
    let limit = Limit::new(
        Resource::Disk,
        Threshold::Bytes(2 << 30),
        Threshold::Bytes(3 << 30),
        std::time::Duration::ZERO,
    );
    let short = |free: u64| RaisedLimit {
        limit: limit.clone().unwrap(),
        volume: Some(Path::new("/data").into()),
        amount: free as f64,
        total: 1e12,
    };
    let push = |second: i64, change: LimitChange| {
        let sample =
            ResourceSnapshot { changes: vec![change], ..ResourceSnapshot::clone(&sample(second, &[])) };
        store.push(&Arc::new(sample));
        store.flush();
    };
    push(1, LimitChange::Raised(short(1 << 30)));
    push(2, LimitChange::Cleared(short(4 << 30)));
    let told = |limit| {
        let changes = store.history().limit_changes(at(0), at(9_000_000), limit).unwrap();
        changes
            .into_iter()
            .map(|change| (change.is_raised, change.volume.unwrap(), change.text))
            .collect::<Vec<_>>()
    };
    let volume = || "/data".to_owned();
    let raised = "disk of /data 1GiB free (limit 2GiB); no step is known to be the cause".to_owned();
    let cleared = "disk of /data 4GiB free: the limit of 2GiB is cleared".to_owned();
    assert_eq!(told(9), [(true, volume(), raised), (false, volume(), cleared.clone())]);
    assert_eq!(told(1), [(false, volume(), cleared)], "the newest");
    push(31 * 86_400, LimitChange::Cleared(short(5 << 30)));
    assert_eq!(told(9).len(), 1);
}

#[test]
fn a_file_of_version_1_is_read_as_it_is_and_brought_forward_when_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.db");
    // As version 0.2.0 wrote it.
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("version_1.sql")).unwrap();
    drop(old);
    let before = std::fs::read(&path).unwrap();
    let history = SampleHistory::of(&path);
    assert_eq!(history.limit_changes(at(-9), at(9), 9).unwrap(), []);
    assert_eq!(machine(&history, Resolution::Full, -9, 9).len(), 2);
    assert_eq!(std::fs::read(&path).unwrap(), before, "who reads changes nothing");
    let store = SampleStore::open(&path).unwrap();
    push_all(&store, 3..5, &["a"]);
    assert_eq!(seconds(&store, Resolution::Full), [0, 1, 3, 4]);
    let of_old = steps(&store, Resolution::Full, 0, 9).into_iter().filter(|(run, ..)| run == "old");
    assert_eq!(of_old.count(), 1);
    let version: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!((version, store.n_lost()), (2, 0));
}

#[test]
fn coarser_points_hold_means_and_peaks_and_go_on_over_a_restart() {
    let (dir, store) = store();
    push_all(&store, 0..45, &["a"]);
    drop(store);
    let store = SampleStore::open(dir.path().join("samples.db")).unwrap();
    push_all(&store, 45..125, &["a"]);
    assert_eq!(seconds(&store, Resolution::TenSeconds), (0..12).map(|n| n * 10).collect::<Vec<_>>());
    assert_eq!(seconds(&store, Resolution::Minute), [0, 60]);
    let (_, mean, peak, _) = steps(&store, Resolution::TenSeconds, 40, 50)[0];
    assert_eq!((mean, peak), (45, 49), "the mean of 40 to 49, and the peak");
    let minute = machine(store.history(), Resolution::Minute, 60, 61);
    assert_eq!((minute[0].memory_used_bytes, minute[0].memory_peak_bytes), (90, 119));
}

#[test]
fn each_resolution_is_kept_for_its_time() {
    let (_dir, store) = store();
    // A sample every ten seconds over a day and two hours, then one after 29 and one after 40 days.
    push_all(&store, (0..26 * 360).map(|n| n * 10), &["a"]);
    let full = seconds(&store, Resolution::Full);
    assert!((360..=368).contains(&full.len()), "{} points of an hour", full.len());
    let tens = seconds(&store, Resolution::TenSeconds);
    assert!((8_630..=8_650).contains(&tens.len()), "{} points of a day", tens.len());
    assert_eq!(seconds(&store, Resolution::Minute).len(), 26 * 60 - 1);
    push_all(&store, [29, 40].map(|day| day * 86_400).into_iter(), &["a"]);
    assert_eq!(seconds(&store, Resolution::Full), [40 * 86_400]);
    assert_eq!(steps(&store, Resolution::Minute, -1, 9 * 86_400), []);
}

#[test]
fn a_clock_that_was_wrong_does_not_stop_history() {
    let (_dir, store) = store();
    push_all(&store, (0..30).map(|n| n + 5_000_000), &[]);
    push_all(&store, 0..125, &[]);
    assert_eq!(seconds(&store, Resolution::Minute), [0, 60], "what lay in the future is gone");
}

#[test]
fn the_file_may_be_deleted_or_spoilt_while_it_is_in_use() {
    let (_dir, store) = store();
    push_all(&store, 0..5, &["a"]);
    for path in files(store.path()) {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(seconds(&store, Resolution::Full), [0; 0]);
    push_all(&store, 5..7, &["a"]);
    assert_eq!(seconds(&store, Resolution::Full), [5, 6]);
    for (n, path) in files(store.path()).into_iter().enumerate() {
        // One of the three alone: its contents may be lost, but what follows is not.
        std::fs::remove_file(path).unwrap();
        let second = 10 + n as i64;
        push_all(&store, second..second + 1, &["a"]);
        assert!(seconds(&store, Resolution::Full).contains(&second), "after {n}");
    }
    std::fs::remove_file(store.path()).unwrap();
    std::fs::write(store.path(), "no database at all, but long enough to be looked at ".repeat(40)).unwrap();
    push_all(&store, 20..21, &["a"]);
    assert_eq!(seconds(&store, Resolution::Full), [20]);
    assert_eq!(store.n_lost(), 0);
}

#[test]
fn what_can_not_be_written_is_counted_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = SampleStore::open(dir.path().join("no/such/folder/samples.db")).unwrap();
    push_all(&store, 0..7, &[]);
    assert_eq!(store.n_lost(), 7);
}

#[test]
fn when_writing_can_not_keep_up_the_oldest_are_dropped_and_counted() {
    let (_dir, store) = store();
    push_all(&store, 0..1, &[]);
    // Another connection holds the file, so that the thread waits.
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (reply, _answer) = bounded(1);
    store.push(&sample(1, &[]));
    store.shared.orders.send(Order::Flush(reply)).unwrap();
    while !store.shared.orders.is_empty() {
        std::thread::yield_now();
    }
    for second in 2..2 + 3 * MAX_WAITING as i64 {
        store.push(&sample(second, &[]));
    }
    // The thread may have taken as many as can wait at once, and as many wait.
    assert!(store.n_lost() > MAX_WAITING as u64, "{} lost", store.n_lost());
    other.execute_batch("ROLLBACK").unwrap();
    store.flush();
    assert!(seconds(&store, Resolution::Full).contains(&(1 + 3 * MAX_WAITING as i64)), "the newest is kept");
}

/// Fills the file as this many runs a day would, each of two hours with two steps at a time.
fn fill(path: &Path, runs_a_day: i64) -> rusqlite::Connection {
    let (conn, _) =
        crate::store::sqlite::open::writer(&super::schema::SAMPLES, path, std::time::Duration::ZERO).unwrap();
    let step_hours = 4 * runs_a_day;
    let rows = [(0, 3_600, 3_600), (1, 8_640, step_hours * 360), (2, 43_200, step_hours * 60 * 30)];
    for (level, n_machine, n_steps) in rows {
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             INSERT INTO machine_samples SELECT ?1, 1795399200000 + i * 60000, 123456, 654321, 12345678901, 12345678901,
               34359738368, 1234567890, 8589934592, 123456789012, 1234567, 12345678, 123456, 123456 FROM n",
            rusqlite::params![level, n_machine],
        )
        .unwrap();
        // Steps of one moment are neighbours, two or as many as there are.
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
             INSERT INTO step_samples SELECT ?1, 1795399200000 + i / 2 * 60000, 1000 + i % 2, 123456, 654321, 1234567890,
               1234567890, 1234567, 1234567, 12 FROM n",
            rusqlite::params![level, n_steps],
        )
        .unwrap();
    }
    conn
}

#[test]
fn thirty_days_of_ten_runs_a_day_take_a_few_megabytes() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("samples.db"), 10);
    let bytes = used_bytes(&conn).unwrap();
    assert!((4 << 20..20 << 20).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_file_that_is_too_large_gives_up_the_older_history_of_steps() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("samples.db"), 20);
    let before = used_bytes(&conn).unwrap();
    // The instant of the newest machine sample.
    let now_ms = 1_795_399_200_000 + 43_200 * 60_000;
    clean(&conn, now_ms, before / 2).unwrap();
    assert!(used_bytes(&conn).unwrap() <= before / 2, "{} of {before} bytes", used_bytes(&conn).unwrap());
    let n_minutes: i64 =
        conn.query_row("SELECT count(*) FROM machine_samples WHERE level = 2", [], |row| row.get(0)).unwrap();
    assert_eq!(n_minutes, 43_200, "the machine's own history stays");
}
