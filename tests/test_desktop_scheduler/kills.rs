//! A campaign of kills over steps that run side by side, with jobs and the jobs after them: the engine, the supervisor or
//! both die at random moments. The supervisor's parent lives, so that no end is lost: no step runs twice, every instant
//! lies in one row, every run is booked as it ended, and what comes after a job came as often as that completed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use leverframe::run::{RunState, RunSummary};
use leverframe::scheduler::DesktopScheduler;
use leverframe::store::{CheckpointManager, FireFilter, JobStore, RunFilter};

use super::desk::{id, whole};
use crate::support::engine_process::EngineProcess;
use crate::support::process::{kill, let_pass, look_until, processes_of};
use crate::support::run_id;

/// Steps of the long run, and how many of them run at once.
const N_STEPS: usize = 60;
const N_PARALLEL: usize = 4;
/// Of the short form, which takes about half a minute; `LEVERFRAME_CAMPAIGN_KILLS` makes it 50 in CI's long form.
const N_KILLS: u64 = 12;

/// The directory of one campaign; whatever a failed one leaves is ended.
struct Field(tempfile::TempDir);

impl Drop for Field {
    fn drop(&mut self) {
        processes_of(self.0.path()).into_iter().for_each(kill);
    }
}

/// A step that notes that it begins and that it ends, each by a line which the kernel appends whole, and that it is alone.
fn step(id: &str, needs: &str, seconds: &str) -> String {
    format!(
        r#"[[step]]
id = "{id}"
needs = {needs}
run = '''
exec 9>>"$LEVERFRAME_DATA_DIR/locks.$LEVERFRAME_RUN_ID.$LEVERFRAME_STEP_ID"
name="$LEVERFRAME_RUN_ID $LEVERFRAME_STEP_ID"
flock -n 9 || echo "$name" >> "$LEVERFRAME_DATA_DIR/violations"
echo "$name" >> "$LEVERFRAME_DATA_DIR/begun"
sleep {seconds}
echo "$name" >> "$LEVERFRAME_DATA_DIR/ended"
'''
"#
    )
}

fn write_pipelines(dir: &Path) {
    let mut wide = format!("id = \"wide\"\nmax_parallel = {N_PARALLEL}\n");
    for i in 0..N_STEPS {
        let needs = if i < N_PARALLEL { "[]".to_owned() } else { format!("[\"s{}\"]", i - N_PARALLEL) };
        write!(wide, "{}", step(&format!("s{i}"), &needs, "0.2")).expect("a text");
    }
    let dir = dir.join("pipelines");
    std::fs::create_dir(&dir).expect("a folder");
    std::fs::write(dir.join("wide.toml"), wide).expect("a file");
    for pipeline in ["tick", "after"] {
        let text = format!("id = \"{pipeline}\"\n{}", step("a", "[]", "0.05"));
        std::fs::write(dir.join(format!("{pipeline}.toml")), text).expect("a file");
    }
}

/// A generator of numbers that a printed seed makes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // Knuth's MMIX: good enough to choose moments.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn lines(dir: &Path, name: &str) -> Vec<String> {
    std::fs::read_to_string(dir.join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn runs(dir: &Path) -> BTreeMap<String, RunSummary> {
    let store = CheckpointManager::open_read_only(dir.join("checkpoints.db")).expect("it opens");
    let runs = store.list_runs(&RunFilter::default()).expect("runs");
    runs.into_iter().map(|run| (run.run_id.to_string(), run)).collect()
}

#[test]
fn kills_of_engine_supervisor_and_both_over_parallel_steps_and_jobs_lose_nothing_and_double_nothing() {
    let n_kills =
        number_from("LEVERFRAME_CAMPAIGN_KILLS").map_or(N_KILLS, |n| if n > 25 { 50 } else { N_KILLS });
    let seed = number_from("LEVERFRAME_CAMPAIGN_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("campaign of {n_kills} kills over parallel steps: LEVERFRAME_CAMPAIGN_SEED={seed}");
    let mut dice = Dice(seed);
    let field = Field(tempfile::tempdir().expect("a directory"));
    let dir = field.0.path();
    write_pipelines(dir);
    let mut engine = EngineProcess::open(dir);
    engine.order("schedule tick j1 interval {\"seconds\":1}");
    engine.order("schedule after j2 after {\"jobs\":[\"j1\"],\"on\":\"completed\"}");
    let mut n_wide = 0;
    for _ in 0..n_kills {
        let is_over = n_wide == 0 || runs(dir)[&format!("wide{n_wide}")].state.is_ended();
        if is_over {
            n_wide += 1;
            engine.order(&format!("start {} wide{n_wide}", dir.join("pipelines/wide.toml").display()));
        }
        let_pass(Duration::from_millis(200 + dice.roll(700)));
        let supervisor = leverframe::supervisor::probe(dir).map(|info| info.pid);
        match (dice.roll(3), supervisor) {
            // The engine lives on, and finds the next supervisor.
            (0, Some(supervisor)) => kill(supervisor),
            (1, Some(supervisor)) if dice.roll(2) == 0 => {
                kill(supervisor);
                engine.kill();
                engine = EngineProcess::open(dir);
            }
            (1, Some(supervisor)) => {
                engine.kill();
                kill(supervisor);
                engine = EngineProcess::open(dir);
            }
            (_, _) => {
                engine.kill();
                engine = EngineProcess::open(dir);
            }
        }
    }
    finish(dir, engine);
    compare_steps(dir);
    compare_jobs(dir);
}

/// Everything that was begun ends under an engine that nobody kills, and is booked.
fn finish(dir: &Path, engine: EngineProcess) {
    look_until("the ends of the runs without a job", || {
        runs(dir).iter().all(|(id, run)| !id.starts_with("wide") || run.state.is_ended()).then_some(())
    });
    // Due instants come for ever: what lives when the engine leaves is taken up by one more, which is given time to book.
    assert!(engine.leave().success());
    look_until("the end of every step", || {
        let info = leverframe::supervisor::probe(dir);
        info.is_none_or(|info| info.n_steps == 0).then_some(())
    });
    let engine = EngineProcess::open(dir);
    let_pass(Duration::from_secs(2));
    assert!(engine.leave().success());
}

/// Each step of each run that has completed has begun once and ended once.
fn compare_steps(dir: &Path) {
    assert_eq!(lines(dir, "violations"), [""; 0], "two trees of one step at once");
    let (begun, ended) = (lines(dir, "begun"), lines(dir, "ended"));
    let once: BTreeSet<_> = begun.iter().collect();
    let mut twice = begun.clone();
    twice.sort();
    let twice: Vec<_> =
        twice.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    assert_eq!(twice, [""; 0], "no end is lost while the parent lives, so nothing runs twice");
    assert_eq!(once.len(), begun.len());
    let ended: BTreeSet<_> = ended.into_iter().collect();
    let store = CheckpointManager::open_read_only(dir.join("checkpoints.db")).expect("it opens");
    assert_eq!(store.integrity_check().expect("it can be checked"), [""; 0]);
    for (id, run) in runs(dir).iter().filter(|(_, run)| run.state.is_ended()) {
        assert_eq!(run.state, RunState::Completed, "{id}: {:?}", run.error);
        let stored = store.load_run(&run_id(id)).expect("it can be read").expect("it is there");
        for step in &stored.steps {
            let name = format!("{id} {}", step.id);
            assert!(begun.contains(&name) && ended.contains(&name), "{name} is completed and did not run");
        }
    }
}

/// Every due instant lies in one row, every run is booked as it ended, and each completed one was followed.
fn compare_jobs(dir: &Path) {
    let runs = runs(dir);
    let jobs = DesktopScheduler::read_only(dir);
    let store = JobStore::open_read_only(dir.join("scheduler.db")).expect("it opens");
    let rows = jobs.fires(&id("j1"), FireFilter::default()).expect("rows");
    let n_instants = rows.iter().map(|row| row.n_instants).sum();
    whole(&rows, TimeDelta::seconds(1), n_instants);
    let mut named = BTreeSet::new();
    for job in ["j1", "j2"] {
        for row in jobs.fires(&id(job), FireFilter::default()).expect("rows") {
            match (row.outcome.as_str(), row.run_id) {
                ("ran", Some(run_id)) => {
                    assert!(runs.contains_key(&run_id), "{run_id} ran and is not there");
                    assert!(named.insert(run_id.clone()), "{run_id} has two rows");
                }
                ("claimed" | "queued" | "skipped" | "coalesced", _) => {}
                (other, run_id) => panic!("{job}: {other} {run_id:?} {:?}", row.reason),
            }
        }
    }
    let mut n_completed = 0;
    for history in store.history("j1", 10_000).expect("history") {
        let run = &runs[&history.run_id];
        if history.finished_at.is_some() {
            assert_eq!(history.status.as_deref(), Some(run.state.as_str()), "{}", history.run_id);
            n_completed += usize::from(run.state == RunState::Completed);
        }
    }
    let followed = store.history("j2", 10_000).expect("history").len();
    assert!(n_completed > 3, "{n_completed} runs of the job completed");
    // Of what completed while one was still queued, one follows for several.
    assert!(followed > 0 && followed <= n_completed, "{followed} runs followed {n_completed}");
}
