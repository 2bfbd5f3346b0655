//! The other tabs of the page of jobs, the day ahead and the backfill, with hand-made updates.

use chrono::{DateTime, TimeDelta, Utc};
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use super::tests::{Scene, now, scene, snapshot};
use super::tests_schedule::{detail, page, row, write};
use crate::base::id::{JobId, RunId};
use crate::base::tz::Tz;
use crate::run::{Event, EventKind, RunState};
use crate::schedule::Outcome;
use crate::window::{
    Action, AppUpdate, Day, DayFire, DayTally, FireRow, FiresPage, Folder, LedgerKind, LedgerRow, Month,
};

fn id(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

/// The open page with one job.
fn jobs() -> Scene {
    let mut scene = scene([snapshot(&[])]);
    scene.press(Modifiers::COMMAND, Key::Num4);
    scene.tell(page(vec![row("backup")]));
    scene
}

fn day(hours: &[i64]) -> AppUpdate {
    let fire = |hours: &i64| DayFire {
        job_id: Some(id("backup")),
        name: "backup".to_owned(),
        at: now() + TimeDelta::hours(*hours),
        took: Some(TimeDelta::minutes(41)),
    };
    let fires = hours.iter().map(fire).collect();
    let until = now() + TimeDelta::hours(24);
    AppUpdate::Day(Box::new(Day { from: now(), until, fires, is_cut: false, local: Tz::UTC }))
}

fn changed() -> AppUpdate {
    let kind = EventKind::JobChanged { job_id: id("backup") };
    AppUpdate::Event(std::sync::Arc::new(Event { seq: 60, at: now(), run_id: None, kind }))
}

#[test]
fn the_day_ahead_is_looked_up_while_it_is_visible_and_again_when_a_job_changes() {
    let mut scene = jobs();
    assert!(scene.sent().contains(&Action::LoadDay));
    scene.tell(day(&[3, 9]));
    assert!(scene.shows("The next 24 hours: 2 fires of 1 job; next backup at 17:00"));
    assert!(!scene.sent().contains(&Action::LoadDay));
    scene.tell(changed());
    assert!(scene.sent().contains(&Action::LoadDay));
    scene.press(Modifiers::COMMAND, Key::Num3);
    scene.tell(changed());
    assert!(!scene.sent().contains(&Action::LoadDay), "it is not visible");
}

#[test]
fn a_click_on_a_fire_of_the_day_selects_its_job() {
    let mut scene = jobs();
    scene.tell(day(&[12]));
    scene.sent();
    let plot = scene.harness.get_by_label_contains("The next 24 hours: 1 fire").rect();
    let at = egui::pos2(plot.left() + plot.width() / 2.0 + 8.0, plot.top() + 8.0);
    scene.harness.hover_at(at);
    scene.harness.run();
    scene.harness.drag_at(at);
    scene.harness.drop_at(at);
    scene.harness.run();
    assert!(scene.sent().contains(&Action::LoadJob(id("backup"))));
}

#[test]
fn the_fires_of_the_day_are_gone_through_by_keys_and_one_selects_its_job() {
    let mut scene = jobs();
    scene.tell(day(&[6, 12]));
    scene.sent();
    scene.harness.get_by_label_contains("The next 24 hours: 2 fires").focus();
    scene.harness.run();
    scene.press(Modifiers::NONE, Key::Home);
    assert!(scene.shows("; backup at 20:00"));
    assert!(scene.press(Modifiers::NONE, Key::Enter).contains(&Action::LoadJob(id("backup"))));
}

#[test]
fn the_month_counts_what_ran_and_what_is_to_come_and_a_day_opens_its_fires() {
    let mut scene = jobs();
    scene.sent();
    let sent = scene.pull("Month");
    assert!(matches!(&sent[..], [Action::LoadMonth(of)] if of.first.to_string() == "2026-11-01"), "{sent:?}");
    let failed = DayTally { n_completed: 3, n_failed: 1, ..DayTally::default() };
    let to_come = DayTally { n_to_come: 2, ..DayTally::default() };
    let days = [("2026-11-20", failed), ("2026-11-25", to_come)];
    let days = days.map(|(day, tally)| (day.parse().unwrap(), tally)).into();
    scene.tell(AppUpdate::Month(Month { days, is_cut: false }));
    assert!(scene.shows("Friday 20 November 2026: 1 failed, 3 completed"));
    assert!(scene.shows("Wednesday 25 November 2026: 2 to come"));
    let sent = scene.pull("The month before");
    assert!(matches!(&sent[..], [Action::LoadMonth(of)] if of.first.to_string() == "2026-10-01"), "{sent:?}");
    scene.pull("This month");
    let sent = scene.pull("Friday 20 November 2026: 1 failed, 3 completed");
    let asked = sent.iter().find_map(|action| {
        if let Action::LoadFires(question) = action { question.filter.since } else { None }
    });
    let begin: DateTime<Utc> = "2026-11-20T05:00:00Z".parse().unwrap();
    assert_eq!(asked, Some(begin), "in the zone of the machine");
}

fn ledger_row(n: i64) -> LedgerRow {
    let due_at = now() - TimeDelta::hours(n);
    LedgerRow {
        name: "backup".to_owned(),
        zone: Tz::UTC,
        fire: FireRow {
            due_at,
            through_at: due_at,
            n_instants: 1,
            outcome: Some(Outcome::Ran),
            reason: None,
            run_id: RunId::new(format!("backup-{n}")).ok(),
            state: Some(if n % 2 == 0 { RunState::Completed } else { RunState::Failed }),
            took: Some(TimeDelta::seconds(90)),
            is_by_hand: false,
        },
    }
}

#[test]
fn the_ledger_lists_fires_of_all_jobs_filters_them_and_writes_them_into_a_file() {
    let mut scene = jobs();
    scene.sent();
    let sent = scene.pull("Fires");
    let [Action::LoadFires(question)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((question.offset, question.filter.kind), (0, LedgerKind::Any));
    let rows = (0..60).map(ledger_row).collect();
    scene.tell(AppUpdate::Fires(FiresPage { total: 5_000, offset: 0, rows }));
    assert!(scene.shows("Fires 5,000"));
    assert!(scene.shows("Mon 23 Nov 2026 14:00 UTC, backup, ran, 1:30"));
    assert!(scene.shows("Mon 23 Nov 2026 13:00 UTC, backup, failed, 1:30"));
    let n_rows = scene.harness.query_all_by_label_contains("UTC, backup, ").count();
    assert!(n_rows < 40, "{n_rows} rows were laid out");
    let sent = scene.pull("Export CSV");
    assert!(matches!(&sent[..], [Action::ExportFires(_)]), "{sent:?}");
    scene.tell(AppUpdate::FiresExported { path: "/home/ada/fires.csv".into(), n_rows: 5_000 });
    assert!(scene.shows("5,000 rows written to /home/ada/fires.csv"));
    let opened = scene.pull("Show the folder of the CSV file");
    assert_eq!(opened, [Action::OpenFolder(Folder::Of("/home/ada/fires.csv".into()))]);
    scene.pull("Outcome: any outcome");
    let sent = scene.pull("failed");
    let [Action::LoadFires(question)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(question.filter.kind, LedgerKind::Failed);
    scene.tell(AppUpdate::Fires(FiresPage::default()));
    assert!(scene.shows("No fire matches"));
}

#[test]
fn a_row_of_the_ledger_opens_its_run() {
    let mut scene = jobs();
    scene.pull("Fires");
    scene.tell(AppUpdate::Fires(FiresPage { total: 1, offset: 0, rows: vec![ledger_row(1)] }));
    let sent = scene.pull("Mon 23 Nov 2026 13:00 UTC, backup, failed, 1:30");
    assert!(sent.contains(&Action::SelectRun(RunId::new("backup-1").ok())), "{sent:?}");
}

#[test]
fn a_backfill_shows_what_would_run_before_it_runs() {
    let mut scene = jobs();
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.tell(detail(row("backup")));
    scene.sent();
    let sent = scene.pull("Backfill… backup");
    let [Action::PreviewBackfill { from, to, .. }] = &sent[..] else { panic!("{sent:?}") };
    let (from, to) = (*from, *to);
    assert_eq!(from.to_rfc3339(), "2026-11-16T05:00:00+00:00", "a day of the job's zone");
    scene.tell(AppUpdate::BackfillPreview(Ok(vec![from + TimeDelta::hours(2), from + TimeDelta::hours(26)])));
    assert!(scene.shows("2 instants would run"));
    assert!(scene.shows("Mon 16 Nov 2026 02:00 EST"));
    let job_id = id("backup");
    assert_eq!(scene.pull("Run"), [Action::Backfill { job_id, from, to }]);
    scene.tell(AppUpdate::Backfilled(Err("no engine is running".to_owned())));
    assert!(scene.shows("no engine is running"));
    write(&mut scene, "First day", "2026-12-24");
    assert!(scene.shows("The last day comes before the first"));
    write(&mut scene, "First day", "2026-11-20");
    assert!(matches!(scene.sent()[..], [Action::PreviewBackfill { .. }]));
    scene.tell(AppUpdate::BackfillPreview(Err("the job was not due in that time".to_owned())));
    assert!(scene.shows("the job was not due in that time"));
    assert_eq!(scene.pull("Run"), []);
    scene.tell(AppUpdate::Backfilled(Ok(2)));
    assert!(!scene.shows("First day"), "it closes");
}
