//! A database file of ours, whatever its tables mean: how it is opened and brought forward, how transactions share a
//! commit, how its log is kept short, how columns are read and written.

pub(super) mod columns;
pub(super) mod commit;
pub(super) mod database;
pub(super) mod migrate;
pub(super) mod open;
pub(super) mod put;
pub(super) mod wal;
