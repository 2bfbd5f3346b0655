//! The first page: rows that keep their places, order and groups, the strip and the messages, the panel of the selected
//! run, and what is remembered.

use std::sync::Arc;

use chrono::TimeDelta;
use egui::{Key, Modifiers, Rect, Role, pos2, vec2};
use egui_kittest::kittest::{NodeT, Queryable};

use super::command::{Command, Page};
use super::tests::{Scene, does, id, now, run, scene, snapshot};
use crate::admission::{Orders, Quiet};
use crate::api::{self, EndQuiet};
use crate::base::id::{JobId, PipelineId};
use crate::run::{Event, EventKind, RunState, RunSummary};
use crate::window::{
    Action, AppUpdate, Estimate, LastView, NowGroups, NowOrder, RunUsage, WindowLook, window_port,
};

fn started(seq: u64, run: RunSummary) -> AppUpdate {
    let run = Arc::new(run);
    let kind = EventKind::ExecutionStarted { run: run.clone(), steps: Vec::new() };
    AppUpdate::Event(Arc::new(Event { seq, at: now(), run_id: Some(run.run_id.clone()), kind }))
}

fn orders(seq: u64, orders: Orders) -> AppUpdate {
    let kind = EventKind::OrdersChanged { orders: Box::new(orders) };
    AppUpdate::Event(Arc::new(Event { seq, at: now(), run_id: None, kind }))
}

fn place(scene: &Scene, label: &str) -> Rect {
    scene.harness.get_by_label(label).rect()
}

/// Runs a command as a menu or the palette does.
fn does_command(scene: &mut Scene, command: Command) {
    let ctx = scene.harness.ctx.clone();
    scene.harness.state_mut().as_mut().unwrap().run_command(&ctx, command, now());
    scene.harness.run();
}

/// The names of the runs in the order of their rows.
fn row_order(scene: &Scene) -> Vec<String> {
    let page = &scene.harness.state().as_ref().unwrap().state.now;
    page.run_ids().map(|run_id| run_id.as_str().trim_end_matches("-1").to_owned()).collect()
}

#[test]
fn under_the_pointer_rows_keep_their_places_and_new_ones_are_counted() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    let row = place(&scene, "Pause alfabeta-1");
    scene.harness.hover_at(row.center());
    scene.harness.run();
    let older = RunSummary { started_at: now() - TimeDelta::hours(9), ..run("books", RunState::Running) };
    scene.tell(started(11, older));
    assert_eq!(place(&scene, "Pause alfabeta-1"), row);
    assert!(!scene.shows("Pause books-1"));
    scene.pull("Show 1 new");
    assert_eq!(row_order(&scene), ["books", "alfabeta"]);
    scene.harness.hover_at(row.center());
    scene.tell(started(12, run("train", RunState::Running)));
    assert!(!scene.shows("Pause train-1"));
    scene.harness.hover_at(pos2(600.0, 790.0));
    scene.harness.run();
    scene.harness.run();
    assert!(scene.shows("Pause train-1"), "the pointer has left");
}

#[test]
fn a_window_that_opens_under_the_pointer_shows_what_runs() {
    let mut scene = scene([AppUpdate::RecentRuns(vec![run("books", RunState::Failed)])]);
    scene.harness.hover_at(place(&scene, "Start again books-1").center());
    scene.harness.run();
    scene.tell(snapshot(&[run("alfabeta", RunState::Running)]));
    assert!(scene.shows("Pause alfabeta-1"));
}

#[test]
fn what_the_operator_starts_shows_at_once_even_under_the_pointer() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    scene.harness.hover_at(place(&scene, "Pause alfabeta-1").center());
    scene.harness.run();
    does_command(&mut scene, Command::Send(Action::Do(api::Command::start("books"))));
    scene.tell(started(11, run("books", RunState::Running)));
    assert!(scene.shows("Pause books-1"));
}

#[test]
fn living_runs_are_sorted_and_grouped_and_the_keys_follow_the_rows() {
    let with = |name: &str, progress| RunSummary { progress, ..run(name, RunState::Running) };
    let runs = [with("books", 0.2), with("alfabeta", 0.9), with("train", 0.5)];
    let mut scene = scene([snapshot(&runs)]);
    let usage = |name: &str, cpu_fraction, memory_bytes| RunUsage {
        run_id: id(name),
        at: now(),
        cpu_fraction,
        memory_bytes,
    };
    let usages = vec![
        usage("books-1", 0.5, 1 << 30),
        usage("alfabeta-1", 0.1, 3 << 30),
        usage("train-1", 0.9, 2 << 30),
    ];
    scene.tell(AppUpdate::Usage(usages));
    for (order, expected) in [
        (NowOrder::Name, ["alfabeta", "books", "train"]),
        (NowOrder::Progress, ["alfabeta", "train", "books"]),
        (NowOrder::Left, ["alfabeta", "train", "books"]),
        (NowOrder::Cpu, ["train", "books", "alfabeta"]),
        (NowOrder::Memory, ["alfabeta", "train", "books"]),
    ] {
        does_command(&mut scene, Command::OrderNow(order));
        assert_eq!(row_order(&scene), expected, "{order:?}");
    }
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    assert!(scene.is_selected("train-1"), "the second row");

    let estimate = |name: &str, group: &str| {
        (PipelineId::new(name).unwrap(), Estimate { group: Some(group.into()), ..Estimate::default() })
    };
    scene.tell(AppUpdate::Estimates(vec![estimate("books", "a"), estimate("train", "a")]));
    does_command(&mut scene, Command::GroupNow(NowGroups::Group));
    assert_eq!(row_order(&scene), ["train", "books", "alfabeta"]);
    assert!(scene.shows("a 2 runs") && scene.shows("no group 1 run"));
    let menu = scene.harness.get_by_label("Groups: By group").accesskit_node().has_popup();
    assert_eq!(menu, Some(egui::accesskit::HasPopup::Menu));
    scene.pull("Groups: By group");
    scene.pull("By pipeline");
    assert!(scene.shows("alfabeta 1 run"));
    assert_eq!(row_order(&scene), ["alfabeta", "books", "train"]);
}

#[test]
fn ended_runs_alone_have_no_order_and_no_groups_and_are_not_said_to_be_all() {
    let ended = (10..45).map(|n| run(&format!("old{n}"), RunState::Completed)).collect();
    let scene = scene([snapshot(&[]), AppUpdate::RecentRuns(ended)]);
    assert!(scene.shows("Recent") && !scene.shows("Recent 3"));
    assert!(!scene.shows("Order: ") && !scene.shows("Groups: "));
}

#[test]
fn the_head_names_the_section_at_the_top_and_stays_where_it_is() {
    let living = [run("alfabeta", RunState::Running), run("books", RunState::Running)];
    let ended = (10..35).map(|n| run(&format!("old{n}"), RunState::Completed)).collect();
    let mut scene = scene([snapshot(&living), AppUpdate::RecentRuns(ended)]);
    let head = place(&scene, "Running 2");
    assert!(scene.shows("Order: Oldest first"));
    let window = scene.harness.state_mut().as_mut().unwrap();
    let last = window.state.now.run_ids().last().cloned();
    window.store.select_run(last);
    scene.harness.run();
    scene.harness.run();
    let recent = scene.harness.get_all_by_role_and_label(Role::Heading, "Recent");
    assert!(recent.into_iter().any(|heading| heading.rect().min == head.min));
    assert!(!scene.shows("Running 2") && !scene.shows("Pause alfabeta-1"));
}

#[test]
fn past_runs_say_how_long_a_run_goes_on_where_its_progress_does_not() {
    let quiet = RunSummary { progress: 0.0, ..run("alfabeta", RunState::Running) };
    let mut scene = scene([snapshot(&[quiet, run("books", RunState::Running)])]);
    assert!(!scene.shows("12:41, 4 min"));
    let asked = scene.world.actions.try_iter().collect::<Vec<_>>();
    let both = [PipelineId::new("alfabeta").unwrap(), PipelineId::new("books").unwrap()];
    assert!(asked.contains(&Action::LoadEstimates(both.to_vec())), "{asked:?}");
    let usual = |seconds| Estimate { usual: Some(TimeDelta::seconds(seconds)), ..Estimate::default() };
    scene.tell(AppUpdate::Estimates(vec![(both[0].clone(), usual(1001)), (both[1].clone(), usual(1001))]));
    assert!(scene.shows("0 %, 12:41, 4 min left"), "by the past alone");
    assert!(scene.shows("45 %, 12:41, 9 min left"), "4 min by the past and 15 by its progress");
    let [first, _] = both;
    scene.tell(AppUpdate::Estimates(vec![(first, usual(641))]));
    assert!(scene.shows("12:41, 2 min over usual"));
}

#[test]
fn levers_for_all_runs_have_places_of_their_own_whatever_they_say() {
    let mut scene = scene([snapshot(&[])]);
    let names = ["Pause all", "Resume all", "Stop all…", "Be quiet", "Drain"];
    let places = names.map(|name| place(&scene, name));
    scene.tell(started(11, run("alfabeta", RunState::Running)));
    assert_eq!(scene.pull("Be quiet"), does(api::Quiet { until: None }.into()));
    assert_eq!(scene.pull("Pause all"), does(api::Command::pause(&id("alfabeta-1"))));
    assert_eq!(scene.pull("Resume all"), [], "nothing is paused");
    let quiet = Quiet { since: now(), until: None };
    scene.tell(orders(12, Orders { quiet: Some(quiet), draining_since: Some(now()) }));
    let names = ["Pause all", "Resume all", "Stop all…", "End the quiet", "End the drain"];
    assert_eq!(names.map(|name| place(&scene, name)), places);
    assert_eq!(scene.pull("End the quiet"), does(EndQuiet {}.into()));
}

#[test]
fn no_notice_and_no_message_moves_a_row() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    let row = place(&scene, "Pause alfabeta-1");
    let alert = |seq, text: &str| {
        let kind = EventKind::ResourceAlert { text: text.to_owned(), cleared: false };
        AppUpdate::Event(Arc::new(Event { seq, at: now(), run_id: None, kind }))
    };
    for n in 0..5 {
        scene.tell(alert(11 + n, &format!("short of memory {n}")));
        scene.tell(AppUpdate::Failure { action: format!("do {n}"), message: "It has ended".to_owned() });
        scene.tell(AppUpdate::Done(api::Command::start(&format!("books{n}"))));
    }
    assert!(scene.shows("Machine: short of memory 4") && scene.shows("(and 2 more)"));
    assert_eq!(place(&scene, "Pause alfabeta-1"), row);
}

#[test]
fn what_was_done_is_said_on_every_page_and_can_be_undone() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    for page in Page::ALL {
        scene.harness.state_mut().as_mut().unwrap().go_to(page);
        scene.tell(AppUpdate::Done(api::Command::pause(&id("alfabeta-1"))));
        assert!(scene.shows("Paused alfabeta-1"), "{page:?}");
        scene.sent();
        assert_eq!(scene.pull("Undo"), does(api::Command::resume(&id("alfabeta-1"))), "{page:?}");
        assert!(!scene.shows("Paused alfabeta-1"), "{page:?}");
    }
}

#[test]
fn in_a_wide_window_the_selected_run_has_a_panel_and_no_row_moves() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    scene.harness.set_size(vec2(1600.0, 900.0));
    scene.harness.run();
    assert!(scene.shows("Select a run: its steps and its log are shown here"));
    let row = place(&scene, "Pause alfabeta-1");
    scene.press(Modifiers::NONE, Key::ArrowDown);
    assert!(scene.shows("Close details") && scene.shows("fetch, running"));
    assert!(place(&scene, "Close details").left() > row.right(), "beside the list");
    assert_eq!(place(&scene, "Pause alfabeta-1"), row);
}

#[test]
fn a_job_is_found_by_its_name() {
    let mut scene = scene([snapshot(&[])]);
    let sent = scene.press(Modifiers::COMMAND, Key::K);
    assert!(sent.contains(&Action::LoadJobNames), "{sent:?}");
    let job_id = JobId::new("nightly-books").unwrap();
    scene.tell(AppUpdate::JobNames(vec![(job_id.clone(), true)]));
    scene.harness.event(egui::Event::Text("run now nibo".to_owned()));
    scene.harness.run();
    assert_eq!(scene.press(Modifiers::NONE, Key::Enter), does(api::RunJobNow { job_id }.into()));
}

#[test]
fn an_attached_window_says_so() {
    let sentence = "The engine runs in another process: serve (process 4711)".to_owned();
    let mut scene = scene([snapshot(&[])]);
    assert!(!scene.shows("Attached"));
    scene.tell(AppUpdate::Attached(sentence));
    assert!(scene.shows("Attached: The engine runs in another process: serve (process 4711)"));
}

#[test]
fn the_next_window_is_where_the_last_one_was() {
    let mut first = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    first.press(Modifiers::NONE, Key::ArrowDown);
    let window = first.harness.state_mut().as_mut().unwrap();
    window.state.history.text = "price".to_owned();
    window.state.history.pipeline = PipelineId::new("books").ok();
    window.state.now.order = NowOrder::Cpu;
    window.go_to(Page::History);
    let ctx = first.harness.ctx.clone();
    first.harness.state_mut().as_mut().unwrap().keep_look(&ctx);
    let kept: Vec<_> = first.sent();
    let Some(Action::KeepLook(look)) = kept.last().cloned() else { panic!("{kept:?}") };
    let expected = LastView {
        page: "history".to_owned(),
        run: Some(id("alfabeta-1")),
        order: NowOrder::Cpu,
        history_pipeline: PipelineId::new("books").ok(),
        history_text: "price".to_owned(),
        ..LastView::default()
    };
    assert_eq!(look.last, expected);

    let (port, world) = window_port();
    world.recall_look(WindowLook { last: expected, ..WindowLook::default() });
    let next = super::LeverframeWindow::with_context(&egui::Context::default(), port);
    assert_eq!(next.state.page, Page::History);
    assert_eq!((&*next.state.history.text, next.state.now.order), ("price", NowOrder::Cpu));
    let mut next = next;
    let asked = next.store.take_requests();
    assert!(asked.contains(&Action::SelectRun(Some(id("alfabeta-1")))), "{asked:?}");
}
