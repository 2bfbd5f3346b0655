//! What steps leave to each other, within a run and between runs.

use leverframe::resources::Threshold;
use leverframe::run::{EventKind, StepState};

use super::{MIB, go, policy, until, wait_for_begin, wait_for_ends, with_priority};
use crate::support::bench::{Bench, living};
use crate::support::process::look_until;
use crate::support::{start, wait_for};

const KEYS: &str = "resources = { memory = \"60MiB\" }";

#[test]
fn a_step_takes_over_what_the_one_before_it_gives_back_without_a_wait() {
    let bench = Bench::new();
    let (engine, events) =
        bench.open_with(policy(|policy| policy.memory = Some(Threshold::Bytes(100 * MIB))));
    let text = bench.pipeline("", &[("a", KEYS, "true\n"), ("b", KEYS, "true\n"), ("c", KEYS, "true\n")]);
    start(&engine, "r1", &text);
    wait_for(&events, "the end", |event| {
        if let EventKind::StepChanged { step } = &event.kind {
            assert!(step.message.as_deref().is_none_or(|text| !text.starts_with("Waiting")), "{step:?}");
        }
        matches!(event.kind, EventKind::ExecutionCompleted { .. })
    });
}

#[test]
fn what_a_run_gives_back_goes_to_the_most_urgent_and_not_to_its_own_next_step() {
    let bench = Bench::new();
    let (engine, events) =
        bench.open_with(policy(|policy| policy.memory = Some(Threshold::Bytes(100 * MIB))));
    let script =
        "echo begin $LEVERFRAME_RUN_ID >> $HERE/story\nuntil [ -e $HERE/first ]; do sleep 0.02; done\n";
    let steps = [("one", KEYS, script), ("two", KEYS, "true\n")];
    let low = start(&engine, "low", &bench.pipeline("", &steps));
    wait_for_begin(&bench, &low);
    let high = with_priority(&engine, "high", &until(&bench, "b", "", KEYS, "second"), 9);
    go(&bench, "first");
    wait_for_begin(&bench, &high);
    look_until("the next step to wait", || {
        (living(&engine, &low).steps[1].state() == StepState::Waiting).then_some(())
    });
    go(&bench, "second");
    wait_for_ends(&events, &[low, high]);
}
