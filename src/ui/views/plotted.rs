//! The data of the machine's plots: its history with the samples since then, and the values at one moment.

use std::sync::Arc;

use chrono::{DateTime, Local, TimeDelta, Utc};

use super::View;
use crate::api::{MachinePoint, StepSpan};
use crate::resources::MachineSample;
use crate::ui::format;
use crate::window::{AlertMark, HistorySpan, MachineHistory};

/// The most steps that are named at the vertical line.
const MAX_NAMED: usize = 4;

/// The plotted data: the history with the samples since then.
pub(super) struct Plotted {
    history: Option<Arc<MachineHistory>>,
    pub(super) points: Vec<MachinePoint>,
    pub(super) marks: Vec<AlertMark>,
    /// A longer time without points is a gap.
    pub(super) gap: TimeDelta,
}

impl Plotted {
    pub(super) fn of(view: View<'_>, span: HistorySpan) -> Self {
        let watched = view.store.watched();
        let history = watched.history().cloned();
        let mut points = history.as_ref().map(|history| history.points.clone()).unwrap_or_default();
        let mut marks = history.as_ref().map(|history| history.marks.clone()).unwrap_or_default();
        let known = points.last().map_or(DateTime::<Utc>::MIN_UTC, |last| last.at + span.step());
        let fresh = watched.samples().iter().filter(|sample| sample.at >= known);
        points.extend(fresh.map(as_point));
        let newer = watched.marks().iter().filter(|mark| !marks.iter().any(|known| known.is_same(mark)));
        let newer: Vec<_> = newer.cloned().collect();
        marks.extend(newer);
        marks.sort_by_key(|mark| mark.at);
        // While nothing runs, a sample comes every five seconds.
        Self { history, points, marks, gap: (span.step() * 3).max(TimeDelta::seconds(15)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.points.len() < 2
    }

    /// The point in effect at a moment.
    fn at(&self, at: DateTime<Utc>) -> Option<&MachinePoint> {
        let n = self.points.partition_point(|point| point.at <= at);
        n.checked_sub(1).and_then(|n| self.points.get(n)).filter(|point| at - point.at <= self.gap)
    }

    pub(super) fn memory_total(&self) -> u64 {
        self.points.last().map_or(0, |point| point.memory_total_bytes)
    }

    pub(super) fn spans(&self) -> &[StepSpan] {
        self.history.as_ref().map_or(&[], |history| &history.spans)
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

/// The state at a moment: the machine, and the steps that ran with their peaks.
pub(super) fn lines_at(at: DateTime<Utc>, plotted: &Plotted, bars: &[(&StepSpan, String)]) -> Vec<String> {
    let time = at.with_timezone(&Local).format("%a %-d %b %H:%M:%S");
    let mut lines = Vec::new();
    match plotted.at(at) {
        Some(point) => {
            let share = point.memory_used_bytes as f64 / point.memory_total_bytes.max(1) as f64;
            let (cpu, memory) = (format::percent(point.cpu_fraction), format::percent(share));
            let bytes = format::bytes(point.memory_used_bytes);
            lines.push(format!("{time} · CPU {cpu} · memory {memory} ({bytes})"));
            let rate = |rate: u64| format!("{}/s", format::bytes(rate));
            lines.push(format!(
                "disk {} read, {} written · network {} in, {} out · {} free",
                rate(point.disk_read_rate),
                rate(point.disk_write_rate),
                rate(point.network_receive_rate),
                rate(point.network_send_rate),
                format::bytes(point.disk_free_bytes)
            ));
        }
        None => lines.push(format!("{time} · nothing was measured")),
    }
    let mut running = bars.iter().filter(|(span, _)| (span.from..=span.until).contains(&at));
    lines.extend(running.by_ref().take(MAX_NAMED).map(|(span, of)| {
        let peak = format::bytes(span.memory_peak_bytes);
        format!(
            "{of}/{} · at most {} of the CPU and {peak}",
            span.key.step_id,
            format::percent(span.cpu_peak)
        )
    }));
    let n_left = running.count();
    if n_left > 0 {
        lines.push(format!("and {n_left} more"));
    }
    lines
}
