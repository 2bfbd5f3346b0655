//! The read model under updates in every order.

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::base::id::PipelineId;
use crate::run::{Event, EventKind, RunState, RunSummary, StepState, StepSummary, Trigger};
use crate::window::port::RunUsage;

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + seconds, 0).unwrap()
}

fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn run(name: &str, state: RunState, started: i64) -> RunSummary {
    RunSummary {
        run_id: run_id(name),
        pipeline_id: PipelineId::new("books").unwrap(),
        source: "books".into(),
        run_type: "FULL_REFRESH".into(),
        environment: "dev".into(),
        trigger: Trigger::Manual,
        state,
        live: !state.is_ended(),
        progress: 0.0,
        current_step: None,
        message: None,
        started_at: at(started),
        finished_at: state.is_ended().then(|| at(started + 60)),
        frozen_seconds: 0.0,
        frozen_since: None,
        worked_seconds: None,
        works_since: None,
        error: None,
        attempt: 1,
        waits_for: None,
    }
}

fn step(name: &str, state: StepState, attempt: u32) -> StepSummary {
    StepSummary {
        step_id: StepId::new(name).unwrap(),
        state,
        attempt,
        exit_code: None,
        signal: None,
        started_at: (attempt > 0).then(|| at(0)),
        finished_at: None,
        peak_rss_bytes: None,
        peak_rss_source: None,
        cpu_seconds: None,
        written_bytes: None,
        worked_seconds: None,
        works_since: None,
        log: None,
        progress: 0.0,
        message: None,
        pid: None,
        error: None,
        waits_for: None,
    }
}

fn event(seq: u64, name: &str, kind: EventKind) -> AppUpdate {
    AppUpdate::Event(Arc::new(Event { seq, at: at(0), run_id: Some(run_id(name)), kind }))
}

fn running(seq: u64, run: RunSummary) -> AppUpdate {
    let name = run.run_id.to_string();
    event(seq, &name, EventKind::ExecutionRunning { run: Arc::new(run) })
}

fn completed(seq: u64, run: RunSummary) -> AppUpdate {
    let name = run.run_id.to_string();
    event(seq, &name, EventKind::ExecutionCompleted { run: Arc::new(run) })
}

fn progress(seq: u64, name: &str, progress: f64) -> AppUpdate {
    let current_step = Some("fetch".into());
    event(seq, name, EventKind::ExecutionProgress { progress, current_step, message: None })
}

fn snapshot(seq: u64, runs: &[RunSummary]) -> AppUpdate {
    let steps = vec![step("fetch", StepState::Running, 1), step("parse", StepState::Pending, 0)];
    AppUpdate::Snapshot {
        runs: runs.iter().map(|run| (run.clone(), steps.clone())).collect(),
        orders: Default::default(),
        seq,
    }
}

fn store(updates: impl IntoIterator<Item = AppUpdate>) -> AppStore {
    let mut store = AppStore::default();
    for update in updates {
        store.apply(update);
    }
    store
}

fn living(store: &AppStore) -> Vec<&str> {
    store.living().map(|entry| entry.run.run_id.as_str()).collect()
}

fn recent(store: &AppStore) -> Vec<&str> {
    store.recent().map(|entry| entry.run.run_id.as_str()).collect()
}

#[test]
fn living_runs_keep_their_place_and_ended_ones_stand_newest_first() {
    let mut store = store([
        running(3, run("b", RunState::Running, 20)),
        running(4, run("a", RunState::Running, 10)),
        running(5, run("c", RunState::Running, 20)),
    ]);
    assert_eq!(living(&store), ["a", "b", "c"]);
    store.apply(running(6, run("a", RunState::Paused, 10)));
    assert_eq!(living(&store), ["a", "b", "c"]);
    store.apply(completed(7, run("a", RunState::Completed, 10)));
    store.apply(completed(8, run("c", RunState::Completed, 20)));
    assert_eq!((living(&store), recent(&store)), (vec!["b"], vec!["c", "a"]));
    store.apply(running(9, run("a", RunState::Running, 10)));
    assert_eq!((living(&store), recent(&store)), (vec!["a", "b"], vec!["c"]));
}

#[test]
fn what_a_snapshot_covers_is_not_applied_again() {
    let mut store = store([snapshot(10, &[run("a", RunState::Paused, 0)])]);
    store.apply(running(9, run("a", RunState::Running, 0)));
    store.apply(progress(10, "a", 0.9));
    let entry = store.run(&run_id("a")).unwrap();
    assert_eq!((entry.run.state, entry.run.progress), (RunState::Paused, 0.0));
}

#[test]
fn a_snapshot_that_comes_late_does_not_undo_newer_events() {
    let mut store = store([running(12, run("a", RunState::Running, 0))]);
    store.apply(snapshot(11, &[run("a", RunState::Queued, 0), run("b", RunState::Queued, 5)]));
    assert_eq!(store.run(&run_id("a")).unwrap().run.state, RunState::Running);
    assert_eq!(living(&store), ["a", "b"]);
    assert_eq!(store.run(&run_id("a")).unwrap().steps().len(), 2);
}

#[test]
fn events_that_were_lost_are_made_good_by_a_snapshot_and_the_disk() {
    let mut store =
        store([running(3, run("a", RunState::Running, 0)), running(4, run("b", RunState::Running, 1))]);
    store.take_requests();
    store.apply(AppUpdate::Event(Arc::new(Event {
        seq: 20,
        at: at(0),
        run_id: None,
        kind: EventKind::Resync,
    })));
    assert_eq!(store.take_requests(), [Action::Refresh]);
    store.apply(snapshot(20, &[run("b", RunState::Paused, 1)]));
    assert_eq!(living(&store), ["b"]);
    store.apply(AppUpdate::RecentRuns(vec![run("a", RunState::Failed, 0)]));
    assert_eq!(recent(&store), ["a"]);
    assert_eq!(store.run(&run_id("b")).unwrap().run.state, RunState::Paused);
}

#[test]
fn the_disk_does_not_end_a_run_that_was_resumed_since() {
    let store = store([
        AppUpdate::RecentRuns(vec![run("a", RunState::Failed, 0)]),
        running(5, run("a", RunState::Running, 0)),
        AppUpdate::RecentRuns(vec![run("a", RunState::Failed, 0)]),
    ]);
    assert_eq!((living(&store), recent(&store).len()), (vec!["a"], 0));
}

#[test]
fn a_fact_that_telemetry_overtook_is_applied_and_keeps_the_newer_progress() {
    // Only the newest progress is kept on its way, so it may arrive before a fact with a lower seq.
    let mut store = store([
        running(3, run("a", RunState::Running, 0)),
        progress(9, "a", 0.6),
        event(
            5,
            "a",
            EventKind::ExecutionPaused { run: Arc::new(run("a", RunState::Paused, 0)), unfrozen: vec![] },
        ),
    ]);
    let entry = store.run(&run_id("a")).unwrap();
    assert_eq!((entry.run.state, entry.run.progress), (RunState::Paused, 0.6));
    store.apply(progress(8, "a", 0.5));
    assert_eq!(store.run(&run_id("a")).unwrap().run.progress, 0.6);
}

#[test]
fn telemetry_that_comes_after_the_end_changes_nothing() {
    let mut ended = run("a", RunState::Completed, 0);
    ended.progress = 1.0;
    let store = store([
        running(3, run("a", RunState::Running, 0)),
        completed(5, ended),
        progress(6, "a", 0.4),
        progress(7, "unknown", 0.4),
    ]);
    assert_eq!(store.run(&run_id("a")).unwrap().run.progress, 1.0);
    assert!(store.run(&run_id("unknown")).is_none());
}

#[test]
fn an_event_told_twice_counts_once() {
    let alert = |seq| event(seq, "a", EventKind::WarningRaised { text: format!("odd {seq}") });
    let store = store([running(3, run("a", RunState::Running, 0)), alert(4), alert(4), alert(2)]);
    assert_eq!(store.run(&run_id("a")).unwrap().warnings, ["odd 4"]);
}

#[test]
fn the_steps_of_a_resumed_run_are_asked_for_and_newer_ones_are_kept() {
    let mut store = store([running(5, run("a", RunState::Running, 0))]);
    assert_eq!(store.take_requests(), [Action::LoadRun(run_id("a"))]);
    store.apply(event(8, "a", EventKind::StepStarted { step: step("parse", StepState::Running, 2) }));
    assert!(store.take_requests().is_empty(), "it is being read already");
    store.apply(AppUpdate::RunDetail(RunDetail {
        run: run("a", RunState::Running, 0),
        steps: vec![step("fetch", StepState::Completed, 1), step("parse", StepState::Pending, 1)],
        decisions: vec![],
        seq: 6,
    }));
    let states: Vec<_> =
        store.run(&run_id("a")).unwrap().steps().iter().map(|step| (step.state, step.attempt)).collect();
    assert_eq!(states, [(StepState::Completed, 1), (StepState::Running, 2)]);
}

#[test]
fn the_log_follows_the_step_that_runs_unless_one_is_chosen() {
    let mut store = store([snapshot(3, &[run("a", RunState::Running, 0)])]);
    let key = |name: &str, attempt| {
        let (run_id, step_id) = (run_id("a"), StepId::new(name).unwrap());
        AttemptKey { run_id, step_id, attempt }
    };
    let log = |name: &str, attempt| Action::SelectStep(key(name, attempt));
    store.select_run(Some(run_id("a")));
    assert_eq!(store.take_requests(), [Action::SelectRun(Some(run_id("a"))), log("fetch", 1)]);
    let tail = Arc::new(LogTail { lines: vec!["one".into()], ..LogTail::default() });
    let told = |name: &str| AppUpdate::LogTail { key: key(name, 1), tail: tail.clone() };
    store.apply(told("parse"));
    assert!(store.log().unwrap().tail.is_none(), "that was not asked for");
    store.apply(told("fetch"));
    assert_eq!(store.log().unwrap().tail.as_ref().unwrap().lines, ["one"]);

    store.apply(event(4, "a", EventKind::StepFinished { step: step("fetch", StepState::Completed, 1) }));
    store.apply(event(5, "a", EventKind::StepStarted { step: step("parse", StepState::Running, 1) }));
    assert_eq!(store.take_requests(), [log("parse", 1)]);
    store.choose_step(Some(StepId::new("fetch").unwrap()));
    store.apply(event(6, "a", EventKind::StepStarted { step: step("parse", StepState::Running, 2) }));
    assert_eq!(store.take_requests(), [log("fetch", 1)]);
    store.choose_step(None);
    assert_eq!(store.take_requests(), [log("parse", 2)]);
}

#[test]
fn memory_is_bounded_whatever_is_told() {
    let runs = (0..2 * MAX_RECENT).map(|n| run(&format!("r{n}"), RunState::Completed, n as i64));
    let mut store = store([AppUpdate::RecentRuns(runs.collect())]);
    assert_eq!((store.recent.len(), store.runs.len()), (MAX_RECENT, MAX_RECENT));
    assert_eq!(recent(&store)[0], "r999");

    store.apply(running(3, run("a", RunState::Running, 0)));
    for n in 0..5_000 {
        let usage = RunUsage { run_id: run_id("a"), at: at(n), cpu_fraction: 0.1, memory_bytes: 1 };
        store.apply(AppUpdate::Usage(vec![usage]));
        store.apply(AppUpdate::Machine(MachineSample {
            at: at(n),
            cpu_fraction: 0.5,
            memory_used_bytes: 1,
            memory_total_bytes: 2,
            disk_free_bytes: 3,
            ..MachineSample::default()
        }));
        store.apply(AppUpdate::Failure { action: format!("pause {n}"), message: "no".into() });
        let text = format!("odd {n}");
        store.apply(event(10 + n as u64, "a", EventKind::WarningRaised { text }));
    }
    assert_eq!(store.machine().len(), 601);
    assert_eq!(store.failures().len(), MAX_NOTICES);
    let entry = store.run(&run_id("a")).unwrap();
    assert_eq!((entry.usage().len(), entry.warnings.len()), (601, MAX_NOTICES));
}

#[test]
fn a_log_tail_is_cut_to_its_newest_lines() {
    let lines: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let tail = bounded_tail(Arc::new(LogTail { lines, total_bytes: 7, ..LogTail::default() }));
    assert_eq!((tail.lines.len(), tail.lines.last().unwrap().as_str()), (MAX_LOG_LINES, "4999"));
    assert!(tail.truncated_front && tail.total_bytes == 7);
    let long = LogTail { lines: vec!["x".repeat(200 * 1024); 3], ..LogTail::default() };
    assert_eq!(bounded_tail(Arc::new(long)).lines.len(), 1);
}

#[test]
fn the_steps_of_old_runs_are_given_up() {
    let mut store = AppStore::default();
    for n in 0..40u64 {
        let name = format!("r{n}");
        let steps = vec![step("fetch", StepState::Running, 1)];
        let started = Arc::new(run(&name, RunState::Running, n as i64));
        store.apply(event(100 + 2 * n, &name, EventKind::ExecutionStarted { run: started, steps }));
        store.apply(completed(101 + 2 * n, run(&name, RunState::Completed, n as i64)));
    }
    let with_steps = store.recent().filter(|entry| !entry.steps().is_empty()).count();
    assert_eq!(with_steps, MAX_STEPFUL);
    store.take_requests();
    store.select_run(Some(run_id("r0")));
    assert_eq!(store.take_requests(), [Action::SelectRun(Some(run_id("r0")))]);
}

#[test]
fn frozen_time_counts_neither_as_work_nor_towards_the_estimate() {
    let mut frozen = run("a", RunState::Paused, 0);
    frozen.progress = 0.5;
    frozen.frozen_since = Some(at(100));
    frozen.frozen_seconds = 40.0;
    let store = store([running(3, frozen.clone())]);
    let entry = store.run(&run_id("a")).unwrap();
    assert_eq!(entry.run.took(at(100)), TimeDelta::seconds(60));
    assert_eq!(entry.run.took(at(9_999)), TimeDelta::seconds(60));
    assert_eq!(entry.remaining_time(at(9_999)), None);
    let thawed = RunSummary { state: RunState::Running, frozen_since: None, frozen_seconds: 140.0, ..frozen };
    let entry = RunEntry::new(thawed, 4);
    assert_eq!(entry.remaining_time(at(200)), Some(TimeDelta::seconds(60)));
}

#[test]
fn nothing_is_said_to_be_left_while_no_living_step_says_how_far_it_is() {
    let mut one = run("a", RunState::Running, 0);
    one.progress = 0.2;
    let left_with = |progress: f64| {
        let mut store = store([running(3, one.clone())]);
        let mut lives = step("train", StepState::Running, 1);
        lives.progress = progress;
        let steps = vec![step("prepare", StepState::Completed, 1), lives];
        store.apply(event(4, "a", EventKind::ExecutionStarted { run: Arc::new(one.clone()), steps }));
        store.run(&run_id("a")).unwrap().remaining_time(at(100))
    };
    assert_eq!(left_with(0.0), None);
    assert_eq!(left_with(0.1), Some(TimeDelta::seconds(400)));
}

#[test]
fn the_runs_that_have_ended_are_counted_when_somebody_looks_and_again_when_there_are_others() {
    let mut store = store([AppUpdate::RecentRuns(vec![run("a", RunState::Failed, 0)])]);
    store.take_requests();
    assert_eq!(store.n_ended(), None);
    let looks = |store: &mut AppStore| {
        store.want_ended_count();
        store.take_requests().contains(&Action::CountEnded)
    };
    assert!(looks(&mut store));
    assert!(!looks(&mut store), "it is asked already");
    store.apply(AppUpdate::EndedCount(100_002));
    assert_eq!(store.n_ended(), Some(100_002));
    assert!(!looks(&mut store), "nothing has ended since");
    store.apply(running(3, run("b", RunState::Running, 0)));
    store.apply(AppUpdate::RunDetail(RunDetail {
        run: run("b", RunState::Completed, 0),
        steps: Vec::new(),
        decisions: Vec::new(),
        seq: 4,
    }));
    assert!(looks(&mut store));
    store.apply(AppUpdate::Failure { action: String::new(), message: String::new() });
    assert!(!looks(&mut store), "what can't be counted is not asked for again and again");
}

#[test]
fn a_step_that_waits_has_the_log_of_its_attempt_before_or_none() {
    let waiting = |attempt| StepSummary { started_at: None, ..step("fetch", StepState::Waiting, attempt) };
    let followed = |step: StepSummary| {
        let mut entry = RunEntry::new(run("a", RunState::Running, 0), 1);
        entry.set_steps(&[step], 1);
        entry.step_to_follow(None, None).map(|(_, attempt)| attempt)
    };
    assert_eq!(followed(waiting(1)), None, "nothing of it has begun, and nothing is looked up");
    assert_eq!(followed(waiting(2)), Some(1), "what failed is what one wants to read");
    assert_eq!(followed(step("fetch", StepState::Running, 2)), Some(2));
}

#[test]
fn progress_that_is_newer_than_a_list_of_steps_is_kept() {
    let reported = |seq, progress| {
        let step_id = StepId::new("fetch").unwrap();
        event(seq, "a", EventKind::StepProgress { step_id, progress, message: None })
    };
    let mut store = store([snapshot(3, &[run("a", RunState::Running, 0)]), reported(9, 0.6)]);
    store.apply(snapshot(8, &[run("a", RunState::Running, 0)]));
    store.apply(reported(7, 0.5));
    assert_eq!(store.run(&run_id("a")).unwrap().steps()[0].progress, 0.6);
}

#[test]
fn the_clock_of_a_run_stands_while_none_of_its_steps_works() {
    let works = |name: &str, since: Option<i64>, state| StepSummary {
        works_since: since.map(at),
        finished_at: since.is_none().then(|| at(30)),
        ..step(name, state, 1)
    };
    let started =
        RunSummary { worked_seconds: Some(0.0), works_since: Some(at(0)), ..run("a", RunState::Running, 0) };
    let told = |seq, step| event(seq, "a", EventKind::StepStarted { step });
    let mut store = store([
        snapshot(3, &[started]),
        told(4, works("fetch", Some(0), StepState::Running)),
        event(5, "a", EventKind::StepFinished { step: works("fetch", None, StepState::Failed) }),
    ]);
    let took = |store: &AppStore| store.run(&run_id("a")).unwrap().run.took(at(100));
    assert_eq!(took(&store), TimeDelta::seconds(30), "it waits for the next attempt");
    store.apply(told(6, works("fetch", Some(90), StepState::Running)));
    assert_eq!(took(&store), TimeDelta::seconds(40));
}

/// Any update about one of few runs, with any `seq`: duplicates, gaps and late ones included.
fn any_update() -> impl Strategy<Value = AppUpdate> {
    let name = || (0..5_usize).prop_map(|n| ["a", "b", "c", "d", "e"][n]);
    let state = || (0..RunState::ALL.len()).prop_map(|n| RunState::ALL[n]);
    let any_run = || (name(), state()).prop_map(|(name, state)| run(name, state, name.len() as i64));
    let any_step = (0..3_usize, 0..StepState::ALL.len(), 0..4_u32).prop_map(|(name, state, attempt)| {
        step(["fetch", "parse", "new"][name], StepState::ALL[state], attempt)
    });
    let kind = prop_oneof![
        4 => any_run().prop_map(|run| EventKind::ExecutionRunning { run: Arc::new(run) }),
        2 => any_run().prop_map(|run| EventKind::ExecutionCompleted { run: Arc::new(run) }),
        4 => any_step.prop_map(|step| EventKind::StepChanged { step }),
        2 => (0.0..1.0).prop_map(|progress| EventKind::ExecutionProgress {
            progress,
            current_step: None,
            message: None,
        }),
        1 => Just(EventKind::WarningRaised { text: "odd".into() }),
        1 => Just(EventKind::Resync),
    ];
    prop_oneof![
        10 => (0..60_u64, name(), kind).prop_map(|(seq, name, kind)| {
            let run_id = kind.run().map_or_else(|| run_id(name), |run| run.run_id.clone());
            AppUpdate::Event(Arc::new(Event { seq, at: at(seq as i64), run_id: Some(run_id), kind }))
        }),
        2 => (0..60_u64, prop::collection::vec(any_run(), 0..4)).prop_map(|(seq, runs)| snapshot(seq, &runs)),
        1 => prop::collection::vec(any_run(), 0..4).prop_map(AppUpdate::RecentRuns),
        1 => (0..60_u64, any_run()).prop_map(|(seq, run)| AppUpdate::RunDetail(RunDetail {
            run,
            steps: vec![step("parse", StepState::Running, 2)],
            decisions: vec![],
            seq,
        })),
        1 => prop::collection::vec(name().prop_map(run_id), 0..3).prop_map(|run_ids| AppUpdate::RunsDeleted {
            run_ids,
            n_deleted: 0,
            problems: vec![],
        }),
        1 => name().prop_map(|name| AppUpdate::Usage(vec![RunUsage {
            run_id: run_id(name),
            at: at(0),
            cpu_fraction: 0.1,
            memory_bytes: 1,
        }])),
    ]
}

/// What holds whatever was told: each run is in one list, the right one, at its place.
fn check(store: &AppStore) {
    let (living, recent) = (living(store), recent(store));
    let mut listed: Vec<&str> = living.iter().chain(&recent).copied().collect();
    listed.sort_unstable();
    let n_listed = listed.len();
    listed.dedup();
    assert_eq!((listed.len(), store.runs.len()), (n_listed, n_listed), "{living:?} and {recent:?}");
    assert!(store.living().all(|entry| !entry.run.state.is_ended()));
    assert!(store.recent().all(|entry| entry.run.state.is_ended()));
    assert!(store.living().is_sorted_by_key(|entry| entry.run.started_at));
    assert!(store.recent().rev().is_sorted_by_key(RunEntry::ended_at));
}

proptest! {
    #[test]
    fn no_order_of_updates_breaks_the_lists(
        updates in prop::collection::vec(any_update(), 0..60),
        selected in 0..60_usize,
    ) {
        let mut store = AppStore::default();
        for (n, update) in updates.into_iter().enumerate() {
            if n == selected {
                store.select_run(Some(run_id("a")));
            }
            store.apply(update);
            check(&store);
            store.take_requests();
        }
    }
}

#[test]
fn a_later_end_on_the_disk_is_right_and_an_earlier_one_is_not() {
    let mut store = AppStore::default();
    store.apply(completed(5, run("books-1", RunState::Completed, 0)));
    let end = |attempt, seconds| RunSummary {
        attempt,
        finished_at: Some(at(seconds)),
        ..run("books-1", RunState::Completed, 0)
    };
    for (read, shown) in [(end(2, 120), 2), (end(1, 60), 2), (end(3, 180), 3)] {
        store.apply(AppUpdate::RecentRuns(vec![read]));
        assert_eq!(store.run(&run_id("books-1")).unwrap().run.attempt, shown);
    }
}
