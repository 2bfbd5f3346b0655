//! A data directory, a folder for files that steps write, and an end for all processes of both.

use std::fs;
use std::path::PathBuf;

use leverframe::base::id::RunId;
use leverframe::engine::{CoreExecutionEngine, EngineOptions, EventBus, Subscription};
use leverframe::run::{Run, StepRun};
use leverframe::store::{CheckpointManager, StoredRun};
use leverframe::supervisor::probe;

use super::process::{kill, look_until, processes_of};
use super::small_disk::SmallDisk;
use super::{options, run_id};

/// The beginning of every step's script: a lock that is held while any process of its tree lives. Two trees of one step
/// at the same time are noted as a violation.
pub(crate) const ALONE: &str = r#"exec 9>>"$HERE/$LEVERFRAME_STEP_ID.lock"
flock -n 9 || echo "$LEVERFRAME_STEP_ID $LEVERFRAME_ATTEMPT" >> "$HERE/violations"
echo "$LEVERFRAME_STEP_ID $LEVERFRAME_ATTEMPT" >> "$HERE/ledger"
echo $$ >> "$HERE/$LEVERFRAME_STEP_ID.pids"
"#;

/// A script that prints when it begins, waits for [`Bench::let_go`], and prints when it ends.
pub(crate) const PATIENT: &str = r#"echo begin
until [ -e "$HERE/go" ]; do sleep 0.02; done
echo end
exit 7
"#;

/// A data directory, and next to it a folder that steps know as `$HERE`.
pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) data_dir: PathBuf,
    pub(crate) here: PathBuf,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        let (data_dir, here) = (root.join("data"), root.join("here"));
        fs::create_dir(&here).expect("a directory");
        Self { _dir: dir, data_dir, here }
    }

    /// The same with its data on another disk. The folder of the steps is not on that disk.
    pub(crate) fn on(disk: &SmallDisk) -> Self {
        let mut bench = Self::new();
        bench.data_dir = disk.path().join("data");
        bench
    }

    /// An engine in this process, with all its events from the first on.
    pub(crate) fn open(&self) -> (CoreExecutionEngine, Subscription) {
        self.open_with(options())
    }

    pub(crate) fn open_with(&self, options: EngineOptions) -> (CoreExecutionEngine, Subscription) {
        let bus = EventBus::new();
        let events = bus.subscribe();
        let engine = CoreExecutionEngine::open(&self.data_dir, EngineOptions { bus, ..options });
        (engine.expect("the engine opens"), events)
    }

    /// The text of a pipeline: `head`, then steps (id, keys and script).
    pub(crate) fn pipeline(&self, head: &str, steps: &[(&str, &str, &str)]) -> String {
        let mut text = format!("id = \"p\"\nenv = {{ HERE = \"{}\" }}\n{head}\n", self.here.display());
        for (id, keys, script) in steps {
            text += &format!("[[step]]\nid = \"{id}\"\n{keys}\nrun = '''\n{ALONE}{script}'''\n");
        }
        text
    }

    /// The same in a file.
    pub(crate) fn pipeline_file(&self, head: &str, steps: &[(&str, &str, &str)]) -> PathBuf {
        let path = self.here.join("p.toml");
        fs::write(&path, self.pipeline(head, steps)).expect("a file");
        path
    }

    /// Lets patient steps end.
    pub(crate) fn let_go(&self) {
        fs::write(self.here.join("go"), "").expect("a file");
    }

    /// The lines of a file that steps write; empty when it does not exist.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.here.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until a file holds `n` pids, one on each line, and returns them.
    pub(crate) fn pids_in(&self, name: &str, n: usize) -> Vec<u32> {
        look_until(&format!("{n} pids in {name}"), || {
            let pids: Vec<u32> = self.lines(name).iter().filter_map(|line| line.parse().ok()).collect();
            (pids.len() >= n).then_some(pids)
        })
    }

    /// The log of an attempt of a step of run `r1`.
    pub(crate) fn log(&self, step: &str, attempt: u32) -> String {
        let path = self.data_dir.join(format!("logs/r1/{step}.{attempt}.log"));
        fs::read_to_string(path).expect("a log")
    }

    pub(crate) fn supervisor(&self) -> u32 {
        look_until("a supervisor", || probe(&self.data_dir)).pid
    }

    /// The database, opened read-only while an engine may write it.
    pub(crate) fn store(&self) -> CheckpointManager {
        CheckpointManager::open_read_only(self.data_dir.join("checkpoints.db")).expect("it opens")
    }

    pub(crate) fn stored(&self, id: &str) -> StoredRun {
        self.store().load_run(&run_id(id)).expect("it can be read").expect("it is there")
    }

    /// The decisions of recovery about a run, one sentence each.
    pub(crate) fn decisions(&self, id: &str) -> Vec<String> {
        let decisions = self.store().decisions(&run_id(id)).expect("they can be read");
        decisions.into_iter().map(|decision| decision.text).collect()
    }

    /// Asserts that no two trees of one step lived at the same time, and that these attempts began in this order.
    pub(crate) fn assert_ledger(&self, expected: &[&str]) {
        assert_eq!(self.lines("violations"), [""; 0], "two trees of one step at once");
        assert_eq!(self.lines("ledger"), expected, "the attempts that began");
    }

    /// The same for steps that run in parallel, in any order.
    pub(crate) fn assert_ledger_of_any_order(&self, expected: &[&str]) {
        let mut ledger = self.lines("ledger");
        ledger.sort();
        assert_eq!(self.lines("violations"), [""; 0], "two trees of one step at once");
        assert_eq!(ledger, expected, "the attempts that began");
    }

    /// Waits until no process of this directory lives any more, including the supervisor.
    pub(crate) fn wait_deserted(&self) {
        look_until("the end of every process", || processes_of(&self.data_dir).is_empty().then_some(()));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pid in processes_of(&self.data_dir) {
            kill(pid);
        }
    }
}

/// A living run as the engine publishes it.
pub(crate) fn living(engine: &CoreExecutionEngine, run: &RunId) -> std::sync::Arc<Run> {
    engine.snapshot().runs.get(run).expect("it lives").clone()
}

/// A step of a stored run.
pub(crate) fn stored_step(run: &StoredRun, id: &str) -> StepRun {
    let step = run.steps.iter().find(|step| step.id.as_str() == id).expect("a step of this name");
    (**step).clone()
}
