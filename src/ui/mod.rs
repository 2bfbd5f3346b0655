//! The window: it only shows updates and sends actions. It paints from [`AppStore`](crate::window::AppStore) and pushes
//! [`Action`](crate::window::Action)s through its port. It has no database, no lock on the engine and no process
//! handle.
//!
//! | file | duty |
//! |---|---|
//! | `window` | drains updates, paints, runs commands, asks before closing |
//! | `beat` | when it is painted next because of nothing but time |
//! | `command` | everything that can be done: texts, tooltips, shortcuts, icons |
//! | `history_filter` | which ended runs are listed, and which of them are visible |
//! | `job_form` | what is typed about a job, what is wrong with it and what it will do |
//! | `limit_form` | the same about limits |
//! | `settings_form` | the same about settings |
//! | `start_form` | the same about a run that is to be started |
//! | `spoken`, `announce`, `outline` | for screen readers: plots in words, what is announced, the page as a tree |
//! | `schedule_page` | the tabs of the page of jobs: month, ledger, backfill |
//! | `path_picker` | the picker of a path: which folder it shows, and what of it |
//! | `pipeline_list` | which pipelines are listed, and the form for a new one |
//! | `room` | how much room there is, by which views choose their layout |
//! | `graph_layout` | where the nodes of a graph of steps lie |
//! | `log_page` | the open log: what of it is visible, and what can be done there |
//! | `now_page` | the rows of the first page: order, groups, and which keep their place |
//! | `time_line` | the line in time that all pages share, and what each axis shows |
//! | `offers` | which of it can be done now |
//! | `state` | which page, which dialog |
//! | `toasts` | what was done, for a moment, and how it is undone |
//! | `icon` | icons drawn by code |
//! | `app_icon` | the program's own, for window lists |
//! | `views/` | functions of the read model that paint and push commands |
//! | `widgets/` | levers, rows, cards, figures that keep their width |
//! | `shown` | whether an X11 window is on the screen |
//! | `system_fonts` | fonts of the system for what ours lack |
//! | `theme` | every colour, size and font |
//!
//! Only visible clocks repaint by themselves, all of them at the whole second. An idle window sleeps, and a window that
//! is not visible paints nothing.

mod announce;
mod app_icon;
mod beat;
mod command;
mod format;
mod graph_layout;
mod history_filter;
mod icon;
mod job_form;
mod labels;
mod limit_form;
mod log_page;
mod now_page;
mod offers;
mod outline;
mod path_picker;
mod pipeline_list;
mod room;
mod schedule_page;
mod settings_form;
mod shown;
mod spoken;
mod start_form;
mod state;
mod system_fonts;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_access;
#[cfg(test)]
mod tests_agenda;
#[cfg(test)]
mod tests_away;
#[cfg(test)]
mod tests_beat;
#[cfg(test)]
mod tests_closing;
#[cfg(test)]
mod tests_history;
#[cfg(test)]
mod tests_log;
#[cfg(test)]
mod tests_machine;
#[cfg(test)]
mod tests_now;
#[cfg(test)]
mod tests_pages;
#[cfg(test)]
mod tests_pictures;
#[cfg(test)]
mod tests_pipelines;
#[cfg(test)]
mod tests_room;
#[cfg(test)]
mod tests_run;
#[cfg(test)]
mod tests_schedule;
#[cfg(test)]
mod tests_scroll;
#[cfg(test)]
mod tests_settings;
#[cfg(test)]
mod tests_start;
#[cfg(test)]
mod tests_time;
#[cfg(test)]
mod tests_waiting;
mod theme;
mod time_line;
mod toasts;
mod views;
mod widgets;
mod window;
mod window_access;
mod window_away;
mod window_jobs;
mod window_log;
mod window_look;
mod window_pipelines;
mod window_runs;
mod window_settings;
mod window_start;
mod window_time;

use std::cell::Cell;
use std::ffi::OsString;

use anyhow::bail;

use crate::window::{WindowLook, WindowPort};
pub use window::LeverframeWindow;
use window_look::TITLE;

/// What works without a window.
const WITHOUT_DISPLAY: &str = "without a display use `leverframe run`, `resume`, `retry`, `runs`, `show`, \
     `logs`, `checkpoints`, `validate` or `doctor`";

/// Opens the window and shows it until it is closed. Must be called on the main thread.
///
/// # Errors
/// One line that names the verbs that need no display, when there is no display, it can't be used or it is gone.
pub fn run(port: WindowPort) -> anyhow::Result<()> {
    require_display(|name| std::env::var_os(name))?;
    let look = port.look();
    let viewport = egui::ViewportBuilder::default()
        .with_title(TITLE)
        .with_app_id("leverframe")
        .with_inner_size([look.width, look.height])
        .with_maximized(look.is_maximized)
        .with_icon(app_icon::app_icon())
        .with_min_inner_size(WindowLook::MIN_SIZE);
    let viewport = match look.position {
        Some(position) => viewport.with_position(position),
        None => viewport,
    };
    let options = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    let was_shown = Cell::new(false);
    let window = |cc: &eframe::CreationContext<'_>| {
        was_shown.set(true);
        Ok(Box::new(LeverframeWindow::new(cc, port)) as Box<dyn eframe::App>)
    };
    eframe::run_native(TITLE, options, Box::new(window)).map_err(|error| match was_shown.get() {
        true => anyhow::anyhow!("the display is gone; {WITHOUT_DISPLAY}"),
        false => anyhow::anyhow!("{}", refusal(&error.to_string())),
    })
}

/// One line for a window that can't open: the window system's message without its source location.
fn refusal(error: &str) -> String {
    let reason = error.lines().next().unwrap_or_default();
    let reason = reason.rsplit(": ").next().unwrap_or(reason);
    format!("the window cannot open ({reason}); {WITHOUT_DISPLAY}")
}

/// Checks that there is a display, before anything is set up for one.
fn require_display(env: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<()> {
    let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
    let needs_one = cfg!(all(unix, not(target_os = "macos")));
    if needs_one && !is_set("WAYLAND_DISPLAY") && !is_set("WAYLAND_SOCKET") && !is_set("DISPLAY") {
        bail!(
            "the window needs a display, and neither WAYLAND_DISPLAY nor DISPLAY is set; {WITHOUT_DISPLAY}"
        );
    }
    Ok(())
}
