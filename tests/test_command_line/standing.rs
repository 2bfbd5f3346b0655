//! What stands on disk afterwards: the shapes of JSON, pipelines by id, parameters, retries, and databases
//! that were filled by hand.

use serde_json::Value;

use super::{Home, TWO_STEPS};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[track_caller]
fn has_keys(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(keys(value).contains(key), "{key} is missing in {value:#}");
    }
}

#[test]
fn a_run_of_two_steps_is_told_and_recorded() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    let said = home.say(&["run", "two", "--param", "n=5", "--run-id", "r1"]);
    said.check(0, &["run r1 started", "step first started (attempt 1, pid", "half way", "run r1 completed"]);
    assert!(said.err.is_empty(), "{said:?}");

    let runs = home.json(&["runs"]);
    let run = &runs[0];
    has_keys(
        run,
        &[
            "run_id",
            "pipeline_id",
            "source",
            "run_type",
            "environment",
            "state",
            "live",
            "progress",
            "current_step",
            "started_at",
            "finished_at",
            "frozen_seconds",
            "error",
            "attempt",
        ],
    );
    assert_eq!(
        (&run["run_id"], &run["source"], &run["run_type"]),
        (&"r1".into(), &"shop".into(), &"FULL_REFRESH".into())
    );
    assert_eq!(
        (&run["state"], &run["live"], &run["progress"]),
        (&"completed".into(), &false.into(), &1.0.into())
    );

    let shown = home.json(&["show", "r1"]);
    let step = &shown["steps"][0];
    has_keys(
        step,
        &[
            "step_id",
            "state",
            "attempt",
            "exit_code",
            "signal",
            "started_at",
            "finished_at",
            "peak_rss_bytes",
            "peak_rss_source",
            "cpu_seconds",
            "log",
        ],
    );
    assert_eq!(
        (&step["step_id"], &step["exit_code"], &step["attempt"]),
        (&"first".into(), &0.into(), &1.into())
    );
    assert_eq!(shown["params"]["n"], "5");
    let log = std::fs::read_to_string(step["log"].as_str().expect("a path")).expect("it is there");
    assert_eq!(log, "n is 5\n");
    home.say(&["show", "r1"]).check(0, &["completed", "half way"]);

    let checkpoints = home.json(&["checkpoints", "r1"]);
    assert_eq!((&checkpoints[0]["step_id"], &checkpoints[0]["data"]["page"]), (&"first".into(), &7.into()));
    has_keys(&checkpoints[0], &["created_at"]);

    let logs = home.say(&["logs", "r1"]);
    assert_eq!(logs.out, "==> first (attempt 1) <==\nn is 5\n==> second (attempt 1) <==\nsecond\n");
    assert_eq!(home.say(&["logs", "r1", "--step", "second"]).out, "second\n");
    home.say(&["logs", "r1", "--step", "third"]).check(3, &["no step third", "first, second"]);
    home.say(&["show", "r2"]).check(3, &["did you mean r1?"]);
}

#[test]
fn events_are_json_lines_in_order() {
    let home = Home::new();
    let pipeline = home.file("two.toml", TWO_STEPS);
    let said = home.say(&["run", &pipeline, "--json"]);
    said.check(0, &[]);
    let events: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // A log has one name everywhere: its whole path.
    let shown = home.json(&["show", events[0]["run_id"].as_str().expect("an id")]);
    let logs: Vec<_> =
        events.iter().map(|event| &event["step"]["log"]).filter(|log| !log.is_null()).collect();
    assert!(logs.contains(&&shown["steps"][0]["log"]), "{logs:?} of {shown:#}");
    assert!(logs.iter().all(|log| log.as_str().is_some_and(|log| log.starts_with('/'))), "{logs:?}");
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"execution_started"), Some(&"execution_completed")));
    for name in ["execution_running", "step_started", "step_finished", "checkpoint_saved"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    assert!(events.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()));
}

#[test]
fn parameters_are_checked_before_anything_is_recorded() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    let run = |args: &[&str]| home.say(&[&["run", "two"], args].concat());
    run(&["--param", "m=1"]).check(2, &["no parameter \"m\"", "it has colour, n"]);
    run(&["--param", "n=many"]).check(2, &["a whole number"]);
    run(&["--param", "colour=gren"]).check(2, &["did you mean \"green\"?"]);
    run(&["--param", "n=1", "--param", "n=2"]).check(2, &["twice"]);
    assert_eq!(home.json(&["runs"]), Value::Array(Vec::new()));
}

#[test]
fn an_unknown_pipeline_has_a_neighbour_and_namesakes_are_refused() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    home.say(&["run", "tow"]).check(3, &["did you mean \"two\"?"]);
    home.say(&["run", "./none.toml"]).check(3, &["none.toml"]);
    home.pipeline("copy.toml", TWO_STEPS);
    home.say(&["run", "two"]).check(2, &["two.toml", "copy.toml"]);
    let wrong = home.file("wrong.toml", "x = 1");
    home.say(&["run", &wrong]).check(2, &["wrong.toml:1:1"]);
}

#[test]
fn further_folders_of_the_settings_are_searched() {
    let home = Home::new();
    home.file("jobs/two.toml", TWO_STEPS);
    home.file("data/settings.toml", "[pipelines]\ndirs = [\"../jobs\"]\n[env]\nGREETING = \"hello\"\n");
    home.file("jobs/env.toml", "[[step]]\nid = \"a\"\nrun = 'echo \"$GREETING\"'\n");
    home.say(&["run", "env", "--run-id", "r"]).check(0, &[]);
    assert_eq!(home.say(&["logs", "r"]).out, "hello\n");
}

const FAILS_ONCE: &str = r#"
id = "fragile"
[[step]]
id = "good"
run = "echo good"
[[step]]
id = "bad"
run = 'echo trying; test -e "$FLAG"'
"#;

#[test]
fn a_failed_run_shows_its_last_lines_and_is_taken_up_where_it_failed() {
    let home = Home::new();
    let pipeline = home.file("fragile.toml", FAILS_ONCE);
    let flag = home.dir.path().join("flag");
    let say = |args: &[&str]| {
        let mut command = home.command(args);
        super::said(command.env("FLAG", &flag).output().expect("it runs"))
    };
    let said = say(&["run", &pipeline, "--run-id", "r"]);
    said.check(1, &["step bad failed", "exited with code 1", "last lines of step bad (attempt 1)"]);
    assert!(said.err.contains("trying"), "{said:?}");
    say(&["run", &pipeline, "--run-id", "r"]).check(2, &["a run r already"]);

    std::fs::write(&flag, "").expect("a file");
    let said = say(&["resume", "r"]);
    said.check(0, &["goes on (it was failed)", "step bad started (attempt 2", "run r completed"]);
    assert!(!said.out.contains("step good started"), "{said:?}");
    say(&["resume", "r"]).check(2, &["completed"]);

    say(&["retry", "r", "--from", "worst"]).check(3, &["no step worst", "good, bad"]);
    let said = say(&["retry", "r", "--from", "bad"]);
    said.check(0, &["step bad started (attempt 3"]);
    let shown = home.json(&["show", "r"]);
    let attempts: Vec<_> = shown["steps"].as_array().unwrap().iter().map(|s| s["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 3]);
    assert_eq!(shown["attempt"], 3);
    assert_eq!(home.say(&["logs", "r", "--step", "bad", "--attempt", "1"]).out, "trying\n");
    let failed = home.json(&["runs", "--state", "failed,stopped"]);
    assert_eq!(failed, Value::Array(Vec::new()));
}

#[test]
fn a_refreshed_run_takes_the_file_of_today_unless_a_finished_step_is_gone() {
    let home = Home::new();
    let pipeline = home.file("fragile.toml", FAILS_ONCE);
    home.say(&["run", &pipeline, "--run-id", "r"]).check(1, &[]);
    home.file("fragile.toml", &FAILS_ONCE.replace("id = \"good\"", "id = \"better\""));
    home.say(&["resume", "r", "--refresh"]).check(2, &["finished step good is gone", "--refresh"]);
    let mended = format!(
        "{}\n[[step]]\nid = \"more\"\nrun = \"echo more\"\n",
        FAILS_ONCE.replace("test -e", "test -z")
    );
    home.file("fragile.toml", &mended);
    let said = home.say(&["resume", "r", "--refresh"]);
    said.check(0, &["as it is now", "step bad completed", "step more completed"]);
    assert!(!said.out.contains("step good started"), "{said:?}");
}

#[test]
fn the_same_again_takes_parameters_and_definition_of_an_earlier_run() {
    let home = Home::new();
    let pipeline = home.file("two.toml", TWO_STEPS);
    home.say(&["run", &pipeline, "--run-id", "r1", "--param", "n=9", "--run-type", "DELTA"]).check(0, &[]);
    std::fs::remove_file(&pipeline).expect("it is there");
    home.say(&["run", "--like", "r1", "--run-id", "r2", "--param", "colour=green"]).check(0, &[]);
    let shown = home.json(&["show", "r2"]);
    assert_eq!((&shown["params"]["n"], &shown["params"]["colour"]), (&"9".into(), &"green".into()));
    assert_eq!(shown["run_type"], "DELTA");
    home.say(&["run", "--like", "r9"]).check(3, &["no run r9"]);
}

/// Contract 5: a database that holds only the fixed tables, filled by hand, is opened, brought forward and run.
#[test]
fn a_database_that_was_filled_by_hand_is_read_as_it_is_and_its_run_is_taken_up() {
    let home = Home::new();
    home.pipeline(
        "two.toml",
        "id = \"two\"\n[[step]]\nid = \"first\"\nrun = 'cat \"$LEVERFRAME_CHECKPOINT\"'\n",
    );
    let path = home.data().join("checkpoints.db");
    let database = rusqlite::Connection::open(&path).expect("a database");
    database
        .execute_batch(
            "CREATE TABLE checkpoints (run_id TEXT NOT NULL, step_id TEXT NOT NULL, checkpoint_data TEXT NOT NULL,
               created_at TEXT NOT NULL, PRIMARY KEY (run_id, step_id));
             CREATE TABLE execution_state (run_id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL, source TEXT NOT NULL,
               state TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT, progress REAL, current_step TEXT,
               error TEXT, metadata TEXT);
             INSERT INTO execution_state VALUES ('old-1', 'two', 'shop', 'interrupted', '2026-01-02T03:04:05Z',
               NULL, 0.4, 'first', NULL, NULL);
             INSERT INTO checkpoints VALUES ('old-1', 'first', '{\"page\":12}', '2026-01-02T03:05:00Z');",
        )
        .expect("tables");
    drop(database);
    let before = std::fs::read(&path).expect("it is there");
    assert_eq!(home.json(&["runs"])[0]["run_id"], "old-1");
    assert_eq!(home.json(&["checkpoints", "old-1"])[0]["data"]["page"], 12);
    assert_eq!(std::fs::read(&path).expect("it is there"), before, "reading changed nothing");
    home.say(&["resume", "old-1"]).check(0, &["goes on (it was interrupted)", "run old-1 completed"]);
    assert_eq!(home.say(&["logs", "old-1"]).out, "{\"page\":12}");
}

#[test]
fn runs_are_filtered_by_time_state_pipeline_and_number() {
    let home = Home::new();
    let pipeline = home.file("two.toml", TWO_STEPS);
    for id in ["r1", "r2", "r3"] {
        home.say(&["run", &pipeline, "--run-id", id]).check(0, &[]);
    }
    let ids = |args: &[&str]| -> Vec<String> {
        let runs = home.json(&[&["runs"], args].concat());
        runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&[]), ["r3", "r2", "r1"]);
    assert_eq!(ids(&["--limit", "2"]), ["r3", "r2"]);
    assert_eq!(ids(&["--since", "1h", "--state", "completed", "--pipeline", "two"]).len(), 3);
    assert!(ids(&["--until", "1h"]).is_empty() && ids(&["--pipeline", "three"]).is_empty());
    home.say(&["runs"]).check(0, &["RUN", "✔ completed", "just now"]);
}
