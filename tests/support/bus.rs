//! A message bus (D-Bus) for one test.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a bus whose socket lies in `dir`. Returns its process and address; none when `dbus-daemon` is not installed.
pub(crate) fn start_bus(dir: &Path) -> Option<(Child, String)> {
    let place = format!("unix:path={}/bus", dir.display());
    let mut bus = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", "--print-address", "--address", &place])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // It prints its address once it listens.
    let mut address = String::new();
    let said = BufReader::new(bus.stdout.take().expect("a pipe")).read_line(&mut address);
    assert!(said.is_ok_and(|n_bytes| n_bytes > 1), "the bus starts");
    Some((bus, address.trim().to_owned()))
}
