//! The overlap policies one by one. `tests/test_schedule_rules.rs` has the table with the misfire policies.

use chrono::DateTime;

use super::*;

fn admitted(overlap: Overlap, n_active: usize, n_waiting: usize) -> Admission {
    let start = Start { due_at: DateTime::UNIX_EPOCH, on_time: OnTime::OnTime };
    admit(overlap, Misfire::RunOnce, &start, n_active, n_waiting)
}

#[test]
fn where_nothing_runs_everything_starts() {
    for overlap in Overlap::ALL {
        assert_eq!(admitted(*overlap, 0, 0), Admission::Start, "{overlap}");
    }
}

#[test]
fn where_a_run_is_still_there_the_policy_decides() {
    assert!(matches!(admitted(Overlap::Skip, 1, 0), Admission::Skip { .. }));
    assert_eq!(admitted(Overlap::Queue, 1, 0), Admission::Wait);
    assert_eq!(admitted(Overlap::Allow, 3, 0), Admission::Start);
    assert_eq!(admitted(Overlap::CancelPrevious, 1, 0), Admission::CancelPrevious);
}

#[test]
fn one_waits_and_no_more() {
    assert!(matches!(admitted(Overlap::Queue, 1, 1), Admission::Skip { .. }));
    assert_eq!(admitted(Overlap::CancelPrevious, 1, 1), Admission::CancelPrevious);
    // A waiting start goes first, also when nothing runs at the moment.
    assert!(matches!(admitted(Overlap::Queue, 0, 1), Admission::Skip { .. }));
}
