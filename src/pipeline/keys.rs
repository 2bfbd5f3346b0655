//! The table of all keys of a pipeline file: name, place, type, default and meaning.
//!
//! The reader, the defaults, the nearest names, the JSON Schema and the table of the README all come from here. Rules
//! about several values together (a step that needs itself, say) are in `parse`.

use std::time::Duration;

pub(super) use super::kinds::one_of;
use super::model::{Background, OnBattery, OnFailure, OnInterrupt, OnQuiet, ParamType, When};
use super::schedules::SCHEDULE_KEYS;

/// One row of the table.
pub(super) struct Key {
    pub(super) places: &'static [Place],
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) fallback: Fallback,
    /// One line for people.
    pub(super) doc: &'static str,
    /// Names for it in other tools, which people may write out of habit.
    pub(super) aliases: &'static [&'static str],
}

/// A kind of table in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The top of the file.
    Pipeline,
    /// `[[step]]`.
    Step,
    /// `[step_defaults]`.
    StepDefaults,
    /// `retries = { … }`.
    Retries,
    /// `resources = { … }`.
    Resources,
    /// `[params.NAME]`.
    Param,
    /// `secret = { … }`.
    Secret,
    /// `[[schedule]]`.
    Schedule,
}

/// The type of a key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// The id of a pipeline or step.
    Id,
    Text,
    /// A path or another text that is not empty.
    Filled,
    /// A line for the shell, or an argv array.
    Command,
    /// An argv array.
    Argv,
    /// An array of step ids.
    Names,
    /// An array of job ids.
    Jobs,
    Word(&'static [&'static str]),
    Flag,
    /// A whole number, at least this.
    Count(u32),
    /// A whole number from 0 to 9.
    Priority,
    Number(Bound),
    Duration(Zero),
    Size,
    Signal,
    /// Names and values.
    Env,
    /// Names and scalars.
    Values,
    /// A string, number, bool or date.
    Scalar,
    Scalars,
    Table(Place),
    Tables(Place),
    /// A table of tables by name.
    Named(Place),
    /// Reserved for a later version.
    Later,
}

/// The lower bound of a number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AboveZero,
    AtLeastOne,
}

/// Whether a duration may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

/// What is used for a key that is left out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fallback {
    /// The key must not be left out.
    Required,
    /// There is no value.
    None,
    /// This value; a string without quotes, an array as its words.
    Is(&'static str),
    /// A default that these words describe.
    Words(&'static str),
}

/// A value that is `Copy`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain {
    Word(&'static str),
    Flag(bool),
    Count(u32),
    Number(f64),
    Duration(Duration),
    Size(u64),
    Signal(i32),
}

impl Place {
    pub(super) const ALL: [Self; 8] = [
        Self::Pipeline,
        Self::StepDefaults,
        Self::Step,
        Self::Retries,
        Self::Resources,
        Self::Param,
        Self::Secret,
        Self::Schedule,
    ];

    /// The table's name as a file writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "the top of the file",
            Self::Step => "[[step]]",
            Self::StepDefaults => "[step_defaults]",
            Self::Retries => "retries = { … }",
            Self::Resources => "resources = { … }",
            Self::Param => "[params.NAME]",
            Self::Secret => "secret = { … }",
            Self::Schedule => "[[schedule]]",
        }
    }

    /// The table that contains this one as an inline table, in braces.
    pub(super) fn container(self) -> Option<Self> {
        match self {
            Self::Retries | Self::Resources => Some(Self::Step),
            Self::Secret => Some(Self::Param),
            Self::Pipeline | Self::Step | Self::StepDefaults | Self::Param | Self::Schedule => None,
        }
    }

    /// "in this table", for messages.
    pub(super) fn locative(self) -> String {
        match self {
            Self::Pipeline => format!("at {}", self.name()),
            Self::Step
            | Self::StepDefaults
            | Self::Retries
            | Self::Resources
            | Self::Param
            | Self::Secret
            | Self::Schedule => format!("in {}", self.name()),
        }
    }

    /// The keys of this place, in the order of the table.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().chain(SCHEDULE_KEYS).filter(move |key| key.places.contains(&self))
    }

    pub(super) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

impl Key {
    pub(super) fn is_later(&self) -> bool {
        matches!(self.kind, Kind::Later)
    }

    /// The default as a `Plain` value, if it has one.
    pub(super) fn plain_fallback(&self) -> Option<Plain> {
        match self.fallback {
            Fallback::Is(text) => self.kind.read_plain(text).ok(),
            Fallback::Required | Fallback::None | Fallback::Words(_) => None,
        }
    }
}

pub(super) const fn key(
    places: &'static [Place],
    name: &'static str,
    kind: Kind,
    fallback: Fallback,
    doc: &'static str,
) -> Key {
    Key { places, name, kind, fallback, doc, aliases: &[] }
}

const fn later(places: &'static [Place], name: &'static str) -> Key {
    key(places, name, Kind::Later, Fallback::None, "comes with a later version")
}

impl Key {
    pub(super) const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

const TOP: &[Place] = &[Place::Pipeline];
const STEP: &[Place] = &[Place::Step];
const STEPS: &[Place] = &[Place::Step, Place::StepDefaults];
const ALL: &[Place] = &[Place::Pipeline, Place::Step, Place::StepDefaults];
const RETRIES: &[Place] = &[Place::Retries];
const RESOURCES: &[Place] = &[Place::Resources];
const PARAM: &[Place] = &[Place::Param];
const SECRET: &[Place] = &[Place::Secret];

use Fallback::{Is, Required, Words};
use Kind::{
    Argv, Command, Count, Duration as Span, Env, Filled, Flag, Id, Named, Names, Number, Priority, Scalar,
    Scalars, Signal, Size, Table, Tables, Text, Word,
};

/// Every key, in the order of the README.
#[rustfmt::skip]
static KEYS: &[Key] = &[
    key(TOP, "id", Id, Words("the file's stem"), "The pipeline's name: letters, digits, `.`, `_` and `-`.").also(&["name"]),
    key(TOP, "source", Filled, Words("the id"), "What it reads from; part of the names of its runs."),
    key(TOP, "description", Text, Fallback::None, "One line for people.").also(&["title", "desc"]),
    key(TOP, "max_parallel", Count(1), Words("the number of CPUs"), "Steps at once.").also(&["parallel", "concurrency", "jobs"]),
    key(TOP, "on_failure", Word(OnFailure::WORDS), Is("stop"), "What a failed step does: nothing new starts, or branches that don't need it go on."),
    key(TOP, "working_dir", Filled, Is("."), "Where steps run, relative to the file; `~` is the home directory.").also(&["cwd", "dir", "workdir"]),
    key(TOP, "env", Env, Fallback::None, "Environment of every step; `~` and `$VAR` expand in values, `$$` is a `$`.").also(&["environment"]),
    key(TOP, "shell", Argv, Is("sh -c"), "The shell for steps whose `run` is a line; the line is its last argument."),
    key(TOP, "timeout", Span(Zero::Refused), Words("none"), "The longest that the whole run may take while awake and not frozen."),
    key(TOP, "inhibit_sleep", Flag, Is("false"), "While a run of it runs, the machine neither sleeps nor turns idle; paused or queued ones let it.").also(&["keep_awake", "no_sleep"]),
    key(TOP, "params", Named(Place::Param), Fallback::None, "Parameters by name; each reaches every step as `LEVERFRAME_PARAM_<NAME>`.").also(&["parameters"]),
    key(TOP, "step_defaults", Table(Place::StepDefaults), Fallback::None, "Step keys for all steps; a step's own win.").also(&["defaults"]),
    key(TOP, "step", Tables(Place::Step), Required, "The steps, in order.").also(&["steps", "task", "tasks"]),
    key(TOP, "max_concurrent_runs", Count(1), Words("as many as the settings allow"), "Runs of this pipeline at once; further ones wait.").also(&["max_runs", "max_active_runs", "max_instances"]),
    key(TOP, "group", Id, Fallback::None, "The group of pipelines that it belongs to: its line in `[groups]` of the settings, such as `scrapers = 2`, says how many runs of it there may be at once.").also(&["pool", "queue", "category"]),
    key(TOP, "priority", Priority, Is("0"), "From 0 to 9: among runs that wait, the highest goes first. Who waits rises with time."),
    key(TOP, "on_battery", Word(OnBattery::WORDS), Is("ignore"), "While the machine lives on its battery its steps do not start, or its runs are frozen as well."),
    key(TOP, "quiet", Word(OnQuiet::WORDS), Is("freeze"), "While it is quiet its runs are frozen and wait, or go on as ever."),
    key(TOP, "schedule", Tables(Place::Schedule), Fallback::None, "When it runs by itself: each table is a job, taken over when the file is read.").also(&["schedules"]),

    key(PARAM, "type", Word(ParamType::WORDS), Is("string"), "Its type; values are checked before a run starts.").also(&["kind"]),
    key(PARAM, "description", Text, Fallback::None, "One line for people.").also(&["help"]),
    key(PARAM, "default", Scalar, Words("none: it must be given"), "Its value where none is given.").also(&["value"]),
    key(PARAM, "choices", Scalars, Fallback::None, "The only values allowed.").also(&["enum", "options", "values"]),
    key(PARAM, "secret", Table(Place::Secret), Fallback::None, "It is fetched anew at each attempt and never stored."),
    key(SECRET, "env", Filled, Fallback::None, "The variable of Leverframe's own environment that holds the secret."),
    key(SECRET, "file", Filled, Fallback::None, "The file that holds it, which only you may be able to read.").also(&["path"]),
    key(SECRET, "command", Argv, Fallback::None, "The command that prints it.").also(&["run"]),
    key(SECRET, "timeout", Span(Zero::Refused), Is("30s"), "The longest that the command may take; then it is ended, and the run is held."),

    key(STEP, "id", Id, Required, "The step's name.").also(&["name"]),
    key(STEP, "run", Command, Required, "What it runs: a line for the shell, or an argv array, which uses none.").also(&["command", "cmd", "script", "exec"]),
    key(STEP, "needs", Names, Words("the step before it"), "The steps that must have ended first; `[]`: none. Of a `finally` step: further `finally` steps before it.").also(&["depends", "depends_on", "dependencies", "requires", "after"]),
    key(STEPS, "when", Word(When::WORDS), Words("\"on_success\"; of a `finally` step \"always\""), "No step above failed; at least one failed, stopped or timed out; or whatever happened. The default of `[step_defaults]` does not reach `finally` steps.").also(&["if"]),
    key(STEPS, "may_fail", Flag, Is("false"), "Its failure does not fail the run.").also(&["allow_failure", "ignore_errors", "continue_on_error"]),
    key(STEP, "finally", Flag, Is("false"), "It runs after everything, also after a stop; only a force-stop omits it."),
    key(STEPS, "working_dir", Filled, Words("the pipeline's"), "Where it runs, relative to the pipeline's; `~` is the home directory.").also(&["cwd", "dir", "workdir"]),
    key(STEPS, "env", Env, Fallback::None, "Its environment, over the pipeline's.").also(&["environment"]),
    key(STEPS, "shell", Argv, Words("the pipeline's"), "The shell if `run` is a line."),
    key(STEPS, "timeout", Span(Zero::Refused), Words("none; of a `finally` step \"5m\""), "The longest that one attempt may take while awake and not frozen."),
    key(STEPS, "retries", Table(Place::Retries), Fallback::None, "How often and when a failed attempt is tried again; keys of `[step_defaults]` that are not here stay.").also(&["retry"]),
    key(STEPS, "weight", Number(Bound::AboveZero), Is("1"), "Its share of the run's progress."),
    key(STEPS, "on_interrupt", Word(OnInterrupt::WORDS), Is("rerun"), "What happens after its process was lost, as in a power cut."),
    key(STEPS, "stop_signal", Signal, Is("TERM"), "The signal that asks it to stop."),
    key(STEPS, "grace", Span(Zero::Allowed), Is("10s"), "How long it may take from that signal to KILL for its whole tree.").also(&["kill_after"]),
    key(STEPS, "log_limit", Size, Is("1GiB"), "Its log on disk: head and newest tail are kept, the middle is dropped and counted."),
    key(STEPS, "background", Word(Background::WORDS), Is("end"), "What becomes of what its main process leaves behind."),
    key(STEPS, "resources", Table(Place::Resources), Fallback::None, "What must be free before it starts; keys of `[step_defaults]` that are not here stay. Memory that is not said is learned from its last runs.").also(&["requests", "requires_resources"]),
    key(RETRIES, "max", Count(0), Is("0"), "Repetitions after the first attempt.").also(&["limit", "count", "attempts"]),
    key(RETRIES, "delay", Span(Zero::Allowed), Is("10s"), "The wait before the first repetition; up to 10 % is added.").also(&["interval"]),
    key(RETRIES, "factor", Number(Bound::AtLeastOne), Is("2"), "By which the wait grows each time.").also(&["backoff"]),
    key(RETRIES, "max_delay", Span(Zero::Allowed), Is("5m"), "The longest wait; a longer `delay` raises it.").also(&["max_interval"]),
    key(RESOURCES, "memory", Size, Words("the usual peak of its last runs"), "Memory of its whole process tree at its peak.").also(&["mem", "ram"]),
    key(RESOURCES, "cpu", Number(Bound::AboveZero), Fallback::None, "CPUs that it keeps busy, such as `1.5`.").also(&["cpus", "cores"]),
    key(RESOURCES, "disk", Size, Fallback::None, "Space that it writes on the disk of its folder.").also(&["space"]),

    later(ALL, "env_file"),
    later(ALL, "exit_codes"),
    later(ALL, "nice"),
    later(ALL, "notify"),
    later(ALL, "venv"),
    later(STEPS, "foreach"),
    later(STEPS, "total_timeout"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_in_the_table_is_a_value_of_its_type() {
        for key in KEYS.iter().chain(SCHEDULE_KEYS) {
            if let Fallback::Is(text) = key.fallback {
                let is_text = matches!(key.kind, Kind::Filled | Kind::Argv);
                assert!(is_text || key.plain_fallback().is_some(), "{}: {text}", key.name);
            }
        }
    }

    #[test]
    fn no_key_stands_twice_in_one_place_nor_is_an_alias_of_another() {
        for place in Place::ALL {
            let mut seen = BTreeSet::new();
            for name in place.keys().flat_map(|key| key.aliases.iter().chain([&key.name])) {
                assert!(seen.insert(*name), "{name} in {}", place.name());
            }
        }
    }

    #[test]
    fn every_key_is_said_in_one_sentence() {
        for key in KEYS.iter().chain(SCHEDULE_KEYS) {
            assert!(key.is_later() || key.doc.ends_with('.'), "{}", key.name);
            assert!(!key.doc.contains('|'), "{} would break the table", key.name);
        }
    }
}
