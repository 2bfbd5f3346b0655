//! Two runs side by side: durations, memory, parameters, definition, and the first line of each log that differs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use crate::base::id::{RunId, StepId};
use crate::base::time::Now;
use crate::files;
use crate::logs::plain_line;
use crate::pipeline::differences;
use crate::records::{Records, RunRecord, definition_of};
use crate::run::{RunSummary, StepSummary};
use crate::store::StoreError;

/// The most bytes of two logs that are compared.
const MAX_LOG: u64 = 64 << 20;
/// The most bytes of a line that are compared.
const MAX_LINE: u64 = 64 << 10;
/// The most characters of a line that are shown.
const MAX_SHOWN: usize = 400;

/// Two values of the same thing; none where a run does not have it.
pub type Pair<T> = (Option<T>, Option<T>);

/// What two runs have in common and what not.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub runs: (RunSummary, RunSummary),
    /// The steps in the order of the first run, those of the second alone last.
    pub steps: Vec<StepPair>,
    /// The parameters that differ.
    pub params: Vec<(String, Pair<String>)>,
    /// How the definition of the first differs from that of the second, one sentence each; or why that is not known.
    pub definition: Result<Vec<String>, String>,
}

/// A step in both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPair {
    pub step_id: StepId,
    pub steps: Pair<StepSummary>,
    /// The first line of the last attempts' logs that differs; times in them are not compared.
    pub log: Option<LogDifference>,
}

/// Two lines with the same number that are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDifference {
    /// From 0.
    pub line: u64,
    /// None where the log has ended.
    pub texts: Pair<String>,
}

impl Comparison {
    /// Compares two runs; none when one of them is gone.
    pub(crate) fn read(
        records: &Records,
        (of, with): (&RunId, &RunId),
        now: Now,
    ) -> Result<Option<Self>, StoreError> {
        let (Some(a), Some(b)) = (records.run(of, now)?, records.run(with, now)?) else { return Ok(None) };
        let mut ids: Vec<StepId> = a.steps.iter().map(|step| step.step_id.clone()).collect();
        let added = b.steps.iter().map(|step| &step.step_id).filter(|id| !ids.contains(id));
        let added: Vec<_> = added.cloned().collect();
        ids.extend(added);
        let steps = ids.into_iter().map(|id| step_pair(records, (&a, &b), id)).collect();
        let definition = match (records.stored(of)?, records.stored(with)?) {
            (Some(a), Some(b)) => match (definition_of(&a), definition_of(&b)) {
                (Ok(a), Ok(b)) => Ok(differences(&b.pipeline, &a.pipeline)),
                (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
            },
            (None, _) | (_, None) => return Ok(None),
        };
        let params = differing(&a.params, &b.params);
        Ok(Some(Self { runs: (a.run, b.run), steps, params, definition }))
    }
}

fn step_pair(records: &Records, (a, b): (&RunRecord, &RunRecord), step_id: StepId) -> StepPair {
    let of = |record: &RunRecord| record.steps.iter().find(|step| step.step_id == step_id).cloned();
    let (left, right) = (of(a), of(b));
    let log_of = |record: &RunRecord, step: &Option<StepSummary>| {
        let attempt = step.as_ref()?.attempt;
        let path = records.log_of(&record.run.run_id, &step_id, attempt).path;
        files::open_to_read(&path).ok()
    };
    let log = match (log_of(a, &left), log_of(b, &right)) {
        // A log that can't be read any more is as one that is not there.
        (Some(left), Some(right)) => first_difference(left, right).ok().flatten(),
        (Some(_) | None, None) | (None, Some(_)) => None,
    };
    StepPair { step_id, steps: (left, right), log }
}

fn differing(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<(String, Pair<String>)> {
    let added = b.keys().filter(|name| !a.contains_key(*name));
    let pair = |name: &String| (name.clone(), (a.get(name).cloned(), b.get(name).cloned()));
    a.keys().chain(added).map(pair).filter(|(_, (a, b))| a != b).collect()
}

/// The first line that differs, apart from times.
fn first_difference(a: File, b: File) -> io::Result<Option<LogDifference>> {
    let (mut a, mut b) = (BufReader::new(a).take(MAX_LOG), BufReader::new(b).take(MAX_LOG));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for line in 0.. {
        let n_read = (next_line(&mut a, &mut left)?, next_line(&mut b, &mut right)?);
        if n_read == (0, 0) {
            break;
        }
        let (left, right) = (shown(&left, n_read.0), shown(&right, n_read.1));
        if left.as_deref().map(without_times) != right.as_deref().map(without_times) {
            let cut = |text: Option<String>| text.map(|text| text.chars().take(MAX_SHOWN).collect());
            return Ok(Some(LogDifference { line, texts: (cut(left), cut(right)) }));
        }
    }
    Ok(None)
}

fn next_line(log: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    log.take(MAX_LINE).read_until(b'\n', line)
}

fn shown(line: &[u8], n_read: usize) -> Option<String> {
    (n_read > 0).then(|| plain_line(String::from_utf8_lossy(line).trim_end_matches('\n')))
}

/// The line with a mark in the place of each date and time of day.
fn without_times(line: &str) -> String {
    let is_edge = |c: char| c.is_whitespace() || "[](){}\"'=,".contains(c);
    let words = line.split_inclusive(is_edge);
    words
        .map(|word| {
            let bare = word.trim_end_matches(is_edge);
            let is_time = bare.starts_with(|c: char| c.is_ascii_digit())
                && bare.chars().all(|c| c.is_ascii_digit() || ":-.TZ+/".contains(c))
                && (bare.contains(':') || bare.matches(['-', '/']).count() == 2);
            if is_time { "⌚" } else { word }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn compared(a: &Path, b: &Path) -> Option<LogDifference> {
        first_difference(File::open(a).unwrap(), File::open(b).unwrap()).unwrap()
    }

    #[test]
    fn the_first_line_that_says_something_else_is_found_whatever_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let a = write("a", "2026-11-23T14:02:00Z begin\n[14:02:01.5] 84 rows\nend\n");
        let b = write("b", "2026-11-24T02:00:00Z begin\n[02:00:07.1] 84 rows\nend\n");
        assert_eq!(compared(&a, &b), None);
        let c = write("c", "2026-11-24T02:00:00Z begin\n[02:00:07.1] 85 rows\n");
        let found = compared(&a, &c).unwrap();
        assert_eq!(found.line, 1);
        assert_eq!(found.texts.0.as_deref(), Some("[14:02:01.5] 84 rows"));
        let d = write("d", "2026-11-24T02:00:00Z begin\n");
        let found = compared(&d, &a).unwrap();
        assert_eq!((found.line, found.texts.0), (1, None));
        let long = write("e", &"x".repeat(200 << 10));
        assert_eq!(compared(&long, &long), None);
    }

    #[test]
    fn only_parameters_that_differ_are_named() {
        let params = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (a, b) =
            (params(&[("day", "1"), ("type", "x")]), params(&[("day", "2"), ("type", "x"), ("n", "3")]));
        let expected = vec![
            ("day".to_owned(), (Some("1".to_owned()), Some("2".to_owned()))),
            ("n".to_owned(), (None, Some("3".to_owned()))),
        ];
        assert_eq!(differing(&a, &b), expected);
    }
}
