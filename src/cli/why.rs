//! `leverframe why`: why a run is as it is, and what to do about it.

use clap::Args;

use super::exit::{Failure, Outcome};
use super::output::{Colour, Page, printable, run_sign};
use super::{Place, Print, no_such_run};
use crate::api::ExplainRun;
use crate::api::exit_code::DONE;
use crate::base::id::RunId;
use crate::control::Connection;
use crate::engine;
use crate::records::WhyAnswer;
use crate::run::Why;

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The run.
    run_id: RunId,
    #[command(flatten)]
    print: Print,
}

pub(super) fn why(args: &WhyArgs, place: &Place) -> Outcome {
    let records = place.records()?;
    if records.stored(&args.run_id)?.is_none() {
        return Err(no_such_run(&records, &args.run_id));
    }
    let answer = match Connection::open(&place.path()?)? {
        Some(connection) => Some(connection.ask(&ExplainRun { run_id: args.run_id.clone() })?),
        None => records.why(&args.run_id, engine::now())?,
    };
    let answer = answer.ok_or_else(|| no_such_run(&records, &args.run_id))?;
    args.print.form().print(&answer, |page| show(&answer, page))?;
    Ok(DONE)
}

fn show(answer: &WhyAnswer, page: &mut Page) -> Result<(), Failure> {
    let run = &answer.run;
    let (colour, glyph) = run_sign(run.state);
    let state = page.colours().paint(colour, &format!("{glyph} {}", run.state));
    page.line(format_args!("{}  {state}", run.run_id))?;
    for why in &answer.answers {
        show_one(why, page)?;
    }
    for slower in &answer.slower {
        page.line(format_args!("  slower: {}", printable(slower)))?;
    }
    Ok(())
}

fn show_one(why: &Why, page: &mut Page) -> Result<(), Failure> {
    let whose = why.step_id.as_ref().map(|step_id| format!("{step_id}: ")).unwrap_or_default();
    page.line(format_args!("  {whose}{}", printable(&why.text)))?;
    let Some(remedy) = &why.remedy else { return Ok(()) };
    let text = match &remedy.command {
        Some(command) => format!("    `{command}` to {}", remedy.text),
        None => format!("    {}", remedy.text),
    };
    let text = page.colours().paint(Colour::Faint, &printable(&text));
    page.line(text)
}
