//! When the window is painted only because time has passed: at the whole second, and only with a visible clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use egui::ViewportId;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use super::LeverframeWindow;
use super::command::Page;
use super::tests::{now, run, snapshot};
use crate::run::{RunState, RunSummary};
use crate::window::{AppUpdate, window_port};

/// Longer than any wait for a clock.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// A window with some updates, at an instant that the test sets.
struct Clock {
    harness: Harness<'static, Option<LeverframeWindow>>,
    /// Milliseconds after [`now`].
    millis: Arc<AtomicI64>,
}

impl Clock {
    fn over(update: AppUpdate) -> Self {
        let (window, world) = window_port();
        world.updates.send(update).unwrap();
        let (mut port, millis) = (Some(window), Arc::new(AtomicI64::new(0)));
        let shown = millis.clone();
        let harness = Harness::builder().with_size([1280.0, 800.0]).with_max_steps(12).build_ui_state(
            move |ui, window: &mut Option<LeverframeWindow>| {
                let Some(window) = window else {
                    *window = port.take().map(|port| LeverframeWindow::with_context(ui.ctx(), port));
                    return;
                };
                // Keeps the other end of the port alive as long as this window.
                let _ = &world;
                window.process_updates(ui.ctx());
                window.paint(ui, now() + TimeDelta::milliseconds(shown.load(Ordering::Relaxed)));
            },
            None,
        );
        Self { harness, millis }
    }

    fn show(&mut self, page: Page) {
        self.harness.state_mut().as_mut().unwrap().state.page = page;
    }

    /// How long the window sleeps after a frame at this many milliseconds after [`now`].
    fn pause_at(&mut self, millis: i64) -> Duration {
        self.millis.store(millis, Ordering::Relaxed);
        self.harness.run();
        self.harness.step();
        self.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay
    }
}

/// Runs that began within one second, each at its own moment.
fn runs(n: u32, state: RunState) -> Vec<RunSummary> {
    let one = |at: u32| RunSummary {
        started_at: now() - TimeDelta::milliseconds(5_000 + i64::from(at * 997 / n)),
        ..run(&format!("job{at}"), state)
    };
    (0..n).map(one).collect()
}

#[test]
fn the_clocks_of_any_number_of_runs_cost_one_frame_a_second() {
    for n in [1, 20, 200] {
        let mut clock = Clock::over(snapshot(&runs(n, RunState::Running)));
        for (painted_at, pause) in [(0, 1000), (300, 700), (999, 1), (1000, 1000), (5250, 750)] {
            assert_eq!(clock.pause_at(painted_at), Duration::from_millis(pause), "{n} runs at {painted_at}");
        }
    }
}

#[test]
fn each_clock_goes_on_by_one_second_with_each_beat_and_stands_still_between() {
    let mut clock = Clock::over(snapshot(&runs(5, RunState::Running)));
    for second in 0..4 {
        for within in [0, 400, 999] {
            clock.pause_at(second * 1000 + within);
            for (at, begun_ms) in [(0, 5_000), (1, 5_199), (4, 5_797)] {
                let shown =
                    format!("job{at}-1, fetch · page 214 of 480, 45 %, 0:0{}", begun_ms / 1000 + second);
                let mut rows = clock.harness.query_all_by_label_contains(&shown);
                assert!(rows.next().is_some(), "{shown} at {second}.{within:03}");
            }
        }
    }
}

#[test]
fn a_page_without_a_clock_sleeps_while_runs_go_on() {
    let mut clock = Clock::over(snapshot(&runs(20, RunState::Running)));
    for page in [Page::History, Page::Pipelines, Page::Schedule] {
        clock.show(page);
        assert!(clock.pause_at(300) > FOR_EVER, "{page:?}");
    }
    // The machine's history is loaded again after some time; that is not a clock.
    clock.show(Page::Machine);
    assert_eq!(clock.pause_at(0), Duration::from_secs(10));
    clock.show(Page::Now);
    assert_eq!(clock.pause_at(300), Duration::from_millis(700));
}

#[test]
fn what_stands_still_is_painted_when_its_minute_is_over() {
    // Frozen for 14 minutes.
    let mut clock = Clock::over(snapshot(&[run("alfabeta", RunState::Paused)]));
    assert_eq!(clock.pause_at(0), Duration::from_secs(60));
    assert_eq!(clock.pause_at(20_500), Duration::from_millis(39_500));
    // It waits for 12:41.
    let mut clock = Clock::over(snapshot(&[run("alfabeta", RunState::Queued)]));
    assert_eq!(clock.pause_at(0), Duration::from_secs(19));
    let mut clock = Clock::over(AppUpdate::RecentRuns(vec![run("alfabeta", RunState::Failed)]));
    assert!(clock.pause_at(0) > FOR_EVER);
}

#[test]
fn figures_and_progress_wait_for_the_beat_and_facts_do_not() {
    use crate::resources::MachineSample;
    use crate::run::{Event, EventKind};
    use crate::window::Urgency;
    let (window, world) = window_port();
    // Unbounded: one wake for each update.
    let (wake, woken) = crossbeam_channel::unbounded();
    window.wake_by(move |urgency| {
        let _ = wake.send(urgency);
    });
    let progress = EventKind::ExecutionProgress { progress: 0.5, current_step: None, message: None };
    let event = Event { seq: 1, at: now(), run_id: None, kind: progress };
    let usage = AppUpdate::Usage(Vec::new());
    for update in [AppUpdate::Event(Arc::new(event)), AppUpdate::Machine(MachineSample::default()), usage] {
        world.updates.send(update).unwrap();
        assert_eq!(woken.recv(), Ok(Urgency::WithClocks));
    }
    let run = Arc::new(run("a", RunState::Completed));
    let event = Event { seq: 2, at: Utc::now(), run_id: None, kind: EventKind::ExecutionCompleted { run } };
    world.updates.send(AppUpdate::Event(Arc::new(event))).unwrap();
    assert_eq!(woken.recv(), Ok(Urgency::AtOnce));
}
