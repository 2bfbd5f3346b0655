//! Jobs that stand in pipeline files.

use chrono::TimeDelta;
use leverframe::base::id::PipelineId;
use leverframe::pipeline::Pipeline;
use leverframe::run::RunState;
use leverframe::scheduler::{FileTables, JobPatch, JobSpec, Listing, SchedulerError, TakenOver};

use super::desk::{Desk, every, id, instant};

const STEP: &str = "[[step]]\nid = \"a\"\nrun = \"true\"\n";

fn parse(text: &str) -> Result<Pipeline, Vec<String>> {
    Pipeline::parse(&format!("{text}\n{STEP}"), "/p/shop.toml".as_ref(), None)
        .map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn tables(file: &str, text: &str) -> FileTables {
    let pipeline = parse(text).expect("a valid file");
    let shop = PipelineId::new("shop").expect("a name");
    let jobs = pipeline.schedules.iter().map(|table| JobSpec::from_table(shop.clone(), table)).collect();
    FileTables { file: file.to_owned(), jobs: Some(jobs) }
}

fn take(desk: &mut Desk, files: Vec<FileTables>) -> TakenOver {
    let (taken, acts) = desk.core.take_over(files, Listing::Complete, desk.now).expect("it is taken over");
    desk.carry_out(acts);
    taken
}

#[test]
fn every_kind_of_table_is_read() {
    let text = r#"
[[schedule]]
cron = "30 2 * * 1-5"
tz = "Europe/Madrid"
misfire = "run_all"
catchup_limit = 7
misfire_max_age = "2d"
overlap = "queue"
params = { page = 3, name = "x" }
[[schedule]]
id = "b"
every = "1h30m"
anchor = 2026-11-23T00:00:00Z
[[schedule]]
id = "c"
daily = "09:30"
enabled = false
[[schedule]]
id = "d"
weekly = "mon 09:00"
[[schedule]]
id = "e"
once = "2026-12-24T18:00:00Z"
[[schedule]]
id = "f"
after = ["shop", "b"]
on = "finished""#;
    let read = parse(text).expect("a valid file").schedules;
    let kinds: Vec<_> =
        read.iter().map(|table| format!("{} {}", table.job_id, table.schedule.kind())).collect();
    assert_eq!(kinds, ["shop cron", "b interval", "c daily", "d weekly", "e once", "f after"]);
    assert_eq!(read[0].misfire.catchup_limit, 7);
    assert_eq!(read[0].params["page"], "3");
    assert!(!read[2].enabled);
}

#[test]
fn what_is_wrong_with_a_table_is_told_with_its_place() {
    for (text, expected) in [
        ("[[schedule]]\ncron = \"61 * * * *\"", "2:8: `cron`"),
        (
            "[[schedule]]\ntz = \"Europe/Madird\"\ndaily = \"9:00\"",
            "2:6: time zone \"Europe/Madird\" is unknown",
        ),
        ("[[schedule]]\ndaily = \"25:00\"", "2:9: `daily`: \"25:00\" is not a time of day"),
        ("[[schedule]]\noverlap = \"skip\"", "does not say when"),
        ("[[schedule]]\ndaily = \"9:00\"\nevery = \"6h\"", "3:9: `daily` and `every` both say when"),
        ("[[schedule]]\ndaily = \"9:00\"\non = \"failed\"", "3:6: `on` goes with `after`"),
        ("[[schedule]]\ndaily = \"9:00\"\noverlap = \"que\"", "3:11: `overlap` must be"),
        ("[[schedule]]\ndaly = \"9:00\"", "2:1: unknown key `daly` in [[schedule]]; did you mean `daily`?"),
        (
            "[[schedule]]\ndaily = \"9:00\"\n[[schedule]]\ndaily = \"9:00\"",
            "a second [[schedule]] without `id`",
        ),
        (
            "[[schedule]]\nid = \"x\"\ndaily = \"9:00\"\n[[schedule]]\nid = \"x\"\ndaily = \"9:00\"",
            "5:6: the job id \"x\" is already taken",
        ),
        ("[schedule]\ndaily = \"9:00\"", "write [[schedule]] for [schedule]"),
        ("[[schedule]]\nafter = [\"a b\"]", "2:9: `after`"),
    ] {
        let found = parse(text).expect_err(text).join("\n");
        assert!(found.contains(expected), "{text}:\n{found}\nnot {expected}");
    }
}

#[test]
fn tables_become_jobs_change_with_their_file_and_are_disabled_without_it() {
    let mut desk = Desk::new();
    desk.add(every("by-hand", 60));
    let both =
        "[[schedule]]\nafter = [\"later\"]\n[[schedule]]\nid = \"later\"\ndaily = \"09:00\"\ntz = \"UTC\"";
    let taken = take(&mut desk, vec![tables("/p/shop.toml", both)]);
    assert_eq!(taken.added.len(), 2, "{taken:?}");
    assert_eq!(desk.job("later").file.as_deref(), Some("/p/shop.toml"));
    assert_eq!(take(&mut desk, vec![tables("/p/shop.toml", both)]), TakenOver::default());

    // The switch is the operator's; the timing is the file's.
    desk.core.disable_job(&id("later")).expect("it is there");
    let schedule = every("x", 60).schedule;
    let patch = JobPatch::new(id("later")).with_schedule(&schedule);
    let refused = desk.core.set_job(patch, desk.now).expect_err("it stands in a file");
    assert!(refused.to_string().contains("/p/shop.toml; edit its timing there"), "{refused}");
    assert!(matches!(desk.core.unschedule_job(&id("shop")), Err(SchedulerError::FromFile { .. })));
    let other = both.replace("09:00", "10:00");
    let taken = take(&mut desk, vec![tables("/p/shop.toml", &other)]);
    assert_eq!(taken.changed, [id("later")]);
    let view = desk.job("later");
    assert_eq!((view.enabled, view.next_run), (false, Some(instant("2026-11-23T10:00:00.000Z"))));

    // A file that can't be understood changes nothing; a table that is gone disables its job.
    let broken = FileTables { file: "/p/shop.toml".to_owned(), jobs: None };
    assert_eq!(take(&mut desk, vec![broken]), TakenOver::default());
    let taken = take(&mut desk, vec![tables("/p/shop.toml", "")]);
    assert_eq!(taken.disabled.len(), 2);
    assert!(!desk.job("shop").enabled);
    let taken = take(&mut desk, vec![tables("/p/shop.toml", &other)]);
    assert_eq!(taken.changed.len(), 2);
    assert_eq!((desk.job("shop").enabled, desk.job("later").enabled), (true, false));
    assert!(desk.job("by-hand").enabled);
}

#[test]
fn a_table_does_not_take_the_name_of_a_job_made_by_hand() {
    let mut desk = Desk::new();
    desk.add(every("shop", 60));
    let taken = take(&mut desk, vec![tables("/p/shop.toml", "[[schedule]]\ndaily = \"09:00\"")]);
    assert_eq!(taken.problems.len(), 1);
    assert!(taken.problems[0].1.contains("there is a job shop already"), "{taken:?}");
    assert_eq!(desk.job("shop").schedule_type, "interval");
}

#[test]
fn a_table_that_moves_to_another_file_is_the_same_job() {
    let mut desk = Desk::new();
    let text = "[[schedule]]\nid = \"job\"\ndaily = \"09:00\"";
    take(&mut desk, vec![tables("/p/a.toml", text)]);
    let taken = take(&mut desk, vec![tables("/p/b.toml", text)]);
    assert_eq!((taken.changed.len(), taken.disabled.len()), (1, 0), "{taken:?}");
    assert_eq!(desk.job("job").file.as_deref(), Some("/p/b.toml"));
}

/// A run is under way and a fire waits for it; then the file is taken away for so many seconds.
fn away_for(seconds: i64) -> Desk {
    let mut desk = Desk::new();
    let text = "[[schedule]]\nevery = \"1h\"\noverlap = \"queue\"";
    take(&mut desk, vec![tables("/p/shop.toml", text)]);
    desk.pass(TimeDelta::hours(1));
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.ledger("shop"), ["03:00:00 ran 1", "04:00:00 queued 1"]);
    desk.started();
    take(&mut desk, Vec::new());
    assert_eq!(desk.ledger("shop")[1], "04:00:00 disabled 1");
    desk.pass(TimeDelta::seconds(seconds));
    take(&mut desk, vec![tables("/p/shop.toml", text)]);
    desk
}

#[test]
fn what_waits_of_a_job_survives_that_its_file_is_saved() {
    let mut desk = away_for(40);
    assert_eq!(desk.ledger("shop"), ["03:00:00 ran 1", "04:00:00 queued 1"]);
    assert!(desk.started().is_empty(), "the run before it is still there");
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["shop"]);
    assert_eq!(desk.ledger("shop"), ["03:00:00 ran 1", "04:00:00 ran 1"]);
}

#[test]
fn what_waited_of_a_job_whose_table_was_taken_out_for_minutes_is_not_given_back() {
    let mut desk = Desk::new();
    let text = "[[schedule]]\nevery = \"1h\"\noverlap = \"queue\"";
    take(&mut desk, vec![tables("/p/shop.toml", text)]);
    desk.pass(TimeDelta::hours(1));
    desk.pass(TimeDelta::hours(1));
    take(&mut desk, Vec::new());
    for _ in 0..5 {
        desk.pass(TimeDelta::minutes(1));
    }
    take(&mut desk, vec![tables("/p/shop.toml", text)]);
    assert!(desk.job("shop").enabled);
    assert_eq!(desk.ledger("shop"), ["03:00:00 ran 1", "04:00:00 disabled 1"]);
}

#[test]
fn what_comes_due_while_a_file_is_saved_fires() {
    let mut desk = Desk::new();
    let text = "[[schedule]]\nevery = \"10s\"";
    take(&mut desk, vec![tables("/p/shop.toml", text)]);
    take(&mut desk, Vec::new());
    desk.pass(TimeDelta::seconds(10));
    assert!(desk.started().is_empty());
    take(&mut desk, vec![tables("/p/shop.toml", text)]);
    assert_eq!(desk.started_names(), ["shop"]);
    assert_eq!(desk.ledger("shop"), ["02:00:10 ran 1"]);
}
