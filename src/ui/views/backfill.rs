//! The form of a backfill: a span of days, and the instants of it that would run.

use chrono::NaiveDate;
use egui::{Align2, Popup, PopupCloseBehavior, ScrollArea, Sense, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::schedule_page::BackfillForm;
use super::super::widgets::{
    AccessibleName, Field, Icon, Lever, Tone, calendar_ui, levers_before, numbers_at, paragraph, region,
    remark,
};
use super::dialogs::{dialog_ui, heading_ui};
use super::ledger::whole_wall;
use super::{Commands, View};
use crate::ui::{format, theme};

/// The height of the list of instants.
const LIST: f32 = 200.0;

pub(crate) fn backfill_ui(ui: &Ui, view: View<'_>, form: &mut BackfillForm, out: &mut Commands) {
    let asked = form.asked();
    let preview = asked.as_ref().and_then(|asked| view.store.agenda().backfill(asked));
    let today = view.now.with_timezone(&form.zone).date_naive();
    dialog_ui(ui, "Backfill", out, |ui, out| {
        let tokens = theme::tokens(ui);
        heading_ui(ui, format!("Backfill {}", form.job_id));
        remark(ui, "Runs what the job was due for and did not run, the oldest first", tokens.muted);
        ui.add_space(10.0);
        let half = (ui.available_width() - 12.0) / 2.0;
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 12.0;
            for (name, text) in [("First day", &mut form.from), ("Last day", &mut form.to)] {
                day_ui(ui, name, text, &mut form.month, (today, half));
            }
        });
        if form.is_reversed() {
            remark(ui, "The last day comes before the first", tokens.failed);
        }
        ui.add_space(10.0);
        let n_instants = match (&asked, preview) {
            (None, _) => {
                ui.add_space(LIST + 22.0);
                None
            }
            (Some(_), None) => {
                remark(ui, "Looking up the instants…", tokens.muted);
                ui.add_space(LIST);
                None
            }
            (Some(_), Some(Err(refusal))) => {
                paragraph(ui, refusal, (theme::body(), tokens.muted));
                ui.add_space(LIST - 20.0);
                None
            }
            (Some(_), Some(Ok(instants))) => {
                let text = format!("{} would run", format::count(instants.len(), "instant"));
                paragraph(ui, &text, (theme::strong(), tokens.text));
                let list = ScrollArea::vertical().id_salt("instants").max_height(LIST);
                list.auto_shrink([false, false]).show_rows(ui, 20.0, instants.len(), |ui, range| {
                    region(ui, egui::Role::List, "Instants");
                    for at in &instants[range] {
                        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 20.0));
                        let text = whole_wall(*at, form.zone);
                        let style = (theme::body(), tokens.text);
                        numbers_at(ui, rect.left_center(), Align2::LEFT_CENTER, &text, style);
                        let response = ui.interact(rect, ui.scope_id().with(at), Sense::hover());
                        response.says(egui::Role::ListItem, &text);
                    }
                });
                Some(instants.len()).filter(|n| *n > 0)
            }
        };
        if let Some(refusal) = &form.refusal {
            remark(ui, refusal, tokens.failed);
        }
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 48.0));
        let mut right = rect.right();
        let run = Command::RunBackfill;
        let text = match (form.is_running, n_instants) {
            (true, _) => "Starting…".to_owned(),
            (false, Some(n)) => format!("Run {}", format::whole(n)),
            (false, None) => "Run".to_owned(),
        };
        let may_run = n_instants.is_some() && form.request().is_some();
        let lever = Lever::of(&run).text(text).tone(Tone::Primary).enabled_if(may_run);
        let cancel = Command::CloseOverlay;
        let levers = vec![(Lever::of(&cancel), cancel), (lever, run)];
        out.extend(levers_before(ui, &mut right, (rect, 34.0), levers));
    });
}

fn day_ui(
    ui: &mut Ui,
    name: &str,
    text: &mut String,
    month: &mut Option<NaiveDate>,
    (today, width): (NaiveDate, f32),
) {
    let wrong = BackfillForm::error(text);
    let response = Field::new(name, "2026-11-23").ui(ui, text, width, wrong);
    let rect = response.rect;
    let lever = Lever::icon(Icon::More, format!("Calendar for {name}")).text("Calendar").without_icon();
    let place =
        egui::Rect::from_min_max(pos2(rect.right() - 80.0, rect.top() + 2.0), rect.max - vec2(2.0, 2.0));
    let button = lever.ui_at(ui, place);
    if button.clicked() {
        *month = None;
    }
    let popup = Popup::menu(&button).anchor(rect).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    popup.show(|ui| {
        let chosen = text.trim().parse::<NaiveDate>().ok();
        let shown = month.get_or_insert(chosen.unwrap_or(today));
        if let Some(day) = calendar_ui(ui, shown, chosen, today) {
            *text = day.to_string();
            ui.close();
        }
    });
}
