//! The window: a face that only listens and asks. It paints from [`AppStore`](crate::window::AppStore)
//! and pushes [`Action`](crate::window::Action)s through its port; it has no database, no lock on the
//! engine and no process handle.
//!
//! | file | duty |
//! |---|---|
//! | `window` | drains updates, paints, runs commands, asks before closing |
//! | `beat` | when it is painted next because of nothing but time |
//! | `command` | everything that can be done: texts, tooltips, shortcuts, icons |
//! | `job_form` | what is typed about a job, what is wrong with it and what it will do |
//! | `limit_form` | the same about limits |
//! | `offers` | which of it can be done now |
//! | `views/` | functions of the read model that paint and push commands |
//! | `widgets/` | levers, rows, cards, icons, figures that keep their width |
//! | `shown` | whether an X11 window is on the screen |
//! | `theme` | every colour, size and font |
//!
//! Nothing repaints by itself but the clocks that can be seen, all of them with the whole second: an idle window sleeps,
//! and one that nobody can see paints nothing.

mod asked;
mod beat;
mod command;
mod format;
mod job_form;
mod limit_form;
mod offers;
mod shown;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_beat;
#[cfg(test)]
mod tests_closing;
#[cfg(test)]
mod tests_machine;
#[cfg(test)]
mod tests_pages;
#[cfg(test)]
mod tests_schedule;
#[cfg(test)]
mod tests_waiting;
mod theme;
mod views;
mod widgets;
mod window;
mod window_dress;
mod window_jobs;
mod window_runs;

use std::cell::Cell;
use std::ffi::OsString;

use anyhow::bail;

use crate::window::{WindowLook, WindowPort};
pub use window::LeverframeWindow;

/// What to use where no window can open.
const WITHOUT_DISPLAY: &str = "without a display use `leverframe run`, `resume`, `retry`, `runs`, `show`, \
     `logs`, `checkpoints`, `validate` or `doctor`";

/// Opens the window and shows it until it is closed. Must be called on the main thread.
///
/// # Errors
/// One line that names the verbs that need no display, when there is none, it cannot be used or it is gone.
pub fn run(port: WindowPort) -> anyhow::Result<()> {
    require_display(|name| std::env::var_os(name))?;
    let look = port.look();
    let viewport = egui::ViewportBuilder::default()
        .with_title("Leverframe")
        .with_app_id("leverframe")
        .with_inner_size([look.width, look.height])
        .with_maximized(look.is_maximized)
        .with_min_inner_size(WindowLook::MIN_SIZE);
    let options = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    let was_shown = Cell::new(false);
    let window = |cc: &eframe::CreationContext<'_>| {
        was_shown.set(true);
        Ok(Box::new(LeverframeWindow::new(cc, port)) as Box<dyn eframe::App>)
    };
    eframe::run_native("Leverframe", options, Box::new(window)).map_err(|error| match was_shown.get() {
        true => anyhow::anyhow!("the display is gone; {WITHOUT_DISPLAY}"),
        false => anyhow::anyhow!("{}", refusal(&error.to_string())),
    })
}

/// One line for a window that cannot open: the window system's own words without where it said them.
fn refusal(error: &str) -> String {
    let reason = error.lines().next().unwrap_or_default();
    let reason = reason.rsplit(": ").next().unwrap_or(reason);
    format!("the window cannot open ({reason}); {WITHOUT_DISPLAY}")
}

/// Finds out whether there is a display, before anything is set up for one.
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
