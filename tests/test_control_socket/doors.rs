//! Who gets in: modes, what a dead engine left, another engine, another user.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use leverframe::control::{ControlClient, ControlError, bind};
use leverframe::engine::{CoreExecutionEngine, EngineError};
use leverframe::store::DataDirError;

use super::hall::Hall;
use crate::support::bench::Bench;
use crate::support::options;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

#[test]
fn nobody_listens_where_there_is_no_engine() {
    let bench = Bench::new();
    assert!(ControlClient::connect(&bench.data_dir, "test 1").expect("no error").is_none());
    fs::create_dir(&bench.data_dir).expect("a directory");
    assert!(ControlClient::connect(&bench.data_dir, "test 1").expect("no error").is_none());
}

#[test]
fn the_socket_and_its_directory_are_for_their_owner_alone() {
    let bench = Bench::new();
    fs::create_dir(&bench.data_dir).expect("a directory");
    fs::set_permissions(&bench.data_dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    let hall = Hall::on(bench);
    assert_eq!(mode_of(&hall.bench.data_dir), 0o700);
    assert_eq!(mode_of(&hall.bench.data_dir.join("control.sock")), 0o600);
    assert!(!hall.bench.data_dir.join("control.sock.new").exists());
}

#[test]
fn a_socket_in_a_directory_that_is_open_to_others_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let _listener = bind(dir.path()).expect("it is bound");
    assert_eq!((mode_of(dir.path()), mode_of(&dir.path().join("control.sock"))), (0o755, 0o600));
}

#[test]
fn what_a_dead_engine_left_is_replaced() {
    let bench = Bench::new();
    fs::create_dir(&bench.data_dir).expect("a directory");
    let path = bench.data_dir.join("control.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(fs::metadata(&path).expect("it is there").file_type().is_socket());
    assert!(ControlClient::connect(&bench.data_dir, "test 1").expect("no error").is_none());
    // Whatever else lies there is no engine either.
    fs::write(bench.data_dir.join("control.sock.new"), "x").expect("a file");
    let hall = Hall::on(bench);
    hall.client();
    hall.close("the test is over");
}

#[test]
fn a_living_engines_socket_is_not_replaced() {
    let hall = Hall::open();
    let inode =
        |hall: &Hall| fs::metadata(hall.bench.data_dir.join("control.sock")).expect("it is there").ino();
    let before = inode(&hall);
    let error = CoreExecutionEngine::open(&hall.bench.data_dir, options()).err().expect("it is held");
    assert!(matches!(error, EngineError::DataDir(DataDirError::Busy { .. })), "{error}");
    assert_eq!(inode(&hall), before);
    hall.client();
}

#[test]
fn a_directory_however_deep_has_a_socket() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.data_dir.push("a-folder-with-a-long-name");
    }
    let hall = Hall::on(bench);
    assert!(hall.bench.data_dir.as_os_str().len() > 250);
    hall.client();
}

#[test]
fn after_a_closing_nobody_listens_and_who_was_there_knows_why() {
    let hall = Hall::open();
    let client = hall.client();
    let data_dir = hall.bench.data_dir.clone();
    let seq = client.welcome().seq;
    hall.close("the window was closed");
    let error = client.ask(&leverframe::api::GetStatus {}).expect_err("it is gone");
    let ControlError::Gone(Some(notice)) = error else { panic!("{error:?}") };
    assert_eq!((notice.reason.as_str(), notice.living.len()), ("the window was closed", 0));
    assert!(notice.seq >= seq);
    assert!(ControlClient::connect(&data_dir, "test 1").expect("no error").is_none());
}

/// The directory and the socket are opened to everybody, so that only the check of the peer is left.
#[test]
fn another_users_process_is_not_heard() {
    const NOBODY: u32 = 65_534;
    const ASK: &str = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\",\"params\":{\"protocol\":1,\"client\":\"x\"}}\\n')
    print(len(s.recv(1000)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
";
    let hall = Hall::open();
    let path = hall.bench.data_dir.join("control.sock");
    for folder in path.ancestors().filter(|folder| folder.starts_with(std::env::temp_dir())).skip(1) {
        if folder != std::env::temp_dir() {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("chmod");
        }
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("chmod");
    let ask_as = |uid: u32| {
        let mut command = Command::new("/usr/bin/python3");
        command.arg("-c").arg(ASK).arg(&path).uid(uid).output()
    };
    let is_root = rustix::process::geteuid().is_root();
    let own = rustix::process::geteuid().as_raw();
    let Some(ours) = is_root.then(|| ask_as(own)).and_then(Result::ok) else {
        let is_required = std::env::var_os("LEVERFRAME_REQUIRE_ROOT").is_some_and(|value| value == "1");
        assert!(!is_required, "another user's process could not be started");
        println!("SKIPPED: root and /usr/bin/python3 are needed to ask as another user");
        return;
    };
    let n_bytes = |output: &std::process::Output| {
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        text.parse::<usize>().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    };
    assert!(n_bytes(&ours) > 0, "our own process is answered");
    let theirs = ask_as(NOBODY).expect("it starts");
    assert_eq!(n_bytes(&theirs), 0, "another user's process was answered");
}
