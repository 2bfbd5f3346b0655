//! The distribution of figures: what is usual, and what is rarely exceeded.

use serde::Serialize;

/// The median and the 95th percentile of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many figures there are.
    pub n: usize,
    /// Half of them are at most this; the mean of the middle two when there is no middle one.
    pub median: f64,
    /// The smallest figure that at least 95 % of them do not exceed.
    pub p95: f64,
}

impl Spread {
    /// The spread of these figures; none when there are none. Values that are not finite are skipped.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let n = figures.len();
        let last = n.checked_sub(1)?;
        let median = (figures[last / 2] + figures[n / 2]) / 2.0;
        let p95 = figures[(n * 95).div_ceil(100) - 1];
        Some(Self { n, median, p95 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_rare_are_found_whatever_the_order() {
        #[track_caller]
        fn check(figures: &[f64], expected: Option<(f64, f64)>) {
            let spread = Spread::of(figures.iter().copied());
            assert_eq!(spread.map(|spread| (spread.median, spread.p95)), expected);
        }
        check(&[], None);
        check(&[f64::NAN], None);
        check(&[3.0], Some((3.0, 3.0)));
        check(&[9.0, 1.0], Some((5.0, 9.0)));
        check(&[5.0, 1.0, f64::INFINITY, 3.0], Some((3.0, 5.0)));
        let hundred: Vec<_> = (1..=100).rev().map(f64::from).collect();
        check(&hundred, Some((50.5, 95.0)));
        check(&hundred[..20], Some((90.5, 99.0)));
    }
}
