//! Answers, refusals and events of the control socket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::golden::{Golden, pretty};
use super::scenario::Scenario;
use crate::support::DEADLINE;

struct Line {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Line {
    fn connect(scenario: &Scenario) -> Self {
        let stream = UnixStream::connect(scenario.home.data().join("control.sock")).expect("it connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
        Self { lines: BufReader::new(stream.try_clone().expect("a copy")), stream }
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(format!("{text}\n").as_bytes()).expect("it is taken");
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }

    fn ask(&mut self, method: &str, params: &Value) -> String {
        self.say(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string());
        self.hear()
    }
}

/// What is asked, in this order; none of it starts a run.
fn requests() -> Vec<(&'static str, Value)> {
    let job = |id: &str| json!({"job_id": id});
    let run = |id: &str| json!({"run_id": id});
    let timing = json!({"hour": 2, "minute": 30});
    vec![
        ("engine.status", json!({})),
        ("engine.snapshot", json!({})),
        ("engine.nonsense", json!({})),
        ("engine.status", json!({"x": 1})),
        ("limits.get", json!({})),
        ("limits.set", json!({"resource": "memory", "above": "99%", "clear": "98%", "for": "1h"})),
        ("limits.set", json!({"resource": "memory", "off": true})),
        ("limits.set", json!({"resource": "memory", "above": "200%"})),
        ("pipeline.list", json!({})),
        ("run.list", json!({"states": ["failed"]})),
        ("run.list", json!({"states": ["x"]})),
        ("run.show", run("r-good")),
        ("run.show", run("none")),
        ("run.show", run("a/b")),
        ("run.why", run("r-bad")),
        ("run.why", run("none")),
        ("run.checkpoints", run("r-good")),
        ("run.checkpoints", run("none")),
        ("run.start", json!({"pipeline": "none"})),
        ("run.start", json!({"pipeline": "broken"})),
        ("run.start", json!({"pipeline": "good", "run_id": "r-good"})),
        ("run.pause", run("r-good")),
        ("run.resume", run("r-good")),
        ("run.stop", run("none")),
        ("run.retry", json!({"run_id": "none"})),
        ("run.admit", run("r-good")),
        ("schedule.list", json!({})),
        ("schedule.show", job("daily")),
        ("schedule.show", job("none")),
        (
            "schedule.add",
            json!({"job_id": "night", "pipeline_id": "good", "schedule_type": "daily", "schedule_config": timing}),
        ),
        ("schedule.add", json!({"job_id": "night", "pipeline_id": "good", "schedule_type": "manual"})),
        (
            "schedule.add",
            json!({"job_id": "night", "pipeline_id": "good", "schedule_type": "daily",
            "schedule_config": {"hour": 25}}),
        ),
        ("schedule.set", json!({"job_id": "night", "overlap": "queue"})),
        ("schedule.disable", job("night")),
        ("schedule.enable", job("night")),
        ("schedule.rename", json!({"job_id": "night", "to": "evening"})),
        ("schedule.history", job("manual")),
        ("schedule.fires", job("manual")),
        (
            "schedule.backfill",
            json!({"job_id": "evening", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}),
        ),
        ("schedule.remove", job("evening")),
        ("schedule.remove", job("evening")),
        ("engine.drain", json!({})),
        ("engine.end_drain", json!({})),
        ("engine.quiet", json!({})),
        ("engine.end_quiet", json!({})),
        ("engine.quiet", json!({"until": "2001-01-01T00:00:00Z"})),
        ("engine.hand_over", json!({"face": "serve", "version": "0.0.1", "waits": false})),
        ("window.raise", json!({})),
    ]
}

#[test]
fn the_answers_and_events_of_the_control_socket_are_as_they_were() {
    let scenario = Scenario::whole();
    let serve = scenario.serve();
    let mut golden = Golden::new("socket.txt", &scenario.home);
    let mut line = Line::connect(&scenario);
    let hello = json!({"protocol": 1, "client": "golden 1"});
    line.say("no JSON");
    golden.add_json("no JSON", &line.hear());
    let mut line = Line::connect(&scenario);
    golden.add_json("hello of another protocol", &line.ask("hello", &json!({"protocol": 9, "client": "x"})));
    let (mut line, mut events) = (Line::connect(&scenario), Line::connect(&scenario));
    golden.add_json("hello", &line.ask("hello", &hello));
    events.ask("hello", &hello);
    golden.add_json("events.subscribe", &events.ask("events.subscribe", &json!({})));
    for (n, (method, params)) in requests().into_iter().enumerate() {
        let answer = line.ask(method, &params);
        golden.add_json(&format!("{}: {method} {params}", n + 1), &answer);
    }
    let mut told = BTreeMap::new();
    for (method, params, until) in levers() {
        let answer = line.ask(method, &params);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer["result"].is_object(), "{method} {params}: {answer}");
        hear_until(&mut events, &mut told, until);
    }
    for (kind, event) in &told {
        // Which telemetry is passed over for newer one depends on how fast it comes.
        let lines = pretty(event);
        let lines = lines.lines().map(|line| match line.trim_start().split_once(": ") {
            Some((key @ ("\"progress\"" | "\"current_step\"" | "\"message\""), _))
                if kind == "execution_progress" =>
            {
                format!("{key}: <value or null>")
            }
            _ => line.to_owned(),
        });
        golden.add(&format!("event {kind}"), &lines.collect::<Vec<_>>().join("\n"));
    }
    let stop = line.ask("engine.shutdown", &json!({"kind": "stop_runs"}));
    golden.add_json("engine.shutdown", &stop);
    serve.signal(Signal::TERM);
    serve.end();
    golden.check();
}

/// Levers, each with the event that is waited for.
fn levers() -> Vec<(&'static str, Value, &'static str)> {
    let run = json!({"run_id": "w"});
    vec![
        ("run.start", json!({"pipeline": "good", "run_id": "g"}), "execution_completed"),
        ("run.start", json!({"pipeline": "bad", "run_id": "b"}), "execution_failed"),
        ("run.start", json!({"pipeline": "waiting", "run_id": "w"}), "step_started"),
        ("run.pause", run.clone(), "execution_paused"),
        ("run.resume", run.clone(), "execution_resumed"),
        ("run.stop", run.clone(), "execution_stopped"),
        ("run.retry", run.clone(), "step_started"),
        ("run.stop", json!({"run_id": "w", "force": true}), "execution_force_stopped"),
        ("engine.drain", json!({}), "orders_changed"),
        ("run.start", json!({"pipeline": "good", "run_id": "q"}), "execution_queued"),
        ("engine.end_drain", json!({}), "execution_completed"),
        ("schedule.run_now", json!({"job_id": "manual"}), "execution_completed"),
    ]
}

/// Keeps the first event of each kind.
fn hear_until(events: &mut Line, told: &mut BTreeMap<String, String>, until: &str) {
    loop {
        let line = events.hear();
        let value: Value = serde_json::from_str(&line).expect("JSON");
        let kind = value["params"]["event"]["event"].as_str().expect("a name").to_owned();
        told.entry(kind.clone()).or_insert(line);
        if kind == until {
            return;
        }
    }
}
