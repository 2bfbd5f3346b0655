//! The building blocks of views: icons, levers, rows, cards, text with a fixed width. Widgets use the theme and know
//! nothing about runs.

mod calendar;
mod form;
mod lever;
mod meter;
mod plain;
mod row;
mod segments;
mod stepped;
mod suggest;
mod switch;
mod text;

pub(super) use super::icon::Icon;
pub(super) use calendar::calendar_ui;
pub(super) use form::{Field, caption, choice, choice_called, choice_of_texts, remark};
pub(super) use lever::{Lever, Tone, levers_before, levers_width};
pub(super) use meter::{progress_bar, sparkline};
pub(super) use plain::{AccessibleName, one_line, paragraph, region};
pub(super) use row::{Card, Corners, RowKind, row_ui};
pub(super) use segments::{segments_at, segments_width};
pub(super) use stepped::{is_pulled_by_key, stepped};
pub(super) use suggest::AtFirst;
pub(super) use switch::{SWITCH, switch_at};
pub(super) use text::{label_at, line_of, numbers_at, state_at, text_width};
