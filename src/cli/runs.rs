//! `leverframe runs`.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::exit::{Failure, Outcome};
use super::output::{Cell, Colour, Form, Page, ago, count, note, taken};
use super::{Place, Print};
use crate::api::exit_code::DONE;
use crate::base::id::PipelineId;
use crate::base::time::{Now, parse_instant, within_years};
use crate::base::units::parse_duration;
use crate::engine;
use crate::run::{RunState, RunSummary};
use crate::store::RunFilter;

/// The default number of rows on a terminal.
const ON_TERMINAL: usize = 50;

#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// Only runs in this state; several with commas.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = states())]
    state: Vec<String>,
    /// Only runs of this pipeline.
    #[arg(long, value_name = "ID")]
    pipeline: Option<PipelineId>,
    /// Only runs that started then or later: an instant, a date, or a time back such as 2h or 7d.
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// Only runs that started before then.
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// How many at most; default: all, on a terminal 50.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    print: Print,
}

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(RunState::ALL.iter().map(|state| state.as_str()))
}

pub(super) fn runs(args: RunsArgs, place: &Place) -> Outcome {
    let now = engine::now();
    let is_interactive = args.print.form() == Form::Text && args.limit.is_none() && Page::is_terminal();
    let filter = RunFilter {
        states: args.state.iter().filter_map(|state| RunState::parse(state)).collect(),
        pipeline: args.pipeline,
        since: args.since.as_deref().map(|text| moment(text, now.wall)).transpose()?,
        until: args.until.as_deref().map(|text| moment(text, now.wall)).transpose()?,
        limit: if is_interactive { Some(ON_TERMINAL + 1) } else { args.limit },
    };
    let records = place.records()?;
    let runs = records.runs(&filter, now)?;
    args.print.form().print(&runs, |page| {
        if runs.is_empty() {
            let is_new = !records.data_dir().join("checkpoints.db").exists();
            let hint =
                if is_new { "; `leverframe init` writes samples, `leverframe run` runs one" } else { "" };
            note(format_args!("there are no such runs in {}{hint}", records.data_dir().display()));
            return Ok(());
        }
        let is_cut = is_interactive && runs.len() > ON_TERMINAL;
        let n_shown = if is_cut { ON_TERMINAL } else { runs.len() };
        let rows: Vec<_> = runs[..n_shown].iter().map(|run| row(run, now)).collect();
        page.table(&["RUN", "PIPELINE", "STATE", "PROGRESS", "STEP", "STARTED", "TOOK", ""], &rows)?;
        page.flush()?;
        if is_cut {
            note(format_args!(
                "… and older ones; --limit N shows {}",
                count(2 * ON_TERMINAL, "row", "rows or more")
            ));
        }
        Ok(())
    })?;
    Ok(DONE)
}

fn row(run: &RunSummary, now: Now) -> Vec<Cell> {
    const LONGEST: usize = 80;
    let remark: String = match &run.error {
        Some(error) => error.chars().take(LONGEST).collect(),
        None if !run.state.is_ended() && !run.live => "no engine is running".to_owned(),
        None => String::new(),
    };
    // Without an engine it is not known whether the run still runs, and so its time is left out.
    let took = if run.state.is_ended() || run.live { taken(run.took(now.wall)) } else { String::new() };
    vec![
        Cell::plain(&run.run_id),
        Cell::plain(&run.pipeline_id),
        match run.held_for() {
            Some(_) => Cell::of(Colour::Held, "‖ held"),
            None => Cell::run(run.state),
        },
        Cell::figure(format!("{:.0} %", run.progress * 100.0)),
        Cell::plain(run.current_step.as_deref().unwrap_or_default()),
        Cell::plain(ago(run.started_at, now.wall)),
        Cell::figure(took),
        Cell::plain(remark),
    ]
}

/// Parses an instant, a date (its start), or a time back from now.
pub(super) fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    if let Ok(back) = parse_duration(text) {
        let back = TimeDelta::from_std(back).unwrap_or(TimeDelta::MAX);
        return Ok(within_years(now.checked_sub_signed(back).unwrap_or(DateTime::<Utc>::MIN_UTC)));
    }
    parse_instant(text).or_else(|_| parse_instant(&format!("{text}T00:00"))).map_err(|_| {
        Failure::usage(format!(
            "{text:?} is not a point in time; write an instant such as 2026-11-23T02:00:00Z, a date, or a time back such as 2h"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_instant_a_date_or_a_time_back() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        assert_eq!(moment("1h", now).unwrap(), now - TimeDelta::hours(1));
        assert_eq!(moment("2026-11-23T02:00:00Z", now).unwrap().timestamp(), 1_795_399_200);
        moment("2026-11-23", now).unwrap();
        moment("yesterday", now).expect_err("not that");
    }
}
