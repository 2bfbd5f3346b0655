//! A step starts only after its start is on disk, and a step that needs another only after that one's end is: looked
//! up in the database, through a connection of its own, at the moment when the host is asked to start it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use leverframe::CoreExecutionEngine;
use leverframe::base::id::AttemptKey;
use leverframe::engine::{EngineOptions, HostChoice, HostSink};
use leverframe::run::{RunState, StepState};
use leverframe::store::CheckpointManager;
use leverframe::supervisor::{ExitCause, HostEvent, HostRequest, StepExit, StepHost};

use crate::support::{start, wait_for_end};

/// Two at a time; `late` stands before the steps that were ready all along, but needs `first`.
const PIPELINE: &str = r#"
id = "p"
max_parallel = 2
[[step]]
id = "first"
needs = []
run = ["true"]
[[step]]
id = "late"
needs = ["first"]
run = ["true"]
[[step]]
id = "second"
needs = []
run = ["true"]
[[step]]
id = "third"
needs = []
run = ["true"]
[[step]]
id = "fourth"
needs = []
run = ["true"]
"#;

/// A host whose steps end two at a time: both ends reach the engine while it is still busy with the second start, so
/// that it decides them together.
struct Pairs {
    sink: HostSink,
    database: PathBuf,
    living: Vec<AttemptKey>,
    /// What was not on disk when it had to be.
    missing: Arc<Mutex<Vec<String>>>,
    n_started: usize,
}

impl StepHost for Pairs {
    fn send(&mut self, request: HostRequest) {
        let HostRequest::Start(spec) = request else { return };
        self.look_up(&spec.key);
        let at = "2026-11-23T02:00:00Z".parse().expect("an instant");
        (self.sink)(HostEvent::Started { key: spec.key.clone(), pid: 4_000_000, at });
        self.living.push(spec.key);
        self.n_started += 1;
        if self.living.len() == 2 || self.n_started == 5 {
            for key in self.living.drain(..) {
                let exit = StepExit {
                    cause: ExitCause::Code(0),
                    ended_at: at,
                    usage: None,
                    interrupted: false,
                    log_dropped_bytes: 0,
                };
                (self.sink)(HostEvent::Exited { key, exit });
            }
        }
    }
}

impl Pairs {
    fn look_up(&self, key: &AttemptKey) {
        let store = CheckpointManager::open_read_only(&self.database).expect("a database");
        let attempts = store.attempts(&key.run_id).expect("it can be read");
        let steps: HashMap<&str, _> =
            attempts.iter().map(|attempt| (attempt.step.id.as_str(), &attempt.step)).collect();
        let is_on_disk = steps.get(key.step_id.as_str()).is_some_and(|step| step.attempt == key.attempt);
        let first_ended = steps.get("first").is_some_and(|step| step.state() == StepState::Completed);
        let mut missing = self.missing.lock().expect("unharmed");
        if !is_on_disk {
            missing.push(format!("the start of {}", key.step_id));
        }
        if key.step_id.as_str() == "late" && !first_ended {
            missing.push("the end of first, which late needs".to_owned());
        }
    }
}

#[test]
fn a_step_starts_only_after_its_start_is_on_disk_also_when_two_ends_come_together() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = Arc::default();
    let engine = open(dir.path(), &missing);
    let events = engine.subscribe();
    let run = start(&engine, "r1", PIPELINE);
    let ended = wait_for_end(&events, &run);
    assert_eq!(ended.kind.run().map(|run| run.state), Some(RunState::Completed));
    assert_eq!(*missing.lock().expect("unharmed"), Vec::<String>::new());
}

fn open(data_dir: &Path, missing: &Arc<Mutex<Vec<String>>>) -> CoreExecutionEngine {
    let (database, missing) = (data_dir.join("checkpoints.db"), missing.clone());
    let host = HostChoice::Custom(Arc::new(move |_epoch, sink: HostSink| {
        sink(HostEvent::Inventory(Vec::new()));
        let (database, missing) = (database.clone(), missing.clone());
        Ok(Box::new(Pairs { sink, database, living: Vec::new(), missing, n_started: 0 }))
    }));
    CoreExecutionEngine::open(data_dir, EngineOptions { host, ..EngineOptions::default() }).expect("it opens")
}
