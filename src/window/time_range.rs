//! A part of the time, and what is known of it: what the machine did, what ran at a moment, what a run used. Read from
//! the history of samples, bounded whatever it holds.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::machine_history::{AlertMark, MAX_SPANS, marks};
use crate::base::id::RunId;
use crate::store::{MachinePoint, Resolution, RunPoint, SampleHistory, StepSpan, StepUse, StoreError};

/// About how many points a range is read in.
const N_POINTS: i32 = 1200;
/// A sample that is older than this says nothing about a moment.
const GAP: TimeDelta = TimeDelta::seconds(15);

/// The time between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl TimeRange {
    /// The last `length` before `until`.
    pub fn before(until: DateTime<Utc>, length: TimeDelta) -> Self {
        Self { from: until - length, until }
    }

    pub fn length(self) -> TimeDelta {
        self.until - self.from
    }

    pub fn contains(self, at: DateTime<Utc>) -> bool {
        (self.from..=self.until).contains(&at)
    }

    /// Whether something that lasted from `from` to `until` is seen in it.
    pub fn sees(self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        from <= self.until && until >= self.from
    }

    pub fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.until <= self.until
    }

    /// A range of `length` in which `at` stands at the same share as in this one, moved so that it lies in `whole`.
    #[must_use]
    pub fn zoomed(self, at: DateTime<Utc>, length: TimeDelta, whole: Self) -> Self {
        let length = length.min(whole.length());
        let share = (at - self.from).as_seconds_f64() / self.length().as_seconds_f64().max(1e-3);
        let before = TimeDelta::milliseconds((length.num_milliseconds() as f64 * share) as i64);
        Self { from: at - before, until: at - before + length }.moved(TimeDelta::zero(), whole)
    }

    /// The range moved by so much, but not out of `whole`.
    #[must_use]
    pub fn moved(self, by: TimeDelta, whole: Self) -> Self {
        let length = self.length().min(whole.length());
        let from = (self.from + by).min(whole.until - length).max(whole.from);
        Self { from, until: from + length }
    }

    /// The finest resolution in which all of it is kept.
    fn resolution(self, now: DateTime<Utc>) -> Resolution {
        let age_ms = (now - self.from).num_milliseconds();
        let kept = Resolution::ALL.into_iter().find(|resolution| age_ms <= resolution.kept_ms());
        kept.unwrap_or(Resolution::Minute)
    }

    /// The distance of the points that it is read in.
    fn step(self, resolution: Resolution) -> TimeDelta {
        let kept = TimeDelta::milliseconds(resolution.step_ms());
        (self.length() / N_POINTS).max(kept).max(TimeDelta::seconds(1))
    }
}

/// What is asked about the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeQuestion {
    /// What the machine did in this range.
    Range(TimeRange),
    /// What ran at this moment.
    Moment(DateTime<Utc>),
    /// What a run used in this range.
    Run(RunId, TimeRange),
}

/// The answer to a question of the same name.
#[derive(Debug, Clone)]
pub enum TimeAnswer {
    Range(Arc<RangeHistory>),
    Moment(Moment),
    Run(RunId, TimeRange, Arc<[RunPoint]>),
}

/// What the machine did in a range.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeHistory {
    pub range: TimeRange,
    /// The distance of its points.
    pub step: TimeDelta,
    /// The machine, oldest first.
    pub points: Vec<MachinePoint>,
    /// Steps, by their beginning.
    pub spans: Vec<StepSpan>,
    /// Changes of limits, oldest first.
    pub marks: Vec<AlertMark>,
}

/// What ran at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    pub at: DateTime<Utc>,
    /// Those that used most CPU first.
    pub steps: Vec<StepUse>,
}

impl TimeQuestion {
    /// Reads the answer.
    pub(crate) fn answer(
        self,
        samples: &SampleHistory,
        now: DateTime<Utc>,
    ) -> Result<TimeAnswer, StoreError> {
        Ok(match self {
            Self::Range(range) => {
                let (resolution, bounds) = (range.resolution(now), (range.from, range.until));
                let step = range.step(resolution);
                let points = samples.machine_in_steps(resolution, bounds, step)?;
                let memory = points.iter().map(|point| point.memory_total_bytes).max().unwrap_or_default();
                TimeAnswer::Range(Arc::new(RangeHistory {
                    range,
                    step,
                    spans: samples.step_spans(resolution, bounds, memory, MAX_SPANS)?,
                    marks: marks(samples, bounds)?,
                    points,
                }))
            }
            Self::Moment(at) => {
                let resolution = TimeRange { from: at, until: at }.resolution(now - GAP);
                let gap = GAP.max(TimeDelta::milliseconds(resolution.step_ms()) * 2);
                TimeAnswer::Moment(Moment { at, steps: samples.steps_at(resolution, at, gap)? })
            }
            Self::Run(run_id, range) => {
                let resolution = range.resolution(now);
                let (bounds, step) = ((range.from, range.until), range.step(resolution));
                let points = samples.use_of_run(&run_id, resolution, bounds, step)?;
                TimeAnswer::Run(run_id, range, points.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{AttemptKey, StepId};
    use crate::resources::{MachineSample, ResourceSnapshot, StepSample};
    use crate::store::SampleStore;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn range(from: i64, until: i64) -> TimeRange {
        TimeRange { from: at(from), until: at(until) }
    }

    #[test]
    fn what_is_under_the_pointer_stays_there_and_no_range_leaves_the_whole() {
        let whole = range(0, 1000);
        assert_eq!(whole.zoomed(at(250), TimeDelta::seconds(100), whole), range(225, 325));
        assert_eq!(range(225, 325).zoomed(at(250), TimeDelta::seconds(1000), whole), whole);
        assert_eq!(whole.zoomed(at(1000), TimeDelta::seconds(100), whole), range(900, 1000));
        assert_eq!(range(900, 1000).moved(TimeDelta::seconds(50), whole), range(900, 1000));
        assert_eq!(range(900, 1000).moved(TimeDelta::seconds(-950), whole), range(0, 100));
        assert_eq!(range(0, 100).zoomed(at(90), TimeDelta::seconds(500), whole), range(0, 500));
    }

    #[test]
    fn a_moment_names_all_that_ran_with_what_it_used_and_a_run_has_its_own_curve() {
        let dir = tempfile::tempdir().unwrap();
        let store = SampleStore::open(dir.path().join("samples.db")).unwrap();
        let key = |run: &str, step: &str| AttemptKey {
            run_id: RunId::new(run).unwrap(),
            step_id: StepId::new(step).unwrap(),
            attempt: 1,
        };
        let step = |run, step, cpu_fraction, memory_bytes| StepSample {
            key: key(run, step),
            cpu_fraction,
            memory_bytes,
            read_rate: 0.0,
            write_rate: 0.0,
            written_bytes: 0,
            output_rate: 0.0,
            n_processes: 1,
        };
        for second in 0..60 {
            let mut steps = vec![step("a-1", "fetch", 0.25, 100), step("b-1", "load", 0.5, 7)];
            if second >= 30 {
                steps.push(step("a-1", "parse", 0.125, 20));
            }
            let machine = MachineSample { at: at(second), ..MachineSample::default() };
            store.push(&Arc::new(ResourceSnapshot { machine, steps, ..ResourceSnapshot::default() }));
        }
        store.flush();
        let ask = |question: TimeQuestion| question.answer(store.history(), at(120)).unwrap();
        let names = |second| {
            let TimeAnswer::Moment(moment) = ask(TimeQuestion::Moment(at(second))) else { panic!() };
            let text = |it: &StepUse| format!("{}/{} {}", it.key.run_id, it.key.step_id, it.memory_bytes);
            moment.steps.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(names(10), ["b-1/load 7", "a-1/fetch 100"]);
        assert_eq!(names(45), ["b-1/load 7", "a-1/fetch 100", "a-1/parse 20"]);
        assert!(names(90).is_empty(), "nothing was measured then");
        let run_id = RunId::new("a-1").unwrap();
        let question = TimeQuestion::Run(run_id.clone(), range(0, 60));
        let TimeAnswer::Run(of, _, points) = ask(question) else { panic!() };
        assert_eq!((of, points.len()), (run_id, 60));
        assert_eq!((points[0].memory_bytes, points[59].memory_bytes), (100, 120));
        assert_eq!((points[0].cpu_fraction, points[59].cpu_fraction), (0.25, 0.375));
        let TimeAnswer::Range(history) = ask(TimeQuestion::Range(range(20, 40))) else { panic!() };
        assert_eq!((history.points.len(), history.spans.len()), (20, 3));
    }
}
