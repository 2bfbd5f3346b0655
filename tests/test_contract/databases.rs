//! The tables of the databases, which scripts read.

use rusqlite::{Connection, OpenFlags};

use super::golden::Golden;
use super::scenario::Scenario;

#[test]
fn the_tables_of_the_databases_are_as_they_were() {
    let scenario = Scenario::without_runs();
    let mut golden = Golden::new("databases.txt", &scenario.home);
    for name in ["checkpoints.db", "scheduler.db", "samples.db"] {
        let path = scenario.home.data().join(name);
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
        let version: i64 =
            db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("it has a version");
        golden.add(&format!("{name}: user_version"), &version.to_string());
        let mut rows = db
            .prepare("SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
            .expect("it can be asked");
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it answers");
        for row in rows {
            let (object, sql): (String, String) = row.expect("a row");
            golden.add(&format!("{name}: {object}"), &sql);
        }
    }
    golden.check();
}
