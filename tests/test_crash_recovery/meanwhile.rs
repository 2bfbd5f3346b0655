//! What comes in between: between the last reports of a step and the host that is found again, and between reading a run
//! and writing what was made of it.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::bounded;
use leverframe::engine::{EngineOptions, HostChoice, HostSink};
use leverframe::records::refresh_definition;
use leverframe::run::RunState;
use leverframe::supervisor::{HostEvent, Launcher};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::bench::{Bench, stored_step};
use crate::support::process::{let_pass, look_until, wait_gone};
use crate::support::{DEADLINE, PROGRAM, definition, options, start, wait_for_end, wait_for_named};

/// Says where it would report, and ends when it is told to.
const REPORTING: &str = r#"
echo "$LEVERFRAME_REPORT" > "$HERE/where.part"
mv "$HERE/where.part" "$HERE/where"
until [ -e "$HERE/go" ]; do sleep 0.02; done
"#;

/// A host says that a step has ended before the engine has that host, and a report comes in between: the last reports are
/// read from behind that report, which is decided in the same turn.
#[test]
fn last_reports_that_come_with_an_inventory_are_neither_lost_nor_taken_twice() {
    let bench = Bench::new();
    // Capacity 1: the second host, and no other, is looked for when the test says so.
    let (find, may_find) = bounded::<()>(1);
    // Capacity 1: that it is looked for.
    let (look, is_looked_for) = bounded::<()>(1);
    // Capacity 1: that the second host has said what it knows.
    let (said, has_said) = bounded::<()>(1);
    // Capacity 1: the engine gets it when the test says so.
    let (give, may_give) = bounded::<()>(1);
    let first_sink: Arc<Mutex<Option<Arc<HostSink>>>> = Arc::default();
    let host = {
        let (data_dir, first_sink) = (bench.data_dir.clone(), first_sink.clone());
        HostChoice::Custom(Arc::new(move |epoch, sink: HostSink| {
            let sink = Arc::new(sink);
            let is_first = first_sink.lock().expect("no test panics here").replace(sink.clone()).is_none();
            if !is_first {
                look.send(()).expect("the test waits");
                may_find.recv_timeout(DEADLINE).expect("the test says when");
            }
            let said = (!is_first).then(|| said.clone());
            let launched = Launcher::new(&data_dir).program(PROGRAM).launch()?;
            let host = launched.hello(epoch, move |event| {
                let is_inventory = matches!(event, HostEvent::Inventory(_));
                sink(event);
                if is_inventory && let Some(said) = &said {
                    said.send(()).expect("the test waits");
                }
            })?;
            if !is_first {
                may_give.recv_timeout(DEADLINE).expect("the test says when");
            }
            Ok(Box::new(host))
        }))
    };
    let (engine, events) = bench.open_with(EngineOptions { host, ..options() });
    // While the test holds the barrier, the engine waits at the next event that it tells: what comes meanwhile is taken
    // in one turn.
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
    let place = look_until("where it reports", || std::fs::read_to_string(bench.here.join("where")).ok());
    let report = |line: Value| {
        let mut file = File::options().append(true).create(true).open(place.trim()).expect("a file");
        writeln!(file, "{line}").expect("it is written");
    };
    let sink = first_sink.lock().expect("no test panics here").clone().expect("there is a host");
    sink(HostEvent::Gone { reason: "as the test wants it".into() });
    wait_for_named(&events, "warning_raised");
    // The engine has told that to the watcher, too, and goes on.
    is_looked_for.recv_timeout(DEADLINE).expect("another host is looked for");

    let held = barrier.lock().expect("no test panics here");
    while watched.try_recv().is_some() {}
    let other = {
        let (engine, text) = (engine.clone(), bench.pipeline("", &[("b", "", "")]));
        std::thread::spawn(move || start(&engine, "r2", &text))
    };
    has_come.recv_timeout(DEADLINE).expect("the engine waits");
    std::fs::write(bench.here.join("go"), "").expect("a file");
    wait_gone(&pids);
    find.send(()).expect("the second host is awaited");
    has_said.recv_timeout(DEADLINE).expect("the host says what it knows");
    report(json!({"output": {"one": 1}}));
    // By then this report waits for the engine, and the next one can only be read at the end.
    let_pass(Duration::from_millis(300));
    report(json!({"output": {"two": 2}}));
    give.send(()).expect("the engine waits for it");
    // And behind it, the host itself.
    let_pass(Duration::from_millis(300));
    drop(held);

    wait_for_end(&events, &run);
    other.join().expect("it was started");
    let stored = bench.stored("r1");
    let outputs = stored_step(&stored, "a").outputs.expect("there are some");
    let outputs: Value = serde_json::from_str(&outputs).expect("JSON");
    assert_eq!((stored.summary.state, outputs), (RunState::Completed, json!({"one": 1, "two": 2})));
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
