//! Processes that resist: each kind under pause, resume, stop and force-stop, each time with the kernel's word for it. What
//! can't be frozen is named, and everything is gone in the end.
//!
//! The animals are `fixtures/zoo.c`, compiled by the system's C compiler, which building this program needs anyway.

mod descriptors;
mod planted;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::LazyLock;

use leverframe::engine::{CoreExecutionEngine, Subscription};
use leverframe::run::{EventKind, RunState, StopKind};

use crate::support::bench::Bench;
use crate::support::process::{has_ended, look_until, states_of_threads, step_processes_of, wait_ended};
use crate::support::{run_id, start, wait_for, wait_for_end};

/// The compiled animals.
static ZOO: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoo.c");
    let program =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zoo-{}", std::process::id())).join("zoo");
    std::fs::create_dir_all(program.parent().expect("a folder")).expect("a folder");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-pthread", "-o"]).arg(&program).arg(source);
    let status = compiler.status().expect("there is a C compiler, cc");
    assert!(status.success(), "{status}");
    program
});

/// One run of one animal.
struct Cage {
    bench: Bench,
    engine: CoreExecutionEngine,
    events: Subscription,
    kind: &'static str,
    n_pids: usize,
}

/// A file of its own in the bench, so that no run sees what an earlier one wrote.
fn pids_of(run: &str) -> String {
    format!("{run}.animals")
}

impl Cage {
    fn of(kind: &'static str, n_pids: usize) -> Self {
        let bench = Bench::new();
        let (engine, events) = bench.open();
        Self { bench, engine, events, kind, n_pids }
    }

    /// Starts a run of it, and waits until all its processes are what they should be.
    fn start(&self, run: &str) -> Vec<u32> {
        let file = pids_of(run);
        let script = format!("exec {} {} \"$HERE/{file}\"\n", ZOO.display(), self.kind);
        start(&self.engine, run, &self.bench.pipeline("", &[("a", "grace = \"300ms\"", &script)]));
        let mut pids = self.bench.pids_in(&file, self.n_pids);
        pids.sort_unstable();
        pids
    }

    /// Pauses a run; what could not be frozen, as it was told.
    fn pause(&self, run: &str) -> Vec<String> {
        self.engine.pause_execution(&run_id(run)).expect("it pauses");
        let told = wait_for(&self.events, "the pause", |event| event.kind.name() == "execution_paused");
        let EventKind::ExecutionPaused { unfrozen, .. } = &told.kind else { panic!("{told:?}") };
        unfrozen.clone()
    }

    fn resume(&self, run: &str) {
        self.engine.resume_execution(&run_id(run)).expect("it resumes");
    }

    /// Ends a run; none of the processes that were seen, and no other of its step, is left.
    fn end(&self, run: &str, how: StopKind, pids: &[u32]) {
        self.engine.stop_execution(&run_id(run), how).expect("it ends");
        wait_for_end(&self.events, &run_id(run));
        assert_eq!(pids.iter().filter(|pid| !has_ended(**pid)).collect::<Vec<_>>(), [&0; 0], "are left");
        assert_eq!(self.of_steps(), [0; 0], "are left of its tree");
        let expected = if how == StopKind::Force { RunState::ForceStopped } else { RunState::Stopped };
        assert_eq!(self.bench.stored(run).summary.state, expected);
    }

    /// Every living process that still has a step's environment.
    fn of_steps(&self) -> Vec<u32> {
        let mut pids = step_processes_of(&self.bench.data_dir);
        pids.retain(|pid| !has_ended(*pid));
        pids
    }

    /// The whole way: paused, resumed, stopped, and once more paused and ended by force.
    fn tame(&self, while_paused: impl Fn(&[u32], &[String]), afterwards: impl Fn(&[u32])) {
        for (run, how) in [("r1", StopKind::Graceful), ("r2", StopKind::Force)] {
            let pids = self.start(run);
            while_paused(&pids, &self.pause(run));
            if how == StopKind::Graceful {
                self.resume(run);
                afterwards(&pids);
                // Frozen and let go on once more, and ended while it runs.
                while_paused(&pids, &self.pause(run));
                self.resume(run);
            }
            self.end(run, how, &pids);
        }
        self.bench.assert_ledger(&["a 1", "a 1"]);
    }

    /// The same for one that can be frozen whole.
    fn tame_whole(&self) {
        let frozen = |pids: &[u32], unfrozen: &[String]| {
            assert_eq!(unfrozen, [""; 0], "everything can be frozen");
            let all: Vec<u32> = pids.iter().copied().chain(self.of_steps()).collect();
            assert_frozen(&all);
        };
        self.tame(frozen, wait_running);
    }
}

/// The kernel says that every thread is stopped.
#[track_caller]
fn assert_frozen(pids: &[u32]) {
    for pid in pids {
        let states = states_of_threads(*pid);
        assert!(!states.is_empty() && states.iter().all(|state| *state == 'T'), "{pid}: {states:?}");
    }
}

/// Until the kernel says that no thread is stopped any more.
fn wait_running(pids: &[u32]) {
    for pid in pids {
        look_until(&format!("process {pid} goes on"), || {
            let states = states_of_threads(*pid);
            (!states.is_empty() && !states.iter().any(|state| matches!(state, 'T' | 't'))).then_some(())
        });
    }
}

#[test]
fn one_that_ignores_term() {
    Cage::of("ignores_term", 1).tame_whole();
}

#[test]
fn one_that_blocks_all_signals() {
    Cage::of("blocks_all", 1).tame_whole();
}

#[test]
fn own_groups_and_sessions() {
    Cage::of("groups", 4).tame_whole();
}

#[test]
fn fifty_children_that_nobody_waits_for() {
    Cage::of("zombies", 1).tame_whole();
}

#[test]
fn a_daemon_with_nothing_open_and_nothing_in_its_environment() {
    Cage::of("daemons", 2).tame_whole();
}

#[test]
fn several_threads() {
    Cage::of("threads", 1).tame_whole();
}

#[test]
fn a_process_whose_first_thread_has_ended_lives() {
    let cage = Cage::of("first_thread_gone", 1);
    let first_is_gone = |pids: &[u32]| {
        let stat = std::fs::read_to_string(format!("/proc/{0}/stat", pids[0])).expect("it is there");
        assert!(stat.contains(") Z "), "the kernel says Z of its first thread: {stat}");
    };
    let frozen = |pids: &[u32], unfrozen: &[String]| {
        assert_eq!(unfrozen, [""; 0]);
        first_is_gone(pids);
        assert_frozen(pids);
    };
    cage.tame(frozen, wait_running);
}

#[test]
fn a_chain_of_forks() {
    Cage::of("chain", 1).tame_whole();
}

#[test]
fn one_that_stopped_itself_stays_stopped_and_is_ended_all_the_same() {
    let cage = Cage::of("stops_itself", 1);
    let stopped = |pids: &[u32]| {
        look_until("it stops itself", || (states_of_threads(pids[0]) == ['T']).then_some(()));
    };
    let frozen = |pids: &[u32], unfrozen: &[String]| {
        assert_eq!(unfrozen, [""; 0]);
        stopped(pids);
    };
    // It is not for us to let go on what we did not stop.
    cage.tame(frozen, stopped);
}

#[test]
fn a_tracer_and_what_it_traces() {
    let cage = Cage::of("tracer", 2);
    let held = |pids: &[u32], unfrozen: &[String]| {
        assert_eq!(unfrozen, [""; 0]);
        // What is traced stands before its tracer, which stands still and can't let it go on.
        for pid in pids {
            let states = states_of_threads(*pid);
            assert!(matches!(states[..], ['T' | 't']), "{pid}: {states:?}");
        }
    };
    cage.tame(held, wait_running);
}

#[test]
fn what_waits_uninterruptibly_for_a_child_of_vfork_is_named() {
    let cage = Cage::of("vforked", 2);
    let named = |pids: &[u32], unfrozen: &[String]| {
        let waits = |pid: &&u32| states_of_threads(**pid) == ['D'];
        let waiting: Vec<u32> = pids.iter().filter(waits).copied().collect();
        assert_eq!(waiting.len(), 1, "the kernel says D of one");
        assert_eq!(unfrozen, [format!("zoo ({})", waiting[0])]);
        assert_frozen(&pids.iter().copied().filter(|pid| *pid != waiting[0]).collect::<Vec<_>>());
    };
    cage.tame(named, |pids| {
        look_until("its child goes on", || {
            pids.iter().all(|pid| matches!(states_of_threads(*pid)[..], ['D' | 'S' | 'R'])).then_some(())
        });
    });
}

/// Somebody else's debugger, ended with the test.
struct Debugger(Child);

impl Drop for Debugger {
    fn drop(&mut self) {
        // Gone already: as wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_stranger_holds_by_tracing_it_is_named() {
    let cage = Cage::of("traceable", 1);
    for (run, how) in [("r1", StopKind::Graceful), ("r2", StopKind::Force)] {
        let pids = cage.start(run);
        let mut debugger = Command::new(&*ZOO);
        debugger.arg("trace").arg(cage.bench.here.join(format!("{run}.tracer"))).arg(pids[0].to_string());
        let _debugger = Debugger(debugger.spawn().expect("it starts"));
        cage.bench.pids_in(&format!("{run}.tracer"), 1);
        assert_eq!(states_of_threads(pids[0]), ['t']);
        assert_eq!(cage.pause(run), [format!("zoo ({})", pids[0])], "its tracer may let it go on");
        cage.resume(run);
        cage.end(run, how, &pids);
        wait_ended(&pids);
    }
}
