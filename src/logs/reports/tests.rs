//! The follower against real files and real notification.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::base::id::StepId;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

struct Bench {
    dir: TempDir,
    follower: ReportFollower,
    batches: Receiver<ReportBatch>,
}

fn key(run: &str, step: &str) -> AttemptKey {
    AttemptKey { run_id: RunId::new(run).unwrap(), step_id: StepId::new(step).unwrap(), attempt: 1 }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // As many batches as a test may have under way; a full channel would block the follower's thread.
        let (sink, batches) = crossbeam_channel::bounded(100);
        let follower = ReportFollower::new(dir.path(), move |batch| sink.send(batch).unwrap()).unwrap();
        Self { dir, follower, batches }
    }

    fn append(&self, key: &AttemptKey, text: &str) {
        let path = attempt_path(self.dir.path(), key);
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn next(&self) -> ReportBatch {
        self.batches.recv_timeout(DEADLINE).expect("a batch within the deadline")
    }
}

#[test]
fn what_a_step_reports_arrives_as_it_is_written() {
    let bench = Bench::new();
    let key = key("r", "s.with.dots");
    bench.follower.follow(&key.run_id).unwrap();
    bench.follower.begin(&key, 0);
    let mut offset = 0;
    for progress in [0.1, 0.2, 0.3] {
        bench.append(&key, &format!("{{\"progress\": {progress}}}\n"));
        let batch = bench.next();
        assert_eq!((batch.progress, batch.from_offset), (Some(progress), offset));
        offset = batch.new_offset;
        bench.follower.taken(&key, offset);
    }
    assert!(bench.follower.finish(&key, offset).is_empty());
}

#[test]
fn while_a_batch_is_not_recorded_no_other_is_read_and_then_all_come_as_one() {
    let bench = Bench::new();
    let (slow, quick) = (key("r", "slow"), key("r", "quick"));
    bench.follower.follow(&slow.run_id).unwrap();
    bench.follower.begin(&slow, 0);
    bench.follower.begin(&quick, 0);
    bench.append(&slow, "{\"progress\": 0.1}\n");
    let first = bench.next();
    for i in 0..100 {
        bench.append(&slow, &format!("{{\"progress\": 0.2, \"output\": {{\"k{i}\": 1}}}}\n"));
    }
    // The other attempt is served meanwhile; by then all of the above was notified.
    bench.append(&quick, "{\"progress\": 0.9}\n");
    assert_eq!(bench.next().key, quick);
    assert!(bench.batches.is_empty());
    bench.follower.taken(&slow, first.new_offset);
    let second = bench.next();
    assert_eq!((second.from_offset, second.outputs.len()), (first.new_offset, 100));
}

#[test]
fn the_end_of_a_step_reads_again_what_is_not_recorded_and_says_each_warning() {
    let bench = Bench::new();
    let key = key("r", "s");
    bench.follower.follow(&key.run_id).unwrap();
    bench.follower.begin(&key, 0);
    bench.append(&key, "hello\n{\"output\": {\"a\": 1}}\n");
    let under_way = bench.next();
    bench.append(&key, "{\"output\": {\"b\": 2}}");
    let last = bench.follower.finish(&key, 0);
    assert_eq!((last.from_offset, last.outputs.len(), last.warnings.len()), (0, 2, 1));
    // Decided again after a failed commit, and after one that had taken the batch under way.
    assert_eq!(bench.follower.finish(&key, 0).outputs.len(), 2);
    assert_eq!(bench.follower.finish(&key, under_way.new_offset).outputs.len(), 1);
}

#[test]
fn a_warning_that_was_taken_is_not_said_again_at_the_end() {
    let bench = Bench::new();
    let key = key("r", "s");
    bench.follower.follow(&key.run_id).unwrap();
    bench.follower.begin(&key, 0);
    bench.append(&key, "hello\n");
    let batch = bench.next();
    assert_eq!(batch.warnings.len(), 1);
    bench.append(&key, "hello\n");
    let last = bench.follower.finish(&key, batch.new_offset);
    assert!(last.new_offset > batch.new_offset && last.warnings.is_empty());
}

#[test]
fn what_was_written_before_the_watch_stood_is_read_from_the_recorded_offset() {
    let bench = Bench::new();
    let key = key("r", "s");
    std::fs::create_dir_all(run_folder(bench.dir.path(), &key.run_id)).unwrap();
    bench.append(&key, "{\"progress\": 0.1}\n");
    bench.append(&key, "{\"message\": \"m\"}\n");
    bench.follower.begin(&key, 18);
    bench.follower.follow(&key.run_id).unwrap();
    let batch = bench.next();
    assert_eq!((batch.from_offset, batch.progress, batch.message.as_deref()), (18, None, Some("m")));
}

#[test]
fn a_run_that_can_not_be_watched_is_told_once_and_read_at_the_end() {
    let bench = Bench::new();
    let (one, two) = (key("r", "one"), key("r", "two"));
    std::fs::create_dir_all(bench.dir.path().join("reports")).unwrap();
    // The watch fails: the folder is removed before the follower's thread comes to it.
    bench.follower.shared.order(Order::Follow(one.run_id.clone()));
    bench.follower.begin(&one, 0);
    let batch = bench.next();
    assert_eq!(batch.warnings[0].kind, ReportFaultKind::NotFollowed);
    bench.follower.taken(&one, batch.new_offset);
    std::fs::create_dir_all(run_folder(bench.dir.path(), &one.run_id)).unwrap();
    bench.append(&two, "{\"progress\": 0.5}\n");
    bench.follower.begin(&two, 0);
    assert!(bench.next().warnings.is_empty());
    bench.append(&one, "{\"progress\": 0.7}\n");
    assert_eq!(bench.follower.finish(&one, 0).progress, Some(0.7));
}

#[test]
fn runs_that_are_not_followed_any_more_say_nothing() {
    let bench = Bench::new();
    let (gone, here) = (key("gone", "s"), key("here", "s"));
    for key in [&gone, &here] {
        bench.follower.follow(&key.run_id).unwrap();
        bench.follower.begin(key, 0);
    }
    bench.follower.unfollow(&gone.run_id);
    bench.append(&gone, "{\"progress\": 0.1}\n");
    bench.append(&here, "{\"progress\": 0.2}\n");
    // Orders and turns are handled in order, so nothing of the other run can come later.
    let mut keys = vec![bench.next().key];
    keys.extend(bench.batches.try_iter().map(|batch| batch.key));
    assert!(keys.contains(&here));
    assert!(bench.follower.shared.state.lock().attempts.keys().eq([&here]));
}

#[test]
fn a_flood_is_taken_in_turns_and_nothing_of_it_is_lost() {
    let bench = Bench::new();
    let key = key("r", "s");
    bench.follower.follow(&key.run_id).unwrap();
    bench.follower.begin(&key, 0);
    let line = format!("{{\"message\": \"{}\"}}\n", "x".repeat(4000));
    let text = line.repeat(256);
    let total = 16 * text.len() as u64;
    std::thread::scope(|scope| {
        scope.spawn(|| (0..16).for_each(|_| bench.append(&key, &text)));
        let mut offset = 0;
        while offset < total {
            let batch = bench.next();
            assert_eq!(batch.from_offset, offset);
            assert!(batch.new_offset - offset <= TURN_BYTES && batch.warnings.is_empty());
            offset = batch.new_offset;
            bench.follower.taken(&key, offset);
        }
    });
}

#[test]
fn a_folder_that_is_removed_is_made_again_and_followed() {
    let bench = Bench::new();
    let key = key("r", "s");
    bench.follower.follow(&key.run_id).unwrap();
    bench.follower.begin(&key, 0);
    bench.append(&key, "{\"progress\": 0.1}\n");
    let batch = bench.next();
    bench.follower.taken(&key, batch.new_offset);
    // Watched by another watch, so that the test knows when the folder exists again.
    let folder = run_folder(bench.dir.path(), &key.run_id);
    let (sender, changes) = crossbeam_channel::unbounded();
    let tell = move || {
        let _ = sender.send(());
    };
    let watch = crate::files::FolderWatch::of_all([&folder], tell, |_, error| panic!("{error}"));
    std::fs::remove_dir_all(&folder).unwrap();
    while !folder.exists() {
        changes.recv_timeout(DEADLINE).expect("it is made again");
    }
    drop(watch);
    // Shorter than the old contents: the inode may be the same again.
    bench.append(&key, "{\"progress\":0.2}\n");
    let progress = std::iter::repeat_with(|| bench.next()).find_map(|batch| {
        bench.follower.taken(&key, batch.new_offset);
        batch.progress
    });
    assert_eq!(progress, Some(0.2));
}
