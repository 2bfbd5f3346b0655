//! The outline of a page: every graph and plot of it as a tree.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::super::command::{Command, Page};
use super::super::outline::Node;
use super::View;
use crate::resources::MachineSample;
use crate::run::StepSummary;
use crate::ui::{format, spoken};
use crate::window::{RunEntry, StepNeeds};

/// The tree of the open page.
pub(super) fn outline(view: View<'_>) -> Vec<Node> {
    let mut nodes = Vec::new();
    match view.state.page {
        Page::Run => nodes.extend(view.store.selected().map(|entry| run_node(view, entry))),
        Page::History => nodes.extend(trend_node(view)),
        Page::Now | Page::Pipelines | Page::Schedule | Page::Machine | Page::Away | Page::Settings => {}
    }
    if view.state.page != Page::Run {
        let living = view.store.living().map(|entry| run_node(view, entry));
        let text = format!("{} alive", format::count(view.store.living().len(), "run"));
        nodes.push(Node::new(text).with(living));
    }
    nodes.extend(machine_nodes(view));
    nodes
}

/// A figure of the machine: how it is called, its value in a sample, and how that is written.
type Figure = (&'static str, fn(&MachineSample) -> f64, fn(f64) -> String);

const FIGURES: [Figure; 6] = [
    ("CPU", |sample| sample.cpu_fraction, format::percent),
    ("Memory", memory_share, format::percent),
    ("Disk read", |sample| sample.disk_read_rate, spoken::rate),
    ("Disk written", |sample| sample.disk_write_rate, spoken::rate),
    ("Network received", |sample| sample.network_receive_rate, spoken::rate),
    ("Network sent", |sample| sample.network_send_rate, spoken::rate),
];

fn memory_share(sample: &MachineSample) -> f64 {
    sample.memory_used_bytes as f64 / sample.memory_total_bytes.max(1) as f64
}

/// The machine's curves of the last minutes, each minute an entry.
fn machine_nodes(view: View<'_>) -> Vec<Node> {
    let samples = view.store.machine();
    FIGURES
        .into_iter()
        .map(|(name, value, write)| {
            let points = || samples.iter().map(|sample| (sample.at, value(sample)));
            Node::new(spoken::series(name, points(), write, view.now)).with(minutes(
                points(),
                write,
                view.now,
            ))
        })
        .collect()
}

/// A curve by the minute, the newest first.
fn minutes(
    points: impl Iterator<Item = (DateTime<Utc>, f64)>,
    write: fn(f64) -> String,
    now: DateTime<Utc>,
) -> Vec<Node> {
    let mut minutes: Vec<(DateTime<Utc>, Vec<f64>)> = Vec::new();
    for (at, value) in points {
        let minute = at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at);
        match minutes.last_mut() {
            Some((last, values)) if *last == minute => values.push(value),
            Some(_) | None => minutes.push((minute, vec![value])),
        }
    }
    let texts = minutes.into_iter().rev().map(|(minute, values)| {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let most = values.iter().copied().fold(0.0, f64::max);
        format!("{}: {} on average, at most {}", format::when(minute, now), write(mean), write(most))
    });
    texts.map(Node::new).collect()
}

/// A run with its steps: as the tree of its graph where that is known, else in their order.
fn run_node(view: View<'_>, entry: &RunEntry) -> Node {
    let run = &entry.run;
    let progress = format::percent(run.progress);
    let took = format::clock(run.took(view.now));
    if !run.state.is_ended() {
        view.beat.second();
    }
    let text = format!("{}, {}, {progress}, {took}", run.run_id, run.state);
    let needs = view.store.facts(&run.run_id).map_or(&[][..], |facts| &facts.needs);
    let steps: Vec<Node> = if needs.is_empty() {
        entry.steps().iter().map(|step| step_node(view, entry, step, &[])).collect()
    } else {
        let roots = (0..needs.len()).filter(|at| needs[*at].needs.is_empty());
        roots.filter_map(|at| graph_node(view, entry, needs, at)).collect()
    };
    let usage: Vec<Node> = if entry.usage().is_empty() {
        Vec::new()
    } else {
        let cpu = entry.usage().iter().map(|usage| (usage.at, usage.cpu_fraction));
        let memory = entry.usage().iter().map(|usage| (usage.at, usage.memory_bytes as f64));
        let bytes = |bytes: f64| format::bytes(bytes as u64);
        vec![
            Node::new(spoken::series("CPU of the run", cpu, format::percent, view.now)),
            Node::new(spoken::series("Memory of the run", memory, bytes, view.now)),
        ]
    };
    Node::new(text).opening(Command::OpenRun(run.run_id.clone())).with(steps.into_iter().chain(usage))
}

/// A step with those below it that come right after it. A step that needs several stands below the last of them.
fn graph_node(view: View<'_>, entry: &RunEntry, needs: &[StepNeeds], at: usize) -> Option<Node> {
    let of = needs.get(at)?;
    let names: Vec<&str> =
        of.needs.iter().filter_map(|need| needs.get(*need)).map(|need| need.step_id.as_str()).collect();
    let node = match entry.steps().iter().find(|step| step.step_id == of.step_id) {
        Some(step) => step_node(view, entry, step, &names),
        None => Node::new(format!("{}, not begun", of.step_id)),
    };
    // A need comes before what needs it in a definition that was accepted; what does not would never end.
    let below = (at + 1..needs.len()).filter(|next| needs[*next].needs.iter().max() == Some(&at));
    let below: Vec<Node> = below.filter_map(|next| graph_node(view, entry, needs, next)).collect();
    Some(node.with(below))
}

fn step_node(view: View<'_>, entry: &RunEntry, step: &StepSummary, needs: &[&str]) -> Node {
    let mut parts = vec![step.step_id.to_string(), step.state.to_string()];
    if let Some(from) = step.started_at {
        let until = step.finished_at.unwrap_or(view.now);
        parts.push(format!("from {} for {}", format::when(from, view.now), format::duration(until - from)));
    }
    if step.attempt > 1 {
        parts.push(format!("attempt {}", step.attempt));
    }
    if needs.len() > 1 {
        parts.push(format!("needs {}", needs.join(", ")));
    }
    parts.extend(step.error.as_ref().or(step.message.as_ref()).map(ToString::to_string));
    let attempts = entry.earlier.iter().filter(|earlier| earlier.step_id == step.step_id);
    let attempts =
        attempts.map(|earlier| Node::new(format!("attempt {} {}", earlier.attempt, earlier.state)));
    let node = Node::new(parts.join(", ")).with(attempts);
    match view.store.selected() {
        Some(selected) if selected.run.run_id == entry.run.run_id => {
            node.opening(Command::ChooseStep(Some(step.step_id.clone())))
        }
        Some(_) | None => node.opening(Command::OpenRun(entry.run.run_id.clone())),
    }
}

/// The trend of the pipeline that the history is filtered by.
fn trend_node(view: View<'_>) -> Option<Node> {
    let runs = view.store.history().trend();
    let first = runs.first()?;
    let node = Node::new(format!("How long the newest {} of {} took", runs.len(), first.pipeline_id));
    Some(node.with(runs.iter().map(|run| {
        let (when, took) = (format::when(run.started_at, view.now), format::duration(run.took(view.now)));
        Node::new(format!("{when}: {took}, {}", run.state)).opening(Command::OpenRun(run.run_id.clone()))
    })))
}
