//! The end of a failed step's log, for the operator.

use std::path::Path;

use super::super::output::note;
use crate::base::id::StepId;
use crate::logs::{LogLine, LogReader};

/// How many lines of a failed step's log are shown.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 64 << 10;

/// Prints the last lines of a failed step's log to standard error.
pub(super) fn print(step: &StepId, attempt: u32, log: &Path) {
    let tail = LogReader::open(log).and_then(|log| log.tail(TAIL_LINES, TAIL_BYTES));
    match tail {
        Ok(tail) if tail.lines.is_empty() => {}
        Ok(tail) => {
            note(format_args!("── last lines of step {step} (attempt {attempt}), {}", log.display()));
            for line in &tail.lines {
                match line {
                    LogLine::Text { text, .. } => note(text),
                    LogLine::Dropped { n_bytes, .. } => note(format_args!("… {n_bytes} bytes dropped …")),
                }
            }
        }
        // The step never began, which was shown before.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => note(format_args!("the log of step {step} can't be read: {error}")),
    }
}
