//! The line in time through the plots and spans of a page: at the pointer, or moved by keys, and the same on all pages.
//! A click opens what was logged there; Ctrl+wheel, drag and keys zoom and move the axis.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use egui::{
    Event, EventFilter, Id, Key, Modifiers, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2,
};

use super::super::command::Command;
use super::super::time_line::{AxisOf, TimeCommand};
use super::super::widgets::{AccessibleName, Lever, Tone};
use super::axis::{Scale, tip_at};
use super::ran_then::Then;
use super::{Commands, View};
use crate::ui::{format, theme};
use crate::window::TimeRange;

/// How much more or less of the time one step of zoom shows.
const ZOOM: f64 = 1.6;
/// The width of one of the levers that zoom.
const LEVER: f32 = 24.0;

/// An axis that the line crosses.
pub(super) struct Scrub<'a> {
    view: View<'a>,
    of: AxisOf,
    name: &'static str,
    scale: Scale,
    /// What the axis shows when nothing is zoomed.
    whole: TimeRange,
    strips: Vec<Rect>,
    /// The first strip, which takes the keys.
    keys: Option<Response>,
    /// Whether the pointer is over a strip.
    is_over: bool,
    clicked_at: Option<DateTime<Utc>>,
}

impl<'a> Scrub<'a> {
    pub(super) fn new(
        view: View<'a>,
        (of, name): (AxisOf, &'static str),
        scale: Scale,
        whole: TimeRange,
    ) -> Self {
        Self {
            view,
            of,
            name,
            scale,
            whole,
            strips: Vec::new(),
            keys: None,
            is_over: false,
            clicked_at: None,
        }
    }

    /// A part of the page that the line crosses. What is painted in it later takes clicks first.
    pub(super) fn strip(&mut self, ui: &mut Ui, rect: Rect, out: &mut Commands) {
        let rect = rect.with_min_x(self.scale.x.min).with_max_x(self.scale.x.max);
        let id = Id::unique(("time axis", self.of, self.strips.len()));
        let sense = if self.keys.is_none() { Sense::click_and_drag() } else { Sense::CLICK | Sense::DRAG };
        let response = ui.interact(rect, id, sense);
        self.strips.push(rect);
        if let Some(pointer) = ui.ctx().pointer_hover_pos().filter(|_| ui.rect_contains_pointer(rect)) {
            self.is_over = true;
            let at = self.scale.at(pointer.x).trunc_subsecs(0);
            let is_move = |event: &Event| matches!(event, Event::PointerMoved(_));
            if !response.dragged() && ui.input(|input| input.events.iter().any(is_move)) {
                self.move_line(Some(at), out);
            }
            let (zoom, scroll) = ui.input(|input| (input.zoom_delta(), input.smooth_scroll_delta().x));
            if zoom != 1.0 {
                self.zoom(at, 1.0 / f64::from(zoom), out);
            } else if scroll != 0.0 {
                self.pan(-scroll, out);
            }
            if response.clicked() {
                self.clicked_at = Some(at);
            }
        }
        if response.dragged() {
            self.pan(-response.drag_delta().x, out);
        }
        if response.double_clicked() {
            out.push(Command::Time(TimeCommand::Show(self.of, Default::default())));
        }
        if self.keys.is_none() {
            self.take_keys(ui, &response, out);
            self.keys = Some(response);
        }
    }

    fn line(&self) -> Option<DateTime<Utc>> {
        self.view.state.time.at.filter(|at| self.scale.range.contains(*at))
    }

    fn move_line(&self, at: Option<DateTime<Utc>>, out: &mut Commands) {
        if self.view.state.time.at != at {
            out.push(Command::Time(TimeCommand::Line(at)));
        }
    }

    fn zoom(&self, at: DateTime<Utc>, factor: f64, out: &mut Commands) {
        let shown = self.view.state.time.shown(self.of);
        self.show(shown.zoomed(at, factor, self.whole), out);
    }

    /// Moves the axis by so many points.
    fn pan(&self, by: f32, out: &mut Commands) {
        let seconds =
            f64::from(by / self.scale.x.span().max(1.0)) * self.scale.range.length().as_seconds_f64();
        let by = TimeDelta::milliseconds((seconds * 1000.0) as i64);
        self.show(self.view.state.time.shown(self.of).moved(by, self.whole), out);
    }

    fn show(&self, shown: super::super::time_line::Shown, out: &mut Commands) {
        if shown != self.view.state.time.shown(self.of) {
            out.push(Command::Time(TimeCommand::Show(self.of, shown)));
        }
    }

    /// Left and right move the line, plus and minus zoom, 0 shows all, Enter opens the logs.
    fn take_keys(&mut self, ui: &Ui, response: &Response, out: &mut Commands) {
        if !response.has_focus() {
            return;
        }
        let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let take = |modifiers, key| ui.input_mut(|input| input.count_and_consume_key(modifiers, key)) as i32;
        let none = Modifiers::NONE;
        let far = take(Modifiers::SHIFT, Key::ArrowRight) - take(Modifiers::SHIFT, Key::ArrowLeft);
        let steps = take(none, Key::ArrowRight) - take(none, Key::ArrowLeft) + far * 10;
        let at = self.line().unwrap_or_else(|| {
            let range = self.scale.range;
            (range.from + range.length() / 2).trunc_subsecs(0)
        });
        if steps != 0 {
            let step = (self.scale.range.length() / 120).max(TimeDelta::seconds(1));
            let wanted = at + step * steps;
            let moved = wanted.clamp(self.scale.range.from, self.scale.range.until);
            // At its end the axis goes on with the line.
            if wanted != moved {
                self.show(self.view.state.time.shown(self.of).moved(wanted - moved, self.whole), out);
            }
            self.move_line(Some(wanted.clamp(self.whole.from, self.whole.until).trunc_subsecs(0)), out);
        }
        let zoom = take(none, Key::Minus) - take(none, Key::Plus) - take(none, Key::Equals);
        if zoom != 0 {
            self.zoom(at, ZOOM.powi(zoom), out);
        }
        if take(none, Key::Num0) > 0 {
            self.show(Default::default(), out);
        }
        let is_entered = response.clicked() && ui.input(|input| input.key_pressed(Key::Enter));
        if is_entered {
            self.clicked_at = self.line();
        }
    }

    /// The levers that zoom, with their right end at `right`. Returns their left end.
    pub(super) fn levers_at(&self, ui: &mut Ui, head: Rect, right: f32, out: &mut Commands) -> f32 {
        let shown = self.view.state.time.shown(self.of);
        let range = self.scale.range;
        let middle = self.line().unwrap_or(range.from + range.length() / 2);
        let wider = shown.zoomed(middle, ZOOM, self.whole);
        let narrower = shown.zoomed(middle, 1.0 / ZOOM, self.whole);
        let levers = [
            ("−", "Show more of the time", wider, LEVER),
            ("all", "Show all of the time", Default::default(), LEVER + 8.0),
            ("+", "Show less of the time", narrower, LEVER),
        ];
        let begins = right - levers.iter().map(|(.., width)| width + 2.0).sum::<f32>();
        let mut left = begins + 2.0;
        for (text, name, to, width) in levers {
            let place = Rect::from_center_size(
                pos2(left + width / 2.0, head.center().y),
                vec2(width, head.height().min(22.0)),
            );
            left = place.right() + 2.0;
            let command = Command::Time(TimeCommand::Show(self.of, to));
            let lever = Lever::of(&command).text(text).named(format!("{name}: {}", self.name));
            if lever.tone(Tone::Quiet).enabled_if(to != shown).ui_at(ui, place).clicked() {
                out.push(command);
            }
        }
        begins
    }

    /// Paints the line, and says what was then beside it or to a screen reader.
    pub(super) fn show_line(self, ui: &Ui, then: impl FnOnce(DateTime<Utc>) -> Then, out: &mut Commands) {
        let (Some(keys), Some(whole)) = (&self.keys, self.strips.iter().copied().reduce(Rect::union)) else {
            return;
        };
        let has_focus = keys.has_focus();
        let range = self.scale.range;
        let (from, until) =
            (format::when(range.from, self.view.now), format::when(range.until, self.view.now));
        let mut name = format!("{}, {from} to {until}", self.name);
        if has_focus {
            let ring = Stroke::new(2.0, theme::tokens(ui).accent);
            ui.painter().rect_stroke(self.strips[0].expand(2.0), 4.0, ring, StrokeKind::Inside);
        }
        let Some(at) = self.line() else {
            keys.says(Role::Slider, &name);
            return;
        };
        let x = self.scale.x(at);
        let is_asked = self.is_over || has_focus;
        let tokens = theme::tokens(ui);
        let line = Stroke::new(1.0, if is_asked { tokens.muted } else { tokens.line });
        for strip in &self.strips {
            ui.painter().vline(x, strip.y_range(), line);
        }
        let Then { lines, keys: logs } = then(at);
        name = format!("{name}, {}", lines.join(", "));
        keys.says(Role::Slider, &name);
        if let Some(at) = self.clicked_at
            && !logs.is_empty()
        {
            out.push(Command::Time(TimeCommand::OpenLogs(logs.clone(), at)));
        }
        if is_asked {
            let hint = if self.is_over { "Click" } else { "Enter" };
            let hint = format!("{hint}: show what they logged at this second");
            tip_at(ui, x, whole, &lines, (!logs.is_empty()).then_some(hint.as_str()));
        }
    }
}
