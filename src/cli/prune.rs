//! `leverframe prune`.

use clap::Args;
use serde_json::{Value, json};

use super::exit::{Failure, Outcome};
use super::output::{Cell, Page, ago, count, note, size};
use super::{Place, Print};
use crate::api::exit_code::{DONE, FAILED};
use crate::base::time::{Now, format_instant};
use crate::engine;
use crate::records::{apply_prune, plan_prune};
use crate::settings::Settings;
use crate::store::{PrunePlan, PruneReason, PruneReport, PrunedRun};

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Show what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    print: Print,
}

pub(super) fn prune(args: &PruneArgs, place: &Place) -> Outcome {
    let now = engine::now();
    let data_dir = place.path()?;
    let settings = Settings::load(&data_dir)?;
    let is_there = data_dir.exists();
    let (plan, report) = if args.dry_run || !is_there {
        (plan_prune(&place.records()?, &settings, now)?, None)
    } else {
        let (plan, report) = apply_prune(&data_dir, &settings, now)?;
        (plan, Some(report))
    };
    args.print
        .form()
        .print(&document(&plan, report.as_ref()), |page| print(page, &plan, report.as_ref(), now))?;
    let has_problems = report.is_some_and(|report| !report.problems.is_empty());
    Ok(if has_problems { FAILED } else { DONE })
}

fn print(page: &mut Page, plan: &PrunePlan, report: Option<&PruneReport>, now: Now) -> Result<(), Failure> {
    let row = |run: &PrunedRun| {
        vec![
            Cell::plain(&run.run_id),
            Cell::run(run.state),
            Cell::plain(ago(run.started_at, now.wall)),
            Cell::figure(size(run.log_bytes)),
            Cell::plain(why(run.reason)),
        ]
    };
    let rows: Vec<_> = plan.runs.iter().chain(&plan.logs).map(row).collect();
    if !rows.is_empty() {
        page.table(&["RUN", "STATE", "STARTED", "LOGS", "REASON"], &rows)?;
        page.flush()?;
    }
    match report {
        None => note(format_args!(
            "would remove {} and the logs of {} more; nothing was removed",
            count(plan.runs.len(), "run", "runs"),
            plan.logs.len()
        )),
        Some(report) => {
            note(format_args!(
                "removed {} and the logs of {} more, {} in all",
                count(report.n_runs, "run", "runs"),
                report.n_logs,
                size(report.log_bytes)
            ));
            report.problems.iter().for_each(|problem| note(format_args!("leverframe: {problem}")));
        }
    }
    Ok(())
}

fn why(reason: PruneReason) -> &'static str {
    match reason {
        PruneReason::Old => "it is older than the settings keep",
        PruneReason::Many => "its pipeline has more runs than the settings keep",
        PruneReason::LogBytes => "all logs together are larger than the settings keep (the run stays)",
        PruneReason::Chosen => "the operator deletes it",
    }
}

fn document(plan: &PrunePlan, report: Option<&PruneReport>) -> Value {
    let rows = |runs: &[PrunedRun]| -> Vec<Value> {
        let row = |run: &PrunedRun| {
            json!({
                "run_id": run.run_id, "pipeline_id": run.pipeline_id, "state": run.state,
                "started_at": format_instant(run.started_at), "log_bytes": run.log_bytes,
                "reason": match run.reason {
                    PruneReason::Old => "old",
                    PruneReason::Many => "many",
                    PruneReason::LogBytes => "log_bytes",
                    PruneReason::Chosen => "chosen",
                },
            })
        };
        runs.iter().map(row).collect()
    };
    json!({
        "dry_run": report.is_none(),
        "runs": rows(&plan.runs),
        "logs": rows(&plan.logs),
        "stray_checkpoints": plan.stray_checkpoints,
        "removed": report.map(|report| json!({
            "n_runs": report.n_runs, "n_logs": report.n_logs,
            "log_bytes": report.log_bytes, "problems": report.problems,
        })),
    })
}
