//! Whether the kernel's figure for a process's peak memory can be believed.
//!
//! A new process uses the memory of the process that made it until its exec, and the kernel counts that memory as its own.
//! For a program that needs less, the figure is the peak of its maker. Such a figure is dropped.

use std::io;

use crate::process::number_in_status;

/// Two readings of the same memory may differ by this much, and by a quarter where much was taken and given back: the kernel
/// counts pages per processor and adds them up only now and then.
const BLUR: u64 = 256 << 10;

/// The peak of a process's resident memory, in bytes; none if it does not exist.
///
/// # Errors
/// `/proc` could not be read.
pub(super) fn peak_of(pid: u32) -> io::Result<Option<u64>> {
    Ok(number_in_status(pid, "VmHWM:")?.map(|kib| u64::from(kib) * 1024))
}

/// The peak of a program, as the kernel reports it. None when the figure may be the peak of what made it: at most
/// `peak_before`, if that is known.
pub(super) fn peak_of_program(reported: u64, peak_before: Option<u64>) -> Option<u64> {
    let floor = peak_before?;
    (reported > floor + floor / 4 + BLUR).then_some(reported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_may_be_the_maker_s_is_none() {
        let mib = |n: u64| n << 20;
        assert_eq!(peak_of_program(mib(8), Some(mib(8))), None);
        assert_eq!(peak_of_program(mib(9), Some(mib(8))), None);
        assert_eq!(peak_of_program(mib(11), Some(mib(8))), Some(mib(11)));
        assert_eq!(peak_of_program(mib(1), Some(mib(1) / 2)), Some(mib(1)));
        assert_eq!(peak_of_program(mib(10), None), None, "the maker's peak is not known");
    }

    #[test]
    fn the_own_peak_is_more_than_what_was_just_touched() {
        let touched = vec![1_u8; 32 << 20];
        assert!(peak_of(std::process::id()).unwrap().is_some_and(|peak| peak > touched.len() as u64));
    }
}
