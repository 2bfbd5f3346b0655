//! `leverframe show`.

use clap::Args;

use super::exit::{Failure, Outcome};
use super::output::{
    Cell, Colour, Page, ago, clock_time, count, local_time, printable, run_sign, size, span, taken,
};
use super::{Place, Print, no_such_run};
use crate::api::exit_code::DONE;
use crate::base::id::RunId;
use crate::base::time::Now;
use crate::engine;
use crate::records::RunRecord;
use crate::run::StepSummary;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run.
    run_id: RunId,
    #[command(flatten)]
    print: Print,
}

pub(super) fn show(args: &ShowArgs, place: &Place) -> Outcome {
    let now = engine::now();
    let records = place.records()?;
    let record = records.run(&args.run_id, now)?.ok_or_else(|| no_such_run(&records, &args.run_id))?;
    args.print.form().print(&record.clone().with_whole_paths(records.data_dir()), |page| {
        print_run(page, &record, now)?;
        print_steps(page, &record, now)?;
        print_history(page, &record)
    })?;
    Ok(DONE)
}

fn print_run(page: &mut Page, record: &RunRecord, now: Now) -> Result<(), Failure> {
    let run = &record.run;
    let (colour, glyph) = run_sign(run.state);
    let state = page.colours().paint(colour, &format!("{glyph} {}", run.state));
    let alive = match (run.state.is_ended(), run.live) {
        (true, _) => "",
        (false, true) => ", live",
        (false, false) => ", no engine is running",
    };
    page.line(format_args!("{}  {state}, {:.0} %{alive}", run.run_id, run.progress * 100.0))?;
    let mut facts = vec![("pipeline", run.pipeline_id.to_string())];
    facts.extend(record.file.as_ref().map(|file| ("file", file.to_string())));
    facts.push(("source", run.source.to_string()));
    facts.push(("run type", format!("{}, environment {}", run.run_type, run.environment)));
    let started =
        format!("{} ({}), {}", local_time(run.started_at), ago(run.started_at, now.wall), run.trigger);
    facts.push(("started", started));
    if let Some(at) = run.finished_at {
        let took = taken(run.took(now.wall));
        facts.push(("ended", format!("{}, after {took}", local_time(at))));
    }
    if run.frozen_seconds > 0.0 {
        facts.push(("frozen", span((run.frozen_seconds * 1000.0) as i64)));
    }
    if run.attempt > 1 {
        facts.push(("taken up", count(run.attempt as usize - 1, "time", "times")));
    }
    let params: Vec<_> = record.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !params.is_empty() {
        facts.push(("parameters", params.join("  ")));
    }
    facts.extend(run.message.as_ref().map(|message| ("message", message.to_string())));
    facts.extend(run.error.as_ref().map(|error| ("error", error.to_string())));
    for (name, value) in facts {
        let name = page.colours().paint(Colour::Faint, &format!("{name:<11}"));
        page.line(format_args!("  {name} {}", printable(&value)))?;
    }
    Ok(())
}

fn print_steps(page: &mut Page, record: &RunRecord, now: Now) -> Result<(), Failure> {
    if record.steps.is_empty() {
        return Ok(());
    }
    page.line("")?;
    let rows: Vec<_> = record.steps.iter().map(|step| step_row(step, now)).collect();
    page.table(&["STEP", "STATE", "ATTEMPT", "EXIT", "STARTED", "TOOK", "CPU", "MEMORY", ""], &rows)
}

fn step_row(step: &StepSummary, now: Now) -> Vec<Cell> {
    let exit = match (step.exit_code, step.signal) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => String::new(),
    };
    let remark = step.error.as_deref().or(step.message.as_deref()).unwrap_or_default();
    let took = step.took(now.wall).map(taken);
    vec![
        Cell::plain(&step.step_id),
        Cell::step(step.state),
        Cell::figure(if step.attempt == 0 { String::new() } else { step.attempt.to_string() }),
        Cell::figure(exit),
        Cell::plain(step.started_at.map(clock_time).unwrap_or_default()),
        Cell::figure(took.unwrap_or_default()),
        Cell::figure(step.cpu_seconds.map(|s| span((s * 1000.0) as i64)).unwrap_or_default()),
        Cell::figure(step.peak_rss_bytes.map(size).unwrap_or_default()),
        Cell::plain(remark),
    ]
}

fn print_history(page: &mut Page, record: &RunRecord) -> Result<(), Failure> {
    if !record.earlier_attempts.is_empty() {
        page.line("\nearlier attempts")?;
        for step in &record.earlier_attempts {
            let why = step.error.as_deref().unwrap_or_default();
            let what = format!("  {} (attempt {}) {} {why}", step.step_id, step.attempt, step.state);
            page.line(printable(what.trim_end()))?;
        }
    }
    if !record.decisions.is_empty() {
        page.line("\nwhat recovery decided")?;
        for decision in &record.decisions {
            page.line(format_args!("  {}  {}", local_time(decision.at), printable(&decision.text)))?;
        }
    }
    Ok(())
}
