//! The keys of a pipeline file: name, place, type, default and meaning of each, and the kinds of tables they stand in. Rules
//! about several values together (a step that needs itself, say) are in `parse` and `schedules`.

use serde_json::{Value, json};

use super::model::{Background, OnBattery, OnFailure, OnInterrupt, OnQuiet, ParamType, When};
use crate::config::{self, Bound, Fallback, Format, Key, Kind, MANY, Place, Zero, key};

/// A pipeline file.
pub(super) static FORMAT: Format = Format {
    title: "Leverframe pipeline",
    description: "A pipeline that Leverframe runs: one TOML file.",
    places: &[&TOP, &STEP, &STEP_DEFAULTS, &RETRIES, &RESOURCES, &PARAM, &SECRET, &SCHEDULE],
    keys: &[&KEYS, &SCHEDULE_KEYS],
};

static TOP: Place = Place::top(&FORMAT);
static STEP: Place = Place::table(&FORMAT, "[[step]]");
static STEP_DEFAULTS: Place = Place::table(&FORMAT, "[step_defaults]");
static RETRIES: Place =
    Place::table(&FORMAT, "retries = { … }").inline_in(&STEP).such_as("max = 3, delay = \"10s\"");
static RESOURCES: Place =
    Place::table(&FORMAT, "resources = { … }").inline_in(&STEP).such_as("memory = \"2GiB\", cpu = 1.5");
static PARAM: Place = Place::table(&FORMAT, "[params.NAME]").such_as("default = …");
static SECRET: Place =
    Place::table(&FORMAT, "secret = { … }").inline_in(&PARAM).such_as("env = \"API_TOKEN\"");
static SCHEDULE: Place = Place::table(&FORMAT, "[[schedule]]");

/// The JSON Schema (draft 2020-12) of a pipeline file. `leverframe validate` also checks what a schema can't express,
/// such as cycles.
pub fn schema() -> Value {
    let mut schema = config::schema(&FORMAT);
    let param = &mut schema["properties"]["params"]["additionalProperties"];
    let secret = &mut param["properties"]["secret"];
    secret["oneOf"] = json!([{ "required": ["env"] }, { "required": ["file"] }, { "required": ["command"] }]);
    // Only a command has a timeout.
    secret["dependentRequired"] = json!({ "timeout": ["command"] });
    schema
}

/// The keys of a pipeline file in Markdown, for the README.
pub fn key_table() -> String {
    config::key_table(&FORMAT)
}

const fn later(places: &'static [&'static Place], name: &'static str) -> Key {
    key(places, name, Kind::Later, Fallback::None, "comes with a later version")
}

static IN_TOP: &[&Place] = &[&TOP];
static IN_STEP: &[&Place] = &[&STEP];
static IN_STEPS: &[&Place] = &[&STEP, &STEP_DEFAULTS];
static EVERYWHERE: &[&Place] = &[&TOP, &STEP, &STEP_DEFAULTS];
static IN_RETRIES: &[&Place] = &[&RETRIES];
static IN_RESOURCES: &[&Place] = &[&RESOURCES];
static IN_PARAM: &[&Place] = &[&PARAM];
static IN_SECRET: &[&Place] = &[&SECRET];
static IN_SCHEDULE: &[&Place] = &[&SCHEDULE];

const MISFIRE: &[&str] = &["run_once", "run_all", "skip"];
const OVERLAP: &[&str] = &["skip", "queue", "allow", "cancel_previous"];
const ON: &[&str] = &["completed", "failed", "finished"];

use Fallback::{Is, Required, Words};
use Kind::{
    Argv, Command, Count, Duration as Span, Env, Filled, Flag, Id, Named, Number, Scalar, Scalars, Signal,
    Size, Strings, Table, Tables, Text, Values, Word,
};

/// Every key except those of `[[schedule]]`, in the order of the README.
#[rustfmt::skip]
static KEYS: &[Key] = &[
    key(IN_TOP, "id", Id, Words("the file's stem"), "The pipeline's name: letters, digits, `.`, `_` and `-`.").also(&["name"]),
    key(IN_TOP, "source", Filled, Words("the id"), "What it reads from; part of the names of its runs."),
    key(IN_TOP, "description", Text, Fallback::None, "A short description.").also(&["title", "desc"]),
    key(IN_TOP, "max_parallel", Count(1, MANY), Words("the number of CPUs"), "How many steps may run at once.").also(&["parallel", "concurrency", "jobs"]),
    key(IN_TOP, "on_failure", Word(OnFailure::WORDS), Is("stop"), "What happens after a step fails: nothing new starts, or branches that don't need it go on."),
    key(IN_TOP, "working_dir", Filled, Is("."), "Where steps run, relative to the file; `~` is the home directory.").also(&["cwd", "dir", "workdir"]),
    key(IN_TOP, "env", Env, Fallback::None, "Environment of every step; `~` and `$VAR` expand in values, `$$` is a `$`.").also(&["environment"]),
    key(IN_TOP, "shell", Argv, Is("sh -c"), "The shell for steps whose `run` is a line; the line is its last argument."),
    key(IN_TOP, "timeout", Span(Zero::Refused), Words("none"), "The time limit of the whole run; time asleep or frozen does not count."),
    key(IN_TOP, "inhibit_sleep", Flag, Is("false"), "While a run of it is running, the machine does not sleep or become idle; paused or queued runs allow it.").also(&["keep_awake", "no_sleep"]),
    key(IN_TOP, "params", Named(&PARAM), Fallback::None, "Parameters by name; each reaches every step as `LEVERFRAME_PARAM_<NAME>`.").also(&["parameters"]),
    key(IN_TOP, "step_defaults", Table(&STEP_DEFAULTS), Fallback::None, "Step keys for all steps; a step's own keys take precedence.").also(&["defaults"]),
    key(IN_TOP, "step", Tables(&STEP), Required, "The steps, in order.").also(&["steps", "task", "tasks"]),
    key(IN_TOP, "max_concurrent_runs", Count(1, MANY), Words("as many as the settings allow"), "How many runs of this pipeline may run at once; further ones wait.").also(&["max_runs", "max_active_runs", "max_instances"]),
    key(IN_TOP, "group", Id, Fallback::None, "The group of pipelines that it belongs to: its line in `[groups]` of the settings, such as `scrapers = 2`, says how many runs of it there may be at once.").also(&["pool", "queue", "category"]),
    key(IN_TOP, "priority", Count(0, 9), Is("0"), "From 0 to 9: of the waiting runs, the highest starts first. The priority of a waiting run rises with time."),
    key(IN_TOP, "on_battery", Word(OnBattery::WORDS), Is("ignore"), "While the machine runs on battery, its steps do not start, or its runs are frozen as well."),
    key(IN_TOP, "quiet", Word(OnQuiet::WORDS), Is("freeze"), "During quiet, its runs are frozen and wait, or go on as usual."),
    key(IN_TOP, "schedule", Tables(&SCHEDULE), Fallback::None, "When it runs automatically: each table defines a job, which is updated when the file is read.").also(&["schedules"]),

    key(IN_PARAM, "type", Word(ParamType::WORDS), Is("string"), "Its type; values are checked before a run starts.").also(&["kind"]),
    key(IN_PARAM, "description", Text, Fallback::None, "A short description.").also(&["help"]),
    key(IN_PARAM, "default", Scalar, Words("none: it must be given"), "Its value if none is given.").also(&["value"]),
    key(IN_PARAM, "choices", Scalars, Fallback::None, "The only values allowed.").also(&["enum", "options", "values"]),
    key(IN_PARAM, "secret", Table(&SECRET), Fallback::None, "It is fetched again for each attempt and never stored."),
    key(IN_SECRET, "env", Filled, Fallback::None, "The variable of Leverframe's own environment that holds the secret."),
    key(IN_SECRET, "file", Filled, Fallback::None, "The file that contains it; only you may have permission to read it.").also(&["path"]),
    key(IN_SECRET, "command", Argv, Fallback::None, "The command that prints it.").also(&["run"]),
    key(IN_SECRET, "timeout", Span(Zero::Refused), Is("30s"), "The time limit of the command; after it, the command is killed and the run is held."),

    key(IN_STEP, "id", Id, Required, "The step's name.").also(&["name"]),
    key(IN_STEP, "run", Command, Required, "What it runs: a line for the shell, or an argv array, which uses none.").also(&["command", "cmd", "script", "exec"]),
    key(IN_STEP, "needs", Strings("step ids", "fetch"), Words("the step before it"), "The steps that must have ended first; `[]`: none. Of a `finally` step: further `finally` steps before it.").also(&["depends", "depends_on", "dependencies", "requires", "after"]),
    key(IN_STEPS, "when", Word(When::WORDS), Words("\"on_success\"; of a `finally` step \"always\""), "`on_success`: no step above failed; `on_failure`: one failed, was stopped or timed out; `always`: in any case. The default of `[step_defaults]` does not reach `finally` steps.").also(&["if"]),
    key(IN_STEPS, "may_fail", Flag, Is("false"), "Its failure does not fail the run.").also(&["allow_failure", "ignore_errors", "continue_on_error"]),
    key(IN_STEP, "finally", Flag, Is("false"), "It runs after all other steps, also after a stop; only a force-stop skips it."),
    key(IN_STEPS, "working_dir", Filled, Words("the pipeline's"), "Where it runs, relative to the pipeline's; `~` is the home directory.").also(&["cwd", "dir", "workdir"]),
    key(IN_STEPS, "env", Env, Fallback::None, "Its environment, over the pipeline's.").also(&["environment"]),
    key(IN_STEPS, "shell", Argv, Words("the pipeline's"), "The shell if `run` is a line."),
    key(IN_STEPS, "timeout", Span(Zero::Refused), Words("none; of a `finally` step \"5m\""), "The time limit of one attempt; time asleep or frozen does not count."),
    key(IN_STEPS, "retries", Table(&RETRIES), Fallback::None, "How often and when a failed attempt is tried again; keys of `[step_defaults]` that are not here stay.").also(&["retry"]),
    key(IN_STEPS, "weight", Number(Bound::AboveZero), Is("1"), "Its share of the run's progress."),
    key(IN_STEPS, "on_interrupt", Word(OnInterrupt::WORDS), Is("rerun"), "What happens after its process was lost, as in a power cut."),
    key(IN_STEPS, "stop_signal", Signal, Is("TERM"), "The signal that asks it to stop."),
    key(IN_STEPS, "grace", Span(Zero::Allowed), Is("10s"), "How long it may take after that signal, before its whole process tree is killed.").also(&["kill_after"]),
    key(IN_STEPS, "log_limit", Size(Zero::Refused), Is("1GiB"), "The largest size of its log: the beginning and the newest part are kept, the middle is dropped and counted."),
    key(IN_STEPS, "background", Word(Background::WORDS), Is("end"), "What happens to processes that outlive its main process."),
    key(IN_STEPS, "resources", Table(&RESOURCES), Fallback::None, "What must be free before it starts; keys of `[step_defaults]` that are not here stay. Memory that is not given is learned from its last runs.").also(&["requests", "requires_resources"]),
    key(IN_RETRIES, "max", Count(0, MANY), Is("0"), "How many further attempts there may be after the first.").also(&["limit", "count", "attempts"]),
    key(IN_RETRIES, "delay", Span(Zero::Allowed), Is("10s"), "The wait before the second attempt; up to 10 % is added.").also(&["interval"]),
    key(IN_RETRIES, "factor", Number(Bound::AtLeastOne), Is("2"), "The factor by which the wait grows each time.").also(&["backoff"]),
    key(IN_RETRIES, "max_delay", Span(Zero::Allowed), Is("5m"), "The longest wait; a longer `delay` raises it.").also(&["max_interval"]),
    key(IN_RESOURCES, "memory", Size(Zero::Refused), Words("the usual peak of its last runs"), "Memory of its whole process tree at its peak.").also(&["mem", "ram"]),
    key(IN_RESOURCES, "cpu", Number(Bound::AboveZero), Fallback::None, "CPUs that it keeps busy, such as `1.5`.").also(&["cpus", "cores"]),
    key(IN_RESOURCES, "disk", Size(Zero::Refused), Fallback::None, "Space that it writes on the disk of its folder.").also(&["space"]),

    later(EVERYWHERE, "env_file"),
    later(EVERYWHERE, "exit_codes"),
    later(EVERYWHERE, "nice"),
    later(EVERYWHERE, "notify"),
    later(EVERYWHERE, "venv"),
    later(IN_STEPS, "foreach"),
    later(IN_STEPS, "total_timeout"),
];

/// The keys of a `[[schedule]]` table.
#[rustfmt::skip]
static SCHEDULE_KEYS: &[Key] = &[
    key(IN_SCHEDULE, "id", Id, Words("the pipeline's id; further tables need one"), "The job's name.").also(&["name", "job_id"]),
    key(IN_SCHEDULE, "cron", Filled, Fallback::None, "When it is due: a cron expression of five fields, or six with seconds first, or `@daily` and the like.").also(&["expression"]),
    key(IN_SCHEDULE, "daily", Filled, Fallback::None, "When it is due: each day at `\"HH:MM\"`.").also(&["at"]),
    key(IN_SCHEDULE, "weekly", Filled, Fallback::None, "When it is due: each week at `\"mon HH:MM\"`."),
    key(IN_SCHEDULE, "every", Filled, Fallback::None, "When it is due: at this interval of real time, such as `\"6h\"`.").also(&["interval"]),
    key(IN_SCHEDULE, "anchor", Scalar, Words("when the job is added"), "The instant from which `every` counts."),
    key(IN_SCHEDULE, "once", Scalar, Fallback::None, "When it is due: at this instant."),
    key(IN_SCHEDULE, "after", Strings("job ids", "nightly"), Fallback::None, "When it is due: when runs of these jobs have ended.").also(&["needs"]),
    key(IN_SCHEDULE, "on", Word(ON), Is("completed"), "How those runs must have ended."),
    key(IN_SCHEDULE, "tz", Filled, Words("the machine's when the job is added"), "The zone: an IANA name, or `\"local\"` for the zone that the machine is in at that time.").also(&["zone", "timezone", "time_zone"]),
    key(IN_SCHEDULE, "misfire", Word(MISFIRE), Is("run_once"), "What happens to missed instants: the newest runs, all run, or none."),
    key(IN_SCHEDULE, "catchup_limit", Count(0, MANY), Is("100"), "How many missed instants `run_all` runs at most."),
    key(IN_SCHEDULE, "misfire_grace", Span(Zero::Allowed), Is("1h"), "How late an instant may be and still run under `skip`; and how long a run is held for a secret that is missing before it fails."),
    key(IN_SCHEDULE, "misfire_max_age", Span(Zero::Refused), Words("none"), "How old an instant may be and still run."),
    key(IN_SCHEDULE, "overlap", Word(OVERLAP), Is("skip"), "What happens when the job is due and its last run has not ended."),
    key(IN_SCHEDULE, "priority", Count(0, 9), Is("0"), "The priority of its runs, where it is higher than the pipeline's."),
    key(IN_SCHEDULE, "params", Values, Fallback::None, "Parameters of its runs.").also(&["parameters"]),
    key(IN_SCHEDULE, "run_type", Filled, Words("the pipeline's"), "Run type of its runs."),
    key(IN_SCHEDULE, "environment", Filled, Words("the pipeline's"), "Environment of its runs."),
    key(IN_SCHEDULE, "enabled", Flag, Is("true"), "Whether a new job fires; later the operator enables or disables it."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_keys_contradicts_itself_nowhere() {
        config::check_format(&FORMAT);
    }
}
