//! Whether an engine lives on a data directory. The lock is not tried: a question must never make an engine fail that
//! starts at that moment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who holds a data directory's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// No engine lives.
    Nobody,
    /// This process is the engine.
    Engine {
        /// Its process id.
        pid: u32,
    },
}

impl Presence {
    /// Whether an engine lives.
    pub fn is_alive(self) -> bool {
        self != Self::Nobody
    }
}

/// Who holds the lock of the data directory now. The file names its last holder; the kernel says whether that process
/// still holds it, by its open files or by the list of locks.
pub fn presence(data_dir: &Path) -> Presence {
    let lock = data_dir.join("instance.lock");
    match named_holder(data_dir) {
        Some(pid) if has_open(pid, &lock) => Presence::Engine { pid },
        Some(_) | None => listed_holder(&lock).map_or(Presence::Nobody, |pid| Presence::Engine { pid }),
    }
}

/// The process that took the lock last, as its file says. It may have released it since.
pub(crate) fn named_holder(data_dir: &Path) -> Option<u32> {
    fs::read_to_string(data_dir.join("instance.lock")).ok()?.trim().parse().ok()
}

/// The holder in the kernel's list of locks. The list can miss a lock while others come and go.
fn listed_holder(lock: &Path) -> Option<u32> {
    let (meta, locks) = (fs::metadata(lock).ok()?, fs::read_to_string("/proc/locks").ok()?);
    let holder = locks
        .lines()
        .filter_map(HeldLock::parse)
        .filter(|held| held.inode == meta.ino())
        .find(|held| held.is_on(meta.dev()) || has_open(held.pid, lock));
    holder.map(|held| held.pid)
}

/// A line of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 15744 fe:00:10019569 0 EOF`.
#[derive(Debug, PartialEq, Eq)]
struct HeldLock {
    pid: u32,
    device: (u32, u32),
    inode: u64,
}

impl HeldLock {
    /// Parses an exclusive `flock` that is held. A line with `->` is a waiter.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let ("FLOCK", "ADVISORY", "WRITE") = (words.next()?, words.next()?, words.next()?) else {
            return None;
        };
        let pid = words.next()?.parse().ok()?;
        let mut place = words.next()?.split(':');
        let mut device = || u32::from_str_radix(place.next()?, 16).ok();
        let device = (device()?, device()?);
        Some(Self { pid, device, inode: place.next()?.parse().ok()? })
    }

    fn is_on(&self, device: u64) -> bool {
        self.device == (rustix::fs::major(device), rustix::fs::minor(device))
    }
}

/// Whether a process has this file open. The list of locks does not always say so: on a file system with subvolumes it
/// shows another device.
fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(path) = fs::canonicalize(path) else { return false };
    fs::read_dir(format!("/proc/{pid}/fd"))
        .is_ok_and(|fds| fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    #[test]
    fn a_held_directory_names_its_holder_and_a_free_one_nobody() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(presence(temp.path()), Presence::Nobody);
        let dir = DataDir::open(temp.path()).unwrap();
        let lock = dir.lock().unwrap();
        assert_eq!(presence(dir.path()), Presence::Engine { pid: std::process::id() });
        dir.lock().expect_err("asking did not take it");
        drop(lock);
        assert_eq!(presence(dir.path()), Presence::Nobody);
    }

    #[test]
    fn a_line_of_locks_is_understood() {
        let held = HeldLock::parse("1: FLOCK  ADVISORY  WRITE 15744 fe:00:10019569 0 EOF");
        assert_eq!(held, Some(HeldLock { pid: 15744, device: (0xfe, 0), inode: 10_019_569 }));
        assert_eq!(HeldLock::parse("1: -> FLOCK  ADVISORY  WRITE 1 fe:00:1 0 EOF"), None);
        assert_eq!(HeldLock::parse("2: POSIX  ADVISORY  READ 1 fe:00:1 0 EOF"), None);
        assert_eq!(HeldLock::parse(""), None);
    }
}
