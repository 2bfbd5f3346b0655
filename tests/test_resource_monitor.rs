//! The monitor on real processes under a real supervisor: what is detached is measured all the same, and what a step has
//! cost is recorded with its end.

use std::time::Duration;

use leverframe::engine::EngineOptions;
use leverframe::monitor::{MIN_INTERVAL, MonitorOptions, ResourceMonitor, SampleStream};
use leverframe::resources::{ResourceSnapshot, StepSample};
use leverframe::run::EventKind;

use crate::support::bench::Bench;
use crate::support::process::{kill, look_until, processes_of, resident_bytes};
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
    let of_steps = processes_of(&bench.data_dir).into_iter().filter(|pid| *pid != supervisor);
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
