//! The command line, through the real program: what it prints, and the number that it ends with.

mod bounds;
mod diagnostics;
mod foreground;
mod importing;
mod jobs_in_trouble;
mod live_limits;
mod lost;
mod measuring;
mod reading;
mod schedule;
mod standing;
mod terminal;
mod waiting;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, unbounded};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::small_disk::SmallDisk;
use crate::support::{DEADLINE, PROGRAM};

/// A data directory of a test's own.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    data: PathBuf,
}

/// What a finished program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { data: dir.path().join("data"), dir }
    }

    /// The same with its data on another disk; what is beside the data directory is not on it.
    pub(crate) fn on(disk: &SmallDisk) -> Self {
        Self { data: disk.path().join("data"), ..Self::new() }
    }

    /// The data directory; made by whoever needs it.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// What is beside the data directory.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// A file in the data directory.
    pub(crate) fn data_file(&self, name: &str, text: &str) -> String {
        self.file(&self.data.join(name).to_string_lossy(), text)
    }

    /// A file beside the data directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    }

    /// A pipeline in the data directory's own folder.
    pub(crate) fn pipeline(&self, name: &str, text: &str) -> String {
        self.data_file(&format!("pipelines/{name}"), text)
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("LEVERFRAME_") || name_text.ends_with("DISPLAY") {
                command.env_remove(&name);
            }
        }
        command.env("LEVERFRAME_DATA_DIR", self.data()).env("TZ", "UTC");
        command
    }

    /// Runs the program to its end.
    pub(crate) fn say(&self, args: &[&str]) -> Said {
        said(self.command(args).output().expect("the program runs"))
    }

    /// Runs the program, which must end well and print one JSON document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.say(&[args, &["--json"]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// Starts the program and listens to it.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::listen(self.command(args))
    }

    pub(crate) fn exists(&self) -> bool {
        self.data().exists()
    }
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Said {
    /// Ended with this number, and said all of these.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, texts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        let all = format!("{}{}", self.out, self.err);
        for text in texts {
            assert!(all.contains(text), "{text:?} is missing in {self:?}");
        }
        self
    }
}

/// A program that runs, whose lines are heard as they come.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    threads: Vec<JoinHandle<()>>,
    heard: Vec<String>,
}

impl Running {
    pub(crate) fn listen(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        // Unbounded: what one program of a test prints. Closed when both of its streams are.
        let (sender, lines) = unbounded();
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("piped"));
        let threads = [out, err].into_iter().map(|stream| {
            let sender = sender.clone();
            let listen = move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // A test that has heard enough has gone.
                    let _ = sender.send(line);
                }
            };
            std::thread::Builder::new().name("listener".into()).spawn(listen).expect("a thread")
        });
        let threads = threads.collect();
        Self { child, lines, threads, heard: Vec::new() }
    }

    /// Waits for a line that holds `text`.
    #[track_caller]
    pub(crate) fn hear(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("{text:?} was not said, but {:#?}", self.heard));
            self.heard.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until all of these were said, in whatever order.
    pub(crate) fn hear_all(&mut self, texts: &[&str]) {
        for text in texts {
            if !self.heard.iter().any(|line| line.contains(text)) {
                self.hear(text);
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it lives");
    }

    /// Waits for its end: the number, and everything that it said.
    pub(crate) fn end(mut self) -> Said {
        let status = self.child.wait().expect("it ends");
        self.threads.drain(..).for_each(|thread| thread.join().expect("it listens"));
        self.heard.extend(self.lines.try_iter());
        Said { code: status.code().unwrap_or(-1), out: self.heard.join("\n"), err: String::new() }
    }
}

/// A pipeline of two steps, of which the first reports.
pub(crate) const TWO_STEPS: &str = r#"
id = "two"
source = "shop"
[params.n]
type = "int"
default = 1
[params.colour]
default = "red"
choices = ["red", "green"]
[[step]]
id = "first"
run = '"$LEVERFRAME_BIN" report --progress 0.5 --message "half way" --checkpoint "{\"page\": 7}" --output rows=3; echo "n is $LEVERFRAME_PARAM_N"'
[[step]]
id = "second"
run = "echo second"
"#;

/// A pipeline whose step says where it is and then waits for a file.
pub(crate) fn waiting(dir: &Path, more: &str) -> String {
    let go = dir.join("go");
    format!(
        "id = \"waiting\"\n[[step]]\nid = \"wait\"\ngrace = \"60s\"\n{more}\nrun = '''\n\
         \"$LEVERFRAME_BIN\" report --message \"pid $$\" --progress 0.1\n\
         until [ -e \"{}\" ]; do sleep 0.05; done\necho gone on\n'''\n",
        go.display()
    )
}
