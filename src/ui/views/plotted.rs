//! The data of the machine's plots: its history with the samples since then, and the values at one moment.

use chrono::{DateTime, TimeDelta, Utc};

use super::View;
use crate::api::{MachinePoint, StepSpan};
use crate::resources::MachineSample;
use crate::ui::{format, spoken};
use crate::window::{AlertMark, HistorySpan, TimeRange};

/// The plotted data: the history with the samples since then.
pub(super) struct Plotted<'a> {
    /// The points and the steps of the past.
    known: (&'a [MachinePoint], &'a [StepSpan]),
    fresh: Vec<MachinePoint>,
    pub(super) marks: Vec<AlertMark>,
    /// A longer time without points is a gap.
    pub(super) gap: TimeDelta,
}

impl<'a> Plotted<'a> {
    /// The last `span`; `detail` is a part of it that is shown alone.
    pub(super) fn of(view: View<'a>, span: HistorySpan, detail: Option<TimeRange>) -> Self {
        let watched = view.store.watched();
        let history = watched.history();
        let (points, spans, marks, step) = match (detail.and_then(|it| view.store.time().range(it)), history)
        {
            (Some(detail), _) => (&detail.points[..], &detail.spans[..], &detail.marks[..], detail.step),
            (None, Some(history)) => {
                (&history.points[..], &history.spans[..], &history.marks[..], span.step())
            }
            (None, None) => (&[][..], &[][..], &[][..], span.step()),
        };
        let known = points.last().map_or(DateTime::<Utc>::MIN_UTC, |last| last.at + step);
        let fresh = watched.samples().iter().filter(|sample| sample.at >= known);
        let newer = watched.marks().iter().filter(|mark| !marks.iter().any(|known| known.is_same(mark)));
        let mut marks: Vec<_> = marks.iter().chain(newer).cloned().collect();
        marks.sort_by_key(|mark| mark.at);
        // While nothing runs, a sample comes every five seconds.
        let gap = (step * 3).max(TimeDelta::seconds(15));
        Self { known: (points, spans), fresh: fresh.map(as_point).collect(), marks, gap }
    }

    /// The machine, oldest first.
    pub(super) fn points(&self) -> impl DoubleEndedIterator<Item = &MachinePoint> {
        self.known.0.iter().chain(&self.fresh)
    }

    /// A curve in words.
    pub(super) fn says(
        &self,
        name: &str,
        value: impl Fn(&MachinePoint) -> f64,
        write: impl Fn(f64) -> String,
        now: DateTime<Utc>,
    ) -> String {
        spoken::series(name, self.points().map(|point| (point.at, value(point))), write, now)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.0.len() + self.fresh.len() < 2
    }

    /// The point in effect at a moment.
    pub(super) fn at(&self, at: DateTime<Utc>) -> Option<&MachinePoint> {
        // The line stands at whole seconds, and means all of its second.
        let mut before = self.points().rev().skip_while(|point| point.at >= at + TimeDelta::seconds(1));
        before.next().filter(|point| at - point.at <= self.gap)
    }

    pub(super) fn memory_total(&self) -> u64 {
        self.points().next_back().map_or(0, |point| point.memory_total_bytes)
    }

    pub(super) fn spans(&self) -> &'a [StepSpan] {
        self.known.1
    }

    /// What the machine did at a moment, in a line.
    pub(super) fn heading(&self, at: DateTime<Utc>) -> String {
        let time = format::local(at, "%a %-d %b %H:%M:%S");
        let Some(point) = self.at(at) else { return format!("{time} · nothing was measured") };
        let share = point.memory_used_bytes as f64 / point.memory_total_bytes.max(1) as f64;
        let (cpu, memory) = (format::percent(point.cpu_fraction), format::percent(share));
        let bytes = format::bytes(point.memory_used_bytes);
        format!("{time} · CPU {cpu} · memory {memory} ({bytes})")
    }

    /// Its disks and its network at a moment, in a line.
    pub(super) fn traffic(&self, at: DateTime<Utc>) -> Option<String> {
        let point = self.at(at)?;
        let rate = |rate: u64| format!("{}/s", format::bytes(rate));
        Some(format!(
            "disk {} read, {} written · network {} in, {} out · {} free",
            rate(point.disk_read_rate),
            rate(point.disk_write_rate),
            rate(point.network_receive_rate),
            rate(point.network_send_rate),
            format::bytes(point.disk_free_bytes)
        ))
    }
}

/// A sample as a point.
fn as_point(sample: &MachineSample) -> MachinePoint {
    MachinePoint {
        at: sample.at,
        cpu_fraction: sample.cpu_fraction,
        cpu_peak: sample.cpu_fraction,
        memory_used_bytes: sample.memory_used_bytes,
        memory_peak_bytes: sample.memory_used_bytes,
        memory_total_bytes: sample.memory_total_bytes,
        swap_used_bytes: sample.swap_used_bytes,
        swap_total_bytes: sample.swap_total_bytes,
        disk_free_bytes: sample.disk_free_bytes,
        disk_read_rate: sample.disk_read_rate as u64,
        disk_write_rate: sample.disk_write_rate as u64,
        network_receive_rate: sample.network_receive_rate as u64,
        network_send_rate: sample.network_send_rate as u64,
    }
}

/// The share of the memory that is used.
pub(super) fn memory_share(point: &MachinePoint) -> f64 {
    point.memory_used_bytes as f64 / point.memory_total_bytes.max(1) as f64
}
