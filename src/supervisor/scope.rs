//! A systemd scope of the supervisor's own. Without it, a supervisor that was started from a login session or a service
//! would be killed when that ends. Where systemd does not manage the session, nothing is done.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long the manager may take, in seconds: the first step waits for its answer.
const PATIENCE: &str = "2";

/// Moves this process into a scope of its own, if systemd manages this session. If the manager refuses, only this
/// protection is missing; `doctor` reports that.
pub(super) fn leave_session() {
    let uid = rustix::process::getuid().as_raw();
    let runtime_dir = PathBuf::from(format!("/run/user/{uid}"));
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if !runtime_dir.join("systemd").exists() || !is_of_session(&cgroup) {
        return;
    }
    let call = scope_call(std::process::id());
    let _ = Command::new("busctl")
        .args(call)
        .env("XDG_RUNTIME_DIR", &runtime_dir)
        .env("DBUS_SESSION_BUS_ADDRESS", bus_address(&runtime_dir))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

fn bus_address(runtime_dir: &Path) -> String {
    format!("unix:path={}", runtime_dir.join("bus").display())
}

/// Whether this process would be killed at the end of a login or a service, by its `/proc/PID/cgroup` (either version).
fn is_of_session(cgroup: &str) -> bool {
    cgroup
        .lines()
        .filter(|line| line.starts_with("0::") || line.contains(":name=systemd:"))
        .filter_map(|line| line.rsplit('/').next())
        .any(|unit| !unit.starts_with(UNIT) && (unit.ends_with(".scope") || unit.ends_with(".service")))
}

/// The scope's name, before the pid.
const UNIT: &str = "leverframe-supervisor-";

/// `StartTransientUnit` of org.freedesktop.systemd1.Manager: a scope that holds this process, delegated to it.
fn scope_call(pid: u32) -> Vec<String> {
    let (timeout, unit, pid) =
        (format!("--timeout={PATIENCE}"), format!("{UNIT}{pid}.scope"), pid.to_string());
    [
        "--user",
        &timeout,
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        &unit,
        "fail",
        // Three properties,
        "3",
        "PIDs",
        "au",
        "1",
        &pid,
        "Delegate",
        "b",
        "true",
        "Description",
        "s",
        "Leverframe's running steps",
        // and no auxiliary units.
        "0",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_session_or_a_service_would_end_asks_for_a_scope() {
        assert!(is_of_session("0::/user.slice/user-1000.slice/session-2.scope\n"));
        assert!(is_of_session(
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/leverframe.service\n"
        ));
        assert!(is_of_session("12:cpu:/\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n"));
        let own =
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/leverframe-supervisor-77.scope\n";
        assert!(!is_of_session(own));
        assert!(!is_of_session("0::/\n"));
        assert!(!is_of_session(""));
    }

    #[test]
    fn the_call_holds_as_many_words_as_its_signature_asks_for() {
        let call = scope_call(77);
        let unit = call.iter().position(|word| word == "leverframe-supervisor-77.scope").unwrap();
        // name, mode, n of properties, (name, type, n of pids, pid), (name, type, value) twice, n of units.
        assert_eq!(call.len() - unit, 2 + 1 + 4 + 3 + 3 + 1);
        assert_eq!(call[unit + 6], "77");
    }
}
