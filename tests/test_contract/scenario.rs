//! Runs of every kind of end and jobs of every kind of schedule, made with the real program.

use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::support::process::look_until;
use crate::test_command_line::{Home, Running};

const GOOD: &str = r#"
id = "good"
source = "shop"
description = "Reports all there is to report"
[params.n]
type = "int"
default = 1
[[step]]
id = "first"
run = '"$LEVERFRAME_BIN" report --progress 0.5 --message "half way" --checkpoint "{\"page\": 7}" --output rows=3 --metric speed=2.5; echo "n is $LEVERFRAME_PARAM_N"'
[[step]]
id = "second"
run = "echo second"
[[step]]
id = "never"
when = "on_failure"
run = "echo never"
"#;

const BAD: &str = r#"
id = "bad"
[[step]]
id = "fails"
retries = { max = 1, delay = "10ms" }
run = "echo no; exit 3"
[[step]]
id = "after"
run = "echo after"
[[step]]
id = "clean"
finally = true
run = "echo clean"
"#;

/// Its step goes on until it is stopped.
const WAITING: &str = "id = \"waiting\"\n[[step]]\nid = \"wait\"\nrun = \"echo begun; exec sleep 1000\"\n";

const BROKEN: &str = "[[step]]\nid = \"a\"\nrun = \"true\"\nneeeds = []\ntimeout = 5\n";

pub(super) struct Scenario {
    pub(super) home: Home,
}

impl Scenario {
    pub(super) fn pipelines() -> Self {
        let home = Home::new();
        home.pipeline("good.toml", GOOD);
        home.pipeline("bad.toml", BAD);
        home.pipeline("broken.toml", BROKEN);
        home.pipeline("waiting.toml", WAITING);
        Self { home }
    }

    /// Jobs of every kind.
    pub(super) fn with_jobs() -> Self {
        let scenario = Self::pipelines();
        for args in [
            &["daily", "--daily", "02:30", "--priority", "3", "--overlap", "queue"][..],
            &["weekly", "--weekly", "mon 09:00", "--misfire", "run_all"],
            &["interval", "--every", "6h", "--param", "n=5"],
            &["cron", "--cron", "30 2 * * 1-5", "--misfire", "skip"],
            &["once", "--once", "2099-01-01T00:00:00Z"],
            &["after", "--after", "daily", "--on", "failed"],
            &["manual", "--manual"],
        ] {
            let said = scenario.home.say(&[&["schedule", "add"], args, &["--pipeline", "good"]].concat());
            assert_eq!(said.code, 0, "{said:?}");
        }
        scenario.home.say(&["schedule", "disable", "cron"]).check(0, &[]);
        scenario
    }

    /// The three databases, made by a server.
    pub(super) fn without_runs() -> Self {
        let scenario = Self::with_jobs();
        let serve = scenario.serve();
        serve.signal(Signal::TERM);
        serve.end();
        scenario
    }

    /// All of it.
    pub(super) fn whole() -> Self {
        let scenario = Self::with_jobs();
        let home = &scenario.home;
        home.say(&["run", "good", "--run-id", "r-good"]).check(0, &[]);
        home.say(&["run", "bad", "--run-id", "r-bad"]).check(1, &[]);
        let run = home.start(&["run", "waiting", "--run-id", "r-stopped"]);
        let log = home.data().join("logs/r-stopped/wait.1.log");
        look_until("a step that has begun", || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.contains("begun")).then_some(())
        });
        run.signal(Signal::INT);
        run.end().check(130, &[]);
        home.say(&["schedule", "run-now", "manual"]).check(0, &[]);
        scenario
    }

    /// A server that is ready to be asked.
    pub(super) fn serve(&self) -> Running {
        let serve = self.home.start(&["serve", "--stop-runs"]);
        look_until("a server that samples", || {
            // A server before it may have left its socket: only one that listens is asked.
            let listens = UnixStream::connect(self.home.data().join("control.sock")).is_ok();
            (listens && self.home.data().join("samples.db").exists()).then_some(())
        });
        serve
    }
}
