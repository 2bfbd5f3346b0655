//! An engine of this process that serves the control socket of its data directory.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leverframe::api::ProcessKind;
use leverframe::base::id::PipelineId;
use leverframe::control::server::{ControlOptions, ControlServer, HandOver};
use leverframe::control::wire::PROTOCOL;
use leverframe::control::{ControlClient, Events};
use leverframe::daemon::{CommandHandler, Owner};
use leverframe::engine::{CoreExecutionEngine, ShutdownKind};
use leverframe::run::Event;
use leverframe::scheduler::DesktopScheduler;
use leverframe::settings::Settings;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::support::DEADLINE;
use crate::support::bench::Bench;

/// An engine that serves, and what it holds.
pub(crate) struct Hall {
    pub(crate) bench: Bench,
    pub(crate) engine: CoreExecutionEngine,
    server: ControlServer,
}

/// How it serves.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) listener: Option<UnixListener>,
    pub(crate) last_seq: Option<u64>,
    pub(crate) on_hand_over: Option<Box<dyn Fn(HandOver) + Send + Sync>>,
}

impl Hall {
    pub(crate) fn open() -> Self {
        Self::on(Bench::new())
    }

    pub(crate) fn on(bench: Bench) -> Self {
        Self::with(bench, Served::default())
    }

    pub(crate) fn with(bench: Bench, served: Served) -> Self {
        let (engine, events) = bench.open();
        let owner = Owner::without_window(ProcessKind::Library, || {});
        let find = |id: &PipelineId| Err(format!("there is no pipeline {id}"));
        let jobs = DesktopScheduler::open_with(&engine, find).expect("a scheduler");
        let desk = CommandHandler::new(engine.clone(), jobs, Settings::default().into(), owner);
        let Served { listener, last_seq, on_hand_over } = served;
        let options = ControlOptions {
            handler: Arc::new(desk.clone()),
            engine: desk.engine().clone(),
            events,
            listener,
            last_seq,
            on_hand_over,
        };
        let server = ControlServer::start(options).expect("it serves");
        Self { bench, engine, server }
    }

    pub(crate) fn write_pipeline(&self, id: &str, script: &str) {
        let folder = self.bench.data_dir.join("pipelines");
        fs::create_dir_all(&folder).expect("a folder");
        let text = format!("id = \"{id}\"\n[[step]]\nid = \"a\"\ngrace = \"1s\"\nrun = '''\n{script}\n'''\n");
        fs::write(folder.join(format!("{id}.toml")), text).expect("a file");
    }

    pub(crate) fn client(&self) -> ControlClient {
        let client = ControlClient::connect(&self.bench.data_dir, "test 1").expect("it connects");
        client.expect("somebody listens")
    }

    /// Waits for the event of this name.
    pub(crate) fn hear(&self, events: &Events, name: &str) -> Event {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = events.recv_timeout(left).unwrap_or_else(|| panic!("{name} was not told in time"));
            let event = event.event().expect("it is understood");
            if event.kind.name() == name {
                return event;
            }
        }
    }

    /// Ends the engine and the server. What is given back ends every process of the directory when it is dropped.
    pub(crate) fn close(self, reason: &str) -> Bench {
        self.engine.shutdown(ShutdownKind::StopRuns).expect("it ends");
        self.leave(reason)
    }

    /// Ends the server, when the engine has ended.
    pub(crate) fn leave(self, reason: &str) -> Bench {
        self.server.close(reason);
        self.bench
    }
}

/// A client that speaks for itself, line by line.
pub(crate) struct Raw {
    pub(crate) stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Raw {
    /// Connects, and says nothing.
    pub(crate) fn connect(hall: &Hall) -> Self {
        let stream = UnixStream::connect(hall.bench.data_dir.join("control.sock")).expect("it connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
        Self { lines: BufReader::new(stream.try_clone().expect("a copy")), stream }
    }

    /// Connects, and says hello.
    pub(crate) fn greeted(hall: &Hall) -> Self {
        let mut raw = Self::connect(hall);
        let welcome = raw.ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "hello",
            "params": {"protocol": PROTOCOL, "client": "raw 1"}}));
        assert_eq!(welcome["result"]["protocol"], PROTOCOL, "{welcome}");
        raw
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.try_say(text).expect("it is taken");
    }

    pub(crate) fn try_say(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{text}\n").as_bytes())
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.say(&request.to_string());
        self.next_line().expect("an answer")
    }

    /// The next line; none at the end of the connection.
    pub(crate) fn next_line(&mut self) -> Option<Value> {
        let mut line = String::new();
        // A reset is an end like any other.
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("it does not answer: {error}"),
        }
    }

    /// Waits, without reading, until the engine has ended the connection.
    pub(crate) fn wait_for_hang_up(&self) {
        // A hang-up is told unasked.
        let mut watched = [PollFd::new(&self.stream, PollFlags::empty())];
        let limit = Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
        assert_eq!(poll(&mut watched, Some(&limit)), Ok(1), "it was not hung up");
    }

    /// The reason with which the connection ends, after whatever else is said before.
    pub(crate) fn reason_of_end(&mut self) -> Option<String> {
        let mut reason = None;
        while let Some(line) = self.next_line() {
            if line["method"] == "closing" {
                reason = line["params"]["reason"].as_str().map(str::to_owned);
            }
        }
        reason
    }
}

/// Whether the tests are to take as long as they need to be sure.
pub(crate) fn is_campaign() -> bool {
    std::env::var_os("LEVERFRAME_CAMPAIGN_SECONDS").is_some()
}

/// So long the crowd plays: a few seconds, or as long as the campaign says.
pub(crate) fn span() -> Duration {
    let seconds =
        std::env::var("LEVERFRAME_CAMPAIGN_SECONDS").ok().map(|text| text.parse().expect("a number"));
    Duration::from_secs(seconds.unwrap_or(4))
}
