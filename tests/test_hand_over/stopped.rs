//! Ctrl-Z at a real terminal, and engines that somebody has stopped: whoever else works on the directory is answered.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use leverframe::api::ProcessKind;
use leverframe::control::ControlClient;
use leverframe::store::DataDir;
use rustix::process::{Signal, WaitOptions, waitpid};

use super::{client, ended, pid_in, serve, state};
use crate::support::PROGRAM;
use crate::support::process::{is_gone, look_until, processes_of, signal, state_of};
use crate::test_command_line::{Home, said, waiting};

/// A shell with job control at a terminal of its own, at which the test types.
struct Terminal {
    script: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(home: &Home) -> Self {
        // It makes the terminal, passes on what is typed, and prints what is shown.
        let mut command = home.command(["unused"]);
        let envs: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new("script");
        command.args(["-qec", "bash --norc --noprofile -i", "/dev/null"]).envs(envs);
        command.env("TERM", "xterm").env("PS1", "$ ").env("NO_COLOR", "1").current_dir(home.folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut script = command.spawn().expect("util-linux's `script` is there");
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut out, into) = (script.stdout.take().expect("a pipe"), shown.clone());
        let read = move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                into.lock().expect("a text").push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        };
        std::thread::Builder::new().name("terminal".into()).spawn(read).expect("a thread");
        Self { script, shown }
    }

    fn press(&mut self, keys: &str) {
        self.script.stdin.as_mut().expect("a pipe").write_all(keys.as_bytes()).expect("it takes keys");
    }

    /// Waits until this is shown.
    fn see(&self, text: &str) {
        look_until(&format!("{text:?} on the terminal"), || {
            self.shown.lock().expect("a text").contains(text).then_some(())
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closing what it reads from ends the shell; it hangs up what is left.
        #[expect(clippy::print_stdout, reason = "a test that fails shows what was said")]
        if std::thread::panicking() {
            println!("the terminal showed:\n{}", self.shown.lock().expect("a text"));
        }
        drop(self.script.stdin.take());
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

fn engine_of(home: &Home, face: ProcessKind) -> Option<u32> {
    let client = ControlClient::connect(&home.data(), "test 1").ok().flatten()?;
    let engine = &client.welcome().engine;
    (engine.face == face).then_some(engine.pid)
}

#[test]
fn ctrl_z_freezes_the_run_and_leaves_an_engine_that_answers() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&home.folder(), ""));
    // A job that would fire at once, and must not: no server was asked for.
    home.pipeline("job.toml", "id = \"job\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n");
    home.say(&["schedule", "add", "often", "--pipeline", "job", "--every", "1s"]).check(0, &[]);
    let mut terminal = Terminal::open(&home);
    terminal.press(&format!("{PROGRAM} run waiting --run-id r\n"));
    terminal.see("pid ");
    let foreground = look_until("the engine of the run", || engine_of(&home, ProcessKind::Run));
    terminal.press("\u{1a}");
    terminal.see("the run is frozen");
    look_until("the follower stopped", || (state_of(foreground) == Some('T')).then_some(()));
    // Every verb of another terminal is answered.
    let background = client(&home).welcome().engine.pid;
    assert_ne!(background, foreground);
    assert_eq!(state(&home, "r"), "paused");
    home.say(&["why", "r"]).check(0, &["paused"]);
    home.say(&["quiet", "--for", "1h"]).check(0, &[]);
    home.say(&["quiet", "--off"]).check(0, &[]);
    home.say(&["schedule", "add", "later", "--pipeline", "job", "--daily", "03:00"]).check(0, &[]);
    home.pipeline("short.toml", "id = \"short\"\n[[step]]\nid = \"a\"\nrun = \"sleep 1\"\n");
    home.say(&["run", "short", "--run-id", "s"]).check(0, &["run s completed"]);
    // In all that time no job has fired.
    let jobs = home.json(&["schedule", "list"]);
    assert!(jobs.as_array().expect("jobs").iter().all(|job| job["run_count"] == 0), "{jobs}");

    terminal.press("fg\n");
    terminal.see("goes on (it was paused)");
    home.file("go", "");
    terminal.see("run r completed");
    assert_eq!(home.json(&["show", "r"])["steps"][0]["attempt"], 1);
    // With its last run it ends.
    look_until("the end of the engine", || is_gone(background).then_some(()));
}

#[test]
fn ctrl_z_once_more_and_a_run_that_ends_meanwhile_are_nothing_special() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&home.folder(), ""));
    let mut running = home.start(&["run", "waiting", "--run-id", "r"]);
    let step = pid_in(&running.hear("step wait 10 %: pid"));
    let is_stopped = |running: &crate::test_command_line::Running| {
        let news = waitpid(Some(running.pid()), WaitOptions::UNTRACED).expect("a child").expect("news");
        assert!(news.1.stopped(), "{news:?}");
    };
    running.signal(Signal::TSTP);
    running.hear("the run is frozen");
    is_stopped(&running);
    running.signal(Signal::CONT);
    running.hear("goes on (it was paused)");
    running.signal(Signal::TSTP);
    running.hear("the run is frozen");
    is_stopped(&running);
    // The engine in the background dies, and another terminal stops the run.
    let background = client(&home).welcome().engine.pid;
    crate::support::process::kill(background);
    home.say(&["stop", "r"]).check(0, &["run r stopped"]);
    assert!(is_gone(step));
    running.signal(Signal::CONT);
    running.end().check(130, &["run r stopped"]);
    look_until("the end of all processes", || processes_of(&home.data()).is_empty().then_some(()));
}

#[test]
fn an_engine_that_was_stopped_is_named_by_every_verb_that_asks_it() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&home.folder(), ""));
    home.say(&["schedule", "add", "nightly", "--pipeline", "waiting", "--daily", "02:30"]).check(0, &[]);
    let serving = serve(&home);
    let pid = serving.pid().as_raw_nonzero().get().cast_unsigned();
    serving.signal(Signal::STOP);
    look_until("the stop", || (state_of(pid) == Some('T')).then_some(()));
    let said = format!("(process {pid}) is stopped (state T); continue it with `kill -CONT {pid}`");
    for verb in [
        &["run", "waiting"][..],
        &["quiet", "--for", "1h"],
        &["schedule", "enable", "nothing"],
        &["events", "--follow"],
        &["serve"],
        &["top"],
    ] {
        home.say(verb).check(7, &[&said]);
    }
    home.say(&["doctor"]).check(1, &[&said]);
    // What only reads what is on disk asks nobody.
    home.say(&["runs"]).check(0, &[]);
    // What is on disk is listed, and what only the engine can tell is said to be unknown.
    let unknown = format!("whether anything fires these jobs is unknown: the engine {said}");
    home.say(&["schedule", "list"]).check(0, &["nightly", &unknown]);
    home.say(&["doctor"]).check(1, &[&unknown]);
    signal(pid, Signal::CONT);
    ended(serving);
}

/// Greets whoever connects first as an engine of the release before this one did, which did not say whether it fires
/// jobs.
fn answer_as_before(listener: &UnixListener) {
    let (mut stream, _) = listener.accept().expect("somebody asks");
    BufReader::new(stream.try_clone().expect("a copy")).read_line(&mut String::new()).expect("a hello");
    let engine = r#"{"pid":1,"face":"serve","epoch":1}"#;
    let result = format!(r#"{{"protocol":1,"version":"0.2.0","engine":{engine},"seq":0}}"#);
    writeln!(stream, r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#).expect("it hears");
    // Whoever has asked hangs up when it has its answer.
    let _ = stream.read(&mut [0]);
}

#[test]
fn whether_jobs_fire_is_asked_of_the_engine_and_one_that_can_not_say_is_not_guessed_at() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&home.folder(), ""));
    home.say(&["schedule", "add", "nightly", "--pipeline", "waiting", "--daily", "02:30"]).check(0, &[]);
    let list =
        || said(home.command(["schedule", "list"]).env("HOME", home.folder()).output().expect("it runs"));
    let (nobody, unknown) = ("nothing on this machine fires these jobs", "fires these jobs is unknown");
    list().check(0, &[nobody]);
    // A run in the foreground has an engine that fires none.
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    run.hear("step wait 10 %: pid");
    assert_eq!(client(&home).welcome().engine.fires_jobs, Some(false));
    list().check(0, &[nobody]);
    home.say(&["schedule", "disable", "nightly"]).check(0, &[]);
    home.say(&["schedule", "enable", "nightly"]).check(0, &["neither runs now"]);
    // A server takes it over.
    let serving = serve(&home);
    assert_eq!(client(&home).welcome().engine.fires_jobs, Some(true));
    let listed = list();
    assert!(!listed.err.contains(nobody) && !listed.err.contains(unknown), "{listed:?}");
    home.say(&["stop", "r", "--force"]).check(0, &[]);
    run.end();
    ended(serving);

    // A holder without a socket, and one of a release that did not say.
    let dir = DataDir::open(home.data()).expect("it opens");
    let lock = dir.lock().expect("nobody holds it");
    list().check(0, &[unknown, "has no control socket"]);
    let socket = home.data().join("control.sock");
    // The server has removed its own, or has left it behind.
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::scope(|scope| {
        scope.spawn(|| answer_as_before(&listener));
        list().check(0, &[unknown, "version 0.2.0"]);
    });
    // One that hangs: it is named, and what the databases say is shown without it.
    let silent = format!("the engine (process {}) does not answer (waited 1 s)", std::process::id());
    list().check(0, &["nightly", unknown, &silent]);
    home.say(&["doctor"]).check(0, &[unknown, &silent]);
    drop(lock);
}
