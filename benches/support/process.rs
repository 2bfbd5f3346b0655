//! What processes cost, as the kernel counts it, and parts of a benchmark as processes of their own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{CHILD, Goal, Table, us};

/// A field of `/proc/PID/status`, in bytes: `VmRSS` (now) or `VmHWM` (the most it ever was).
pub(crate) fn memory(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the field");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib * 1024.0
}

/// Seconds of CPU that all threads of a process have used, by the scheduler's own count in nanoseconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let nanoseconds = |thread: std::io::Result<std::fs::DirEntry>| -> f64 {
        let text = std::fs::read_to_string(thread.expect("an entry").path().join("schedstat"));
        text.ok().and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0)
    };
    threads.map(nanoseconds).sum::<f64>() / 1e9
}

/// The CPU time of this thread, in seconds.
pub(crate) fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What engine and supervisor, and the spawner of that, use of the CPU, steps not counted: steadier on a busy machine than
/// what takes time.
pub(crate) struct CpuMeter {
    pids: [u32; 3],
    used: [f64; 3],
}

impl CpuMeter {
    /// For the engine of this process. Its supervisor is there.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let supervisor = supervisor_pid(data_dir);
        Self { pids: [std::process::id(), supervisor, spawner_pid(supervisor)], used: [0.0; 3] }
    }

    /// How long `work` takes, in seconds.
    pub(crate) fn seconds<T>(&mut self, work: impl FnOnce() -> T) -> f64 {
        let before = self.pids.map(cpu_seconds);
        let took = super::seconds(work);
        for ((used, pid), before) in self.used.iter_mut().zip(self.pids).zip(before) {
            *used += cpu_seconds(pid) - before;
        }
        took
    }

    /// Seconds that the engine, the supervisor and its spawner have used so far.
    pub(crate) fn used(&self) -> [f64; 3] {
        self.used
    }

    /// Adds what was used to the table, a step.
    pub(crate) fn tell(&self, table: &mut Table, n_steps: usize) {
        for (who, used) in ["engine", "supervisor", "spawner"].iter().zip(self.used) {
            let what = format!("CPU a step, {who}");
            table.value(&what, &[used / n_steps as f64], us, Goal::None);
        }
    }
}

/// The supervisor of a data directory.
pub(crate) fn supervisor_pid(data_dir: &Path) -> u32 {
    leverframe::supervisor::probe(data_dir).expect("a supervisor").pid
}

/// The spawner of a supervisor.
fn spawner_pid(supervisor: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
    let is_spawner = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "lf-spawner\n")
    };
    let children = children.expect("the supervisor lives");
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_spawner).expect("a spawner")
}

/// A part of this benchmark in a process of its own. It ends when this is dropped.
pub(crate) struct Part {
    child: Child,
    /// Closed, it tells the part to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Part {
    /// Starts this program again, as `what`, on `dir`.
    pub(crate) fn start(what: &str, dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a program"))
            .args([CHILD, what])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, stdin, stdout }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next numbers that it says, on one line.
    pub(crate) fn numbers(&mut self) -> Vec<f64> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it says something");
        line.split_whitespace().map(|word| word.parse().expect("a number")).collect()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().expect("it ends");
    }
}

/// In the part: says numbers to the benchmark.
#[expect(clippy::print_stdout, reason = "the benchmark reads it")]
pub(crate) fn say(numbers: &[f64]) {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    println!("{}", words.join(" "));
}

/// In the part: waits until the benchmark has seen enough.
pub(crate) fn wait_for_the_end() {
    let mut nothing = String::new();
    std::io::stdin().read_line(&mut nothing).expect("a pipe");
}
