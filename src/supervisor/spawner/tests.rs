//! The spawner with real processes: what it gives them, what it reports of them, and starts after its death.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};

use super::*;
use crate::supervisor::host::{ExitCause, Usage};

/// Runs a test in a process of its own, as a supervisor is one. What is withheld from the spawner would be missing in what
/// other tests fork at the same moment.
fn alone(test: impl FnOnce(&mut Spawner)) {
    const ALONE: &str = "LEVERFRAME_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let mut spawner = Spawner::new();
        spawner.prepare();
        return test(&mut spawner);
    }
    let this = std::any::type_name_of_val(&test).split_once("::").unwrap().1;
    let this = this.strip_suffix("::{{closure}}").unwrap();
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let ran = again.args(["--exact", this]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// What a shell is to say, run by `spawner` in `/`. Returns what was made, and its output.
fn start(spawner: &mut Spawner, script: &str) -> (Made, PipeReader) {
    let (output, input) = std::io::pipe().unwrap();
    let made = spawn(spawner, c"/bin/sh", &["sh", "-c", script], input.as_fd());
    (made.unwrap(), output)
}

fn spawn(
    spawner: &mut Spawner,
    program: &CStr,
    argv: &[&str],
    output: std::os::fd::BorrowedFd<'_>,
) -> io::Result<Made> {
    let argv: Vec<CString> = argv.iter().map(|word| CString::new(*word).unwrap()).collect();
    let env = [c"A=b".to_owned()];
    let (program, working_dir) = (program.to_owned(), c"/".to_owned());
    spawner.spawn(&SpawnPlan { program: &program, argv: &argv, env: &env, working_dir: &working_dir, output })
}

/// Reads the output to its end, waits for the end of the process, and reaps it.
fn end(made: Made, mut output: PipeReader) -> (String, ExitCause, Usage) {
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    let pid = Pid::from_raw(made.pid.cast_signed()).unwrap();
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).unwrap();
    let (cause, usage) = sys::reap(made.pid).unwrap();
    (said, cause, usage)
}

fn say(spawner: &mut Spawner, script: &str) -> (Made, String) {
    let (made, output) = start(spawner, script);
    let (said, cause, _) = end(made, output);
    assert_eq!(cause, ExitCause::Code(0), "{script}");
    (made, said)
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// A plan that the spawner's block does not hold.
fn long_word() -> String {
    ": ".to_owned() + &"x".repeat(100_000)
}

#[test]
fn a_small_program_has_a_small_peak() {
    alone(|spawner| {
        // The test has more than that.
        let _touched = vec![1_u8; 32 << 20];
        let (made, output) = start(spawner, "echo done");
        let (said, cause, usage) = end(made, output);
        assert_eq!((said.as_str(), cause), ("done\n", ExitCause::Code(0)));
        let peak = memory::peak_of_program(usage.peak_rss_bytes.unwrap(), made.peak_before);
        assert!(peak.is_some_and(|peak| peak < 4 << 20), "{peak:?} {usage:?} {made:?}");
    });
}

#[test]
fn a_process_has_its_own_session_our_files_and_no_others_and_nothing_blocked_or_ignored() {
    alone(|spawner| {
        let kept_open = File::open("/dev/null").unwrap();
        let fd = kept_open.as_raw_fd();
        let script = format!(
            "cut -d' ' -f1,4,6 /proc/$$/stat; pwd; env | grep -c '^A=b$'; test -e /proc/$$/fd/{fd} || echo closed; \
         ulimit -Sn; exec grep -E 'Sig(Blk|Ign)|ShdPnd' /proc/self/status"
        );
        let (made, said) = say(spawner, &script);
        assert!(made.peak_before.is_some());
        drop(kept_open);
        let mut lines = said.lines();
        let (pid, me) = (made.pid, std::process::id());
        assert_eq!(lines.next().unwrap(), format!("{pid} {me} {pid}"));
        assert_eq!([lines.next(), lines.next()], [Some("/"), Some("1")]);
        assert_eq!(lines.next(), Some("closed"));
        let limit = descriptors::before().map_or("unlimited".to_owned(), |limit| limit.to_string());
        assert_eq!(lines.next().unwrap(), limit);
        for line in lines {
            assert!(line.ends_with("\t0000000000000000"), "{line}");
        }
    });
}

#[test]
fn what_cannot_be_started_says_why_and_harms_no_later_start() {
    alone(|spawner| {
        let null = File::options().write(true).open("/dev/null").unwrap();
        let first = spawner.pid();
        for (program, errno) in
            [(c"/nonexistent", libc::ENOENT), (c"/dev/null", libc::EACCES), (c"/", libc::EACCES)]
        {
            let error = spawn(spawner, program, &["x"], null.as_fd()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno), "{program:?}");
        }
        assert_eq!(say(spawner, "echo well").1, "well\n");
        assert_eq!(spawner.pid(), first);
    });
}

#[test]
fn many_starts_leave_one_spawner_and_no_process_behind() {
    alone(|spawner| {
        let first = spawner.pid();
        for n in 0..200 {
            assert_eq!(say(spawner, &format!("echo {n}")).1, format!("{n}\n"));
        }
        assert_eq!(spawner.pid(), first);
        let children = crate::process::children_of(std::process::id()).unwrap();
        assert_eq!(children, Vec::from_iter(first));
    });
}

#[test]
fn a_plan_that_is_too_large_is_started_all_the_same_and_the_next_one_has_its_peak() {
    alone(|spawner| {
        let (null, long) = (File::options().write(true).open("/dev/null").unwrap(), long_word());
        let words = ["sh", "-c", &long, &long, &long];
        let made = spawn(spawner, c"/bin/sh", &words, null.as_fd()).unwrap();
        assert_eq!(made.peak_before, None);
        wait_for_end(made.pid);
        assert!(say(spawner, "true").0.peak_before.is_some());
        let words = ["sh", "-c", &long, &long];
        let made = spawn(spawner, c"/bin/sh", &words, null.as_fd()).unwrap();
        assert!(made.peak_before.is_some_and(|peak| peak > 200_000), "{made:?}");
        wait_for_end(made.pid);
    });
}

#[test]
fn a_spawner_that_was_killed_is_replaced() {
    alone(|spawner| {
        for _ in 0..2 * MAX_FAILED {
            let killed = spawner.pid().unwrap();
            signal(killed, Signal::KILL);
            let (made, said) = say(spawner, "echo again");
            assert_eq!(said, "again\n");
            // If it was not dead yet when it was ordered to make the process, the supervisor made it, and the next start
            // finds a new spawner.
            let again = if made.peak_before.is_some() { made } else { say(spawner, "true").0 };
            assert!(again.peak_before.is_some());
            assert!(spawner.pid().is_some_and(|pid| pid != killed));
        }
    });
}

#[test]
fn a_spawner_that_is_silent_is_given_up_and_starts_go_on_without_any_after_three() {
    alone(|spawner| {
        for _ in 0..MAX_FAILED {
            let silent = spawner.pid().unwrap();
            signal(silent, Signal::STOP);
            let (made, said) = say(spawner, "echo once");
            assert_eq!((said.as_str(), made.peak_before), ("once\n", None));
            assert_ne!(spawner.pid(), Some(silent));
            spawner.replace_dead();
        }
        assert_eq!(spawner.pid(), None);
        assert_eq!(say(spawner, "echo still").1, "still\n");
    });
}

#[test]
fn a_process_whose_spawner_is_killed_meanwhile_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    alone(|spawner| {
        let counted = dir.path().join("counted");
        let script = format!("echo ran >> {}", counted.display());
        for _ in 0..100 {
            let pid = loop {
                match spawner.pid() {
                    Some(pid) => break pid,
                    None => drop(say(spawner, "true")),
                }
            };
            let killer = std::thread::Builder::new().name("killer".into());
            let killer = killer.spawn(move || signal(pid, Signal::KILL)).unwrap();
            say(spawner, &script);
            killer.join().unwrap();
            // The spawner is dead or dying; this resets the count of those that made nothing.
            while say(spawner, "true").0.peak_before.is_none() {}
        }
        assert_eq!(std::fs::read_to_string(counted).unwrap(), "ran\n".repeat(100));
    });
}
