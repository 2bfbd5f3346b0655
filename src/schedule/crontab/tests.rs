//! What becomes of crontabs as people have them. That the pipelines are valid is tested where they can be read, in
//! `tests/test_schedule_rules/crontabs.rs`.

use proptest::prelude::*;

use super::*;

fn import(text: &str, kind: CrontabKind) -> ImportedCrontab {
    let taken = BTreeSet::from(["backup".to_owned()]);
    import_crontab(text, &CrontabSource { kind, user: "ana", users: &["ana", "www-data"], taken: &taken })
}

#[track_caller]
fn says(import: &ImportedCrontab, line: usize, kind: RemarkKind, with: &str) {
    let found = import
        .report
        .iter()
        .any(|remark| remark.line == Some(line) && remark.kind == kind && remark.text.contains(with));
    assert!(found, "{with:?} in {:#?}", import.report);
}

#[test]
fn a_users_crontab_becomes_pipelines_and_jobs() {
    let text = "\
# m h dom mon dow command
SHELL=/bin/bash
PATH = \"/usr/local/bin:/usr/bin\"
MAILTO=ana@example.org

# Nightly backup
30 2 * * * /opt/backup.sh --all
*/15 * * * * cd /srv/app && python3 poll.py > /dev/null 2>&1
@daily FOO=bar /usr/bin/tidy
@reboot /opt/start
0 0 1 * * /opt/backup.sh monthly
";
    let done = import(text, CrontabKind::User);
    let ids: Vec<&str> = done.jobs.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(ids, ["backup-2", "poll", "tidy", "backup-3"]);
    let first = &done.jobs[0];
    assert_eq!(first.schedule, ScheduleConfig::Cron("30 2 * * *".parse().unwrap()));
    assert_eq!(
        (first.zone, first.overlap, first.misfire.policy),
        (Zone::Local, Overlap::Allow, Misfire::Skip)
    );
    assert_eq!(
        done.pipelines[0].toml,
        "\
# Line 7 of a crontab: 30 2 * * * /opt/backup.sh --all
id = \"backup-2\"
description = \"Nightly backup\"
working_dir = \"~\"
shell = [\"/bin/bash\", \"-c\"]

[env]
PATH = \"/usr/local/bin:/usr/bin\"
SHELL = \"/bin/bash\"

[[step]]
id = \"run\"
run = \"/opt/backup.sh --all\"
"
    );
    says(&done, 4, RemarkKind::NotCarried, "nothing is mailed to ana@example.org");
    says(&done, 7, RemarkKind::Carried, "becomes the job backup-2 (30 2 * * *, local)");
    says(&done, 10, RemarkKind::NotCarried, "@reboot has no counterpart: the pipeline start is there");
    assert_eq!(done.pipelines.len(), 5);
    assert_eq!(done.report[0].to_string().split(':').next(), Some("all"));
}

#[test]
fn variables_hold_for_what_stands_below_them() {
    let done = import("A=1\n@daily /x\nA=2\n'B' = \"two words\"\n@daily /y\n", CrontabKind::User);
    assert!(done.pipelines[0].toml.contains("A = \"1\"\n") && !done.pipelines[0].toml.contains("B ="));
    assert!(done.pipelines[1].toml.contains("A = \"2\"\nB = \"two words\"\n"));
    assert!(done.pipelines[0].toml.contains("PATH = \"/usr/bin:/bin\"\n"));
    let done =
        import("PATH=$HOME/bin:~/bin\nUSER=x\n9a=1\nCRON_TZ=Asia/Tokyo\n@daily /x\n", CrontabKind::User);
    assert!(done.pipelines[0].toml.contains("PATH = \"$$HOME/bin:~/bin\""));
    says(&done, 1, RemarkKind::Differs, "the ~ in PATH");
    says(&done, 2, RemarkKind::NotCarried, "jobs run as you");
    says(&done, 3, RemarkKind::NotCarried, "can't name a variable");
    says(&done, 4, RemarkKind::Carried, "Asia/Tokyo");
    assert_eq!(done.jobs[0].zone.as_str(), "Asia/Tokyo");
    let done = import("CRON_TZ=Tokio\n@daily /x\n", CrontabKind::User);
    says(&done, 1, RemarkKind::NotCarried, "did you mean Asia/Tokyo?");
}

#[test]
fn a_percent_sign_begins_the_input() {
    let done = import("0 0 * * * mail -s 'It''s 100\\%' ana%Dear 'you',%%bye\\%\n", CrontabKind::User);
    let toml: toml::Table = done.pipelines[0].toml.parse().unwrap();
    assert_eq!(
        toml["step"][0]["run"].as_str().unwrap(),
        "printf '%s\\n' 'Dear '\\''you'\\'',\n\nbye%' | (\nmail -s 'It''s 100%' ana\n)"
    );
    says(&done, 1, RemarkKind::Carried, "the command's input");
    let done = import("SHELL=/usr/bin/fish\n0 0 * * * cat%x\n", CrontabKind::User);
    says(&done, 2, RemarkKind::NotCarried, "/usr/bin/fish");
    assert!(done.pipelines.is_empty());
}

#[test]
fn a_systems_crontab_names_users_and_only_ones_own_jobs_are_taken_over() {
    let text = "17 * * * * root cd / && run-parts /etc/cron.hourly\n5 4 * * sun ana /home/ana/x.sh\n";
    for kind in [CrontabKind::System, CrontabKind::Detect] {
        let done = import(text, kind);
        assert_eq!(done.jobs.len(), 1, "{kind:?}");
        assert_eq!(done.jobs[0].job_id.as_str(), "x");
        says(&done, 1, RemarkKind::NotCarried, "it runs as root");
    }
    // A command that is called like a user is not one everywhere.
    let done = import("0 0 * * * ana --now\n0 1 * * * /opt/x\n", CrontabKind::Detect);
    assert_eq!(done.jobs.len(), 2);
    let done = import("0 0 * * * ana\n", CrontabKind::Detect);
    assert_eq!(done.jobs[0].pipeline_id.as_str(), "ana");
}

#[test]
fn what_cannot_be_carried_over_is_said_line_by_line() {
    let text = "\
60 * * * * /a
0 0 * *
*/90 * * * * /b
-*/5 * * * * /c
0~30 * * * * /d
@noon /e
0 0 * * * nice -n 10 \"quoted thing\"
";
    let done = import(text, CrontabKind::User);
    says(&done, 1, RemarkKind::NotCarried, "minute 60 is out of range");
    says(&done, 2, RemarkKind::NotCarried, "an entry has fields of time and a command");
    says(&done, 3, RemarkKind::Carried, "*/90 * * * * means 0 * * * *");
    says(&done, 4, RemarkKind::Carried, "keeps cron from logging");
    says(&done, 5, RemarkKind::NotCarried, "random times are not known");
    says(&done, 6, RemarkKind::NotCarried, "@noon");
    let ids: Vec<&str> = done.jobs.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(ids, ["b", "c", "thing"]);
}

#[test]
fn an_empty_crontab_is_nothing() {
    let done = import("\n# nothing\nMAILTO=\"\"\n", CrontabKind::Detect);
    assert!(done.pipelines.is_empty() && done.jobs.is_empty() && done.report.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_the_import_panic(text in "([@*0-9a-z#=%\\\\/,'\" \t-]{0,40}\n){0,6}") {
        let done = import(&text, CrontabKind::Detect);
        for pipeline in done.pipelines {
            prop_assert!(pipeline.toml.parse::<toml::Table>().is_ok(), "{}", pipeline.toml);
        }
    }
}
