//! The engine as its thread holds it: parts, each with its data and one rule, which the beats bring together. No other
//! thread changes a run.

use super::acting::Acting;
use super::clock;
use super::deadlines::Deadlines;
use super::host_link::HostLink;
use super::inbox::Inbox;
use super::lifecycle::Lifecycle;
use super::line::AdmissionLine;
use super::machine::Machine;
use super::outage::Outage;
use super::publisher::Publisher;
use super::recorder::Recorder;
use super::reports::Reports;
use super::runs::Runs;
use crate::run::{Context, Starts};

/// The parts of the engine. What concerns several of them is in [`beats`](super::beats) (decide, record, act, tell),
/// [`translate`](super::translate) and [`host_news`](super::host_news) (what a message means for runs),
/// [`recovery`](super::recovery) (what an earlier engine left) and [`turn`](super::turn) (one round of the thread).
pub(super) struct Engine {
    /// Dropped first: it closes the bus.
    pub(super) publisher: Publisher,
    pub(super) inbox: Inbox,
    pub(super) runs: Runs,
    pub(super) recorder: Recorder,
    pub(super) outage: Outage,
    pub(super) deadlines: Deadlines,
    pub(super) line: AdmissionLine,
    pub(super) machine: Machine,
    pub(super) host: HostLink,
    pub(super) acting: Acting,
    pub(super) reports: Reports,
    /// Dropped last: it holds the lock of the data directory.
    pub(super) lifecycle: Lifecycle,
}

impl Engine {
    /// What decisions need besides the run and the input.
    pub(super) fn context(&self) -> Context<'_> {
        let may_start = !self.outage.is_on() && self.lifecycle.may_start();
        let starts = if !may_start {
            Starts::Held
        } else if self.lifecycle.is_closing() {
            // No step waits for limits while the engine stops its runs.
            Starts::Allowed
        } else {
            self.machine.starts_within_limits()
        };
        Context {
            now: clock::now(),
            n_cpus: self.machine.n_cpus(),
            starts,
            held_for: self.machine.held_for(),
            admission: self.line.admission(),
            salt: self.acting.salt(),
            boot_id: self.machine.boot_id(),
        }
    }
}
