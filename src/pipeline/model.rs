//! The parsed, validated pipeline: every default filled in, every path absolute, every need an index.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Graph, PipelineSchedule};
use crate::base::id::{PipelineId, StepId};

/// One pipeline as a run uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Its name: the key `id`, else the file's stem.
    pub id: PipelineId,
    /// What it reads from; default: the id.
    pub source: String,
    /// One line for people.
    pub description: Option<String>,
    /// Steps at once; none: the number of CPUs.
    pub max_parallel: Option<usize>,
    /// Whether branches that don't need a failed step go on.
    pub on_failure: OnFailure,
    /// The longest that the whole run may take while awake and not frozen.
    pub timeout: Option<Duration>,
    /// Its runs at once; none: as many as the settings allow.
    pub max_concurrent_runs: Option<usize>,
    /// The group whose runs are counted together.
    pub group: Option<String>,
    /// From 0 to 9: among runs that wait, the highest goes first.
    pub priority: u8,
    /// What becomes of its runs while the machine lives on its battery.
    pub on_battery: OnBattery,
    /// What becomes of its runs while it is quiet.
    pub quiet: OnQuiet,
    /// Whether the machine is kept awake while a run of it runs.
    pub inhibit_sleep: bool,
    /// Parameters by name.
    pub params: BTreeMap<String, Param>,
    /// Environment of every step, expanded by the engine when a step starts.
    pub env: BTreeMap<String, String>,
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// The jobs that stand in its file.
    pub schedules: Vec<PipelineSchedule>,
    /// What stands above what: [`Graph::of`] these steps.
    pub graph: Graph,
}

/// One step with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// Indices into [`Pipeline::steps`] of the steps that must have ended first. A `finally` step also waits
    /// for every step that is none; these are not listed here.
    pub needs: Vec<usize>,
    /// What it runs.
    pub command: Command,
    /// Where it runs: absolute.
    pub working_dir: PathBuf,
    /// Its own environment, over the pipeline's.
    pub env: BTreeMap<String, String>,
    /// The longest that one attempt may take while awake and not frozen.
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
    /// How long it may take from that signal to KILL.
    pub grace: Duration,
    /// Bytes of log kept on disk: half of it head, the rest newest tail.
    pub log_limit: u64,
    /// What becomes of processes that its main process leaves behind.
    pub background: Background,
    /// Under which outcome of the steps above it runs; a `finally` step that does not say: always.
    pub when: When,
    /// Its failure does not fail the run.
    pub may_fail: bool,
    /// It runs after everything, also after a stop.
    pub finally: bool,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line, handed as the last argument to this shell (default `["sh", "-c"]`).
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
    /// Repetitions after the first attempt.
    pub max: u32,
    /// Before the first repetition.
    pub delay: Duration,
    /// By which the delay grows each time; at least 1.
    pub factor: f64,
    /// The longest delay.
    pub max_delay: Duration,
}

impl Default for Retries {
    /// None, and the delays that a pipeline gets which only says how many.
    fn default() -> Self {
        Self { max: 0, delay: Duration::from_secs(10), factor: 2.0, max_delay: Duration::from_secs(300) }
    }
}

/// What a step asks for: it starts only where so much is free.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Resources {
    /// Memory of its whole process tree, in bytes; none: what it has needed before.
    pub memory: Option<u64>,
    /// CPUs that it keeps busy; above 0.
    pub cpu: Option<f64>,
    /// Bytes that it writes on the disk of its folder.
    pub disk: Option<u64>,
}

/// What becomes of runs while the machine lives on its battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBattery {
    /// Nothing.
    #[default]
    Ignore,
    /// No step of theirs starts.
    Hold,
    /// They are frozen as well.
    Freeze,
}

/// What becomes of runs while it is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnQuiet {
    /// They are frozen, and new ones wait.
    #[default]
    Freeze,
    /// They go on.
    Ignore,
}

/// What a failed step does to the rest of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Nothing new starts; what runs ends.
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
    /// It is passed over.
    Skip,
    /// The run waits for the operator.
    Ask,
}

/// What becomes of processes that a step's main process leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// They are ended with it.
    #[default]
    End,
    /// They are left alone.
    Keep,
}

/// Under which outcome of the steps above a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// No step above failed.
    #[default]
    OnSuccess,
    /// At least one step above failed, was stopped or timed out.
    OnFailure,
    /// Once all above have ended.
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
        /// Its value where none is given; none: it must be given.
        default: Option<String>,
        /// The only values allowed, if any are listed.
        choices: Vec<String>,
    },
    /// A value that is fetched anew at each attempt and never stored.
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
    /// The longest that it may take.
    pub timeout: Duration,
}

/// Gives an enum whose values are words in a file these words, both ways.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The words that a file may say, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in a file for this value.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The value for a file's word; none where it is not one of [`Self::WORDS`].
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
