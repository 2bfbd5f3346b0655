//! Why a run or a step does not start: one cause, one holder, one thing to do, and the sentence for it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::base::id::{PipelineId, RunId};
use crate::base::time::{local_clock, maybe_instant};
use crate::base::units::{about, size_in_words};

/// What a run or a step waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Wait {
    /// For a place among the runs.
    Place {
        /// Which kind of place.
        place: Place,
        /// How many places there are.
        n_places: usize,
        /// A run that has one.
        holder: Option<Holder>,
    },
    /// For memory.
    Memory {
        /// How much it needs, in bytes.
        needs: u64,
        /// Whether that was learned from earlier runs.
        is_usual: bool,
        /// How much is free for it.
        free: u64,
        /// The run that holds most.
        holder: Option<Holder>,
    },
    /// For CPUs.
    Cpu {
        /// How many it needs.
        needs: f64,
        /// How many are free.
        free: f64,
        /// The run that holds most.
        holder: Option<Holder>,
    },
    /// For space on a disk.
    Disk {
        /// How much it needs, in bytes.
        needs: u64,
        /// How much is free for it.
        free: u64,
        /// The run that will write most.
        holder: Option<Holder>,
    },
    /// For open files: the supervisor can watch over no further step.
    OpenFiles {
        /// How many steps may live at once.
        n_steps: usize,
    },
    /// It asks for more than the machine or the operator gives.
    TooMuch {
        /// Of what: `memory`, `CPUs` or `disk space`.
        what: String,
        /// How much it asks for, in words.
        needs: String,
        /// How much there is, in words.
        there_is: String,
    },
    /// Behind a run that has waited so long that it must not be overtaken.
    Behind {
        /// That run.
        run_id: RunId,
    },
    /// Its turn has not come: others come first.
    Turn {
        /// When it comes at the earliest, if that is known: runs that waited for the end of quiet start one at a time.
        #[serde(default, serialize_with = "maybe_instant")]
        at: Option<DateTime<Utc>>,
    },
    /// A limit of the machine is exceeded.
    Limit {
        /// Which limit, with its figures, and when it is cleared.
        reason: String,
    },
    /// The operator has ordered quiet.
    Quiet {
        /// Until when; none means until the operator ends it.
        #[serde(default, serialize_with = "maybe_instant")]
        until: Option<DateTime<Utc>>,
    },
    /// The engine starts nothing new.
    Drain,
    /// The machine runs on battery.
    Battery,
    /// Nothing may start at the moment: nothing can be recorded, or the engine is about to end.
    Closed,
}

/// A kind of place for runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Among all runs.
    All,
    /// Among the runs of this pipeline.
    Pipeline(PipelineId),
    /// Among the runs of this group.
    Group(String),
}

/// The run that has what another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub run_id: RunId,
    /// How much it has, in bytes, for memory or space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Since when it is frozen, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "maybe_instant")]
    pub frozen_since: Option<DateTime<Utc>>,
}

/// The one thing to do about a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What to do, for people.
    pub text: String,
    /// The command that does it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Remedy {
    /// A remedy by a command.
    pub fn by(command: impl Into<String>, text: &str) -> Self {
        Self { text: text.to_owned(), command: Some(command.into()) }
    }

    /// A remedy without a command.
    pub fn only(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None }
    }
}

impl Wait {
    /// The cause and the holder, as one sentence without a full stop.
    pub fn sentence(&self, now: DateTime<Utc>) -> String {
        match self {
            Self::Place { place, n_places, holder } => {
                let room = match place {
                    Place::All => "a place".to_owned(),
                    Place::Pipeline(pipeline_id) => format!("a place among the runs of {pipeline_id}"),
                    Place::Group(group) => format!("a place in group {group}"),
                };
                let has = |holder: &Holder| held(holder, "has one", now);
                format!("Waiting for {room}: {n_places} of {n_places} taken{}", tail(holder.as_ref(), has))
            }
            Self::Memory { needs, is_usual, free, holder } => {
                let usually = if *is_usual { "usually needs" } else { "needs" };
                let (needs, free) = (size_in_words(*needs), size_in_words(*free));
                let holds = |holder: &Holder| held_bytes(holder, "holds", now);
                format!(
                    "Waiting for memory: {usually} {needs}, {free} are free{}",
                    tail(holder.as_ref(), holds)
                )
            }
            Self::Cpu { needs, free, holder } => {
                let keeps = |holder: &Holder| held(holder, "uses most of them", now);
                let free = (free * 10.0).round() / 10.0;
                format!("Waiting for CPUs: needs {needs}, {free} are free{}", tail(holder.as_ref(), keeps))
            }
            Self::Disk { needs, free, holder } => {
                let (needs, free) = (size_in_words(*needs), size_in_words(*free));
                let writes = |holder: &Holder| held_bytes(holder, "still has to write", now);
                format!(
                    "Waiting for disk space: needs {needs}, {free} are free{}",
                    tail(holder.as_ref(), writes)
                )
            }
            Self::OpenFiles { n_steps } => {
                let steps = if *n_steps == 1 { "1 step runs" } else { &format!("{n_steps} steps run") };
                format!("Waiting for open files: {steps}, and their limit (ulimit -n) allows no more at once")
            }
            Self::TooMuch { what, needs, there_is } => {
                let are = if what == "CPUs" { "are" } else { "is" };
                format!("Asks for more {what} than there {are}: {needs} of {there_is}")
            }
            Self::Behind { run_id } => {
                format!(
                    "Waiting behind run {run_id}, which has waited so long that no other run may start before it"
                )
            }
            Self::Turn { at: Some(_) } => {
                "Waiting for its turn: runs that were held back start one at a time".to_owned()
            }
            Self::Turn { at: None } => "Waiting for its turn: others come first".to_owned(),
            Self::Limit { reason } => format!("Waiting: {reason}"),
            Self::Quiet { until: Some(until) } => {
                format!("Waiting for the end of quiet at {}", local_clock(*until, now))
            }
            Self::Quiet { until: None } => "Waiting for the end of quiet".to_owned(),
            Self::Drain => "Waiting: the engine drains and starts nothing new".to_owned(),
            Self::Battery => "Waiting: the machine runs on battery".to_owned(),
            Self::Closed => {
                "Waiting: nothing can start at the moment (nothing can be recorded, or the engine is ending)"
                    .to_owned()
            }
        }
    }

    /// The run that holds what is waited for.
    pub fn holder(&self) -> Option<&RunId> {
        match self {
            Self::Place { holder, .. }
            | Self::Memory { holder, .. }
            | Self::Cpu { holder, .. }
            | Self::Disk { holder, .. } => holder.as_ref().map(|holder| &holder.run_id),
            Self::Behind { run_id } => Some(run_id),
            Self::TooMuch { .. }
            | Self::OpenFiles { .. }
            | Self::Turn { .. }
            | Self::Limit { .. }
            | Self::Quiet { .. }
            | Self::Drain
            | Self::Battery
            | Self::Closed => None,
        }
    }

    /// The one thing to do about it, for the run `waiting`.
    pub fn remedy(&self, waiting: &RunId) -> Remedy {
        let frozen = |holder: &Option<Holder>| {
            let holder = holder.as_ref().filter(|holder| holder.frozen_since.is_some())?;
            let text = "resume the frozen run, so that it ends and frees what it holds";
            Some(Remedy::by(format!("leverframe resume {}", holder.run_id), text))
        };
        let admit = || Remedy::by(format!("leverframe admit {waiting}"), "start it anyway");
        match self {
            Self::Place { holder, .. }
            | Self::Memory { holder, .. }
            | Self::Cpu { holder, .. }
            | Self::Disk { holder, .. } => frozen(holder).unwrap_or_else(admit),
            Self::TooMuch { .. } => Remedy::by(
                format!("leverframe admit {waiting}"),
                "lower the step's `resources`, or start it anyway",
            ),
            Self::OpenFiles { .. } => Remedy::only(
                "raise the hard limit of open files (`ulimit -Hn`, in a service `LimitNOFILE=`) and restart the engine when nothing runs, or lower `max_parallel`",
            ),
            Self::Quiet { .. } => Remedy::by("leverframe quiet --off", "end the quiet"),
            Self::Drain => Remedy::by("leverframe drain --off", "let the engine start runs again"),
            Self::Battery => {
                Remedy::by(format!("leverframe admit {waiting}"), "plug it in, or start it anyway")
            }
            Self::Limit { .. } | Self::Behind { .. } | Self::Turn { .. } => admit(),
            Self::Closed => Remedy::only("`leverframe doctor` shows the cause"),
        }
    }

    /// Whether it stops every step, whatever that needs.
    pub const fn is_for_all(&self) -> bool {
        matches!(self, Self::Limit { .. } | Self::Battery | Self::OpenFiles { .. })
    }

    /// Whether it can end when a run ends.
    pub const fn is_for_place(&self) -> bool {
        matches!(self, Self::Place { .. } | Self::Behind { .. } | Self::Turn { at: None })
    }

    /// Whether it can end when a step ends, or when a sample shows more room.
    pub const fn is_for_room(&self) -> bool {
        matches!(
            self,
            Self::Memory { .. }
                | Self::Cpu { .. }
                | Self::Disk { .. }
                | Self::Behind { .. }
                | Self::Turn { at: None }
        )
    }

    /// Whether it is the same wait as `other`, even if some figures or the holder have changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Place { place: a, n_places: n, .. }, Self::Place { place: b, n_places: m, .. }) => {
                (a, n) == (b, m)
            }
            (Self::Memory { needs: a, .. }, Self::Memory { needs: b, .. })
            | (Self::Disk { needs: a, .. }, Self::Disk { needs: b, .. }) => a == b,
            (Self::Cpu { .. }, Self::Cpu { .. }) => true,
            (Self::Turn { at: a }, Self::Turn { at: b }) => a.is_some() == b.is_some(),
            (a, b) => a == b,
        }
    }
}

/// The part of the sentence about the holder.
fn tail(holder: Option<&Holder>, say: impl Fn(&Holder) -> String) -> String {
    holder.map_or_else(String::new, |holder| format!("; run {}", say(holder)))
}

fn held(holder: &Holder, does: &str, now: DateTime<Utc>) -> String {
    let frozen = match holder.frozen_since {
        Some(since) => format!(" (frozen {})", about((now - since).max(TimeDelta::zero()))),
        None => String::new(),
    };
    format!("{} {does}{frozen}", holder.run_id)
}

fn held_bytes(holder: &Holder, does: &str, now: DateTime<Utc>) -> String {
    match holder.bytes {
        Some(bytes) => held(holder, &format!("{does} {}", size_in_words(bytes)), now),
        None => held(holder, does, now),
    }
}
