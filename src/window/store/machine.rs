//! The machine in the read model: its samples, its limits, and when they were raised.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{MAX_NOTICES, MAX_SAMPLES, SAMPLE_SPAN};
use crate::resources::{Limits, MachineSample, Resource};
use crate::window::machine_history::{AlertMark, HistorySpan, MachineHistory};
use crate::window::port::Action;

#[derive(Debug, Default)]
pub struct MachineModel {
    samples: VecDeque<MachineSample>,
    limits: Limits,
    short_of: Vec<Resource>,
    marks: VecDeque<AlertMark>,
    history: Option<Arc<MachineHistory>>,
    wanted: Option<HistorySpan>,
    holds_for: TimeDelta,
    asked_at: Option<DateTime<Utc>>,
}

impl MachineModel {
    /// Samples of the last ten minutes, oldest first.
    pub fn samples(&self) -> &VecDeque<MachineSample> {
        &self.samples
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn is_short_of(&self, resource: Resource) -> bool {
        self.short_of.contains(&resource)
    }

    /// When limits were raised and cleared while the window was open and shortly before, oldest first; at most
    /// `MAX_NOTICES`.
    pub fn marks(&self) -> &VecDeque<AlertMark> {
        &self.marks
    }

    /// The history that was requested last, once it has arrived.
    pub fn history(&self) -> Option<&Arc<MachineHistory>> {
        self.history.as_ref().filter(|history| Some(history.span) == self.wanted)
    }

    /// How long until the history is to be read again; none when it is not visible.
    pub fn next_reading(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.wanted?;
        let due_at = self.asked_at? + self.holds_for;
        Some((due_at - now).to_std().unwrap_or_default())
    }

    /// Sets the visible span, and after how long it is read again. Returns the request for it, if it has to be read.
    pub(crate) fn want(
        &mut self,
        wanted: Option<(HistorySpan, TimeDelta)>,
        now: DateTime<Utc>,
    ) -> Option<Action> {
        let span = wanted.map(|(span, _)| span);
        if span != self.wanted {
            (self.wanted, self.asked_at) = (span, None);
        }
        let (span, holds_for) = wanted?;
        self.holds_for = holds_for;
        // Also read again if the clock was set back.
        let is_known = self.asked_at.is_some_and(|at| (at..at + holds_for).contains(&now));
        (!is_known).then(|| {
            self.asked_at = Some(now);
            Action::LoadHistory(span)
        })
    }

    pub(crate) fn put_sample(&mut self, sample: MachineSample) {
        let is_newer = self.samples.back().is_none_or(|last| last.at < sample.at);
        if !is_newer {
            // The clock was set back: a curve that runs backwards would be meaningless.
            self.samples.clear();
        }
        let at = sample.at;
        self.samples.push_back(sample);
        while self.samples.len() > MAX_SAMPLES
            || self.samples.front().is_some_and(|first| first.at < at - SAMPLE_SPAN)
        {
            self.samples.pop_front();
        }
    }

    pub(crate) fn put_history(&mut self, history: Arc<MachineHistory>) {
        if Some(history.span) == self.wanted {
            self.history = Some(history);
        }
    }

    pub(crate) fn put_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(crate) fn put_short_of(&mut self, short_of: Vec<Resource>) {
        self.short_of = short_of;
    }

    pub(crate) fn put_marks(&mut self, marks: impl IntoIterator<Item = AlertMark>) {
        for mark in marks {
            if self.marks.iter().any(|known| known.is_same(&mark)) {
                continue;
            }
            let at = self.marks.partition_point(|known| known.at <= mark.at);
            self.marks.insert(at, mark);
        }
        let excess = self.marks.len().saturating_sub(MAX_NOTICES);
        self.marks.drain(..excess);
    }
}
