//! The monitor on real processes under a real supervisor: what is detached is measured all the same, and what a step has
//! cost is recorded with its end.

#[path = "test_resource_monitor/disk_floor.rs"]
mod disk_floor;

use std::time::Duration;

use leverframe::base::id::RunId;
use leverframe::engine::{CoreExecutionEngine, EngineOptions};
use leverframe::monitor::{MIN_INTERVAL, MonitorOptions, ResourceMonitor, SampleStream};
use leverframe::resources::{
    Limit, LimitAction, LimitChange, LimitWatch, Limits, MachineSample, Resource, ResourceSnapshot,
    StepSample, Threshold,
};
use leverframe::run::{EventKind, Hold, RunState, StopKind};

use crate::support::bench::{Bench, living};
use crate::support::process::{
    kill, look_until, parent_of_supervisor, processes_of, resident_bytes, wait_frozen,
};
use crate::support::{DEADLINE, options, start, wait_for, wait_for_end};

const MIB: u64 = 1 << 20;

/// A monitor five times a second, and the samples that it takes.
fn monitor(bench: &Bench) -> (ResourceMonitor, SampleStream) {
    let options = MonitorOptions {
        interval: MIN_INTERVAL,
        ..MonitorOptions::new(bench.here.parent().expect("a folder"))
    };
    let monitor = ResourceMonitor::new(options).expect("this machine can be measured");
    let samples = monitor.stream();
    monitor.start().expect("it starts");
    (monitor, samples)
}

fn measured(monitor: &ResourceMonitor) -> EngineOptions {
    EngineOptions { monitor: Some(monitor.handle()), ..options() }
}

/// The next samples of a step, until one is as wanted.
fn sample_until(
    samples: &SampleStream,
    step: &str,
    mut is_it: impl FnMut(&StepSample) -> bool,
) -> StepSample {
    let of_step = |sample: &ResourceSnapshot| {
        sample.steps.iter().find(|found| found.key.step_id.as_str() == step).cloned()
    };
    look_until(&format!("a sample of {step}"), || {
        of_step(&*samples.recv_timeout(DEADLINE)?).filter(|found| is_it(found))
    })
}

fn drain(samples: &SampleStream) {
    while samples.recv_timeout(Duration::ZERO).is_some() {}
}

#[test]
fn memory_in_a_detached_grandchild_is_the_runs_within_two_samples() {
    let bench = Bench::new();
    let (monitor, samples) = monitor(&bench);
    let (engine, events) = bench.open_with(measured(&monitor));
    // `tail` keeps what has no line end; its parents are gone before it has read the first byte.
    let hog = "setsid sh -c '(setsid sh -c \"echo \\$\\$ >> $HERE/hog; exec tail < $HERE/fifo\" > /dev/null 2>&1 &)'\n\
        (head -c 524288000 /dev/zero; echo full > $HERE/full; until [ -e $HERE/go ]; do sleep 0.05; done) > $HERE/fifo\n";
    let steps = [("hog", "", format!("mkfifo $HERE/fifo\n{hog}"))];
    let steps: Vec<_> = steps.iter().map(|(id, keys, script)| (*id, *keys, script.as_str())).collect();
    let run = start(&engine, "r1", &bench.pipeline("", &steps));
    let hog = bench.pids_in("hog", 1)[0];
    look_until("a full hog", || resident_bytes(hog).filter(|bytes| *bytes > 495 * MIB));
    drain(&samples);
    let first = samples.recv_timeout(DEADLINE).expect("a sample");
    drop(first);
    let second = samples.recv_timeout(DEADLINE).expect("a sample");
    let (found, _, memory) = second.by_run().next().expect("the run is measured");
    assert_eq!(*found, run);
    let supervisor = bench.supervisor();
    let parent = parent_of_supervisor(supervisor);
    let is_ours = |pid: &u32| *pid == supervisor || Some(*pid) == parent;
    let of_steps = processes_of(&bench.data_dir).into_iter().filter(|pid| !is_ours(pid));
    let kernel: u64 = of_steps.filter_map(resident_bytes).sum();
    let difference = memory.abs_diff(kernel) as f64 / kernel as f64;
    assert!(kernel > 500 * MIB && difference < 0.05, "{memory} measured, {kernel} by the kernel");
    bench.let_go();
    let end =
        wait_for(&events, "the step's end", |event| matches!(event.kind, EventKind::StepFinished { .. }));
    let step = end.kind.step().expect("a step");
    assert_eq!(step.peak_rss_source.as_deref(), Some("samples"));
    assert!(step.peak_rss_bytes.is_some_and(|bytes| bytes > 495 * MIB), "{step:?}");
    assert!(step.cpu_seconds.is_some_and(|seconds| seconds > 0.05), "{step:?}");
    wait_for_end(&events, &run);
}

#[test]
fn what_the_children_of_a_step_use_and_write_counts_also_when_they_have_ended() {
    let bench = Bench::new();
    let (monitor, samples) = monitor(&bench);
    let (engine, events) = bench.open_with(measured(&monitor));
    // On a disk: what is written to memory is written to none.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    // Children that are waited for, and one that is not, each of them gone before the end.
    let write = "dd if=/dev/zero of=$DISK/$1 bs=1M count=$2 conv=fsync 2> /dev/null";
    let script = format!(
        "cat > $HERE/write.sh <<'end'\n{write}\nend\nsh $HERE/write.sh a 8\n\
         setsid sh -c '(setsid sh -c \"until [ -e $HERE/write ]; do sleep 0.02; done; . $HERE/write.sh b 16; \
         sleep 1; : > $HERE/written\" &)'\n\
         until [ -e $HERE/go ]; do sleep 0.05; done\n"
    );
    let script = script.replace(". $HERE/write.sh b 16", "sh $HERE/write.sh b 16");
    let keys = format!("env = {{ DISK = \"{}\" }}", disk.path().display());
    let run = start(&engine, "r1", &bench.pipeline("", &[("writes", keys.as_str(), script.as_str())]));
    // The orphan is seen before it writes.
    sample_until(&samples, "writes", |step| step.n_processes >= 3);
    std::fs::write(bench.here.join("write"), "").expect("a file");
    look_until("the writing", || bench.here.join("written").exists().then_some(()));
    drain(&samples);
    sample_until(&samples, "writes", |_| true);
    bench.let_go();
    let end =
        wait_for(&events, "the step's end", |event| matches!(event.kind, EventKind::StepFinished { .. }));
    let written = end.kind.step().and_then(|step| step.written_bytes).expect("it was measured");
    assert!((24 * MIB..32 * MIB).contains(&written), "{written} bytes written");
    wait_for_end(&events, &run);
    // It is on disk too.
    engine.shutdown(leverframe::engine::ShutdownKind::LeaveSteps).expect("it ends");
    let step = crate::support::bench::stored_step(&bench.stored("r1"), "writes");
    assert_eq!(step.ledger.written_bytes, Some(written));
}

#[test]
fn the_next_engine_measures_what_an_earlier_one_has_started() {
    let bench = Bench::new();
    let text = bench.pipeline("", &[("patient", "", "until [ -e $HERE/go ]; do sleep 0.05; done\n")]);
    let (engine, _events) = bench.open();
    let run = start(&engine, "r1", &text);
    bench.pids_in("patient.pids", 1);
    engine.shutdown(leverframe::engine::ShutdownKind::LeaveSteps).expect("it ends");
    let (monitor, samples) = monitor(&bench);
    let (_engine, events) = bench.open_with(measured(&monitor));
    let sample = sample_until(&samples, "patient", |step| step.n_processes > 0);
    assert_eq!(sample.key.run_id, run);
    assert!(sample.cpu_fraction < 1.0, "what it used before is not what it uses now");
    bench.let_go();
    wait_for_end(&events, &run);
    look_until("the end of measuring", || {
        samples.recv_timeout(DEADLINE).filter(|sample| sample.steps.is_empty())
    });
}

#[test]
fn two_steps_at_once_have_each_its_own_and_a_kill_leaves_no_absurd_figure() {
    let bench = Bench::new();
    let (monitor, samples) = monitor(&bench);
    let (engine, events) = bench.open_with(measured(&monitor));
    let busy = "echo $$ > $HERE/busy.pid; while :; do :; done\n";
    let calm = "until [ -e $HERE/go ]; do sleep 0.05; done\n";
    let steps = [("busy", "needs = []", busy), ("calm", "needs = []", calm)];
    let run = start(&engine, "r1", &bench.pipeline("max_parallel = 2\non_failure = \"continue\"", &steps));
    let pid = bench.pids_in("busy.pid", 1)[0];
    let both = look_until("a busy and a calm step", || {
        let sample = samples.recv_timeout(DEADLINE)?;
        let [busy, calm] = sample.steps.as_slice() else { return None };
        (busy.cpu_fraction > calm.cpu_fraction).then(|| sample.clone())
    });
    assert_eq!(both.steps[0].key.step_id.as_str(), "busy");
    kill(pid);
    wait_for(&events, "the killed step's end", |event| matches!(event.kind, EventKind::StepFinished { .. }));
    drain(&samples);
    for _ in 0..2 {
        let sample = samples.recv_timeout(DEADLINE).expect("a sample");
        assert!(
            sample.steps.iter().all(|step| (0.0..=1.0).contains(&step.cpu_fraction)),
            "{:?}",
            sample.steps
        );
    }
    bench.let_go();
    wait_for_end(&events, &run);
}

/// A limit on the memory of all steps together: what the machine has besides is of no account here.
struct Budget {
    samples: SampleStream,
    watch: LimitWatch,
    engine: CoreExecutionEngine,
}

impl Budget {
    fn new(samples: SampleStream, engine: &CoreExecutionEngine, mib: u64, clear_mib: u64) -> Self {
        let [raise_at, clear_at] = [mib, clear_mib].map(|mib| Threshold::Bytes(mib * MIB));
        let limit = Limit::new(Resource::Memory, raise_at, clear_at, Duration::from_millis(500));
        let limit = limit.expect("a limit").with_action(LimitAction::Freeze);
        let watch = LimitWatch::new(Limits::none().with(limit));
        Self { samples, watch, engine: engine.clone() }
    }

    /// Hands the next sample to the engine: what has changed with it, and the memory of all steps.
    fn next(&mut self) -> (Vec<LimitChange>, u64) {
        let sample = self.samples.recv_timeout(DEADLINE).expect("a sample");
        let used = sample.steps.iter().map(|step| step.memory_bytes).sum();
        let machine = MachineSample {
            memory_used_bytes: used,
            memory_total_bytes: 1024 * MIB,
            ..sample.machine.clone()
        };
        let changes = self.watch.observe(leverframe::engine::now(), &machine);
        let raised = self.watch.raised().cloned().collect();
        let steps = sample.steps.clone();
        let seen = ResourceSnapshot {
            machine,
            steps,
            raised,
            changes: changes.clone(),
            ..ResourceSnapshot::default()
        };
        self.engine.take_sample(std::sync::Arc::new(seen)).expect("it lives");
        (changes, used)
    }

    fn until(&mut self, what: &str, mut is_it: impl FnMut(&[LimitChange], u64) -> bool) {
        look_until(what, || {
            let (changes, used) = self.next();
            is_it(&changes, used).then_some(())
        });
    }
}

/// Holds so many MiB until a file is there.
fn holding(mib: u64, file: &str) -> String {
    format!(
        "(head -c {} /dev/zero; until [ -e $HERE/{file} ]; do sleep 0.05; done) | tail > /dev/null\n",
        mib * MIB
    )
}

fn state(engine: &CoreExecutionEngine, run: &RunId) -> RunState {
    engine.get_execution_state(run).expect("it is known").expect("it is there").state
}

#[test]
fn a_hog_is_named_and_frozen_others_go_on_and_it_is_thawed_when_the_limit_clears() {
    let bench = Bench::new();
    let (monitor, samples) = monitor(&bench);
    let (engine, events) = bench.open_with(measured(&monitor));
    let pipeline = |step: &str, script: &str| bench.pipeline("", &[(step, "", script)]);
    let mut budget = Budget::new(samples, &engine, 250, 220);
    let other = start(&engine, "other", &pipeline("ballast", &holding(100, "lighter")));
    budget.until("the ballast", |changes, used| {
        assert_eq!(changes, []);
        used > 95 * MIB
    });
    let hog = start(&engine, "hog", &pipeline("load", &holding(200, "go")));
    // The first sample beyond the limit raises nothing: it must be so for a while.
    budget.until("a hog", |changes, used| {
        assert_eq!(changes, []);
        used > 250 * MIB
    });
    assert_eq!(state(&engine, &hog), RunState::Running);
    budget.until("the limit", |changes, _| matches!(changes, [LimitChange::Raised(_)]));
    // Nothing of it was told before; then the alert, and after that the freeze.
    let alert = wait_for(&events, "the alert", |event| {
        assert!(!matches!(event.kind, EventKind::ExecutionPaused { .. }), "frozen before the alert");
        matches!(event.kind, EventKind::ResourceAlert { cleared: false, .. })
    });
    let EventKind::ResourceAlert { text, .. } = &alert.kind else { unreachable!() };
    assert!(text.starts_with("memory ") && text.contains("(limit 250MiB) for 500ms"), "{text}");
    assert!(text.contains("step load of run hog holds "), "{text}");
    let paused =
        wait_for(&events, "the freeze", |event| matches!(event.kind, EventKind::ExecutionPaused { .. }));
    assert_eq!(paused.run_id.as_ref(), Some(&hog));
    wait_frozen(&bench.pids_in("load.pids", 1));
    let run = living(&engine, &hog);
    assert!(run.phase.is_held_for(Hold::Limit), "{run:?}");
    assert!(run.error.as_deref().is_some_and(|why| why.starts_with("frozen: memory ")), "{:?}", run.error);
    // What is frozen and what is held is on disk.
    assert!(bench.stored("hog").phase.is_held_for(Hold::Limit));
    let late = start(&engine, "late", &pipeline("late", "true\n"));
    let held = living(&engine, &late);
    assert_eq!(held.state(), RunState::Queued);
    assert!(held.error.as_deref().is_some_and(|why| why.starts_with("Waiting: memory ")), "{:?}", held.error);
    // Still exceeded, and still nobody else is frozen.
    for _ in 0..3 {
        assert_eq!(budget.next().0, []);
    }
    assert_eq!(state(&engine, &other), RunState::Running);
    std::fs::write(bench.here.join("lighter"), "").expect("a file");
    wait_for_end(&events, &other);
    budget.until("the end of it", |changes, _| matches!(changes, [LimitChange::Cleared(_)]));
    let cleared = wait_for(&events, "the end of the alert", |event| {
        matches!(event.kind, EventKind::ResourceAlert { .. })
    });
    assert!(
        matches!(&cleared.kind, EventKind::ResourceAlert { text: words, cleared: true } if words == text)
    );
    bench.let_go();
    // The hog goes on to its end, and so does the run that had to wait.
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let event = wait_for(&events, "two ends", |event| {
            assert!(!matches!(event.kind, EventKind::ResourceAlert { .. }), "{event:?}");
            matches!(event.kind, EventKind::ExecutionCompleted { .. })
        });
        ended.extend(event.run_id.clone());
    }
    ended.sort();
    assert_eq!(ended, [hog, late]);
}

#[test]
fn what_an_operator_has_paused_stays_so_and_what_an_engine_left_frozen_goes_on_with_the_next() {
    let bench = Bench::new();
    let (monitor, samples) = monitor(&bench);
    let (engine, events) = bench.open_with(measured(&monitor));
    let pipeline = |step: &str, mib| bench.pipeline("", &[(step, "", holding(mib, "go").as_str())]);
    let mut budget = Budget::new(samples, &engine, 100, 80);
    // The heavier one is paused already: it is no candidate.
    let paused = start(&engine, "paused", &pipeline("big", 90));
    budget.until("the big one", |_, used| used > 85 * MIB);
    engine.pause_execution(&paused).expect("it runs");
    let hog = start(&engine, "hog", &pipeline("small", 40));
    budget.until("the limit", |changes, _| matches!(changes, [LimitChange::Raised(_)]));
    wait_for(&events, "the freeze", |event| {
        matches!(event.kind, EventKind::ExecutionPaused { .. }) && event.run_id.as_ref() == Some(&hog)
    });
    engine.shutdown(leverframe::engine::ShutdownKind::LeaveSteps).expect("it ends");
    let (engine, events) = bench.open_with(measured(&monitor));
    bench.let_go();
    let end = wait_for_end(&events, &hog);
    assert!(matches!(end.kind, EventKind::ExecutionCompleted { .. }), "{end:?}");
    let left = living(&engine, &paused);
    assert!(left.phase.freeze().is_some_and(|freeze| freeze.holds.is_empty()));
    engine.stop_execution(&paused, StopKind::Force).expect("it lives");
    wait_for_end(&events, &paused);
}
