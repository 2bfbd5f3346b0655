//! The parsed, validated pipeline: every default filled in, every path absolute, every need an index.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::graph::Graph;
use crate::base::id::{JobId, PipelineId, StepId};
use crate::schedule::{MisfirePolicy, Overlap, ScheduleConfig, Zone};

/// One pipeline as a run uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Its name: the key `id`, else the file's stem.
    pub id: PipelineId,
    /// The name of its data source; default: the id.
    pub source: String,
    /// One line for people.
    pub description: Option<String>,
    /// How many steps at once; none means the number of CPUs.
    pub max_parallel: Option<usize>,
    /// Whether branches that don't need a failed step go on.
    pub on_failure: OnFailure,
    /// How long the whole run may take, not counting time asleep or frozen.
    pub timeout: Option<Duration>,
    /// How many runs of it at once; none means as many as the settings allow.
    pub max_concurrent_runs: Option<usize>,
    /// The group whose runs are counted together.
    pub group: Option<String>,
    /// From 0 to 9: among waiting runs, the highest starts first.
    pub priority: u8,
    /// What happens to its runs while the machine runs on battery.
    pub on_battery: OnBattery,
    /// What happens to its runs during quiet.
    pub quiet: OnQuiet,
    /// Whether the machine is kept awake during its runs.
    pub inhibit_sleep: bool,
    /// Parameters by name.
    pub params: BTreeMap<String, Param>,
    /// Environment of every step, expanded by the engine when a step starts.
    pub env: BTreeMap<String, String>,
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// The jobs that its file defines.
    pub schedules: Vec<PipelineSchedule>,
    /// Which step is above which: [`Graph::of`] these steps.
    pub graph: Graph,
}

/// One step with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// Indices into [`Pipeline::steps`] of the steps that must have ended first. A `finally` step also waits for every
    /// step that is not `finally`; these are not listed here.
    pub needs: Vec<usize>,
    /// What it runs.
    pub command: Command,
    /// Its working directory; absolute.
    pub working_dir: PathBuf,
    /// Its own environment, over the pipeline's.
    pub env: BTreeMap<String, String>,
    /// How long one attempt may take, not counting time asleep or frozen.
    pub timeout: Option<Duration>,
    /// How often and when a failed attempt is tried again.
    pub retries: Retries,
    /// What must be free before it starts.
    pub resources: Resources,
    /// Its share of the run's progress; above 0.
    pub weight: f64,
    /// What happens after the step's process was lost.
    pub on_interrupt: OnInterrupt,
    /// The number of the signal that asks it to stop.
    pub stop_signal: i32,
    /// The time from that signal to KILL.
    pub grace: Duration,
    /// Bytes of log kept on disk: the first half is the head, the rest the newest tail.
    pub log_limit: u64,
    /// What happens to processes that its main process leaves behind.
    pub background: Background,
    /// After which outcome of the steps above it runs; the default of a `finally` step is always.
    pub when: When,
    /// Whether the run may succeed although this step failed.
    pub may_fail: bool,
    /// Whether it runs after all other steps, also after a stop.
    pub finally: bool,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line, passed as the last argument to this shell (default `["sh", "-c"]`).
    Line {
        /// The shell's argv before the line.
        shell: Vec<String>,
        /// The line.
        line: String,
    },
    /// An argv array; no shell.
    Argv(Vec<String>),
}

/// How a failed attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    /// How many repetitions after the first attempt.
    pub max: u32,
    /// The delay before the first repetition.
    pub delay: Duration,
    /// The factor by which the delay grows each time; at least 1.
    pub factor: f64,
    /// The longest delay.
    pub max_delay: Duration,
}

impl Default for Retries {
    /// No repetition, and the default delays.
    fn default() -> Self {
        Self { max: 0, delay: Duration::from_secs(10), factor: 2.0, max_delay: Duration::from_secs(300) }
    }
}

/// What must be free before a step starts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Resources {
    /// Memory of its whole process tree, in bytes; none means as much as it has used before.
    pub memory: Option<u64>,
    /// How many CPUs it keeps busy; above 0.
    pub cpu: Option<f64>,
    /// How many bytes it writes, on the disk of its working directory.
    pub disk: Option<u64>,
}

/// What happens to runs while the machine runs on battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBattery {
    /// Nothing.
    #[default]
    Ignore,
    /// None of their steps starts.
    Hold,
    /// In addition, they are frozen.
    Freeze,
}

/// What happens to runs during quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnQuiet {
    /// They are frozen, and new ones wait.
    #[default]
    Freeze,
    /// They go on.
    Ignore,
}

/// What happens to the rest of a run after a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// No further step starts; running ones go on to their end.
    #[default]
    Stop,
    /// Branches that don't need the failed step go on.
    Continue,
}

/// What happens to a step whose process was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInterrupt {
    /// It runs again, from its last checkpoint.
    #[default]
    Rerun,
    /// It is skipped.
    Skip,
    /// The run waits for the operator.
    Ask,
}

/// What happens to processes that a step's main process leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// They are ended as well.
    #[default]
    End,
    /// They may go on.
    Keep,
}

/// After which outcome of the steps above a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// No step above failed.
    #[default]
    OnSuccess,
    /// At least one step above failed, was stopped or timed out.
    OnFailure,
    /// All steps above have ended, in any way.
    Always,
}

/// A parameter's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParamType {
    /// Any text.
    #[default]
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// `2026-11-23`.
    Date,
    /// A path; `~` is expanded.
    Path,
}

/// A parameter: a typed value, or a secret.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// A value that is stored with the run.
    Value {
        /// Its type.
        kind: ParamType,
        /// One line for people.
        description: Option<String>,
        /// The value when none is given; none means that a value must be given.
        default: Option<String>,
        /// The only values allowed, if any are listed.
        choices: Vec<String>,
    },
    /// A value that is fetched for each attempt and never stored.
    Secret(SecretSource),
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the engine's environment.
    Env(String),
    /// A file that only its owner can read.
    File(PathBuf),
    /// A command's standard output, without its last newline.
    Command(SecretCommand),
}

/// A command that prints a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// One `[[schedule]]` table of a pipeline file.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSchedule {
    /// The job's name: the key `id`. The first table without one gets the pipeline's id.
    pub job_id: JobId,
    /// When it is due.
    pub schedule: ScheduleConfig,
    /// Its zone; none means the machine's zone at the time when the job is added.
    pub zone: Option<Zone>,
    /// What happens to missed instants.
    pub misfire: MisfirePolicy,
    /// What happens to a due instant while an earlier run has not ended.
    pub overlap: Overlap,
    /// Its priority.
    pub priority: u32,
    /// Parameters of its runs.
    pub params: BTreeMap<String, String>,
    /// Run type of its runs.
    pub run_type: Option<String>,
    /// Environment of its runs.
    pub environment: Option<String>,
    /// Whether a new job fires. Afterwards only the operator enables or disables it.
    pub enabled: bool,
}

/// Implements the conversions between an enum and its words in a file.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The words of a file, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in a file for this value.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The value for a file's word; none when it is not one of [`Self::WORDS`].
            pub fn from_word(word: &str) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|value| value.word() == word)
            }
        }
    };
}

words!(OnFailure { Stop = "stop", Continue = "continue" });
words!(OnInterrupt { Rerun = "rerun", Skip = "skip", Ask = "ask" });
words!(OnBattery { Ignore = "ignore", Hold = "hold", Freeze = "freeze" });
words!(OnQuiet { Freeze = "freeze", Ignore = "ignore" });
words!(Background { End = "end", Keep = "keep" });
words!(When { OnSuccess = "on_success", OnFailure = "on_failure", Always = "always" });
words!(ParamType {
    String = "string",
    Int = "int",
    Float = "float",
    Bool = "bool",
    Date = "date",
    Path = "path",
});
