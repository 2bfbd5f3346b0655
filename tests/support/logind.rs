//! A system bus for one test, with logind's interface served by `python3-dbusmock`. If these programs are missing, a
//! test that needs them prints that and is skipped; with `LEVERFRAME_REQUIRE_DBUS=1` it fails instead.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::bus::start_bus;
use super::process::look_until;

/// The interpreter that Debian's Python packages are installed for.
const PYTHON: &str = "/usr/bin/python3";
/// The programs that are needed, each with a call that must succeed.
const NEEDED: [(&str, &[&str]); 4] = [
    ("dbus-daemon", &["--version"]),
    (PYTHON, &["-c", "import dbusmock"]),
    ("busctl", &["--version"]),
    ("systemd-inhibit", &["--version"]),
];

/// The bus and the service on it. Both end when this value is dropped.
pub(crate) struct Logind {
    programs: Vec<Child>,
    _dir: tempfile::TempDir,
    address: String,
}

/// An inhibitor: what, who, why, mode.
pub(crate) type Inhibitor = [String; 4];

impl Logind {
    pub(crate) fn start() -> Option<Self> {
        if let Some(missing) = NEEDED.iter().find(|(program, args)| !works(program, args)) {
            let is_required = std::env::var_os("LEVERFRAME_REQUIRE_DBUS").is_some_and(|value| value == "1");
            assert!(!is_required, "{missing:?} does not work here");
            #[expect(clippy::print_stdout, reason = "a skip says so, and CI looks for it")]
            {
                println!("SKIPPED: a system bus with logind is needed, and {missing:?} does not work here");
            }
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let (bus, address) = start_bus(dir.path()).expect("it works");
        let service = Command::new(PYTHON)
            .args(["-m", "dbusmock", "--template", "logind"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service starts");
        let logind = Self { programs: vec![service, bus], _dir: dir, address };
        look_until("logind", || logind.ask());
        Some(logind)
    }

    /// Its address, for `$DBUS_SYSTEM_BUS_ADDRESS`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The inhibitors that are held now.
    pub(crate) fn inhibitors(&self) -> Vec<Inhibitor> {
        self.ask().expect("it answers")
    }

    /// Waits until exactly one inhibitor is held, for this reason; with none, until no inhibitor is held.
    #[track_caller]
    pub(crate) fn wait_for(&self, why: Option<&str>) {
        let wanted: Vec<Inhibitor> = why
            .map(|why| ["sleep:idle", "Leverframe", why, "block"].map(str::to_owned))
            .into_iter()
            .collect();
        look_until(&format!("an inhibitor: {why:?}"), || (self.inhibitors() == wanted).then_some(()));
    }

    fn ask(&self) -> Option<Vec<Inhibitor>> {
        let output = Command::new("busctl")
            .args([&format!("--address={}", self.address), "--json=short", "call", "org.freedesktop.login1"])
            .args(["/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListInhibitors"])
            .output()
            .expect("busctl starts");
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        let text = |field: &Value| field.as_str().expect("a text").to_owned();
        let inhibitors = answer["data"][0].as_array().expect("a list").iter();
        Some(inhibitors.map(|one| [0, 1, 2, 3].map(|at| text(&one[at]))).collect())
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        for program in &mut self.programs {
            // It may be gone already.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

fn works(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
