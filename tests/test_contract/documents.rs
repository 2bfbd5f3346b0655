//! What every verb prints of one scenario, as JSON and, where it holds no figures that vary, as text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::golden::{Golden, pretty};
use super::scenario::Scenario;

const JSON: &[&[&str]] = &[
    &["runs"],
    &["runs", "--state", "failed"],
    &["runs", "--pipeline", "good", "--limit", "1"],
    &["show", "r-good"],
    &["show", "r-bad"],
    &["show", "r-stopped"],
    &["checkpoints", "r-good"],
    &["checkpoints", "r-bad"],
    &["logs", "r-good"],
    &["logs", "r-bad", "--step", "fails"],
    &["validate", "good", "bad"],
    &["validate", "broken"],
    &["validate", "missing"],
    &["stats", "good"],
    &["why", "r-good"],
    &["why", "r-bad"],
    &["why", "r-stopped"],
    &["schedule", "list"],
    &["schedule", "show", "daily"],
    &["schedule", "show", "weekly"],
    &["schedule", "show", "interval"],
    &["schedule", "show", "cron"],
    &["schedule", "show", "once"],
    &["schedule", "show", "after"],
    &["schedule", "show", "manual"],
    &["schedule", "history", "manual"],
    &["schedule", "fires", "manual"],
    &["schedule", "fires", "daily"],
    &["schedule", "preview", "--daily", "02:30", "--tz", "UTC"],
    &["prune", "--dry-run"],
    &["prune"],
    &["events"],
    &["top", "-n", "1"],
    &["import", "crontab", "tab", "--user-crontab", "--dry-run"],
    &["schema"],
    &["schema", "settings"],
];

const TEXT: &[&[&str]] = &[
    &["logs", "r-good"],
    &["logs", "r-bad"],
    &["checkpoints", "r-bad"],
    &["validate", "good", "bad"],
    &["validate", "broken"],
    &["validate", "missing"],
    &["why", "r-good"],
    &["why", "r-bad"],
    &["why", "r-stopped"],
    &["prune", "--dry-run"],
    &["schedule", "fires", "daily"],
    &["events"],
    &["top", "-n", "1"],
    &["service", "print"],
];

#[test]
fn what_the_verbs_print_is_as_it_was() {
    let scenario = Scenario::whole();
    let home = &scenario.home;
    home.file("tab", "MAILTO=x\n30 2 * * 1-5 echo night\n@reboot echo up\n");
    let mut golden = Golden::new("documents.txt", home);
    // What is found, and how many findings there are, is the machine's.
    let findings = home.say(&["doctor", "--json"]).out;
    let findings: Vec<BTreeMap<String, Value>> = serde_json::from_str(&findings).expect("a list of objects");
    let keys: BTreeSet<_> = findings.iter().flat_map(|finding| finding.keys().cloned()).collect();
    golden.add("leverframe doctor --json: its keys", &Vec::from_iter(keys).join("\n"));
    for args in JSON {
        let mut said = home.say(&[args, &["--json"][..]].concat());
        // A document, or one a line.
        let lines = said.out.lines();
        said.out = if serde_json::from_str::<serde::de::IgnoredAny>(&said.out).is_ok() {
            without_late_confirmations(&pretty(&said.out)) + "\n"
        } else {
            lines.map(|line| pretty(line) + "\n").collect()
        };
        golden.add_said(&format!("leverframe {} --json", args.join(" ")), &said);
    }
    for args in TEXT {
        golden.add_said(&format!("leverframe {}", args.join(" ")), &home.say(args));
    }
    golden.check();
}

/// A start that the supervisor confirms only after the engine has asked anew, on a busy machine, is noted as a decision.
fn without_late_confirmations(text: &str) -> String {
    const OPEN: &str = "\"decisions\": [";
    let Some((before, after)) = text.split_once(OPEN) else { return text.to_owned() };
    let Some((decisions, rest)) = after.split_once(']') else { return text.to_owned() };
    match decisions.matches("\"text\"").count() == 1 && decisions.contains("not confirmed: asked for again") {
        true => format!("{before}{OPEN}]{rest}"),
        false => text.to_owned(),
    }
}
