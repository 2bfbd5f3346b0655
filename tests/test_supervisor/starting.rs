//! Starts: what a step gets, and what a failed start says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use leverframe::supervisor::{ExitCause, HostEvent, HostRequest, KnownStatus, probe};

use super::bench::{Bench, code, key, wait_until};

pub(super) fn failure(bench: &mut Bench, step: &str) -> String {
    bench.engine().wait_for(|event| match event {
        HostEvent::StartFailed { key: failed, reason } if *failed == key(step, 1) => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn exit_codes_and_signals_are_the_true_ones() {
    let mut bench = Bench::new();
    for expected in [0, 1, 7, 255] {
        assert_eq!(bench.run("a", &format!("exit {expected}")).cause, code(expected));
    }
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV] {
        assert_eq!(bench.run("b", &format!("kill -{signal} $$")).cause, ExitCause::Signal(signal));
    }
    let exit = bench.run("c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let usage = exit.usage.unwrap();
    assert!(
        usage.peak_rss_bytes.is_some_and(|bytes| bytes > 100_000) && usage.cpu_seconds > 0.0,
        "{usage:?}"
    );
    assert!(!exit.interrupted);
}

#[test]
fn a_start_is_idempotent_by_key() {
    let mut bench = Bench::new();
    let spec = bench.spec("a", "echo once >> ran; sleep 60");
    let pid = bench.start(spec.clone());
    assert_eq!(bench.start(spec.clone()), pid);
    bench.reconnect();
    assert!(matches!(&bench.engine().inventory[0].status, KnownStatus::Running { pid: p, .. } if *p == pid));
    assert_eq!(bench.start(spec.clone()), pid);
    bench.send(HostRequest::Kill(spec.key.clone()));
    let exit = bench.exit("a");
    assert_eq!(exit.cause, ExitCause::Signal(libc::SIGKILL));
    bench.send(HostRequest::Start(Box::new(spec)));
    assert_eq!(bench.exit("a"), exit);
    assert_eq!(std::fs::read_to_string(bench.data_dir.join("ran")).unwrap(), "once\n");
}

#[test]
fn arguments_and_environment_arrive_exactly_also_where_they_are_not_utf_8() {
    let mut bench = Bench::new();
    let odd = OsString::from_vec(b"\xff\xfe=\n'$(x)\"".to_vec());
    let mut spec = bench.spec("a", "printf '%s|%s|' \"$ODD\" \"$1\"; env | wc -l; cat; pwd");
    spec.argv.extend(["name".into(), odd.clone()]);
    spec.env.push(("ODD".into(), odd));
    bench.start(spec.clone());
    assert_eq!(bench.exit("a").cause, code(0));
    let log = std::fs::read(&spec.log_path).unwrap();
    let odd = b"\xff\xfe=\n'$(x)\"";
    assert_eq!(&log[..odd.len()], odd);
    assert_eq!(&log[odd.len() + 1..2 * odd.len() + 1], odd);
    let rest = String::from_utf8(log[2 * odd.len() + 2..].to_vec()).unwrap();
    // PATH, the token, ODD (two lines) and the shell's own PWD; an empty stdin; the working directory.
    assert_eq!(rest, format!("5\n{}\n", bench.data_dir.display()));
    let journal = std::fs::read(bench.data_dir.join("supervisor.journal")).unwrap();
    assert!(!journal.windows(4).any(|window| window == b"$(x)"), "the environment is never journaled");
}

#[test]
fn a_step_leads_a_session_of_its_own_and_inherits_nothing() {
    let mut bench = Bench::new();
    bench.run(
        "a",
        "cut -d' ' -f1,6 /proc/$$/stat; ls /proc/$$/fd; exec grep -E 'Sig(Blk|Ign)' /proc/self/status",
    );
    let log = bench.log(&key("a", 1));
    let mut lines = log.lines();
    let (pid, session) = lines.next().unwrap().split_once(' ').unwrap();
    assert_eq!(pid, session);
    assert_eq!(lines.by_ref().take(3).collect::<Vec<_>>(), ["0", "1", "2"]);
    let masks: Vec<&str> = lines.collect();
    // 32 and 33 are glibc's own, which it always ignores in what it spawns.
    let ignored = u64::from_str_radix(masks[1].trim_start_matches("SigIgn:\t"), 16).unwrap() & !(3 << 31);
    assert_eq!((masks[0], ignored), ("SigBlk:\t0000000000000000", 0));
}

#[test]
fn what_cannot_be_started_says_what_on_what_and_why() {
    let mut bench = Bench::new();
    let check =
        |bench: &mut Bench, change: &dyn Fn(&mut leverframe::supervisor::StartSpec), parts: &[&str]| {
            let mut spec = bench.spec("a", "true");
            change(&mut spec);
            bench.send(HostRequest::Start(Box::new(spec.clone())));
            let reason = failure(bench, "a");
            for part in parts {
                assert!(reason.contains(part), "{part:?} in {reason:?}");
            }
            bench.send(HostRequest::Acknowledge(spec.key));
        };
    std::fs::write(bench.data_dir.join("plain"), "x").unwrap();
    check(&mut bench, &|s| s.argv[0] = "no-such-program".into(), &["no-such-program", "PATH", "/bin"]);
    check(&mut bench, &|s| s.argv[0] = "./plain".into(), &["./plain", "not executable"]);
    check(&mut bench, &|s| s.argv[0] = "./missing".into(), &["./missing", "no such file"]);
    check(&mut bench, &|s| s.argv[0] = "/etc".into(), &["/etc", "directory"]);
    check(&mut bench, &|s| s.argv.clear(), &["no arguments"]);
    check(&mut bench, &|s| s.argv[2] = "a\0b".into(), &["NUL"]);
    check(&mut bench, &|s| s.working_dir = "/no/such/dir".into(), &["/no/such/dir", "working directory"]);
    check(&mut bench, &|s| s.log_path = "/no/such/dir/log".into(), &["/no/such/dir/log", "No such file"]);
}

#[test]
fn a_failed_start_is_kept_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let mut spec = bench.spec("a", "true");
    spec.argv[0] = "no-such-program".into();
    bench.send(HostRequest::Start(Box::new(spec)));
    failure(&mut bench, "a");
    bench.reconnect();
    assert!(
        matches!(&bench.engine().inventory[0].status, KnownStatus::StartFailed(r) if r.contains("no-such"))
    );
    bench.kill_supervisor();
    bench.reconnect();
    assert_eq!(bench.engine().inventory.len(), 1);
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.sync();
    bench.reconnect();
    assert!(bench.engine().inventory.is_empty());
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new();
    let script = bench.data_dir.join("script");
    std::fs::write(&script, "echo \"$0 $1\"; exit 3\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = bench.spec("a", "");
    spec.argv = vec!["./script".into(), "x".into()];
    bench.start(spec);
    assert_eq!(bench.exit("a").cause, code(3));
    assert!(bench.log(&key("a", 1)).ends_with("script x\n"));
}

#[test]
fn a_data_directory_may_lie_deeper_than_a_socket_path_reaches() {
    let mut bench = Bench::at(|dir| dir.join("x".repeat(100)).join("y".repeat(200)).join("data"));
    assert_eq!(bench.run("a", "echo deep").cause, code(0));
    bench.reconnect();
    assert_eq!(bench.log(&key("a", 1)), "deep\n");
}

#[test]
fn directory_socket_and_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new();
    bench.run("a", "echo x");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.data_dir), 0o700);
    let log = bench.log_path(&key("a", 1));
    for name in ["supervisor.sock", "supervisor.lock", "supervisor.journal", log.to_str().unwrap()] {
        assert_eq!(mode(&bench.data_dir.join(name)), 0o600, "{name}");
    }
}

#[test]
fn the_supervisor_ends_when_nothing_is_left_to_do_and_leaves_no_zombie() {
    let mut bench = Bench::new();
    let pid = bench.supervisor();
    let info = probe(&bench.data_dir).unwrap();
    assert_eq!((info.pid, info.n_steps, info.n_unacknowledged), (pid, 0, 0));
    bench.sh("a", "exit 4");
    bench.exit("a");
    assert_eq!(probe(&bench.data_dir).unwrap().n_unacknowledged, 1);
    bench.engine = None;
    assert_eq!(probe(&bench.data_dir).unwrap().n_unacknowledged, 1, "it waits for the acknowledgement");
    bench.reconnect();
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    // A connection that ends may take what was not read yet with it.
    wait_until("the acknowledgement", || {
        probe(&bench.data_dir).is_some_and(|info| info.n_unacknowledged == 0).then_some(())
    });
    bench.engine = None;
    wait_until("the supervisor's end", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    assert!(probe(&bench.data_dir).is_none());
    assert!(!bench.data_dir.join("supervisor.sock").exists());
}
