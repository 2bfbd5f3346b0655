//! Processes as tests look at them, and waiting for a condition.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::never;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use super::DEADLINE;

/// Calls `look` until it returns a value, for conditions that no event reports.
#[track_caller]
pub(crate) fn look_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    look_until_or(look, || format!("{what}: not seen in time"))
}

/// The same; a test that waits in vain fails with the text of `failure`.
#[track_caller]
pub(crate) fn look_until_or<T>(mut look: impl FnMut() -> Option<T>, failure: impl FnOnce() -> String) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        if Instant::now() > until {
            panic!("{}", failure());
        }
        let_pass(Duration::from_millis(3));
    }
}

/// Lets time pass in which something must not happen.
pub(crate) fn let_pass(time: Duration) {
    // Nothing is ever sent: it returns when the time is over.
    let _ = never::<()>().recv_timeout(time);
}

/// The state letter of `/proc/<pid>/stat`; none when there is no such process.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    stat_fields(pid)?.first()?.chars().next()
}

/// User and system time, in clock ticks.
pub(crate) fn cpu_ticks(pid: u32) -> u64 {
    let fields = stat_fields(pid).expect("the process lives");
    // Fields 14 and 15; the first one here is field 3.
    fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
}

/// The fields of `/proc/<pid>/stat` from the state on.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &stat[stat.rfind(')')? + 2..];
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Resident memory in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

pub(crate) fn is_gone(pid: u32) -> bool {
    matches!(state_of(pid), None | Some('Z' | 'X'))
}

/// The state letters of all threads that have not ended; empty when the process has ended.
pub(crate) fn states_of_threads(pid: u32) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().filter_map(|thread| {
        let stat = fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        stat[stat.rfind(')')? + 2..].chars().next()
    });
    threads.filter(|state| !matches!(state, 'Z' | 'X')).collect()
}

/// Whether every thread of a process has ended. [`is_gone`] looks only at the first thread.
pub(crate) fn has_ended(pid: u32) -> bool {
    states_of_threads(pid).is_empty()
}

pub(crate) fn wait_ended(pids: &[u32]) {
    for pid in pids {
        look_until(&format!("the end of process {pid}"), || has_ended(*pid).then_some(()));
    }
}

pub(crate) fn are_frozen(pids: &[u32]) -> bool {
    pids.iter().all(|pid| state_of(*pid) == Some('T'))
}

pub(crate) fn wait_gone(pids: &[u32]) {
    for pid in pids {
        look_until(&format!("the end of process {pid}"), || is_gone(*pid).then_some(()));
    }
}

pub(crate) fn wait_frozen(pids: &[u32]) {
    look_until(&format!("the freezing of {pids:?}"), || are_frozen(pids).then_some(()));
}

/// Kills a process as the kernel does when memory is short, and waits for its end.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
    wait_gone(&[pid]);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    assert!(pid > 1, "a process of ours");
    // A process that has ended already is no error. Tests signal only processes that they have seen, and pids are not
    // reused this fast.
    let _ = rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), signal);
}

/// A process that gets no further descriptor until this is dropped.
pub(crate) struct Starved {
    pid: Pid,
    before: Rlimit,
}

impl Starved {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
        // Every program of ours has the hard limit of the one that has started it.
        let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Nofile) };
        Self { pid, before: prlimit(Some(pid), Resource::Nofile, limit).expect("it lives") }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        // Fails if the process has ended.
        let _ = prlimit(Some(self.pid), Resource::Nofile, self.before);
    }
}

/// The processes of a data directory. First the supervisor's parent, which must be killed first because it would start
/// another supervisor. Then the supervisor with its spawner, and every process of a step that has not cleared its environment.
pub(crate) fn processes_of(data_dir: &Path) -> Vec<u32> {
    let entry = format!("LEVERFRAME_DATA_DIR={}", data_dir.display()).into_bytes();
    let place = data_dir.as_os_str().as_encoded_bytes();
    let holds = |path: String, wanted: &[u8]| {
        fs::read(path).is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|part| part == wanted))
    };
    let is_called =
        |pid: u32, name: &[u8]| [name, place].iter().all(|part| holds(format!("/proc/{pid}/cmdline"), part));
    let (mut parents, mut others) = (Vec::new(), Vec::new());
    for pid in pids().filter(|pid| !has_ended(*pid)) {
        if is_called(pid, b"leverframe-sub-reaper") {
            parents.push(pid);
        } else if is_called(pid, b"leverframe-supervisor")
            || is_called(pid, b"leverframe-spawner")
            || holds(format!("/proc/{pid}/environ"), &entry)
        {
            others.push(pid);
        }
    }
    parents.into_iter().chain(others).collect()
}

/// The same without the supervisor, its parent and its spawner.
pub(crate) fn step_processes_of(data_dir: &Path) -> Vec<u32> {
    let names: [&[u8]; 3] = [b"leverframe-sub-reaper\0", b"leverframe-supervisor\0", b"leverframe-spawner\0"];
    let is_step = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        !names.iter().any(|name| line.starts_with(name))
    };
    processes_of(data_dir).into_iter().filter(is_step).collect()
}

/// The parent of a supervisor, which starts the next one; none when it was killed.
pub(crate) fn parent_of_supervisor(supervisor: u32) -> Option<u32> {
    let parent: u32 = stat_fields(supervisor)?.get(1)?.parse().ok()?;
    let name = fs::read(format!("/proc/{parent}/cmdline")).ok()?;
    name.starts_with(b"leverframe-sub-reaper\0").then_some(parent)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("a table of processes");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|pid| *pid > 1)
}
