//! What comes from outside has a bound: files that never end or are none, and numbers beyond all measure.

use std::fs;

use serde_json::Value;

use super::Home;

fn fifo(path: &str) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a FIFO");
}

#[test]
fn a_file_that_never_ends_or_is_none_is_refused_and_not_waited_for() {
    let home = Home::new();
    let pipeline = home.pipeline("waits.toml", "");
    fs::remove_file(&pipeline).expect("it is there");
    fifo(&pipeline);
    home.pipeline("fine.toml", "[[step]]\nid = \"a\"\nrun = \"true\"\n");
    for file in ["/dev/zero", &pipeline, "/dev/tty"] {
        home.say(&["run", file]).check(2, &["can't be read"]);
        home.say(&["validate", file]).check(2, &["can't be read"]);
        home.say(&["import", "crontab", file]).check(1, &["can't be read"]);
    }
    let long = home.file("long.toml", "");
    fs::File::create(&long).expect("a file").set_len(1 << 40).expect("a hole of a tebibyte");
    home.say(&["run", &long]).check(2, &["it is longer than 4 MiB"]);
    // A file in its folder harms no other one.
    home.say(&["run", "fine"]).check(0, &[]);
    home.say(&["doctor"]).check(2, &["waits.toml", "a FIFO (a named pipe) is there"]);
    let zeros = home.file("zeros", &"\0".repeat(100));
    home.say(&["import", "crontab", &zeros]).check(2, &["is not a crontab"]);

    let settings = home.data_file("settings.toml", "");
    fs::remove_file(&settings).expect("it is there");
    fifo(&settings);
    home.say(&["run", "fine"]).check(5, &["settings.toml can't be read: a FIFO (a named pipe) is there"]);
}

#[test]
fn a_preview_has_a_bound_which_it_says() {
    let home = Home::new();
    let preview = |n: &str| home.say(&["schedule", "preview", "--cron", "* * * * *", "-n", n, "--json"]);
    preview("1000000000").check(2, &["1000000000", "100000"]);
    preview("100001").check(2, &["100000"]);
    let most: Value = serde_json::from_str(&preview("100000").out).expect("JSON");
    assert_eq!(most["fires"].as_array().map(Vec::len), Some(100_000));
    home.say(&["schedule", "add", "j", "--pipeline", "p", "--every", "1s", "--catchup-limit", "4294967295"])
        .check(2, &["10000"]);
}
