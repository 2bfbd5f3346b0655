//! What is chosen on the page of jobs beside the form: its tab, the month, the filter of the ledger, and the span of a
//! backfill. It paints nothing.

use std::ops::Range;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};

use super::format;
use crate::base::id::JobId;
use crate::base::tz::Tz;
use crate::window::{Action, FiresQuestion, LedgerFilter, LedgerKind, MonthOf, day_begin};

/// What the page of jobs shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ScheduleTab {
    /// The jobs, and the day ahead.
    #[default]
    Jobs,
    /// A month.
    Calendar,
    /// The ledger of fires.
    Fires,
}

impl ScheduleTab {
    pub(super) const ALL: [Self; 3] = [Self::Jobs, Self::Calendar, Self::Fires];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::Calendar => "Month",
            Self::Fires => "Fires",
        }
    }
}

/// How far back the ledger is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LedgerSpan {
    #[default]
    Any,
    Day,
    Week,
    Month,
    /// One day of the calendar.
    On(NaiveDate),
}

impl LedgerSpan {
    pub(super) const ALL: [Self; 4] = [Self::Any, Self::Day, Self::Week, Self::Month];

    pub(super) fn text(self) -> String {
        match self {
            Self::Any => "any time".to_owned(),
            Self::Day => "last 24 hours".to_owned(),
            Self::Week => "last 7 days".to_owned(),
            Self::Month => "last 30 days".to_owned(),
            Self::On(day) => format::day(day, "%a %-d %b %Y"),
        }
    }

    fn instants(self, now: DateTime<Utc>, zone: Tz) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let days = match self {
            Self::Any => return (None, None),
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::On(day) => {
                let next = day.checked_add_days(Days::new(1));
                return (day_begin(day, zone), next.and_then(|next| day_begin(next, zone)));
            }
        };
        (Some(now - TimeDelta::days(days)), None)
    }
}

/// The words of the kinds of rows.
pub(super) const fn kind_text(kind: LedgerKind) -> &'static str {
    match kind {
        LedgerKind::Any => "any outcome",
        LedgerKind::Completed => "completed",
        LedgerKind::Failed => "failed",
        LedgerKind::NotRun => "not run",
        LedgerKind::Open => "under way",
    }
}

pub(super) const KINDS: [LedgerKind; 5] =
    [LedgerKind::Any, LedgerKind::Completed, LedgerKind::Failed, LedgerKind::NotRun, LedgerKind::Open];

/// Which rows of the ledger are shown.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) kind: LedgerKind,
    span: LedgerSpan,
    /// Its instants, as of when it was chosen: a list that moves with the clock would be another every second.
    instants: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Only rows of the selected job.
    pub(super) is_of_selected: bool,
    visible: Range<usize>,
}

impl Ledger {
    /// Rows are asked for in parts that begin at a multiple of this.
    const PART: usize = 50;

    pub(super) fn span(&self) -> LedgerSpan {
        self.span
    }

    pub(super) fn set_span(&mut self, span: LedgerSpan, now: DateTime<Utc>, zone: Tz) {
        if span != self.span {
            (self.span, self.instants) = (span, span.instants(now, zone));
        }
    }

    pub(super) fn set_rows(&mut self, rows: Range<usize>) {
        self.visible = rows;
    }

    /// What is shown of it, and around that.
    pub(super) fn question(&self, selected: Option<&JobId>) -> FiresQuestion {
        let filter = LedgerFilter {
            job_id: selected.filter(|_| self.is_of_selected).cloned(),
            kind: self.kind,
            since: self.instants.0,
            until: self.instants.1,
        };
        let offset = (self.visible.start / Self::PART).saturating_sub(1) * Self::PART;
        let end = self.visible.end.max(1).div_ceil(Self::PART) * Self::PART + Self::PART;
        FiresQuestion { filter, offset, limit: end - offset }
    }
}

/// The month of the calendar.
#[derive(Debug, Default)]
pub(super) struct CalendarPage {
    /// A day of the month that is shown; none: the present one.
    pub(super) month: Option<NaiveDate>,
    /// Only the selected job.
    pub(super) is_of_selected: bool,
}

impl CalendarPage {
    pub(super) fn of(&self, selected: Option<&JobId>, today: NaiveDate) -> MonthOf {
        let month = self.month.unwrap_or(today);
        let first = month.with_day(1).unwrap_or(month);
        MonthOf { first, job_id: selected.filter(|_| self.is_of_selected).cloned() }
    }
}

/// The form of a backfill.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BackfillForm {
    pub(super) job_id: JobId,
    pub(super) zone: Tz,
    /// The first and the last day, as they are entered.
    pub(super) from: String,
    pub(super) to: String,
    /// A day of the month that the open calendar shows.
    pub(super) month: Option<NaiveDate>,
    pub(super) refusal: Option<String>,
    pub(super) is_running: bool,
}

impl BackfillForm {
    /// For the week up to `now`.
    pub(super) fn new(job_id: JobId, zone: Tz, now: DateTime<Utc>) -> Self {
        let today = now.with_timezone(&zone).date_naive();
        let from = today.checked_sub_days(Days::new(7)).unwrap_or(today);
        let (from, to) = (from.to_string(), today.to_string());
        Self { job_id, zone, from, to, month: None, refusal: None, is_running: false }
    }

    /// What is wrong with a day.
    pub(super) fn error(text: &str) -> Option<&'static str> {
        text.trim().parse::<NaiveDate>().err().map(|_| "a date such as 2026-11-23")
    }

    /// Whether the last day comes before the first.
    pub(super) fn is_reversed(&self) -> bool {
        let day = |text: &str| text.trim().parse::<NaiveDate>().ok();
        day(&self.to).zip(day(&self.from)).is_some_and(|(to, from)| to < from)
    }

    /// The job and the span; none while a day is none.
    pub(super) fn asked(&self) -> Option<(JobId, DateTime<Utc>, DateTime<Utc>)> {
        let day = |text: &str| text.trim().parse::<NaiveDate>().ok();
        let from = day_begin(day(&self.from)?, self.zone)?;
        let to = day_begin(day(&self.to)?.checked_add_days(Days::new(1))?, self.zone)?;
        let to = to - TimeDelta::milliseconds(1);
        (from <= to).then(|| (self.job_id.clone(), from, to))
    }

    /// The action that runs it; none while it can't be.
    pub(super) fn request(&self) -> Option<Action> {
        let (job_id, from, to) = self.asked().filter(|_| !self.is_running)?;
        Some(Action::Backfill { job_id, from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn rows_are_asked_for_in_parts_so_that_scrolling_a_little_asks_nothing() {
        let mut ledger = Ledger::default();
        let asked = |ledger: &mut Ledger, rows| {
            ledger.set_rows(rows);
            let question = ledger.question(None);
            (question.offset, question.limit)
        };
        assert_eq!(asked(&mut ledger, 0..12), (0, 100));
        assert_eq!(asked(&mut ledger, 30..42), (0, 100));
        assert_eq!(asked(&mut ledger, 120..132), (50, 150));
    }

    #[test]
    fn a_day_of_the_calendar_is_a_day_of_the_zone() {
        let mut ledger = Ledger::default();
        let zone: Tz = "America/New_York".parse().unwrap();
        let day = "2026-11-01".parse().unwrap();
        ledger.set_span(LedgerSpan::On(day), at("2026-11-23T00:00:00Z"), zone);
        let filter = ledger.question(None).filter;
        assert_eq!(filter.since, Some(at("2026-11-01T04:00:00Z")));
        assert_eq!(filter.until, Some(at("2026-11-02T05:00:00Z")), "the clock goes back on that day");
        ledger.set_span(LedgerSpan::Week, at("2026-11-23T00:00:00Z"), zone);
        ledger.set_span(LedgerSpan::Week, at("2026-11-24T00:00:00Z"), zone);
        assert_eq!(ledger.question(None).filter.since, Some(at("2026-11-16T00:00:00Z")));
    }

    #[test]
    fn a_backfill_is_of_whole_days_and_none_while_a_day_is_none() {
        let job_id = JobId::new("backup").unwrap();
        let zone: Tz = "Europe/Madrid".parse().unwrap();
        let mut form = BackfillForm::new(job_id, zone, at("2026-11-23T14:00:00Z"));
        assert_eq!((&*form.from, &*form.to), ("2026-11-16", "2026-11-23"));
        let (_, from, to) = form.asked().unwrap();
        assert_eq!((from, to), (at("2026-11-15T23:00:00Z"), at("2026-11-23T22:59:59.999Z")));
        form.to = "2026-11-15".to_owned();
        assert!(form.is_reversed() && form.request().is_none());
        form.to = "soon".to_owned();
        assert!(BackfillForm::error(&form.to).is_some() && form.request().is_none());
    }
}
