//! What happened while the operator was away: runs that were interrupted, failed or were taken back, fires that did not
//! run, limits that were raised, and runs that ended. It is read from the databases, and what was handled is kept in
//! `away.toml` of the data directory: both are true after a crash.
//!
//! An entry stays until it is handled. Ended runs that need nothing are only told of once: they are over as soon as the
//! operator has been there ([`AwayMark::Seen`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::backend::Backend;
use crate::base::id::{JobId, RunId};
use crate::engine::EngineError;
use crate::files::read_small_text;
use crate::run::{Decision, RunState, RunSummary};
use crate::schedule::Outcome;
use crate::scheduler::{DesktopScheduler, FireView};
use crate::store::{LimitChangeRow, SampleHistory};

const FILE: &str = "away.toml";
/// How far the first look reaches back, when nothing says when the operator was there last.
const FIRST_LOOK: TimeDelta = TimeDelta::hours(24);
/// Starts that are looked through for runs that ended.
const MAX_STARTS: usize = 5000;
/// Entries of each source, and ended runs, that are listed.
const MAX_ROWS: usize = 100;
/// Sentences of recovery that are kept of one run.
const MAX_DECIDED: usize = 4;
/// Marks of single entries that are kept: the newest.
const MAX_HANDLED: usize = 1000;

/// The kind of an entry. The order is that of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AwayKind {
    /// A run that was interrupted and does not go on by itself.
    Interrupted,
    /// A run that failed.
    Failed,
    /// A due instant that did not run.
    Fire,
    /// A limit that was raised.
    Alert,
    /// A run that goes on, or has ended well, after recovery took it back.
    TakenBack,
}

impl AwayKind {
    /// All, in the order of the page.
    pub const ALL: [Self; 5] = [Self::Interrupted, Self::Failed, Self::Fire, Self::Alert, Self::TakenBack];
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum AwayWhat {
    /// Something happened to a run.
    Run {
        run: Box<RunSummary>,
        /// What recovery decided about it meanwhile, oldest first; at most `MAX_DECIDED` sentences.
        decided: Vec<String>,
    },
    /// An instant of a job, or consecutive ones, did not run.
    Fire {
        /// The job's name.
        job: String,
        /// Its id; none when a script wrote a name that is no id.
        job_id: Option<JobId>,
        /// How many instants.
        n_instants: u64,
        /// Why, as a word.
        outcome: Outcome,
        /// Why, in a sentence.
        reason: Option<String>,
    },
    /// A limit of the machine was raised.
    Alert {
        text: String,
        /// When it was cleared; none if it was not.
        cleared_at: Option<DateTime<Utc>>,
    },
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct AwayItem {
    /// Its name in `away.toml`: the same as long as nothing new happened to it.
    pub key: String,
    pub at: DateTime<Utc>,
    pub what: AwayWhat,
}

impl AwayItem {
    /// Its kind.
    pub fn kind(&self) -> AwayKind {
        match &self.what {
            AwayWhat::Fire { .. } => AwayKind::Fire,
            AwayWhat::Alert { .. } => AwayKind::Alert,
            AwayWhat::Run { run, .. } => match run.state {
                RunState::Interrupted => AwayKind::Interrupted,
                RunState::Failed => AwayKind::Failed,
                RunState::Queued
                | RunState::Running
                | RunState::Paused
                | RunState::Stopping
                | RunState::Stopped
                | RunState::ForceStopped
                | RunState::Completed => AwayKind::TakenBack,
            },
        }
    }
}

/// What happened in a span.
#[derive(Debug, Clone, PartialEq)]
pub struct AwayPage {
    /// When everything was handled last.
    pub since: DateTime<Utc>,
    /// When the operator came back: what happened later is not in it.
    pub until: DateTime<Utc>,
    /// What was not handled yet: by kind, and the newest of a kind first.
    pub items: Vec<AwayItem>,
    /// How many other runs ended, at most as many as are looked through.
    pub n_ended: usize,
    /// The newest of them.
    pub ended: Vec<RunSummary>,
}

/// A mark of what was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwayMark {
    /// These entries, by their keys.
    Handled(Vec<String>),
    /// Everything before this instant.
    All(DateTime<Utc>),
    /// The operator has been there: ended runs before this instant were seen.
    Seen(DateTime<Utc>),
}

/// The marks that are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AwayMarks {
    /// Everything before this instant was handled.
    handled_until: Option<DateTime<Utc>>,
    /// Ended runs before this instant were seen.
    seen_until: Option<DateTime<Utc>>,
    /// Entries since then that were handled.
    handled: BTreeSet<String>,
}

impl AwayMarks {
    /// The marks of a data directory; none if there are none that can be read.
    pub(crate) fn load(data_dir: &Path) -> Self {
        let text = read_small_text(&data_dir.join(FILE)).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
    }

    /// Saves them. The file is whole at any time, and on disk when this returns.
    fn save(&self, data_dir: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let draft = data_dir.join(".away.toml.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, data_dir.join(FILE))
    }

    /// Adds a mark and saves them.
    pub(crate) fn put(&mut self, mark: AwayMark, data_dir: &Path) -> io::Result<()> {
        match mark {
            AwayMark::Handled(keys) => {
                self.handled.extend(keys);
                while self.handled.len() > MAX_HANDLED {
                    let oldest = self.handled.iter().min_by_key(|key| happened_at(key)).cloned();
                    oldest.map(|key| self.handled.remove(&key));
                }
            }
            AwayMark::All(until) => {
                self.handled_until = self.handled_until.max(Some(until));
                self.handled.clear();
            }
            AwayMark::Seen(until) => self.seen_until = self.seen_until.max(Some(until)),
        }
        self.save(data_dir)
    }

    /// What happened up to `until` and was not handled. The first look is remembered as one.
    pub(crate) fn look(&mut self, backend: &Backend, until: DateTime<Utc>) -> Result<AwayPage, Error> {
        let data_dir = backend.data_dir().path();
        let since = match self.handled_until {
            Some(since) => since.min(until),
            None => {
                let since = until - FIRST_LOOK;
                self.handled_until = Some(since);
                self.save(data_dir)?;
                since
            }
        };
        let records = backend.records()?;
        let ended =
            records.store().runs_ended_within((since, until), MAX_STARTS).map_err(EngineError::from)?;
        let decisions = records.store().decisions_since(since, MAX_ROWS).map_err(EngineError::from)?;
        let mut of_runs = by_run(decisions);
        let (troubled, mut rest): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|run| matches!(run.state, RunState::Failed | RunState::Interrupted));
        let mut items: Vec<AwayItem> = troubled
            .into_iter()
            .take(MAX_ROWS)
            .map(|run| {
                let (_, decided) = of_runs.remove(&run.run_id).unwrap_or_default();
                run_item(run, None, decided)
            })
            .collect();
        for (run_id, (at, decided)) in of_runs {
            // A run that is gone by now has nothing to tell.
            if let Some(run) = records.store().load_summary(&run_id).map_err(EngineError::from)? {
                rest.retain(|other| other.run_id != run_id);
                items.push(run_item(run, Some(at), decided));
            }
        }
        let missed = DesktopScheduler::read_only(data_dir)
            .look(move |core| core.missed_fires((since, until), MAX_ROWS))?;
        items.extend(missed.into_iter().filter_map(fire_item));
        // Not worth an error: the samples may be gone at any time.
        let samples = SampleHistory::of(backend.data_dir().samples_db());
        items.extend(alert_items(samples.limit_changes(since, until, MAX_ROWS).unwrap_or_default()));
        Ok(self.page((since, until), items, rest))
    }

    /// The page of what was found, without what was handled.
    fn page(
        &self,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        mut items: Vec<AwayItem>,
        mut ended: Vec<RunSummary>,
    ) -> AwayPage {
        items.retain(|item| !self.handled.contains(&item.key));
        items.sort_by(|a, b| a.kind().cmp(&b.kind()).then(b.at.cmp(&a.at)).then(a.key.cmp(&b.key)));
        let seen = self.seen_until;
        ended.retain(|run| seen.is_none_or(|seen| run.finished_at.is_none_or(|at| at >= seen)));
        let n_ended = ended.len();
        ended.truncate(MAX_ROWS);
        AwayPage { since, until, items, n_ended, ended }
    }
}

/// The instant at the end of an entry's key, in milliseconds.
fn happened_at(key: &str) -> i64 {
    key.rsplit(' ').next().and_then(|ms| ms.parse().ok()).unwrap_or_default()
}

/// Decisions by their run: when the last was made, and the sentences.
fn by_run(newest_first: Vec<Decision>) -> BTreeMap<RunId, (DateTime<Utc>, Vec<String>)> {
    let mut of_runs = BTreeMap::<RunId, (DateTime<Utc>, Vec<String>)>::new();
    for Decision { at, run_id, step_id, text } in newest_first.into_iter().rev() {
        let (last, decided) = of_runs.entry(run_id).or_default();
        *last = at;
        if decided.len() < MAX_DECIDED {
            decided.push(match step_id {
                Some(step_id) if !text.contains(step_id.as_str()) => format!("{step_id}: {text}"),
                Some(_) | None => text,
            });
        }
    }
    of_runs
}

/// The entry of a run: for what recovery did at `taken_back_at`, else for its end.
fn run_item(run: RunSummary, taken_back_at: Option<DateTime<Utc>>, decided: Vec<String>) -> AwayItem {
    let at = taken_back_at.or(run.finished_at).unwrap_or(run.started_at);
    let key = format!("run {} {}", run.run_id, at.timestamp_millis());
    AwayItem { key, at, what: AwayWhat::Run { run: Box::new(run), decided } }
}

fn fire_item(fire: FireView) -> Option<AwayItem> {
    // A word that a script wrote is none of those that were asked for.
    let outcome = fire.outcome.parse().ok()?;
    let what = AwayWhat::Fire {
        job_id: JobId::new(&fire.job_id).ok(),
        n_instants: fire.n_instants,
        outcome,
        reason: fire.reason,
        job: fire.job_id.clone(),
    };
    let key = format!("fire {} {}", fire.job_id, fire.through_at.timestamp_millis());
    Some(AwayItem { key, at: fire.through_at, what })
}

/// The limits that were raised, from their changes, oldest first.
fn alert_items(changes: Vec<LimitChangeRow>) -> Vec<AwayItem> {
    let mut items: Vec<(String, String, AwayItem)> = Vec::new();
    for change in changes {
        let volume = change.volume.unwrap_or_default();
        if change.is_raised {
            let key = format!("limit {} {volume} {}", change.resource, change.at.timestamp_millis());
            let what = AwayWhat::Alert { text: change.text, cleared_at: None };
            items.push((change.resource, volume, AwayItem { key, at: change.at, what }));
        } else if let Some((_, _, item)) =
            items.iter_mut().rfind(|(resource, of, _)| *resource == change.resource && *of == volume)
            && let AwayWhat::Alert { cleared_at, .. } = &mut item.what
        {
            *cleared_at = Some(change.at);
        }
    }
    items.into_iter().map(|(_, _, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::PipelineId;
    use crate::base::time::parse_instant;
    use crate::run::Trigger;

    fn at(minute: u32) -> DateTime<Utc> {
        parse_instant(&format!("2026-11-23T14:{minute:02}:00Z")).unwrap()
    }

    fn run(name: &str, state: RunState, minute: u32) -> RunSummary {
        RunSummary {
            run_id: RunId::new(name).unwrap(),
            pipeline_id: PipelineId::new("books").unwrap(),
            source: "books".into(),
            run_type: "FULL_REFRESH".into(),
            environment: "dev".into(),
            trigger: Trigger::Manual,
            state,
            live: false,
            progress: 0.4,
            current_step: None,
            message: None,
            started_at: at(0),
            finished_at: Some(at(minute)),
            frozen_seconds: 0.0,
            frozen_since: None,
            worked_seconds: None,
            works_since: None,
            error: None,
            attempt: 1,
            waits_for: None,
        }
    }

    fn found() -> (Vec<AwayItem>, Vec<RunSummary>) {
        let items = vec![
            run_item(run("c", RunState::Running, 9), Some(at(8)), vec!["It was taken back".to_owned()]),
            run_item(run("b", RunState::Failed, 7), None, Vec::new()),
            run_item(run("a", RunState::Interrupted, 5), None, Vec::new()),
            run_item(run("d", RunState::Failed, 9), None, Vec::new()),
        ];
        (items, vec![run("f", RunState::Completed, 12), run("e", RunState::Completed, 4)])
    }

    fn shown(marks: &AwayMarks) -> (Vec<String>, Vec<String>) {
        let (items, ended) = found();
        let page = marks.page((at(0), at(30)), items, ended);
        assert_eq!(page.n_ended, page.ended.len());
        let names = page.items.iter().map(|item| item.key.clone());
        (names.collect(), page.ended.iter().map(|run| run.run_id.to_string()).collect())
    }

    #[test]
    fn what_is_worst_comes_first_and_of_that_the_newest() {
        let (items, _) = found();
        let keys = [2, 3, 1, 0].map(|n: usize| items[n].key.clone());
        assert_eq!(shown(&AwayMarks::default()), (keys.to_vec(), vec!["f".to_owned(), "e".to_owned()]));
    }

    #[test]
    fn what_was_handled_stays_so_after_a_crash_and_nothing_else_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut marks = AwayMarks::load(dir.path());
        let (items, _) = found();
        let keys = vec![items[0].key.clone(), items[2].key.clone()];
        marks.put(AwayMark::Handled(keys), dir.path()).unwrap();
        marks.put(AwayMark::Seen(at(10)), dir.path()).unwrap();
        let again = AwayMarks::load(dir.path());
        assert_eq!(again, marks);
        let left = vec![items[3].key.clone(), items[1].key.clone()];
        assert_eq!(shown(&again), (left, vec!["f".to_owned()]));
        marks.put(AwayMark::All(at(20)), dir.path()).unwrap();
        marks.put(AwayMark::All(at(15)), dir.path()).unwrap();
        assert_eq!(AwayMarks::load(dir.path()).handled_until, Some(at(20)), "it never goes back");
        fs::write(dir.path().join(FILE), "handled = 3").unwrap();
        assert_eq!(AwayMarks::load(dir.path()), AwayMarks::default());
    }

    #[test]
    fn the_marks_of_single_entries_are_bounded_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut marks = AwayMarks::default();
        let keys = (0..MAX_HANDLED + 10).map(|n| format!("run a-{} {n}", 5000 - n)).collect();
        marks.put(AwayMark::Handled(keys), dir.path()).unwrap();
        assert_eq!(marks.handled.len(), MAX_HANDLED);
        assert!(marks.handled.iter().all(|key| happened_at(key) >= 10));
    }

    #[test]
    fn decisions_of_one_run_are_one_entry_with_the_time_of_the_last() {
        let decision = |minute, run_id: &str, text: &str| Decision {
            at: at(minute),
            run_id: RunId::new(run_id).unwrap(),
            step_id: None,
            text: text.to_owned(),
        };
        let newest_first =
            vec![decision(3, "a", "third"), decision(2, "b", "second"), decision(1, "a", "first")];
        let of_runs = by_run(newest_first);
        assert_eq!(of_runs.len(), 2);
        let a = &of_runs[&RunId::new("a").unwrap()];
        assert_eq!(*a, (at(3), vec!["first".to_owned(), "third".to_owned()]));
    }

    #[test]
    fn a_limit_that_was_raised_says_when_it_was_cleared() {
        let change = |minute, resource: &str, volume: Option<&str>, is_raised| LimitChangeRow {
            at: at(minute),
            resource: resource.to_owned(),
            volume: volume.map(str::to_owned),
            is_raised,
            text: "short".to_owned(),
        };
        let items = alert_items(vec![
            change(1, "memory", None, false),
            change(2, "disk", Some("/a"), true),
            change(3, "disk", Some("/b"), true),
            change(4, "memory", None, true),
            change(5, "disk", Some("/a"), false),
        ]);
        let told: Vec<_> = items
            .iter()
            .map(|item| match &item.what {
                AwayWhat::Alert { cleared_at, .. } => (item.at, *cleared_at),
                AwayWhat::Run { .. } | AwayWhat::Fire { .. } => panic!("{item:?}"),
            })
            .collect();
        assert_eq!(told, [(at(2), Some(at(5))), (at(3), None), (at(4), None)]);
    }
}
