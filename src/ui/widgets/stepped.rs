//! Things side by side that are one stop of the keyboard: it goes from one to the next by the keys left and right.

use egui::{EventFilter, Key, Modifiers, Response, Ui};

/// Which of `n_items` the keyboard is at, counted from the left, while `response` has the focus; at first the last one.
/// Left, right, Home and End move it.
pub(crate) fn stepped(ui: &Ui, response: &Response, n_items: usize) -> Option<usize> {
    let last = n_items.checked_sub(1).filter(|_| response.has_focus())?;
    let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
    let before: Option<usize> = ui.memory_mut(|memory| {
        memory.set_focus_lock_filter(response.id, filter);
        memory.data.get_temp(response.id)
    });
    let take = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key));
    let (left, right, home, end) =
        (take(Key::ArrowLeft), take(Key::ArrowRight), take(Key::Home), take(Key::End));
    let begin = match (home > 0, end > 0) {
        (true, _) => 0,
        (false, true) => last,
        (false, false) => before.unwrap_or(last).min(last),
    };
    let at = (begin + right).min(last).saturating_sub(left);
    ui.memory_mut(|memory| memory.data.insert_temp(response.id, at));
    Some(at)
}

/// Whether it was pulled by a key or a screen reader, which have no place in it.
pub(crate) fn is_pulled_by_key(response: &Response) -> bool {
    response.clicked() && response.interact_pointer_pos().is_none()
}
