//! Keys and the palette on each page: they act only on something visible.

use egui::{Event as Input, Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};

use super::command::{Command, Neighbour, Page};
use super::log_page::LogCommand;
use super::offers::offered;
use super::state::Overlay;
use super::tests::{Scene, id, now, run, scene, snapshot};
use crate::api;
use crate::run::{RunState, StopKind};
use crate::window::{Action, AppUpdate, HistorySpan};

/// The window with one run in that state, which is selected.
fn with_selected(state: RunState) -> Scene {
    let one = run("alfabeta", state);
    let runs = if state.is_ended() { Vec::new() } else { vec![one.clone()] };
    let mut scene = scene([snapshot(&runs), AppUpdate::RecentRuns(vec![one])]);
    open(&mut scene, Page::Now);
    scene
}

/// Opens that page with the run selected and without an overlay.
fn open(scene: &mut Scene, page: Page) {
    let window = scene.harness.state_mut().as_mut().unwrap();
    window.state.page = page;
    window.state.overlay = Overlay::None;
    window.store.select_run(Some(id("alfabeta-1")));
    scene.harness.run();
    scene.sent();
}

/// The commands that a key sends to the engine.
fn orders(scene: &mut Scene, modifiers: Modifiers, key: Key) -> Vec<api::Command> {
    let sent = scene.press(modifiers, key).into_iter();
    sent.filter_map(|action| if let Action::Do(command) = action { Some(command) } else { None }).collect()
}

/// The keys of all commands.
fn keys() -> Vec<(Modifiers, Key)> {
    let run_id = id("alfabeta-1");
    let mut commands = vec![
        Command::Send(Action::Do(api::Command::pause(&run_id))),
        Command::Send(Action::Do(api::Command::resume(&run_id))),
        Command::Send(Action::Do(api::Command::stop(&run_id, StopKind::Graceful))),
        Command::Select(None),
        Command::SelectJob(None),
        Command::SelectNeighbour(Neighbour::Next),
        Command::SelectNeighbour(Neighbour::Previous),
        Command::NewJob,
        Command::SaveJob,
        Command::SaveLimits,
        Command::OpenPalette,
        Command::AskQuit,
    ];
    commands.extend(Page::ALL.map(Command::Show));
    let keys = commands.iter().filter_map(|command| command.label().shortcut);
    keys.map(|key| (key.modifiers, key.logical_key)).collect()
}

#[test]
fn keys_of_runs_act_on_the_selected_run_where_it_is_shown_and_nowhere_else() {
    let states =
        [RunState::Queued, RunState::Running, RunState::Paused, RunState::Stopping, RunState::Failed];
    let run_id = id("alfabeta-1");
    for state in states {
        let mut scene = with_selected(state);
        for page in Page::ALL {
            open(&mut scene, page);
            let is_shown = scene.shows("Close details");
            assert_eq!(is_shown, page.shows_runs(), "{page:?}");
            let on_space = if is_shown && state == RunState::Running {
                vec![api::Command::pause(&run_id)]
            } else if is_shown && state == RunState::Paused {
                vec![api::Command::resume(&run_id)]
            } else {
                Vec::new()
            };
            let can_stop = matches!(state, RunState::Queued | RunState::Running | RunState::Paused);
            let on_backspace = match can_stop && is_shown {
                true => vec![api::Command::stop(&run_id, StopKind::Graceful)],
                false => Vec::new(),
            };
            let context = format!("{state} on {page:?}");
            assert_eq!(orders(&mut scene, Modifiers::NONE, Key::Space), on_space, "{context}");
            assert_eq!(orders(&mut scene, Modifiers::COMMAND, Key::Backspace), on_backspace, "{context}");
        }
    }
}

#[test]
fn no_key_does_anything_to_runs_on_a_page_that_shows_none() {
    let mut scene = with_selected(RunState::Running);
    for page in Page::ALL.into_iter().filter(|page| !page.shows_runs()) {
        for (modifiers, key) in keys() {
            open(&mut scene, page);
            assert_eq!(orders(&mut scene, modifiers, key), [], "{key:?} on {page:?}");
            assert!(scene.is_selected("alfabeta-1"), "{key:?} on {page:?} leaves the selection alone");
        }
    }
    // Nothing invisible is selected either.
    scene.harness.state_mut().as_mut().unwrap().store.select_run(None);
    scene.press(Modifiers::COMMAND, Key::Num3);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.press(Modifiers::NONE, Key::ArrowUp);
    assert!(!scene.is_selected("alfabeta-1"));
}

#[test]
fn what_the_palette_offers_is_done_where_it_can_be_seen_on_every_page() {
    let mut scene = with_selected(RunState::Running);
    for page in Page::ALL {
        let commands = offered(scene.harness.state().as_ref().unwrap().store());
        assert!(commands.len() > 15);
        for command in commands {
            open(&mut scene, page);
            scene.harness.state_mut().as_mut().unwrap().store.select_run(None);
            scene.harness.run();
            scene.sent();
            let ctx = scene.harness.ctx.clone();
            let window = scene.harness.state_mut().as_mut().unwrap();
            window.run_command(&ctx, command.clone(), now());
            scene.harness.run();
            let sent = scene.sent();
            let context = format!("{} on {page:?}", command.name());
            let page_now = scene.harness.state().as_ref().unwrap().state.page;
            match command {
                // The entry names what it acts on.
                Command::Send(action) => assert_eq!(sent, [action], "{context}"),
                Command::Select(run_id) => {
                    assert!(run_id.is_some() && scene.shows("Close details"), "{context}");
                    assert!(page_now.shows_runs(), "{context}");
                }
                Command::OpenRun(_) => assert!(page_now == Page::Run && scene.shows("Back to"), "{context}"),
                Command::Show(shown) => assert_eq!(page_now, shown, "{context}"),
                Command::ShowSpan(span) => {
                    assert_eq!(page_now, Page::Machine, "{context}");
                    let looks = matches!(page, Page::Machine | Page::Now) && span == HistorySpan::default();
                    assert!(looks || sent.contains(&Action::LoadHistory(span)), "{context}");
                }
                Command::NewJob => assert_eq!(page_now, Page::Schedule, "{context}"),
                Command::ShowHistoryOf(_) | Command::SearchHistory(_) => {
                    assert_eq!(page_now, Page::History, "{context}");
                }
                Command::OrderNow(_) | Command::GroupNow(_) => assert_eq!(page_now, Page::Now, "{context}"),
                Command::AskNewPipeline => assert!(scene.shows("New pipeline"), "{context}"),
                Command::PauseAll => {
                    assert!(sent.contains(&Action::Do(api::Command::pause(&id("alfabeta-1")))), "{context}");
                }
                Command::AskStopAll => assert!(scene.shows("Stop all"), "{context}"),
                Command::SetTheme(_) => assert!(matches!(sent[..], [] | [Action::KeepLook(_)]), "{context}"),
                Command::OpenOutline => assert!(scene.shows("Outline of"), "{context}"),
                Command::SetScale(_) | Command::SetFormats(_) | Command::SetDensity(_) => {
                    assert!(matches!(sent[..], [] | [Action::KeepLook(_)]), "{context}");
                }
                Command::Log(LogCommand::Open(key)) => {
                    assert!(sent.contains(&Action::OpenLog(Some(key))), "{context}");
                    assert!(scene.shows("Close the log"), "{context}");
                }
                Command::AskQuit => assert_eq!(sent, [], "{context}"),
                Command::AskStart(_) | Command::AskStartLike(_) => {
                    assert!(matches!(sent[..], [Action::LoadStart(_)]), "{context}");
                }
                Command::SelectNeighbour(_)
                | Command::SelectPipeline(_)
                | Command::MakePipeline
                | Command::OpenJob(_)
                | Command::ShowScheduleTab(_)
                | Command::ShowFires(..)
                | Command::AskBackfill(_)
                | Command::RunBackfill
                | Command::NewJobOf(_)
                | Command::StartForm
                | Command::ScheduleForm
                | Command::CloseRun
                | Command::CompareWith(_)
                | Command::ShowRunTab(_)
                | Command::ChooseStep(_)
                | Command::Log(_)
                | Command::Time(_)
                | Command::SelectJob(_)
                | Command::ShowJobs(_)
                | Command::SaveJob
                | Command::RevertJob
                | Command::AskRemoveJob(_)
                | Command::ShowNewRuns
                | Command::ClearRunFilter
                | Command::MarkRun
                | Command::MarkNeighbour(_)
                | Command::AskDeleteMarked
                | Command::DeleteRuns(_)
                | Command::UnmarkRuns
                | Command::RetryMarked
                | Command::CompareMarked
                | Command::SaveLimits
                | Command::RevertLimits
                | Command::ResumeAll
                | Command::StopAll
                | Command::OpenPalette
                | Command::CloseOverlay
                | Command::MarkAway(_)
                | Command::SaveSettings
                | Command::RevertSettings
                | Command::DismissFailure(_)
                | Command::ShowNewRows
                | Command::Undo(_) => panic!("{context}: it is not to be offered here"),
            }
        }
    }
}

#[test]
fn what_could_not_be_done_is_said_on_every_page() {
    let action = "start report".to_owned();
    let message = "the parameter \"day\" has no default".to_owned();
    let mut scene = scene([snapshot(&[]), AppUpdate::Failure { action, message }]);
    for page in Page::ALL {
        scene.harness.state_mut().as_mut().unwrap().state.page = page;
        scene.harness.run();
        assert!(scene.shows("Could not start report: the parameter \"day\" has no default"), "{page:?}");
    }
}

#[test]
fn a_long_message_stays_within_the_window_with_the_lever_that_dismisses_it() {
    let message =
        format!("the database is damaged ({}); restore a copy", "such as a page of it, ".repeat(20));
    let failure = AppUpdate::Failure { action: "start a".to_owned(), message: message.clone() };
    let scene = scene([snapshot(&[]), failure]);
    let window = scene.harness.ctx.content_rect();
    let shown = scene.harness.get_by_label(&format!("Could not start a: {message}")).rect();
    let dismiss = scene.harness.get_by_label("Dismiss").rect();
    assert!(window.contains_rect(shown) && window.contains_rect(dismiss), "{shown:?} {dismiss:?}");
    assert!(shown.width() < 600.0 && shown.height() > 40.0, "it is wrapped: {shown:?}");
}

#[test]
fn text_from_outside_stays_in_its_line_and_turns_nothing_around() {
    let message = "first\nsecond\u{202e}detrevni\u{1b}[31m";
    let mut one = run("alfabeta", RunState::Running);
    one.message = Some(message.into());
    let mut failed = run("books", RunState::Failed);
    failed.error = Some("x".repeat(100_000).into());
    let action = "start a\u{2066}b".to_owned();
    let failure = AppUpdate::Failure { action, message: message.to_owned() };
    let mut scene = scene([snapshot(&[one]), AppUpdate::RecentRuns(vec![failed]), failure]);
    assert!(scene.shows("fetch · first second?detrevni?[31m, 45 %"));
    assert!(scene.shows("Could not start a?b: first second?detrevni"));
    let odd = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    for page in Page::ALL {
        scene.harness.state_mut().as_mut().unwrap().state.page = page;
        scene.harness.run();
        let root = scene.harness.root();
        for node in root.children_recursive() {
            let label = node.accesskit_node().label().unwrap_or_default();
            assert!(!label.contains(odd) && label.len() < 4096, "{label:?} on {page:?}");
        }
    }
}

#[test]
fn the_palette_shows_as_many_entries_as_before_when_a_query_with_few_is_cleared() {
    let runs: Vec<_> = (0..20).map(|n| run(&format!("job{n}"), RunState::Running)).collect();
    let mut scene = scene([snapshot(&runs)]);
    scene.press(Modifiers::COMMAND, Key::K);
    let n_entries = |scene: &Scene| scene.harness.query_all_by_label_contains("Show job").count();
    let before = n_entries(&scene);
    scene.harness.event(Input::Text("zzz".to_owned()));
    scene.harness.run();
    assert_eq!(n_entries(&scene), 0);
    for _ in 0..3 {
        scene.press(Modifiers::NONE, Key::Backspace);
    }
    assert!(before >= 3 && n_entries(&scene) >= before, "{} of {before}", n_entries(&scene));
}
