//! `leverframe stats`: the usual figures of a pipeline, from its last runs.

use clap::Args;

use super::exit::{Failure, Outcome};
use super::output::{Cell, Page, count, note, size, span};
use super::{Place, Print};
use crate::api::exit_code::{DONE, NOT_FOUND};
use crate::base::id::PipelineId;
use crate::engine;
use crate::records::{PipelineStats, StepStats};
use crate::resources::Spread;

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// The pipeline's id.
    pipeline: PipelineId,
    /// How many of the newest ended runs are counted.
    #[arg(long, value_name = "N", default_value_t = 50)]
    last: usize,
    #[command(flatten)]
    print: Print,
}

pub(super) fn stats(args: &StatsArgs, place: &Place) -> Outcome {
    let records = place.records()?;
    let Some(stats) = records.stats(&args.pipeline, args.last, engine::now())? else {
        let text =
            format!("no run of pipeline {} has ended in {}", args.pipeline, records.data_dir().display());
        return Err(Failure::new(NOT_FOUND, format!("{text}; `leverframe runs` lists all runs")));
    };
    args.print.form().print(&stats, |page| show(&stats, page))?;
    Ok(DONE)
}

fn show(stats: &PipelineStats, page: &mut Page) -> Result<(), Failure> {
    let n_runs = count(stats.n_runs, "run", "runs");
    page.line(format_args!(
        "the last {n_runs} of {}, of which {} completed",
        stats.pipeline_id, stats.n_completed
    ))?;
    let headings = ["STEP", "COMPLETED", "FAILED", "TOOK", "95 %", "PEAK MEMORY", "95 %", "CPU TIME", "95 %"];
    let whole = StepRow { name: "(whole run)", n_completed: stats.n_completed, n_failed: None };
    let mut rows = vec![row(&whole, stats.duration_seconds, None, None)];
    rows.extend(stats.steps.iter().map(|step| {
        let StepStats { step_id, n_completed, n_failed, .. } = step;
        let head = StepRow { name: step_id.as_str(), n_completed: *n_completed, n_failed: Some(*n_failed) };
        row(&head, step.duration_seconds, step.peak_rss_bytes, step.cpu_seconds)
    }));
    page.table(&headings, &rows)?;
    page.flush()?;
    if stats.n_completed < 20 {
        note("with fewer than 20 completed runs the 95 % column is the slowest of them");
    }
    Ok(())
}

struct StepRow<'a> {
    name: &'a str,
    n_completed: usize,
    n_failed: Option<usize>,
}

fn row(head: &StepRow<'_>, took: Option<Spread>, memory: Option<Spread>, cpu: Option<Spread>) -> Vec<Cell> {
    let time = |seconds: f64| span((seconds * 1000.0) as i64);
    let both = |spread: Option<Spread>, text: &dyn Fn(f64) -> String| match spread {
        Some(spread) => [Cell::figure(text(spread.median)), Cell::figure(text(spread.p95))],
        None => [Cell::figure("–"), Cell::figure("–")],
    };
    let n_failed = head.n_failed.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let mut cells =
        vec![Cell::plain(head.name), Cell::figure(head.n_completed.to_string()), Cell::figure(n_failed)];
    cells.extend(both(took, &time));
    cells.extend(both(memory, &|bytes| size(bytes as u64)));
    cells.extend(both(cpu, &time));
    cells
}
