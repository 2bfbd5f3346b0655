//! `leverframe logs`.

use clap::Args;
use serde::Serialize;

use super::exit::{Failure, Outcome};
use super::output::{Colour, Form, Page, note};
use super::{Place, Print, no_such_run};
use crate::api::exit_code::{DONE, FAILED, NOT_FOUND};
use crate::base::id::{RunId, StepId};
use crate::engine;
use crate::logs::{LogChunk, LogReader};
use crate::records::{FollowEnd, Followed, LogSection, Records, RunFollower, RunRecord};
use crate::run::StepSummary;

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The run.
    run_id: RunId,
    /// Only the log of this step.
    #[arg(long, value_name = "STEP")]
    step: Option<StepId>,
    /// An earlier attempt instead of the last.
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    attempt: Option<u32>,
    /// Also print new lines, until the run ends.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    print: Print,
}

pub(super) fn logs(args: LogsArgs, place: &Place) -> Outcome {
    let records = place.records()?;
    let record =
        records.run(&args.run_id, engine::now())?.ok_or_else(|| no_such_run(&records, &args.run_id))?;
    if let Some(step) = &args.step
        && record.steps.iter().all(|known| known.step_id != *step)
    {
        let names: Vec<_> = record.steps.iter().map(|step| step.step_id.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let text = format!("run {} has no step {step}; its steps are {names}", args.run_id);
        return Err(Failure::new(NOT_FOUND, text));
    }
    let n_steps = if args.step.is_some() { 1 } else { record.steps.len() };
    let printer = Printer::new(args.print.form(), n_steps);
    if args.follow {
        follow(records, args.run_id, args.step, printer)
    } else {
        print_all(&records, &record, &args, printer)
    }
}

fn print_all(records: &Records, record: &RunRecord, args: &LogsArgs, mut printer: Printer) -> Outcome {
    let sections = records.logs(record, args.step.as_ref(), args.attempt);
    if let (true, Some(attempt)) = (sections.is_empty(), args.attempt) {
        let whose =
            args.step.as_ref().map_or_else(|| "of any step".to_owned(), |step| format!("of step {step}"));
        let text = format!("run {} has no attempt {attempt} {whose}", args.run_id);
        return Err(Failure::new(NOT_FOUND, text));
    }
    if sections.is_empty() {
        note(format_args!("run {} has no such log: nothing was started", args.run_id));
    }
    for section in &sections {
        match LogReader::open(&section.path) {
            Ok(reader) => {
                if reader.log_len()? == 0 && never_began(record, section).is_some() {
                    note(why_no_log(record, section));
                }
                let mut at = 0;
                while let Some(chunk) = reader.chunk_at(at)? {
                    at = printer.chunk(section, &chunk)?;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                note(why_no_log(record, section));
            }
            Err(error) => {
                let text = format!("the log {} can't be read: {error}", section.path.display());
                return Err(Failure::new(FAILED, text));
            }
        }
    }
    printer.end(DONE)
}

/// Retention removes all logs of a run together. So if their folder exists, a missing log was never written.
fn why_no_log(record: &RunRecord, section: &LogSection) -> String {
    let LogSection { step_id, attempt, path } = section;
    if !path.parent().is_some_and(std::path::Path::is_dir) {
        return format!("the log of step {step_id} (attempt {attempt}) is gone: retention removed it");
    }
    let why = error_of(record, section).map(|error| format!(": it {error}"));
    format!(
        "step {step_id} (attempt {attempt}) has no log, because it never began{}",
        why.unwrap_or_default()
    )
}

/// Why an attempt could not be started, if that is so.
fn never_began<'a>(record: &'a RunRecord, section: &LogSection) -> Option<&'a str> {
    error_of(record, section).filter(|error| error.starts_with("could not be started"))
}

fn error_of<'a>(record: &'a RunRecord, section: &LogSection) -> Option<&'a str> {
    let mut attempts = record.steps.iter().chain(&record.earlier_attempts);
    let is_this_attempt =
        |step: &&StepSummary| step.step_id == section.step_id && step.attempt == section.attempt;
    attempts.find(is_this_attempt)?.error.as_deref()
}

fn follow(records: Records, run_id: RunId, step: Option<StepId>, mut printer: Printer) -> Outcome {
    let mut follower = RunFollower::open(records, run_id.clone(), step).map_err(|error| {
        Failure::new(FAILED, format!("the logs of run {run_id} can't be followed: {error}"))
    })?;
    loop {
        match follower.wait()? {
            Followed::Chunk(section, chunk) => {
                printer.chunk(&section, &chunk)?;
                printer.page.flush()?;
            }
            Followed::End(FollowEnd::Ended(state)) => {
                note(format_args!("run {run_id} is {state}"));
                return printer.end(DONE);
            }
            Followed::End(FollowEnd::Abandoned(state)) => {
                note(format_args!(
                    "run {run_id} is recorded as {state}, but no engine is running and none of its steps is alive; `leverframe resume {run_id}` continues it"
                ));
                return printer.end(DONE);
            }
        }
    }
}

/// Prints chunks of several logs, with a heading where the log changes.
struct Printer {
    page: Page,
    form: Form,
    /// Whether there are several logs, so that each needs a heading.
    has_several: bool,
    last: Option<LogSection>,
    ended_line: bool,
}

/// A piece of a log, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    step_id: &'a StepId,
    attempt: u32,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_bytes: Option<u64>,
}

impl Printer {
    fn new(form: Form, n_steps: usize) -> Self {
        Self { page: Page::new(), form, has_several: n_steps > 1, last: None, ended_line: true }
    }

    /// Prints one chunk, and returns the offset of the next.
    fn chunk(&mut self, section: &LogSection, chunk: &LogChunk) -> Result<u64, Failure> {
        let (step_id, attempt) = (&section.step_id, section.attempt);
        let document =
            |offset, text, dropped_bytes| Document { step_id, attempt, offset, text, dropped_bytes };
        match (chunk, self.form) {
            (LogChunk::Bytes { offset, bytes }, Form::Text) => {
                self.head(section)?;
                self.page.bytes(bytes)?;
                self.ended_line = bytes.last() == Some(&b'\n');
                Ok(offset + bytes.len() as u64)
            }
            (LogChunk::Dropped { offset, n_bytes }, Form::Text) => {
                self.head(section)?;
                self.finish_line()?;
                let text = format!("… {n_bytes} bytes dropped …");
                let text = self.page.colours().paint(Colour::Faint, &text);
                self.page.line(text)?;
                Ok(offset + n_bytes)
            }
            (LogChunk::Bytes { offset, bytes }, Form::Json) => {
                let text = String::from_utf8_lossy(bytes);
                self.page.document_line(&document(*offset, Some(text), None))?;
                Ok(offset + bytes.len() as u64)
            }
            (LogChunk::Dropped { offset, n_bytes }, Form::Json) => {
                self.page.document_line(&document(*offset, None, Some(*n_bytes)))?;
                Ok(offset + n_bytes)
            }
            (LogChunk::Restarted, Form::Text | Form::Json) => {
                self.page.flush()?;
                note(format_args!("the log of step {step_id} was started again"));
                Ok(0)
            }
        }
    }

    fn head(&mut self, section: &LogSection) -> Result<(), Failure> {
        if self.has_several && self.last.as_ref() != Some(section) {
            self.finish_line()?;
            let text = format!("==> {} (attempt {}) <==", section.step_id, section.attempt);
            let text = self.page.colours().paint(Colour::Busy, &text);
            self.page.line(text)?;
        }
        self.last = Some(section.clone());
        Ok(())
    }

    fn finish_line(&mut self) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.ended_line, true) {
            self.page.line("")?;
        }
        Ok(())
    }

    fn end(mut self, code: u8) -> Outcome {
        if Page::is_terminal() {
            self.finish_line()?;
        }
        self.page.end(code)
    }
}
