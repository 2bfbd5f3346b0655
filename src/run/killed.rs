//! The sentence on a step that a signal has ended: for signal 9, also whether a lack of memory is the likely reason.

use super::input::Exit;
use crate::base::units::size_in_words;

/// The signal that the kernel ends processes with when memory runs out; others use it too.
const KILL: i32 = 9;
/// From this share of the memory on, it is the likely reason.
const MOST: f64 = 0.8;
/// The same where the kernel has ended some process for lack of memory.
const MUCH: f64 = 0.1;

/// How it ended, as a clause.
pub(super) fn by_signal(signal: i32, exit: &Exit) -> String {
    let clause = format!("was ended by signal {signal}");
    let peak = exit.cost.as_ref().and_then(|cost| cost.peak_rss);
    let (Some(memory), Some((peak_bytes, _)), KILL) = (&exit.memory, peak, signal) else { return clause };
    let share = peak_bytes as f64 / memory.limit_bytes.max(1) as f64;
    let least = if memory.n_ended > 0 { MUCH } else { MOST };
    if share < least {
        return clause;
    }
    let (used, limit) = (size_in_words(peak_bytes), size_in_words(memory.limit_bytes));
    let word = if memory.n_ended > 0 { " and the kernel has killed processes to free some" } else { "" };
    format!("{clause}, most likely because memory ran out: it had used {used} of {limit}{word}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{MemoryAtEnd, StepCost};
    use chrono::DateTime;

    #[test]
    fn memory_is_named_where_it_is_likely_and_nowhere_else() {
        let gib = |n: f64| (n * f64::from(1 << 30)) as u64;
        let said = |signal: i32, used: f64, n_ended: u64| {
            let exit = Exit {
                code: None,
                signal: Some(signal),
                ended_at: DateTime::UNIX_EPOCH,
                cost: StepCost::of(Some((Some(gib(used)), 1.0)), None),
                memory: Some(MemoryAtEnd { limit_bytes: gib(8.0), n_ended }),
                interrupted: false,
                log_dropped_bytes: 0,
            };
            by_signal(signal, &exit)
        };
        assert_eq!(
            said(9, 7.0, 0),
            "was ended by signal 9, most likely because memory ran out: it had used 7.0 GiB of 8.0 GiB"
        );
        assert!(
            said(9, 2.0, 1).ends_with("2.0 GiB of 8.0 GiB and the kernel has killed processes to free some")
        );
        assert_eq!(said(9, 2.0, 0), "was ended by signal 9");
        assert_eq!(said(9, 0.1, 1), "was ended by signal 9");
        assert_eq!(said(15, 7.9, 1), "was ended by signal 15");
    }
}
