//! What a step may say while it runs: one JSON object a line. Pure: bytes in, a [`ReportLine`] with its
//! faults out, and many lines folded into one [`ReportBatch`].
//!
//! Nothing a step writes is an error here: what can't be taken becomes a warning, and the rest is taken.
//! Reading the file and following it is the business of `logs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::base::id::AttemptKey;

/// The longest line that is taken in, in bytes, without its newline.
pub const MAX_REPORT_LINE: usize = 1 << 20;
/// The most bytes of output lines that one batch takes in; what comes over it is dropped with a warning.
const MAX_BATCH_OUTPUT_BYTES: usize = 4 << 20;
/// The most metrics, by name, that one batch takes in.
const MAX_BATCH_METRICS: usize = 256;
/// The longest message, in characters; a longer one is cut.
const MAX_MESSAGE_CHARS: usize = 1000;
/// The longest name of a metric, in bytes.
const MAX_METRIC_NAME: usize = 128;

const KEYS: [&str; 5] = ["progress", "message", "checkpoint", "output", "metric"];

/// One line of a report. Written by `leverframe report`, by steps themselves, and read by the engine.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReportLine {
    /// 0 to 1 within the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What the step is at, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Replaces the step's last checkpoint. Any JSON, kept as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<RawValue>>,
    /// Merged into the step's outputs.
    #[serde(rename = "output", skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
    /// Numbers at this moment, by name.
    #[serde(rename = "metric", skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// In which way a report was odd. One warning a kind and attempt reaches the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportFaultKind {
    /// The line is no JSON object.
    NotAnObject,
    /// The line is longer than [`MAX_REPORT_LINE`].
    TooLong,
    /// The line is not UTF-8.
    NotUtf8,
    /// A key that a report does not have.
    UnknownKey,
    /// A known key with a value that it can't have.
    BadValue,
    /// More outputs or metrics in one go than are taken in.
    TooMuch,
    /// The report file became shorter or was replaced.
    Restarted,
    /// The report file can't be read.
    Unreadable,
    /// The report file can't be followed: it is read when the step ends.
    NotFollowed,
}

/// One thing that was odd, not yet placed in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFault {
    /// In which way.
    pub kind: ReportFaultKind,
    /// Why, as the end of a sentence that begins with the place.
    pub why: String,
}

/// A warning for the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportWarning {
    /// In which way the report was odd.
    pub kind: ReportFaultKind,
    /// One sentence for the operator.
    pub text: String,
}

/// Everything that was read in one go, folded together: whole new values.
///
/// Take it if `from_offset` is the offset that the step's ledger holds, and record `new_offset` with what it
/// says; any other batch was overtaken (the attempt has ended) and is thrown away.
#[derive(Debug, Clone)]
pub struct ReportBatch {
    /// Whose.
    pub key: AttemptKey,
    /// Where in the file reading began.
    pub from_offset: u64,
    /// Where reading goes on once this is recorded.
    pub new_offset: u64,
    /// The last progress, 0 to 1.
    pub progress: Option<f64>,
    /// The last message.
    pub message: Option<Arc<str>>,
    /// The last checkpoint, as JSON text.
    pub checkpoint: Option<Arc<str>>,
    /// All outputs, later ones over earlier ones.
    pub outputs: Map<String, Value>,
    /// The last number of each metric.
    pub metrics: BTreeMap<String, f64>,
    /// What was odd for the first time in this attempt.
    pub warnings: Vec<ReportWarning>,
    /// Bytes of the lines that `outputs` came from.
    output_bytes: usize,
}

impl ReportBatch {
    /// A batch that says nothing yet.
    pub fn new(key: AttemptKey, offset: u64) -> Self {
        Self {
            key,
            from_offset: offset,
            new_offset: offset,
            progress: None,
            message: None,
            checkpoint: None,
            outputs: Map::new(),
            metrics: BTreeMap::new(),
            warnings: Vec::new(),
            output_bytes: 0,
        }
    }

    /// Whether there is nothing in it to record, not even an offset.
    pub fn is_empty(&self) -> bool {
        // The offset alone does not tell: a file that was replaced may end where the old one did.
        self.from_offset == self.new_offset
            && self.progress.is_none()
            && self.message.is_none()
            && self.checkpoint.is_none()
            && self.outputs.is_empty()
            && self.metrics.is_empty()
            && self.warnings.is_empty()
    }

    /// Folds in what one line of `n_bytes` said, and returns what could not be taken for want of room.
    pub fn take(&mut self, line: ReportLine, n_bytes: usize) -> Option<ReportFault> {
        let ReportLine { progress, message, checkpoint, outputs, metrics } = line;
        self.progress = progress.or(self.progress);
        if let Some(message) = message {
            self.message = Some(message.into());
        }
        if let Some(checkpoint) = checkpoint {
            self.checkpoint = Some(checkpoint.get().into());
        }
        let mut fault = None;
        if !outputs.is_empty() {
            if self.output_bytes + n_bytes <= MAX_BATCH_OUTPUT_BYTES {
                self.output_bytes += n_bytes;
                self.outputs.extend(outputs);
            } else {
                let mib = MAX_BATCH_OUTPUT_BYTES >> 20;
                fault = too_much(format!("has more than {mib} MiB of outputs at once; it was left out"));
            }
        }
        for (name, value) in metrics {
            if self.metrics.len() < MAX_BATCH_METRICS || self.metrics.contains_key(&name) {
                self.metrics.insert(name, value);
            } else {
                fault = too_much(format!(
                    "has more than {MAX_BATCH_METRICS} metrics at once; the rest was left out"
                ));
            }
        }
        fault
    }
}

fn too_much(why: String) -> Option<ReportFault> {
    Some(ReportFault { kind: ReportFaultKind::TooMuch, why })
}

/// Reads one line, without its newline. What is good in it is taken, and everything odd is named. An empty
/// line says nothing and is no fault.
pub fn parse_report_line(bytes: &[u8]) -> (ReportLine, Vec<ReportFault>) {
    let mut line = ReportLine::default();
    let whole = |kind, why: String| (ReportLine::default(), vec![ReportFault { kind, why }]);
    if bytes.len() > MAX_REPORT_LINE {
        return whole(ReportFaultKind::TooLong, "is longer than 1 MiB; it was ignored".to_owned());
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return whole(ReportFaultKind::NotUtf8, "is not UTF-8; it was ignored".to_owned());
    };
    if text.trim_ascii().is_empty() {
        return (line, Vec::new());
    }
    let entries = match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        Ok(entries) => entries,
        Err(error) => {
            return whole(
                ReportFaultKind::NotAnObject,
                format!("is not a JSON object ({error}): {:?}; it was ignored", excerpt(text)),
            );
        }
    };
    let mut faults = Vec::new();
    for (key, raw) in entries {
        if let Err((kind, why)) = take_entry(&mut line, &key, raw) {
            faults.push(ReportFault { kind, why });
        }
    }
    (line, faults)
}

fn take_entry(line: &mut ReportLine, key: &str, raw: &RawValue) -> Result<(), (ReportFaultKind, String)> {
    let bad = |what: &str| {
        let why = format!("has {key:?}: {}, but {key} must be {what}; it was left out", excerpt(raw.get()));
        (ReportFaultKind::BadValue, why)
    };
    // Checked even where the text is kept: what is recorded must be readable later.
    let value: Value = serde_json::from_str(raw.get()).map_err(|_| bad("JSON that can be read back"))?;
    match key {
        "progress" => line.progress = Some(progress(&value).ok_or_else(|| bad("a number from 0 to 1"))?),
        "message" => line.message = Some(cut(value.as_str().ok_or_else(|| bad("a text"))?)),
        "checkpoint" => line.checkpoint = Some(raw.to_owned()),
        "output" => match value {
            Value::Object(outputs) => line.outputs = outputs,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(bad("an object of names and values"));
            }
        },
        "metric" => line.metrics = metrics(&value).ok_or_else(|| bad("an object of names and numbers"))?,
        _ => {
            let why = format!("has the unknown key {:?}{}", excerpt(key), hint(key));
            return Err((ReportFaultKind::UnknownKey, why));
        }
    }
    Ok(())
}

/// A progress may miss its bounds by what adding fractions up costs, and no more.
fn progress(value: &Value) -> Option<f64> {
    const SLACK: f64 = 1e-6;
    value.as_f64().filter(|p| (-SLACK..=1.0 + SLACK).contains(p)).map(|p| p.clamp(0.0, 1.0))
}

fn metrics(value: &Value) -> Option<BTreeMap<String, f64>> {
    value
        .as_object()?
        .iter()
        .map(|(name, value)| {
            let number = value.as_f64().filter(|n| n.is_finite() && name.len() <= MAX_METRIC_NAME)?;
            Some((name.clone(), number))
        })
        .collect()
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn hint(key: &str) -> String {
    let nearest = KEYS.iter().map(|known| (distance(key, known), known)).min();
    match nearest {
        Some((n_edits, known)) if n_edits <= 3 && n_edits < known.len() => {
            format!("; did you mean {known:?}?")
        }
        Some(_) | None => format!("; the keys of a report are {}", KEYS.join(", ")),
    }
}

/// Insertions, deletions and replacements from one short text to another; more than 32 bytes are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 32 {
        return usize::MAX;
    }
    let (a, b) = (a.to_ascii_lowercase(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
