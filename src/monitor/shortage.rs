//! Whether memory may have run out: the most memory that a step can have, and how many processes the kernel has killed
//! because memory was short. Read only when a step was killed.

use std::cell::Cell;
use std::fs;
use std::path::Path;

/// Counts the processes that the kernel kills, from the moment of its creation.
#[derive(Debug)]
pub(crate) struct Shortage {
    /// The kernel's count at the last reading.
    seen: Cell<u64>,
}

impl Shortage {
    /// Begins to count now.
    pub(crate) fn watch() -> Self {
        Self { seen: Cell::new(kernel_count()) }
    }

    /// How many processes of the whole machine the kernel has killed for lack of memory since the last call.
    pub(crate) fn n_ended(&self) -> u64 {
        let now = kernel_count();
        now.saturating_sub(self.seen.replace(now))
    }

    /// The most memory that programs in this process's control group can have, in bytes; none when it is not known.
    pub(crate) fn limit_bytes(&self) -> Option<u64> {
        let machine = field(&read("/proc/meminfo"), "MemTotal:").map(|kib| kib * 1024);
        let groups = read("/proc/self/cgroup");
        let limits = limits_of(&groups).into_iter().filter_map(|file| read(&file).trim().parse().ok());
        machine.into_iter().chain(limits).min()
    }
}

fn read(path: impl AsRef<Path>) -> String {
    // Unknown if it can't be read.
    fs::read_to_string(path).unwrap_or_default()
}

fn kernel_count() -> u64 {
    field(&read("/proc/vmstat"), "oom_kill").unwrap_or(0)
}

/// The number that follows a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

/// The files with the memory limits of a control group and of its parents, in either version of control groups.
fn limits_of(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let folders = Path::new(path).ancestors().filter_map(Path::to_str);
        files.extend(folders.map(|path| format!("{root}{}/{file}", path.trim_end_matches('/'))));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_the_group_and_in_those_around_it() {
        assert_eq!(
            limits_of("5:devices:/x\n4:cpu,memory:/a/b\n0::/c\n"),
            [
                "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/c/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(field("MemTotal:   16 kB\nMemFree: 3 kB\n", "MemFree:"), Some(3));
        assert!(Shortage::watch().limit_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
