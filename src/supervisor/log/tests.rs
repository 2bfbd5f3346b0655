//! What reaches the file, and what is dropped of it.

use super::*;
use std::os::unix::fs::MetadataExt;

struct Bench {
    dir: tempfile::TempDir,
    log: Log,
    end: File,
}

fn bench(limit: u64) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = new_pipe().unwrap();
    let log = Log::open(&dir.path().join("log"), ours, limit).unwrap();
    Bench { dir, log, end: File::from(theirs) }
}

fn pump(bench: &mut Bench, bytes: &[u8]) {
    for chunk in bytes.chunks(10_000) {
        bench.end.write_all(chunk).unwrap();
        while let Turn::Moved(_) = bench.log.turn() {}
    }
}

fn numbered_lines(n: usize) -> Vec<u8> {
    (0..n).flat_map(|i| format!("{i:015}\n").into_bytes()).collect()
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut bench = bench(1 << 30);
    let bytes = numbered_lines(100_000);
    pump(&mut bench, &bytes);
    assert_eq!(std::fs::read(bench.dir.path().join("log")).unwrap(), bytes);
    let index = std::fs::read(bench.dir.path().join("log.idx")).unwrap();
    assert_eq!(index.len() % 16, 0);
    assert_eq!(index[..8], 0_u64.to_le_bytes());
}

#[test]
fn beyond_the_limit_head_and_newest_tail_stay_and_the_middle_is_counted() {
    for limit in [0, 64 << 10, 300_000, 1 << 20] {
        let mut bench = bench(limit);
        let bytes = numbered_lines(200_000);
        pump(&mut bench, &bytes);
        let limit = limit.max(MIN_LIMIT);
        let file = File::open(bench.dir.path().join("log")).unwrap();
        let disk = file.metadata().unwrap().blocks() * 512;
        assert!(disk <= limit + BLOCK, "{disk} of {limit}");
        let kept = std::fs::read(bench.dir.path().join("log")).unwrap();
        let (head, dropped) = (bench.log.head as usize, bench.log.n_dropped() as usize);
        assert_eq!(kept.len(), bytes.len());
        assert!(dropped > bytes.len() - limit as usize - 1, "{dropped}");
        assert!(kept[..head] == bytes[..head] && kept[head + dropped..] == bytes[head + dropped..]);
        assert!(kept[head..head + dropped].iter().all(|&b| b == 0));
        assert_eq!(end_of_hole(&file, head as u64), Some((head + dropped) as u64));
        assert!(bytes.len() - head - dropped >= limit as usize / 4, "a tail worth reading");
    }
}

#[test]
fn a_successor_goes_on_where_the_file_ends_and_knows_the_hole() {
    let mut bench = bench(64 << 10);
    let bytes = numbered_lines(100_000);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    pump(&mut bench, first);
    let dropped = bench.log.n_dropped();
    let pipe = rustix::io::fcntl_dupfd_cloexec(bench.log.pipe(), 3).unwrap();
    bench.log = Log::open(&bench.dir.path().join("log"), pipe, 64 << 10).unwrap();
    assert_eq!(bench.log.n_dropped(), dropped);
    pump(&mut bench, second);
    let kept = std::fs::read(bench.dir.path().join("log")).unwrap();
    assert_eq!(kept.len(), bytes.len());
    assert!(kept.ends_with(&bytes[bytes.len() - 16_000..]));
}

#[test]
fn where_nothing_can_be_punched_the_head_is_kept_and_the_rest_counted() {
    let mut bench = bench(64 << 10);
    bench.log.can_punch = false;
    let bytes = numbered_lines(50_000);
    pump(&mut bench, &bytes);
    let kept = std::fs::read(bench.dir.path().join("log")).unwrap();
    assert_eq!(kept, bytes[..64 << 10]);
    assert_eq!(bench.log.n_dropped() as usize, bytes.len() - kept.len());
}

#[test]
fn without_splice_the_bytes_are_the_same() {
    let mut bench = bench(1 << 30);
    bench.log.can_splice = false;
    let bytes = numbered_lines(50_000);
    pump(&mut bench, &bytes);
    assert_eq!(std::fs::read(bench.dir.path().join("log")).unwrap(), bytes);
}

#[test]
fn a_full_disk_leaves_the_data_in_the_pipe_until_the_end_counts_it() {
    let (ours, theirs) = new_pipe().unwrap();
    // `Log::open` refuses it, so it is opened here.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut log = Log::of(full, Path::new("/dev/full"), ours, 1 << 30).unwrap();
    log.can_splice = false;
    File::from(theirs.try_clone().unwrap()).write_all(b"0123456789").unwrap();
    assert!(matches!(log.turn(), Turn::Trouble(_)));
    File::from(theirs).write_all(b"abc").unwrap();
    let n_waiting = log.n_waiting();
    log.finish(n_waiting);
    assert_eq!(log.n_dropped(), 13);
}

#[test]
fn what_the_step_of_a_log_without_a_file_writes_is_taken_and_counted() {
    let (ours, theirs) = new_pipe().unwrap();
    let mut log = Log::without_file(Path::new("/nowhere/log"), ours, 1 << 30).unwrap();
    File::from(theirs).write_all(b"0123456789").unwrap();
    assert!(matches!(log.turn(), Turn::Moved(10)));
    assert!(matches!(log.turn(), Turn::Empty), "our own end keeps it open");
    drop(log.let_close().unwrap());
    assert!(matches!(log.turn(), Turn::Closed), "nobody else can write to it");
    assert_eq!(log.n_dropped(), 10);
}
