//! What is due and what happens to it: every instant after the last one that is accounted for, up to now, gets exactly
//! one row of the ledger.

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::{MAX_CATCHUP, Misfire, MisfirePolicy, Outcome};
use super::timetable::Timetable;
use crate::base::time::format_instant;

/// A start that is later than this, or is one of several, catches up.
const ON_TIME: TimeDelta = TimeDelta::seconds(10);

/// The input of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// When the job is due.
    pub timetable: &'a Timetable,
    /// Every due instant up to and including this one is in the ledger already.
    pub accounted_until: DateTime<Utc>,
    /// Later stretches that are in the ledger already, both ends included; in order.
    pub recorded: &'a [(DateTime<Utc>, DateTime<Utc>)],
    pub now: DateTime<Utc>,
    /// Since when the scheduler has watched the clock without a break. An instant after this was not missed, even if
    /// the scheduler handles it late.
    pub watched_from: DateTime<Utc>,
    /// What happens to missed instants.
    pub misfire: &'a MisfirePolicy,
    /// When the job was disabled: from the first instant until just before the second; in order, without overlap.
    pub disabled: &'a [(DateTime<Utc>, DateTime<Utc>)],
}

/// What is due and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rows for the ledger, in order of time.
    pub fires: Vec<Fire>,
    /// The runs to start, the oldest first. Each has a row of its own with the outcome `claimed`.
    pub starts: Vec<Start>,
    /// When the job is due next; none when it never is again.
    pub next_at: Option<DateTime<Utc>>,
}

/// A row of the ledger: consecutive due instants with the same outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// The first instant.
    pub due_at: DateTime<Utc>,
    /// The last instant.
    pub through_at: DateTime<Utc>,
    /// How many there are; at least one.
    pub n_instants: u64,
    /// What happened to them.
    pub outcome: Outcome,
    /// Why, in words; none when they run.
    pub reason: Option<String>,
}

/// One run to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The due instant that it is for.
    pub due_at: DateTime<Utc>,
    /// Whether it catches up. Such starts keep a distance from each other.
    pub on_time: OnTime,
}

/// Whether a start comes when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTime {
    /// It is the only start, and at most ten seconds late, or later only because the scheduler was busy.
    OnTime,
    /// It is later, or one of several.
    CatchUp,
}

/// Decides about every instant after `accounted_until` and up to `now`. If the clock was set back, nothing is due until
/// it has passed `accounted_until` again. The time grows with the number of rows, not of instants.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { timetable, accounted_until, now, misfire, .. } = *situation;
    let stretches = stretches(situation);
    let due = |stretch: &&Stretch| matches!(stretch.disposition, Disposition::Due);
    let n_due: u64 = stretches.iter().filter(due).map(|stretch| stretch.n_instants(timetable)).sum();
    // The limit comes from a database row, which may hold any number.
    let catchup_limit = misfire.catchup_limit.min(MAX_CATCHUP);
    let n_starts = match misfire.policy {
        Misfire::RunOnce | Misfire::Skip => n_due.min(1),
        Misfire::RunAll => n_due.min(catchup_limit.into()),
    };
    let mut ledger = Ledger { timetable, fires: Vec::new(), starts: Vec::new(), is_cut: false };
    let (mut n_left, mut coalesced) = (n_due, Vec::new());
    for stretch in &stretches {
        match stretch.disposition {
            Disposition::Due => {
                let n_here = stretch.n_instants(timetable);
                // The newest instants run: as many of this stretch as later stretches leave.
                let n_later = n_left - n_here;
                let starts = timetable.newest(
                    stretch.after,
                    stretch.through,
                    n_starts.saturating_sub(n_later).min(n_here),
                );
                let before =
                    starts.first().map_or(stretch.through, |first| *first - TimeDelta::milliseconds(1));
                match misfire.policy {
                    Misfire::RunOnce | Misfire::Skip => {
                        let place = ledger.fires.len();
                        ledger.add(stretch.after, before, Outcome::Coalesced, "");
                        coalesced.extend(place..ledger.fires.len());
                    }
                    Misfire::RunAll => {
                        let reason = format!("missed; the newest {catchup_limit} are caught up");
                        ledger.add(stretch.after, before, Outcome::Expired, &reason);
                    }
                }
                for due_at in starts {
                    ledger.start(due_at, situation);
                }
                n_left = n_later;
            }
            // The next row does not follow the one before directly.
            Disposition::Recorded => ledger.is_cut = true,
            Disposition::Disabled => {
                ledger.add(stretch.after, stretch.through, Outcome::Disabled, "the job was disabled");
            }
            Disposition::TooOld(age) => {
                let reason = format!("older than {} (misfire_max_age)", in_words(age));
                ledger.add(stretch.after, stretch.through, Outcome::Expired, &reason);
            }
            Disposition::TooLate(grace) => {
                let reason = format!("missed by more than {} (misfire = skip)", in_words(grace));
                ledger.add(stretch.after, stretch.through, Outcome::Skipped, &reason);
            }
        }
    }
    if let Some(start) = ledger.starts.last() {
        let reason = format!("missed; the fire due at {} runs in its place", format_instant(start.due_at));
        for place in coalesced {
            ledger.fires[place].reason = Some(reason.clone());
        }
    }
    let next_at = timetable.next_after(accounted_until.max(now));
    Plan { fires: ledger.fires, starts: ledger.starts, next_at }
}

/// A stretch of time whose instants all get the same disposition: after `after`, up to `through`.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    after: DateTime<Utc>,
    through: DateTime<Utc>,
    disposition: Disposition,
}

#[derive(Debug, Clone, Copy)]
enum Disposition {
    Due,
    Recorded,
    Disabled,
    TooOld(TimeDelta),
    TooLate(TimeDelta),
}

impl Stretch {
    fn n_instants(&self, timetable: &Timetable) -> u64 {
        timetable.count(self.after, self.through)
    }
}

/// The time from `accounted_until` to now, cut where the disposition of instants changes.
fn stretches(situation: &Situation<'_>) -> Vec<Stretch> {
    let Situation { accounted_until, now, disabled, .. } = *situation;
    let mut found = Vec::new();
    let mut after = accounted_until;
    for (from, until) in disabled {
        let [from, until] = [*from, *until].map(|at| just_before(at).clamp(after, now.max(after)));
        let until = until.max(from);
        cut_by_age(&mut found, after, from, situation);
        found.push(Stretch { after: from, through: until, disposition: Disposition::Disabled });
        after = until;
    }
    cut_by_age(&mut found, after, now, situation);
    found.retain(|stretch| stretch.after < stretch.through);
    found.into_iter().flat_map(|stretch| without(stretch, situation.recorded)).collect()
}

/// A stretch, cut where instants are in the ledger already.
fn without(mut stretch: Stretch, recorded: &[(DateTime<Utc>, DateTime<Utc>)]) -> Vec<Stretch> {
    let mut found = Vec::new();
    for (from, until) in recorded {
        let (from, until) = (just_before(*from).max(stretch.after), (*until).min(stretch.through));
        if from >= until {
            continue;
        }
        found.push(Stretch { through: from, ..stretch });
        found.push(Stretch { after: from, through: until, disposition: Disposition::Recorded });
        stretch.after = until;
    }
    found.push(stretch);
    found.retain(|stretch| stretch.after < stretch.through);
    found
}

/// The millisecond before. Instants are whole milliseconds, so "from `at` on" is the same as "after `just_before(at)`".
fn just_before(at: DateTime<Utc>) -> DateTime<Utc> {
    at.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(at)
}

fn cut_by_age(
    found: &mut Vec<Stretch>,
    after: DateTime<Utc>,
    through: DateTime<Utc>,
    situation: &Situation<'_>,
) {
    let Situation { now, watched_from, misfire, .. } = *situation;
    let within = |at: DateTime<Utc>| just_before(at).clamp(after, through.max(after));
    // The newest instant that is more than `age` old.
    let older_than = |age: TimeDelta| now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let too_old = misfire.max_age.map_or(after, |age| within(older_than(age)));
    let too_late = match misfire.policy {
        Misfire::Skip => within(older_than(misfire.grace).min(watched_from)).max(too_old),
        Misfire::RunOnce | Misfire::RunAll => too_old,
    };
    let age = misfire.max_age.unwrap_or_default();
    found.push(Stretch { after, through: too_old, disposition: Disposition::TooOld(age) });
    found.push(Stretch {
        after: too_old,
        through: too_late,
        disposition: Disposition::TooLate(misfire.grace),
    });
    found.push(Stretch { after: too_late, through, disposition: Disposition::Due });
}

struct Ledger<'a> {
    timetable: &'a Timetable,
    fires: Vec<Fire>,
    starts: Vec<Start>,
    /// The next row must be a new one: recorded instants lie between.
    is_cut: bool,
}

impl Ledger<'_> {
    /// Adds the instants of a stretch that do not run, if there are any. They join the last row if outcome and reason
    /// are the same.
    fn add(&mut self, after: DateTime<Utc>, through: DateTime<Utc>, outcome: Outcome, reason: &str) {
        let n_instants = self.timetable.count(after, through);
        let (Some(due_at), Some(through_at)) =
            (self.timetable.next_after(after), self.timetable.last(after, through))
        else {
            return;
        };
        let reason = Some(reason.to_owned());
        let joins = !std::mem::take(&mut self.is_cut);
        let last = self.fires.last_mut().filter(|_| joins);
        match last.filter(|last| last.outcome == outcome && last.reason == reason) {
            Some(last) => {
                last.through_at = through_at;
                last.n_instants += n_instants;
            }
            None => self.fires.push(Fire { due_at, through_at, n_instants, outcome, reason }),
        }
    }

    fn start(&mut self, due_at: DateTime<Utc>, situation: &Situation<'_>) {
        self.starts.push(Start { due_at, on_time: OnTime::OnTime });
        let was_missed = due_at < situation.watched_from && situation.now - due_at > ON_TIME;
        if self.starts.len() > 1 || was_missed {
            self.starts.iter_mut().for_each(|start| start.on_time = OnTime::CatchUp);
        }
        self.fires.push(Fire {
            due_at,
            through_at: due_at,
            n_instants: 1,
            outcome: Outcome::Claimed,
            reason: None,
        });
    }
}

fn in_words(age: TimeDelta) -> String {
    crate::base::units::format_duration(age.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests;
