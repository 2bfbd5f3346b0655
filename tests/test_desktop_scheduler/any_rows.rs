//! Rows that no program would write, in any of the tables that scripts know: whatever stands there, a job that is well
//! fires at each of its instants.

use chrono::TimeDelta;
use leverframe::run::RunState;
use leverframe::store::JobStore;

use super::desk::{every, id, instant};
use super::set_aside::{on_disk, write};

/// A source of rows that no program would write.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const VALUES: &[&str] = &[
    "NULL",
    "''",
    "0",
    "1",
    "-1",
    "1.5",
    "-9223372036854775808",
    "9223372036854775807",
    "1e300",
    "-1e300",
    "x'00ff80'",
    "'nonsense'",
    "'2026-11-23T02:00:00Z'",
    "'2026-11-23T03:00:00.000Z'",
    "'-262143-01-01T00:00:00Z'",
    "'0000-01-01T00:00:00Z'",
    "'0001-01-01T00:00:00Z'",
    "'9999-12-31T23:59:59.999Z'",
    "'+262142-12-31T00:00:00Z'",
    "'99999-01-01T00:00:00Z'",
    "'local'",
    "'Europe/Madrid'",
    "'{'",
    "'[]'",
    "'{}'",
    "'{\"seconds\":1}'",
    "'{\"hours\":1e300}'",
    "'{\"at\":\"-262143-01-01T00:00:00Z\"}'",
    "'{\"at\":\"2026-11-23T03:00:00Z\"}'",
    "'{\"jobs\":[\"healthy\"],\"on\":\"finished\"}'",
    "'{\"jobs\":[\"job1\",\"job2\"],\"on\":\"finished\"}'",
    "'{\"hour\":2,\"minute\":30}'",
    "'{\"expression\":\"* * * * * *\"}'",
    "'{\"expression\":\"0 0 31 2 *\"}'",
    "'interval'",
    "'once'",
    "'daily'",
    "'cron'",
    "'after'",
    "'manual'",
    "'claimed'",
    "'queued'",
    "'ran'",
    "'skipped'",
    "'disabled'",
    "'coalesced'",
    "'backfill'",
    "'run_all'",
    "'skip'",
    "'queue'",
    "'cancel_previous'",
    "'allow'",
    "'healthy'",
    "'job1'",
    "'job2'",
    "'shop'",
    "'failed'",
    "'running'",
    "'a b/c'",
    "'well-20261123030000'",
    "1795399200000",
    "1795402800000",
    "253402300799000",
];

const COLUMNS: [(&str, &[&str]); 3] = [
    (
        "scheduled_jobs",
        &[
            "job_id",
            "pipeline_id",
            "source",
            "schedule_type",
            "schedule_config",
            "next_run",
            "enabled",
            "last_run",
            "run_count",
            "created_at",
            "next_run_ms",
            "zone",
            "misfire",
            "catchup_limit",
            "misfire_grace_ms",
            "misfire_max_age_ms",
            "overlap",
            "priority",
            "params",
            "run_type",
            "environment",
            "file",
            "file_table",
            "file_mark",
            "first_by_hand",
            "problem",
            "reckoned_zone",
        ],
    ),
    (
        "fires",
        &[
            "job_id",
            "due_at",
            "through_at",
            "n_instants",
            "outcome",
            "reason",
            "run_id",
            "due_ms",
            "through_ms",
            "previous_ms",
            "kind",
        ],
    ),
    ("job_history", &["job_id", "run_id", "started_at", "finished_at", "status", "error", "started_ms"]),
];

/// One statement of a script: a row that is mostly right and partly anything, or a change of rows that are there.
fn statement(dice: &mut Dice) -> String {
    let (table, columns) = COLUMNS[dice.roll(3)];
    if dice.roll(3) == 0 {
        let column = dice.pick(columns);
        let value = dice.pick(VALUES);
        // The row by which all others are judged stays as it is.
        return format!(
            "UPDATE OR IGNORE {table} SET {column} = {value} WHERE job_id <> 'healthy' OR job_id IS NULL;"
        );
    }
    let right = |column: &str, dice: &mut Dice| -> String {
        match column {
            "job_id" => format!("'job{}'", dice.roll(6)),
            "pipeline_id" | "source" => "'shop'".to_owned(),
            "schedule_type" => {
                dice.pick(&["'interval'", "'daily'", "'cron'", "'after'", "'once'"]).to_owned()
            }
            "outcome" => dice.pick(&["'claimed'", "'queued'", "'coalesced'", "'disabled'"]).to_owned(),
            "due_at" | "through_at" | "started_at" | "created_at" => "'2026-11-23T01:00:00Z'".to_owned(),
            "run_id" => format!("'shop-2026112303000{}'", dice.roll(10)),
            _ => dice.pick(VALUES).to_owned(),
        }
    };
    let n = columns.len();
    let chosen: Vec<&str> = columns.iter().copied().filter(|_| dice.roll(n) > n / 4).collect();
    let values: Vec<String> = chosen
        .iter()
        .map(|column| if dice.roll(3) > 0 { right(column, dice) } else { dice.pick(VALUES).to_owned() })
        .collect();
    if chosen.is_empty() {
        return String::new();
    }
    format!("INSERT OR IGNORE INTO {table} ({}) VALUES ({});", chosen.join(", "), values.join(", "))
}

#[test]
fn whatever_a_script_writes_into_the_tables_a_healthy_job_fires_each_minute() {
    let rounds: u64 =
        std::env::var("LEVERFRAME_CAMPAIGN_ROWS").ok().map_or(12, |text| text.parse().expect("a number"));
    for round in 0..rounds {
        let mut dice = Dice(round);
        let (_dir, path, mut desk) = on_disk();
        let mut healthy = every("healthy", 60);
        healthy.source = Some("well".to_owned());
        desk.add(healthy);
        let mut fired = Vec::new();
        let mut script = String::new();
        for minute in 1..=10 {
            script = (0..6).map(|_| statement(&mut dice)).collect();
            write(&path, &script);
            if minute % 3 == 0 {
                desk.start_again();
            }
            desk.pass(TimeDelta::minutes(1));
            let started = desk.started().into_iter().filter(|start| start.job_id == id("healthy"));
            fired.extend(started.map(|start| start.fired_by.due_at.expect("due")));
            desk.end_all(RunState::Completed);
            let again = desk.started().into_iter().filter(|start| start.job_id == id("healthy"));
            fired.extend(again.map(|start| start.fired_by.due_at.expect("due")));
            desk.core.list_jobs().expect("they are listed");
        }
        let expected: Vec<_> =
            (1..=10).map(|n| instant("2026-11-23T02:00:00Z") + TimeDelta::minutes(n)).collect();
        let fired: Vec<_> = fired.iter().map(|at| instant(at)).collect();
        let missing: Vec<_> = expected.iter().filter(|at| !fired.contains(at)).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?} did not fire; {fired:?}\n{script}");
        // Also for whoever reads it anew.
        let jobs = JobStore::open(&path).expect("it opens");
        jobs.prune(i64::MAX).expect("it is pruned");
    }
}
