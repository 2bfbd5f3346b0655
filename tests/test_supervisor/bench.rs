//! A data directory with a supervisor, an engine's connection to it, and what tests look for in `/proc`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use leverframe::base::id::{AttemptKey, RunId, StepId};
use leverframe::supervisor::{
    ConnectError, ExitCause, HostEvent, HostRequest, Known, KnownStatus, Launcher, StartSpec, StepExit,
    StepHost, SupervisorHost,
};
use rustix::process::{Pid, Signal};

use crate::support::process::parent_of_supervisor;

/// Beyond this, a test has failed; nothing is expected to take nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// One engine after the other on one data directory.
pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) data_dir: PathBuf,
    pub(crate) epoch: u64,
    pub(crate) engine: Option<Engine>,
    pids: Vec<u32>,
}

/// A connection and what came over it.
pub(crate) struct Engine {
    pub(crate) host: SupervisorHost,
    pub(crate) events: Receiver<HostEvent>,
    pub(crate) inventory: Vec<Known>,
    /// What came while something else was waited for.
    passed_over: Vec<HostEvent>,
}

pub(crate) fn launcher(data_dir: &Path) -> Launcher {
    Launcher::new(data_dir).program(env!("CARGO_BIN_EXE_leverframe"))
}

pub(crate) fn connect(data_dir: &Path, epoch: u64) -> Result<Engine, ConnectError> {
    // Unbounded: the test takes what it waits for, and the rest is dropped with it.
    let (sender, events) = crossbeam_channel::unbounded();
    let host = launcher(data_dir).launch()?.hello(epoch, move |event| {
        let _ = sender.send(event);
    })?;
    let inventory = loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            HostEvent::Capacity { .. } => {}
            HostEvent::Inventory(inventory) => break inventory,
            other => panic!("the inventory comes first, not {other:?}"),
        }
    };
    Ok(Engine { host, events, inventory, passed_over: Vec::new() })
}

/// A message to the supervisor as it goes over the socket.
pub(crate) fn frame(header: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    [&length, &[0; 4], header].concat()
}

pub(crate) fn key(step: &str, attempt: u32) -> AttemptKey {
    AttemptKey { run_id: RunId::new("run").unwrap(), step_id: StepId::new(step).unwrap(), attempt }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::at(|dir| dir.join("data"))
    }

    pub(crate) fn at(place: impl FnOnce(&Path) -> PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = place(dir.path());
        let engine = connect(&data_dir, 1).unwrap();
        fs::create_dir_all(data_dir.join("logs")).unwrap();
        Self { _dir: dir, data_dir, epoch: 1, engine: Some(engine), pids: Vec::new() }
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    pub(crate) fn supervisor(&mut self) -> u32 {
        self.engine().host.supervisor_pid()
    }

    /// The engine dies and a later one comes.
    pub(crate) fn reconnect(&mut self) {
        self.engine = None;
        self.epoch += 1;
        self.engine = Some(connect(&self.data_dir, self.epoch).unwrap());
    }

    pub(crate) fn log_path(&self, key: &AttemptKey) -> PathBuf {
        self.data_dir.join(format!("logs/{}.{}.log", key.step_id, key.attempt))
    }

    pub(crate) fn log(&self, key: &AttemptKey) -> String {
        String::from_utf8(fs::read(self.log_path(key)).unwrap()).unwrap()
    }

    pub(crate) fn spec(&self, step: &str, script: &str) -> StartSpec {
        let key = key(step, 1);
        let token = format!("token-{step}-{}", self.data_dir.display());
        let path = std::env::var_os("PATH").unwrap_or_default();
        StartSpec {
            log_path: self.log_path(&key),
            key,
            argv: ["sh", "-c", script].map(OsString::from).to_vec(),
            env: vec![("PATH".into(), path), ("LEVERFRAME_TOKEN".into(), token.clone().into())],
            token,
            working_dir: self.data_dir.clone(),
            log_limit: 1 << 30,
            keep_background: false,
            may_be_alive: false,
        }
    }

    pub(crate) fn send(&mut self, request: HostRequest) {
        self.engine().host.send(request);
    }

    /// Starts a script and gives the pid of its shell.
    pub(crate) fn start(&mut self, spec: StartSpec) -> u32 {
        let key = spec.key.clone();
        self.send(HostRequest::Start(Box::new(spec)));
        self.started(&key)
    }

    /// Waits until a start is reported, and gives the pid of its shell.
    pub(crate) fn started(&mut self, key: &AttemptKey) -> u32 {
        let pid = self.engine().wait_for(|event| match event {
            HostEvent::Started { key: started, pid, .. } if started == key => Some(*pid),
            _ => None,
        });
        self.pids.push(pid);
        pid
    }

    pub(crate) fn sh(&mut self, step: &str, script: &str) -> u32 {
        let spec = self.spec(step, script);
        self.start(spec)
    }

    /// Runs a script to its end, acknowledged.
    pub(crate) fn run(&mut self, step: &str, script: &str) -> StepExit {
        self.sh(step, script);
        let exit = self.exit(step);
        self.send(HostRequest::Acknowledge(key(step, 1)));
        exit
    }

    pub(crate) fn exit(&mut self, step: &str) -> StepExit {
        self.engine().exit(&key(step, 1))
    }

    /// What was sent before has been heard when this returns.
    pub(crate) fn sync(&mut self) {
        self.freeze("unknown");
    }

    pub(crate) fn freeze(&mut self, step: &str) -> Vec<String> {
        let key = key(step, 1);
        self.send(HostRequest::Freeze(key.clone()));
        self.engine().wait_for(|event| match event {
            HostEvent::Frozen { key: frozen, unfrozen } if *frozen == key => Some(unfrozen.clone()),
            _ => None,
        })
    }

    pub(crate) fn thaw(&mut self, step: &str) {
        let key = key(step, 1);
        self.send(HostRequest::Thaw(key.clone()));
        self.engine()
            .wait_for(|event| matches!(event, HostEvent::Thawed { key: t } if *t == key).then_some(()));
    }

    pub(crate) fn stop(&mut self, step: &str, grace: Duration) {
        self.send(HostRequest::Stop { key: key(step, 1), signal: libc::SIGTERM, grace });
    }

    /// Waits for a file that a step writes, and gives its lines as pids.
    pub(crate) fn pids_in(&mut self, name: &str, n: usize) -> Vec<u32> {
        let path = self.data_dir.join(name);
        let pids = wait_until(&format!("{n} pids in {name}"), || {
            let text = fs::read_to_string(&path).ok()?;
            let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
            (pids.len() >= n && text.ends_with('\n')).then_some(pids)
        });
        self.pids.extend(&pids);
        pids
    }

    /// Kills the supervisor as the kernel would, and waits until the engine knows.
    pub(crate) fn kill_supervisor(&mut self) {
        let pid = self.supervisor();
        signal(pid, Signal::KILL);
        self.engine().wait_for(|event| matches!(event, HostEvent::Gone { .. }).then_some(()));
        wait_until("the end of the supervisor", || is_gone(pid).then_some(()));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let supervisor = self.engine.take().map(|engine| engine.host.supervisor_pid());
        // Its parent first: it would start another one.
        let parent = supervisor.and_then(parent_of_supervisor);
        for pid in parent.into_iter().chain(supervisor).chain(self.pids.drain(..)) {
            if let Some(pid) = Pid::from_raw(pid.cast_signed()).filter(|pid| pid.as_raw_nonzero().get() > 1) {
                // What has ended already is as wanted; pids are not reused this fast.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Engine {
    /// The first event that is wanted, of those passed over before and those to come.
    pub(crate) fn wait_for<T>(&mut self, mut want: impl FnMut(&HostEvent) -> Option<T>) -> T {
        let earlier = self.passed_over.iter().enumerate().find_map(|(i, event)| Some((i, want(event)?)));
        if let Some((i, found)) = earlier {
            self.passed_over.remove(i);
            return found;
        }
        let until = Instant::now() + DEADLINE;
        loop {
            let Ok(event) = self.events.recv_deadline(until) else {
                panic!("never came; seen: {:#?}", self.passed_over)
            };
            if let Some(found) = want(&event) {
                return found;
            }
            self.passed_over.push(event);
        }
    }

    pub(crate) fn exit(&mut self, key: &AttemptKey) -> StepExit {
        // It may have ended before this engine came.
        let known = self.inventory.iter().find(|known| known.key == *key).map(|known| &known.status);
        if let Some(KnownStatus::Exited(exit)) = known {
            return exit.clone();
        }
        self.wait_for(|event| match event {
            HostEvent::Exited { key: exited, exit } if exited == key => Some(exit.clone()),
            _ => None,
        })
    }
}

/// Looks at the world (not at an event of ours) until it is as wanted.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not seen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The letter of `/proc/<pid>/stat`; none when there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

pub(crate) fn is_gone(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

pub(crate) fn wait_gone(pids: &[u32]) {
    for &pid in pids {
        wait_until(&format!("the end of {pid}"), || is_gone(pid).then_some(()));
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

pub(crate) fn code(code: i32) -> ExitCause {
    ExitCause::Code(code)
}
