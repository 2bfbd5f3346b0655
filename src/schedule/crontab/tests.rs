//! Imports of crontabs as people have them. `tests/test_schedule_rules/crontabs.rs` tests that the pipelines are valid.

use proptest::prelude::*;

use super::*;

fn source(kind: CrontabKind, taken: &BTreeSet<String>) -> CrontabSource<'_> {
    // `mail` is both.
    let is_command = |name: &str, path: &str| {
        path.contains("/bin") && ["python3", "mail", "find", "nice", "command-v"].contains(&name)
    };
    let users = &["ana", "www-data", "mail"];
    CrontabSource { kind, user: "ana", users, is_command, heeds_cron_tz: false, taken }
}

fn import(text: &str, kind: CrontabKind) -> ImportedCrontab {
    import_crontab(text, &source(kind, &BTreeSet::from(["backup".to_owned()])))
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
    says(&done, 4, RemarkKind::Differs, "cron ignores CRON_TZ on this machine");
    assert_eq!((done.jobs[0].zone, done.refused), (Zone::Local, vec![3]));
}

#[test]
fn cron_tz_is_followed_where_this_cron_follows_it() {
    let taken = BTreeSet::new();
    let cronie = CrontabSource { heeds_cron_tz: true, ..source(CrontabKind::User, &taken) };
    let done = import_crontab("CRON_TZ=Asia/Tokyo\n@daily /x\n", &cronie);
    says(&done, 1, RemarkKind::Carried, "Asia/Tokyo, as in cronie");
    assert_eq!(done.jobs[0].zone.as_str(), "Asia/Tokyo");
    let done = import_crontab("CRON_TZ=Tokio\n@daily /x\n", &cronie);
    says(&done, 1, RemarkKind::NotCarried, "did you mean Asia/Tokyo?");
    assert_eq!(done.refused, [1]);
}

/// What stands in `refused`, and the ids of the jobs.
#[track_caller]
fn outcome(text: impl AsRef<[u8]>, kind: CrontabKind) -> (Vec<usize>, Vec<String>) {
    let done = import_crontab(text, &source(kind, &BTreeSet::new()));
    (done.refused, done.jobs.iter().map(|job| job.job_id.to_string()).collect())
}

#[test]
fn it_is_not_guessed_whether_a_word_is_a_user_or_a_command() {
    let detect = |text: &str| outcome(text, CrontabKind::Detect);
    let jobs = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    // Neither a user nor a command that is known here.
    assert_eq!(detect("*/5 * * * * stats /usr/bin/stats-cron\n"), (vec![1], jobs(&[])));
    assert_eq!(detect("@reboot logcheck if [ -x /x ]; then /x -R; fi\n"), (vec![1], jobs(&[])));
    // Another line with a known user shows the kind of the file.
    let system =
        "*/5 * * * * stats /usr/bin/stats-cron\n27 3 * * * www-data find /x\n1 1 * * * ana /y/z.sh\n";
    assert_eq!(detect(system), (vec![1, 2], jobs(&["z"])));
    // So does a command: by its name, or because no user has that name.
    assert_eq!(
        detect("1 1 * * * python3 /x/a.py\n2 2 * * * unheard-of --now\n"),
        (vec![], jobs(&["a", "unheard-of"]))
    );
    assert_eq!(
        detect("1 1 * * * backup.sh now\n2 2 * * * unheard-of --now\n"),
        (vec![], jobs(&["backup", "unheard-of"]))
    );
    assert_eq!(detect("1 1 * * * ana\n2 2 * * * unheard-of x\n"), (vec![], jobs(&["ana", "unheard-of"])));
    // Both a user and a command, and lines that contradict each other.
    assert_eq!(detect("1 1 * * * mail -s hi ana\n"), (vec![1], jobs(&[])));
    assert_eq!(detect("1 1 * * * /x/a.py\n2 2 * * * ana find /x\n"), (vec![1, 2], jobs(&[])));
    // Next to a known user, the name of a command is that of an unknown user.
    assert_eq!(detect("1 1 * * * ana find /x\n2 2 * * * find /x -delete\n"), (vec![2], jobs(&["find"])));
    let done = import("1 1 * * * ana find /x\n2 2 * * * nice /y/z\n", CrontabKind::Detect);
    says(&done, 2, RemarkKind::NotCarried, "it runs as nice, which is not a user of this machine");
    // It may also be one if a program follows a word that is none, or if an `if` follows it.
    assert_eq!(detect("1 1 * * * stats /usr/bin/stats-cron\n2 2 * * * nice /y/z\n"), (vec![1, 2], jobs(&[])));
    assert_eq!(detect("1 1 * * * nice if [ -x /x ]; then /x; fi\n"), (vec![1], jobs(&[])));
    // If each line begins with a command, it is a user's.
    assert_eq!(detect("1 1 * * * nice /y/z\n2 2 * * * find /x\n"), (vec![], jobs(&["z", "find"])));
    // A user's name may be a command of another machine, unless a command follows it.
    for line in
        ["0 3 * * * ana /srv", "0 3 * * * ana /srv /mnt", "0 3 * * * ana --now", "0 3 * * * www-data list"]
    {
        assert_eq!(detect(&format!("{line}\n")), (vec![1], jobs(&[])), "{line}");
        // It does not decide for other lines, and a line that is certain decides for it.
        let with_command = format!("{line}\n1 1 * * * /x/a.py\n");
        assert_eq!(detect(&with_command).0, Vec::<usize>::new(), "{line}");
        assert_eq!(
            detect(&format!("{line}\n1 1 * * * unheard-of --now\n")),
            (vec![1, 2], jobs(&[])),
            "{line}"
        );
    }
    let done = import("0 3 * * * ana /srv\n", CrontabKind::Detect);
    says(&done, 1, RemarkKind::NotCarried, "use --system if it is a user, --user-crontab if it is a command");
    assert_eq!(detect("PATH=$HOME/bin:/usr/bin\n0 3 * * * ana /srv\n"), (vec![2], jobs(&[])));
    // Before a command it is a user; `root` always is.
    assert_eq!(detect("0 3 * * * ana A=1 find /x\n"), (vec![], jobs(&["find"])));
    assert_eq!(detect("0 3 * * * ana [ -x /x/y ] && /x/y\n").0, Vec::<usize>::new());
    assert_eq!(detect("0 3 * * * root /x/y.sh\n1 1 * * * ana /y/z.sh\n"), (vec![1], jobs(&["z"])));
    // Commands are looked for in the file's own `PATH`.
    assert_eq!(detect("PATH=/nowhere\n1 1 * * * python3 /x/a.py\n"), (vec![2], jobs(&[])));
}

#[test]
fn an_anacrontab_is_refused_line_by_line() {
    let text = "\
SHELL=/bin/sh
START_HOURS_RANGE=7-23
1\t5\tcron.daily\trun-parts --report /etc/cron.daily
7 10 cron.weekly run-parts --report /etc/cron.weekly
@monthly 15 cron.monthly run-parts --report /etc/cron.monthly
";
    for kind in [CrontabKind::User, CrontabKind::System, CrontabKind::Detect] {
        assert_eq!(outcome(text, kind), (vec![3, 4, 5], Vec::<String>::new()), "{kind:?}");
    }
    says(&import(text, CrontabKind::User), 5, RemarkKind::NotCarried, "a line of an anacrontab");
}

#[test]
fn bytes_that_are_no_text_refuse_their_line_and_a_mark_at_the_begin_none() {
    let text = b"\xef\xbb\xbf0 1 * * * /a\n0 2 * * * /b caf\xe9\n0 3 * * * /c\r\n";
    assert_eq!(outcome(text, CrontabKind::User), (vec![2], vec!["a".to_owned(), "c".to_owned()]));
    let done = import_crontab(text, &source(CrontabKind::User, &BTreeSet::new()));
    says(&done, 2, RemarkKind::NotCarried, "bytes that are not UTF-8");
    assert!(done.pipelines.iter().all(|pipeline| !pipeline.toml.contains('\u{fffd}')));
}

#[test]
fn a_step_without_a_range_is_what_debians_cron_makes_of_it() {
    let done = import("0/5 * * * * /a\n0/5,30 * * * * /b\n*/5 1-5/2 * * mon /c\n", CrontabKind::User);
    says(&done, 1, RemarkKind::Differs, "0/5 has a step without a range: Debian's cron takes it as 0 alone");
    assert_eq!(done.jobs[0].schedule, ScheduleConfig::Cron("0 * * * *".parse().unwrap()));
    assert_eq!((done.refused, done.jobs.len()), (vec![2], 2));
}

#[test]
fn what_only_other_crons_understand_is_refused() {
    let text = "0 0 L * * /a\n0 0 ? * * /b\n0 0 * * monday /c\n0 0 * * mon#1 /d\n0 0 * january-mar * /e\n@every 5m /f\n";
    assert_eq!(outcome(text, CrontabKind::User), (vec![1, 2, 3, 4, 5, 6], Vec::<String>::new()));
}

#[test]
fn a_job_is_called_after_what_it_runs() {
    for (line, name) in [
        ("if [ -x /opt/checkraid ] && [ $(date +%d) -le 7 ]; then /opt/checkraid --all; fi", "checkraid"),
        ("sleep 30; /srv/poll.sh", "poll"),
        ("flock -n /tmp/worker.lock php worker.php", "worker"),
        ("flock -w 10 /run/a.lock -c 'cd /srv && ./job.sh'", "job"),
        ("bash -l '/home/ana/db.sh' >/tmp/o.log 2>/tmp/e.log", "db"),
        ("which snap > /dev/null || exit 0 ; snap --quiet", "snap"),
        ("[ -d \"/run/x\" ] || /usr/share/atop/atop.daily&", "atop.daily"),
        ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "cron.daily"),
        ("cd / && run-parts --report /etc/cron.hourly", "cron.hourly"),
        ("command -v debian-sa1 > /dev/null && debian-sa1 1 1", "debian-sa1"),
        (
            "test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron",
            "e2scrub_all_cron",
        ),
        ("test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r", "e2scrub_all"),
        (
            "[ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi",
            "sessionclean",
        ),
        (
            "if [ -x /usr/share/mdadm/checkarray ] && [ $(date +%d) -le 7 ]; then /usr/share/mdadm/checkarray --cron --all --idle --quiet; fi",
            "checkarray",
        ),
        (
            "test -x /usr/bin/certbot -a ! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew",
            "certbot",
        ),
        ("if [ -x /usr/sbin/logcheck ]; then nice -n10 /usr/sbin/logcheck; fi", "logcheck"),
        (
            "if [ -x /usr/bin/mrtg ] && [ -r /etc/mrtg.cfg ]; then env LANG=C /usr/bin/mrtg /etc/mrtg.cfg 2>&1 | tee -a /x.log ; fi",
            "mrtg",
        ),
        ("ionice -c3 nice -n 19 /opt/scan -r", "scan"),
        ("ionice -c 3 -n 7 chronic /opt/scan.py", "scan"),
        ("nice -10 timeout -k 5 60 sudo -u www-data /usr/bin/php -d x=1 /srv/cron.php --all", "cron"),
        ("su - ana -c 'python3 -u /srv/mail/fetch.py'", "fetch"),
        ("/usr/bin/python3 -m borgmatic.commands --verbosity 0", "borgmatic.commands"),
        ("java -Xmx1g -jar /opt/report.jar daily", "report"),
        ("A=1 B='2 3' exec $HOME/bin/sync-it.sh &>/dev/null", "sync-it"),
        ("cd \"/srv/my app\" && /usr/bin/make -s nightly", "make"),
        ("for d in a b; do /usr/bin/tidy $d; done", "tidy"),
        ("( flock -n 9 || exit 1; /opt/once ) 9>/tmp/once.lock", "once"),
        ("pg_dump shop | gzip > /b/shop-$(date +%F).gz", "pg_dump"),
        ("cat /tmp/x | /usr/local/bin/load", "load"),
        ("/usr/local/bin/b\u{e4}ckup.sh", "b-ckup"),
        ("echo hello > /dev/null 2>&1", "echo"),
        ("perl -e 'sleep 5'", "perl"),
        ("nice -n 10 \"quoted thing\"", "quoted-thing"),
        ("# nothing", "cron-line-1"),
        ("[ -x /x ]", "cron-line-1"),
    ] {
        let command = line.replace('%', "\\%");
        let entry = Entry { time: "@daily", user: None, command: &command, comment: None };
        assert_eq!(entry.name(1), name, "{line}");
    }
}

/// Lines from `/etc/cron.d` of Debian's packages, and from personal crontabs.
#[test]
fn a_machines_files_are_taken_over_for_their_user_and_every_other_line_is_refused() {
    let text = "\
# /etc/cron.d/anything: crontab entries
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin
MAILTO=root

30 3 * * 0 root test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/x/e2scrub_all_cron
09,39 *     * * *     ana   [ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi
0 */12 * * * ana test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew
5-55/10 * * * * ana command -v debian-sa1 > /dev/null && debian-sa1 1 1
57 0 * * 0 ana if [ -x /x/checkarray ] && [ $(date +\\%d) -le 7 ]; then /x/checkarray --cron; fi
@reboot logcheck    if [ -x /usr/sbin/logcheck ]; then nice -n10 /usr/sbin/logcheck -R; fi
*/5 * * * * munin if [ -x /usr/bin/munin-cron ]; then /usr/bin/munin-cron; fi
14 10 * * * munin
@daily ana cd /srv && ./tidy.sh > /dev/null 2>&1
-*/15 * * * * ana /usr/bin/flock -n /run/w.lock chronic php w.php%in%put
";
    let (refused, ids) = outcome(text, CrontabKind::System);
    assert_eq!(refused, [6, 11, 12, 13]);
    assert_eq!(ids, ["sessionclean", "certbot", "debian-sa1", "checkarray", "tidy", "w"]);
    // Without the line that names no command, the text alone is enough.
    let text = text.replace("14 10 * * * munin\n", "\n");
    let (refused, ids) = outcome(&text, CrontabKind::Detect);
    assert_eq!((refused, ids.len()), (vec![6, 11, 12], 6));
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
    says(&done, 5, RemarkKind::NotCarried, "random times are not supported");
    says(&done, 6, RemarkKind::NotCarried, "@noon");
    let ids: Vec<&str> = done.jobs.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(ids, ["b", "c", "quoted-thing"]);
    assert_eq!(done.refused, [1, 2, 5, 6]);
}

#[test]
fn an_empty_crontab_is_nothing() {
    let done = import("\n# nothing\nMAILTO=\"\"\n", CrontabKind::Detect);
    assert!(done.pipelines.is_empty() && done.jobs.is_empty() && done.report.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_the_import_panic(text in "([@*0-9a-z#=%$()`;&|<>\\\\/,'\" \t-]{0,40}\n){0,6}") {
        let done = import(&text, CrontabKind::User);
        for pipeline in done.pipelines {
            prop_assert!(pipeline.toml.parse::<toml::Table>().is_ok(), "{}", pipeline.toml);
        }
    }
}
