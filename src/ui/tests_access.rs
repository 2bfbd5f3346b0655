//! What a screen reader gets of every page, and what the keyboard reaches.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use egui::accesskit::{Action as AccessAction, Live, Role};
use egui::{Key, Modifiers, Rect};
use egui_kittest::Node;
use egui_kittest::kittest::NodeT;

use super::command::{Command, Page, RunTab};
use super::offers::with_shortcut;
use super::schedule_page::ScheduleTab;
use super::tests::{Scene, id, now, run, scene, snapshot};
use super::{
    tests_away, tests_history, tests_log, tests_machine, tests_pipelines, tests_run, tests_schedule,
    tests_settings, tests_start,
};
use crate::resources::MachineSample;
use crate::run::{Event, EventKind, RunState};
use crate::window::{Action, AppUpdate};

fn sample(seconds_ago: i64, cpu_fraction: f64) -> AppUpdate {
    AppUpdate::Machine(MachineSample {
        at: now() - TimeDelta::seconds(seconds_ago),
        cpu_fraction,
        memory_used_bytes: 6 << 30,
        memory_total_bytes: 24 << 30,
        ..MachineSample::default()
    })
}

pub(super) fn busy() -> Scene {
    let runs = [RunState::Running, RunState::Paused, RunState::Queued, RunState::Stopping];
    let runs: Vec<_> = runs.iter().enumerate().map(|(n, state)| run(&format!("job{n}"), *state)).collect();
    let ended = [RunState::Failed, RunState::Completed, RunState::Interrupted];
    let ended = ended.iter().enumerate().map(|(n, state)| run(&format!("old{n}"), *state)).collect();
    let samples = (0..60).map(|n| sample(60 - n, if n == 30 { 0.93 } else { 0.41 }));
    let updates = [snapshot(&runs), AppUpdate::RecentRuns(ended)];
    scene(updates.into_iter().chain(samples).chain([AppUpdate::Away(Arc::new(tests_away::page()))]))
}

/// Every page as it is with something in it, with its name.
pub(super) fn pages() -> Vec<(String, Scene)> {
    let mut pages = vec![("an empty window".to_owned(), scene([snapshot(&[])]))];
    for page in Page::ALL.into_iter().chain(Page::MORE) {
        let mut scene = busy();
        scene.harness.state_mut().as_mut().unwrap().state.page = page;
        scene.harness.run();
        pages.push((format!("{page:?}"), scene));
    }
    let mut selected = busy();
    selected.press(Modifiers::NONE, Key::ArrowDown);
    pages.push(("a selected run".to_owned(), selected));
    for tab in RunTab::ALL {
        let mut scene = tests_run::opened(RunState::Running);
        tests_run::tell_facts(&mut scene, tests_run::facts());
        scene.harness.state_mut().as_mut().unwrap().state.run_tab = tab;
        scene.harness.run();
        pages.push((format!("{tab:?} of a run"), scene));
    }
    pages.push(("the history".to_owned(), tests_history::filled(40)));
    pages.push(("a job".to_owned(), tests_schedule::selected(tests_schedule::row("nightly"))));
    pages.push(("the machine".to_owned(), tests_machine::with_limit()));
    pages.push(("a log".to_owned(), tests_log::with_lines(400)));
    pages.push(("what happened".to_owned(), tests_away::on_its_page(tests_away::page())));
    pages.push(("the settings".to_owned(), tests_settings::opened(&[])));
    let mut marked = tests_history::filled(40);
    marked.press(Modifiers::NONE, Key::ArrowDown);
    marked.press(Modifiers::NONE, Key::M);
    pages.push(("a marked run".to_owned(), marked));
    pages.push(("a pipeline".to_owned(), tests_pipelines::with_its_card()));
    for tab in ScheduleTab::ALL {
        let mut scene = tests_schedule::selected(tests_schedule::row("nightly"));
        scene.harness.state_mut().as_mut().unwrap().state.schedule.tab = tab;
        scene.harness.run();
        pages.push((format!("{tab:?} of jobs"), scene));
    }
    let mut new_job = busy();
    new_job.press(Modifiers::COMMAND, Key::Num4);
    new_job.press(Modifiers::COMMAND, Key::N);
    pages.push(("a new job".to_owned(), new_job));
    let mut changed = tests_machine::with_limit();
    changed.pull("Limit of swap");
    pages.push(("a changed limit".to_owned(), changed));
    pages.push(("the start form".to_owned(), tests_start::opened()));
    let mut closing = busy();
    closing.ask_to_close();
    closing.harness.run();
    pages.push(("the question at closing".to_owned(), closing));
    for key in [Key::K, Key::O] {
        let mut scene = busy();
        scene.press(Modifiers::COMMAND, key);
        pages.push((format!("what Ctrl+{key:?} opens"), scene));
    }
    pages
}

fn nodes<'t>(scene: &'t Scene) -> Vec<Node<'t>> {
    scene.harness.root().children_recursive().collect()
}

fn name_of(node: &Node<'_>) -> String {
    let node = node.accesskit_node();
    node.label()
        .or_else(|| node.value())
        .or_else(|| node.placeholder().map(str::to_owned))
        .unwrap_or_default()
}

#[test]
fn every_control_of_every_page_has_a_name() {
    for (page, scene) in pages() {
        for node in nodes(&scene) {
            let data = node.accesskit_node();
            // A scroll bar is one of what it scrolls.
            let is_egui_s = matches!(
                data.role(),
                Role::GenericContainer | Role::Pane | Role::ScrollView | Role::ScrollBar | Role::Window
            );
            let is_control = data.data().supports_action(AccessAction::Click) && !is_egui_s;
            let is_told =
                matches!(data.role(), Role::Image | Role::ProgressIndicator | Role::Dialog | Role::Tree);
            if is_control || is_told {
                assert!(!name_of(&node).trim().is_empty(), "{:?} without a name on {page}", data.role());
            }
        }
    }
}

#[test]
fn the_window_as_a_whole_has_its_title_as_its_name() {
    let mut scene = busy();
    let name = |scene: &Scene| scene.harness.root().accesskit_node().label();
    assert_eq!(name(&scene).as_deref(), Some("Leverframe"));
    scene.tell(AppUpdate::Attached("the engine is another process".into()));
    assert_eq!(name(&scene).as_deref(), Some("Leverframe (attached)"));
}

#[test]
fn a_row_is_in_a_list_and_a_tab_in_its_tabs() {
    for (page, scene) in pages() {
        let mut n_tabs_open = 0;
        for node in nodes(&scene) {
            let data = node.accesskit_node();
            let has_ancestor = |role| {
                std::iter::successors(data.parent(), |parent| parent.parent())
                    .any(|parent| parent.role() == role)
            };
            let role = data.role();
            if role == Role::ListItem {
                assert!(has_ancestor(Role::List), "{} on {page}", name_of(&node));
            } else if role == Role::Tab {
                assert!(has_ancestor(Role::TabList), "{} on {page}", name_of(&node));
                n_tabs_open += usize::from(data.data().is_selected() == Some(true));
            } else if role == Role::TreeItem {
                assert!(has_ancestor(Role::Tree) && data.level().is_some(), "{}", name_of(&node));
            } else if role == Role::ProgressIndicator {
                assert!(data.numeric_value().is_some(), "on {page}");
            }
        }
        assert!(n_tabs_open >= 1, "{page} says which page is open");
    }
}

#[test]
fn every_plot_says_its_value_now_and_its_peak() {
    let plots = |scene: &Scene| -> Vec<String> {
        let images = nodes(scene).into_iter().filter(|node| node.accesskit_node().role() == Role::Image);
        images.map(|node| name_of(&node)).collect()
    };
    let on_now = plots(&busy());
    assert_eq!(on_now.len(), 3, "{on_now:?}");
    assert!(on_now[1].starts_with("Disk over ") && on_now[2].starts_with("Network over "), "{on_now:?}");
    assert!(on_now[0].starts_with("CPU now 41 %, at most 93 % at "), "{on_now:?}");
    assert!(on_now[0].contains("memory now 25 %, at most 25 % at "), "{on_now:?}");
    let on_machine = plots(&tests_machine::with_limit());
    assert_eq!(on_machine.len(), 3, "{on_machine:?}");
    for (plot, parts) in on_machine.iter().zip([
        &["CPU now", "memory now"][..],
        &["Disk read now", "Disk write now", "Received now", "Sent now"],
        &["Free space now"],
    ]) {
        for part in parts {
            assert!(plot.contains(part), "{plot}");
        }
    }
}

#[test]
fn the_outline_is_walked_by_keys_alone_and_opens_what_it_names() {
    let mut scene = busy();
    scene.press(Modifiers::COMMAND, Key::O);
    let focused = |scene: &Scene| {
        let nodes = nodes(scene);
        let focused = nodes.iter().find(|node| node.accesskit_node().is_focused());
        focused.map(name_of).unwrap_or_default()
    };
    assert_eq!(focused(&scene), "4 runs alive");
    scene.press(Modifiers::NONE, Key::ArrowRight);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    assert!(focused(&scene).starts_with("job0-1, running, 45 %"), "{}", focused(&scene));
    scene.press(Modifiers::NONE, Key::ArrowRight);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    assert!(focused(&scene).starts_with("list, completed"), "{}", focused(&scene));
    scene.press(Modifiers::NONE, Key::End);
    assert!(focused(&scene).starts_with("Network sent"), "{}", focused(&scene));
    scene.press(Modifiers::NONE, Key::Home);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert!(sent.contains(&Action::SelectRun(Some(id("job0-1")))), "{sent:?}");
    assert!(!scene.shows("Outline of"), "it closes");
}

#[test]
fn an_end_is_announced_by_a_node_that_is_followed() {
    let mut scene = busy();
    let said = |scene: &Scene| -> Vec<String> {
        let nodes = nodes(scene);
        let status = nodes.iter().filter(|node| node.accesskit_node().role() == Role::Status);
        let followed = status.filter(|node| node.accesskit_node().live() == Live::Polite);
        followed.map(name_of).collect()
    };
    assert_eq!(said(&scene), [""], "nothing has happened since it was opened");
    let mut ended = run("job0", RunState::Failed);
    ended.finished_at = Some(now() + TimeDelta::seconds(1));
    let run = Arc::new(ended);
    let kind = EventKind::ExecutionFailed { run: run.clone() };
    let event = Event { seq: 11, at: now(), run_id: Some(run.run_id.clone()), kind };
    scene.tell(AppUpdate::Event(Arc::new(event)));
    assert_eq!(said(&scene), ["job0-1 has failed"]);
}

#[test]
fn what_has_the_focus_is_marked_on_every_page() {
    for (page, mut scene) in pages() {
        let ring = super::theme::focus_color(scene.harness.ctx.global_style().visuals.dark_mode);
        let mut seen = HashSet::new();
        for _ in 0..400 {
            scene.harness.key_press(Key::Tab);
            scene.harness.run();
            let focused = scene.harness.ctx.memory(|memory| memory.focused());
            let Some(focused) = focused else { continue };
            if !seen.insert(focused) {
                break;
            }
            let response = scene.harness.ctx.read_response(focused).unwrap();
            if !response.interact_rect.is_positive() {
                continue;
            }
            let rect = response.rect.expand(2.0);
            let shapes = &scene.harness.output().shapes;
            let is_marked = shapes.iter().any(|shape| {
                let is_ring =
                    |shape: &egui::epaint::RectShape| shape.rect == rect && shape.stroke.color == ring;
                if let egui::Shape::Rect(shape) = &shape.shape { is_ring(shape) } else { false }
            });
            let named = nodes(&scene).iter().find(|node| node.accesskit_node().is_focused()).map(name_of);
            assert!(is_marked, "{page}: {named:?} at {rect:?}");
        }
        assert!(!seen.is_empty(), "{page}");
    }
}

#[test]
fn a_control_says_the_key_that_does_the_same() {
    let mut said = HashSet::new();
    for (page, scene) in pages() {
        let window = scene.harness.state().as_ref().unwrap();
        let mut keyed = with_shortcut(&window.store, window.state.page);
        keyed.push(Command::CloseOverlay);
        let ctx = &scene.harness.ctx;
        for node in nodes(&scene) {
            let (data, name) = (node.accesskit_node(), name_of(&node));
            let key = data.data().keyboard_shortcut();
            let command = keyed.iter().find(|command| name == command.name());
            let is_control = data.data().supports_action(AccessAction::Click);
            if let Some(command) = command.filter(|_| is_control) {
                let wanted = command.label().shortcut.map(|shortcut| ctx.format_shortcut(&shortcut));
                assert_eq!(key, wanted.as_deref(), "{name} on {page}");
            }
            said.extend(key.map(|key| (name, key.to_owned())));
        }
    }
    let has = |name: &str, key: &str| said.contains(&(name.to_owned(), key.to_owned()));
    for (name, key) in [
        ("History", "Ctrl+2"),
        ("Search or do anything", "Ctrl+K"),
        ("Pause alfabeta-1", "Space"),
        ("Stop alfabeta-1", "Ctrl+Backspace"),
        ("Edit books.toml", "Ctrl+E"),
        ("Search the log", "Ctrl+F"),
        ("Close the log", "Escape"),
        ("Save limits", "Ctrl+S"),
        ("Close the form", "Escape"),
    ] {
        assert!(has(name, key), "{name}: {key} in {said:#?}");
    }
}

/// Whether the eye comes to `next` after `before`: its middle lies in it, or it lies below it or at its right.
fn follows(before: Rect, next: Rect) -> bool {
    const TOUCH: f32 = 1.0;
    before.contains(next.center())
        || next.top() >= before.bottom() - TOUCH
        || next.left() >= before.right() - TOUCH
}

/// What gets the focus by Tab, in this order, until it begins anew: its name and place. With each goes whether the eye
/// comes to it from the one before.
fn tab_order(scene: &mut Scene) -> Vec<(String, Rect, bool)> {
    let mut order = Vec::new();
    let focused = |scene: &Scene| scene.harness.ctx.memory(|memory| memory.focused());
    let mut before = focused(scene);
    let mut seen: HashSet<_> = before.into_iter().collect();
    for _ in 0..400 {
        scene.press(Modifiers::NONE, Key::Tab);
        let Some(next) = focused(scene) else { continue };
        // As far as they are visible now: what gets the focus may be scrolled into view.
        let rect = |id| scene.harness.ctx.read_response(id).map(|response| response.interact_rect);
        let [from, to] = [before, Some(next)].map(|id| id.and_then(rect).filter(Rect::is_positive));
        let does_follow = from.zip(to).is_none_or(|(from, to)| follows(from, to));
        let name = nodes(scene).iter().find(|node| node.accesskit_node().is_focused()).map(name_of);
        order.push((name.unwrap_or_default(), to.unwrap_or(Rect::NOTHING), does_follow));
        if !seen.insert(next) {
            break;
        }
        before = Some(next);
    }
    order
}

#[test]
fn tab_goes_from_top_to_bottom_and_in_a_row_from_left_to_right() {
    for (page, mut scene) in pages() {
        let order = tab_order(&mut scene);
        // After the last one it goes on at the top.
        let top = order.iter().map(|(_, rect, _)| rect.top()).fold(f32::INFINITY, f32::min);
        let wrong: Vec<_> = order.iter().filter(|(_, rect, follows)| !follows && rect.top() > top).collect();
        assert!(wrong.is_empty(), "{page}: {wrong:#?} in {order:#?}");
        assert!(!order.is_empty(), "{page}");
    }
}
