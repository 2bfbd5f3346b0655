//! `leverframe schedule`: every verb, with an engine that lives and without one.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Home, Running};

const HELLO: &str = r#"
id = "hello"
source = "greetings"
[params.n]
type = "int"
default = 1
[[step]]
id = "a"
run = 'echo "$LEVERFRAME_TRIGGER $LEVERFRAME_JOB_ID $LEVERFRAME_PARAM_N"'
"#;

fn home() -> Home {
    let home = Home::new();
    home.pipeline("hello.toml", HELLO);
    home
}

fn serve(home: &Home) -> Running {
    let mut running = home.start(&["serve"]);
    running.hear("serving");
    running
}

fn end(running: Running) {
    running.signal(Signal::TERM);
    running.end().check(0, &["ended"]);
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

#[track_caller]
pub(super) fn has_keys(value: &Value, wanted: &[&str]) {
    let keys = keys(value);
    wanted.iter().for_each(|key| assert!(keys.contains(key), "{key} is missing in {value:#}"));
}

/// Every verb but those that run something: the same answers from this process and through an engine.
fn every_verb(home: &Home, jobs_fire: bool) {
    let said = home.say(&[
        "schedule",
        "add",
        "night",
        "--pipeline",
        "hello",
        "--daily",
        "02:30",
        "--tz",
        "Europe/Madrid",
        "--param",
        "n=3",
    ]);
    said.check(
        0,
        &[
            "added job night: every day at 02:30, Europe/Madrid",
            "next: ",
            ", in ",
            "forward to 03:00: 02:30 does not exist: it runs at 03:00",
            "back to 02:00: 02:30 comes twice: it runs at the first",
        ],
    );
    assert_eq!(said.err.contains("neither runs now"), !jobs_fire, "{said:?}");
    let job = home.json(&["schedule", "show", "night"]);
    for (key, value) in [
        ("pipeline_id", json!("hello")),
        ("source", json!("greetings")),
        ("schedule_type", json!("daily")),
        ("schedule_config", json!({"hour": 2, "minute": 30})),
        ("zone", json!("Europe/Madrid")),
        ("enabled", json!(true)),
        ("misfire", json!("run_once")),
        ("overlap", json!("skip")),
        ("params", json!({"n": "3"})),
    ] {
        assert_eq!(job[key], value, "{key}");
    }
    let after = ["schedule", "add", "after", "--pipeline", "hello", "--after", "night", "--on", "finished"];
    assert_eq!(home.json(&after)["schedule_config"], json!({"jobs": ["night"], "on": "finished"}));
    home.say(&["schedule", "remove", "night"]).check(2, &["after comes after it"]);

    let set = [
        "schedule",
        "set",
        "night",
        "--weekly",
        "mon 09:00",
        "--overlap",
        "queue",
        "--misfire-max-age",
        "2d",
    ];
    let changed = home.json(&set);
    assert_eq!((&changed["schedule_type"], &changed["overlap"]), (&json!("weekly"), &json!("queue")));
    assert_eq!(changed["misfire_max_age_seconds"], json!(172_800.0));
    assert_eq!((&changed["zone"], &changed["params"]), (&json!("Europe/Madrid"), &json!({"n": "3"})));
    let set =
        ["schedule", "set", "night", "--misfire-max-age", "none", "--unset-param", "n", "--priority", "2"];
    let changed = home.json(&set);
    assert_eq!(changed["misfire_max_age_seconds"], Value::Null);
    assert_eq!((&changed["params"], &changed["priority"]), (&json!({}), &json!(2)));
    assert_eq!(changed["schedule_type"], "weekly", "what is not given stays");
    // A time on the wall is one of the job's own zone.
    let set = home.json(&["schedule", "set", "night", "--once", "2099-07-01 12:00"]);
    assert_eq!(set["schedule_config"], json!({"at": "2099-07-01T10:00:00.000Z"}));

    home.say(&["schedule", "disable", "night"]).check(0, &["disabled job night"]);
    assert_eq!(home.json(&["schedule", "show", "night"])["enabled"], false);
    home.say(&["schedule", "list"]).check(0, &["night", "disabled", "after night ends"]);
    home.say(&["schedule", "enable", "night"])
        .check(0, &["enabled job night; next: Wed 2099-07-01 12:00 CEST"]);
    home.say(&["schedule", "rename", "night", "morning"]).check(0, &["night is now called morning"]);
    let names: Vec<Value> = home.json(&["schedule", "list"]).as_array().expect("a list").clone();
    let names: Vec<_> = names.iter().map(|job| job["job_id"].as_str().expect("a name")).collect();
    assert_eq!(names, ["after", "morning"]);
    assert_eq!(home.json(&["schedule", "show", "after"])["schedule_config"]["jobs"], json!(["morning"]));

    let filled = home.json(&["schedule", "set", "morning", "--every", "1h"]);
    assert_eq!(filled["schedule_config"], json!({"hours": 1}));
    assert_eq!(home.json(&["schedule", "history", "morning"]), json!([]));
    assert_eq!(home.json(&["schedule", "fires", "morning"]), json!([]));
    home.say(&["schedule", "remove", "after"]).check(0, &["removed job after"]);
    assert_eq!(home.json(&["schedule", "remove", "morning"]), json!({}));
    assert_eq!(home.json(&["schedule", "list"]), json!([]));
}

#[test]
fn every_verb_works_without_an_engine() {
    every_verb(&home(), false);
}

#[test]
fn every_verb_works_through_the_engine_that_lives() {
    let home = home();
    let running = serve(&home);
    every_verb(&home, true);
    end(running);
}

#[test]
fn what_is_wrong_is_said_with_what_is_right_and_nothing_is_changed() {
    let home = home();
    home.pipeline("broken.toml", "[[step]]\nid = \"a");
    home.say(&["schedule", "add", "night", "--pipeline", "hello", "--daily", "02:00"]).check(0, &[]);
    let before = home.json(&["schedule", "list"]);
    let check = |running: Option<&Running>| {
        let say = |args: &[&str], code, texts: &[&str]| {
            let said = home.say(&[&["schedule"], args].concat());
            said.check(code, texts);
            assert!(said.out.is_empty(), "{said:?}");
        };
        let add = |args: &[&str], texts: &[&str]| {
            say(&[&["add", "b", "--pipeline", "hello"], args].concat(), 2, texts)
        };
        add(&[], &["--daily HH:MM", "--manual"]);
        add(&["--daily", "24:00"], &["\"24:00\"", "00:00 to 23:59"]);
        add(&["--every", "6 hours"], &["6h or 1h30m"]);
        add(&["--weekly", "someday 09:00"], &["mon, tue"]);
        add(&["--cron", "61 * * * *"], &["minute 61 is out of range", "0 to 59"]);
        add(&["--once", "2020-01-01T00:00:00Z"], &["is in the past", "an instant in the future"]);
        add(&["--daily", "02:00", "--tz", "Europe/Madird"], &["did you mean Europe/Madrid?"]);
        add(&["--daily", "02:00", "--cron", "@daily"], &["cannot be used with"]);
        add(&["--daily", "02:00", "--misfire", "never"], &["run_once", "skip"]);
        add(&["--daily", "02:00", "--misfire-grace", "soon"], &["soon"]);
        add(&["--daily", "02:00", "--on", "failed"], &["--after"]);
        add(&["--manual", "--param", "n=many"], &["a whole number"]);
        add(&["--manual", "--param", "m=1"], &["no parameter \"m\""]);
        add(&["--after", "nigth"], &["no such job", "\"night\""]);
        add(&["--after", "b"], &["b"]);
        say(&["add", "b", "--pipeline", "helo", "--manual"], 2, &["did you mean \"hello\"?"]);
        say(&["add", "b", "--pipeline", "broken", "--manual"], 2, &["broken.toml:"]);
        say(&["add", "night", "--pipeline", "hello", "--manual"], 2, &["already", "schedule set"]);
        say(&["add", "../b", "--pipeline", "hello", "--manual"], 2, &["malformed"]);
        say(&["set", "night"], 2, &["no change of job"]);
        say(&["set", "night", "--param", "n=1", "--unset-param", "n"], 2, &["both set and unset"]);
        say(&["set", "night", "--after", "night"], 2, &["night → night"]);
        say(&["set", "nigth", "--manual"], 3, &["did you mean \"night\"?"]);
        for verb in ["enable", "disable", "remove", "run-now", "show", "history", "fires"] {
            say(&[verb, "nigth"], 3, &["did you mean \"night\"?"]);
        }
        say(&["rename", "nigth", "x"], 3, &["night"]);
        say(&["backfill", "night", "--from", "2h", "--to", "3h"], 2, &["swap them"]);
        say(&["backfill", "night", "--from", "1s"], 2, &["was not due in that time"]);
        say(&["fires", "night", "--from", "yesterday"], 2, &["a date"]);
        say(&["preview", "--cron", "* * * *"], 2, &["cron"]);
        if running.is_none() {
            say(&["run-now", "night", "--no-wait"], 6, &["leverframe serve"]);
        }
        assert_eq!(home.json(&["schedule", "list"]), before);
    };
    check(None);
    let running = serve(&home);
    check(Some(&running));
    end(running);
}

#[test]
fn a_preview_needs_no_job_and_no_data_directory() {
    let home = Home::new();
    let args = [
        "schedule",
        "preview",
        "--cron",
        "30 2 * * *",
        "--tz",
        "Europe/Madrid",
        "--from",
        "2027-03-27",
        "-n",
        "3",
    ];
    let preview = home.json(&args);
    let fires: Vec<_> =
        preview["fires"].as_array().expect("a list").iter().map(|fire| &fire["local"]).collect();
    assert_eq!(
        fires,
        ["2027-03-27T02:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    );
    assert_eq!(preview["fires"][1]["at"], "2027-03-28T01:00:00.000Z");
    assert_eq!(preview["clock_changes"].as_array().map(Vec::len), Some(2));
    has_keys(&preview["clock_changes"][0], &["at", "text"]);
    home.say(&args)
        .check(0, &["every day at 02:30, Europe/Madrid", "Sun 2027-03-28 03:00 CEST", "does not exist"]);
    home.say(&["schedule", "preview", "--cron", "0 0 31 2 *"]).check(0, &["it is due at no fixed time"]);
    assert!(!home.exists());
}

#[test]
fn a_job_is_run_by_hand_without_an_engine_and_through_one() {
    let home = home();
    let add = ["schedule", "add", "h", "--pipeline", "hello", "--manual", "--disabled", "--param", "n=7"];
    home.say(&add).check(0, &["added job h: only by hand"]);
    home.say(&["schedule", "run-now", "h"]).check(0, &["job h fired (by hand)", "completed"]);
    let history = home.json(&["schedule", "history", "h"]);
    has_keys(&history[0], &["job_id", "run_id", "started_at", "finished_at", "status", "error"]);
    assert_eq!(history[0]["status"], "completed");
    let run_id = history[0]["run_id"].as_str().expect("a name").to_owned();
    assert_eq!(home.say(&["logs", &run_id, "--step", "a"]).out, "manual h 7\n");

    let mut running = serve(&home);
    let run = home.json(&["schedule", "run-now", "h", "--no-wait"]);
    has_keys(&run, &["run_id", "state"]);
    let completed = format!("run {} completed", run["run_id"].as_str().expect("a name"));
    running.hear_all(&["job h fired (by hand)", &completed]);
    home.say(&["schedule", "run-now", "h"]).check(0, &["completed"]);
    end(running);
    let history = home.json(&["schedule", "history", "h", "--limit", "2"]);
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    assert_eq!(home.json(&["schedule", "fires", "h"]), json!([]), "runs by hand claim no instant");
    assert_eq!(home.json(&["schedule", "show", "h"])["run_count"], 3);
}

#[test]
fn several_at_once_without_an_engine_all_come_through() {
    let home = home();
    let adds: Vec<_> = (0..6)
        .map(|n| {
            home.start(&["schedule", "add", &format!("j{n}"), "--pipeline", "hello", "--daily", "02:00"])
        })
        .collect();
    for add in adds {
        add.end().check(0, &["added job"]);
    }
    assert_eq!(home.json(&["schedule", "list"]).as_array().map(Vec::len), Some(6));
}

#[test]
fn jobs_fire_under_serve_and_each_instant_has_one_row_after_kill_nine() {
    let home = home();
    home.say(&["schedule", "add", "tick", "--pipeline", "hello", "--every", "1s", "--misfire", "run_all"])
        .check(0, &["every second"]);
    for _ in 0..2 {
        let mut running = serve(&home);
        running.hear("job tick fired (due at");
        running.hear("completed");
        running.hear("job tick fired (due at");
        running.signal(Signal::KILL);
        assert_eq!(running.end().code, -1);
    }
    let mut running = serve(&home);
    running.hear("job tick fired (due at");
    running.hear("completed");
    home.say(&["schedule", "disable", "tick"]).check(0, &[]);
    let fires = home.json(&["schedule", "fires", "tick"]);
    let fires = fires.as_array().expect("a list");
    has_keys(&fires[0], &["job_id", "due_at", "through_at", "n_instants", "outcome", "reason", "run_id"]);
    let at = |text: &Value| {
        chrono::DateTime::parse_from_rfc3339(text.as_str().expect("a text"))
            .expect("an instant")
            .timestamp_millis()
    };
    // From the first to the last: no second is left out, none comes twice.
    let mut next = at(&fires[0]["due_at"]);
    for fire in fires {
        assert_eq!(at(&fire["due_at"]), next, "{fires:#?}");
        let n = fire["n_instants"].as_i64().expect("a number");
        assert_eq!(at(&fire["through_at"]), next + (n - 1) * 1000);
        next += n * 1000;
    }
    let runs: Vec<_> = fires.iter().filter_map(|fire| fire["run_id"].as_str()).collect();
    assert_eq!(runs.iter().collect::<BTreeSet<_>>().len(), runs.len(), "each fire has a run of its own");
    assert!(fires.iter().filter(|fire| fire["outcome"] == "ran").count() >= 3, "{fires:#?}");
    end(running);
}

#[test]
fn tables_of_pipeline_files_are_jobs_while_it_serves() {
    let home = home();
    let table = "\n[[schedule]]\nid = \"tabled\"\ndaily = \"02:00\"\ntz = \"Europe/Madrid\"\n";
    let mut running = serve(&home);
    home.say(&["schedule", "add", "seen", "--pipeline", "hello", "--manual"]).check(0, &[]);
    // From there on, whenever it begins to listen.
    let told = home.say(&["events", "--json"]).out;
    let last: Value = serde_json::from_str(told.lines().last().expect("an event")).expect("JSON");
    let mut events = home.start(&["events", "--follow", "--json", "--since", &last["seq"].to_string()]);
    home.pipeline("hello.toml", &format!("{HELLO}{table}"));
    events.hear("tabled");
    let job = home.json(&["schedule", "show", "tabled"]);
    assert!(job["file"].as_str().is_some_and(|file| file.ends_with("hello.toml")), "{job:#}");
    home.say(&["schedule", "set", "tabled", "--daily", "03:00"])
        .check(2, &["[[schedule]] table", "hello.toml"]);
    home.say(&["schedule", "remove", "tabled"]).check(2, &["[[schedule]] table"]);
    events.signal(Signal::INT);
    drop(events.end());
    home.pipeline("hello.toml", &format!("{HELLO}{}", table.replace("02:00", "26:00")));
    running.hear("warning: ");
    end(running);
}
