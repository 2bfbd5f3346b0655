//! The parts of `/proc/<pid>/stat` that this program uses.

use super::proc::{Proc, ProcId};

/// The contents of that line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) proc: Proc,
    /// Minor page faults (without disk access) of this process.
    pub(crate) faults: u64,
    /// The same of the children that it has waited for, and of theirs.
    pub(crate) reaped_faults: u64,
    /// CPU time of this process, in clock ticks.
    pub(crate) cpu_ticks: u64,
    /// The same of the children that it has waited for, and of theirs.
    pub(crate) reaped_cpu_ticks: u64,
    /// Resident memory, in pages.
    pub(crate) resident_pages: u64,
}

impl Stat {
    /// Parses the line; none when it is malformed.
    pub(crate) fn parse(pid: u32, line: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may hold any byte, parentheses too.
        let after_name = line.iter().rposition(|&b| b == b')')? + 2;
        let fields = std::str::from_utf8(line.get(after_name..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let _group = fields.next()?;
        let session = fields.next()?.parse().ok()?;
        // Terminal, its group, flags.
        let mut number = fields.skip(3).map(|field| field.parse::<u64>().ok());
        let mut next = || number.next().flatten();
        let (faults, reaped_faults) = (next()?, next()?);
        let (_major, _reaped_major) = (next()?, next()?);
        let cpu_ticks = next()?.saturating_add(next()?);
        // Priority and nice value may be negative; they are skipped unparsed.
        let (reaped_user, reaped_system) = (next()?, next()?);
        let (_priority, _nice) = (number.next()?, number.next()?);
        let mut next = || number.next().flatten();
        let n_threads = u32::try_from(next()?).ok()?;
        let _timer = next()?;
        let start = next()?;
        let _virtual_bytes = next()?;
        let resident_pages = next()?;
        let proc = Proc { id: ProcId { pid, start }, parent, session, state, n_threads };
        let reaped_cpu_ticks = reaped_user.saturating_add(reaped_system);
        Some(Self { proc, faults, reaped_faults, cpu_ticks, reaped_cpu_ticks, resident_pages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_mislead() {
        let line = b"77 (a) b (c)) T 5 77 70 0 -1 4194560 1 2 3 4 5 6 7 8 20 -5 9 0 4242 1000 12 3";
        let found = Stat::parse(77, line).unwrap();
        assert_eq!((found.proc.parent, found.proc.session, found.proc.state), (5, 70, b'T'));
        assert_eq!(found.proc.id, ProcId { pid: 77, start: 4242 });
        assert_eq!((found.faults, found.reaped_faults), (1, 2));
        assert_eq!((found.cpu_ticks, found.reaped_cpu_ticks), (11, 15));
        assert_eq!((found.proc.n_threads, found.resident_pages), (9, 12));
    }

    #[test]
    fn a_process_is_dead_when_its_last_thread_is_and_not_when_its_first_one_is() {
        let dead = |state: &str, n_threads: u32| {
            let line =
                format!("77 (a) {state} 5 77 70 0 -1 0 1 2 3 4 5 6 7 8 20 0 {n_threads} 0 4242 1000 12");
            Stat::parse(77, line.as_bytes()).unwrap().proc.is_dead()
        };
        assert!(dead("Z", 1) && dead("Z", 0) && dead("X", 0));
        assert!(!dead("Z", 2) && !dead("S", 1) && !dead("T", 1));
    }

    #[test]
    fn a_torn_line_is_none() {
        let line = b"77 (a) T 5 77 70 0 -1 4194560 1 2 3 4 5 6 7 8 20 -5 9 0 4242 1000 12 3";
        for end in 0..line.len() - 6 {
            assert!(Stat::parse(77, &line[..end]).is_none_or(|stat| stat.proc.id.start <= 4242));
        }
        assert!(Stat::parse(77, b"").is_none());
        assert!(Stat::parse(77, b"77 (a)").is_none());
    }
}
