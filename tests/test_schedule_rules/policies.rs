//! The four overlap policies against the three misfire policies, in one table.

use chrono::{DateTime, TimeDelta, Utc};
use leverframe::ScheduleConfig;
use leverframe::schedule::{Admission, Misfire, MisfirePolicy, Overlap, Situation, admit, plan};

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// What becomes of a job that is due each hour, was last accounted for at 0:00, and is looked at when 1:00, 2:00 and
/// 3:00 have come, 3:00 a moment ago, while `n_active` of its runs have not ended and go on.
fn fates(misfire: Misfire, overlap: Overlap, n_active: usize) -> String {
    let config = ScheduleConfig::Interval { every: TimeDelta::hours(1), anchor: Some(at(0)) };
    let misfire =
        MisfirePolicy { policy: misfire, grace: TimeDelta::minutes(90), ..MisfirePolicy::default() };
    let plan = plan(&Situation {
        timetable: &config.timetable(leverframe::Tz::UTC, at(0)),
        accounted_until: at(0),
        now: at(180) + TimeDelta::milliseconds(1),
        recorded: &[],
        watched_from: at(180) + TimeDelta::milliseconds(1),
        misfire: &misfire,
        disabled: &[],
    });
    let (mut n_active, mut n_waiting) = (n_active, 0);
    let mut starts = plan.starts.iter();
    let mut fates = Vec::new();
    for fire in &plan.fires {
        let fate = match starts.as_slice().first().filter(|start| start.due_at == fire.due_at) {
            None => fire.outcome.as_str(),
            Some(start) => {
                starts.next();
                match admit(overlap, misfire.policy, start, n_active, n_waiting) {
                    Admission::Start => {
                        n_active += 1;
                        "start"
                    }
                    Admission::Wait => {
                        n_waiting += 1;
                        "wait"
                    }
                    Admission::CancelPrevious => {
                        n_waiting = 1;
                        "cancel"
                    }
                    Admission::Skip { .. } => "skip",
                }
            }
        };
        fates.extend(std::iter::repeat_n(fate, fire.n_instants as usize));
    }
    fates.join(" ")
}

#[test]
fn the_table_of_misfire_and_overlap() {
    // Misfire, overlap; what becomes of 1:00, 2:00 and 3:00 where no run is there; and where one is.
    use Misfire as M;
    use Overlap as O;
    let table = [
        (M::RunOnce, O::Skip, "coalesced coalesced start", "coalesced coalesced skip"),
        (M::RunOnce, O::Queue, "coalesced coalesced start", "coalesced coalesced wait"),
        (M::RunOnce, O::Allow, "coalesced coalesced start", "coalesced coalesced start"),
        (M::RunOnce, O::CancelPrevious, "coalesced coalesced start", "coalesced coalesced cancel"),
        // All that catches up is wanted: where two may not run at once, each waits for its turn.
        (M::RunAll, O::Skip, "start wait wait", "wait wait wait"),
        (M::RunAll, O::Queue, "start wait wait", "wait wait wait"),
        (M::RunAll, O::Allow, "start start start", "start start start"),
        (M::RunAll, O::CancelPrevious, "start cancel cancel", "cancel cancel cancel"),
        (M::Skip, O::Skip, "skipped coalesced start", "skipped coalesced skip"),
        (M::Skip, O::Queue, "skipped coalesced start", "skipped coalesced wait"),
        (M::Skip, O::Allow, "skipped coalesced start", "skipped coalesced start"),
        (M::Skip, O::CancelPrevious, "skipped coalesced start", "skipped coalesced cancel"),
    ];
    assert_eq!(table.len(), Misfire::ALL.len() * Overlap::ALL.len());
    for (misfire, overlap, free, busy) in table {
        assert_eq!(fates(misfire, overlap, 0), free, "{misfire}, {overlap}, no run");
        assert_eq!(fates(misfire, overlap, 1), busy, "{misfire}, {overlap}, one run");
    }
}
