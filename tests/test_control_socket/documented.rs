//! What the README says of the control socket is what the program does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use leverframe::control::server::METHODS;
use leverframe::control::wire::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR};
use serde_json::{Value, json};

use super::hall::{Hall, Raw};

const README: &str = include_str!("../../README.md");

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let rest = text.split_once(begin).unwrap_or_else(|| panic!("the README has no {begin:?}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("the README has no {end:?}")).0
}

/// The methods of the README's table, each with its example of params.
fn documented() -> BTreeMap<&'static str, Value> {
    let table = between(README, "<!-- methods: begin -->", "<!-- methods: end -->");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut code = row.split('`');
        let (Some(method), Some(params)) = (code.nth(1), code.nth(1)) else { panic!("{row}") };
        (method, serde_json::from_str(params).unwrap_or_else(|error| panic!("{params}: {error}")))
    })
    .collect()
}

#[test]
fn every_method_is_documented_and_every_documented_one_exists() {
    let mut methods: Vec<_> = METHODS.into_iter().flatten().copied().collect();
    methods.sort_unstable();
    assert_eq!(documented().into_keys().collect::<Vec<_>>(), methods);
}

#[test]
fn the_documented_params_are_understood() {
    let hall = Hall::open();
    let mut raw = Raw::connect(&hall);
    let mut ask = |method: &str, params: &Value| {
        let answer = raw.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        let code = answer["error"]["code"].as_i64().unwrap_or(0);
        let is_understood = ![PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS].contains(&code);
        assert!(is_understood, "{method} {params}: {answer}");
    };
    let mut documented = documented();
    let (hello, shutdown) = (documented.remove("hello"), documented.remove("engine.shutdown"));
    ask("hello", &hello.expect("it is documented"));
    for (method, params) in documented {
        ask(method, &params);
    }
    ask("engine.shutdown", &shutdown.expect("it is documented"));
}

#[test]
fn the_readmes_client_in_python_runs() {
    let hall = Hall::open();
    hall.write_pipeline("hello", "true");
    let program = between(README, "```python\n", "```");
    assert_eq!(program.lines().count(), 10);
    let mut command = Command::new("python3");
    command.arg("-c").arg(program).env("LEVERFRAME_DATA_DIR", &hall.bench.data_dir).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("SKIPPED: there is no python3");
        return;
    };
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = lines
        .map(|line| -> Value { serde_json::from_str(&line.expect("a line")).expect("a message a line") });
    let mut next = || said.next().expect("another line");
    assert_eq!(next()["result"]["engine"]["face"], "library");
    assert_eq!(next()["result"]["subscription"], 1);
    let started = next();
    assert_eq!((&started["id"], &started["result"]["pipeline_id"]), (&json!(3), &json!("hello")));
    let event = next();
    assert_eq!(event["params"]["event"]["event"], "execution_completed");
    assert_eq!(event["params"]["event"]["run_id"], started["result"]["run_id"]);
    let _bench = hall.close("the test is over");
    assert_eq!(next()["params"]["reason"], "the test is over");
    assert!(said.next().is_none());
    assert!(child.wait().expect("it ends").success());
}
