//! From a start request to a process: finds the program and spawns it. An error says what failed, on what, and why.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::host::StartSpec;
use super::spawner::{Made, Spawner};
use super::sys::SpawnPlan;

/// The search path when the step's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts the main process of a step.
///
/// # Errors
/// A sentence: what failed, on what, and why.
pub(super) fn spawn(spawner: &mut Spawner, spec: &StartSpec, output: BorrowedFd<'_>) -> Result<Made, String> {
    let name = spec.argv.first().ok_or("the step has no command")?;
    if !spec.working_dir.is_dir() {
        let dir = spec.working_dir.display();
        return Err(format!(
            "the working directory {dir} does not exist or is not a directory: create it, or change working_dir"
        ));
    }
    let program = find(name, spec)?;
    let argv = strings(spec.argv.iter().map(OsString::as_os_str))?;
    let env = spec.env.iter().map(|(name, value)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        c_string(&entry)
    });
    let env = env.collect::<Result<Vec<_>, _>>()?;
    let working_dir = c_string(spec.working_dir.as_os_str())?;
    let c_program = c_string(program.as_os_str())?;
    let plan = SpawnPlan { program: &c_program, argv: &argv, env: &env, working_dir: &working_dir, output };
    match spawner.spawn(&plan) {
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            // A script without a `#!` line: every shell runs it as a shell script.
            let shell = c_string(OsStr::new("/bin/sh"))?;
            let argv: Vec<CString> =
                [&shell, &c_program].into_iter().chain(argv.iter().skip(1)).cloned().collect();
            spawner
                .spawn(&SpawnPlan { program: &shell, argv: &argv, ..plan })
                .map_err(|e| failure(&program, spec, &e))
        }
        result => result.map_err(|error| failure(&program, spec, &error)),
    }
}

fn failure(program: &Path, spec: &StartSpec, error: &io::Error) -> String {
    let hint = match error.raw_os_error() {
        Some(libc::ENOENT) => " (the interpreter that its first line names may be missing)",
        Some(libc::E2BIG) => " (its arguments and environment are too long)",
        Some(libc::EAGAIN | libc::ENOMEM) => " (the machine has no room for another process)",
        _ => "",
    };
    format!("could not start {} in {}: {error}{hint}", program.display(), spec.working_dir.display())
}

/// The file that `name` means for this step: a path relative to its working directory, or a name looked up in its
/// `PATH`.
fn find(name: &OsStr, spec: &StartSpec) -> Result<PathBuf, String> {
    let shown = name.display();
    if name.as_bytes().contains(&b'/') {
        let path = spec.working_dir.join(name);
        return match why_not_executable(&path) {
            None => Ok(path),
            Some(why) => Err(format!("could not start {shown} in {}: {why}", spec.working_dir.display())),
        };
    }
    let path = spec.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
    let mut refused = None;
    for dir in std::env::split_paths(path) {
        let candidate = spec.working_dir.join(dir).join(name);
        match why_not_executable(&candidate) {
            None if !name.is_empty() => return Ok(candidate),
            None => {}
            Some(why) if candidate.is_file() => refused = Some(format!("{} {why}", candidate.display())),
            Some(_) => {}
        }
    }
    let why = refused.unwrap_or_else(|| format!("no such program in PATH ({})", path.display()));
    Err(format!("could not start {shown}: {why}"))
}

fn why_not_executable(path: &Path) -> Option<&'static str> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some("permission denied"),
        Err(_) => Some("no such file"),
        Ok(found) if found.is_dir() => Some("it is a directory"),
        Ok(_) if rustix::fs::access(path, Access::EXEC_OK).is_err() => Some("is not executable (chmod +x)"),
        Ok(_) => None,
    }
}

fn strings<'a>(parts: impl Iterator<Item = &'a OsStr>) -> Result<Vec<CString>, String> {
    parts.map(c_string).collect()
}

fn c_string(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes())
        .map_err(|_| format!("could not pass on {:?}: it holds a NUL byte", text.display().to_string()))
}
