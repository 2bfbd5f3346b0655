//! Verbs that need no engine, and wrong input to each.

use leverframe::engine::{CoreExecutionEngine, EngineOptions};
use serde_json::Value;

use super::{Home, TWO_STEPS};

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    let home = Home::new();
    for args in [
        &["run"][..],
        &["run", "x", "--param", "novalue"],
        &["run", "x", "--run-id", "a/b"],
        &["runs", "--state", "runnning"],
        &["runs", "--since", "someday"],
        &["show"],
        &["show", "a b"],
        &["resume"],
        &["logs"],
        &["logs", "x", "--nonsense"],
        &["validate"],
        &["report"],
        &["nonsense"],
        &["prune", "now"],
    ] {
        let said = home.say(args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(said.out.is_empty() && !said.err.is_empty(), "{args:?}: {said:?}");
    }
    assert!(!home.exists(), "nothing was made");
}

#[test]
fn without_a_display_the_window_names_the_verbs_that_need_none() {
    let said = Home::new().say(&[]);
    said.check(2, &["leverframe run", "doctor"]);
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}

#[test]
fn reading_a_directory_that_is_not_there_finds_nothing_and_makes_nothing() {
    let home = Home::new();
    assert_eq!(home.json(&["runs"]), Value::Array(Vec::new()));
    home.say(&["runs"]).check(0, &["no such runs"]);
    for verb in ["show", "checkpoints", "logs", "resume", "retry"] {
        home.say(&[verb, "none-1"]).check(3, &["no run none-1", "leverframe runs"]);
    }
    home.say(&["prune", "--dry-run"]).check(0, &["nothing was removed"]);
    home.say(&["doctor"]).check(0, &["does not exist yet"]);
    assert!(!home.exists());
}

#[test]
fn a_directory_that_is_a_file_is_unusable() {
    let home = Home::new();
    home.file("data", "a file");
    let pipeline = home.file("two.toml", TWO_STEPS);
    home.say(&["run", &pipeline]).check(5, &["data"]);
    home.say(&["doctor"]).check(5, &["not a directory"]);
}

#[test]
fn reading_verbs_work_beside_a_living_engine_and_driving_ones_end_with_4() {
    let home = Home::new();
    let pipeline = home.file("two.toml", TWO_STEPS);
    home.say(&["run", &pipeline, "--run-id", "r1"]).check(0, &[]);
    let engine = CoreExecutionEngine::open(home.data(), EngineOptions::default()).expect("it opens");
    for verb in ["show", "checkpoints", "logs"] {
        home.say(&[verb, "r1"]).check(0, &[]);
    }
    assert_eq!(home.json(&["runs"]).as_array().map(Vec::len), Some(1));
    home.say(&["doctor"]).check(0, &["holds the directory"]);
    home.say(&["prune", "--dry-run"]).check(0, &[]);
    for args in [&["run", pipeline.as_str()][..], &["resume", "r1"], &["retry", "r1"], &["prune"]] {
        home.say(args).check(4, &["another engine"]);
    }
    drop(engine);
    home.say(&["prune"]).check(0, &["removed 0 runs"]);
}

#[test]
fn a_valid_file_is_described_and_every_mistake_is_located() {
    let home = Home::new();
    let good = home.file("good.toml", TWO_STEPS);
    let wrong = home.file("wrong.toml", "[[step]]\nid = \"a\"\nrun = \"true\"\nneeeds = []\ntimeout = 5\n");
    home.say(&["validate", &good]).check(0, &["pipeline two", "2 steps on 2 levels"]);
    let said = home.say(&["validate", &good, &wrong]);
    said.check(2, &["wrong.toml:4:1: ", "wrong.toml:5:"]);
    home.say(&["validate", "none.toml"]).check(3, &["none.toml"]);
    let said = home.say(&["validate", "--json", &good, &wrong]);
    let documents: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&documents[0]["valid"], &documents[0]["n_steps"]), (&true.into(), &2.into()));
    assert_eq!(documents[1]["problems"][0]["line"], 4);
}

#[test]
fn validate_finds_ids_and_warns_of_what_is_seldom_meant() {
    let home = Home::new();
    home.pipeline(
        "nightly.toml",
        "id = \"night\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n[[schedule]]\ndaily = \"02:00\"\n",
    );
    let said = home.say(&["validate", "night"]);
    said.check(0, &["night: ✔ pipeline night"]);
    assert!(said.err.is_empty(), "its place is right: {said:?}");
    home.say(&["validate", "nihgt"]).check(3, &["did you mean \"night\"?"]);
    let wrong = home.pipeline("broken.toml", "nonsense = 1\n");
    home.say(&["validate", "broken"]).check(2, &[&format!("{wrong}:1:1: ")]);

    let outside = home.file(
        "outside.toml",
        "[[step]]\nid = \"a\"\nrun = \"\"\"\nfalse\necho on\n\"\"\"\n[[schedule]]\ndaily = \"02:00\"\n",
    );
    let no_job = "its [[schedule]] makes no job yet: the file lies outside the folders of pipelines";
    let goes_on = "step a: its `run` has 2 lines, and the shell goes on after one that fails";
    home.say(&["validate", &outside]).check(0, &[no_job, goes_on]);
    home.say(&["run", &outside]).check(0, &[no_job]);
    let warned = home.json(&["validate", &outside]);
    assert_eq!(warned[0]["valid"], true);
    assert_eq!(warned[0]["warnings"].as_array().map(Vec::len), Some(2), "{warned:#}");
}

#[test]
fn a_step_that_never_began_has_no_log_and_none_that_was_removed() {
    let home = Home::new();
    let pipeline = home.file("p.toml", "[[step]]\nid = \"a\"\nrun = [\"/no/such\"]\n");
    home.say(&["run", &pipeline, "--run-id", "r"]).check(1, &["could not be started"]);
    let said = home.say(&["logs", "r"]);
    said.check(0, &["step a (attempt 1) has no log, because it never began: it could not be started"]);
    assert!(!said.err.contains("retention"), "{said:?}");
    // One that was not even handed over, and so has no file.
    let unset =
        home.file("unset.toml", "[[step]]\nid = \"a\"\nenv = { X = \"$NOBODY_SET_THIS\" }\nrun = \"true\"\n");
    home.say(&["run", &unset, "--run-id", "u"]).check(1, &["could not be started"]);
    home.say(&["logs", "u"])
        .check(0, &["step a (attempt 1) has no log, because it never began", "NOBODY_SET_THIS"]);
    home.say(&["logs", "r", "--attempt", "99"]).check(3, &["run r has no attempt 99 of any step"]);
    std::fs::remove_dir_all(home.data().join("logs/r")).expect("it is there");
    home.say(&["logs", "r"]).check(0, &["retention removed it"]);
}

#[test]
fn the_schema_is_json() {
    let said = Home::new().say(&["schema"]);
    let schema: Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(schema["properties"]["step"].is_object());
}

#[test]
fn init_writes_samples_that_are_valid_and_keeps_what_is_there() {
    let home = Home::new();
    home.pipeline("price-list.toml", "mine");
    home.say(&["init"]).check(0, &["wrote", "kept 1 file"]);
    let kept = std::fs::read_to_string(home.data().join("pipelines/price-list.toml")).expect("it is there");
    assert_eq!(kept, "mine");
    let elsewhere = home.dir.path().join("elsewhere");
    let written = home.json(&["init", elsewhere.to_str().expect("UTF-8")]);
    let files = written["written"].as_array().expect("a list");
    let pipelines: Vec<&str> =
        files.iter().filter_map(Value::as_str).filter(|path| path.ends_with(".toml")).collect();
    assert!(!pipelines.is_empty());
    home.say(&[&["validate"], pipelines.as_slice()].concat()).check(0, &[]);
}

#[test]
fn a_report_outside_of_a_step_says_so_and_a_malformed_one_is_refused() {
    let home = Home::new();
    home.say(&["report", "--progress", "0.5"]).check(2, &["LEVERFRAME_REPORT"]);
    let path = home.file("report.jsonl", "");
    let report = |args: &[&str]| {
        let mut command = home.command([&["report"], args].concat());
        super::said(command.env("LEVERFRAME_REPORT", &path).output().expect("it runs"))
    };
    report(&["--progress", "0.5", "--message", "-half-"]).check(0, &[]);
    report(&["--metric", "rate=3.5", "--output", "name=a b", "--checkpoint", "[1]"]).check(0, &[]);
    report(&["--progress", "7"]).check(2, &["progress"]);
    report(&["--metric", "rate=fast"]).check(2, &["not a number"]);
    report(&["--checkpoint", "{"]).check(2, &["not JSON"]);
    let written = std::fs::read_to_string(&path).expect("it is there");
    let expected = "{\"progress\":0.5,\"message\":\"-half-\"}\n{\"checkpoint\":[1],\"output\":{\"name\":\"a b\"},\"metric\":{\"rate\":3.5}}\n";
    assert_eq!(written, expected);
}

#[test]
fn the_doctor_finds_what_is_broken() {
    let home = Home::new();
    home.pipeline("broken.toml", "stp = 1");
    home.say(&["doctor"]).check(2, &["broken.toml:1:1"]);
    home.file("data/checkpoints.db", "this is no database, and never was one of anything at all");
    home.say(&["doctor"]).check(5, &["checkpoints.db", "not a database"]);
    home.say(&["runs"]).check(5, &["checkpoints.db"]);
    let findings = home.say(&["doctor", "--json"]);
    let findings: Value = serde_json::from_str(&findings.out).expect("JSON");
    assert!(findings.as_array().expect("a list").iter().any(|it| it["severity"] == "broken"));
}

#[test]
fn settings_that_are_not_understood_are_located() {
    let home = Home::new();
    let pipeline = home.file("two.toml", TWO_STEPS);
    home.file("data/settings.toml", "on_disk_fool = \"freeze\"\n");
    home.say(&["run", &pipeline]).check(2, &["settings.toml:1:1", "on_disk_full"]);
}
