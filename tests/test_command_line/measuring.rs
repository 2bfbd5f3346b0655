//! What runs cost, and limits that act: through the real program, with the settings of a data directory.

use leverframe::base::id::RunId;
use leverframe::engine::{EventBus, HostStart, ShutdownKind};
use leverframe::run::RunState;
use leverframe::settings::Settings;
use leverframe::window::{AppUpdate, ExecutionIntegration, window_port};
use rustix::process::Signal;
use serde_json::Value;

use super::{Home, Running, TWO_STEPS, waiting};
use crate::support::options;
use crate::support::process::look_until;

pub(super) fn serve(home: &Home) -> Running {
    let mut serving = home.start(&["serve"]);
    serving.hear("serving");
    serving
}

pub(super) fn ended(running: Running) {
    running.signal(Signal::TERM);
    running.end().check(0, &[]);
}

pub(super) fn folder(home: &Home) -> std::path::PathBuf {
    home.data().parent().expect("a folder").to_owned()
}

#[test]
fn top_shows_what_lives_and_says_so_when_nothing_does() {
    let home = Home::new();
    home.say(&["top"]).check(6, &["no engine is running", "leverframe stats"]);
    assert!(!home.exists(), "nothing was made");
    home.pipeline("waiting.toml", &waiting(&folder(&home), ""));
    home.file("data/settings.toml", "[monitor]\ninterval = \"200ms\"\n");
    let serving = serve(&home);
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    run.hear("step wait 10 %");
    let mut top = home.start(&["top", "--json"]);
    let usage: Value = look_until("the run's processes", || {
        let usage: Value = serde_json::from_str(&top.hear("\"at\"")).expect("a line of JSON");
        (usage["runs"][0]["steps"][0]["n_processes"].as_u64()? > 0).then_some(usage)
    });
    assert_eq!((&usage["runs"][0]["run_id"], &usage["runs"][0]["state"]), (&"r".into(), &"running".into()));
    assert!(usage["runs"][0]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{usage}");
    assert!(usage["memory_total_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000_000), "{usage}");
    home.say(&["top"]).check(0, &["RUN", "PROCESSES", "r ", "▶ running", "CPU", "MEMORY"]);
    home.say(&["top", "-n", "0"]).check(2, &["-n"]);
    home.say(&["stop", "r"]).check(0, &[]);
    run.end().check(130, &[]);
    ended(serving);
    top.hear("the engine closed the connection");
    top.end().check(0, &[]);
}

#[test]
fn stats_tell_what_is_usual_for_each_step() {
    let home = Home::new();
    // More than the program itself, which starts it: only then is the peak of so short a step known to be its own.
    let large = "run = '\"$LEVERFRAME_BIN\"";
    let text = TWO_STEPS.replace(
        large,
        &large.replace("run = '", "run = 'head -c 90m /dev/zero | tail -c 90m > /dev/null; "),
    );
    assert_ne!(text, TWO_STEPS);
    home.pipeline("two.toml", &text);
    home.say(&["stats", "two"]).check(3, &["no run of pipeline two has ended"]);
    for id in ["a", "b", "c"] {
        home.say(&["run", "two", "--run-id", id]).check(0, &[]);
    }
    let stats = home.json(&["stats", "two"]);
    assert_eq!((&stats["n_runs"], &stats["n_completed"]), (&3.into(), &3.into()));
    let (step, shown) = (&stats["steps"][0], ["a", "b", "c"].map(|id| home.json(&["show", id])));
    assert_eq!(
        (&step["step_id"], &step["n_completed"], &step["n_failed"]),
        (&"first".into(), &3.into(), &0.into())
    );
    let mut peaks = shown.map(|run| run["steps"][0]["peak_rss_bytes"].as_u64().expect("it is known"));
    peaks.sort_unstable();
    let spread = &step["peak_rss_bytes"];
    assert_eq!(
        (spread["median"].as_f64(), spread["p95"].as_f64()),
        (Some(peaks[1] as f64), Some(peaks[2] as f64))
    );
    assert_eq!(home.json(&["stats", "two", "--last", "1"])["n_runs"], 1);
    home.say(&["stats", "two"])
        .check(0, &["the last 3 runs of two, of which 3 completed", "PEAK MEMORY", "second"]);
}

#[test]
fn a_limit_of_the_settings_freezes_and_the_operator_has_the_last_word() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&folder(&home), ""));
    // Exceeded on any machine, and on none ever cleared.
    let limit = "[limits.memory]\nabove = \"1MiB\"\nclear = \"1KiB\"\nfor = \"0s\"\naction = \"freeze\"\n";
    home.file("data/settings.toml", &format!("[monitor]\ninterval = \"200ms\"\n{limit}"));
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    run.hear("no step starts and the heaviest run is frozen until memory is down to 1KiB");
    run.hear("run r paused");
    let shown = home.json(&["show", "r"]);
    assert_eq!(shown["state"], "paused");
    assert!(shown["error"].as_str().is_some_and(|why| why.starts_with("frozen: memory ")), "{shown}");
    // What the operator lets go on is not frozen again for the same alert.
    let resumed = home.start(&["resume", "r"]);
    run.hear("goes on");
    std::fs::write(folder(&home).join("go"), "").expect("a file");
    run.end().check(0, &["run r completed"]);
    resumed.end().check(0, &["run r completed"]);
}

#[test]
fn while_starts_are_held_a_run_waits_and_says_for_what() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    let limit = "[limits.memory]\nabove = \"1MiB\"\nclear = \"1KiB\"\nfor = \"0s\"\naction = \"hold\"\n";
    home.file("data/settings.toml", &format!("[monitor]\ninterval = \"200ms\"\n{limit}"));
    let serving = serve(&home);
    look_until("the limit", || {
        let said = home.say(&["events", "--json"]);
        said.out.contains("resource_alert").then_some(())
    });
    let mut run = home.start(&["run", "two", "--run-id", "r"]);
    look_until("the run", || {
        let shown = serde_json::from_str::<Value>(&home.say(&["show", "r", "--json"]).out).ok()?;
        let why = shown["error"].as_str()?;
        (shown["state"] == "queued" && why.starts_with("Waiting: memory ")).then_some(())
    });
    home.say(&["stop", "r"]).check(0, &[]);
    run.hear("stopped");
    run.end().check(130, &[]);
    ended(serving);
}

#[test]
fn a_window_is_shown_what_each_run_costs() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&folder(&home), ""));
    let (window, world) = window_port();
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    let settings = Settings { monitor_interval: leverframe::monitor::MIN_INTERVAL, ..Settings::default() };
    let options = leverframe::engine::EngineOptions { host_start: HostStart::AtOnce, ..options() };
    integration.start_with(&home.data(), settings, options).expect("it starts");
    let run: RunId = integration.start_job("waiting", None).expect("it starts");
    let usage = look_until("what it costs", || {
        let update = window.try_recv()?;
        let AppUpdate::Usage(usages) = update else { return None };
        usages.into_iter().find(|usage| usage.memory_bytes > 0)
    });
    assert_eq!(usage.run_id, run);
    assert!((0.0..=1.0).contains(&usage.cpu_fraction), "{usage:?}");
    integration.stop_job(&run, leverframe::run::StopKind::Force).expect("it lives");
    let engine = integration.engine().expect("it is there").clone();
    look_until("its end", || {
        let state = engine.get_execution_state(&run).expect("it is read")?.state;
        (state == RunState::ForceStopped).then_some(())
    });
    drop(window);
    integration.shutdown(ShutdownKind::LeaveSteps);
}

#[test]
fn the_peak_memory_of_a_short_step_is_its_own() {
    let home = Home::new();
    let large = "head -c 90m /dev/zero | tail -c 90m > /dev/null";
    home.pipeline(
        "two.toml",
        &format!(
            "[[step]]\nid = \"small\"\nrun = \"echo done\"\n[[step]]\nid = \"large\"\nrun = \"{large}\"\n"
        ),
    );
    home.say(&["run", "two", "--run-id", "r"]).check(0, &[]);
    let shown = home.json(&["show", "r"]);
    let (small, large) = (&shown["steps"][0], &shown["steps"][1]);
    // A shell that says one word needs less than 4 MiB; the supervisor needs more.
    assert!(small["peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0 && bytes < 4 << 20), "{small}");
    assert!(["rusage", "samples"].map(Some).contains(&small["peak_rss_source"].as_str()), "{small}");
    assert!(small["cpu_seconds"].is_number(), "{small}");
    assert!(large["peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 90 << 20), "{large}");
}
