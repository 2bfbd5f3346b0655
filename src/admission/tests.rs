//! Which runs and steps may start in addition to others.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::base::id::AttemptKey;
use crate::base::id::{PipelineId, RunId};
use crate::base::time::Now;
use crate::pipeline::Pipeline;
use crate::resources::{
    Limit, Limits, MachineSample, Power, Resource, ResourceSnapshot, StepSample, Threshold, VolumeSpace,
};

const GIB: u64 = 1 << 30;

fn run_id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn at(second: i64) -> DateTime<Utc> {
    "2026-11-23T02:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(second)
}

fn now(second: i64) -> Now {
    Now { wall: at(second), awake_ms: second as u64 * 1000 }
}

fn pipeline(head: &str) -> Pipeline {
    let text = format!("{head}\n[[step]]\nid = \"s\"\nrun = [\"true\"]\n");
    Pipeline::parse(&text, Path::new("/jobs/p.toml"), None).unwrap()
}

fn memory(gib: u64) -> Need {
    Need { memory_bytes: gib * GIB, is_usual: true, ..Need::default() }
}

fn claim(pipeline: &str, needs: &[Need]) -> RunClaim {
    let steps = needs.iter().enumerate().map(|(n, need)| StepClaim {
        step_id: format!("s{n}").parse().unwrap(),
        need: *need,
        folder: "/jobs".into(),
    });
    RunClaim {
        pipeline_id: PipelineId::new(pipeline).unwrap(),
        group: None,
        since: at(0),
        frozen_since: None,
        steps: steps.collect(),
    }
}

/// A machine with this much of its 16 GiB of memory in use, and steps that use some of it.
fn machine(used_gib: u64, steps: &[(&str, u64)]) -> Option<Arc<ResourceSnapshot>> {
    let of_step = |(run, gib): &(&str, u64)| StepSample {
        key: AttemptKey { run_id: run_id(run), step_id: "s0".parse().unwrap(), attempt: 1 },
        cpu_fraction: 0.1,
        memory_bytes: gib * GIB,
        read_rate: 0.0,
        write_rate: 0.0,
        written_bytes: 0,
        output_rate: 0.0,
        n_processes: 1,
    };
    let volume = |path: &str, free: u64| VolumeSpace {
        path: Path::new(path).into(),
        free_bytes: free * GIB,
        total_bytes: 100 * GIB,
    };
    let machine = MachineSample {
        memory_used_bytes: used_gib * GIB,
        memory_total_bytes: 16 * GIB,
        volumes: vec![volume("/", 50), volume("/jobs", 10)].into(),
        ..MachineSample::default()
    };
    let steps = steps.iter().map(of_step).collect();
    Some(Arc::new(ResourceSnapshot { machine, steps, ..ResourceSnapshot::default() }))
}

fn admission(policy: AdmissionPolicy, claims: &[(&str, RunClaim)]) -> Admission {
    let mut admission = Admission::new(policy, 4);
    admission.machine = machine(0, &[]);
    for (run, claim) in claims {
        admission.note(&run_id(run), Some(claim.clone()));
    }
    admission
}

fn ask_run(admission: &Admission, pipeline: &Pipeline, was_held_by_quiet: bool) -> Option<Wait> {
    admission.run(RunRequest { pipeline, was_held_by_quiet }, now(60))
}

fn ask(admission: &Admission, need: Need) -> Option<Wait> {
    let run_id = run_id("new");
    admission.step(StepRequest { run_id: &run_id, need, folder: Path::new("/jobs/x"), own: &[] })
}

fn sentence(wait: Option<Wait>) -> String {
    wait.map(|wait| wait.sentence(at(900))).unwrap_or_default()
}

#[test]
fn places_are_counted_by_pipeline_group_and_in_all_and_a_frozen_holder_is_named_first() {
    let policy = AdmissionPolicy {
        max_concurrent_runs: Some(3),
        groups: [("scrapers".to_owned(), 2)].into(),
        ..AdmissionPolicy::default()
    };
    let of_group = RunClaim { group: Some("scrapers".to_owned()), ..claim("a", &[]) };
    let frozen = RunClaim { since: at(30), frozen_since: Some(at(60)), ..of_group.clone() };
    let mut admission = admission(policy, &[("r1", of_group), ("r2", frozen)]);
    assert_eq!(ask_run(&admission, &pipeline(""), false), None);
    let of_group = pipeline("group = \"scrapers\"");
    let expected = "Waiting for a place in group scrapers: 2 of 2 taken; run r2 has one (frozen 14 min)";
    assert_eq!(sentence(ask_run(&admission, &of_group, false)), expected);
    let alone = pipeline("id = \"a\"\nmax_concurrent_runs = 2");
    let expected = "Waiting for a place among the runs of a: 2 of 2 taken; run r2 has one (frozen 14 min)";
    assert_eq!(sentence(ask_run(&admission, &alone, false)), expected);
    admission.note(&run_id("r3"), Some(claim("c", &[])));
    let wait = ask_run(&admission, &pipeline(""), false).unwrap();
    assert!(wait.sentence(at(0)).starts_with("Waiting for a place: 3 of 3 taken; run r2 "));
    assert_eq!(wait.remedy(&run_id("new")).command.as_deref(), Some("leverframe resume r2"));
    admission.note(&run_id("r2"), None);
    assert_eq!(ask_run(&admission, &of_group, false), None);
}

#[test]
fn orders_and_power_hold_those_that_mind_them() {
    let mut admission = admission(AdmissionPolicy::default(), &[]);
    admission.orders.quiet = Some(Quiet { since: at(0), until: None });
    assert_eq!(ask_run(&admission, &pipeline(""), false), Some(Wait::Quiet { until: None }));
    assert_eq!(ask_run(&admission, &pipeline("quiet = \"ignore\""), false), None);
    admission.orders = Orders { draining_since: Some(at(0)), quiet: None };
    assert_eq!(ask_run(&admission, &pipeline("quiet = \"ignore\""), false), Some(Wait::Drain));
    admission.orders = Orders::default();
    // Runs that waited for the end of quiet start one at a time. A run that comes now does not wait for them.
    admission.next_turn_at = Some(at(65));
    assert_eq!(ask_run(&admission, &pipeline(""), true), Some(Wait::Turn { at: Some(at(65)) }));
    assert_eq!(ask_run(&admission, &pipeline(""), false), None);
    let on_battery = MachineSample {
        power: Some(Power { battery_fraction: 0.5, on_battery: true }),
        ..MachineSample::default()
    };
    let snapshot = ResourceSnapshot { machine: on_battery, ..ResourceSnapshot::default() };
    admission.machine = Some(Arc::new(snapshot));
    assert_eq!(ask_run(&admission, &pipeline(""), false), None);
    for word in ["hold", "freeze"] {
        let pipeline = pipeline(&format!("on_battery = \"{word}\""));
        assert_eq!(ask_run(&admission, &pipeline, false), Some(Wait::Battery), "{word}");
    }
}

#[test]
fn a_step_starts_only_where_its_usual_peak_fits_beside_the_peaks_of_those_that_run() {
    let frozen = RunClaim { frozen_since: Some(at(60)), ..claim("a", &[memory(5)]) };
    let mut admission = admission(AdmissionPolicy::default(), &[("scrapers-20260114", frozen)]);
    // Other programs use seven of sixteen. The run uses one so far and will use five.
    admission.machine = machine(8, &[("scrapers-20260114", 1)]);
    assert_eq!(ask(&admission, memory(4)), None);
    let expected = "Waiting for memory: usually needs 6.0 GiB, 4.0 GiB are free; \
                    run scrapers-20260114 holds 5.0 GiB (frozen 14 min)";
    assert_eq!(sentence(ask(&admission, memory(6))), expected);
    // It uses more than ever before.
    admission.machine = machine(14, &[("scrapers-20260114", 7)]);
    assert_eq!(ask(&admission, memory(2)), None);
    assert!(ask(&admission, memory(3)).is_some());
    // A step without any known need starts.
    assert_eq!(ask(&admission, Need::default()), None);
}

#[test]
fn a_limit_and_a_budget_lower_what_there_is() {
    let limit =
        Limit::new(Resource::Memory, Threshold::Fraction(0.75), Threshold::Fraction(0.5), Duration::ZERO);
    let limits = Limits::none().with(limit.unwrap());
    let mut admission = admission(AdmissionPolicy { limits, ..AdmissionPolicy::default() }, &[]);
    assert_eq!(ask(&admission, memory(12)), None);
    admission.machine = machine(1, &[]);
    assert!(ask(&admission, memory(12)).is_some());
    admission.policy.memory = Some(Threshold::Bytes(4 * GIB));
    assert_eq!(ask(&admission, memory(4)), None);
    admission.note(&run_id("other"), Some(claim("a", &[memory(2)])));
    let expected = "Waiting for memory: usually needs 3.0 GiB, 2.0 GiB are free; run other holds 2.0 GiB";
    assert_eq!(sentence(ask(&admission, memory(3))), expected);
}

#[test]
fn a_learned_need_that_never_fits_may_try_alone_and_an_explicit_one_is_too_much() {
    let policy = AdmissionPolicy { memory: Some(Threshold::Bytes(4 * GIB)), ..AdmissionPolicy::default() };
    let mut admission = admission(policy, &[]);
    assert_eq!(ask(&admission, memory(5)), None);
    let asked = Need { is_usual: false, ..memory(5) };
    let expected = "Asks for more memory than there is: 5.0 GiB of 4.0 GiB";
    assert_eq!(sentence(ask(&admission, asked)), expected);
    admission.note(&run_id("other"), Some(claim("a", &[memory(1)])));
    assert!(matches!(ask(&admission, memory(5)), Some(Wait::Memory { .. })));
}

#[test]
fn a_frozen_run_gives_back_its_cpus_and_keeps_its_memory() {
    let busy = Need { cpus: 3.5, memory_bytes: 15 * GIB, ..Need::default() };
    let mut admission = admission(AdmissionPolicy::default(), &[("r1", claim("a", &[busy]))]);
    let cpu = Need { cpus: 1.0, ..Need::default() };
    assert_eq!(
        sentence(ask(&admission, cpu)),
        "Waiting for CPUs: needs 1, 0.5 are free; run r1 uses most of them"
    );
    let frozen = RunClaim { frozen_since: Some(at(0)), ..claim("a", &[busy]) };
    admission.note(&run_id("r1"), Some(frozen));
    assert_eq!(ask(&admission, cpu), None);
    assert!(ask(&admission, memory(2)).is_some());
    let too_many = Need { cpus: 5.0, ..Need::default() };
    assert_eq!(sentence(ask(&admission, too_many)), "Asks for more CPUs than there are: 5 of 4");
}

#[test]
fn space_is_that_of_the_disk_on_which_a_step_writes() {
    let writes = |gib: u64| Need { disk_bytes: gib * GIB, ..Need::default() };
    let mut admission = admission(AdmissionPolicy::default(), &[("r1", claim("a", &[writes(6)]))]);
    assert_eq!(ask(&admission, writes(4)), None);
    let expected =
        "Waiting for disk space: needs 5.0 GiB, 4.0 GiB are free; run r1 still has to write 6.0 GiB";
    assert_eq!(sentence(ask(&admission, writes(5))), expected);
    // What it has written is not free any more, and is not counted a second time.
    let mut sample = ResourceSnapshot::clone(admission.machine.as_ref().unwrap());
    sample.steps = machine(0, &[("r1", 1)]).unwrap().steps.clone();
    sample.steps[0].written_bytes = 5 * GIB;
    sample.machine.volumes =
        [VolumeSpace { free_bytes: 5 * GIB, ..sample.machine.volumes[1].clone() }].into();
    let before = admission.machine.replace(Arc::new(sample));
    assert_eq!(ask(&admission, writes(4)), None);
    let expected =
        "Waiting for disk space: needs 5.0 GiB, 4.0 GiB are free; run r1 still has to write 1.0 GiB";
    assert_eq!(sentence(ask(&admission, writes(5))), expected);
    admission.machine = before;
    let run_id = run_id("new");
    let elsewhere = StepRequest { run_id: &run_id, need: writes(40), folder: Path::new("/home"), own: &[] };
    assert_eq!(admission.step(elsewhere), None);
    // The space below the limit is not given to any step.
    let floor =
        Limit::new(Resource::Disk, Threshold::Bytes(3 * GIB), Threshold::Bytes(4 * GIB), Duration::ZERO);
    admission.policy.limits = Limits::none().with(floor.unwrap());
    assert!(ask(&admission, writes(2)).is_some());
}

#[test]
fn steps_that_one_decision_starts_together_count_for_each_other() {
    let policy = AdmissionPolicy { memory: Some(Threshold::Bytes(4 * GIB)), ..AdmissionPolicy::default() };
    let admission = admission(policy, &[]);
    let started = claim("a", &[memory(3)]).steps;
    let run_id = run_id("new");
    let ask = |gib, own: &[StepClaim]| {
        let folder = Path::new("/jobs");
        admission.step(StepRequest { run_id: &run_id, need: memory(gib), folder, own })
    };
    assert_eq!(ask(2, &[]), None);
    assert!(ask(2, &started).is_some());
    assert_eq!(ask(1, &started), None);
}

#[test]
fn what_is_reserved_for_a_run_is_given_to_no_other() {
    let policy = AdmissionPolicy { max_concurrent_runs: Some(2), ..AdmissionPolicy::default() };
    let mut admission = admission(policy, &[("r1", claim("a", &[memory(10)]))]);
    let big = run_id("big");
    let wait = ask(&admission, memory(8)).unwrap();
    let step = |gib| claim("b", &[memory(gib)]).steps.remove(0);
    // No end of a run can free that much, so nothing is reserved for it.
    admission.keep_room(&big, &wait, &step(17));
    assert_eq!(ask(&admission, memory(1)), None);
    admission.keep_room(&big, &wait, &step(8));
    let behind = Some(Wait::Behind { run_id: big.clone() });
    assert_eq!(ask(&admission, memory(1)), behind);
    // It needs no CPUs, and its own reservation does not stop it.
    assert_eq!(ask(&admission, Need { cpus: 1.0, ..Need::default() }), None);
    let own = StepRequest { run_id: &big, need: memory(1), folder: Path::new("/jobs"), own: &[] };
    assert_eq!(admission.step(own), None);
    admission.begin_line();
    assert_eq!(ask(&admission, memory(1)), None);
    let place = Wait::Place { place: Place::All, n_places: 2, holder: None };
    admission.keep_place(&big, &place);
    assert_eq!(ask_run(&admission, &pipeline(""), false), behind);
}

#[test]
fn the_line_is_by_priority_and_who_waits_rises() {
    let rank = |run: &str, priority, since, now| {
        Rank::new(run_id(run), priority, at(since), Duration::from_secs(60), at(now))
    };
    assert!(rank("a", 9, 10, 20) < rank("b", 0, 0, 20));
    assert!(rank("b", 5, 0, 20) < rank("a", 5, 10, 20));
    // After nine minutes the lowest has the level of the highest that has just come, and is before it because it came
    // first.
    assert!(rank("old", 0, 0, 540) < rank("new", 9, 540, 540));
    assert!(!rank("old", 0, 0, 599).is_overtaken_by_nobody());
    assert!(rank("old", 0, 0, 600).is_overtaken_by_nobody());
    // A clock that was set back does not lower the rank.
    assert!(!rank("odd", 9, 100, 0).is_overtaken_by_nobody());
}

proptest! {
    /// An endless stream of the highest priority for one place: the run with the lowest priority gets its turn all the
    /// same.
    #[test]
    fn no_run_starves(ageing_s in 1_u64..120, run_s in 1_i64..30, arrival_s in 1_i64..20) {
        let ageing = Duration::from_secs(ageing_s);
        let mut line = vec![(run_id("low"), 0_u8, 0_i64)];
        let mut free_at = 0;
        // Only runs that came while it was still below them go first.
        let n_before = 9 * ageing_s as i64 / arrival_s + 2;
        let bound = 10 * ageing_s as i64 + n_before * run_s;
        for second in 0..=bound {
            if second % arrival_s == 0 {
                line.push((run_id(&format!("high-{second}")), 9, second));
            }
            if second >= free_at {
                line.sort_by_key(|(id, priority, since)| Rank::new(id.clone(), *priority, at(*since), ageing, at(second)));
                if !line.is_empty() {
                    let (id, _, _) = line.remove(0);
                    free_at = second + run_s;
                    if id == run_id("low") {
                        return Ok(());
                    }
                }
            }
        }
        prop_assert!(false, "it waited for more than {bound} s");
    }
}

#[test]
fn the_same_wait_is_the_same_whatever_its_figures() {
    let memory = |free, holder: &str| Wait::Memory {
        needs: 5,
        is_usual: true,
        free,
        holder: Some(Holder { run_id: run_id(holder), bytes: Some(free), frozen_since: None }),
    };
    let mut admission =
        admission(AdmissionPolicy::default(), &[("a", claim("a", &[])), ("b", claim("a", &[]))]);
    assert!(admission.is_still(&memory(1, "a"), &memory(2, "a")));
    // The largest holder may change with each sample. A holder stays named until it holds nothing any more.
    assert!(admission.is_still(&memory(1, "a"), &memory(1, "b")));
    admission.note(&run_id("a"), None);
    assert!(!admission.is_still(&memory(1, "a"), &memory(1, "b")));
    // Unless changes of the holder are reported later.
    admission.tells_holders = false;
    assert!(admission.is_still(&memory(1, "a"), &memory(1, "b")));
    assert!(!admission.is_still(&memory(1, "b"), &Wait::Drain));
    let place = |n_places, holder: &str| Wait::Place {
        place: Place::All,
        n_places,
        holder: Some(Holder { run_id: run_id(holder), bytes: None, frozen_since: None }),
    };
    assert!(admission.is_still(&place(1, "a"), &place(1, "b")));
    assert!(!admission.is_still(&place(1, "a"), &place(2, "a")));
    admission.tells_holders = true;
    assert!(!admission.is_still(&place(1, "a"), &place(1, "b")));
    assert!(admission.is_still(&memory(1, "b"), &Wait::Closed));
    // A run that can't be overtaken may hold nothing yet.
    let behind = Wait::Behind { run_id: run_id("c") };
    assert!(admission.is_still(&behind, &behind));
    let text = serde_json::to_string(&memory(1, "a")).unwrap();
    assert_eq!(serde_json::from_str::<Wait>(&text).unwrap(), memory(1, "a"));
}

#[test]
fn no_more_steps_live_than_can_be_watched_over_whatever_they_need() {
    let mut admission = Admission { max_steps: Some(3), ..Admission::default() };
    let (mine, other) = (run_id("mine"), run_id("other"));
    let claim = |n_steps: usize| claim("p", &vec![Need::default(); n_steps]);
    admission.note(&other, Some(claim(2)));
    // The noted claim of the run itself is older than its own list.
    admission.note(&mine, Some(claim(7)));
    assert_eq!(admission.one_more(&mine, 0), None);
    let wait = admission.one_more(&mine, 1).unwrap();
    assert_eq!(wait, Wait::OpenFiles { n_steps: 3 });
    assert!(wait.sentence(at(0)).contains("3 steps run"), "{}", wait.sentence(at(0)));
    assert!(wait.remedy(&mine).text.contains("ulimit -Hn"));
    admission.max_steps = None;
    assert_eq!(admission.one_more(&mine, 1000), None);
}
