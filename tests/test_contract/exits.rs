//! Exit codes and messages for wrong input.

use super::golden::Golden;
use super::scenario::Scenario;

const WRONG: &[&[&str]] = &[
    &[],
    &["nonsense"],
    &["run"],
    &["run", "god"],
    &["run", "./none.toml"],
    &["run", "broken"],
    &["run", "good", "--param", "novalue"],
    &["run", "good", "--param", "n=x"],
    &["run", "good", "--param", "m=1"],
    &["run", "good", "--run-id", "a/b"],
    &["run", "good", "--priority", "10"],
    &["run", "good", "--like", "none-1"],
    &["runs", "--state", "runnning"],
    &["runs", "--since", "someday"],
    &["show"],
    &["show", "a b"],
    &["show", "none-1"],
    &["checkpoints", "none-1"],
    &["logs", "none-1"],
    &["logs", "r-good", "--step", "none"],
    &["resume", "none-1"],
    &["resume", "r-good"],
    &["retry", "none-1"],
    &["retry", "r-good", "--from", "none"],
    &["pause", "none-1"],
    &["pause", "r-good"],
    &["stop", "none-1"],
    &["stop", "r-good"],
    &["admit", "r-good"],
    &["why", "none-1"],
    &["events"],
    &["top"],
    &["stats", "none"],
    &["quiet", "--for", "soon"],
    &["quiet", "--for", "1h", "--off"],
    &["drain", "--wait", "--off"],
    &["validate"],
    &["validate", "none.toml"],
    &["validate", "broken"],
    &["report"],
    &["report", "--progress", "0.5"],
    &["prune", "now"],
    &["service"],
    &["service", "nonsense"],
    &["import", "crontab", "none"],
    &["schedule"],
    &["schedule", "show", "none"],
    &["schedule", "enable", "none"],
    &["schedule", "remove", "none"],
    &["schedule", "run-now", "none"],
    &["schedule", "history", "none"],
    &["schedule", "fires", "none"],
    &["schedule", "rename", "daily", "weekly"],
    &["schedule", "add", "daily", "--pipeline", "good", "--manual"],
    &["schedule", "add", "x", "--pipeline", "good"],
    &["schedule", "add", "x", "--pipeline", "good", "--daily", "25:00"],
    &["schedule", "add", "x", "--pipeline", "good", "--cron", "a b c"],
    &["schedule", "add", "x", "--pipeline", "good", "--once", "someday"],
    &["schedule", "add", "x", "--pipeline", "good", "--daily", "02:00", "--tz", "Mars/Base"],
    &["schedule", "add", "x", "--pipeline", "good", "--after", "x"],
    &["schedule", "set", "daily"],
    &["schedule", "backfill", "daily", "--from", "someday"],
    &["schedule", "preview"],
    &["--attach", "runs"],
];

#[test]
fn exit_codes_and_messages_for_wrong_input_are_as_they_were() {
    let scenario = Scenario::with_jobs();
    let home = &scenario.home;
    home.say(&["run", "good", "--run-id", "r-good"]).check(0, &[]);
    let mut golden = Golden::new("exits.txt", home);
    for args in WRONG {
        golden.add_said(&format!("leverframe {}", args.join(" ")), &home.say(args));
    }
    golden.check();
}
