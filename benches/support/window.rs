//! A window without a display, whose frames are measured.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use egui::{
    Context, Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, RawInput, Rect, Shape, TouchPhase,
    epaint::ClippedShape, pos2, vec2,
};
use leverframe::ExecutionIntegration;
use leverframe::engine::{EventBus, ShutdownKind};
use leverframe::ui::LeverframeWindow;
use leverframe::window::{WindowPort, window_port};

use super::let_pass;
use super::process::thread_seconds;

/// Frames that are measured while the wheel turns.
const N_FRAMES: usize = 300;

pub(crate) struct Stage {
    ctx: Context,
    window: LeverframeWindow,
    n_frames: u32,
}

impl Stage {
    pub(crate) fn new(port: WindowPort) -> Self {
        let ctx = Context::default();
        let window = LeverframeWindow::with_context(&ctx, port);
        Self { ctx, window, n_frames: 0 }
    }

    /// Applies the updates without painting.
    pub(crate) fn process_updates(&mut self) {
        self.window.process_updates(&self.ctx);
    }

    /// The CPU time of a frame at an instant, in seconds: from the updates to the triangles.
    pub(crate) fn frame(&mut self, events: Vec<Event>, at: DateTime<Utc>) -> f64 {
        self.n_frames += 1;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_max(pos2(0.0, 0.0), pos2(1280.0, 800.0))),
            time: Some(f64::from(self.n_frames) / 60.0),
            events,
            ..RawInput::default()
        };
        let begun = thread_seconds();
        self.window.process_updates(&self.ctx);
        let window = &mut self.window;
        let mut output = self.ctx.run_ui(input, |ui| window.paint(ui, at));
        let triangles = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        let took = thread_seconds() - begun;
        assert!(!triangles.is_empty(), "something is painted");
        // There is no screen to bring them to.
        output.textures_delta.clear();
        took
    }

    /// Whether this text is part of what a frame shows.
    fn shows(&mut self, text: &str, at: DateTime<Utc>) -> bool {
        let window = &mut self.window;
        let output = self.ctx.run_ui(RawInput::default(), |ui| window.paint(ui, at));
        let has_it = |shape: &ClippedShape| {
            if let Shape::Text(shown) = &shape.shape { shown.galley.text().contains(text) } else { false }
        };
        output.shapes.iter().any(has_it)
    }

    /// A frame in which a key is pressed, and one in which no modifier is held any more.
    pub(crate) fn press(&mut self, modifiers: Modifiers, key: Key, at: DateTime<Utc>) {
        let pressed = Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers };
        self.frame(vec![Event::ModifiersChanged(modifiers), pressed], at);
        self.frame(vec![Event::ModifiersChanged(Modifiers::NONE)], at);
    }
}

/// The CPU time of frames while the wheel turns, in seconds: of the window with its engine on the data in `dir`, after these
/// keys were pressed, each when there was time for what the one before asked for. It then shows `text`.
pub(crate) fn scrolling_frames(dir: &Path, keys: &[(Modifiers, Key)], text: &str) -> Vec<f64> {
    let (port, world) = window_port();
    let mut stage = Stage::new(port);
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    integration.start(dir).expect("the engine starts");
    for &(modifiers, key) in keys {
        stage.press(modifiers, key, Utc::now());
        for _ in 0..100 {
            stage.frame(vec![Event::PointerMoved(pos2(600.0, 500.0))], Utc::now());
            let_pass(Duration::from_millis(10));
        }
    }
    let wheel = || Event::MouseWheel {
        unit: MouseWheelUnit::Line,
        delta: vec2(0.0, -3.0),
        phase: TouchPhase::Move,
        modifiers: Modifiers::NONE,
        source: MouseWheelSource::Wheel,
    };
    let costs = (0..N_FRAMES).map(|_| stage.frame(vec![wheel()], Utc::now())).collect();
    assert!(stage.shows(text, Utc::now()), "what scrolls has {text:?}");
    drop(stage);
    integration.shutdown(ShutdownKind::LeaveSteps);
    costs
}
