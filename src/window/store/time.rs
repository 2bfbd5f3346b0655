//! What is known of the time in the read model: the part of it that an axis shows in detail, what ran at the line, and
//! what the run used whose page is open. One question of each kind is on its way at most.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::slot::Slot;
use crate::api::RunPoint;
use crate::base::id::RunId;
use crate::window::port::Action;
use crate::window::time_range::{Moment, RangeHistory, TimeAnswer, TimeQuestion, TimeRange};

/// How old the curve of a living run may become: the window keeps newer samples of it.
const RUN_HOLDS: TimeDelta = TimeDelta::minutes(5);

/// A run, its start, and its end if it has ended.
type Lasted<'a> = (&'a RunId, DateTime<Utc>, Option<DateTime<Utc>>);

#[derive(Debug, Default)]
pub struct TimeModel {
    range: Slot<TimeRange, Arc<RangeHistory>>,
    moment: Slot<DateTime<Utc>, Moment>,
    run: Slot<(RunId, TimeRange), Arc<[RunPoint]>>,
}

impl TimeModel {
    /// What the machine did, if all of `range` is known in detail.
    pub fn range(&self, range: TimeRange) -> Option<&RangeHistory> {
        let known = self.range.known().map(|(_, history)| &**history);
        known.filter(|history| history.range.holds(range))
    }

    /// What ran at that moment or less than a second beside it, once it is known.
    pub fn moment(&self, at: DateTime<Utc>) -> Option<&Moment> {
        let known = self.moment.known().map(|(_, moment)| moment);
        known.filter(|moment| (moment.at - at).abs() < TimeDelta::seconds(1))
    }

    /// What a run used, oldest first, as far as it is known.
    pub fn use_of_run(&self, run_id: &RunId) -> &[RunPoint] {
        match self.run.known() {
            Some(((of, _), points)) if of == run_id => points,
            Some(_) | None => &[],
        }
    }

    /// Sets the range that is shown in detail. Its surroundings are read with it, so that it can be moved.
    pub(crate) fn want_range(&mut self, shown: Option<TimeRange>) -> Option<Action> {
        let Some(shown) = shown else {
            return self.range.want(None).map(TimeQuestion::Range).map(Action::AskTime);
        };
        let is_good = |known: &TimeRange| known.holds(shown) && known.length() <= shown.length() * 8;
        let wanted = self.range.wanted().copied().filter(is_good).unwrap_or_else(|| TimeRange {
            from: shown.from - shown.length(),
            until: shown.until + shown.length(),
        });
        self.range.want(Some(wanted)).map(TimeQuestion::Range).map(Action::AskTime)
    }

    /// Sets the moment at the line.
    pub(crate) fn want_moment(&mut self, at: Option<DateTime<Utc>>) -> Option<Action> {
        self.moment.want(at).map(TimeQuestion::Moment).map(Action::AskTime)
    }

    /// Sets the run whose curve is shown, from its start to its end; without an end it is read again now and then.
    pub(crate) fn want_run(&mut self, run: Option<Lasted<'_>>, now: DateTime<Utc>) -> Option<Action> {
        let wanted = run.map(|(run_id, from, until)| {
            let known = self.run.wanted().filter(|(of, range)| {
                of == run_id
                    && range.from == from
                    && until.is_none()
                    && (range.until..range.until + RUN_HOLDS).contains(&now)
            });
            let read_until = until.map_or(now, |until| until + TimeDelta::seconds(1));
            let fresh = || (run_id.clone(), TimeRange { from, until: read_until });
            known.cloned().unwrap_or_else(fresh)
        });
        let question = |(run_id, range)| TimeQuestion::Run(run_id, range);
        self.run.want(wanted).map(question).map(Action::AskTime)
    }

    pub(crate) fn put(&mut self, answer: TimeAnswer) -> Option<Action> {
        let question = match answer {
            TimeAnswer::Range(history) => self.range.put(history.range, history).map(TimeQuestion::Range),
            TimeAnswer::Moment(moment) => self.moment.put(moment.at, moment).map(TimeQuestion::Moment),
            TimeAnswer::Run(run_id, range, points) => {
                let next = self.run.put((run_id, range), points);
                next.map(|(run_id, range)| TimeQuestion::Run(run_id, range))
            }
        };
        question.map(Action::AskTime)
    }

    pub(crate) fn forget_questions(&mut self) {
        self.range.forget_question();
        self.moment.forget_question();
        self.run.forget_question();
    }
}
