//! What keeps jobs from firing is said by lists and by `doctor`; what a script, an editor or a request does to them
//! stops no other.

use std::fs;

use chrono::TimeDelta;
use leverframe::engine::now;
use leverframe::run::RunState;
use leverframe::store::CheckpointManager;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Home, Running, said};
use crate::support::DEADLINE;
use crate::support::process::look_until;

const QUICK: &str = "[[step]]\nid = \"a\"\nrun = [\"true\"]\n";

fn serve(home: &Home) -> Running {
    let mut running = home.start(&["serve"]);
    running.hear("serving");
    running
}

fn end(running: Running) {
    running.signal(Signal::TERM);
    running.end().check(0, &["ended"]);
}

fn script(home: &Home, sql: &str) {
    let conn = Connection::open(home.data().join("scheduler.db")).expect("it opens");
    conn.busy_timeout(DEADLINE).expect("it waits");
    conn.execute_batch(sql).expect("it is written");
}

#[test]
fn a_job_that_a_script_sets_back_stops_nobody() {
    let home = Home::new();
    home.pipeline("p.toml", QUICK);
    let mut running = serve(&home);
    home.say(&["schedule", "add", "x", "--pipeline", "p", "--every", "1s"]).check(0, &[]);
    running.hear("job x fired");
    let due = home.json(&["schedule", "fires", "x"])[0]["due_at"].as_str().expect("an instant").to_owned();
    home.say(&["schedule", "add", "other", "--pipeline", "p", "--every", "1s"]).check(0, &[]);
    script(&home, &format!("UPDATE scheduled_jobs SET next_run = '{due}' WHERE job_id = 'x'"));
    for _ in 0..3 {
        running.hear("job other fired");
        running.hear("job x fired");
    }
    let fires = home.json(&["schedule", "fires", "x"]);
    let same = fires.as_array().expect("a list").iter().filter(|fire| fire["due_at"] == due.as_str()).count();
    assert_eq!(same, 1, "{fires:#}");
    end(running);
}

#[test]
fn a_folder_of_pipelines_that_cannot_be_watched_is_said_once_and_the_others_are_watched() {
    let home = Home::new();
    let bad = home.folder().join("bad");
    // Root may read everything, but nobody can follow a link to itself.
    std::os::unix::fs::symlink(&bad, &bad).expect("a link");
    home.data_file("settings.toml", &format!("[pipelines]\ndirs = [{bad:?}]\n"));
    let mut running = serve(&home);
    home.pipeline("p.toml", &format!("{QUICK}[[schedule]]\nevery = \"1s\"\n"));
    running.hear("job p fired");
    running.signal(Signal::TERM);
    let said = running.end();
    let sentence = format!("the folder {} can't be watched", bad.display());
    assert_eq!(said.out.matches(&sentence).count(), 1, "{said:?}");
}

#[test]
fn instants_that_nothing_can_reckon_with_are_refused_and_the_jobs_go_on() {
    let home = Home::new();
    home.pipeline("p.toml", QUICK);
    let mut running = serve(&home);
    home.say(&["schedule", "add", "x", "--pipeline", "p", "--every", "1s"]).check(0, &[]);
    running.hear("job x fired");
    let client = leverframe::control::ControlClient::connect(&home.data(), "test 1").expect("it connects");
    let client = client.expect("it serves");
    for (from, to) in [
        ("-262143-01-01T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("2026-11-25T00:00:00Z", "+262142-12-31T23:59:59Z"),
    ] {
        for (method, params) in [
            ("schedule.backfill", json!({"job_id": "x", "from": from, "to": to})),
            ("schedule.fires", json!({"job_id": "x", "from": from, "to": to})),
            ("engine.quiet", json!({"until": from})),
        ] {
            // Whatever it answers, it lives to answer the next.
            let _ = client.call::<Value>(&json!({"method": method, "params": params}));
            let _ = client.call::<Value>(&json!({"method": "engine.end_quiet", "params": {}}));
        }
    }
    for from in ["-262143-01-01T00:00:00Z", "9000000d", "0001-01-01T00:00:00Z"] {
        let from = format!("--from={from}");
        for args in [
            vec!["schedule", "backfill", "x", &from],
            vec!["schedule", "fires", "x", &from],
            vec!["schedule", "preview", "--daily", "02:30", "--tz", "Europe/Madrid", &from, "-n", "2"],
            vec!["schedule", "preview", "--cron", "*/5 * * * *", "--tz", "Asia/Gaza", &from, "-n", "2"],
        ] {
            let said = home.say(&args);
            assert!((0..=8).contains(&said.code), "{args:?} {said:?}");
            assert!(!said.err.contains("panicked"), "{said:?}");
        }
    }
    running.hear("job x fired");
    running.hear("job x fired");
    end(running);
}

#[test]
fn jobs_without_a_pipeline_and_jobs_that_nothing_fires_are_named() {
    let home = Home::new();
    home.pipeline("p.toml", QUICK);
    home.pipeline("gone.toml", QUICK);
    home.say(&["schedule", "add", "here", "--pipeline", "p", "--daily", "02:30"]).check(0, &[]);
    home.say(&["schedule", "add", "lost", "--pipeline", "gone", "--daily", "02:30"]).check(0, &[]);
    fs::remove_file(home.data().join("pipelines/gone.toml")).expect("it is removed");
    let nobody = "nothing on this machine fires these jobs";
    let lost = "there is no pipeline \"gone\"";
    // A service of this machine's own user is none of this directory.
    let list =
        || said(home.command(["schedule", "list"]).env("HOME", home.folder()).output().expect("it runs"));
    let doctor = || said(home.command(["doctor"]).env("HOME", home.folder()).output().expect("it runs"));
    list().check(0, &[lost, nobody]);
    doctor().check(1, &["job lost can't run", lost, nobody]);
    home.say(&["schedule", "show", "lost"]).check(0, &[lost]);
    let running = serve(&home);
    let said = list();
    said.check(0, &[lost]);
    assert!(!said.err.contains(nobody), "{said:?}");
    assert!(!doctor().out.contains(nobody));
    let jobs = home.json(&["schedule", "list"]);
    assert_eq!((&jobs[0]["trouble"], jobs[1]["trouble"].is_string()), (&Value::Null, true), "{jobs:#}");
    end(running);
}

#[test]
fn a_job_whose_every_fire_failed_to_start_does_not_look_as_if_it_was_never_due() {
    let home = Home::new();
    home.pipeline(
        "p.toml",
        "[params.day]\ntype = \"date\"\ndefault = \"2026-01-01\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n",
    );
    let mut running = serve(&home);
    home.say(&["schedule", "add", "x", "--pipeline", "p", "--every", "1s", "--param", "day=2026-02-02"])
        .check(0, &[]);
    running.hear("job x fired");
    // The parameter is there no more.
    home.pipeline("p.toml", QUICK);
    running.hear("has no parameter");
    home.say(&["schedule", "list"]).check(0, &["failed to start", "day"]);
    let job = home.json(&["schedule", "show", "x"]);
    assert_eq!(job["last_fire"]["outcome"], "failed_to_start", "{job:#}");
    end(running);
}

#[test]
fn how_long_a_run_is_held_for_a_missing_secret_is_not_begun_anew_by_the_next_server() {
    let home = Home::new();
    let text = "[params.token]\nsecret = { env = \"LEVERFRAME_TEST_NO_SUCH_SECRET\" }\n";
    home.pipeline("p.toml", &format!("{text}{QUICK}"));
    // Of the second, only what was recorded comes to its end within this test.
    for (job, grace, in_words, is_set_back) in [("short", "4s", "4s", false), ("long", "2h", "2h", true)] {
        let mut running = serve(&home);
        let add = ["schedule", "add", job, "--pipeline", "p", "--every", "1s", "--misfire-grace", grace];
        home.say(&add).check(0, &[]);
        running.hear("held: secret token is missing");
        home.say(&["schedule", "disable", job]).check(0, &[]);
        let run_id =
            home.json(&["schedule", "history", job])[0]["run_id"].as_str().expect("a name").to_owned();
        let stored = || {
            let store =
                CheckpointManager::open_read_only(home.data().join("checkpoints.db")).expect("it opens");
            store.load_run(&crate::support::run_id(&run_id)).expect("it can be read").expect("it is there")
        };
        let mut until =
            stored().phase.freeze().and_then(|freeze| freeze.held_until).expect("it is held for a while");
        running.signal(Signal::KILL);
        running.end();
        if is_set_back {
            // As if it had been held for all that time but two seconds.
            until = now().wall + TimeDelta::seconds(2);
            let conn = Connection::open(home.data().join("checkpoints.db")).expect("it opens");
            let set =
                "UPDATE execution_state SET ledger = json_set(ledger, '$.held_until', ?1) WHERE run_id = ?2";
            assert_eq!(conn.execute(set, [&until.to_rfc3339(), &run_id]).expect("it is written"), 1);
        }
        let running = serve(&home);
        look_until("its end", || (stored().summary.state == RunState::Failed).then_some(()));
        let step = home.json(&["show", &run_id])["steps"][0].clone();
        let error = step["error"].as_str().expect("a reason");
        let reason = format!("waited {in_words} for it");
        assert!(error.contains("secret token is missing") && error.contains(&reason), "{error}");
        // Kept to the millisecond.
        assert!(
            stored().summary.finished_at >= Some(until - TimeDelta::milliseconds(1)),
            "not before its time"
        );
        end(running);
    }
}

#[test]
fn a_pipeline_that_is_saved_as_editors_save_loses_no_fire_that_waits() {
    let home = Home::new();
    let text =
        "[[step]]\nid = \"a\"\nrun = \"sleep 1000\"\n[[schedule]]\nevery = \"1s\"\noverlap = \"queue\"\n";
    let path = home.pipeline("p.toml", text);
    let mut running = serve(&home);
    let mut events = home.start(&["events", "--follow", "--json"]);
    running.hear("job p did not run");
    let queued = || {
        let fires = home.json(&["schedule", "fires", "p"]);
        let fires = fires.as_array().expect("a list").clone();
        fires.into_iter().find(|fire| fire["outcome"] == "queued").map(|fire| fire["due_at"].clone())
    };
    let before = queued();
    assert!(before.is_some(), "one waits");
    // Away, and written anew, with a further table, so that it is told when it was read.
    fs::rename(&path, format!("{path}~")).expect("it is moved");
    running.hear("job p did not run");
    fs::write(&path, format!("{text}[[schedule]]\nid = \"told\"\ndaily = \"02:30\"\n"))
        .expect("it is written");
    events.hear("\"told\"");
    assert_eq!(queued(), before);
    events.signal(Signal::INT);
    drop(events.end());
    let runs = home.json(&["runs"]);
    let run_id = runs[0]["run_id"].as_str().expect("a name");
    home.say(&["schedule", "disable", "p"]).check(0, &[]);
    home.say(&["stop", "--force", run_id]).check(0, &[]);
    end(running);
}

#[test]
fn schedules_heed_tz_as_date_does_or_say_that_they_do_not() {
    let home = Home::new();
    home.pipeline("p.toml", QUICK);
    let with = |tz: &str, args: &[&str]| said(home.command(args).env("TZ", tz).output().expect("it runs"));
    let daily = ["schedule", "preview", "--daily", "02:30", "--from", "2026-12-01T00:00:00Z", "-n", "1"];
    with("America/New_York", &daily).check(0, &["America/New_York", "Tue 2026-12-01 02:30 EST"]);
    with(":Europe/Madrid", &daily).check(0, &["Europe/Madrid", "Tue 2026-12-01 02:30 CET"]);
    let once = ["schedule", "preview", "--once", "2126-12-01T10:00", "-n", "1", "--json"];
    with("America/New_York", &once).check(0, &["2126-12-01T15:00:00.000Z"]);
    with("CET-1CEST,M3.5.0,M10.5.0/3", &daily).check(0, &["TZ=CET-1CEST,M3.5.0,M10.5.0/3 is ignored"]);
    let add = |name: &str, tz: &[&str]| {
        let args = [&["schedule", "add", name, "--pipeline", "p", "--daily", "02:30", "--json"], tz].concat();
        let said = with("America/New_York", &args);
        said.check(0, &[]);
        let job: Value = serde_json::from_str(&said.out).expect("a job");
        (
            job["zone"].as_str().expect("a zone").to_owned(),
            job["next_run"].as_str().expect("due").to_owned(),
            said.err,
        )
    };
    let (zone, next, _) = add("alone", &[]);
    assert_eq!(zone, "America/New_York");
    assert!(next.contains("T06:30") || next.contains("T07:30"), "{next}");
    let (zone, next, err) = add("floating", &["--tz", "local"]);
    assert_eq!(zone, "local");
    assert!(next.contains("T06:30") || next.contains("T07:30"), "{next}");
    assert!(err.contains("the process that fires the job"), "{err}");
    // Through an engine that is in another zone, the session's counts too.
    let running = serve(&home);
    assert_eq!(add("through", &[]).0, "America/New_York");
    let floating = home.json(&["schedule", "show", "floating"]);
    assert!(
        floating["next_run"].as_str().expect("due").contains("T02:30"),
        "the engine is in UTC: {floating:#}"
    );
    end(running);
}
