//! Valid files and their pipelines. `problems` has wrong files, `properties` what holds for every file.

mod problems;
mod properties;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::config::Diagnostic;

const HOME: &str = "/home/ada";

/// A file with a value for every key.
const FULL: &str = include_str!("../cases/full.toml");

fn parse_at(text: &str, path: &str) -> Result<Pipeline, Vec<Diagnostic>> {
    Pipeline::parse(text, Path::new(path), Some(Path::new(HOME)))
}

#[track_caller]
fn parse(text: &str) -> Pipeline {
    parse_at(text, "/jobs/nightly.toml").unwrap_or_else(|found| panic!("{found:#?}"))
}

#[test]
fn every_key_reaches_the_model() {
    let pipeline = parse_at(FULL, "/jobs/alfabeta.toml").unwrap();
    let line = |line: &str| Command::Line { shell: vec!["sh".into(), "-c".into()], line: line.into() };
    let fetch = Step {
        id: "fetch".parse().unwrap(),
        needs: vec![],
        command: line("python3 fetch.py"),
        working_dir: PathBuf::from("/jobs/work/scraper"),
        env: BTreeMap::from([("A".into(), "step".into()), ("B".into(), "defaults".into())]),
        timeout: Some(Duration::from_secs(1_800)),
        retries: Retries {
            max: 3,
            delay: Duration::from_secs(20),
            factor: 1.5,
            max_delay: Duration::from_secs(60),
        },
        resources: Resources { memory: Some(2 << 30), cpu: Some(1.5), disk: Some(1 << 20) },
        weight: 3.0,
        on_interrupt: OnInterrupt::Ask,
        stop_signal: libc::SIGINT,
        grace: Duration::from_millis(500),
        log_limit: 64 << 10,
        background: Background::Keep,
        when: When::OnSuccess,
        may_fail: false,
        finally: false,
    };
    assert_eq!(pipeline.steps[0], fetch);
    let report = &pipeline.steps[1];
    assert_eq!((&report.needs[..], report.when, report.may_fail), (&[0][..], When::Always, true));
    assert_eq!(report.command, Command::Argv(vec!["python3".into(), "report.py".into()]));
    assert_eq!(report.retries.max, 1);
    let unlock = &pipeline.steps[2];
    assert!(unlock.finally && unlock.needs.is_empty());
    assert_eq!((unlock.when, unlock.timeout), (When::Always, Some(Duration::from_secs(300))));
    assert_eq!(unlock.working_dir, Path::new("/home/ada/locks"));
    assert_eq!(
        unlock.command,
        Command::Line { shell: vec!["bash".into(), "-ec".into()], line: "rm -f lock".into() }
    );
    assert_eq!((pipeline.id.as_str(), pipeline.source.as_str()), ("alfabeta", "shop"));
    assert_eq!(pipeline.description.as_deref(), Some("Nightly price list"));
    assert_eq!((pipeline.max_parallel, pipeline.on_failure), (Some(2), OnFailure::Continue));
    assert!(pipeline.inhibit_sleep);
    assert_eq!(pipeline.timeout, Some(Duration::from_secs(6 * 3_600)));
    assert_eq!((pipeline.max_concurrent_runs, pipeline.group.as_deref()), (Some(2), Some("scrapers")));
    assert_eq!((pipeline.priority, pipeline.on_battery), (7, OnBattery::Hold));
    assert_eq!(pipeline.quiet, OnQuiet::Ignore);
    assert_eq!(report.resources, Resources { memory: None, cpu: Some(0.5), disk: None });
    assert_eq!(pipeline.env, BTreeMap::from([("LANG".into(), "C.UTF-8".into())]));
    assert_eq!(
        pipeline.params["token"],
        Param::Secret(SecretSource::File(PathBuf::from("/home/ada/.secrets/x")))
    );
    assert_eq!(
        pipeline.params["since"],
        Param::Value {
            kind: ParamType::Date,
            description: Some("From this day on".into()),
            default: Some("2026-11-23".into()),
            choices: vec![]
        }
    );
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let pipeline = parse("[[step]]\nid = \"a\"\nrun = \"true\"\n");
    assert_eq!((pipeline.id.as_str(), pipeline.source.as_str()), ("nightly", "nightly"));
    assert_eq!((pipeline.max_parallel, pipeline.timeout), (None, None));
    assert!(!pipeline.inhibit_sleep);
    assert_eq!(pipeline.on_failure, OnFailure::Stop);
    let step = &pipeline.steps[0];
    assert_eq!(step.retries, Retries::default());
    assert_eq!((step.grace, step.log_limit, step.weight), (Duration::from_secs(10), 1 << 30, 1.0));
    assert_eq!((step.timeout, step.stop_signal), (None, libc::SIGTERM));
    assert_eq!(step.working_dir, Path::new("/jobs"));
    assert_eq!((step.on_interrupt, step.background), (OnInterrupt::Rerun, Background::End));
    assert_eq!((step.when, step.may_fail, step.finally), (When::OnSuccess, false, false));
}

#[test]
fn a_step_needs_the_one_before_it_unless_it_says_otherwise() {
    let text = "
        step = [
            { id = 'a', run = 'x' },
            { id = 'f1', run = 'x', finally = true },
            { id = 'b', run = 'x' },
            { id = 'c', run = 'x', needs = [] },
            { id = 'd', run = 'x', needs = ['c', 'a'] },
            { id = 'f2', run = 'x', finally = true },
            { id = 'f3', run = 'x', finally = true, needs = [] },
        ]";
    let needs: Vec<_> = parse(text).steps.iter().map(|step| step.needs.clone()).collect();
    assert_eq!(needs, [vec![], vec![], vec![0], vec![], vec![3, 0], vec![1], vec![]]);
}

#[test]
fn a_path_ends_up_absolute_and_clean() {
    #[track_caller]
    fn check(top: &str, step: &str, expected: &str) {
        let text = format!("working_dir = {top:?}\n[[step]]\nid = 'a'\nrun = 'x'\nworking_dir = {step:?}\n");
        assert_eq!(parse(&text).steps[0].working_dir, Path::new(expected));
    }
    check(".", ".", "/jobs");
    check("a/./b", "../c", "/jobs/a/c");
    check("/srv", "x//y", "/srv/x/y");
    check("~", "x", "/home/ada/x");
    check("~/a", "/b/", "/b");
    check("../../../..", "x", "/x");
    let step_default = "[step_defaults]\nworking_dir = 'd'\n[[step]]\nid = 'a'\nrun = 'x'\n";
    assert_eq!(parse(step_default).steps[0].working_dir, Path::new("/jobs/d"));
}

#[test]
fn a_delay_raises_the_longest_delay_where_that_is_not_given() {
    let text = "[[step]]\nid = 'a'\nrun = 'x'\nretries = { max = 1, delay = '10m' }\n";
    assert_eq!(parse(text).steps[0].retries.max_delay, Duration::from_secs(600));
}

#[test]
fn given_parameters_are_checked_before_a_run_starts() {
    let pipeline = parse(
        "[params.run_type]\ndefault = 'FULL_REFRESH'\nchoices = ['FULL_REFRESH', 'DELTA']\n\
         [params.day]\ntype = 'date'\n[params.n]\ntype = 'int'\ndefault = 3\n\
         [params.dir]\ntype = 'path'\ndefault = '~/x'\n[params.x]\ntype = 'float'\ndefault = 1e3\n\
         [params.b]\ntype = 'bool'\ndefault = true\n[params.token]\nsecret = { env = 'SHOP_TOKEN' }\n\
         [[step]]\nid = 'a'\nrun = 'x'\n",
    );
    let resolve = |pairs: &[(&str, &str)]| pipeline.resolve_params(&given(pairs), Some(Path::new(HOME)));
    assert_eq!(
        resolve(&[("day", "2026-11-23"), ("n", "007")]).unwrap(),
        given(&[
            ("b", "true"),
            ("day", "2026-11-23"),
            ("dir", "/home/ada/x"),
            ("n", "7"),
            ("run_type", "FULL_REFRESH"),
            ("x", "1000.0"),
        ])
    );
    let fails = |pairs: &[(&str, &str)], expected: &str| {
        assert_eq!(resolve(pairs).unwrap_err().to_string(), expected);
    };
    fails(&[], "the parameter \"day\" has no default and was not given; add --param day=…");
    fails(
        &[("day", "yesterday")],
        "the parameter \"day\" must be a date such as 2026-11-23, not \"yesterday\"",
    );
    fails(
        &[("day", "2026-02-30")],
        "the parameter \"day\" must be a date such as 2026-11-23, not \"2026-02-30\"",
    );
    fails(&[("dya", "x")], "the pipeline nightly has no parameter \"dya\"; did you mean \"day\"?");
    fails(
        &[("something", "x")],
        "the pipeline nightly has no parameter \"something\"; it has b, day, dir, n, run_type, token, x",
    );
    fails(
        &[("day", "2026-01-01"), ("run_type", "DLETA")],
        "the parameter \"run_type\" must be \"FULL_REFRESH\" or \"DELTA\", not \"DLETA\"; did you mean \"DELTA\"?",
    );
    fails(
        &[("day", "2026-01-01"), ("token", "hunter2")],
        "the parameter \"token\" is a secret and cannot be given; set it where it comes from: \
         the environment variable SHOP_TOKEN",
    );
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_run_type_and_the_parameter_of_that_name_never_disagree() {
    let pipeline = parse(
        "[params.run_type]\ndefault = 'FULL_REFRESH'\nchoices = ['FULL_REFRESH', 'DELTA']\n\
         [[step]]\nid = 'a'\nrun = 'x'\n",
    );
    let resolve = |pairs: &[(&str, &str)], run_type: Option<&str>| {
        let resolved = pipeline.resolve_arguments(&given(pairs), run_type, None, None);
        resolved.map(|resolved| {
            assert_eq!(resolved.params["run_type"], resolved.run_type);
            assert_eq!(resolved.environment, "dev");
            resolved.run_type
        })
    };
    assert_eq!(resolve(&[], None).unwrap(), "FULL_REFRESH");
    assert_eq!(resolve(&[], Some("DELTA")).unwrap(), "DELTA");
    assert_eq!(resolve(&[("run_type", "DELTA")], None).unwrap(), "DELTA");
    assert_eq!(resolve(&[("run_type", "DELTA")], Some("DELTA")).unwrap(), "DELTA");
    assert_eq!(
        resolve(&[("run_type", "DELTA")], Some("FULL_REFRESH")).unwrap_err().to_string(),
        "the parameter \"run_type\" was given as \"DELTA\", but the run's own run_type as \"FULL_REFRESH\"; \
         leave one out"
    );
    assert!(resolve(&[], Some("NONE_SUCH")).is_err());
    let bare = parse("[[step]]\nid = 'a'\nrun = 'x'\n");
    let free = bare.resolve_arguments(&given(&[]), Some("ANY"), Some("prod"), None).unwrap();
    assert_eq!((free.run_type.as_str(), free.environment.as_str()), ("ANY", "prod"));
    assert!(free.params.is_empty());
}

#[test]
fn a_parameter_has_one_variable() {
    assert_eq!(param_env_name("run_type"), "LEVERFRAME_PARAM_RUN_TYPE");
    assert_eq!(param_env_name("a-b.C"), "LEVERFRAME_PARAM_A_B_C");
}

#[test]
fn differences_are_sentences() {
    let old = parse_at(FULL, "/jobs/alfabeta.toml").unwrap();
    assert_eq!(differences(&old, &old), Vec::<String>::new());
    let text = FULL
        .replace("timeout = \"30m\"", "timeout = \"1h\"")
        .replace("python3 fetch.py", "python3 fetch2.py")
        .replace("id = \"unlock\"", "id = \"open\"")
        .replace("max_parallel = 2", "")
        .replace("LANG = \"C.UTF-8\"", "LC_ALL = \"C\"");
    let new = parse_at(&text, "/jobs/alfabeta.toml").unwrap();
    assert_eq!(
        differences(&old, &new),
        [
            "the pipeline: env LANG is gone, which was \"C.UTF-8\"",
            "the pipeline: max_parallel is gone, which was 2",
            "the pipeline: env LC_ALL is new: \"C\"",
            "step fetch: run is \"python3 fetch2.py\" under [\"sh\", \"-c\"] instead of \"python3 fetch.py\" under [\"sh\", \"-c\"]",
            "step fetch: timeout is 1h instead of 30m",
            "step unlock is gone",
            "step open is new",
        ]
    );
}

#[test]
fn the_schema_and_the_table_hold_every_key() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["step"]));
    let step = &schema["properties"]["step"]["items"];
    assert_eq!(step["properties"]["grace"]["default"], "10s");
    assert_eq!(step["properties"]["weight"]["default"], 1);
    assert_eq!(step["properties"]["when"]["enum"][1], "on_failure");
    assert_eq!(step["additionalProperties"], false);
    assert!(step["properties"].get("foreach").is_none());
    let table = key_table();
    for place in keys::FORMAT.places {
        for key in place.keys().filter(|key| !key.is_later()) {
            assert!(table.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
    let is_row = |line: &str| line.matches(" | ").count() == 4 || line.starts_with("|---");
    assert!(table.lines().all(is_row), "{table}");
}

#[test]
fn a_chain_of_5000_steps_is_cheap() {
    let steps: String = (0..5_000).map(|i| format!("[[step]]\nid = \"s{i}\"\nrun = \"true\"\n")).collect();
    let pipeline = parse(&steps);
    assert_eq!(pipeline.below([0]).count_ones(..), 4_999);
    assert_eq!(pipeline.levels()[4_999], 4_999);
}

#[test]
fn a_finally_step_is_below_everything_else() {
    let pipeline = parse(
        "step = [\n{ id = 'a', run = 'x' },\n{ id = 'f', run = 'x', finally = true },\n\
         { id = 'b', run = 'x', needs = [] },\n{ id = 'g', run = 'x', finally = true },\n\
         { id = 'c', run = 'x', needs = ['a', 'b'] } ]",
    );
    let below = |steps: &[usize]| pipeline.below(steps.iter().copied()).ones().collect::<Vec<_>>();
    assert_eq!((below(&[0]), below(&[2]), below(&[4])), (vec![1, 3, 4], vec![1, 3, 4], vec![1, 3]));
    assert_eq!((below(&[1]), below(&[3]), below(&[])), (vec![3], vec![], vec![]));
    assert_eq!(pipeline.children(0), [4]);
    assert_eq!(pipeline.order(), [0, 2, 4, 1, 3]);
    assert_eq!(pipeline.levels(), [0, 2, 0, 3, 1]);
    assert_eq!(pipeline.step_index("g"), Some(3));
    assert_eq!(pipeline.step_index("h"), None);
}

#[test]
fn a_shell_that_goes_on_after_a_failure_is_pointed_at() {
    let advice = |head: &str, run: &str| {
        let text = format!("{head}\n[[step]]\nid = \"a\"\nrun = '''\n{run}'''\n");
        Pipeline::parse(&text, Path::new("/p/p.toml"), None).expect("it is valid").advice()
    };
    let two = "false\necho on\n";
    assert!(advice("", two)[0].starts_with("step a: its `run` has 2 lines"), "{:?}", advice("", two));
    for head in ["shell = [\"/bin/bash\", \"-c\"]", "shell = [\"bash\", \"-u\", \"-c\"]"] {
        assert_eq!(advice(head, two).len(), 1, "{head}");
    }
    for head in [
        "shell = [\"sh\", \"-ec\"]",
        "shell = [\"bash\", \"-euo\", \"pipefail\", \"-c\"]",
        "shell = [\"bash\", \"-o\", \"errexit\", \"-c\"]",
        "shell = [\"python3\", \"-c\"]",
    ] {
        assert_eq!(advice(head, two), [""; 0], "{head}");
    }
    for run in [
        "echo one\n",
        "# a comment\n\necho one\n",
        "make a &&\n  make b\n",
        "rsync -a \\\n  x y\n",
        "set -eu\nfalse\necho on\n",
        "cat <<'END' > x\none\ntwo\nEND\n",
    ] {
        assert_eq!(advice("", run), [""; 0], "{run}");
    }
}
