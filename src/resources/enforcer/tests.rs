//! What is done about exceeded limits, and undone.

use std::time::Duration;

use super::*;
use crate::base::id::AttemptKey;

const GIB: u64 = 1 << 30;

fn limit(resource: Resource, action: LimitAction) -> Limit {
    let (raise_at, clear_at) = match resource {
        Resource::Disk => (Threshold::Bytes(2 * GIB), Threshold::Bytes(3 * GIB)),
        Resource::Cpu | Resource::Memory | Resource::Swap => {
            (Threshold::Fraction(0.9), Threshold::Fraction(0.8))
        }
    };
    Limit::new(resource, raise_at, clear_at, Duration::from_secs(30)).unwrap().with_action(action)
}

fn raised(limit: Limit, amount: f64) -> RaisedLimit {
    let volume = (limit.resource() == Resource::Disk).then(|| Path::new("/data").into());
    RaisedLimit { limit, volume, amount, total: 16.0 * GIB as f64 }
}

/// A step by its run, with its memory in GiB and what it writes in MiB a second.
fn step(run: &str, step: &str, memory: u64, writes: f64) -> StepSample {
    StepSample {
        key: AttemptKey { run_id: run.parse().unwrap(), step_id: step.parse().unwrap(), attempt: 1 },
        cpu_fraction: 0.1,
        memory_bytes: memory * GIB,
        read_rate: 0.0,
        write_rate: writes * 1_048_576.0,
        written_bytes: 0,
        output_rate: 0.0,
        n_processes: 1,
    }
}

fn sample(changes: Vec<LimitChange>, steps: &[StepSample]) -> ResourceSnapshot {
    ResourceSnapshot { changes, steps: steps.to_vec(), ..ResourceSnapshot::default() }
}

fn run(id: &str) -> RunId {
    id.parse().unwrap()
}

#[test]
fn an_alert_names_the_step_that_uses_most_and_is_cleared_by_the_same_words() {
    let (mut enforcer, limit) = (LimitEnforcer::default(), limit(Resource::Memory, LimitAction::Alert));
    let steps = [step("a", "fetch", 1, 0.0), step("x", "load", 5, 0.0)];
    let raised = raised(limit, 0.93 * 16.0 * GIB as f64);
    let measures = enforcer.answer(&sample(vec![LimitChange::Raised(raised.clone())], &steps), &[], |_| true);
    let text = "memory 93% (limit 90%) for 30s; step load of run x holds 5GiB".to_owned();
    assert_eq!(measures, [Measure::Alert { text: text.clone(), cleared: false }]);
    assert_eq!(enforcer.answer(&sample(vec![], &steps), &[], |_| true), []);
    let measures = enforcer.answer(&sample(vec![LimitChange::Cleared(raised)], &[]), &[], |_| true);
    assert_eq!(measures, [Measure::Alert { text, cleared: true }]);
}

#[test]
fn freezing_takes_the_heaviest_run_that_goes_on_and_no_other() {
    let (mut enforcer, limit) = (LimitEnforcer::default(), limit(Resource::Memory, LimitAction::Freeze));
    // The heaviest step belongs to a paused run. Of the other runs, one with two small steps uses most.
    let steps = [step("a", "one", 4, 0.0), step("b", "one", 3, 0.0), step("b", "two", 2, 0.0)];
    let steps = [&steps[..], &[step("paused", "one", 9, 0.0)]].concat();
    let raised = raised(limit, 15.0 * GIB as f64);
    let goes_on = |id: &RunId| *id != run("paused");
    let measures = enforcer.answer(&sample(vec![LimitChange::Raised(raised.clone())], &steps), &[], goes_on);
    assert!(matches!(&measures[1], Measure::HoldStarts(Some(reason)) if reason.contains("memory 93.8%")));
    assert!(matches!(&measures[2], Measure::Freeze { run_id, .. } if *run_id == run("b")), "{measures:?}");
    assert_eq!(measures.len(), 3);
    // A frozen run keeps its memory, so freezing another one would not help.
    assert_eq!(enforcer.answer(&sample(vec![], &steps), &[], goes_on), []);
    let measures = enforcer.answer(&sample(vec![LimitChange::Cleared(raised)], &steps), &[], goes_on);
    assert_eq!(measures[1..], [Measure::Thaw(run("b")), Measure::HoldStarts(None)]);
}

#[test]
fn a_floor_of_the_disk_freezes_one_writer_after_another() {
    let (mut enforcer, limit) = (LimitEnforcer::default(), limit(Resource::Disk, LimitAction::Freeze));
    let steps = [step("big", "one", 9, 0.0), step("more", "one", 1, 50.0), step("some", "one", 1, 5.0)];
    let raised = raised(limit, GIB as f64);
    let frozen = |measures: &[Measure]| -> Vec<RunId> {
        let of = |measure: &Measure| match measure {
            Measure::Freeze { run_id, .. } => Some(run_id.clone()),
            Measure::Alert { .. } | Measure::HoldStarts(_) | Measure::Thaw(_) => None,
        };
        measures.iter().filter_map(of).collect()
    };
    let measures = enforcer.answer(&sample(vec![LimitChange::Raised(raised.clone())], &steps), &[], |_| true);
    let Measure::Alert { text, .. } = &measures[0] else { panic!("{measures:?}") };
    assert!(
        text.starts_with("disk of /data 1GiB free (limit 2GiB) for 30s; step one of run more writes 50MiB/s")
    );
    assert_eq!(frozen(&measures), [run("more")]);
    assert_eq!(frozen(&enforcer.answer(&sample(vec![], &steps), &[], |_| true)), [run("some")]);
    assert_eq!(frozen(&enforcer.answer(&sample(vec![], &steps), &[], |_| true)), []);
    let measures = enforcer.answer(&sample(vec![LimitChange::Cleared(raised)], &steps), &[], |_| true);
    assert_eq!(measures[1..3], [Measure::Thaw(run("more")), Measure::Thaw(run("some"))]);
}

#[test]
fn who_fills_memory_or_floods_a_log_is_frozen_like_who_writes_to_a_disk() {
    let (mut enforcer, limit) = (LimitEnforcer::default(), limit(Resource::Disk, LimitAction::Freeze));
    let floods = StepSample { output_rate: 20.0 * 1_048_576.0, ..step("floods", "one", 1, 0.0) };
    // Bytes of write calls show in both rates, and count once.
    let writes = StepSample { output_rate: 15.0 * 1_048_576.0, ..step("writes", "one", 1, 15.0) };
    let murmurs = StepSample { output_rate: 1000.0, ..step("murmurs", "one", 1, 0.0) };
    let steps = [floods, murmurs, writes];
    let raised = LimitChange::Raised(raised(limit, GIB as f64));
    let measures = enforcer.answer(&sample(vec![raised], &steps), &[], |_| true);
    assert!(
        matches!(&measures[0], Measure::Alert { text, .. } if text.contains("run floods writes 20MiB/s")),
        "{measures:?}"
    );
    assert!(matches!(&measures[2..], [Measure::Freeze { run_id, .. }] if *run_id == run("floods")));
    let measures = enforcer.answer(&sample(vec![], &steps), &[], |_| true);
    assert!(matches!(&measures[..], [Measure::Freeze { run_id, .. }] if *run_id == run("writes")));
    assert_eq!(enforcer.answer(&sample(vec![], &steps), &[], |_| true), []);
}

#[test]
fn starts_are_held_as_long_as_any_limit_says_so() {
    let mut enforcer = LimitEnforcer::default();
    let memory = raised(limit(Resource::Memory, LimitAction::Hold), 15.0 * GIB as f64);
    let swap = raised(limit(Resource::Swap, LimitAction::Hold), 15.0 * GIB as f64);
    let both = vec![LimitChange::Raised(memory.clone()), LimitChange::Raised(swap.clone())];
    let measures = enforcer.answer(&sample(both, &[]), &[], |_| true);
    assert!(matches!(&measures[2..], [Measure::HoldStarts(Some(reason))] if reason.starts_with("memory")));
    let measures = enforcer.answer(&sample(vec![LimitChange::Cleared(memory)], &[]), &[], |_| true);
    assert!(matches!(&measures[1..], [Measure::HoldStarts(Some(reason))] if reason.starts_with("swap")));
    let measures = enforcer.answer(&sample(vec![LimitChange::Cleared(swap)], &[]), &[], |_| true);
    assert_eq!(measures[1..], [Measure::HoldStarts(None)]);
}

#[test]
fn what_the_operator_has_let_go_on_is_not_frozen_again_after_a_restart() {
    let limit = limit(Resource::Memory, LimitAction::Freeze);
    let steps = [step("heavy", "a", 5, 0.0), step("light", "a", 1, 0.0)];
    let raised = raised(limit, 0.93 * 16.0 * GIB as f64);
    let let_go = [run("heavy")];
    // A restarted engine knows about the limit only when it is raised again.
    let mut enforcer = LimitEnforcer::default();
    let measures =
        enforcer.answer(&sample(vec![LimitChange::Raised(raised.clone())], &steps), &let_go, |_| true);
    assert!(
        !measures.iter().any(|it| matches!(it, Measure::Freeze { .. })),
        "it has had its run: {measures:?}"
    );
    assert_eq!(enforcer.answer(&sample(vec![], &steps), &let_go, |_| true), []);
    let measures = enforcer.answer(&sample(vec![LimitChange::Cleared(raised)], &[]), &let_go, |_| true);
    assert!(
        measures.contains(&Measure::Thaw(run("heavy"))),
        "that it is over is told to the run: {measures:?}"
    );
}
