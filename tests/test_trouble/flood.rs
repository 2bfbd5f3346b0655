//! A step that writes as fast as it can: it is never blocked for good, the engine's memory does not grow, the log keeps
//! its limit, and its end can be read at any time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use leverframe::logs::{LogChunk, LogLine, LogReader};

use crate::support::bench::{Bench, stored_step};
use crate::support::engine_process::EngineProcess;
use crate::support::process::resident_bytes;

const LIMIT: u64 = 64 << 20;
/// What the engine's memory may grow by.
const ROOM: u64 = 50 << 20;
/// Blocks that a file system may need for its own notes on a file with holes.
const SLACK: u64 = 1 << 20;

/// How much is written: `LEVERFRAME_FLOOD_BYTES`, else 2 GiB.
fn flood_bytes() -> u64 {
    let asked = std::env::var("LEVERFRAME_FLOOD_BYTES").ok();
    asked.map_or(2 << 30, |text| text.parse().expect("a number of bytes")).max(4 * LIMIT)
}

/// The last line of what is there now, and how much of the disk it takes.
fn look_at(log: &Path) -> Option<(String, u64)> {
    let reader = LogReader::open(log).ok()?;
    let tail = reader.tail(3, 1 << 16).expect("it can be read at any time");
    let last = tail.lines.iter().rev().find_map(|line| match line {
        LogLine::Text { text, .. } => Some(text.clone()),
        LogLine::Dropped { .. } => None,
    })?;
    Some((last, fs::metadata(log).ok()?.blocks() * 512))
}

#[test]
fn a_flood_blocks_nobody_takes_no_memory_keeps_its_limit_and_can_be_read_all_the_time() {
    let n_bytes = flood_bytes();
    let bench = Bench::new();
    let script = format!(
        "echo the first line\nyes 'a line of the flood' | head -c {n_bytes}\necho\necho the last line\n"
    );
    let keys = "log_limit = \"64MiB\"";
    let file = bench.pipeline_file("", &[("quiet", "", ""), ("flood", keys, &script)]);
    let mut engine = EngineProcess::open(&bench.data_dir);
    engine.order(&format!("start {} r1", file.display()));
    engine.wait_for_event("step_started");
    let base = resident_bytes(engine.pid()).expect("it lives");
    let log = bench.data_dir.join("logs/r1/flood.1.log");
    let (mut most_memory, mut most_disk, mut n_looks) = (0, 0, 0);
    // Events come when something happens; in between it is looked at as often as this machine can.
    while engine.heard("execution_completed").is_none() {
        if let Some((last, disk)) = look_at(&log) {
            assert!(
                "a line of the flood\n".contains(last.trim()) || last.starts_with("the ") || last.is_empty(),
                "a torn tail: {last:?}"
            );
            most_disk = disk.max(most_disk);
            n_looks += 1;
        }
        most_memory = resident_bytes(engine.pid()).unwrap_or_default().max(most_memory);
        assert!(engine.heard("execution_failed").is_none());
    }
    assert!(most_memory < base + ROOM, "{most_memory} bytes of memory, at first {base}");
    assert!(most_disk <= LIMIT + SLACK, "{most_disk} bytes of disk");
    assert!(n_looks > 1, "it was looked at while it was written");

    assert_eq!(stored_step(&bench.stored("r1"), "flood").exit_code, Some(0));
    let reader = LogReader::open(&log).expect("a log");
    let log_len = reader.log_len().expect("it can be read");
    assert_eq!(
        log_len,
        n_bytes + "the first line\n\nthe last line\n".len() as u64,
        "every byte is accounted for"
    );
    let head = reader.chunk_at(0).expect("a head");
    let begins = |bytes: &[u8]| bytes.starts_with(b"the first line\n");
    assert!(matches!(head, Some(LogChunk::Bytes { bytes, .. }) if begins(&bytes)));
    let tail = reader.tail(1, 1 << 12).expect("a tail");
    assert!(matches!(tail.lines.last(), Some(LogLine::Text { text, .. }) if text == "the last line"));
    let n_dropped: u64 = reader.dropped().expect("it says so").iter().map(|gap| gap.end - gap.start).sum();
    assert!(n_dropped >= log_len - LIMIT, "{n_dropped} of {log_len}");
    let warning = format!("step flood: {n_dropped} bytes of its log were dropped");
    engine
        .wait_for("the warning", |line| line["text"].as_str().is_some_and(|text| text.starts_with(&warning)));
    assert!(engine.leave().success());
    bench.wait_deserted();
}
