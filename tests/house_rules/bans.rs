//! What is not called: sleeping, unnamed threads, clocks, silent channels, things left undone, silenced lints.

use super::source::{Breach, House, after_bracket};

/// The files (or folders) that may read a clock, and why.
const CLOCKS: &[(&str, &str)] = &[
    ("src/engine/clock.rs", "the engine's clocks: every `Now` is made there"),
    ("src/base/tasks.rs", "tasks are called after the times that they say"),
    ("src/engine/bus.rs", "a subscriber waits with a deadline"),
    (
        "src/engine/inbox.rs",
        "callers that come back together are waited for, a tenth of a millisecond at most",
    ),
    ("src/window/folder.rs", "a large folder is read for a while only"),
    ("src/supervisor/launch.rs", "a supervisor that does not answer is given up after a while"),
    ("src/supervisor/guard.rs", "a command that prints a secret is ended after a while"),
    ("src/supervisor/client.rs", "an answer that is due and does not come is told"),
    (
        "src/supervisor/reaper/mod.rs",
        "a process of its own: it says when steps ended, and times the next supervisor",
    ),
    ("src/control/client/events.rs", "a client waits for events with a deadline"),
    ("src/control/server/connection.rs", "a client has some seconds to say hello"),
    ("src/monitor/mod.rs", "a sample says when it was taken"),
    ("src/monitor/sampler.rs", "samples come at an even pace"),
    ("src/store/sqlite/commit.rs", "how long a commit takes says how long another is waited for"),
    (
        "src/store/runs/manager.rs",
        "calls that come without an instant: those of library users, whose call is the event",
    ),
    ("src/supervisor/server/", "a process of its own: it times graces, and says when steps began and ended"),
    ("src/supervisor/log.rs", "the time index says when what was written"),
    ("src/supervisor/mover.rs", "the time index has at most ten entries a second"),
    ("src/ui/window.rs", "a frame shows how long things take; taking updates in has a budget of time"),
];

/// The files that may sleep, and why. Meant to grow no further.
const SLEEPERS: &[(&str, &str)] = &[
    ("src/store/sqlite/commit.rs", "a caller parks until its batch is committed, or it is to lead"),
    ("tests/test_supervisor/bench.rs", "the world outside tells no events: it is looked at until a deadline"),
    ("tests/test_supervisor/fences.rs", "a byte must have time to reach a stopped process"),
    ("tests/test_supervisor/freezing.rs", "time must pass for CPU time to stand still in"),
];

pub(crate) fn no_sleeping(house: &House) -> Vec<Breach> {
    let text = |needle: &str| {
        format!(
            "`{needle}`: nobody polls, nobody sleeps. Block on a channel, a notification or a process, with a deadline"
        )
    };
    let mut breaches = only_in(
        house,
        &["thread::sleep", "sleep_ms", "thread::park_timeout"],
        SLEEPERS,
        Where::Anywhere,
        text,
    );
    // A test may let another thread go first.
    breaches.extend(only_in(house, &["thread::yield_now", "hint::spin_loop"], &[], Where::Program, text));
    breaches
}

/// Views that show text by themselves, and why.
const SPEAKERS: &[(&str, &str)] = &[
    ("src/ui/widgets/", "text from outside is cleaned there"),
    ("src/ui/views/dialogs.rs", "its texts are its own, with ids and figures in them"),
];

pub(crate) fn text_is_shown_through_widgets(house: &House) -> Vec<Breach> {
    let needles = ["ui.label(", ".on_hover_text(", "WidgetInfo::", ".layout_no_wrap("];
    only_in(house, &needles, SPEAKERS, Where::Program, |needle| {
        format!(
            "`{needle}` shows a text as it came, control characters included: use `label_at`, `paragraph`, `says` or `tip` of `ui::widgets`"
        )
    })
}

/// Where a time of the window is made a text, and why.
const WRITERS: &[(&str, &str)] = &[
    ("src/ui/format.rs", "it knows how the system writes times"),
    ("src/ui/job_form.rs", "the text of its field is read again, and the engine reads one form of it"),
];

pub(crate) fn the_window_writes_times_in_one_place(house: &House) -> Vec<Breach> {
    let window = house.sources.iter().filter(|source| source.path.starts_with("src/ui/"));
    let elsewhere = window.filter(|source| WRITERS.iter().all(|(home, _)| source.path != *home));
    let breaches = elsewhere.flat_map(|source| {
        let found = source.find_in_program(".format(\"");
        found.map(|at| {
            source.breach(at, "`.format(\"…\")` writes a time in one language's way: use `ui::format`, which follows the system")
        })
    });
    breaches.collect()
}

pub(crate) fn clocks_are_arguments(house: &House) -> Vec<Breach> {
    const NEEDLES: &[&str] = &[
        "Utc::now",
        "Local::now",
        "SystemTime::now",
        "Instant::now",
        "clock_gettime",
        "OffsetDateTime::now",
    ];
    only_in(house, NEEDLES, CLOCKS, Where::Program, |needle| {
        format!(
            "`{needle}`: time is an argument, so that decisions can be tested. Take a `Now`, or list the file in CLOCKS with its reason"
        )
    })
}

pub(crate) fn threads_are_named(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &house.sources {
        breaches.extend(source.find_in_program("thread::spawn").map(|at| {
            source.breach(at, "`thread::spawn` makes a thread without a name; use `thread::Builder` with `.name(…)`, and join it")
        }));
        for at in source.find_in_program("thread::Builder::new") {
            let statement = &source.code[at..];
            let end = statement.find("spawn").unwrap_or(statement.len());
            if !statement[..end].contains(".name(") {
                breaches
                    .push(source.breach(at, "a thread without a name: say `.name(…)` before it is spawned"));
            }
        }
    }
    breaches
}

/// The files that may make a thread whose end does not end its process, and why.
const SHORT_THREADS: &[(&str, &str)] = &[
    ("src/base/thread.rs", "the one that ends its process if it must is made here"),
    ("src/base/at_exit.rs", "its process ends anyway"),
    ("src/supervisor/guard.rs", "it is the guard's, a process that does nothing else"),
    ("src/ui/shown.rs", "without it the window only paints more than it must"),
    ("src/supervisor/mover.rs", "it is the supervisor's, whose end is another matter"),
    ("src/awake.rs", "it says itself that it has gone, and everything goes on without it"),
    ("src/store/datadir.rs", "it waits for one lock"),
    ("src/control/client.rs", "it is a client's, and ends with its connection"),
    ("src/engine/bus.rs", "a subscriber that panics harms nobody else"),
    ("src/engine/context.rs", "a function that panics fails its run"),
    ("src/control/server/acceptor.rs", "each connection has one"),
    ("src/control/server/session.rs", "each connection has one"),
    ("src/window/lookups.rs", "it follows one log, or reads one folder, that somebody looks at"),
    ("src/window/log_thread.rs", "it reads one log that somebody looks at"),
    ("src/ui/system_fonts.rs", "it looks for fonts that a text lacks, and without them the text has boxes"),
    ("src/records/run_follower.rs", "it follows one log"),
    ("src/daemon/background.rs", "it reads one line of a process that is started"),
    ("src/cli/foreground/question.rs", "it waits for one answer"),
];

pub(crate) fn threads_that_last_end_their_process(house: &House) -> Vec<Breach> {
    only_in(
        house,
        &["thread::Builder", "Builder::new().name", "thread::short("],
        SHORT_THREADS,
        Where::Program,
        |needle| {
            format!(
                "`{needle}`: a thread that lasts takes its process with it when it panics. Use `crate::base::thread::start`, or list the file with its reason"
            )
        },
    )
}

pub(crate) fn channels_are_explained(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &house.sources {
        // A test's bounded channel explains itself; an unbounded one is explained everywhere.
        let unbounded = ["unbounded(", "unbounded::<"].into_iter().flat_map(|needle| source.find(needle));
        let bounded = ["bounded(", "bounded::<", "sync_channel("]
            .into_iter()
            .flat_map(|needle| source.find_in_program(needle));
        for at in unbounded.chain(bounded) {
            let is_definition = source.code[..at].trim_end().ends_with("fn");
            if !is_definition && !source.has_comment_near(at) {
                breaches.push(source.breach(
                    at,
                    "a channel without a comment above it: state its capacity, and what happens when it is full and when it is closed",
                ));
            }
        }
        for at in source.find("mpsc::channel") {
            breaches.push(source.breach(
                at,
                "`mpsc::channel`: every channel is crossbeam's, so that one can select over several",
            ));
        }
    }
    breaches
}

pub(crate) fn nothing_undone(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &house.sources {
        for needle in ["todo!", "unimplemented!", "dbg!", "#[ignore"] {
            breaches.extend(source.find(needle).map(|at| {
                source.breach(
                    at,
                    format!("`{needle}` is a promise that nobody keeps: do it now, or leave it out"),
                )
            }));
        }
    }
    breaches
}

pub(crate) fn lints_are_expected(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_attribute =
        |before: &str| before.ends_with('[') || (before.ends_with(',') && before.contains("cfg_attr"));
    for source in &house.sources {
        let line_before = |at: usize| source.code[..at].rsplit('\n').next().unwrap_or_default().trim_end();
        for at in source.find("allow(").filter(|at| is_attribute(line_before(*at))) {
            breaches.push(source.breach(
                at,
                "`allow` outlives its cause unseen: say `#[expect(…, reason = \"…\")]`, which complains when it is needed no more",
            ));
        }
        for at in source.find("expect(").filter(|at| is_attribute(line_before(*at))) {
            let inside = &source.code[at..after_bracket(&source.code, at + "expect".len())];
            if !inside.contains("reason") {
                breaches.push(
                    source.breach(at, "`expect` of a lint without `reason = \"…\"`: say why it must be"),
                );
            }
        }
    }
    breaches
}

/// Where the phase of a run or the state of a step changes.
const TRANSITIONS: &str = "src/run/transition.rs";

pub(crate) fn states_change_by_the_table(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let rules = house.sources.iter().filter(|it| it.path.starts_with("src/run/") && it.path != TRANSITIONS);
    for source in rules {
        for needle in [".phase = ", ".state = "] {
            breaches.extend(source.find_in_program(needle).map(|at| {
                source.breach(
                    at,
                    "sets a state: `apply` of a run or a step does, which asks the table. Add the transition there if it lacks",
                )
            }));
        }
    }
    breaches
}

#[derive(Clone, Copy)]
enum Where {
    /// Tests, benchmarks and examples included.
    Anywhere,
    /// In `src`, outside tests.
    Program,
}

/// The needles may stand in the `homes` only, and each of these that is there must need it.
/// Names that this program once had for what the field has a word for, and the word.
const RETIRED: &[(&str, &str)] = &[
    ("Desk", "CommandHandler"),
    ("WindowDesk", "WindowController"),
    ("Errand", "Lookup"),
    ("Seat", "EngineLease"),
    ("Heir", "NewHolder"),
    ("Bequest", "Handover"),
    ("Outlet", "ConnectionWriter"),
    ("Hall", "Shared"),
    ("Guest", "Client"),
    ("Sleepless", "SleepInhibition"),
    ("HoldersTold", "WaitNotices"),
    ("Moments", "RetryDelay"),
    ("RunsAlone", "EngineOnly"),
    ("Bells", "Wakers"),
    ("Ear", "Delivery"),
    ("Reach", "Backend"),
    ("Fate", "Disposition"),
    ("LogoutFate", "LogoutEffect"),
    ("Asking", "Acquisition"),
    ("furnish", "prepare"),
    ("teller", "notifier"),
    ("take_stock", "reconcile"),
];

pub(crate) fn retired_names_stay_away(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &house.sources {
        for (retired, word) in RETIRED {
            breaches.extend(
                source.find_in_program(retired).map(|at| {
                    source.breach(at, format!("`{retired}` is this house's own word; say `{word}`"))
                }),
            );
        }
    }
    breaches
}

fn only_in(
    house: &House,
    needles: &[&str],
    homes: &[(&str, &str)],
    place: Where,
    text: impl Fn(&str) -> String,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    // For each home whether it is there, and whether it needs its exception.
    let mut uses = vec![(false, false); homes.len()];
    for source in &house.sources {
        let hits = needles.iter().flat_map(|needle| source.find(needle).map(move |at| (at, needle)));
        let mut hits = hits.filter(|(at, _)| match place {
            Where::Anywhere => true,
            Where::Program => source.path.starts_with("src/") && !source.is_test(*at),
        });
        match homes.iter().position(|(home, _)| source.path.starts_with(home)) {
            None => breaches.extend(hits.map(|(at, needle)| source.breach(at, text(needle)))),
            Some(i) => uses[i] = (true, uses[i].1 || hits.next().is_some()),
        }
    }
    for ((home, why), _) in
        homes.iter().zip(uses).filter(|(_, (is_there, is_needed))| *is_there && !is_needed)
    {
        let text = format!("is listed as an exception ({why}), but needs it no more: strike it");
        breaches.push(Breach { path: (*home).to_owned(), line: 1, text });
    }
    breaches
}

mod tests {
    use super::*;

    fn lines(rule: fn(&House) -> Vec<Breach>, path: &str, text: &str) -> Vec<usize> {
        rule(&House::of(&[(path, text)])).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn sleeping_is_found_in_tests_too() {
        let text = "// thread::sleep\nfn f() { std::thread::sleep(x) }\n#[cfg(test)] mod t { fn g() { thread::sleep(x) } }";
        assert_eq!(lines(no_sleeping, "src/app/a.rs", text), [2, 3]);
        assert_eq!(lines(no_sleeping, "tests/a.rs", "use std::thread::sleep;"), [1]);
    }

    #[test]
    fn clocks_are_found_outside_the_list_and_idle_exceptions_in_it() {
        assert_eq!(lines(clocks_are_arguments, "src/run/a.rs", "\nlet x = Utc::now();"), [2]);
        assert!(lines(clocks_are_arguments, "src/monitor/mod.rs", "Utc::now()").is_empty());
        assert_eq!(lines(clocks_are_arguments, "src/monitor/mod.rs", ""), [1]);
        assert!(lines(clocks_are_arguments, "tests/a.rs", "Instant::now()").is_empty());
    }

    #[test]
    fn threads_without_a_name_are_found() {
        let text =
            "thread::spawn(f);\nthread::Builder::new().spawn(f);\nthread::Builder::new()\n.name(n).spawn(f);";
        assert_eq!(lines(threads_are_named, "src/app/a.rs", text), [1, 2]);
    }

    #[test]
    fn retired_names_are_found() {
        let text = "struct Desk;\nstruct Desktop; // Desk\nfn furnish() {}\n";
        assert_eq!(lines(retired_names_stay_away, "src/a.rs", text), [1, 3]);
    }

    #[test]
    fn states_that_are_set_beside_the_table_are_found() {
        let text = "fn f() {\nrun.phase = to;\nif run.phase == to {}\nstep.state = to;\n}";
        assert_eq!(lines(states_change_by_the_table, "src/run/a.rs", text), [2, 4]);
        assert!(lines(states_change_by_the_table, TRANSITIONS, text).is_empty());
    }

    #[test]
    fn channels_without_a_comment_are_found() {
        let text = "fn f() {\nlet a = unbounded();\n}\n\n\n\n// Capacity 1.\nlet b = bounded(1);\n\n\n\nlet c = bounded::<u8>(2);";
        assert_eq!(lines(channels_are_explained, "src/app/a.rs", text), [2, 12]);
        assert_eq!(
            lines(channels_are_explained, "tests/a.rs", "let a = unbounded();\nlet b = bounded(1);"),
            [1]
        );
        assert_eq!(
            lines(channels_are_explained, "tests/a.rs", "let url = \"http://x\"; mpsc::channel()"),
            [1]
        );
    }

    #[test]
    fn what_is_undone_is_found() {
        let mut found =
            lines(nothing_undone, "tests/a.rs", "todo!()\n#[ignore]\n// todo!\n#[ignore = \"x\"]\ndbg!(x)");
        found.sort_unstable();
        assert_eq!(found, [1, 2, 4, 5]);
    }

    #[test]
    fn silenced_lints_are_found() {
        let text = "#[allow(dead_code)]\n#![allow(x)]\n#[expect(x)]\n#[expect(x, reason = \"y\")]\nx.expect(\"y\");\n#[cfg_attr(test, allow(x))]\nallow(x);";
        let mut found = lines(lints_are_expected, "src/app/a.rs", text);
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 6]);
    }
}
