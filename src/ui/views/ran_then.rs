//! What ran at a moment, of all runs whatever is selected, and what it used.

use chrono::{DateTime, TimeDelta, Utc};

use super::View;
use crate::base::id::{AttemptKey, StepId};
use crate::run::{RunState, StepState};
use crate::ui::format;
use crate::window::{AppStore, MAX_RECENT, RunEntry};

/// The most steps that are named.
const MAX_NAMED: usize = 4;

/// What is said of a moment, and the attempts that may have logged something then.
pub(super) struct Then {
    /// The first is its heading.
    pub(super) lines: Vec<String>,
    pub(super) keys: Vec<AttemptKey>,
}

/// From when to when, its label, and the state of the step; none for a freeze of the run.
pub(super) type Span<'a> = (DateTime<Utc>, DateTime<Utc>, &'a str, Option<StepState>);

/// A run's spans.
pub(super) fn spans(entry: &RunEntry, now: DateTime<Utc>) -> Vec<Span<'_>> {
    let mut spans: Vec<_> = entry
        .steps()
        .iter()
        .chain(&entry.earlier)
        .filter_map(|step| {
            let from = step.started_at?;
            Some((from, step.finished_at.unwrap_or(now), step.step_id.as_str(), Some(step.state)))
        })
        .collect();
    // If a program drives the run, or it ended before this window opened, it is one span.
    if spans.is_empty() && !entry.is_waiting() {
        let until = entry.run.finished_at.unwrap_or(now);
        spans.push((entry.run.started_at, until, "", Some(as_step(entry.run.state))));
    }
    spans.sort_by_key(|span| span.0);
    let current = entry.run.frozen_since.map(|since| (since, now));
    spans.extend(entry.freezes.iter().copied().chain(current).map(|(from, to)| (from, to, "frozen", None)));
    spans
}

/// The step state with the same look as this run state.
const fn as_step(state: RunState) -> StepState {
    match state {
        RunState::Queued => StepState::Waiting,
        RunState::Running | RunState::Paused | RunState::Stopping => StepState::Running,
        RunState::Stopped | RunState::ForceStopped => StepState::Stopped,
        RunState::Completed => StepState::Completed,
        RunState::Failed => StepState::Failed,
        RunState::Interrupted => StepState::Interrupted,
    }
}

/// Whether steps may have run at a moment that the window does not know about. Of ended runs it keeps only the newest,
/// and of a step's attempts the last and those that it has seen.
fn is_forgotten(at: DateTime<Utc>, store: &AppStore) -> bool {
    let is_full = store.recent().len() >= MAX_RECENT;
    let began_anew = |entry: &RunEntry| {
        let mut later = entry.steps().iter().filter(|step| step.attempt > 1);
        entry.run.started_at <= at && later.any(|step| step.started_at.is_some_and(|from| from > at))
    };
    (is_full && store.recent().last().is_some_and(|oldest| oldest.ended_at() > at))
        || store.living().chain(store.recent()).any(began_anew)
}

/// The attempts of `entry` that ran at `at`.
pub(super) fn attempts_at(entry: &RunEntry, at: DateTime<Utc>) -> Vec<AttemptKey> {
    entry.steps().iter().filter_map(|step| attempt_at(entry, step.step_id.as_str(), at)).collect()
}

/// The attempt of a step of `entry` that ran at `at`.
pub(super) fn attempt_at(entry: &RunEntry, step_id: &str, at: DateTime<Utc>) -> Option<AttemptKey> {
    // Instants of the record are exact, and the line stands at whole seconds.
    let end = at + TimeDelta::seconds(1);
    let ran = entry.steps().iter().chain(&entry.earlier).filter(|step| {
        step.step_id.as_str() == step_id
            && step.started_at.is_some_and(|from| from <= end)
            && step.finished_at.is_none_or(|until| at <= until)
    });
    ran.max_by_key(|step| step.attempt).map(|step| key_of(entry, &step.step_id, step.attempt))
}

fn key_of(entry: &RunEntry, step_id: &StepId, attempt: u32) -> AttemptKey {
    AttemptKey { run_id: entry.run.run_id.clone(), step_id: step_id.clone(), attempt }
}

/// What ran at `at`, with what it used where that was measured. `heading` begins the first line.
pub(super) fn then(view: View<'_>, at: DateTime<Utc>, heading: String) -> Then {
    let store = view.store;
    let measured = store.time().moment(at).map_or(&[][..], |moment| &moment.steps);
    let mut keys: Vec<AttemptKey> = Vec::new();
    let mut named: Vec<(String, bool)> = Vec::new();
    let used = |key: &AttemptKey| {
        let it = measured.iter().find(|it| it.key == *key)?;
        Some(format!(" {} · {}", format::percent(it.cpu_fraction), format::bytes(it.memory_bytes)))
    };
    let ended = store.recent().take_while(|entry| entry.ended_at() >= at);
    for entry in store.living().chain(ended) {
        let pipeline = &entry.run.pipeline_id;
        let mut current = spans(entry, view.now);
        // The line stands at whole seconds, and means all of its second.
        current.retain(|(from, to, ..)| *from < at + TimeDelta::seconds(1) && at <= *to);
        let is_frozen = current.iter().any(|(.., state)| state.is_none());
        for (_, _, text, state) in current {
            let key = attempt_at(entry, text, at).filter(|_| state.is_some());
            let figures = key.as_ref().and_then(used).unwrap_or_default();
            keys.extend(key);
            match state {
                None => named.push((format!("{pipeline} frozen"), false)),
                Some(_) if is_frozen => {}
                Some(_) if text.is_empty() => named.push((pipeline.to_string(), false)),
                Some(_) => named.push((format!("{pipeline}/{text}{figures}"), !figures.is_empty())),
            }
        }
    }
    // Of runs that this window does not keep.
    for it in measured.iter().filter(|it| !keys.contains(&it.key)) {
        let of =
            store.run(&it.key.run_id).map_or(it.key.run_id.as_str(), |entry| entry.run.pipeline_id.as_str());
        let figures = used(&it.key).unwrap_or_default();
        let is_named = |(name, _): &(String, bool)| name == of || name.starts_with(&format!("{of} frozen"));
        if !named.iter().any(is_named) {
            named.push((format!("{of}/{}{figures}", it.key.step_id), true));
        }
    }
    // What is known to have used something stands first.
    named.sort_by_key(|(_, is_measured)| !is_measured);
    keys.extend(measured.iter().map(|it| it.key.clone()));
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    let n_more = named.len().saturating_sub(MAX_NAMED);
    let mut lines = vec![heading];
    if named.is_empty() {
        let text =
            if is_forgotten(at, store) { "the steps of that time are not kept here" } else { "no step ran" };
        lines.push(text.to_owned());
    }
    lines.extend(named.into_iter().take(MAX_NAMED).map(|(text, _)| text));
    if n_more > 0 {
        lines.push(format!("and {n_more} more"));
    }
    Then { lines, keys }
}
