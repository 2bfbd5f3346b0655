//! What the kernel's figure for a process's peak memory is worth.
//!
//! A process that was just made shares the memory of the supervisor until it has become its program, and the kernel
//! counts that as its own: what it says of a program that needs less than the supervisor is the supervisor's peak.
//! Such a figure is none.

use std::io;

use crate::process::number_in_status;

/// The kernel counts pages per processor and adds them up now and then: two readings of the same differ by this much.
const BLUR: u64 = 1 << 20;

/// The most that this process has had resident, in bytes.
///
/// # Errors
/// `/proc` could not be read.
pub(super) fn own_peak() -> io::Result<Option<u64>> {
    Ok(number_in_status(std::process::id(), "VmHWM:")?.map(|kib| u64::from(kib) * 1024))
}

/// The peak of a program that was started from here, by what the kernel says of its process; none where that may be our
/// own.
pub(super) fn peak_of_child(reported: u64, own_peak: Option<u64>) -> Option<u64> {
    let floor = own_peak?;
    (reported > floor + floor / 16 + BLUR).then_some(reported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_may_be_our_own_is_none() {
        let mib = |n: u64| n << 20;
        assert_eq!(peak_of_child(mib(8), Some(mib(8))), None);
        assert_eq!(peak_of_child(mib(9), Some(mib(8))), None);
        assert_eq!(peak_of_child(mib(10), Some(mib(8))), Some(mib(10)));
        assert_eq!(peak_of_child(mib(10), None), None, "nobody knows what ours is");
    }

    #[test]
    fn the_own_peak_is_known_and_more_than_what_was_just_touched() {
        let touched = vec![1_u8; 32 << 20];
        assert!(own_peak().unwrap().is_some_and(|peak| peak > touched.len() as u64));
    }
}
