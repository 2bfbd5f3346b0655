//! The keys of `settings.toml`: name, place, type, default and meaning of each.

use serde_json::Value;

use crate::config::{self, Bound, Fallback, Format, Key, Kind, Place, Zero, key};
use crate::resources::LimitAction;

/// The settings of a data directory.
pub(super) static FORMAT: Format = Format {
    title: "Leverframe settings",
    description: "What the operator of a data directory has chosen: its settings.toml.",
    places: &[&TOP, &PIPELINES, &RETENTION, &MONITOR, &ADMISSION, &LIMITS, &CPU, &MEMORY, &SWAP, &DISK],
    keys: &[&KEYS],
};

static TOP: Place = Place::top(&FORMAT);
static PIPELINES: Place = Place::table(&FORMAT, "[pipelines]");
static RETENTION: Place = Place::table(&FORMAT, "[retention]");
static MONITOR: Place = Place::table(&FORMAT, "[monitor]");
static ADMISSION: Place = Place::table(&FORMAT, "[admission]");
static LIMITS: Place = Place::table(&FORMAT, "[limits]");
static CPU: Place = Place::table(&FORMAT, "[limits.cpu]");
static MEMORY: Place = Place::table(&FORMAT, "[limits.memory]");
static SWAP: Place = Place::table(&FORMAT, "[limits.swap]");
static DISK: Place = Place::table(&FORMAT, "[limits.disk]");

/// The JSON Schema (draft 2020-12) of the settings.
pub fn schema() -> Value {
    config::schema(&FORMAT)
}

/// The keys of the settings in Markdown, for the README.
pub fn key_table() -> String {
    config::key_table(&FORMAT)
}

static IN_TOP: &[&Place] = &[&TOP];
static IN_PIPELINES: &[&Place] = &[&PIPELINES];
static IN_RETENTION: &[&Place] = &[&RETENTION];
static IN_MONITOR: &[&Place] = &[&MONITOR];
static IN_ADMISSION: &[&Place] = &[&ADMISSION];
static IN_LIMITS: &[&Place] = &[&LIMITS];
static OF_USE: &[&Place] = &[&CPU, &MEMORY, &SWAP];
static OF_SPACE: &[&Place] = &[&DISK];
static OF_ALL: &[&Place] = &[&CPU, &MEMORY, &SWAP, &DISK];

use Fallback::{Is, Required, Words};
use Kind::{Count, Counts, Duration, Env, Flag, Number, Size, Strings, Table, Threshold, Word};

/// Every key, in the order of the README.
#[rustfmt::skip]
static KEYS: &[Key] = &[
    key(IN_TOP, "on_disk_full", Word(&["freeze", "continue"]), Is("freeze"), "While the disk is full, running steps are frozen until there is room, or go on."),
    key(IN_TOP, "pipelines", Table(&PIPELINES), Fallback::None, "Where pipelines are, besides `pipelines/` of the data directory."),
    key(IN_TOP, "env", Env, Fallback::None, "Environment of every step, under the pipeline's; `~` and `$VAR` expand in values, `$$` is a `$`.").also(&["environment"]),
    key(IN_TOP, "retention", Table(&RETENTION), Fallback::None, "How much history is kept."),
    key(IN_TOP, "monitor", Table(&MONITOR), Fallback::None, "How the machine and the steps are measured."),
    key(IN_TOP, "admission", Table(&ADMISSION), Fallback::None, "What may run at once."),
    key(IN_TOP, "groups", Counts, Fallback::None, "How many runs there may be at once of the pipelines whose `group` has this name.").also(&["pools", "queues"]),
    key(IN_TOP, "limits", Table(&LIMITS), Fallback::None, "When the machine counts as short of something, and what is done then."),

    key(IN_PIPELINES, "dirs", Strings("folders", "~/jobs"), Fallback::None, "Further folders of pipelines, relative to the data directory; `~` and `$VAR` expand.").also(&["folders", "paths"]),

    key(IN_RETENTION, "runs", Duration(Zero::Allowed), Is("90d"), "How long ended runs are kept."),
    key(IN_RETENTION, "runs_per_pipeline", Count(1, u64::MAX), Is("200"), "How many completed runs of each pipeline are kept."),
    key(IN_RETENTION, "logs", Size(Zero::Allowed), Is("10GiB"), "How much all logs may take; those of the oldest runs go first."),
    key(IN_RETENTION, "fires", Duration(Zero::Allowed), Is("400d"), "How long the record of when schedules fired is kept."),

    key(IN_MONITOR, "interval", Duration(Zero::Allowed), Is("1s"), "The time from one sample to the next while a step lives, from 200ms to 60s."),

    key(IN_ADMISSION, "max_concurrent_runs", Count(1, u64::MAX), Words("however many"), "How many runs may run at once; further ones wait.").also(&["max_runs", "max_active_runs"]),
    key(IN_ADMISSION, "memory", Threshold, Words("all that is free"), "Memory for all steps together."),
    key(IN_ADMISSION, "cpus", Number(Bound::AboveZeroOrInfinite), Words("all there are"), "CPUs for the steps that ask for some.").also(&["cores"]),
    key(IN_ADMISSION, "learn", Flag, Is("true"), "Whether the memory that a step needs is learned from its last runs."),
    key(IN_ADMISSION, "ageing", Duration(Zero::Refused), Is("5m"), "A run that waits gains a level of priority for each such time.").also(&["aging"]),

    key(IN_LIMITS, "cpu", Table(&CPU), Fallback::None, "The limit of CPU time, of all CPUs together."),
    key(IN_LIMITS, "memory", Table(&MEMORY), Fallback::None, "The limit of memory."),
    key(IN_LIMITS, "swap", Table(&SWAP), Fallback::None, "The limit of swap space."),
    key(IN_LIMITS, "disk", Table(&DISK), Fallback::None, "The limit of free space, on each file system that is watched."),
    key(OF_USE, "above", Threshold, Required, "The limit is raised when more than this is in use: a share or an amount; for CPUs only a share.").also(&["below"]),
    key(OF_USE, "clear", Threshold, Words("a tenth below `above`"), "The limit is cleared as soon as no more than this is in use."),
    key(OF_SPACE, "below", Threshold, Required, "The limit is raised when less than this is free.").also(&["above"]),
    key(OF_SPACE, "clear", Threshold, Words("a quarter above `below`"), "The limit is cleared as soon as this is free again."),
    key(OF_ALL, "for", Duration(Zero::Allowed), Is("30s"), "How long this must last, without a break, before the limit is raised.").also(&["duration", "sustain"]),
    key(OF_ALL, "action", Word(LimitAction::WORDS), Is("alert"), "What is done while the limit is raised: `alert` only shows it, `hold` also starts no step, `freeze` also freezes the run that uses most."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_keys_contradicts_itself_nowhere() {
        config::check_format(&FORMAT);
    }
}
