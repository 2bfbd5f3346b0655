//! How two definitions of a pipeline differ, so that people can decide whether a run goes on with the newer one.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::model::{Command, Param, Pipeline, Step};
use crate::base::units::{format_duration, format_size, signal_name};

/// Every difference that matters to a run, one sentence each: first the pipeline's, then the steps' in the order of
/// `old`, new steps last. Empty when a run would do the same under both. A finished step that is gone forbids the
/// change; the caller checks that.
pub fn differences(old: &Pipeline, new: &Pipeline) -> Vec<String> {
    let mut found = Vec::new();
    compare("the pipeline", &pipeline_lines(old), &pipeline_lines(new), &mut found);
    for step in &old.steps {
        match new.step_index(step.id.as_str()) {
            Some(at) => {
                let subject = format!("step {}", step.id);
                let (old, new) = (step_lines(old, step), step_lines(new, &new.steps[at]));
                compare(&subject, &old, &new, &mut found);
            }
            None => found.push(format!("step {} is gone", step.id)),
        }
    }
    let added = new.steps.iter().filter(|step| old.step_index(step.id.as_str()).is_none());
    found.extend(added.map(|step| format!("step {} is new", step.id)));
    found
}

/// Keys and their values, for people.
type Lines = BTreeMap<String, String>;

fn compare(subject: &str, old: &Lines, new: &Lines, found: &mut Vec<String>) {
    for (key, was) in old {
        match new.get(key) {
            Some(is) if is == was => {}
            Some(is) => found.push(format!("{subject}: {key} is {is} instead of {was}")),
            None => found.push(format!("{subject}: {key} is gone, which was {was}")),
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
    found.extend(added.map(|(key, is)| format!("{subject}: {key} is new: {is}")));
}

fn pipeline_lines(pipeline: &Pipeline) -> Lines {
    let Pipeline {
        id,
        source,
        description: _,
        max_parallel,
        on_failure,
        timeout,
        max_concurrent_runs,
        group,
        priority,
        on_battery,
        quiet,
        inhibit_sleep,
        params,
        env,
        steps: _,
        schedules: _,
        graph: _,
    } = pipeline;
    let mut lines = Lines::new();
    lines.insert("id".to_owned(), id.to_string());
    lines.insert("source".to_owned(), source.clone());
    lines.insert("on_failure".to_owned(), on_failure.word().to_owned());
    insert_some(&mut lines, "max_parallel", max_parallel.map(|count| count.to_string()));
    insert_some(&mut lines, "timeout", timeout.map(format_duration));
    insert_some(&mut lines, "max_concurrent_runs", max_concurrent_runs.map(|count| count.to_string()));
    insert_some(&mut lines, "group", group.clone());
    lines.insert("priority".to_owned(), priority.to_string());
    lines.insert("on_battery".to_owned(), on_battery.word().to_owned());
    lines.insert("quiet".to_owned(), quiet.word().to_owned());
    lines.extend(env.iter().map(|(name, value)| (format!("env {name}"), shown(value))));
    insert_some(&mut lines, "inhibit_sleep", inhibit_sleep.then(|| "true".to_owned()));
    for (name, param) in params {
        let value = match param {
            Param::Secret(source) => format!("a secret from {source:?}"),
            Param::Value { kind, description: _, default, choices } => {
                let mut text = kind.word().to_owned();
                if let Some(default) = default {
                    text.push_str(&format!(", default {default:?}"));
                }
                if !choices.is_empty() {
                    text.push_str(&format!(", one of {choices:?}"));
                }
                text
            }
        };
        lines.insert(format!("param {name}"), value);
    }
    lines
}

fn step_lines(pipeline: &Pipeline, step: &Step) -> Lines {
    let Step {
        id: _,
        needs,
        command,
        working_dir,
        env,
        timeout,
        retries,
        resources,
        weight,
        on_interrupt,
        stop_signal,
        grace,
        log_limit,
        background,
        when,
        may_fail,
        finally,
    } = step;
    let mut needs: Vec<_> = needs.iter().map(|need| pipeline.steps[*need].id.as_str()).collect();
    needs.sort_unstable();
    let run = match command {
        Command::Argv(argv) => shown(argv),
        Command::Line { shell, line } => format!("{} under {}", shown(line), shown(shell)),
    };
    let signal = signal_name(*stop_signal).map_or_else(|| stop_signal.to_string(), str::to_owned);
    let retries = format!(
        "{} with delay {}, factor {}, max_delay {}",
        retries.max,
        format_duration(retries.delay),
        retries.factor,
        format_duration(retries.max_delay)
    );
    let mut lines = Lines::from(
        [
            ("needs", shown(&needs)),
            ("run", run),
            ("working_dir", working_dir.display().to_string()),
            ("retries", retries),
            ("weight", weight.to_string()),
            ("on_interrupt", on_interrupt.word().to_owned()),
            ("stop_signal", signal),
            ("grace", format_duration(*grace)),
            ("log_limit", format_size(*log_limit)),
            ("background", background.word().to_owned()),
            ("when", when.word().to_owned()),
            ("may_fail", may_fail.to_string()),
            ("finally", finally.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    insert_some(&mut lines, "timeout", timeout.map(format_duration));
    insert_some(&mut lines, "resources memory", resources.memory.map(format_size));
    insert_some(&mut lines, "resources cpu", resources.cpu.map(|cpu| cpu.to_string()));
    insert_some(&mut lines, "resources disk", resources.disk.map(format_size));
    lines.extend(env.iter().map(|(name, value)| (format!("env {name}"), shown(value))));
    lines
}

fn insert_some(lines: &mut Lines, key: &str, value: Option<String>) {
    lines.extend(value.map(|value| (key.to_owned(), value)));
}

/// A value in quotes, shortened if it is very long.
fn shown(value: impl Debug) -> String {
    const LONGEST: usize = 120;
    let text = format!("{value:?}");
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
