//! The history of the machine over an hour, a day or a month: points, the steps that ran, and when limits were raised.
//! Bounded, whatever the file holds.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{LimitChangeRow, MachinePoint, Resolution, SampleHistory, StepSpan, StoreError};

/// How many steps of a span are shown: the heaviest.
pub(super) const MAX_SPANS: usize = 200;
/// How many changes of limits of a span are shown: the newest.
const MAX_MARKS_OF_HISTORY: usize = 200;
/// How many points of a span are shown.
#[cfg(test)]
const MAX_POINTS: usize = 1500;

/// How far a window looks back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistorySpan {
    /// 60 minutes.
    #[default]
    Hour,
    /// 24 hours.
    Day,
    /// 30 days.
    Month,
}

impl HistorySpan {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// How far it reaches back.
    pub const fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
            Self::Month => TimeDelta::days(30),
        }
    }

    /// From one point to the next.
    pub const fn step(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::seconds(3),
            Self::Day => TimeDelta::minutes(1),
            Self::Month => TimeDelta::minutes(30),
        }
    }

    /// The age at which the history is worth reading again.
    pub const fn holds_for(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::seconds(10),
            Self::Day => TimeDelta::minutes(1),
            Self::Month => TimeDelta::minutes(10),
        }
    }

    /// The finest resolution that is kept for so long.
    const fn resolution(self) -> Resolution {
        match self {
            Self::Hour => Resolution::Full,
            Self::Day => Resolution::TenSeconds,
            Self::Month => Resolution::Minute,
        }
    }
}

/// A limit was raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertMark {
    pub at: DateTime<Utc>,
    /// The sentence of the notification.
    pub text: String,
    /// Whether the limit was cleared; otherwise it was raised.
    pub is_cleared: bool,
}

impl AlertMark {
    /// Whether both are of the same change. An event and a sample each report it, with instants that differ a little.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_cleared == other.is_cleared && (self.at - other.at).abs() < TimeDelta::seconds(2)
    }
}

impl From<LimitChangeRow> for AlertMark {
    fn from(row: LimitChangeRow) -> Self {
        Self { at: row.at, text: row.text, is_cleared: !row.is_raised }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct MachineHistory {
    /// How far the history reaches back.
    pub span: HistorySpan,
    /// When the file was read.
    pub read_at: DateTime<Utc>,
    /// The machine, oldest first. The last ten seconds may be missing.
    pub points: Vec<MachinePoint>,
    /// Steps, by their beginning.
    pub spans: Vec<StepSpan>,
    /// Changes of limits, oldest first.
    pub marks: Vec<AlertMark>,
}

impl MachineHistory {
    /// Reads the history up to `now`.
    pub(crate) fn read(
        history: &SampleHistory,
        span: HistorySpan,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let range = (now - span.length(), now + TimeDelta::seconds(1));
        let points = history.machine_in_steps(span.resolution(), range, span.step())?;
        let memory = points.iter().map(|point| point.memory_total_bytes).max().unwrap_or_default();
        Ok(Self {
            span,
            read_at: now,
            spans: history.step_spans(span.resolution(), range, memory, MAX_SPANS)?,
            marks: marks(history, range)?,
            points,
        })
    }
}

/// The changes of limits in a range.
pub(crate) fn marks(
    history: &SampleHistory,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<AlertMark>, StoreError> {
    let changes = history.limit_changes(from, until, MAX_MARKS_OF_HISTORY)?;
    Ok(changes.into_iter().map(AlertMark::from).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::resources::{MachineSample, ResourceSnapshot};
    use crate::store::SampleStore;

    #[test]
    fn a_span_of_any_length_has_no_more_points_than_a_window_can_hold() {
        for span in HistorySpan::ALL {
            let n = span.length().num_milliseconds() / span.step().num_milliseconds() + 2;
            assert!(n as usize <= MAX_POINTS, "{span:?} has {n}");
        }
    }

    #[test]
    fn each_span_is_read_from_what_is_kept_for_so_long() {
        let dir = tempfile::tempdir().unwrap();
        let store = SampleStore::open(dir.path().join("samples.db")).unwrap();
        let now: DateTime<Utc> = "2026-11-23T14:00:00Z".parse().unwrap();
        let read = |span| MachineHistory::read(store.history(), span, now).unwrap();
        assert_eq!(read(HistorySpan::Hour).points, [], "no file yet");
        // Two hours, a sample every five seconds.
        for n in (0..=1440).rev() {
            let machine = MachineSample {
                at: now - TimeDelta::seconds(n * 5),
                cpu_fraction: if n == 700 { 1.0 } else { 0.25 },
                memory_total_bytes: 1 << 30,
                ..MachineSample::default()
            };
            store.push(&Arc::new(ResourceSnapshot { machine, ..ResourceSnapshot::default() }));
            if n % 100 == 0 {
                store.flush();
            }
        }
        let hour = read(HistorySpan::Hour);
        assert!((719..=721).contains(&hour.points.len()), "{} points", hour.points.len());
        assert!(hour.points.iter().any(|point| point.cpu_peak == 1.0), "a peak is not lost");
        let day = read(HistorySpan::Day);
        assert!((119..=121).contains(&day.points.len()), "{} points", day.points.len());
        assert!((4..=5).contains(&read(HistorySpan::Month).points.len()));
    }
}
