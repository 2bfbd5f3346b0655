//! Icons drawn by code: sharp at every scale, and independent of fonts.

use std::f32::consts::{PI, TAU};

use egui::{Color32, CornerRadius, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, pos2, vec2};

use crate::run::{RunState, StepState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    /// ▶: running, start, resume.
    Play,
    /// ✔: completed.
    Check,
    /// ✖: failed, force stop.
    Cross,
    /// ❄: frozen, pause.
    Snow,
    /// ■: stopped, stop.
    Stop,
    /// ◷: waiting.
    Clock,
    /// ↯: interrupted.
    Bolt,
    /// A circular arrow: start again.
    Again,
    /// A small ring: pending.
    Pending,
    /// The page of running runs.
    Now,
    /// The page of ended runs.
    List,
    /// The page of pipelines.
    Branch,
    /// The page of the machine.
    Wave,
    /// Search.
    Search,
    /// More levers.
    More,
    /// ▾: a menu.
    Down,
    /// Add.
    Plus,
    /// Close.
    Close,
    Folder,
    /// Light and dark.
    HalfMoon,
    Warning,
    /// The settings.
    Sliders,
    /// A crescent: quiet.
    Moon,
    /// An arrow down to a line: let everything end.
    Drain,
}

impl Icon {
    pub(crate) const fn of_run(state: RunState) -> Self {
        match state {
            RunState::Queued => Self::Clock,
            RunState::Running => Self::Play,
            RunState::Paused => Self::Snow,
            RunState::Stopping | RunState::Stopped | RunState::ForceStopped => Self::Stop,
            RunState::Completed => Self::Check,
            RunState::Failed => Self::Cross,
            RunState::Interrupted => Self::Bolt,
        }
    }

    pub(crate) const fn of_step(state: StepState) -> Self {
        match state {
            StepState::Pending => Self::Pending,
            StepState::Waiting => Self::Clock,
            StepState::Running => Self::Play,
            StepState::Paused => Self::Snow,
            StepState::Completed => Self::Check,
            StepState::Failed => Self::Cross,
            StepState::Skipped | StepState::Stopped => Self::Stop,
            StepState::Interrupted => Self::Bolt,
        }
    }

    /// Paints it `size` high and wide around `center`.
    pub(crate) fn paint(self, painter: &Painter, center: Pos2, size: f32, color: Color32) {
        let unit = size / 2.0;
        let at = |x: f32, y: f32| center + vec2(x, y) * unit;
        let stroke = Stroke::new((size * 0.12).max(1.25), color);
        let line = |points: &[Pos2]| {
            painter.add(Shape::line(points.to_vec(), stroke));
        };
        match self {
            Self::Play => {
                let points = vec![at(-0.62, -0.82), at(0.86, 0.0), at(-0.62, 0.82)];
                painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
            }
            Self::Check => line(&[at(-0.8, 0.08), at(-0.24, 0.62), at(0.82, -0.62)]),
            Self::Cross | Self::Close => {
                line(&[at(-0.64, -0.64), at(0.64, 0.64)]);
                line(&[at(0.64, -0.64), at(-0.64, 0.64)]);
            }
            Self::Plus => {
                line(&[at(-0.72, 0.0), at(0.72, 0.0)]);
                line(&[at(0.0, -0.72), at(0.0, 0.72)]);
            }
            Self::Snow => {
                for turn in 0..6 {
                    let arm = Vec2::angled(PI / 2.0 + turn as f32 * PI / 3.0);
                    let tip = |along: f32, turned: f32| {
                        center + (arm * along + Vec2::angled(arm.angle() + turned) * 0.3) * unit
                    };
                    line(&[center, center + arm * 0.94 * unit]);
                    line(&[tip(0.52, PI / 4.0), center + arm * 0.52 * unit, tip(0.52, -PI / 4.0)]);
                }
            }
            Self::Stop => {
                let square = Rect::from_center_size(center, Vec2::splat(size * 0.72));
                painter.rect_filled(square, CornerRadius::same(1), color);
            }
            Self::Clock => {
                painter.circle_stroke(center, unit * 0.82, stroke);
                line(&[at(0.0, -0.48), at(0.0, 0.0), at(0.36, 0.2)]);
            }
            Self::Bolt => {
                // A line with the head of an arrow is a blot at the size of a row's mark.
                for half in [1.0, -1.0] {
                    let corners = [(0.3, -0.98), (-0.66, 0.2), (0.12, 0.2)];
                    let points = corners.map(|(x, y)| at(half * x, half * y)).to_vec();
                    painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
                }
            }
            Self::Again => {
                let arc: Vec<Pos2> = (0..=20)
                    .map(|n| center + Vec2::angled(-0.25 * PI + n as f32 / 20.0 * TAU * 0.78) * unit * 0.76)
                    .collect();
                line(&arc);
                let points = vec![at(0.98, -0.92), at(0.92, -0.1), at(0.18, -0.46)];
                painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
            }
            Self::Pending => {
                painter.circle_stroke(center, unit * 0.6, stroke);
            }
            Self::Now => {
                painter.circle_stroke(center, unit * 0.86, stroke);
                painter.circle_filled(center, unit * 0.4, color);
            }
            Self::List => {
                for y in [-0.6, 0.0, 0.6] {
                    line(&[at(-0.8, y), at(0.8, y)]);
                }
            }
            Self::Branch => {
                line(&[at(-0.5, -0.4), at(-0.5, 0.4)]);
                line(&[at(-0.5, 0.1), at(0.2, 0.1), at(0.5, -0.16), at(0.5, -0.3)]);
                for (x, y) in [(-0.5, -0.66), (-0.5, 0.68), (0.5, -0.54)] {
                    painter.circle_stroke(at(x, y), unit * 0.26, stroke);
                }
            }
            Self::Wave => {
                let wave: Vec<Pos2> = (-12..=12)
                    .map(|n| n as f32 / 12.0)
                    .map(|x| at(x * 0.92, -0.52 * (x * PI).sin()))
                    .collect();
                line(&wave);
            }
            Self::Search => {
                painter.circle_stroke(at(-0.16, -0.16), unit * 0.6, stroke);
                line(&[at(0.3, 0.3), at(0.86, 0.86)]);
            }
            Self::More => {
                for x in [-0.66, 0.0, 0.66] {
                    painter.circle_filled(at(x, 0.0), unit * 0.18, color);
                }
            }
            Self::Down => {
                let points = vec![at(-0.8, -0.4), at(0.8, -0.4), at(0.0, 0.6)];
                painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
            }
            Self::Folder => {
                line(&[
                    at(-0.86, 0.64),
                    at(-0.86, -0.6),
                    at(-0.2, -0.6),
                    at(0.04, -0.34),
                    at(0.86, -0.34),
                    at(0.86, 0.64),
                    at(-0.86, 0.64),
                ]);
            }
            Self::HalfMoon => {
                painter.circle_stroke(center, unit * 0.8, stroke);
                let half: Vec<Pos2> = (0..=16)
                    .map(|n| center + Vec2::angled(PI / 2.0 + n as f32 / 16.0 * PI) * unit * 0.8)
                    .collect();
                painter.add(Shape::convex_polygon(half, color, Stroke::NONE));
            }
            Self::Moon => {
                let arc = |middle: f32, radius: f32, from: f32, to: f32| {
                    (0..=12).map(move |n| {
                        let turn = from + (to - from) * n as f32 / 12.0;
                        at(middle + radius * turn.cos(), radius * turn.sin())
                    })
                };
                // Both arcs end in the same two tips.
                let outer: Vec<Pos2> = arc(0.0, 0.86, 0.22 * PI, 1.78 * PI).collect();
                let inner: Vec<Pos2> = arc(0.5, 0.56, 0.42 * PI, 1.58 * PI).collect();
                line(&outer);
                line(&inner);
            }
            Self::Drain => {
                line(&[at(0.0, -0.86), at(0.0, 0.36)]);
                line(&[at(-0.46, -0.1), at(0.0, 0.36), at(0.46, -0.1)]);
                line(&[at(-0.74, 0.8), at(0.74, 0.8)]);
            }
            Self::Sliders => {
                for (y, knob) in [(-0.56, 0.3), (0.0, -0.36), (0.56, 0.12)] {
                    line(&[at(-0.86, y), at(0.86, y)]);
                    painter.circle_filled(at(knob, y), unit * 0.24, color);
                }
            }
            Self::Warning => {
                painter
                    .add(Shape::closed_line(vec![at(0.0, -0.86), at(0.92, 0.74), at(-0.92, 0.74)], stroke));
                line(&[at(0.0, -0.26), at(0.0, 0.24)]);
                let dot = Rect::from_center_size(at(0.0, 0.5), Vec2::splat(stroke.width));
                painter.rect(dot, 0.0, color, Stroke::NONE, StrokeKind::Inside);
            }
        }
    }

    /// Paints it at the left edge of `rect`, vertically centred; returns where text may begin.
    pub(crate) fn paint_before(self, painter: &Painter, rect: Rect, size: f32, color: Color32) -> f32 {
        self.paint(painter, pos2(rect.left() + size / 2.0, rect.center().y), size, color);
        rect.left() + size + 7.0
    }
}
