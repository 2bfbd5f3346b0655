//! Who may know whom: imports point down only, the faces only listen and ask, each outside thing is
//! known in one folder, and the ground floor is pure.

use super::source::{Breach, House, Source, after_bracket, is_word, word_at};

/// The modules, from the ground up. One may import those of a lower number, and nobody beside it.
const FLOORS: &[(&str, u8)] = &[
    ("base", 0),
    ("schedule", 1),
    ("resources", 1),
    ("config", 2),
    ("pipeline", 3),
    ("admission", 4),
    ("run", 5),
    ("poller", 9),
    ("socket", 10),
    ("files", 10),
    ("process", 10),
    ("diagnostics", 11),
    ("logs", 11),
    ("store", 11),
    ("supervisor", 11),
    ("monitor", 11),
    ("awake", 12),
    ("engine", 20),
    ("scheduler", 21),
    ("settings", 30),
    ("records", 31),
    ("api", 32),
    ("control", 33),
    ("daemon", 34),
    ("offline", 35),
    ("backend", 36),
    ("window", 37),
    ("ui", 40),
    ("cli", 40),
];
/// The highest number of the ground floor: rules without I/O, threads or clocks.
const GROUND: u8 = 8;

/// What the faces may name: the window what it paints from and the vocabulary; the command line also what drives runs
/// in the foreground and reads a data directory without an engine.
const FACES: &[(&str, &[&str])] = &[
    ("ui", &["window", "api", "settings", "base", "pipeline", "schedule", "resources", "admission", "run"]),
    (
        "cli",
        &[
            "window",
            "backend",
            "daemon",
            "offline",
            "records",
            "api",
            "control",
            "settings",
            "engine",
            "scheduler",
            "store",
            "diagnostics",
            "files",
            "logs",
            "base",
            "config",
            "pipeline",
            "schedule",
            "resources",
            "admission",
            "run",
        ],
    ),
];

/// What `main.rs` chooses among.
const MAIN_MAY_NAME: &[&str] = &["cli", "ui"];

/// Crates and calls, the folders or files that may name them, and why.
const OUTSIDE_THINGS: &[(&[&str], &[&str], &str)] = &[
    (&["rusqlite"], &["src/store/"], "SQL lives in the store, in full sentences"),
    (&["sysinfo"], &["src/monitor/"], "what the machine costs is asked in one place"),
    (
        &["egui", "eframe", "egui_plot", "egui_system_font_provider", "winit", "x11rb"],
        &["src/ui/"],
        "a server builds without a window",
    ),
    (&["PoisonError"], &[], "locks are parking_lot's: a panic does not poison them"),
    (
        &["inotify::init", "timerfd_create"],
        &["src/files/watcher.rs", "src/engine/clock.rs"],
        "one thread waits for changes of files and for timers, and one watch serves all",
    ),
    (&["clap", "indicatif"], &["src/cli/", "src/main.rs"], "the command line is one face among others"),
    (
        &["libc"],
        &["src/supervisor/", "src/base/at_exit.rs"],
        "what no safe crate has is needed to spawn, to wait and when C code ends the process, nowhere else",
    ),
    (
        &["signal_hook"],
        // The foreground verbs answer Ctrl-C and Ctrl-Z; the supervisor is told of the system's end.
        &["src/supervisor/", "src/cli/"],
        "signals reach a process in one place, and become messages there",
    ),
    (
        &[
            "kill_process",
            "kill_process_group",
            "kill_current_process_group",
            "pidfd_open",
            "pidfd_send_signal",
            "waitpid",
            "waitid",
            "wait4",
            "posix_spawn",
            "process::Command",
        ],
        // Exceptions, each a file with its reason:
        // - src/cli/foreground/levers.rs: Ctrl-Z stops the program itself after its run is frozen.
        // - src/cli/import.rs: a crontab is printed by `crontab -l`, which ends by itself.
        // - src/awake.rs: logind's own client holds the inhibitor, and ends with the pipe that is held here.
        &["src/supervisor/", "src/cli/foreground/levers.rs", "src/cli/import.rs", "src/awake.rs"],
        "a signal is never sent to a pid whose identity was not checked, and the checks are the supervisor's",
    ),
];

/// The parts of `base` that are no rules: what every other module needs of threads and of a process's end.
const NOT_PURE: &[&str] = &[
    "src/base/thread.rs",
    "src/base/tasks.rs",
    "src/base/queue.rs",
    "src/base/wake.rs",
    "src/base/at_exit.rs",
];

/// What rules must not touch.
const IMPURE: &[&str] = &[
    "base::thread",
    "base::tasks",
    "base::queue",
    "base::wake",
    "base::at_exit",
    "std::fs",
    "std::io",
    "std::thread",
    "std::net",
    "std::process",
    "std::env",
    "Instant",
    "SystemTime",
    "crossbeam_channel",
    "rustix",
];

pub(crate) fn imports_point_down(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in house.sources.iter().filter(|source| source.path.starts_with("src/")) {
        for (name, at) in imports(source) {
            if let Some(why) = why_not(house, source, &name) {
                breaches.push(source.breach(at, why));
            }
        }
    }
    breaches
}

pub(crate) fn outside_things_stay_in_their_folder(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (names, homes, why) in OUTSIDE_THINGS {
        for source in house.sources.iter().filter(|source| source.path.starts_with("src/")) {
            if homes.iter().any(|home| source.path.starts_with(home)) {
                continue;
            }
            for name in *names {
                for at in source.find_in_program(name).filter(|at| is_path(source, *at, name)) {
                    let homes = homes.join(", ");
                    breaches.push(source.breach(
                        at,
                        format!(
                            "names `{name}`, which only {homes} may: {why}. Ask that module for what you need"
                        ),
                    ));
                }
            }
        }
    }
    breaches
}

pub(crate) fn ground_floor_is_pure(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in house.sources.iter().filter(|source| !NOT_PURE.contains(&source.path.as_str())) {
        let on_ground = module_of(source).is_some_and(|module| floor_of(module).is_some_and(|f| f <= GROUND));
        for name in IMPURE.iter().filter(|_| on_ground) {
            breaches.extend(source.find_in_program(name).map(|at| {
                let why = "the ground floor decides, and does nothing: no I/O, no threads, no clock";
                source.breach(at, format!("names `{name}`; {why}. Take what it gives as an argument"))
            }));
        }
    }
    breaches
}

fn why_not(house: &House, source: &Source, name: &str) -> Option<String> {
    let is_module = house.sources.iter().any(|other| module_of(other) == Some(name));
    let Some(from) = module_of(source) else {
        let refused = source.path == "src/main.rs" && is_module && !MAIN_MAY_NAME.contains(&name);
        let may = MAIN_MAY_NAME.join(", ");
        return refused.then(|| format!("main.rs names `{name}`; it chooses a face, and names {may} only"));
    };
    if from == name {
        return None;
    }
    let Some(to_floor) = floor_of(name) else {
        return Some(if is_module {
            format!(
                "imports `{name}`, which stands on no floor; give it one in FLOORS and in the plan in lib.rs"
            )
        } else {
            format!(
                "imports `{name}` through the crate's root, which hides its floor; name the module it lives in"
            )
        });
    };
    let Some(from_floor) = floor_of(from) else {
        return Some(format!("`{from}` stands on no floor; give it one in FLOORS and in the plan in lib.rs"));
    };
    if let Some((_, may)) = FACES.iter().find(|(face, _)| *face == from) {
        let may_list = may.join(", ");
        return (!may.contains(&name)).then(|| {
            format!("`{from}` imports `{name}`; the faces only listen and ask: {from} names {may_list} only. Let app hand on what is needed")
        });
    }
    if to_floor < from_floor {
        return None;
    }
    let direction = if to_floor == from_floor { "sideways" } else { "upward" };
    Some(format!(
        "`{from}` imports `{name}`: {direction}; imports point down only. Move what both need down a floor, or let a higher one pass it in"
    ))
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The top module that a file of `src` belongs to; none for the crate's roots.
pub(crate) fn module_of(source: &Source) -> Option<&str> {
    let rest = source.path.strip_prefix("src/")?;
    let name = rest.split('/').next()?;
    match name.strip_suffix(".rs").unwrap_or(name) {
        "lib" | "main" | "bin" => None,
        module => Some(module),
    }
}

/// Every name that follows `crate::` (or, in `main.rs`, `leverframe::`), or a `super::` that leads to the root.
fn imports(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let root = if source.path == "src/main.rs" { "leverframe::" } else { "crate::" };
    for at in source.find(root) {
        found.extend(names_at(&source.code, at + root.len()));
    }
    for at in source.find("super::").filter(|at| !source.code[..*at].ends_with("::")) {
        let n_supers =
            source.code[at..].split("super::").skip(1).take_while(|rest| rest.is_empty()).count() + 1;
        if n_supers == depth_at(source, at) {
            found.extend(names_at(&source.code, at + n_supers * "super::".len()));
        }
    }
    found
}

/// How many modules lie between the crate's root and the code at `at`.
pub(crate) fn depth_at(source: &Source, at: usize) -> usize {
    let Some(path) = source.path.strip_prefix("src/") else { return usize::MAX };
    let of_file = match path.strip_suffix("/mod.rs") {
        Some(folder) => folder.split('/').count(),
        None if matches!(path, "lib.rs" | "main.rs") => 0,
        None => path.split('/').count(),
    };
    let inline = source.find("mod").filter(|start| {
        let rest = source.code[start + 3..].trim_start();
        let after_name = rest[word_at(rest, 0).len()..].trim_start();
        let open = source.code.len() - after_name.len();
        after_name.starts_with('{') && (open..after_bracket(&source.code, open)).contains(&at)
    });
    of_file + inline.count()
}

/// The first names of the path or group that begins at `at`.
pub(crate) fn names_at(code: &str, at: usize) -> Vec<(String, usize)> {
    if !code[at..].starts_with('{') {
        let name = word_at(code, at);
        return if name.is_empty() { Vec::new() } else { vec![(name.to_owned(), at)] };
    }
    let end = after_bracket(code, at) - 1;
    let (mut names, mut depth, mut at_start) = (Vec::new(), 0, true);
    for (i, c) in code[at + 1..end].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && is_word(c) => {
                names.push((word_at(code, at + 1 + i).to_owned(), at + 1 + i));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// Whether the name at `at` is a path or an import, not a field or a variable of the same name.
fn is_path(source: &Source, at: usize, name: &str) -> bool {
    let before = source.code[..at].trim_end();
    let after = source.code[at + name.len()..].trim_start();
    // The numbers of signals are a vocabulary, not a call.
    let is_number = name == "libc" && after.starts_with("::SIG");
    let in_own_path =
        is_number || before.ends_with('.') || before.ends_with("crate::") || before.ends_with("fn");
    !in_own_path
        && (after.starts_with("::")
            || after.starts_with('(')
            || before.ends_with("use")
            || before.ends_with("::")
            || name.contains("::"))
}

mod tests {
    use super::*;

    fn broken(rule: fn(&House) -> Vec<Breach>, files: &[(&str, &str)]) -> Vec<String> {
        rule(&House::of(files)).iter().map(|breach| format!("{}:{}", breach.path, breach.line)).collect()
    }

    #[test]
    fn upward_and_sideways_imports_are_found_however_they_are_written() {
        for (path, text) in [
            ("src/run/a.rs", "use crate::store::X;"),
            ("src/run/a.rs", "fn f() { crate::engine::x() }"),
            ("src/pipeline/a.rs", "use crate::{base::time::Now, run::{A, B}};"),
            ("src/store/mod.rs", "use crate::supervisor::X;"),
            ("src/store/mod.rs", "use super::supervisor::X;"),
            ("src/store/a.rs", "use super::super::logs::X;"),
            ("src/store/a.rs", "mod b { use super::super::super::logs::X; }"),
            ("src/engine/mod.rs", "use crate::scheduler::X;"),
            ("src/ui/mod.rs", "use crate::store::X;"),
            ("src/ui/mod.rs", "use crate::engine::X;"),
            ("src/cli/run.rs", "use crate::supervisor::X;"),
            ("src/run/a.rs", "use crate::CheckpointManager;"),
            ("src/attic/mod.rs", "use crate::base::id::X;"),
            ("src/main.rs", "use leverframe::base::id::X;"),
        ] {
            let files = [(path, text), ("src/base/id.rs", "")];
            assert_eq!(broken(imports_point_down, &files), [format!("{path}:1")], "{path}: {text}");
        }
    }

    #[test]
    fn imports_that_point_down_are_none_of_our_business() {
        for (path, text) in [
            ("src/run/a.rs", "use crate::{base::id::RunId, pipeline::Step};\nuse super::model::X;"),
            ("src/run/mod.rs", "mod x { use super::store::X; }"),
            ("src/store/a.rs", "//! Not crate::engine::X.\nlet x = \"crate::engine\";"),
            ("src/engine/mod.rs", "use crate::{logs, store, supervisor};"),
            ("src/ui/mod.rs", "use crate::window::X;\nuse crate::run::Event;"),
            ("src/main.rs", "leverframe::cli::main(); leverframe::supervisor_entry();"),
        ] {
            assert!(broken(imports_point_down, &[(path, text)]).is_empty(), "{path}: {text}");
        }
    }

    #[test]
    fn outside_things_are_found_outside_their_folder() {
        for text in [
            "use rusqlite::Connection;",
            "let notes = inotify::init(flags);",
            "fn f() { egui::Context::default() }",
            "rustix::process::kill_process(pid, signal);",
            "use rustix::process::{pidfd_open, X}; pidfd_open(pid);",
            "std::process::Command::new(x);",
        ] {
            assert_eq!(
                broken(outside_things_stay_in_their_folder, &[("src/app/a.rs", text)]).len(),
                1,
                "{text}"
            );
        }
        for (path, text) in [
            ("src/store/a.rs", "use rusqlite::Connection;"),
            ("src/app/a.rs", "self.notify.send(); let notify = 1; crate::notify::x();"),
            ("src/app/a.rs", "#[cfg(test)]\nmod tests { use rusqlite::Connection; }"),
            ("src/app/a.rs", "let term = libc::SIGTERM;"),
            ("tests/a.rs", "use rusqlite::Connection;"),
        ] {
            assert!(broken(outside_things_stay_in_their_folder, &[(path, text)]).is_empty(), "{text}");
        }
    }

    #[test]
    fn impure_rules_are_found() {
        assert_eq!(
            broken(ground_floor_is_pure, &[("src/run/a.rs", "\nuse std::fs::File;")]),
            ["src/run/a.rs:2"]
        );
        assert!(broken(ground_floor_is_pure, &[("src/store/a.rs", "use std::fs::File;")]).is_empty());
    }
}
