//! Starts of steps. A start is idempotent by key and recorded before the spawn. Where a survivor may live, it is looked
//! for first.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::event::epoll::{self, EventFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::scanner::N_SLACK;
use super::step::{End, Ended, Ending, Freeze, LogState, MainEnd, Step};
use super::{Server, Source};
use crate::base::id::AttemptKey;
use crate::process::tree::{Origin, Tree};
use crate::supervisor::host::{HostEvent, StartSpec};
use crate::supervisor::journal::{Record, SpawnNote, StartNote};
use crate::supervisor::log::Log;
use crate::supervisor::process::{Proc, ProcId};
use crate::supervisor::reaper::ticks;
use crate::supervisor::spawner::{Made, Spawner};
use crate::supervisor::{log, program};

/// A process that was just spawned, with its handle and log.
struct Spawned {
    main: ProcId,
    handle: OwnedFd,
    pipe: u64,
    log: Log,
    at: DateTime<Utc>,
    peak_before: Option<u64>,
}

/// A start that waits for a look at the processes, because a survivor may live.
pub(super) struct DeferredStart {
    spec: StartSpec,
    /// What the engine asked of the step meanwhile, in order.
    levers: Vec<Lever>,
}

/// What the engine can ask of a started step.
pub(super) enum Lever {
    Freeze,
    Thaw,
    Stop { signal: i32, grace: Duration },
    Kill,
}

impl Lever {
    fn ends_step(&self) -> bool {
        match self {
            Self::Stop { .. } | Self::Kill => true,
            Self::Freeze | Self::Thaw => false,
        }
    }
}

impl Server {
    /// Starts a step. One that is known is answered with its present state.
    pub(super) fn start(&mut self, spec: StartSpec) {
        if !self.deferred_starts.iter().any(|unseen| unseen.spec.key == spec.key) {
            self.start_deferred(DeferredStart { spec, levers: Vec::new() });
        }
    }

    /// Starts a step, and then applies the levers that were pulled while the start waited.
    pub(super) fn start_deferred(&mut self, DeferredStart { spec, levers }: DeferredStart) {
        if let Some(n) = self.by_key.get(&spec.key) {
            return self.send_status(*n);
        }
        let n = self.take_n();
        let start = StartNote {
            key: spec.key.clone(),
            token: spec.token.clone(),
            log_path: spec.log_path.clone(),
            log_limit: spec.log_limit,
            keep_background: spec.keep_background,
            at_ticks: ticks(),
        };
        if spec.may_be_alive {
            match self.with_reserve(|server| server.adopt_survivor(n, &start)) {
                Ok(true) => return levers.into_iter().for_each(|lever| self.apply(lever, spec.key.clone())),
                Ok(false) if levers.iter().any(Lever::ends_step) => {
                    return self
                        .start_failed(spec.key, "it was stopped before it could be started".to_owned());
                }
                Ok(false) => {}
                Err(_) => {
                    // A survivor may live: nothing is started before that is known.
                    self.by_key.remove(&spec.key);
                    self.remember(Record::Acknowledged { n });
                    return self.deferred_starts.push(DeferredStart { spec, levers });
                }
            }
        }
        let key = spec.key.clone();
        self.by_key.insert(key.clone(), n);
        if let Err(error) = self.journal.write(Record::Start { n, start }) {
            let reason = format!("could not note the start in supervisor.journal: {error}");
            return self.end(n, key, End::StartFailed(reason));
        }
        match self.spawn(&spec) {
            Ok(spawned) => self.watch_over(n, spec, spawned),
            Err(reason) => self.end(n, key.clone(), End::StartFailed(reason)),
        }
        levers.into_iter().for_each(|lever| self.apply(lever, key.clone()));
    }

    /// Applies a lever to a step. For a deferred start, the lever waits with it, because a survivor may live.
    pub(super) fn apply(&mut self, lever: Lever, key: AttemptKey) {
        if let Some(unseen) = self.deferred_starts.iter_mut().find(|unseen| unseen.spec.key == key) {
            return unseen.levers.push(lever);
        }
        match lever {
            Lever::Freeze => self.freeze(key),
            Lever::Thaw => self.thaw(key),
            Lever::Stop { signal, grace } => self.stop(&key, signal, grace),
            Lever::Kill => self.kill(&key),
        }
    }

    /// Records and reports a start that can't even be tried.
    pub(super) fn start_failed(&mut self, key: AttemptKey, reason: String) {
        if let Some(n) = self.by_key.get(&key) {
            return self.send_status(*n);
        }
        let n = self.take_n();
        self.by_key.insert(key.clone(), n);
        let (token, log_path, log_limit, keep_background) = (String::new(), PathBuf::new(), 0, false);
        let start = StartNote { key: key.clone(), token, log_path, log_limit, keep_background, at_ticks: 0 };
        self.remember(Record::Start { n, start });
        self.end(n, key, End::StartFailed(reason));
    }

    fn spawn(&mut self, spec: &StartSpec) -> Result<Spawned, String> {
        // The engine respects the capacity; cleanup steps may exceed it by a few.
        if let Some(n_steps) = self.capacity().filter(|n_steps| self.steps.len() >= n_steps + N_SLACK) {
            return Err(format!(
                "could not start it: {n_steps} steps are running, and the limit of open files (ulimit -n) does not let the supervisor watch more"
            ));
        }
        let (ours, theirs) =
            log::new_pipe().map_err(|e| format!("could not make a pipe for the log: {e}"))?;
        let pipe = rustix::fs::fstat(&ours).map_or(0, |stat| stat.st_ino);
        let log = Log::open(&spec.log_path, ours, spec.log_limit)
            .map_err(|e| format!("could not open the log {}: {e}", spec.log_path.display()))?;
        let at = Utc::now();
        let Made { pid, peak_before } = self.spawn_main(spec, std::os::fd::AsFd::as_fd(&theirs))?;
        let watched = self.with_reserve(|_| watch(pid)).inspect_err(|_| {
            // Its end would never be noticed: it must not live.
            kill_unwatched(pid);
        });
        let (main, handle) =
            watched.map_err(|e| format!("could not watch over the process that was started: {e}"))?;
        // The snapshot of this turn lacks it.
        self.scanner.forget();
        Ok(Spawned { main, handle, pipe, log, at, peak_before })
    }

    /// Has the spawner start the main process. The spawner may be another one afterwards.
    fn spawn_main(&mut self, spec: &StartSpec, output: BorrowedFd<'_>) -> Result<Made, String> {
        self.with_spawner(|spawner| program::spawn(spawner, spec, output))
    }

    /// Does something with the spawner, which may be another process afterwards.
    pub(super) fn with_spawner<T>(&mut self, act: impl FnOnce(&mut Spawner) -> T) -> T {
        let before = self.spawner.pid();
        let done = act(&mut self.spawner);
        let after = self.spawner.pid();
        if after != before {
            before.map(|gone| self.mains.remove(&gone));
            self.mains.extend(after);
        }
        done
    }

    fn watch_over(&mut self, n: u64, spec: StartSpec, spawned: Spawned) {
        let Spawned { main, handle, pipe, log, at, peak_before } = spawned;
        self.remember(Record::Spawned { n, spawned: SpawnNote { main, pipe: Some(pipe), at } });
        // Fails only when memory is short; then the log is moved at the step's end.
        let _ = self.mover.add(n, log);
        let _ = epoll::add(&self.epoll, &handle, Source::Main(n).data(), EventFlags::IN);
        self.mains.insert(main.pid);
        let step = Step {
            key: spec.key.clone(),
            started_at: at,
            keep_background: spec.keep_background,
            tree: Tree::new(Some(main), &spec.token, Some(pipe), Origin::Started),
            main: Some(handle),
            reap_deadline: None,
            peak_before,
            log: LogState::Open,
            freeze: Freeze::None,
            ending: Ending::No,
            unsent_signal: None,
            main_end: MainEnd::Lives,
            orphans_usage: None,
            first_empty_snapshot: None,
            alarm: None,
            n_scans: 0,
            is_unkillable: false,
        };
        self.steps.insert(n, step);
        self.send_event_soon(HostEvent::Started { key: spec.key, pid: main.pid, at });
    }

    /// Records how an attempt ended until that is acknowledged, and reports it.
    pub(super) fn end(&mut self, n: u64, key: AttemptKey, how: End) {
        self.remember(match how.clone() {
            End::StartFailed(reason) => Record::Failed { n, reason },
            End::Exited(exit) => Record::Exited { n, exit },
        });
        self.ended.insert(n, Ended { key, how });
        self.send_status(n);
    }

    /// Reports the present state of an attempt, in answer to a repeated start.
    fn send_status(&mut self, n: u64) {
        if let Some(step) = self.steps.get(&n) {
            // If the main process is gone, the end of the step is the answer, once it is settled.
            let Some(pid) = step.living_main() else { return };
            let event = HostEvent::Started { key: step.key.clone(), pid, at: step.started_at };
            self.send_event(event);
        } else if let Some(Ended { key, how }) = self.ended.get(&n) {
            let key = key.clone();
            let event = match how.clone() {
                End::StartFailed(reason) => HostEvent::StartFailed { key, reason },
                End::Exited(exit) => HostEvent::Exited { key, exit },
            };
            self.send_event(event);
        }
    }

    /// The engine has an end on disk.
    pub(super) fn acknowledge(&mut self, key: &AttemptKey) {
        let Some(&n) = self.by_key.get(key) else { return };
        if self.ended.remove(&n).is_some() {
            self.by_key.remove(key);
            self.remember(Record::Acknowledged { n });
        }
    }
}

/// The identity of a process that was just spawned, and a handle on it.
fn watch(pid: u32) -> io::Result<(ProcId, OwnedFd)> {
    // Our own child that is not reaped: pid and start time can't belong to another process.
    let start = Proc::read(pid)?.map_or(0, |found| found.id.start);
    let pid_for_kernel = Pid::from_raw(pid.cast_signed()).ok_or(rustix::io::Errno::SRCH)?;
    Ok((ProcId { pid, start }, pidfd_open(pid_for_kernel, PidfdFlags::empty())?))
}

fn kill_unwatched(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
