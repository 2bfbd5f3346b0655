//! A campaign of kills: an engine, now and then its supervisor too, dies at random moments over pipelines of many short
//! steps. What the database showed as completed is never run again, and no attempt is ever run twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use leverframe::base::id::StepId;
use leverframe::run::{RunState, StepState};
use leverframe::store::StoredRun;

use crate::support::bench::Bench;
use crate::support::engine_process::EngineProcess;
use crate::support::process::{kill, let_pass};
use crate::support::run_id;

/// Steps of one run: two chains side by side.
const N_STEPS: usize = 60;

/// A generator of numbers that a printed seed makes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // Knuth's MMIX: good enough to choose moments.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

struct Campaign {
    bench: Bench,
    dice: Dice,
    file: PathBuf,
    n_runs: usize,
    n_kills: usize,
    /// How often each step had begun when the database first showed it as completed.
    completed: BTreeMap<(usize, StepId), usize>,
}

#[test]
fn a_hundred_kills_run_no_finished_step_again_and_leave_the_database_whole() {
    let n_kills = number_from("LEVERFRAME_CAMPAIGN_KILLS").unwrap_or(100);
    let seed = number_from("LEVERFRAME_CAMPAIGN_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("campaign of {n_kills} kills: LEVERFRAME_CAMPAIGN_SEED={seed}");
    let bench = Bench::new();
    let mut campaign = Campaign {
        file: write_pipeline(&bench),
        bench,
        dice: Dice(seed),
        n_runs: 0,
        n_kills: 0,
        completed: BTreeMap::new(),
    };
    while (campaign.n_kills as u64) < n_kills {
        campaign.live_and_die();
    }
    campaign.finish();
    println!("{} kills over {} runs of {N_STEPS} steps", campaign.n_kills, campaign.n_runs);
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Every step notes that it begins by one line, which the kernel appends whole, and that it is alone.
fn write_pipeline(bench: &Bench) -> PathBuf {
    let mut text = format!("env = {{ HERE = \"{}\" }}\nmax_parallel = 2\n", bench.here.display());
    for i in 0..N_STEPS {
        let needs = if i < 2 { "[]".to_owned() } else { format!("[\"s{}\"]", i - 2) };
        let script = r#"exec 9>>"$HERE/$LEVERFRAME_RUN_ID.$LEVERFRAME_STEP_ID.lock"
name="$LEVERFRAME_RUN_ID $LEVERFRAME_STEP_ID $LEVERFRAME_ATTEMPT"
flock -n 9 || echo "$name" >> "$HERE/violations"
echo "$name" >> "$HERE/ledger"
sleep 0.01"#;
        write!(text, "[[step]]\nid = \"s{i}\"\nneeds = {needs}\nrun = '''\n{script}'''\n").expect("a text");
    }
    let path = bench.here.join("campaign.toml");
    std::fs::write(&path, text).expect("a file");
    path
}

impl Campaign {
    /// One engine: it starts, goes on with what it finds for a while, and is killed.
    fn live_and_die(&mut self) {
        let mut engine = EngineProcess::spawn(&self.bench.data_dir);
        if self.dice.roll(4) > 0 {
            engine.wait_ready();
            self.see_that_a_run_is_going(&mut engine);
        }
        // Within its start, or somewhere within the steps that follow.
        let_pass(Duration::from_micros(self.dice.roll(300_000)));
        let supervisor =
            (self.dice.roll(5) == 0).then(|| leverframe::supervisor::probe(&self.bench.data_dir));
        let supervisor = supervisor.flatten().map(|info| info.pid);
        match supervisor {
            Some(supervisor) if self.dice.roll(2) == 0 => {
                kill(supervisor);
                engine.kill();
            }
            Some(supervisor) => {
                engine.kill();
                kill(supervisor);
            }
            None => engine.kill(),
        }
        self.n_kills += 1;
        self.look();
    }

    /// Starts the next run when the last one has completed; takes up one that asks to be.
    fn see_that_a_run_is_going(&mut self, engine: &mut EngineProcess) {
        match self.stored().map(|run| run.summary.state) {
            None | Some(RunState::Completed) => {
                self.n_runs += 1;
                engine.say(&format!("start {} run{}", self.file.display(), self.n_runs));
                let began = format!("start {} run{}", self.file.display(), self.n_runs);
                engine.wait_for("an answer", |line| line["answer"] == *began);
            }
            Some(RunState::Interrupted) => engine.order(&format!("resume run{}", self.n_runs)),
            Some(RunState::Queued | RunState::Running) => {}
            Some(
                state @ (RunState::Paused
                | RunState::Stopping
                | RunState::Stopped
                | RunState::ForceStopped
                | RunState::Failed),
            ) => {
                panic!("run{} is {state}: {:?}", self.n_runs, self.stored().and_then(|run| run.summary.error))
            }
        }
    }

    fn stored(&self) -> Option<StoredRun> {
        if self.n_runs == 0 {
            return None;
        }
        let id = run_id(&format!("run{}", self.n_runs));
        self.bench.store().load_run(&id).expect("it can be read")
    }

    /// Compares what is recorded with what has happened.
    fn look(&mut self) {
        let ledger = self.bench.lines("ledger");
        assert_eq!(self.bench.lines("violations"), [""; 0], "two trees of one step at once");
        let distinct: BTreeSet<_> = ledger.iter().collect();
        assert_eq!(distinct.len(), ledger.len(), "an attempt was run twice: {ledger:?}");
        if let Some(run) = self.stored() {
            for step in run.steps.iter().filter(|step| step.state() == StepState::Completed) {
                let n_begun = n_begun(&ledger, self.n_runs, &step.id);
                self.completed.entry((self.n_runs, step.id.clone())).or_insert(n_begun);
            }
        }
        for ((n_run, step), n_then) in &self.completed {
            let n_now = n_begun(&ledger, *n_run, step);
            assert!(n_now >= 1, "run{n_run} {step} is completed and never began");
            assert_eq!(n_now, *n_then, "run{n_run} {step} was completed and ran again");
        }
    }

    /// The last run completes under an engine that nobody kills; nothing is left.
    fn finish(&mut self) {
        let mut engine = EngineProcess::open(&self.bench.data_dir);
        self.see_that_a_run_is_going(&mut engine);
        crate::support::process::look_until("the end of the last run", || {
            self.stored().is_some_and(|run| run.summary.state.is_ended()).then_some(())
        });
        self.look();
        assert_eq!(self.stored().map(|run| run.summary.state), Some(RunState::Completed));
        assert!(engine.leave().success());
        self.bench.wait_deserted();
        assert_eq!(self.bench.store().integrity_check().expect("it can be checked"), [""; 0]);
    }
}

fn n_begun(ledger: &[String], n_run: usize, step: &StepId) -> usize {
    let prefix = format!("run{n_run} {step} ");
    ledger.iter().filter(|line| line.starts_with(&prefix)).count()
}
