//! A text field that offers what begins or contains the typed text, below it.

use egui::{
    Align2, CornerRadius, CursorIcon, Id, Key, Popup, PopupCloseBehavior, Response, Role, Sense, Ui, pos2,
    vec2,
};

use super::{AccessibleName, Field, label_at};
use crate::ui::theme;

/// How many suggestions are shown at once.
const MOST: usize = 8;
const ROW: f32 = 26.0;

/// What the field remembers from one frame to the next.
#[derive(Debug, Clone, Copy, Default)]
struct Offer {
    is_open: bool,
    /// The marked suggestion.
    at: Option<usize>,
    /// Whether the text was changed since the field got the keyboard.
    is_typed: bool,
}

/// What is offered before anything is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtFirst {
    /// What matches the text that is there.
    Matching,
    /// The first ones, whatever text is there: there are few, and they are choices.
    All,
}

impl Field<'_> {
    /// As [`Field::ui`], with those of `all` that match below it while it is being edited: the arrow keys mark one, Enter
    /// or a click takes it.
    pub(crate) fn suggest_ui<'a>(
        self,
        ui: &mut Ui,
        text: &mut String,
        (width, wrong): (f32, Option<&str>),
        at_first: AtFirst,
        all: impl Iterator<Item = &'a str>,
    ) -> Response {
        let id = ui.scope_id().with(("suggest", self.name));
        let mut offer: Offer = ui.data(|data| data.get_temp(id)).unwrap_or_default();
        // Before the field reads them.
        let before = text.clone();
        let response = self.ui(ui, text, width, wrong);
        if response.gained_focus() || *text != before {
            offer = Offer { is_open: true, at: None, is_typed: *text != before };
        }
        let found: Vec<_> = match (offer.is_open, at_first) {
            (false, _) => Vec::new(),
            (true, AtFirst::All) if !offer.is_typed => choices(all, text),
            (true, AtFirst::All | AtFirst::Matching) => matching(all, text),
        };
        if !found.is_empty() {
            let pressed = |key| ui.input(|input| input.key_pressed(key));
            if response.has_focus() && pressed(Key::ArrowDown) {
                offer.at = Some(offer.at.map_or(0, |at| (at + 1).min(found.len() - 1)));
            }
            if response.has_focus() && pressed(Key::ArrowUp) {
                offer.at = offer.at.and_then(|at| at.checked_sub(1));
            }
            let mut taken = None;
            if response.lost_focus() && pressed(Key::Enter) {
                taken = offer.at.and_then(|at| found.get(at)).map(|it| (*it).to_owned());
            }
            let popup = Popup::from_response(&response)
                .id(id.with("popup"))
                .open(true)
                .close_behavior(PopupCloseBehavior::IgnoreClicks)
                .width(width);
            let shown = popup.show(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                found
                    .iter()
                    .enumerate()
                    .find(|(at, one)| row_ui(ui, id, one, (offer.at == Some(*at), width)))
                    .map(|(_, one)| (*one).to_owned())
            });
            let is_over = shown.as_ref().is_some_and(|shown| {
                ui.input(|input| input.pointer.latest_pos())
                    .is_some_and(|at| shown.response.rect.contains(at))
            });
            taken = taken.or(shown.and_then(|shown| shown.inner));
            if let Some(taken) = taken {
                *text = taken;
                offer.is_open = false;
            } else if !response.has_focus() && !is_over {
                offer.is_open = false;
            }
        }
        ui.data_mut(|data| data.insert_temp(id, offer));
        response
    }
}

/// The first of `all`; none if there is no other than the text.
fn choices<'a>(all: impl Iterator<Item = &'a str>, text: &str) -> Vec<&'a str> {
    let choices: Vec<_> = all.take(MOST).collect();
    if choices == [text] { Vec::new() } else { choices }
}

fn row_ui(ui: &mut Ui, id: Id, text: &str, (is_marked, width): (bool, f32)) -> bool {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(width, ROW));
    let response = ui.interact(rect, id.with(text), Sense::CLICK).on_hover_cursor(CursorIcon::PointingHand);
    response.says_selected(Role::ListItem, is_marked, text);
    if is_marked || response.hovered() {
        ui.painter().rect_filled(rect, CornerRadius::same(4), tokens.raised);
    }
    let at = pos2(rect.left() + 8.0, rect.center().y);
    label_at(ui, at, Align2::LEFT_CENTER, text, (theme::body(), tokens.text), rect.width() - 12.0);
    response.clicked()
}

/// The first of `all` that contain the text in either case: those that begin with it come first. None if it is one of
/// them.
fn matching<'a>(all: impl Iterator<Item = &'a str>, text: &str) -> Vec<&'a str> {
    let wanted = text.trim().to_lowercase();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for one in all {
        if one == text {
            return Vec::new();
        }
        let lower = one.to_lowercase();
        if lower.starts_with(&wanted) {
            first.push(one);
        } else if lower.contains(&wanted) && rest.len() < MOST {
            rest.push(one);
        }
    }
    first.truncate(MOST);
    first.extend(rest);
    first.truncate(MOST);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_the_text_comes_first_and_a_whole_name_offers_nothing() {
        let all = ["Africa/Abidjan", "America/New_York", "Europe/Madrid", "york"];
        let found = |text: &str| matching(all.into_iter(), text);
        assert_eq!(found("york"), Vec::<&str>::new());
        assert_eq!(found("yor"), ["york", "America/New_York"]);
        assert_eq!(found("MADRID"), ["Europe/Madrid"]);
        assert_eq!(found("a").len(), 3);
        assert_eq!(choices(["york"].into_iter(), "york"), Vec::<&str>::new());
        assert_eq!(choices(all.into_iter(), "york").len(), 4);
        let many: Vec<String> = (0..100).map(|n| format!("p{n}")).collect();
        assert_eq!(matching(many.iter().map(|it| &**it), "p").len(), MOST);
    }
}
