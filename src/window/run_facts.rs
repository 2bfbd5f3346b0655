//! What the page of a run shows beside the run and its steps: read from the database when the page is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::base::id::{RunId, StepId};
use crate::base::time::Now;
use crate::records::{Records, definition_of};
use crate::resources::Spread;
use crate::run::{Decision, FiredBy, StepSummary};
use crate::store::{StoreError, StoredBody, StoredRun};

/// Bytes of one text that are kept: of a definition, a checkpoint, an output.
const MAX_TEXT: usize = 64 * 1024;
/// Earlier attempts, checkpoints and outputs that are kept, of each kind.
const MAX_ROWS: usize = 2000;

/// The facts of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFacts {
    /// Its parameters by name, without secrets.
    pub params: Arc<BTreeMap<String, String>>,
    /// The job that it is a run of.
    pub fired_by: Option<Arc<FiredBy>>,
    /// Attempts of steps before the present ones, by step and attempt.
    pub earlier: Vec<StepSummary>,
    /// The definition that it started with.
    pub definition: Option<DefinitionText>,
    /// The steps of its definition, with those that each needs. Empty if it has none that can be read.
    pub needs: Vec<StepNeeds>,
    /// The names of environment variables that its definition sets; never their values.
    pub env_names: Vec<String>,
    /// The last checkpoint of each step, oldest first.
    pub checkpoints: Vec<CheckpointText>,
    /// What steps have handed on, in the order of the steps.
    pub outputs: Vec<OutputText>,
    /// What recovery has decided about it, oldest first.
    pub decisions: Vec<Decision>,
    /// How long it usually takes.
    pub usual: Arc<Usual>,
}

/// How long the newest other runs of the pipeline took, as far as they completed: medians.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usual {
    /// The run.
    pub run: Option<TimeDelta>,
    /// Its steps.
    pub steps: BTreeMap<StepId, TimeDelta>,
}

/// How many runs tell what is usual.
const N_USUAL: usize = 20;

/// Reads how long a run of the same pipeline usually takes.
pub(crate) fn usual_of(records: &Records, run_id: &RunId, now: Now) -> Result<Usual, StoreError> {
    let Some(stored) = records.stored(run_id)? else { return Ok(Usual::default()) };
    let stats = records.stats_but(&stored.summary.pipeline_id, N_USUAL, Some(run_id), now)?;
    let Some(stats) = stats else { return Ok(Usual::default()) };
    let median = |spread: Spread| TimeDelta::milliseconds((spread.median * 1000.0) as i64);
    let steps = stats.steps.into_iter();
    Ok(Usual {
        run: stats.duration_seconds.map(median),
        steps: steps.filter_map(|step| Some((step.step_id, median(step.duration_seconds?)))).collect(),
    })
}

/// The definition of a run as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionText {
    /// The file from which it was read.
    pub path: Arc<str>,
    /// Its text; cut if it is very long.
    pub text: String,
}

/// A step and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepNeeds {
    pub step_id: StepId,
    /// Indices of the steps that must have ended first.
    pub needs: Vec<usize>,
}

/// A checkpoint as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointText {
    /// The step's name. A script may have written any text.
    pub step_id: String,
    pub at: DateTime<Utc>,
    /// Its data as indented JSON; cut if it is very long.
    pub text: String,
    /// The same as a tree, unless it is very long.
    pub tree: Option<Value>,
}

/// One value that a step has handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputText {
    pub step_id: StepId,
    pub name: String,
    pub value: String,
}

/// Reads the facts of a run; none when there is no such run.
pub(crate) fn run_facts(records: &Records, run_id: &RunId, now: Now) -> Result<Option<RunFacts>, StoreError> {
    let (Some(stored), Some(record)) = (records.stored(run_id)?, records.run(run_id, now)?) else {
        return Ok(None);
    };
    let (needs, env_names) = graph_of(&stored);
    let definition = match &stored.body {
        StoredBody::Pipeline(definition) => {
            Some(DefinitionText { path: definition.path.clone(), text: cut(definition.text.to_string()) })
        }
        StoredBody::Driven | StoredBody::Unknown => None,
    };
    let checkpoints = records.checkpoints(run_id)?.into_iter().take(MAX_ROWS);
    let checkpoints = checkpoints.map(|checkpoint| {
        let text = format!("{:#}", checkpoint.data);
        CheckpointText {
            step_id: checkpoint.step_id,
            at: checkpoint.created_at,
            tree: (text.len() <= MAX_TEXT).then(|| checkpoint.data.clone()),
            text: cut(text),
        }
    });
    let mut earlier = record.earlier_attempts;
    earlier.truncate(MAX_ROWS);
    Ok(Some(RunFacts {
        params: stored.params.clone(),
        fired_by: stored.ledger.fired_by.clone(),
        earlier,
        definition,
        needs,
        env_names,
        checkpoints: checkpoints.collect(),
        outputs: outputs_of(&stored),
        decisions: record.decisions,
        usual: Arc::default(),
    }))
}

/// The graph of the steps, and the names of environment variables. A definition that no longer parses has neither; its
/// text is shown all the same.
fn graph_of(stored: &StoredRun) -> (Vec<StepNeeds>, Vec<String>) {
    let Ok(definition) = definition_of(stored) else { return Default::default() };
    let pipeline = &definition.pipeline;
    let mut names: BTreeSet<&String> = pipeline.env.keys().collect();
    names.extend(pipeline.steps.iter().flat_map(|step| step.env.keys()));
    let needs = pipeline
        .steps
        .iter()
        .map(|step| StepNeeds { step_id: step.id.clone(), needs: step.needs.clone() })
        .collect();
    (needs, names.into_iter().cloned().collect())
}

fn outputs_of(stored: &StoredRun) -> Vec<OutputText> {
    let mut outputs = Vec::new();
    for step in &stored.steps {
        let Some(text) = &step.outputs else { continue };
        let Ok(Value::Object(values)) = serde_json::from_str(text) else { continue };
        for (name, value) in values {
            let value = if let Value::String(text) = value { text } else { value.to_string() };
            outputs.push(OutputText { step_id: step.id.clone(), name, value: cut(value) });
        }
    }
    outputs.truncate(MAX_ROWS);
    outputs
}

/// The text up to [`MAX_TEXT`], with a word about what is left out.
fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let n_left = text.len();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text += &format!("\n… and {} more bytes", n_left - text.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_very_long_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("short".to_owned()), "short");
        let long = cut("ä".repeat(MAX_TEXT));
        assert!(long.starts_with("ää") && long.ends_with(&format!("… and {MAX_TEXT} more bytes")));
        let odd = cut(format!("x{}", "ä".repeat(MAX_TEXT)));
        assert!(odd.ends_with(&format!("… and {} more bytes", MAX_TEXT + 2)), "{}", &odd[odd.len() - 40..]);
    }
}
