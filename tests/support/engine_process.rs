//! An engine in a process of its own, so that tests can kill it: the example `engine_process`.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::Value;

use super::DEADLINE;

/// A running example.
pub(crate) struct EngineProcess {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Lines that came while another one was waited for.
    other_lines: RefCell<Vec<Value>>,
    reader: Option<JoinHandle<()>>,
}

impl EngineProcess {
    /// Starts it; it may be killed before it is ready.
    pub(crate) fn spawn(data_dir: &Path) -> Self {
        let mut command = Command::new(example());
        command.arg(data_dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        // Unbounded: the output of one test's engine. Closed when the process has ended.
        let (tx, lines) = unbounded();
        let reader = std::thread::Builder::new()
            .name("engine-process".into())
            .spawn(move || read_lines(out, &tx))
            .expect("a thread");
        let orders = child.stdin.take();
        Self { child, orders, lines, other_lines: RefCell::default(), reader: Some(reader) }
    }

    /// Starts it and waits until it has opened its data directory.
    pub(crate) fn open(data_dir: &Path) -> Self {
        let process = Self::spawn(data_dir);
        process.wait_ready();
        process
    }

    pub(crate) fn wait_ready(&self) {
        self.wait_for("ready", |line| line.get("ready").is_some());
    }

    /// Whether it could open its data directory, and if not, why.
    pub(crate) fn outcome_of_opening(&self) -> Result<(), String> {
        let is_outcome = |line: &Value| line.get("ready").is_some() || line.get("failed").is_some();
        let line = self.wait_for("ready or failed", is_outcome);
        line.get("failed").map_or(Ok(()), |why| Err(why.as_str().expect("a text").to_owned()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that `is_it` accepts, also among those that came while another one was waited for.
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut other_lines = self.other_lines.borrow_mut();
        if let Some(at) = other_lines.iter().position(&is_it) {
            return other_lines.remove(at);
        }
        let until = Instant::now() + DEADLINE;
        loop {
            let Ok(line) = self.lines.recv_deadline(until) else {
                panic!("{what} was not told, but {:#?}", *other_lines)
            };
            if is_it(&line) {
                return line;
            }
            other_lines.push(line);
        }
    }

    /// The event of this name, if it has come by now.
    pub(crate) fn heard(&self, name: &str) -> Option<Value> {
        let mut other_lines = self.other_lines.borrow_mut();
        other_lines.extend(self.lines.try_iter());
        other_lines.iter().find(|line| line["event"] == name).cloned()
    }

    pub(crate) fn wait_for_event(&self, name: &str) -> Value {
        self.wait_for(name, |line| line.get("event").is_some_and(|event| event == name))
    }

    /// Sends an order without waiting for the answer.
    pub(crate) fn say(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it was not told to leave");
        // If it is gone, the next answer never comes.
        let _ = writeln!(orders, "{order}");
    }

    /// Sends an order, and waits until it is carried out.
    pub(crate) fn order(&mut self, order: &str) {
        self.say(order);
        let answer = self.wait_for(order, |line| line.get("answer").is_some_and(|answer| answer == order));
        assert_eq!(answer["error"], Value::Null, "{order}");
    }

    /// Kills it like `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.end();
    }

    /// Lets it end in good order.
    pub(crate) fn leave(mut self) -> ExitStatus {
        self.end()
    }

    fn end(&mut self) -> ExitStatus {
        drop(self.orders.take());
        let status = self.child.wait().expect("it ends");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        status
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        if self.reader.is_some() {
            // Only when a test failed; the bench ends what it leaves.
            let _ = self.child.kill();
            self.end();
        }
    }
}

fn read_lines(out: impl BufRead, lines: &Sender<Value>) {
    for line in out.lines() {
        // A line that a killed process had half written is skipped.
        let Ok(line) = line else { return };
        if let Ok(line) = serde_json::from_str(&line) {
            // Fails when the test has ended.
            let _ = lines.send(line);
        }
    }
}

/// The example next to this test program. It must be newer than all its sources.
fn example() -> PathBuf {
    let hint =
        "build it with `cargo build --examples`, or run the tests with a plain `cargo test`, which builds it";
    let this = std::env::current_exe().expect("a path");
    let target = this.parent().and_then(Path::parent).expect("target/<profile>/deps/<this>");
    let path = target.join("examples/engine_process");
    assert!(path.exists(), "the example {} is not there: {hint}", path.display());
    let built_at = modified_at(&path).expect("it is there");
    // Next to it Cargo lists its sources: `<path>: <source> <source> …`.
    let sources = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    let newer =
        sources.split_whitespace().skip(1).find(|source| modified_at(Path::new(source)) > Some(built_at));
    assert!(newer.is_none(), "the example {} is older than {newer:?}: {hint}", path.display());
    path
}

fn modified_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
