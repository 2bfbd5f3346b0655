//! What an engine leaves behind in its data directory when it ends, and what it does when the directory goes first.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use leverframe::api::ProcessKind;
use leverframe::daemon::{Joined, Mode, Service, ServiceOptions, join};
use leverframe::engine::{EngineError, ShutdownKind, StartRequest};
use leverframe::settings::Settings;
use leverframe::store::DataDir;
use rusqlite::Connection;

use super::{ended, serve};
use crate::support::process::{look_until, state_of, step_processes_of};
use crate::support::{options, run_id};
use crate::test_command_line::{Home, TWO_STEPS, waiting};

/// How many runs the file itself holds, without its log.
fn n_runs_in_file(data: &Path) -> i64 {
    let copy = tempfile::tempdir().expect("a folder");
    fs::copy(data.join("checkpoints.db"), copy.path().join("alone.db")).expect("a copy");
    let db = Connection::open(copy.path().join("alone.db")).expect("a database");
    db.query_row("SELECT count(*) FROM execution_state", [], |row| row.get(0)).unwrap_or(0)
}

fn wal_len(data: &Path, database: &str) -> u64 {
    fs::metadata(data.join(format!("{database}-wal"))).map_or(0, |meta| meta.len())
}

#[test]
fn a_server_that_ends_leaves_everything_in_the_databases_themselves() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    home.say(&["run", "two", "--run-id", "alone"]).check(0, &[]);
    assert_eq!(n_runs_in_file(&home.data()), 0, "a short run pays for no such thing");
    let serving = serve(&home);
    home.say(&["run", "two", "--run-id", "served"]).check(0, &[]);
    home.say(&["schedule", "add", "j", "--pipeline", "two", "--daily", "03:00"]).check(0, &[]);
    ended(serving);
    assert_eq!(n_runs_in_file(&home.data()), 2);
    for database in ["checkpoints.db", "scheduler.db"] {
        assert_eq!(wal_len(&home.data(), database), 0, "{database}");
    }
    // One that is killed leaves its log, and the next one puts it away.
    let serving = serve(&home);
    home.say(&["run", "two", "--run-id", "third"]).check(0, &[]);
    crate::support::process::kill(serving.pid().as_raw_nonzero().get().cast_unsigned());
    serving.end();
    ended(serve(&home));
    assert_eq!(n_runs_in_file(&home.data()), 3);
}

#[test]
fn a_log_that_grows_long_is_written_back_while_the_engine_lives() {
    let home = Home::new();
    // Each run stores its definition; this one is large.
    let text = format!("{TWO_STEPS}\n# {}\n", "x".repeat(300_000));
    let serving = serve(&home);
    for i in 0..6 {
        home.pipeline("two.toml", &format!("{text}# {i}\n"));
        home.say(&["run", "two", "--run-id", &format!("r{i}")]).check(0, &[]);
    }
    look_until("what was committed in the file", || (n_runs_in_file(&home.data()) >= 3).then_some(()));
    look_until("a short log", || (wal_len(&home.data(), "checkpoints.db") < 2 << 20).then_some(()));
    ended(serving);
}

#[test]
fn a_log_that_was_removed_under_a_living_engine_is_told_by_doctor() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    let serving = serve(&home);
    home.say(&["run", "two"]).check(0, &[]);
    fs::remove_file(home.data().join("checkpoints.db-wal")).expect("it was there");
    fs::remove_file(home.data().join("checkpoints.db-shm")).expect("it was there");
    let pid = serving.pid().as_raw_nonzero().get();
    home.say(&["doctor"]).check(5, &["checkpoints.db-wal was removed", &format!("kill {pid}")]);
    ended(serving);
    home.say(&["doctor"]).check(0, &[]);
}

#[test]
fn a_data_directory_that_is_renamed_or_removed_ends_its_server_which_writes_no_more() {
    for is_removed in [false, true] {
        let home = Home::new();
        home.pipeline("two.toml", TWO_STEPS);
        let mut serving = serve(&home);
        home.say(&["run", "two", "--run-id", "r"]).check(0, &[]);
        let moved = home.folder().join("moved");
        if is_removed {
            fs::remove_dir_all(home.data()).expect("removed");
        } else {
            fs::rename(home.data(), &moved).expect("renamed");
        }
        serving.hear("was renamed, removed or exchanged");
        serving.end().check(5, &["start it again with the data directory's new path"]);
        assert!(!home.data().exists(), "nothing was made anew in its place");
        if !is_removed {
            fs::rename(&moved, home.data()).expect("renamed back");
            assert_eq!(home.json(&["show", "r"])["state"], "completed");
        }
    }
}

#[test]
fn a_run_in_a_directory_that_was_exchanged_for_another_does_not_write_there() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&home.folder(), ""));
    let mut running = home.start(&["run", "waiting", "--run-id", "r"]);
    running.hear("step wait 10 %: pid");
    let moved = home.folder().join("moved");
    fs::rename(home.data(), &moved).expect("renamed");
    running.hear("nothing is written to it any more");
    let before = fs::metadata(moved.join("checkpoints.db-wal")).expect("it is there");
    home.file("go", "");
    let pid = running.pid().as_raw_nonzero().get().cast_unsigned();
    running.hear("not the file any more");
    let after = fs::metadata(moved.join("checkpoints.db-wal")).expect("it is there");
    assert_eq!((before.len(), before.mtime_nsec()), (after.len(), after.mtime_nsec()));
    assert!(state_of(pid).is_some(), "it waits for its directory");
    // It comes back, and all goes on.
    fs::rename(&moved, home.data()).expect("renamed back");
    running.end().check(0, &["run r completed"]);
}

#[test]
fn the_log_of_a_server_in_the_background_is_bounded_while_it_lives() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    home.json(&["serve", "--detach"]);
    let (log, aside) = (home.data().join("serve.log"), home.data().join("serve.log.1"));
    fs::File::options().append(true).open(&log).expect("it is there").set_len(5 << 20).expect("it grows");
    home.say(&["run", "two", "--run-id", "r"]).check(0, &[]);
    look_until("the log put aside", || aside.exists().then_some(()));
    home.say(&["run", "two", "--run-id", "s"]).check(0, &[]);
    look_until("the new log", || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("run s completed"))
    });
    assert!(fs::metadata(&log).expect("it is there").len() < 1 << 20);
    let pid = super::client(&home).welcome().engine.pid;
    crate::support::process::signal(pid, rustix::process::Signal::TERM);
    look_until("its end", || crate::support::process::is_gone(pid).then_some(()));
}

/// The engine of a process that ends with the last run.
fn until_idle(home: &Home) -> Service {
    let dir = DataDir::open(home.data()).expect("it opens");
    let Ok(Joined::EngineLease(lease)) = join(&dir) else { panic!("nobody is the engine") };
    let (face, parts, engine, raise) = (ProcessKind::Run, Mode::EngineOnly, options(), None);
    Service::open(lease, Settings::default(), ServiceOptions { face, parts, engine, raise })
        .expect("it opens")
}

#[test]
fn an_engine_that_was_to_end_goes_on_for_a_run_whose_start_was_answered_a_moment_before() {
    let home = Home::new();
    let (folder, data) = (home.folder(), home.data());
    home.pipeline("waiting.toml", &waiting(&folder, ""));
    let mut service = until_idle(&home);
    assert!(!service.has_runs());
    let start = serde_json::json!({"method": "run.start", "params": {"pipeline": "waiting", "run_id": "r"}});
    let _: serde_json::Value = super::client(&home).call(&start).expect("it starts");
    assert!(!service.end_if_idle().expect("it is asked"));
    look_until("its step", || (!step_processes_of(&data).is_empty()).then_some(()));
    home.file("go", "");
    look_until("its end", || (!service.has_runs()).then_some(()));
    assert!(service.end_if_idle().expect("it is asked"));
    assert_eq!(super::state(&home, "r"), "completed");
}

#[test]
fn each_run_that_is_started_while_an_engine_ends_has_a_living_engine_or_is_refused() {
    let home = Home::new();
    for round in 0..super::rounds("LEVERFRAME_CAMPAIGN_ENDINGS", 20) {
        let mut service = until_idle(&home);
        let engine = service.engine().clone();
        let mut has_ended = false;
        for n in 0..20 {
            let ids = ["a", "b"].map(|name| format!("r{round}-{n}-{name}"));
            let together = Barrier::new(3);
            let started = std::thread::scope(|scope| {
                let start = |id: &String| {
                    let request = StartRequest::new(id.as_str(), "p", "p").expect("valid ids");
                    together.wait();
                    engine.start_execution(request).map(drop)
                };
                let starts = ids.each_ref().map(|id| scope.spawn(move || start(id)));
                together.wait();
                has_ended = service.end_if_idle().expect("it is asked");
                starts.map(|start| start.join().expect("it is answered"))
            });
            if has_ended {
                let are_refused = started.iter().all(|start| matches!(start, Err(EngineError::ShutDown)));
                assert!(are_refused, "it has ended: {started:?}");
                break;
            }
            assert!(started.iter().all(Result::is_ok), "it lives: {started:?}");
            for id in &ids {
                engine.complete_execution(&run_id(id), true, None).expect("it lives");
            }
        }
        if !has_ended {
            service.close(ShutdownKind::LeaveSteps).expect("it ends");
        }
    }
}

#[test]
fn a_folder_of_something_else_is_refused_and_stays_as_it_was() {
    let home = Home::new();
    let folder = home.folder().join("thesis");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("chapter-1.tex"), "x").expect("a file");
    let mode = || fs::metadata(&folder).expect("it is there").mode() & 0o777;
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let pipeline = home.file("two.toml", TWO_STEPS);
    for by_option in [true, false] {
        for verb in [&["run", &pipeline][..], &["serve"], &["prune"]] {
            let mut command = home.command(verb);
            match by_option {
                true => command.env_remove("LEVERFRAME_DATA_DIR").arg("--data-dir").arg(&folder),
                false => command.env("LEVERFRAME_DATA_DIR", &folder),
            };
            let said = crate::test_command_line::said(command.output().expect("it runs"));
            said.check(5, &["thesis", "chapter-1.tex", "mode 0700", "an empty folder"]);
        }
    }
    assert_eq!((mode(), fs::read_dir(&folder).expect("it is there").count()), (0o755, 1));
}

/// Everything in a folder, with its mode.
fn with_modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![(folder.to_owned(), fs::metadata(folder).expect("it is there").mode())];
    if folder.is_dir() {
        for entry in fs::read_dir(folder).expect("it can be read") {
            found.extend(with_modes(&entry.expect("it can be read").path()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_home_directory_with_pipelines_of_something_else_is_refused_and_one_with_a_pipeline_of_ours_is_taken() {
    let home = Home::new();
    let folder = home.folder().join("ana");
    for name in [".bashrc", "Documents/letter.txt", "pipelines/ci.yml", "pipelines/deploy.toml"] {
        home.file(&format!("ana/{name}"), "[job]\n");
    }
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let before = with_modes(&folder);
    let pipeline = home.file("two.toml", TWO_STEPS);
    let say = |verb: &[&str]| {
        let mut command = home.command(verb);
        let output = command.env("LEVERFRAME_DATA_DIR", &folder).output().expect("it runs");
        crate::test_command_line::said(output)
    };
    for verb in [&["run", &pipeline][..], &["serve"], &["init"]] {
        say(verb).check(5, &[".bashrc", "no pipeline with a step in `pipelines/`"]);
        assert_eq!(with_modes(&folder), before, "{verb:?}");
    }
    // A pipeline that can run makes it one of ours, beside whatever is there; it stays as open as it was.
    home.file("ana/pipelines/two.toml", TWO_STEPS);
    say(&["run", "two"]).check(0, &["completed", "others can look into the data directory"]);
    assert_eq!(fs::metadata(&folder).expect("it is there").mode() & 0o777, 0o755);
}

#[test]
fn what_the_user_has_made_ready_is_taken() {
    let home = Home::new();
    let ready = home.folder().join("ready");
    fs::create_dir_all(ready.join("pipelines")).expect("a folder");
    fs::write(ready.join("settings.toml"), "").expect("a file");
    fs::write(ready.join("pipelines/two.toml"), TWO_STEPS).expect("a file");
    let mut command = home.command(["run", "two"]);
    let said = command.env("LEVERFRAME_DATA_DIR", &ready).output().expect("it runs");
    crate::test_command_line::said(said).check(0, &["completed"]);
}
