//! `leverframe import crontab`: what is written, what is left alone, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::Home;
use super::schedule::has_keys;

const CRONTAB: &str = "\
SHELL=/bin/bash
MAILTO=me@example.org
# Backs up
30 2 * * * /usr/local/bin/backup.sh --all
@reboot /usr/local/bin/start
*/5 * * * * echo hi%there
61 * * * * /bin/false
";

#[test]
fn a_crontab_is_imported_once_and_overwrites_nothing() {
    let home = Home::new();
    let file = home.file("crontab", CRONTAB);
    let dry = home.say(&["import", "crontab", &file, "--dry-run", "--user-crontab"]);
    // Two lines are not taken over, which the number tells.
    dry.check(
        1,
        &[
            "line 2: not carried over: ",
            "me@example.org",
            "@reboot has no counterpart",
            "line 7: not carried over",
        ],
    );
    dry.check(1, &["would write", "backup.toml", "would add job backup", "nothing was written"]);
    dry.check(1, &["2 lines were not imported: 5, 7"]);
    assert!(!home.exists(), "a dry run writes nothing");

    home.say(&["import", "crontab", &file, "--user-crontab"])
        .check(1, &["wrote", "added job backup", "wrote 3 pipelines and added 2 jobs", "crontab -e"]);
    let job = home.json(&["schedule", "show", "backup"]);
    assert_eq!(job["schedule_config"], json!({"expression": "30 2 * * *"}));
    assert_eq!((&job["misfire"], &job["overlap"]), (&json!("skip"), &json!("allow")));
    let files: Vec<_> = fs::read_dir(home.data().join("pipelines")).expect("a folder").flatten().collect();
    assert_eq!(files.len(), 3);
    for file in &files {
        home.say(&["validate", &file.path().to_string_lossy()]).check(0, &[]);
    }

    let again = home.say(&["import", "crontab", &file, "--user-crontab", "--json"]);
    let again: Value = serde_json::from_str(&again.out).unwrap_or_else(|error| panic!("{error}: {again:?}"));
    has_keys(&again, &["dry_run", "pipelines", "jobs", "report", "refused"]);
    assert_eq!(again["refused"], json!([5, 7]));
    for made in ["pipelines", "jobs"].iter().flat_map(|what| again[what].as_array().expect("a list")) {
        assert_eq!(made["new"], false, "{made:#}");
    }
    home.say(&["import", "crontab", &file, "--user-crontab"]).check(1, &["stays as it is; remove it first"]);
    assert_eq!(home.json(&["schedule", "list"]).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_namesake_of_an_imported_pipeline_stays_and_a_systems_crontab_is_known() {
    let home = Home::new();
    let own = home.pipeline("backup.toml", "[[step]]\nid = \"mine\"\nrun = \"true\"\n");
    let file = home.file("crontab", CRONTAB);
    home.say(&["import", "crontab", &file, "--user-crontab"])
        .check(1, &["there is already another backup", "added job backup-2"]);
    assert!(fs::read_to_string(own).expect("it is there").contains("mine"));

    let system = home.file("system", "17 * * * * nobody-we-know run-parts /etc/cron.hourly\n");
    home.say(&["import", "crontab", &system, "--system"])
        .check(1, &["it runs as nobody-we-know", "added 0 jobs"]);
    // Without a word neither is guessed: no such user, and no such command.
    home.say(&["import", "crontab", &system])
        .check(1, &["whether nobody-we-know is a user or a command", "--user-crontab", "added 0 jobs"]);
    // Beside a known user, a word that is no user is none either, though a command is called so.
    let stats = home.file("bin/stats", "");
    fs::set_permissions(&stats, fs::Permissions::from_mode(0o755)).expect("chmod");
    let own = std::process::Command::new("id").arg("-un").output().expect("it runs").stdout;
    let own = String::from_utf8(own).expect("a name");
    let path = format!("PATH={}:/usr/bin:/bin\n", home.folder().join("bin").display());
    let lines = format!(
        "{path}*/5 * * * * stats /usr/bin/stats-cron\n27 3 * * * {} find /nowhere -delete\n",
        own.trim()
    );
    let mixed = home.file("mixed", &lines);
    home.say(&["import", "crontab", &mixed]).check(
        1,
        &[
            "line 2: not carried over: it runs as stats, which is not a user of this machine",
            "added job find",
        ],
    );
    let if_behind = home.file("if", &format!("{path}@daily stats if [ -x /x ]; then /x; fi\n"));
    home.say(&["import", "crontab", &if_behind])
        .check(1, &["whether stats is a user or a command", "added 0 jobs"]);
    // A file whose every line begins with a command is a user's.
    let of_user = home.file("user", &format!("{path}0 1 * * * stats /a\n0 2 * * * stats\n"));
    home.say(&["import", "crontab", &of_user]).check(0, &["added job stats", "added 2 jobs"]);
    home.say(&["import", "crontab", "none"]).check(3, &["none can't be read"]);
    let fine = home.file("fine", "\u{feff}0 4 * * * /srv/nightly.sh\n");
    home.say(&["import", "crontab", &fine]).check(0, &["added job nightly"]);
}
