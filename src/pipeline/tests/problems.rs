//! The problems of wrong files: place and text of each.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Pipeline, parse_at};

const PATH: &str = "/jobs/nightly.toml";

/// The rule for ids, at the end of many problems.
const RULE: &str =
    "start with a letter or digit, use only letters, digits, '.', '_' and '-', and at most 128 of them";

/// The problems of a file, as `line:column: message`.
fn problems_of(text: &str) -> Vec<String> {
    let found = parse_at(text, PATH).err().unwrap_or_default();
    found.iter().map(|problem| problem.to_string().replace(&format!("{PATH}:"), "")).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|line| line.replace("RULE", RULE)).collect();
    assert_eq!(problems_of(text), expected, "\n{text}");
}

/// Checks lines below one valid step: they begin in line 4.
#[track_caller]
fn check_step(lines: &str, expected: &[&str]) {
    check(&format!("[[step]]\nid = \"a\"\nrun = \"true\"\n{lines}\n"), expected);
}

/// Checks lines at the top of the file, above one valid step.
#[track_caller]
fn check_top(lines: &str, expected: &[&str]) {
    check(&format!("{lines}\n[[step]]\nid = \"a\"\nrun = \"true\"\n"), expected);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_right_one() {
    check_step("timout = \"1s\"", &["4:1: unknown key `timout` in [[step]]; did you mean `timeout`?"]);
    check_step("depends_on = []", &["4:1: unknown key `depends_on` in [[step]]; did you mean `needs`?"]);
    check_step("comand = \"x\"", &["4:1: unknown key `comand` in [[step]]; did you mean `run`?"]);
    check_step("colour = 1", &["4:1: unknown key `colour` in [[step]]"]);
    check_step(
        "  max_parallel = 1",
        &[
            "4:3: `max_parallel` does not belong in [[step]]; move it to the top of the file, before the first [table]",
        ],
    );
    check_top("needs = []", &["1:1: `needs` does not belong at the top of the file; move it to [[step]]"]);
    check_step(
        "retries = { max = 1, timeout = \"5s\" }",
        &["4:22: `timeout` does not belong in retries = { … }; it is a key of [[step]] itself"],
    );
    check_step(
        "retries = { max = 1, on = \"failed\" }",
        &["4:22: unknown key `on` in retries = { … }; there are max, delay, factor, max_delay"],
    );
    check_step("retries = { mex = 1 }", &["4:13: unknown key `mex` in retries = { … }; did you mean `max`?"]);
    check_top(
        "[step_defaults]\nfinally = true",
        &["2:1: `finally` does not belong in [step_defaults]; move it to [[step]]"],
    );
    check(
        "[[steps]]\nid = \"a\"\n",
        &[
            "1:1: there are no steps; write at least one [[step]] with `id` and `run`",
            "1:3: unknown key `steps` at the top of the file; did you mean `step`?",
        ],
    );
}

#[test]
fn a_key_of_a_later_version_is_named_as_such() {
    let later =
        |key: &str| format!("`{key}` comes with a later version of Leverframe; leave it out until then");
    for key in ["foreach", "exit_codes", "notify", "nice", "venv", "env_file", "total_timeout"] {
        check_step(&format!("{key} = 1"), &[&format!("4:1: {}", later(key))]);
    }
    check_top("env_file = \".env\"", &[&format!("1:1: {}", later("env_file"))]);
}

#[test]
fn a_value_of_the_wrong_type_names_the_right_one() {
    for (line, expected) in [
        (
            "timeout = 30",
            "4:11: `timeout` must be a duration such as \"30s\" or \"1h30m\", not an integer; write \"30s\" for seconds",
        ),
        ("timeout = \"30\"", "4:11: `timeout`: the duration \"30\" has no unit; write \"30s\" for seconds"),
        (
            "timeout = \"soon\"",
            "4:11: `timeout`: \"soon\" is not a duration; write a number with a unit (ms, s, m, h, d), such as \"30s\" or \"1h30m\"",
        ),
        (
            "timeout = \"0s\"",
            "4:11: `timeout`: the duration is zero; write a longer one, or leave the key out",
        ),
        (
            "log_limit = 5",
            "4:13: `log_limit` must be a size such as \"500MB\" or \"1GiB\", not an integer; write \"5B\" for bytes",
        ),
        ("log_limit = \"0B\"", "4:13: `log_limit`: the size is zero; write a larger one"),
        (
            "stop_signal = \"SIGSTOP\"",
            "4:15: `stop_signal` must be the name of a signal such as \"TERM\", not \"SIGSTOP\"",
        ),
        (
            "stop_signal = \"term\"",
            "4:15: `stop_signal` must be the name of a signal such as \"TERM\", not \"term\"; did you mean `TERM`?",
        ),
        (
            "stop_signal = 15",
            "4:15: `stop_signal` must be the name of a signal such as \"TERM\", not an integer",
        ),
        (
            "needs = \"b\"",
            "4:9: `needs` must be an array of step ids such as [\"fetch\"], not a string; write [\"b\"]",
        ),
        (
            "may_fail = \"true\"",
            "4:12: `may_fail` must be true or false, not a string; write true without quotes",
        ),
        (
            "retries = 3",
            "4:11: `retries` must be a table such as { max = 3, delay = \"10s\" }, not an integer; write { max = 3 }",
        ),
        (
            "when = \"on_succes\"",
            "4:8: `when` must be \"on_success\", \"on_failure\" or \"always\", not \"on_succes\"; did you mean `on_success`?",
        ),
        ("weight = 0", "4:10: `weight` must be a number above 0, not 0"),
        ("weight = -0.5", "4:10: `weight` must be a number above 0, not -0.5"),
        ("weight = nan", "4:10: `weight` must be a number above 0, not nan"),
        ("weight = inf", "4:10: `weight` must be a number above 0, not inf"),
        ("weight = 1e999", "4:10: `weight` must be a number above 0, not 1e999"),
        ("retries = { factor = 0.9 }", "4:22: `factor` must be a number of at least 1, not 0.9"),
        ("retries = { max = -1 }", "4:19: `max` must be a whole number of at least 0, not -1"),
        (
            "retries = { max = 99999999999 }",
            "4:19: `max` must be a whole number of at least 0, not 99999999999",
        ),
        (
            "retries = { delay = \"1m\", max_delay = \"1s\" }",
            "4:39: `max_delay` is shorter than `delay`; write a longer one, or leave it out",
        ),
    ] {
        check_step(line, &[expected]);
    }
    check_step("grace = \"0s\"", &[]);
    check_top("max_parallel = 0", &["1:16: `max_parallel` must be a whole number of at least 1, not 0"]);
    check_top(
        "shell = \"bash -c\"",
        &[
            "1:9: `shell` must be an array of strings such as [\"sh\", \"-c\"], not a string; write [\"bash\", \"-c\"]",
        ],
    );
    check_top("shell = []", &["1:9: `shell` does not name a program: its first string must be one"]);
    check_top(
        "params = { x = 1 }",
        &["1:16: `x` must be a table: write [params.x], and its value as `default = …` below"],
    );
    check(
        "[step]\nid = \"a\"\nrun = \"x\"\n",
        &[
            "1:1: `step` must be an array of tables, each begun by [[step]], not a table; write [[step]] for [step]",
        ],
    );
}

#[test]
fn a_command_must_run_something() {
    for empty in ["\"\"", "\" \\n\"", "[]", "[\"\"]", "[\"\", \"x\"]"] {
        let found = problems_of(&format!("[[step]]\nid = \"a\"\nrun = {empty}\n"));
        assert_eq!(found.len(), 1, "{empty}: {found:?}");
        assert!(found[0].starts_with("3:7: `run` "), "{found:?}");
    }
    check(
        "[[step]]\nid = \"a\"\nrun = [\"sleep\", 5]\n",
        &["3:17: `run` holds an integer, not only strings; write \"5\""],
    );
    check(
        "[[step]]\nid = \"a\"\nrun = \"a\\u0000b\"\n",
        &["3:7: `run` contains a NUL character, which can't be passed to a process; leave it out"],
    );
    check("[[step]]\nid = \"a\"\n", &["1:1: `run` is missing in this [[step]]"]);
    check("[[step]]\n", &["1:1: `id` is missing in this [[step]]", "1:1: `run` is missing in this [[step]]"]);
}

#[test]
fn ids_are_well_formed_and_taken_once() {
    check(
        "id = \"no spaces\"\n[[step]]\nid = \"../x\"\nrun = \"x\"\n",
        &["1:6: the id \"no spaces\" is malformed: RULE", "3:6: the id \"../x\" is malformed: RULE"],
    );
    check(
        "[[step]]\nid = \"a\"\nrun = \"x\"\n[[step]]\nid = \"a\"\nrun = \"x\"\n",
        &["5:6: the step id \"a\" is already taken in line 2; choose another"],
    );
    let step = "[[step]]\nid = \"a\"\nrun = \"x\"\n";
    let found = parse_at(step, "/jobs/my jobs.toml").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        format!(
            "/jobs/my jobs.toml:1:1: the file's name would make \"my jobs\" the pipeline's id, which is malformed; \
             write `id = \"…\"` at the top, or rename the file: {RULE}"
        )
    );
    let named = parse_at(&format!("id = \"x\"\n{step}"), "/jobs/my jobs.toml");
    assert_eq!(named.unwrap().id.as_str(), "x");
}

#[test]
fn needs_name_other_steps_that_run_before() {
    check(
        "[[step]]\nid = \"fetch\"\nrun = \"x\"\n\
         [[step]]\nid = \"b\"\nrun = \"x\"\nneeds = [\"fecth\", \"b\", \"fetch\", \"fetch\"]\n",
        &[
            "7:10: there is no step \"fecth\"; did you mean `fetch`?",
            "7:19: the step \"b\" needs itself; take it out",
            "7:33: the step \"fetch\" is named twice; take one out",
        ],
    );
    check(
        "[[step]]\nid = \"a\"\nrun = \"x\"\nneeds = [\"f\"]\n\
         [[step]]\nid = \"f\"\nrun = \"x\"\nfinally = true\n",
        &[
            "4:10: \"f\" is a `finally` step, which runs after everything, so that only `finally` steps can need it",
        ],
    );
}

#[test]
fn a_cycle_is_shown_by_its_path() {
    check(
        "step = [\n{ id = 'a', run = 'x', needs = ['c'] },\n{ id = 'b', run = 'x' },\n{ id = 'c', run = 'x' },\n]",
        &["3:1: these steps need each other in a circle: a → c → b → a; take one need out"],
    );
    check(
        "step = [\n{ id = 'a', run = 'x', needs = ['b'] },\n{ id = 'b', run = 'x', needs = ['a'] },\n\
         { id = 'c', run = 'x', needs = ['a', 'd'] },\n{ id = 'd', run = 'x', needs = ['c'] },\n]",
        &[
            "3:33: these steps need each other in a circle: a → b → a; take one need out",
            "5:33: these steps need each other in a circle: c → d → c; take one need out",
        ],
    );
    let mut long = String::from("[[step]]\nid = 's0'\nrun = 'x'\nneeds = ['s4999']\n");
    (1..5_000).for_each(|i| long.push_str(&format!("[[step]]\nid = 's{i}'\nrun = 'x'\n")));
    check(
        &long,
        &["5:1: these steps need each other in a circle: \
           s0 → s4999 → s4998 → s4997 → s4996 → (4992 more) → s3 → s2 → s1 → s0; take one need out"],
    );
}

#[test]
fn an_environment_holds_strings_under_names_that_are_free() {
    check_top(
        "[env]\n\"A B\" = \"x\"\nLEVERFRAME_RUN_ID = \"x\"\nPORT = 8080\nCOST = \"5$\"\nOK = \"$HOME\"",
        &[
            "2:1: \"A B\" is not a valid variable name: use letters, digits and '_', and no digit first",
            "3:1: `LEVERFRAME_RUN_ID` is set by Leverframe for each step; choose a name without LEVERFRAME_",
            "4:8: the variable `PORT` must be a string, not an integer; write \"8080\"",
            "5:8: the variable `COST`: \"5$\" has a $ that does not begin a variable; write $NAME or ${NAME}, or $$ for a plain $",
        ],
    );
}

#[test]
fn parameters_are_checked_against_their_type() {
    check_top(
        "[params.a-b]\n[params.\"a.b\"]\n[params.\"ä\"]",
        &[
            "2:9: the parameters `a-b` and `a.b` would both be the variable LEVERFRAME_PARAM_A_B; rename one",
            "3:9: the parameter's name \"ä\" is malformed: RULE",
        ],
    );
    check_top(
        "[params.n]\ntype = \"int\"\ndefault = \"many\"",
        &["3:11: the default must be a whole number, not many"],
    );
    check_top(
        "[params.n]\ndefault = 5",
        &["2:11: the default 5 is no string as written; write \"5\", or `type = \"int\"`"],
    );
    check_top(
        "[params.n]\ntype = \"date\"\ndefault = 2026-11-23T10:00:00Z",
        &["3:11: the default must be a date such as 2026-11-23, not 2026-11-23T10:00:00Z"],
    );
    check_top(
        "[params.n]\ndefault = \"C\"\nchoices = [\"A\", \"B\", \"A\"]",
        &[
            "2:11: the default \"C\" is not among the choices; write \"A\" or \"B\"",
            "3:22: the choice \"A\" is named twice; take one out",
        ],
    );
    check_top("[params.n]\nchoices = []", &["2:11: `choices` is empty; write some, or leave it out"]);
    check_top(
        "[params.n]\ntype = \"integer\"",
        &[
            "2:8: `type` must be \"string\", \"int\", \"float\", \"bool\", \"date\" or \"path\", not \"integer\"",
        ],
    );
    check_top(
        "[params.t]\ndefault = \"x\"\nsecret = { env = \"T\" }",
        &["2:11: a secret has no `default`; leave it out, or leave `secret` out"],
    );
    check_top(
        "[params.t]\nsecret = { env = \"T\", file = \"x\" }",
        &["2:10: a secret comes from exactly one place; write one of `env`, `file` and `command`"],
    );
    check_top(
        "[params.t]\nsecret = { env = \"T\", timeout = \"1s\" }",
        &["2:33: only a `command` takes time; leave `timeout` out"],
    );
    check_top(
        "[params.t]\nsecret = \"T\"",
        &["2:10: `secret` must be a table such as { env = \"API_TOKEN\" }, not a string"],
    );
    check_top(
        "[params.run_type]\nsecret = { env = \"T\" }",
        &["2:10: `run_type` is shown and stored with each run, so that it cannot be a secret"],
    );
}

#[test]
fn a_file_without_steps_is_refused() {
    for text in ["", "id = \"x\"\n", "# nothing\n"] {
        check(text, &["1:1: there are no steps; write at least one [[step]] with `id` and `run`"]);
    }
    check("step = []", &["1:8: there are no steps; write at least one [[step]] with `id` and `run`"]);
}

#[test]
fn a_file_of_too_many_steps_is_refused_before_it_fills_the_memory() {
    let text = "[[step]]\nid = 'a'\nrun = 'x'\n".repeat(100_001).replacen("'a'", "'b'", 1);
    assert!(
        problems_of(&text).contains(&"300001:1: there are more than 100000 steps; split the pipeline".into())
    );
}

#[test]
fn invalid_toml_is_located() {
    let found = problems_of("id = \"x\nmax_parallel = = 2\n[[step]]\nid = \"a\"\nid = \"b\"\n");
    assert!(found.iter().all(|problem| problem.contains("not valid TOML: ")), "{found:?}");
    let lines: BTreeSet<_> = found.iter().map(|problem| &problem[..1]).collect();
    assert_eq!(lines, BTreeSet::from(["1", "2", "5"]), "{found:?}");
    check("\u{feff}[[step]]\r\nid = \"a\"\r\nrun = \"true\"\r\n", &[]);
}

#[test]
fn all_problems_of_a_file_come_in_its_order() {
    let found = problems_of(include_str!("../cases/wrong.toml")).join("\n");
    assert_eq!(found, include_str!("../cases/wrong.expected").trim_end());
}

#[test]
fn a_home_directory_that_is_needed_must_be_known() {
    let text = "working_dir = '~/x'\n[[step]]\nid = 'a'\nrun = 'x'\nworking_dir = '~bob'\n";
    let found = Pipeline::parse(text, Path::new("/j/a.toml"), None).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "/j/a.toml:1:15: the home directory for the ~ in \"~/x\" is not known; write an absolute path",
            "/j/a.toml:5:15: \"~bob\" names another user's home directory, which is not looked up; write its path, or \"./~bob\" for a folder of that name",
        ]
    );
}

#[test]
fn a_file_whose_path_is_relative_is_refused() {
    let found = Pipeline::parse("[[step]]\nid = 'a'\nrun = 'x'\n", Path::new("a.toml"), None).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "a.toml:1:1: the path of this file is not absolute; make it so before it is read"
    );
}
