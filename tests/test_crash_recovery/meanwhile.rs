//! What comes in between: between the last reports of a step and the host that is found again, and between reading a run
//! and writing what was made of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::bounded;
use leverframe::engine::{EngineOptions, HostChoice, HostSink};
use leverframe::records::refresh_definition;
use leverframe::run::{EventKind, RunState};
use leverframe::supervisor::{HostEvent, Launcher};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::bench::{Bench, stored_step};
use crate::support::process::{let_pass, look_until, wait_gone};
use crate::support::{DEADLINE, PROGRAM, definition, options, start, wait_for, wait_for_end, wait_for_named};

/// Reports once, and once more right before its end, each time when it is told to.
const REPORTING: &str = r#"
until [ -e "$HERE/one" ]; do sleep 0.02; done
echo '{"output": {"one": 1}}' >> $LEVERFRAME_REPORT
echo '{"checkpoint": 1}' >> $LEVERFRAME_REPORT
touch "$HERE/reported"
until [ -e "$HERE/two" ]; do sleep 0.02; done
echo '{"output": {"two": 2}}' >> $LEVERFRAME_REPORT
echo '{"checkpoint": 2}' >> $LEVERFRAME_REPORT
"#;

/// A report is on its way while the host is looked for, which then says that the step has ended since.
#[test]
fn last_reports_that_come_with_an_inventory_are_neither_lost_nor_taken_twice() {
    let bench = Bench::new();
    // Capacity 1: the second host, and no other, is found when the test says so.
    let (find, found) = bounded(1);
    let said_by: Arc<Mutex<Option<Arc<HostSink>>>> = Arc::default();
    let host = {
        let (data_dir, said_by) = (bench.data_dir.clone(), said_by.clone());
        HostChoice::Custom(Arc::new(move |epoch, sink: HostSink| {
            let sink = Arc::new(sink);
            let is_second = said_by.lock().expect("no test panics here").replace(sink.clone()).is_some();
            if is_second {
                found.recv_timeout(DEADLINE).expect("the test says when");
            }
            let launched = Launcher::new(&data_dir).program(PROGRAM).launch()?;
            Ok(Box::new(launched.hello(epoch, move |event| sink(event))?))
        }))
    };
    let (engine, events) = bench.open_with(EngineOptions { host, ..options() });
    // While somebody holds the barrier, the engine waits at the next event that it tells: what it hears meanwhile, it
    // hears together.
    let barrier = Arc::new(Mutex::new(()));
    // Capacity 1: that it waits.
    let (waits, has_come) = bounded(1);
    let watched = {
        let barrier = barrier.clone();
        engine.bus().subscribe_with_waker(move || {
            if barrier.try_lock().is_err() {
                // Full says the same.
                let _ = waits.try_send(());
                drop(barrier.lock());
            }
        })
    };
    let run = start(&engine, "r1", &bench.pipeline("", &[("a", "", REPORTING)]));
    wait_for_named(&events, "step_started");
    let pids = bench.pids_in("a.pids", 1);
    let sink = said_by.lock().expect("no test panics here").clone().expect("there is a host");
    sink(HostEvent::Gone { reason: "as the test wants it".into() });
    wait_for_named(&events, "warning_raised");

    let held = barrier.lock().expect("no test panics here");
    while watched.try_recv().is_some() {}
    let other = {
        let (engine, text) = (engine.clone(), bench.pipeline("", &[("b", "", "")]));
        std::thread::spawn(move || start(&engine, "r2", &text))
    };
    has_come.recv_timeout(DEADLINE).expect("the engine waits");
    std::fs::write(bench.here.join("one"), "").expect("a file");
    look_until("its report", || bench.here.join("reported").exists().then_some(()));
    // By then its report is most likely on its way.
    let_pass(Duration::from_millis(200));
    std::fs::write(bench.here.join("two"), "").expect("a file");
    wait_gone(&pids);
    find.send(()).expect("somebody looks for a host");
    // And the host is most likely found by then.
    let_pass(Duration::from_millis(500));
    drop(held);

    let mut n_saved = 0;
    wait_for(&events, "the end of the run", |event| {
        n_saved += usize::from(matches!(event.kind, EventKind::CheckpointSaved { .. }));
        event.run_id.as_ref() == Some(&run) && event.kind.run().is_some_and(|run| run.state.is_ended())
    });
    other.join().expect("it was started");
    let stored = bench.stored("r1");
    let outputs = stored_step(&stored, "a").outputs.expect("there are some");
    let outputs: Value = serde_json::from_str(&outputs).expect("JSON");
    assert_eq!((stored.summary.state, outputs), (RunState::Completed, json!({"one": 1, "two": 2})));
    assert!((1..=2).contains(&n_saved), "two checkpoints were saved {n_saved} times");
}

#[test]
fn a_refresh_does_not_write_over_a_run_that_came_alive_while_its_file_was_read() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let run = start(&engine, "r1", &bench.pipeline("", &[("a", "", "exit 1\n")]));
    wait_for_end(&events, &run);
    let fresh = definition(&bench.pipeline("description = \"of today\"", &[("a", "", "")]));
    // Whoever resumes it has the database to itself; what is read meanwhile is what stood there before.
    let mut conn = Connection::open(bench.data_dir.join("checkpoints.db")).expect("it opens");
    conn.busy_timeout(DEADLINE).expect("it waits");
    let resumed =
        conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("it begins");
    let refreshing = {
        let (engine, run) = (engine.clone(), run.clone());
        std::thread::spawn(move || refresh_definition(&engine, &run, &fresh))
    };
    // By then it has most likely read the run, and waits for its turn to write.
    let_pass(Duration::from_millis(300));
    resumed
        .execute(
            "UPDATE execution_state SET state = 'running', attempt = attempt + 1 WHERE run_id = 'r1'",
            [],
        )
        .expect("it is written");
    resumed.commit().expect("it is written");
    let refused = refreshing.join().expect("it answers").expect_err("the run is alive");
    let refused = refused.to_string();
    assert!(
        refused.contains("was changed or removed meanwhile") || refused.contains("it is running"),
        "{refused}"
    );
    let stored = bench.stored("r1");
    assert_eq!((stored.summary.state, stored.summary.attempt), (RunState::Running, 2));
}
