//! Fields of a form: a text or a choice, each with its name above and its error below.

use egui::{Align2, Color32, ComboBox, CornerRadius, Frame, Margin, Response, Stroke, TextEdit, Ui, vec2};

use super::{label_at, one_line, paragraph};
use crate::ui::theme;

#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The caption above it.
    pub(crate) caption: &'a str,
    /// Its name for screen readers, unique in the form.
    pub(crate) name: &'a str,
    /// An example of its contents.
    pub(crate) example: &'a str,
}

impl<'a> Field<'a> {
    /// A field whose caption is also its name.
    pub(crate) fn new(caption: &'a str, example: &'a str) -> Self {
        Self { caption, name: caption, example }
    }

    /// Puts it at the cursor of `ui`. With `wrong` the field is marked, and the sentence stands below it; an empty
    /// `wrong` only marks.
    pub(crate) fn ui(self, ui: &mut Ui, text: &mut String, width: f32, wrong: Option<&str>) -> Response {
        let tokens = theme::tokens(ui);
        ui.vertical(|ui| {
            ui.set_width(width);
            caption(ui, self.caption, width);
            let line = if wrong.is_some() { tokens.failed } else { tokens.line };
            let frame = Frame::NONE
                .fill(tokens.bg)
                .stroke(Stroke::new(1.0, line))
                .corner_radius(CornerRadius::same(theme::LEVER_RADIUS))
                .inner_margin(Margin::symmetric(9, 6));
            let edit = TextEdit::singleline(text)
                .id(ui.scope_id().with(("field", self.name)))
                .frame(frame)
                .font(theme::mono())
                .hint_text(self.example)
                .desired_width(width);
            let response = ui.add(edit).accessible_name(self.name);
            if let Some(wrong) = wrong.filter(|wrong| !wrong.is_empty()) {
                remark(ui, wrong, tokens.failed);
            }
            response
        })
        .inner
    }
}

/// A remark in small type.
pub(crate) fn remark(ui: &mut Ui, text: &str, ink: Color32) {
    paragraph(ui, text, (theme::small(), ink));
}

/// The visible name above a field; screen readers get it from the field itself.
pub(crate) fn caption(ui: &mut Ui, name: &str, width: f32) {
    let (_, rect) = ui.allocate_space(vec2(width, 16.0));
    let style = (theme::small(), theme::tokens(ui).muted);
    label_at(ui, rect.left_center(), Align2::LEFT_CENTER, name, style, width);
}

/// A choice of one of several, with its caption above.
pub(crate) fn choice<T: Copy + PartialEq>(
    ui: &mut Ui,
    name: &str,
    chosen: T,
    all: &[T],
    text: impl Fn(T) -> &'static str,
    width: f32,
) -> T {
    choice_called(ui, (name, name), chosen, all, text, width)
}

/// The same with a name for screen readers that differs from the caption.
pub(crate) fn choice_called<T: Copy + PartialEq>(
    ui: &mut Ui,
    (above, name): (&str, &str),
    chosen: T,
    all: &[T],
    text: impl Fn(T) -> &'static str,
    width: f32,
) -> T {
    let mut now = chosen;
    ui.vertical(|ui| {
        ui.set_width(width);
        caption(ui, above, width);
        let combo = ComboBox::from_id_salt(name).width(width).truncate().selected_text(text(chosen));
        let shown = combo.show_ui(ui, |ui| {
            for one in all {
                ui.selectable_value(&mut now, *one, text(*one));
            }
        });
        let _ = shown.response.accessible_name(format!("{name}: {}", text(chosen)));
    });
    now
}

/// A choice among texts that are known only when it is shown, without a caption. `name` is for screen readers, `hint`
/// stands there while nothing is chosen.
pub(crate) fn choice_of_texts(
    ui: &mut Ui,
    name: &str,
    chosen: &mut String,
    all: &[String],
    (hint, width): (&str, f32),
) -> Response {
    let shown = if chosen.is_empty() { hint } else { &**chosen };
    let shown = one_line(shown).into_owned();
    let combo = ComboBox::from_id_salt(name).width(width).truncate().selected_text(&*shown);
    let response = combo.show_ui(ui, |ui| {
        for one in all {
            ui.selectable_value(chosen, one.clone(), one_line(one));
        }
    });
    response.response.accessible_name(format!("{name}: {shown}"))
}
