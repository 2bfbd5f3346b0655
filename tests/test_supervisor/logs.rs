//! Logs: whole, in order, bounded.

use std::os::unix::fs::MetadataExt;

use leverframe::supervisor::HostEvent;

use super::bench::{Bench, code, key};
use crate::support::small_disk::SmallDisk;

#[test]
fn stdout_and_stderr_are_interleaved_as_written_and_reopening_stderr_loses_nothing() {
    let mut bench = Bench::new();
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; echo again $i > /dev/stderr; echo on $i >> /dev/stdout; done";
    assert_eq!(bench.run("a", script).cause, code(0));
    let expected: String = (1..=3).map(|i| format!("out {i}\nerr {i}\nagain {i}\non {i}\n")).collect();
    assert_eq!(bench.log(&key("a", 1)), expected);
}

#[test]
fn the_last_word_of_a_step_is_in_its_log_when_its_end_is_told() {
    let mut bench = Bench::new();
    for n in [1, 10, 65_536, 300_000, 3_000_000] {
        let step = format!("s{n}");
        bench.run(&step, &format!("head -c {n} /dev/zero | tr '\\0' x; printf end"));
        let log = bench.log(&key(&step, 1));
        assert!(log.len() == n + 3 && log.ends_with("end"), "{} of {n}", log.len());
    }
}

#[test]
fn a_log_beyond_its_limit_keeps_head_and_newest_tail_within_the_limit_on_disk() {
    let mut bench = Bench::new();
    let mut spec = bench.spec("a", "seq -f %015.0f 0 262143");
    spec.log_limit = 2 << 20;
    bench.start(spec.clone());
    let exit = bench.exit("a");
    let metadata = std::fs::metadata(&spec.log_path).unwrap();
    let whole: String = (0..262_144).map(|i| format!("{i:015}\n")).collect();
    assert_eq!(metadata.len(), whole.len() as u64);
    assert!(metadata.blocks() * 512 <= spec.log_limit + 4096, "{} blocks", metadata.blocks());
    let kept = bench.log(&spec.key);
    assert!(kept[..1 << 20] == whole[..1 << 20]);
    let dropped = usize::try_from(exit.log_dropped_bytes).unwrap();
    assert!((2 << 20..3 << 20).contains(&dropped), "{dropped}");
    assert!(kept[(1 << 20) + dropped..] == whole[(1 << 20) + dropped..]);
}

#[test]
fn many_logs_are_moved_side_by_side() {
    let mut bench = Bench::new();
    let steps: Vec<String> = (0..8).map(|i| format!("s{i}")).collect();
    for step in &steps {
        bench.sh(step, "yes | head -c 4000000");
    }
    let mut left = steps.len();
    while left > 0 {
        bench.engine().wait_for(|event| matches!(event, HostEvent::Exited { .. }).then_some(()));
        left -= 1;
    }
    for step in &steps {
        assert_eq!(bench.log(&key(step, 1)).len(), 4_000_000);
    }
}

#[test]
fn a_full_disk_is_told_once_blocks_nobody_for_ever_and_is_counted() {
    let Some(mut disk) = SmallDisk::mount(1) else { return };
    disk.fill();
    let mut bench = Bench::new();
    let mut spec = bench.spec("a", "echo 0123456789; until [ -e go ]; do sleep 0.01; done; echo abc");
    spec.log_path = disk.path().join("a.log");
    bench.start(spec);
    let disk_full = bench.engine().wait_for(|event| match event {
        HostEvent::LogTrouble { disk_full, reason, .. } if reason.contains("space") => Some(*disk_full),
        _ => None,
    });
    assert!(disk_full);
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    let exit = bench.exit("a");
    assert_eq!((exit.cause, exit.log_dropped_bytes), (code(0), 15));
}
