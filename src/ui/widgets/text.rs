//! Text at a position: one line, cut with an ellipsis; and numbers with a fixed width.

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align2, Color32, FontId, Galley, Painter, Pos2, Rect, Ui, pos2};

use super::{Icon, one_line};
use crate::ui::theme;

/// Paints one line of text at `pos`, cut at `max_width`; returns where it is.
pub(crate) fn label_at(
    ui: &Ui,
    pos: Pos2,
    align: Align2,
    text: impl Into<String>,
    (font, color): (FontId, Color32),
    max_width: f32,
) -> Rect {
    let mut job = LayoutJob::simple_singleline(one_line(&text.into()).into_owned(), font, color);
    job.wrap = TextWrapping::truncate_at_width(max_width.max(0.0));
    put(ui.painter(), pos, align, ui.painter().layout_job(job), color)
}

/// Paints a number at `pos` with digits of equal width, so that it does not move when it changes. egui can't use a
/// font's tabular figures, so each digit gets a cell of its own.
pub(crate) fn numbers_at(
    ui: &Ui,
    pos: Pos2,
    align: Align2,
    text: &str,
    (font, color): (FontId, Color32),
) -> Rect {
    let galley = ui.painter().layout_job(tabular(ui, text, font, color));
    put(ui.painter(), pos, align, galley, color)
}

fn tabular(ui: &Ui, text: &str, font: FontId, color: Color32) -> LayoutJob {
    let widths: [f32; 10] = ui.fonts_mut(|fonts| {
        std::array::from_fn(|digit| fonts.glyph_width(&font, (b'0' + digit as u8) as char))
    });
    let cell = widths.iter().copied().fold(0.0, f32::max);
    let format = TextFormat::simple(font, color);
    let mut job = LayoutJob { break_on_newline: false, ..LayoutJob::default() };
    let mut owed = 0.0;
    for c in one_line(text).chars() {
        let half = c.to_digit(10).map_or(0.0, |digit| (cell - widths[digit as usize]) / 2.0);
        job.append(c.encode_utf8(&mut [0; 4]), owed + half, format.clone());
        owed = half;
    }
    job
}

/// Paints an icon and a word, vertically centred in `rect`.
pub(crate) fn state_at(ui: &Ui, rect: Rect, icon: Icon, word: &str, color: Color32) {
    let x = icon.paint_before(ui.painter(), rect, 12.0, color);
    let style = (theme::body(), color);
    label_at(ui, pos2(x, rect.center().y), Align2::LEFT_CENTER, word, style, rect.right() - x);
}

/// The width of a text that is not cut.
pub(crate) fn text_width(ui: &Ui, text: &str, font: FontId) -> f32 {
    line_of(ui, text, (font, Color32::PLACEHOLDER)).size().x
}

/// The layout of a line of text that is not cut.
pub(crate) fn line_of(ui: &Ui, text: &str, (font, color): (FontId, Color32)) -> Arc<Galley> {
    ui.painter().layout_no_wrap(one_line(text).into_owned(), font, color)
}

fn put(painter: &Painter, pos: Pos2, align: Align2, galley: Arc<Galley>, color: Color32) -> Rect {
    let rect = align.anchor_size(pos, galley.size());
    painter.galley(rect.min, galley, color);
    rect
}
