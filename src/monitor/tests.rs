//! The monitor at work on the machine that runs the tests.

use super::*;
use crate::base::id::{RunId, StepId};
use crate::resources::{Limit, LimitChange, Power, Resource, Threshold};

/// Longer than any operation takes on a busy machine; a test that reaches it fails.
const DEADLINE: Duration = Duration::from_secs(60);

fn options(dir: &tempfile::TempDir) -> MonitorOptions {
    MonitorOptions { interval: MIN_INTERVAL, ..MonitorOptions::new(dir.path()) }
}

fn next(samples: &SampleStream) -> Arc<ResourceSnapshot> {
    samples.recv_timeout(DEADLINE).expect("a sample in time")
}

#[test]
fn samples_are_plausible_and_the_newest_is_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(options(&dir)).unwrap();
    assert!(monitor.get_snapshot().is_none());
    let samples = monitor.stream();
    monitor.start().unwrap();
    let taken = [next(&samples), next(&samples), next(&samples)];
    monitor.stop();
    for machine in taken.iter().map(|sample| &sample.machine) {
        assert!((0.0..=1.0).contains(&machine.cpu_fraction));
        assert!(!machine.cores.is_empty() && machine.cores.iter().all(|core| (0.0..=1.0).contains(core)));
        assert!((1..=machine.memory_total_bytes).contains(&machine.memory_used_bytes));
        assert!((1..=machine.memory_total_bytes).contains(&machine.memory_available_bytes));
        assert!(machine.swap_used_bytes <= machine.swap_total_bytes);
        assert!(machine.disk_free_bytes > 0 && machine.volumes[0].free_bytes == machine.disk_free_bytes);
        assert!(machine.disk_read_rate.is_finite() && machine.network_send_rate >= 0.0);
    }
    assert!(taken[0].machine.at < taken[2].machine.at);
    assert!(monitor.get_snapshot().unwrap().machine.at >= taken[2].machine.at);
}

/// A battery, as the kernel lists it.
fn write_battery(supplies: &std::path::Path, status: &str) {
    std::fs::create_dir_all(supplies.join("BAT0")).unwrap();
    for (name, text) in [("type", "Battery"), ("capacity", "80"), ("status", status)] {
        std::fs::write(supplies.join("BAT0").join(name), format!("{text}\n")).unwrap();
    }
}

#[test]
fn a_first_look_needs_no_sample_and_sees_what_samples_see() {
    let (dir, supplies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_battery(supplies.path(), "Discharging");
    let options = MonitorOptions { power_supplies: supplies.path().to_owned(), ..options(&dir) };
    let monitor = ResourceMonitor::new(options).unwrap();
    let looked = monitor.handle().first_look();
    assert!(monitor.get_snapshot().is_none(), "nobody has sampled");
    let samples = monitor.stream();
    monitor.start().unwrap();
    let sampled = &next(&samples).machine;
    assert!(looked.at < sampled.at);
    assert_eq!(looked.power, Some(Power { battery_fraction: 0.8, on_battery: true }));
    assert_eq!((looked.power, looked.memory_total_bytes), (sampled.power, sampled.memory_total_bytes));
    assert!((1..=looked.memory_total_bytes).contains(&looked.memory_used_bytes));
    assert!(looked.disk_free_bytes > 0 && looked.volumes[0].free_bytes == looked.disk_free_bytes);
    assert_eq!(looked.volumes[0].path, sampled.volumes[0].path);
    assert_eq!((looked.cpu_fraction, looked.cores.len(), looked.disk_write_rate), (0.0, 0, 0.0));
}

#[test]
fn a_sample_says_when_the_machine_goes_onto_its_battery_and_when_it_comes_off() {
    let (dir, supplies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_battery(supplies.path(), "Discharging");
    let options = MonitorOptions { power_supplies: supplies.path().to_owned(), ..options(&dir) };
    let monitor = ResourceMonitor::new(options).unwrap();
    let samples = monitor.stream();
    monitor.start().unwrap();
    assert!(next(&samples).power_changed, "it was not known before");
    assert!(!next(&samples).power_changed, "it is told once");
    write_battery(supplies.path(), "Charging");
    let changed = std::iter::from_fn(|| Some(next(&samples))).find(|sample| sample.power_changed).unwrap();
    assert_eq!(changed.machine.power, Some(Power { battery_fraction: 0.8, on_battery: false }));
    assert!(!next(&samples).power_changed);
}

#[test]
fn an_absurd_interval_is_refused_with_the_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(options(&dir)).unwrap();
    for absurd in [Duration::ZERO, Duration::from_millis(199), Duration::from_secs(61), Duration::MAX] {
        let error = ResourceMonitor::new(MonitorOptions { interval: absurd, ..options(&dir) }).err().unwrap();
        assert!(error.to_string().contains("from 200ms to 60s"), "{error}");
        assert!(
            matches!(monitor.handle().set_interval(absurd), Err(error) if error.kind() == io::ErrorKind::InvalidInput)
        );
    }
}

#[test]
fn neither_stopping_nor_a_faster_pace_waits_for_the_next_sample() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(MonitorOptions { interval: MAX_INTERVAL, ..options(&dir) }).unwrap();
    let samples = monitor.stream();
    monitor.start().unwrap();
    next(&samples);
    // With the old interval, the next sample would not come within the deadline of these tests.
    monitor.handle().set_interval(MIN_INTERVAL).unwrap();
    next(&samples);
    next(&samples);
    monitor.handle().set_interval(MAX_INTERVAL).unwrap();
    monitor.stop();
    assert!(monitor.get_snapshot().is_some());
}

#[test]
fn it_can_be_stopped_and_started_again_however_often() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(options(&dir)).unwrap();
    let samples = monitor.stream();
    for _ in 0..2 {
        monitor.start().unwrap();
        monitor.start().unwrap();
        next(&samples);
        monitor.stop();
        monitor.stop();
        while samples.recv_timeout(Duration::ZERO).is_some() {}
    }
    drop(monitor);
    assert!(samples.recv().is_none(), "a stream ends with its monitor");
}

#[test]
fn a_listener_that_panics_or_sleeps_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(options(&dir)).unwrap();
    let _panics = monitor.subscribe(|_| panic!("on purpose"));
    let _sleeps = monitor.stream();
    let (heard, hears) = crossbeam_channel::bounded(64);
    let guard = monitor.subscribe(move |sample| {
        let _ = heard.try_send(sample.machine.at);
    });
    monitor.start().unwrap();
    for _ in 0..3 {
        hears.recv_timeout(DEADLINE).unwrap();
    }
    drop(guard);
    assert!(hears.iter().count() < 64, "its channel is closed with the guard");
}

#[test]
fn a_limit_that_the_machine_exceeds_is_raised_and_one_that_is_lifted_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(options(&dir)).unwrap();
    let samples = monitor.stream();
    let any = Limit::new(Resource::Memory, Threshold::Bytes(1), Threshold::Bytes(0), Duration::ZERO).unwrap();
    monitor.handle.set_limits(Limits::none().with(any));
    monitor.start().unwrap();
    let raised = next(&samples);
    assert!(matches!(raised.changes[..], [LimitChange::Raised(_)]), "{:?}", raised.changes);
    assert_eq!(raised.raised.len(), 1);
    let after = next(&samples);
    assert!(after.changes.is_empty() && after.raised.len() == 1);
    monitor.handle.set_limits(Limits::none());
    let cleared =
        std::iter::from_fn(|| Some(next(&samples))).find(|sample| !sample.changes.is_empty()).unwrap();
    assert!(matches!(cleared.changes[..], [LimitChange::Cleared(_)]), "{:?}", cleared.changes);
    assert!(cleared.raised.is_empty());
}

#[test]
fn a_process_of_another_token_or_none_is_not_taken_for_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let monitor = ResourceMonitor::new(options(&dir)).unwrap();
    let samples = monitor.stream();
    let key = |attempt| AttemptKey {
        run_id: RunId::new("r").unwrap(),
        step_id: StepId::new("s").unwrap(),
        attempt,
    };
    let handle = monitor.handle();
    handle.track(key(1), std::process::id(), "no-such-token");
    handle.track(key(2), u32::MAX, "no-such-process");
    monitor.start().unwrap();
    assert!(next(&samples).steps.is_empty());
    assert_eq!(handle.forget(&key(1)), None);
}
