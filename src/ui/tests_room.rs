//! In a window of any size nothing is painted over a text.

use egui::epaint::{ClippedShape, Shape};
use egui::{Align2, Color32, FontId, Rect, pos2, vec2};
use egui_kittest::Harness;

use super::room::Room;
use super::tests_access::{busy, pages};

/// The smaller overlaps are the rounding of pixels, and the space around letters.
const SLACK: f32 = 1.5;

/// Whatever is higher is no lever or field but a card or a dialog.
const MAX_LEVER: f32 = 60.0;

/// What is seen of a frame's texts, and where something is painted over a part of one.
#[derive(Default)]
struct Painted {
    texts: Vec<(String, Rect)>,
    wrong: Vec<String>,
}

impl Painted {
    fn of(shapes: &[ClippedShape]) -> Self {
        let mut painted = Self::default();
        for ClippedShape { clip_rect, shape, .. } in shapes {
            painted.add(shape, *clip_rect);
        }
        painted
    }

    fn add(&mut self, shape: &Shape, clip: Rect) {
        match shape {
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| self.add(shape, clip)),
            Shape::Text(text) => {
                let place = text.visual_bounding_rect().intersect(clip);
                let text = text.galley.text();
                if place.is_positive() && !text.trim().is_empty() {
                    self.cover(place, &format!("the text {text:?}"));
                    self.texts.push((text.to_owned(), place));
                }
            }
            Shape::Rect(rect) if rect.fill.a() == u8::MAX => {
                let face = rect.rect.intersect(clip);
                // What is wholly covered is not seen, and what is opened over the page may cover parts of it.
                let is_opened = face.height() > MAX_LEVER;
                self.texts.retain(|(_, place)| match is_opened {
                    true => !face.intersects(*place),
                    false => !face.expand(SLACK).contains_rect(*place),
                });
                self.cover(face, "a face");
            }
            Shape::Noop
            | Shape::Band(_)
            | Shape::Circle(_)
            | Shape::Ellipse(_)
            | Shape::LineSegment { .. }
            | Shape::Path(_)
            | Shape::Rect(_)
            | Shape::Mesh(_)
            | Shape::QuadraticBezier(_)
            | Shape::CubicBezier(_)
            | Shape::Callback(_) => {}
        }
    }

    fn cover(&mut self, by: Rect, what: &str) {
        let inner = by.shrink(SLACK);
        let covered = self.texts.iter().filter(|(_, place)| inner.intersects(place.shrink(SLACK)));
        self.wrong.extend(covered.map(|(text, place)| format!("{what} at {by} over {text:?} at {place}")));
    }
}

#[test]
fn nothing_is_painted_over_a_text_at_any_size() {
    let mut wrong = Vec::new();
    for size in [[320.0, 240.0], [640.0, 480.0], [900.0, 600.0], [1280.0, 800.0], [2560.0, 1440.0]] {
        for (page, mut scene) in pages() {
            scene.harness.set_size(size.into());
            scene.harness.run();
            let painted = Painted::of(&scene.harness.output().shapes);
            assert!(painted.texts.len() > 1, "{page} at {size:?} shows something");
            wrong.extend(painted.wrong.into_iter().map(|it| format!("{page} at {size:?}: {it}")));
        }
    }
    assert!(wrong.is_empty(), "{} times:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_painted_over_a_text_is_found() {
    let harness = Harness::new_ui(|ui| {
        let text = |x, text| {
            let font = FontId::proportional(14.0);
            ui.painter().text(pos2(x, 20.0), Align2::LEFT_CENTER, text, font, Color32::WHITE);
        };
        text(10.0, "under");
        text(20.0, "over");
        text(200.0, "half seen");
        ui.painter().rect_filled(Rect::from_min_size(pos2(220.0, 0.0), vec2(90.0, 40.0)), 0.0, Color32::RED);
    });
    assert_eq!(Painted::of(&harness.output().shapes).wrong.len(), 2);
}

#[test]
fn a_tiny_window_shows_the_living_runs_and_their_levers() {
    let mut scene = busy();
    scene.harness.set_size(vec2(320.0, 240.0));
    scene.harness.run();
    assert_eq!(Room::of(&scene.harness.ctx), Room::Tiny);
    assert!(scene.shows("Running"));
    let sent = scene.pull("Pause job0-1");
    assert_eq!(sent.len(), 1, "{sent:?}");
}
