//! The resources that a step used: the kernel's figures at its end together with the samples taken while it lived.

use crate::resources::StepTotals;

/// What the tree of a step's attempt has used in all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepCost {
    /// Peak memory in bytes, and how that was measured: `samples` or `rusage`. None where it is unknown: the step was shorter
    /// than a sample, and smaller than the process that started it.
    pub peak_rss: Option<(u64, &'static str)>,
    /// User and system time.
    pub cpu_seconds: f64,
    /// Bytes written towards a disk, as far as samples saw it; none for a step shorter than a sample.
    pub written_bytes: Option<u64>,
}

impl StepCost {
    /// The larger of both. `rusage` has the peak memory of the largest single process in bytes, where that figure is the
    /// step's own, and CPU seconds; samples have the sum of the processes that lived at one moment. None without either.
    pub fn of(rusage: Option<(Option<u64>, f64)>, samples: Option<StepTotals>) -> Option<Self> {
        let samples = samples.filter(|totals| totals.n_samples > 0);
        if rusage.is_none() && samples.is_none() {
            return None;
        }
        let (waited_bytes, waited_seconds) = rusage.unwrap_or_default();
        let sampled_seconds = samples.map_or(0.0, |totals| totals.cpu_ms as f64 / 1000.0);
        let sampled = samples.map(|totals| (totals.peak_memory_bytes, "samples"));
        let waited = waited_bytes.map(|bytes| (bytes, "rusage"));
        let peak_rss = match (waited, sampled) {
            (Some(waited), Some(sampled)) if waited.0 > sampled.0 => Some(waited),
            (waited, sampled) => sampled.or(waited),
        };
        Some(Self {
            peak_rss,
            cpu_seconds: waited_seconds.max(sampled_seconds),
            written_bytes: samples.map(|totals| totals.written_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_sources_the_one_that_knows_more_is_kept_and_named() {
        #[track_caller]
        fn check(
            rusage: Option<(Option<u64>, f64)>,
            sampled: Option<(u64, u64)>,
            expected: Option<(Option<(u64, &'static str)>, f64)>,
        ) {
            let totals = |(peak_memory_bytes, cpu_ms)| StepTotals {
                peak_memory_bytes,
                cpu_ms,
                written_bytes: 7,
                n_samples: 1,
                ..StepTotals::default()
            };
            let cost = StepCost::of(rusage, sampled.map(totals));
            assert_eq!(cost.map(|cost| (cost.peak_rss, cost.cpu_seconds)), expected);
            assert_eq!(cost.and_then(|cost| cost.written_bytes), sampled.map(|_| 7));
        }
        check(None, None, None);
        check(Some((Some(5), 1.5)), None, Some((Some((5, "rusage")), 1.5)));
        check(Some((None, 1.5)), None, Some((None, 1.5)));
        check(None, Some((9, 2000)), Some((Some((9, "samples")), 2.0)));
        check(Some((None, 1.5)), Some((9, 1000)), Some((Some((9, "samples")), 1.5)));
        check(Some((Some(5), 1.5)), Some((9, 1000)), Some((Some((9, "samples")), 1.5)));
        check(Some((Some(9), 1.5)), Some((5, 2000)), Some((Some((9, "rusage")), 2.0)));
        assert_eq!(StepCost::of(None, Some(StepTotals::default())), None);
    }
}
