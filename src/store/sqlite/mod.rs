//! What all our databases share, whatever their tables mean: opening and migrating, shared commits, a short WAL,
//! reading and writing columns.

pub(super) mod columns;
pub(super) mod commit;
pub(super) mod database;
pub(super) mod migrate;
pub(super) mod open;
pub(super) mod put;
pub(super) mod wal;
