//! The words for the states of runs and steps: one spelling from database column to button.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in columns, JSON, messages and buttons.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The variant of a word; none for any other text.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// The state of a run.
    RunState {
        /// Recorded; waits for what it needs before its first step.
        Queued = "queued",
        /// Its steps run, or its program does.
        Running = "running",
        /// Frozen by the operator, or held: no new step starts, its clocks stand still.
        Paused = "paused",
        /// Asked to stop; its steps are ending.
        Stopping = "stopping",
        /// Ended because it was asked to.
        Stopped = "stopped",
        /// Ended by force.
        ForceStopped = "force_stopped",
        /// Ended well.
        Completed = "completed",
        /// Ended badly.
        Failed = "failed",
        /// Lost with the machine or its program; can run again.
        Interrupted = "interrupted",
    }
}

impl RunState {
    /// Whether nothing more happens to it without a request.
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Paused | Self::Stopping => false,
            Self::Stopped | Self::ForceStopped | Self::Completed | Self::Failed | Self::Interrupted => true,
        }
    }

    /// Whether `resume` takes it up again under the same id after it has ended.
    pub const fn is_resumable(self) -> bool {
        match self {
            Self::Stopped | Self::ForceStopped | Self::Failed | Self::Interrupted => true,
            Self::Queued | Self::Running | Self::Paused | Self::Stopping | Self::Completed => false,
        }
    }
}

words! {
    /// The state of a step within its run.
    StepState {
        /// Its turn has not come.
        Pending = "pending",
        /// Its turn has come; it waits for a slot, a retry delay or a secret.
        Waiting = "waiting",
        /// Its process lives, or is being started.
        Running = "running",
        /// Its process tree is frozen.
        Paused = "paused",
        /// Ended with exit code 0.
        Completed = "completed",
        /// Ended otherwise, could not be started, or timed out.
        Failed = "failed",
        /// Never ran, because of `when`, a failure above, or `on_interrupt`.
        Skipped = "skipped",
        /// Ended because the run was stopped.
        Stopped = "stopped",
        /// Its process was lost.
        Interrupted = "interrupted",
    }
}

impl StepState {
    /// Whether this attempt is over.
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Pending | Self::Waiting | Self::Running | Self::Paused => false,
            Self::Completed | Self::Failed | Self::Skipped | Self::Stopped | Self::Interrupted => true,
        }
    }

    /// Whether a process of this attempt may be alive.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Whether this attempt is over without having completed or been skipped.
    pub const fn is_bad_end(self) -> bool {
        matches!(self, Self::Failed | Self::Stopped | Self::Interrupted)
    }
}

words! {
    /// What started a run.
    Trigger {
        /// A person or a script.
        Manual = "manual",
        /// A schedule.
        Schedule = "schedule",
        /// The end of another job's run.
        After = "after",
        /// A retry by hand.
        Retry = "retry",
        /// Recovery after a loss.
        Recovery = "recovery",
    }
}
