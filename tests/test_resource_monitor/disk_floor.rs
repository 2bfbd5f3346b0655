//! A floor on free space, through the real program on a small file system in memory: who fills it is frozen before it is
//! full, whether he writes files or floods his log; and what comes faster than any sample meets the full disk's rules.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::process::{are_frozen, is_gone, look_until};
use crate::support::small_disk::SmallDisk;
use crate::test_command_line::{Home, Running};

const MIB: u64 = 1 << 20;

/// A server on a small disk, with these settings.
struct Floor {
    disk: SmallDisk,
    home: Home,
}

impl Floor {
    fn new(disk_mib: u32, interval: &str, below_mib: u32, clear_mib: u32) -> Option<Self> {
        let disk = SmallDisk::mount(disk_mib)?;
        let home = Home::on(&disk);
        let limit = format!(
            "[limits.disk]\nbelow = \"{below_mib}MiB\"\nclear = \"{clear_mib}MiB\"\nfor = \"0s\"\naction = \"freeze\"\n"
        );
        home.data_file("settings.toml", &format!("[monitor]\ninterval = \"{interval}\"\n{limit}"));
        Some(Self { disk, home })
    }

    fn serve(&self) -> Running {
        let mut serving = self.home.start(&["serve"]);
        serving.hear("serving");
        serving
    }

    /// A pipeline of one step, which knows the folder beside the data directory as `$HERE`.
    fn write_pipeline(&self, id: &str, script: &str) {
        let env = format!("env = {{ HERE = \"{}\" }}", self.home.folder().display());
        let step = format!("[[step]]\nid = \"s\"\nrun = '''\n{script}'''\n");
        self.home.pipeline(&format!("{id}.toml"), &format!("{env}\n{step}"));
    }

    fn let_go(&self, name: &str) {
        fs::write(self.home.folder().join(name), "").expect("a file");
    }

    fn run(&self, pipeline: &str) -> Running {
        self.home.start(&["run", pipeline, "--run-id", pipeline])
    }

    /// The alerts that were told so far.
    fn alerts(&self) -> Vec<String> {
        let said = self.home.say(&["events", "--json"]);
        let events =
            said.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let alerts = events.filter(|event| event["event"] == "resource_alert");
        alerts.map(|alert| alert["text"].as_str().expect("a text").to_owned()).collect()
    }

    /// Waits until a run is frozen, and says why.
    fn wait_frozen(&self, run: &str) -> String {
        look_until("the freeze", || {
            let shown = serde_json::from_str::<Value>(&self.home.say(&["show", run, "--json"]).out).ok()?;
            (shown["state"] == "paused").then(|| shown["error"].as_str().unwrap_or_default().to_owned())
        })
    }

    fn assert_databases_are_whole(&self) {
        let entries = fs::read_dir(self.home.data()).expect("a folder");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
        // The samples' comes with the first of them that are kept.
        assert!(paths.len() >= 2, "{paths:?}");
        for path in paths {
            assert_eq!(integrity(&path), "ok", "{}", path.display());
        }
    }
}

fn integrity(path: &Path) -> String {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
    database.busy_timeout(crate::support::DEADLINE).expect("it waits");
    database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it can be read")
}

fn ended(serving: Running) {
    serving.signal(Signal::TERM);
    serving.end().check(0, &[]);
}

#[test]
fn who_fills_a_small_tmpfs_is_frozen_at_the_floor_others_go_on_and_it_completes_when_there_is_room() {
    let Some(floor) = Floor::new(160, "200ms", 100, 120) else { return };
    // On the disk itself, a MiB at a time, by children that are gone before the next sample.
    floor.write_pipeline(
        "fills",
        "echo $$ > \"$HERE/pid\"; fill=\"$LEVERFRAME_DATA_DIR/fill\"; mkdir \"$fill\"; n=0\n\
         until [ -e \"$HERE/go\" ]; do\n  n=$((n + 1))\n  \
         dd if=/dev/zero of=\"$fill/$n\" bs=1M count=1 2> /dev/null || echo \"$n\" >> \"$HERE/refused\"\n  \
         sleep 0.05\ndone\n\
         \"$LEVERFRAME_BIN\" report --checkpoint '{\"page\": 7}'\n",
    );
    floor.write_pipeline(
        "calm",
        "until [ -e \"$HERE/go-calm\" ]; do echo . >> \"$HERE/calm\"; sleep 0.02; done\n",
    );
    let serving = floor.serve();
    let calm = floor.run("calm");
    look_until("the calm step", || floor.home.folder().join("calm").exists().then_some(()));
    let mut fills = floor.run("fills");
    let why = floor.wait_frozen("fills");
    assert!(why.starts_with("frozen: disk of ") && why.contains("(limit 100MiB)"), "{why}");
    let free = floor.disk.free_bytes();
    assert!(free > 0 && free < 100 * MIB, "{free} bytes are free");
    let alerts = floor.alerts();
    assert!(matches!(&alerts[..], [one] if one.contains("step s of run fills writes ")), "{alerts:?}");
    floor.assert_databases_are_whole();
    // It stands still, and the other goes on. What is recorded comes before what is done.
    let pid = fs::read_to_string(floor.home.folder().join("pid")).expect("a file");
    look_until("the stillness", || are_frozen(&tree(pid.trim().parse().expect("a pid"))).then_some(()));
    let n_calm = || fs::metadata(floor.home.folder().join("calm")).map_or(0, |meta| meta.len());
    let (n_filled, before) = (n_files(&floor), n_calm());
    look_until("the other run", || (n_calm() >= before + 20).then_some(()));
    assert_eq!((n_files(&floor), floor.wait_frozen("fills")), (n_filled, why));
    // The floor alone lets it go on.
    floor.let_go("go");
    for entry in fs::read_dir(floor.home.data().join("fill")).expect("a folder") {
        fs::remove_file(entry.expect("an entry").path()).expect("a file");
    }
    fills.hear("goes on");
    fills.end().check(0, &["run fills completed"]);
    assert!(!floor.home.folder().join("refused").exists(), "nothing was refused for want of room");
    assert_eq!(floor.home.json(&["checkpoints", "fills"])[0]["data"]["page"], 7);
    floor.let_go("go-calm");
    calm.end().check(0, &["run calm completed"]);
    ended(serving);
    floor.assert_databases_are_whole();
}

/// A process and its living children.
fn tree(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives");
    let children = children.split_whitespace().map(|child| child.parse().expect("a pid"));
    std::iter::once(pid).chain(children.filter(|child| !is_gone(*child))).collect()
}

fn n_files(floor: &Floor) -> usize {
    fs::read_dir(floor.home.data().join("fill")).expect("a folder").count()
}

#[test]
fn who_floods_his_log_is_frozen_at_the_floor_and_no_byte_of_it_is_lost() {
    let Some(floor) = Floor::new(200, "200ms", 90, 110) else { return };
    floor.write_pipeline(
        "floods",
        "n=0\nuntil [ -e \"$HERE/go\" ]; do\n  n=$((n + 1)); head -c 1048576 /dev/zero; sleep 0.05\ndone\n\
         echo $n > \"$HERE/n\"\n",
    );
    let ballast = floor.disk.path().join("ballast");
    fs::write(&ballast, vec![0x55; 60 << 20]).expect("a file");
    let serving = floor.serve();
    let mut floods = floor.run("floods");
    let why = floor.wait_frozen("floods");
    assert!(why.starts_with("frozen: disk of ") && why.contains("(limit 90MiB)"), "{why}");
    assert!(floor.disk.free_bytes() > 0);
    let alerts = floor.alerts();
    assert!(matches!(&alerts[..], [one] if one.contains("step s of run floods writes ")), "{alerts:?}");
    floor.assert_databases_are_whole();
    floor.let_go("go");
    fs::remove_file(ballast).expect("a file");
    floods.hear("goes on");
    floods.end().check(0, &["run floods completed"]);
    let n = fs::read_to_string(floor.home.folder().join("n")).expect("a file");
    let n: u64 = n.trim().parse().expect("a number");
    let log = fs::metadata(floor.home.data().join("logs/floods/s.1.log")).expect("a log");
    assert_eq!(log.len(), n * MIB);
    ended(serving);
}

#[test]
fn what_is_written_faster_than_the_next_sample_meets_the_full_disk_and_nothing_is_lost() {
    let Some(floor) = Floor::new(64, "60s", 20, 30) else { return };
    floor.write_pipeline(
        "fast",
        "\"$LEVERFRAME_BIN\" report --checkpoint '{\"page\": 1}'; echo the first line\n\
         until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n\
         cat /dev/zero > \"$LEVERFRAME_DATA_DIR/fill\" 2> /dev/null\n\
         echo the last line\n\
         until \"$LEVERFRAME_BIN\" report --checkpoint '{\"page\": 2}' 2> /dev/null; do sleep 0.05; done\n",
    );
    let serving = floor.serve();
    let mut fast = floor.run("fast");
    // The one sample that sees the step comes before it writes; the next one in a minute.
    look_until("the step's sample", || {
        let said = floor.home.say(&["top", "-n", "1", "--json"]);
        let usage: Value = serde_json::from_str(said.out.lines().next()?).ok()?;
        (usage["runs"][0]["steps"][0]["n_processes"].as_u64()? > 0).then_some(())
    });
    floor.let_go("go");
    floor.wait_frozen("fast");
    let alerts = floor.alerts();
    assert!(matches!(&alerts[..], [one] if one.contains(" is full: no step starts")), "{alerts:?}");
    floor.assert_databases_are_whole();
    fs::remove_file(floor.home.data().join("fill")).expect("a file");
    fast.hear("goes on");
    fast.end().check(0, &["run fast completed"]);
    let log = fs::read_to_string(floor.home.data().join("logs/fast/s.1.log")).expect("a log");
    assert_eq!(log, "the first line\nthe last line\n");
    assert_eq!(floor.home.json(&["checkpoints", "fast"])[0]["data"]["page"], 2);
    ended(serving);
    floor.assert_databases_are_whole();
}
