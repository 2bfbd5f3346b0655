//! `leverframe top`: what the living runs use, sample by sample, as the running engine measures it.

use chrono::{DateTime, Utc};
use clap::Args;

use super::exit::{Failure, Outcome};
use super::output::{Cell, Form, Page, clock_time, moves_cursor, note, size};
use super::{Place, Print};
use crate::admission::Orders;
use crate::api::exit_code::{DONE, NO_ENGINE};
use crate::api::{GetUsage, Usage, UsageOfRun};
use crate::base::units::of_cores;
use crate::control::{Connection, ControlError};
use crate::engine;

/// The longest reason in a row, in characters.
const MAX_REASON: usize = 120;
/// Moves the cursor to the upper left corner and erases the screen.
const HOME: &str = "\x1b[H\x1b[J";

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// End after this many samples; default: on a terminal and with --json never, else 1.
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    samples: Option<u64>,
    #[command(flatten)]
    print: Print,
}

pub(super) fn top(args: &TopArgs, place: &Place) -> Outcome {
    let data_dir = place.path()?;
    let connection = Connection::open(&data_dir)?.ok_or_else(|| {
        let text = format!("no engine is running on {}: nothing is measured", data_dir.display());
        Failure::new(NO_ENGINE, format!("{text}; `leverframe stats PIPELINE` shows what past runs used"))
    })?;
    let is_interactive = args.print.form() == Form::Text && moves_cursor(&std::io::stdout());
    let endless = is_interactive || args.print.form() == Form::Json;
    let mut left = args.samples.or((!endless).then_some(1));
    let mut page = Page::new();
    let mut last: Option<DateTime<Utc>> = None;
    while left != Some(0) {
        let usage = match connection.ask(&GetUsage { after: last }) {
            Err(ControlError::Gone(Some(notice))) => {
                note(format_args!("the engine closed the connection: {}", notice.reason));
                return page.end(DONE);
            }
            usage => usage?,
        };
        // No new sample came in time: ask again.
        if usage.at.is_none() || usage.at == last {
            continue;
        }
        last = usage.at;
        match args.print.form() {
            Form::Json => page.document_line(&usage)?,
            Form::Text => show(&usage, is_interactive, &mut page)?,
        }
        page.flush()?;
        left = left.map(|left| left - 1);
    }
    page.end(DONE)
}

fn show(usage: &Usage, is_interactive: bool, page: &mut Page) -> Result<(), Failure> {
    if is_interactive {
        page.bytes(HOME.as_bytes())?;
    }
    let now = engine::now().wall;
    let at = usage.at.map(clock_time).unwrap_or_default();
    let mut short = match usage.short_of.as_slice() {
        [] => String::new(),
        short => format!(" · short of {}", short.join(", ")),
    };
    if usage.orders != Orders::default() {
        short += &format!(" · {}", usage.orders.sentence(now));
    }
    page.line(format_args!(
        "{at} · CPU {} {} · memory {} of {} · disk {} free{short}",
        percent(usage.cpu_fraction),
        of_cores(usage.n_cpus),
        size(usage.memory_used_bytes),
        size(usage.memory_total_bytes),
        size(usage.disk_free_bytes),
    ))?;
    if usage.runs.is_empty() {
        return page.line("nothing runs");
    }
    let mut rows = Vec::new();
    for run in &usage.runs {
        rows.push(vec![
            Cell::plain(&run.run_id),
            Cell::run(run.state),
            Cell::figure(percent(run.progress)),
            Cell::figure(percent(run.cpu_fraction)),
            Cell::figure(size(run.memory_bytes)),
            Cell::figure(format!("{}/s", size(run.read_rate as u64))),
            Cell::figure(format!("{}/s", size(run.write_rate as u64))),
            Cell::figure(run.n_processes.to_string()),
            Cell::plain(why(usage, run, now).chars().take(MAX_REASON).collect::<String>()),
        ]);
        // A single step has the same figures as its run.
        for step in run.steps.iter().filter(|_| run.steps.len() > 1) {
            rows.push(vec![
                Cell::plain(format!("  {}", step.step_id)),
                Cell::plain(""),
                Cell::plain(""),
                Cell::figure(percent(step.cpu_fraction)),
                Cell::figure(size(step.memory_bytes)),
                Cell::plain(""),
                Cell::plain(""),
                Cell::figure(step.n_processes.to_string()),
                Cell::plain(""),
            ]);
        }
    }
    let cpu = format!("CPU {}", of_cores(usage.n_cpus).to_uppercase());
    page.table(&["RUN", "STATE", "PROGRESS", &cpu, "MEMORY", "READS", "WRITES", "PROCESSES", ""], &rows)
}

/// Why a run does not go on, if it does not.
fn why(usage: &Usage, run: &UsageOfRun, now: DateTime<Utc>) -> String {
    let wait = usage.waits.iter().find(|wait| wait.run_id == run.run_id);
    let wait = wait.map(|it| match &it.step_id {
        Some(step_id) => format!("{step_id}: {}", it.wait.sentence(now)),
        None => it.wait.sentence(now),
    });
    wait.or_else(|| run.error.clone()).unwrap_or_default()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
