//! Whether the kernel's figure for a process's peak memory can be believed.
//!
//! The figure includes what the process had before it became its program: the copy of the supervisor that
//! [`spawn`](super::spawn) makes. A figure that may come from that copy is dropped.

use std::io;

/// Two readings of the same memory may differ by this much: the kernel counts pages per processor and adds them up only
/// now and then.
const BLUR: u64 = 1 << 20;

/// The resident memory of this process without pages of files, in bytes.
///
/// # Errors
/// `/proc` could not be read.
pub(super) fn own_data() -> io::Result<u64> {
    // Far shorter than `status`, which matters because it is read at the end of each step.
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let mut pages = statm.split(' ').map(str::parse::<u64>);
    match (pages.nth(1), pages.next()) {
        (Some(Ok(resident)), Some(Ok(of_files))) => {
            Ok(resident.saturating_sub(of_files) * rustix::param::page_size() as u64)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What a new process has resident before it becomes its program, in bytes and without a few pages: the supervisor's
/// memory since it withheld its first `withheld` bytes.
///
/// # Errors
/// `/proc` could not be read.
pub(super) fn before_exec(withheld: u64) -> io::Result<u64> {
    Ok(own_data()?.saturating_sub(withheld))
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
        let own = own_data().unwrap();
        assert!(own > size);
        assert!(before_exec(own - size).unwrap() >= size / 2);
        assert_eq!(before_exec(u64::MAX).unwrap(), 0);
        drop(touched);
    }
}
