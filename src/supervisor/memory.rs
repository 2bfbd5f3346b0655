//! Whether the kernel's figure for a process's peak memory can be believed.
//!
//! The figure includes what the process had before it became its program: the copy of the supervisor that
//! [`spawn`](super::spawn) makes. A figure that may come from that copy is dropped.

use std::io;

use crate::process::number_in_status;

/// Two readings of the same memory may differ by this much: the kernel counts pages per processor and adds them up only
/// now and then.
const BLUR: u64 = 1 << 20;

/// What a new process has resident before it becomes its program, in bytes: the supervisor's own data without the
/// `withheld` part. Pages of files are not copied.
///
/// # Errors
/// `/proc` could not be read.
pub(super) fn before_exec(withheld: u64) -> io::Result<Option<u64>> {
    let own = number_in_status(std::process::id(), "RssAnon:")?.map(|kib| u64::from(kib) * 1024);
    Ok(own.map(|own| own.saturating_sub(withheld)))
}

/// The peak of a program that was started from here, as the kernel reports it. None when the peak may be from before
/// the exec.
pub(super) fn peak_of_program(reported: u64, before_exec: Option<u64>) -> Option<u64> {
    (reported > before_exec? + BLUR).then_some(reported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_may_be_the_copy_s_is_none() {
        let mib = |n: u64| n << 20;
        assert_eq!(peak_of_program(mib(8), Some(mib(8))), None);
        assert_eq!(peak_of_program(mib(9), Some(mib(8))), None);
        assert_eq!(peak_of_program(mib(10), Some(mib(8))), Some(mib(10)));
        assert_eq!(peak_of_program(mib(10), None), None, "it is not known what the copy had");
    }

    #[test]
    fn a_copy_has_our_own_data_without_what_is_withheld() {
        let touched = vec![1_u8; 32 << 20];
        let size = touched.len() as u64;
        assert!(before_exec(0).unwrap().is_some_and(|bytes| bytes > size));
        assert_eq!(before_exec(u64::MAX).unwrap(), Some(0));
        drop(touched);
    }
}
