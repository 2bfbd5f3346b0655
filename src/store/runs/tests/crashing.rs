//! Kill -9 in the middle of commits.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::json;

use super::*;
use crate::store::RunWrite;

const CHILD: &str = "LEVERFRAME_TEST_CRASH_DB";

/// In the child: commits numbers one after the other, and prints each when it is on disk.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = CheckpointManager::open(path).unwrap();
    let begun = store.list_runs(&Default::default()).unwrap().len();
    let mut out = std::io::stdout();
    for n in begun + 1.. {
        // Two rows that belong together, one of them large enough to span many pages.
        let id = format!("r{n:06}");
        store
            .commit(&[
                RunWrite::Run(Arc::new(run(&id, RunState::Running, n as i64))),
                checkpoint(
                    &id,
                    "fetch",
                    &json!({ "n": n, "body": "x".repeat(n % 7 * 3000) }).to_string(),
                    at(n as i64),
                ),
            ])
            .unwrap();
        if writeln!(out, "committed {n}").is_err() {
            return;
        }
    }
}

#[test]
fn after_kill_9_everything_that_was_acknowledged_is_there_and_nothing_half() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::runs::tests::crashing::child_that_commits_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let goal = acknowledged + 1 + round * 3 % 17;
        while acknowledged < goal {
            let line = said.next().expect("the child was not to end by itself").unwrap();
            if let Some(n) = line.strip_prefix("committed ") {
                acknowledged = n.parse().unwrap();
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in said.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("committed ") {
                acknowledged = n.parse().unwrap();
            }
        }

        let store = CheckpointManager::open(&path).unwrap();
        assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
        let runs = store.list_runs(&Default::default()).unwrap();
        assert!(runs.len() >= acknowledged, "{} of {acknowledged}", runs.len());
        assert!(runs.len() <= acknowledged + 1, "at most the one that was not said yet");
        for (i, run) in runs.iter().rev().enumerate() {
            assert_eq!(run.run_id.as_str(), format!("r{:06}", i + 1), "a prefix, without a gap");
            let checkpoint = store.load_checkpoint(&run.run_id, "fetch").unwrap().unwrap();
            assert_eq!(checkpoint["n"], i + 1, "both rows or none");
        }
        acknowledged = runs.len();
    }
}
