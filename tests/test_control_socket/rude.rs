//! Clients that do what no client should: the engine goes on, and tells them why they are left.

use std::io::Write;

use leverframe::api::GetStatus;
use leverframe::control::wire::{
    INVALID_PARAMS, INVALID_REQUEST, MAX_LINE, METHOD_NOT_FOUND, PARSE_ERROR, PROTOCOL,
};
use leverframe::engine::StartRequest;
use serde_json::{Value, json};

use super::hall::{Hall, Raw, is_campaign};
use crate::support::run_id;

/// The engine answers, and at once.
fn assert_well(hall: &Hall) {
    let status = hall.client().ask(&GetStatus {}).expect("the engine answers");
    assert_eq!(status.engine.pid, std::process::id());
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[test]
fn who_says_nothing_is_left_after_five_seconds_with_a_reason() {
    let hall = Hall::open();
    let (mut silent, mut dripping) = (Raw::connect(&hall), Raw::connect(&hall));
    // Something, but no hello.
    dripping.say("");
    assert_eq!(silent.reason_of_end().as_deref(), Some("no hello came within 5 s"));
    assert_eq!(dripping.reason_of_end().as_deref(), Some("no hello came within 5 s"));
    assert_well(&hall);
}

#[test]
fn what_is_no_request_is_refused_line_by_line_and_the_next_one_is_heard() {
    let hall = Hall::open();
    let mut raw = Raw::greeted(&hall);
    for (line, code) in [
        ("{", PARSE_ERROR),
        ("hello", PARSE_ERROR),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine.status\",}", PARSE_ERROR),
        ("5", INVALID_REQUEST),
        ("[]", INVALID_REQUEST),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine.status\"}]", INVALID_REQUEST),
        ("{}", INVALID_REQUEST),
        ("{\"id\":1,\"method\":\"engine.status\"}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"engine.status\"}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"engine.status\"}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\",\"params\":{}}", INVALID_PARAMS),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine.statos\"}", METHOD_NOT_FOUND),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine.status\",\"params\":{\"x\":1}}", INVALID_PARAMS),
    ] {
        raw.say(line);
        let answer = raw.next_line().expect("an answer");
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
    }
    let deep = "[".repeat(100_000);
    raw.say(&deep);
    assert_eq!(raw.next_line().expect("an answer")["error"]["code"], PARSE_ERROR);
    raw.stream.write_all(b"\xff\xfe\x00\r\n").expect("it is taken");
    assert_eq!(raw.next_line().expect("an answer")["error"]["code"], PARSE_ERROR);

    let answer = raw.ask(&json!({"jsonrpc": "2.0", "id": "seven", "method": "engine.status"}));
    assert_eq!((&answer["id"], &answer["result"]["n_living"]), (&json!("seven"), &json!(0)));
    // Without an id it is a notification, which is never answered, whatever becomes of it: the next answer is that of
    // the next request.
    for (method, params) in [
        ("engine.status", json!({})),
        ("engine.statos", json!({})),
        ("engine.status", json!({"x": 1})),
        ("hello", json!({"protocol": 1, "client": "t"})),
        ("run.stop", json!({"run_id": "nobody"})),
        ("events.subscribe", json!({"types": ["nothing"]})),
        ("engine.hand_over", json!({"face": "window", "version": "99.0.0"})),
    ] {
        raw.say(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    }
    assert_eq!(raw.ask(&request(8, "engine.status", &json!({})))["id"], 8);
}

#[test]
fn an_unknown_method_is_told_the_nearest_right_one() {
    let hall = Hall::open();
    let mut raw = Raw::greeted(&hall);
    let answer = raw.ask(&request(1, "run.stp", &json!({})));
    assert_eq!(answer["error"]["message"], "there is no method \"run.stp\"; did you mean \"run.stop\"?");
    let answer = raw.ask(&request(1, "events.subscribe", &json!({"types": ["step_startd"]})));
    assert_eq!(
        answer["error"]["message"],
        "there is no event \"step_startd\"; did you mean \"step_started\"?"
    );
}

#[test]
fn another_protocol_is_refused_with_those_that_are_spoken() {
    let hall = Hall::open();
    let mut raw = Raw::connect(&hall);
    let early = raw.ask(&request(1, "engine.status", &json!({})));
    assert_eq!(early["error"]["message"], "send hello first");
    let refused = raw.ask(&request(2, "hello", &json!({"protocol": 99, "client": "newer 9"})));
    assert_eq!(refused["error"]["code"], 2);
    assert_eq!(refused["error"]["data"]["supported"], json!([PROTOCOL]));
    let welcome = raw.ask(&request(3, "hello", &json!({"protocol": PROTOCOL, "client": "newer 9"})));
    assert_eq!(welcome["result"]["protocol"], PROTOCOL);
    let again = raw.ask(&request(4, "hello", &json!({"protocol": PROTOCOL, "client": "newer 9"})));
    assert_eq!(again["error"]["message"], "hello was sent already");
}

#[test]
fn a_line_of_a_hundred_megabytes_ends_the_connection_and_is_not_kept() {
    let hall = Hall::open();
    let mut raw = Raw::greeted(&hall);
    let block = vec![b'x'; 1 << 20];
    let n_taken = (0..100).take_while(|_| raw.stream.write_all(&block).is_ok()).count();
    // A line, a read more, and what lies in the kernel.
    assert!(n_taken * block.len() <= 3 * MAX_LINE, "{n_taken} MiB were taken");
    let refused = raw.next_line().expect("an answer");
    assert_eq!(refused["error"]["message"], "a line is longer than 1048576 bytes");
    assert_eq!(raw.reason_of_end().as_deref(), Some("a line is longer than 1048576 bytes"));
    assert_well(&hall);
}

#[test]
fn the_longest_line_is_taken() {
    let hall = Hall::open();
    let mut raw = Raw::greeted(&hall);
    let head = r#"{"jsonrpc":"2.0","id":1,"method":"engine.status","params":{"#;
    let line = format!("{head}{}}}}}", " ".repeat(MAX_LINE - head.len() - 2));
    assert_eq!(line.len(), MAX_LINE);
    raw.say(&line);
    assert_eq!(raw.next_line().expect("an answer")["result"]["n_living"], 0);
}

#[test]
fn who_goes_in_the_middle_of_a_line_or_of_an_answer_disturbs_nobody() {
    let hall = Hall::open();
    for _ in 0..200 {
        let mut raw = Raw::greeted(&hall);
        raw.stream.write_all(br#"{"jsonrpc":"2.0","id":1,"method":"run.sta"#).expect("it is taken");
        drop(raw);
        let mut raw = Raw::greeted(&hall);
        raw.say(&request(1, "run.list", &json!({})).to_string());
        raw.say(&request(2, "events.subscribe", &json!({})).to_string());
        drop(raw);
    }
    assert_well(&hall);
}

#[test]
fn every_one_of_very_many_requests_is_answered_in_order() {
    let hall = Hall::open();
    let n_requests: u64 = if is_campaign() { 1_000_000 } else { 20_000 };
    let mut raw = Raw::greeted(&hall);
    let mut stream = raw.stream.try_clone().expect("a copy");
    let sender = std::thread::spawn(move || {
        for id in 1..=n_requests {
            let line = format!("{}\n", request(id, "engine.status", &json!({})));
            stream.write_all(line.as_bytes()).expect("it is taken");
        }
    });
    for id in 1..=n_requests {
        assert_eq!(raw.next_line().expect("an answer")["id"], id);
    }
    sender.join().expect("all were sent");
}

#[test]
fn who_asks_and_never_reads_is_left_and_finds_the_reason() {
    let hall = Hall::open();
    let mut raw = Raw::greeted(&hall);
    let line = format!("{}\n", request(1, "engine.status", &json!({})));
    // Until the engine takes nothing any more, because its answers are not taken.
    let n_asked = (0..1_000_000).take_while(|_| raw.stream.write_all(line.as_bytes()).is_ok()).count();
    assert!(n_asked < 100_000, "{n_asked} requests were taken from one who reads nothing");
    assert_eq!(raw.reason_of_end().as_deref(), Some("the client read nothing for 10 s"));
    assert_well(&hall);
}

#[test]
fn who_subscribes_and_never_reads_is_left_while_others_hear_everything() {
    let hall = Hall::open();
    let mut stuck = Raw::greeted(&hall);
    stuck.ask(&request(1, "events.subscribe", &json!({})));
    let client = hall.client();
    let events = client.subscribe(leverframe::control::wire::EventFilter::default()).expect("it subscribes");
    let start = StartRequest::new(run_id("driven"), "driven", "test").expect("ids");
    let run = hall.engine.start_execution(start).expect("it starts");
    // Each is an event of its own, since it is waited for: more than a socket holds.
    let n_events = 4000;
    for n in 1..=n_events {
        run.update_progress(f64::from(n) / f64::from(n_events), Some("far")).expect("it is told");
        hall.hear(&events, "execution_progress");
    }
    stuck.wait_for_hang_up();
    assert_eq!(stuck.reason_of_end().as_deref(), Some("the client read nothing for 10 s"));
    run.complete(true, None).expect("it ends");
    hall.hear(&events, "execution_completed");
    assert_well(&hall);
}

#[test]
fn more_clients_than_are_taken_are_turned_away_with_a_reason() {
    let hall = Hall::open();
    let mut clients: Vec<Raw> = (0..128).map(|_| Raw::greeted(&hall)).collect();
    let mut one_more = Raw::connect(&hall);
    let refused = one_more.next_line().expect("an answer");
    assert_eq!(refused["error"]["code"], 4, "{refused}");
    assert_eq!(one_more.next_line(), None);
    drop(clients.pop());
    // Its thread may take a moment to end.
    crate::support::process::look_until("a free place", || {
        let mut raw = Raw::connect(&hall);
        // Turned away before it could speak: not yet.
        raw.try_say(&request(1, "hello", &json!({"protocol": PROTOCOL, "client": "late 1"})).to_string())
            .ok()?;
        raw.next_line().is_some_and(|line| line["result"].is_object()).then_some(())
    });
}
