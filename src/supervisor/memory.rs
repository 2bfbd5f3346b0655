//! Whether the kernel's figure for a process's peak memory can be believed.
//!
//! A new process shares the supervisor's memory until its exec, and the kernel counts that memory as the process's own.
//! For a program that needs less than the supervisor, the figure is the supervisor's peak. Such a figure is dropped.

use std::io;

use crate::process::number_in_status;

/// Two readings of the same memory may differ by this much: the kernel counts pages per processor and adds them up only
/// now and then.
const BLUR: u64 = 1 << 20;

/// The peak of this process's resident memory, in bytes.
///
/// # Errors
/// `/proc` could not be read.
pub(super) fn own_peak() -> io::Result<Option<u64>> {
    Ok(number_in_status(std::process::id(), "VmHWM:")?.map(|kib| u64::from(kib) * 1024))
}

/// The peak of a program that was started from here, as the kernel reports it. None when the figure may be the
/// supervisor's own peak.
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
        assert_eq!(peak_of_child(mib(10), None), None, "our own peak is not known");
    }

    #[test]
    fn the_own_peak_is_more_than_what_was_just_touched() {
        let touched = vec![1_u8; 32 << 20];
        assert!(own_peak().unwrap().is_some_and(|peak| peak > touched.len() as u64));
    }
}
