//! Instants of the ledger, which are whole milliseconds.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The millisecond before.
pub(super) fn just_before(at: DateTime<Utc>) -> DateTime<Utc> {
    at.checked_sub_signed(TimeDelta::milliseconds(1)).unwrap_or(at)
}

/// The millisecond after.
pub(super) fn just_after(at: DateTime<Utc>) -> DateTime<Utc> {
    at.checked_add_signed(TimeDelta::milliseconds(1)).unwrap_or(at)
}

/// The first whole millisecond that is not before `at`, so that nothing is early.
pub(super) fn ceil_ms(at: DateTime<Utc>) -> DateTime<Utc> {
    let floor = at.trunc_subsecs(3);
    if floor < at { floor + TimeDelta::milliseconds(1) } else { floor }
}
