//! The timing of a job whose `[[schedule]]` table stands in a pipeline's file: that table is written anew where it says
//! something else, and everything around it, comments included, stays as it is. Nothing else of the file is edited.

use std::fs;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use toml_edit::{Array, DocumentMut, Item, Table, Value, value};

use super::limit_edit::replace_file;
use crate::base::id::JobId;
use crate::files::read_small_text;
use crate::schedule::{Misfire, Overlap, ScheduleConfig};
use crate::scheduler::JobSpec;

/// The keys that say when, each with its other names.
const WHEN: [&[&str]; 6] = [
    &["once"],
    &["every", "interval"],
    &["daily", "at"],
    &["weekly"],
    &["cron", "expression"],
    &["after", "needs"],
];
const ANCHOR: &[&str] = &["anchor"];
const ON: &[&str] = &["on"];
const TZ: &[&str] = &["tz", "zone", "timezone", "time_zone"];
const ID: [&str; 3] = ["id", "name", "job_id"];

/// Writes the timing of a job into its table in the file at `path`, which is whole at any time. The schedule can't be
/// [`ScheduleConfig::Manual`], for which a file has no word.
///
/// # Errors
/// A sentence that says where to edit it by hand, when that can't be done; the file is as it was then.
pub(crate) fn edit_file(path: &Path, job: &JobSpec) -> Result<(), String> {
    let job_id = &job.job_id;
    let by_hand =
        |why: &str| format!("{why}; edit the [[schedule]] table of {job_id} in {} by hand", path.display());
    let failed = |error: std::io::Error| by_hand(&format!("the file can't be written: {error}"));
    // A link stays one: what it leads to is written.
    let file = fs::canonicalize(path).map_err(failed)?;
    let text =
        read_small_text(&file).map_err(|error| by_hand(&format!("the file can't be read: {error}")))?;
    let new = edited(&text, job).map_err(|why| by_hand(&why))?;
    if new == text {
        return Ok(());
    }
    // Its name is none of a pipeline's, and lies in the same folder so that it can take the file's place.
    let draft = file.with_extension("toml.new");
    let access = fs::metadata(&file).map_err(failed)?.permissions();
    replace_file(&file, &draft, &new, access).map_err(failed)
}

/// The text of a pipeline file with the table of `job` changed so.
///
/// # Errors
/// Why the table can't be found or written.
fn edited(text: &str, job: &JobSpec) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|_| "the file is not valid TOML now".to_owned())?;
    let tables = ["schedule", "schedules"].into_iter().find(|key| document.contains_key(key));
    let tables = tables.and_then(|key| document.get_mut(key)).and_then(Item::as_array_of_tables_mut);
    let is_it = |table: &Table| match ID.into_iter().find_map(|key| table.get(key)) {
        Some(id) => id.as_str() == Some(job.job_id.as_str()),
        None => job.job_id.as_str() == job.pipeline_id.as_str(),
    };
    let table = tables
        .and_then(|tables| tables.iter_mut().find(|table| is_it(table)))
        .ok_or("the file has no such table now, or has it as an inline table")?;
    write_table(table, job)?;
    Ok(document.to_string())
}

fn write_table(table: &mut Table, job: &JobSpec) -> Result<(), String> {
    let When { names, said, anchor, on } = said_when(&job.schedule)?;
    let other: Vec<&str> = WHEN.into_iter().filter(|other| *other != names).flatten().copied().collect();
    replace(table, names, &other, said);
    set_or_leave_out(table, ANCHOR, anchor);
    let default_on = crate::schedule::AfterOn::default().as_str();
    set_or_leave_out(
        table,
        ON,
        on.filter(|on: &Value| table.contains_key("on") || on.as_str() != Some(default_on)),
    );
    if let Some(zone) = job.zone {
        replace(table, TZ, &[], zone.as_str().into());
    }
    let words = [
        ("misfire", job.misfire.policy.as_str(), Misfire::RunOnce.as_str()),
        ("overlap", job.overlap.as_str(), Overlap::Skip.as_str()),
    ];
    for (key, word, default) in words {
        if table.contains_key(key) || word != default {
            replace(table, &[key], &[], word.into());
        }
    }
    Ok(())
}

/// How a table says when.
struct When {
    /// The key, under all its names.
    names: &'static [&'static str],
    /// What it says.
    said: Value,
    anchor: Option<Value>,
    on: Option<Value>,
}

fn said_when(schedule: &ScheduleConfig) -> Result<When, String> {
    let when = |names, said| When { names, said, anchor: None, on: None };
    Ok(match schedule {
        ScheduleConfig::Once { at } => when(WHEN[0], instant(*at)),
        ScheduleConfig::Interval { every, anchor } => {
            When { anchor: anchor.map(instant), ..when(WHEN[1], interval_text(*every).into()) }
        }
        ScheduleConfig::Daily { at } => when(WHEN[2], at.to_string().into()),
        ScheduleConfig::Weekly { day_of_week, at } => {
            when(WHEN[3], format!("{} {at}", day_of_week.to_string().to_lowercase()).into())
        }
        ScheduleConfig::Cron(expression) => when(WHEN[4], expression.as_str().into()),
        ScheduleConfig::After { jobs, on } => {
            let said = match jobs.as_slice() {
                [job] => job.as_str().into(),
                jobs => jobs.iter().map(JobId::as_str).collect::<Array>().into(),
            };
            When { on: Some(on.as_str().into()), ..when(WHEN[5], said) }
        }
        ScheduleConfig::Manual => return Err("a file can't describe a job that runs only by hand".into()),
    })
}

/// An interval as files and forms write it: `6h`, `1d12h`.
pub fn interval_text(every: chrono::TimeDelta) -> String {
    let mut rest = every.num_seconds();
    let mut text = String::new();
    for (unit, seconds) in [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest / seconds > 0 {
            text += &format!("{}{unit}", rest / seconds);
            rest %= seconds;
        }
    }
    text
}

/// An instant as a text: not every reader of TOML knows its own.
fn instant(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

/// Has the table say `new` under one of `names`, in the place of what it says under them or else under `others`.
fn replace(table: &mut Table, names: &[&str], others: &[&str], new: Value) {
    let found = |table: &Table, keys: &[&str]| {
        keys.iter().find(|key| table.contains_key(key)).map(|key| (*key).to_owned())
    };
    if let Some(key) = found(table, names) {
        if let Some(old) = table.get_mut(&key).and_then(Item::as_value_mut) {
            if !says_same(old, &new) {
                let decor = old.decor().clone();
                *old = new;
                *old.decor_mut() = decor;
            }
        } else {
            table.insert(&key, value(new));
        }
        return;
    }
    let Some(key) = found(table, others) else {
        table.insert(names[0], value(new));
        return;
    };
    // The comments above the key and behind its value stay where they are, and so does the line.
    let order: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let key_decor = table.key(&key).map(|key| key.leaf_decor().clone());
    let value_decor = table.get(&key).and_then(Item::as_value).map(|old| old.decor().clone());
    table.remove(&key);
    let mut new = new;
    if let Some(decor) = value_decor {
        *new.decor_mut() = decor;
    }
    table.insert(names[0], value(new));
    if let (Some(mut placed), Some(decor)) = (table.key_mut(names[0]), key_decor) {
        *placed.leaf_decor_mut() = decor;
    }
    let place = |name: &str| {
        let name = if name == names[0] { key.as_str() } else { name };
        order.iter().position(|other| other == name)
    };
    table.sort_values_by(|a, _, b, _| place(a.get()).cmp(&place(b.get())));
}

fn set_or_leave_out(table: &mut Table, names: &[&str], new: Option<Value>) {
    match new {
        Some(new) => replace(table, names, &[], new),
        None => names.iter().for_each(|name| drop(table.remove(name))),
    }
}

fn says_same(old: &Value, new: &Value) -> bool {
    let bare = |value: &Value| value.clone().decorated("", "").to_string();
    old.as_str().zip(new.as_str()).map_or_else(|| bare(old) == bare(new), |(old, new)| old == new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# Books, every night.
id = "books"

[[step]] # the only one
id = "fetch"
command = ["true"]

# Not while the shop is open.
[[schedule]]
# after the backup
cron = "30 2 * * 1-5"   # weekdays
tz = "Europe/Madrid"    # where the shop is
misfire = "skip"

[[schedule]]
id = "books-weekly"
weekly = "mon 09:00"
"#;

    fn change(schedule: ScheduleConfig) -> JobSpec {
        let mut job = JobSpec::new("books", "books", schedule).unwrap();
        job.zone = Some("Europe/Madrid".parse().unwrap());
        job.misfire.policy = Misfire::Skip;
        job
    }

    fn edit(job_id: &str, change: &JobSpec) -> Result<String, String> {
        edited(FILE, &JobSpec { job_id: JobId::new(job_id).unwrap(), ..change.clone() })
    }

    fn cron(expression: &str) -> ScheduleConfig {
        ScheduleConfig::Cron(expression.parse().unwrap())
    }

    #[test]
    fn only_the_value_that_changed_is_written() {
        let new = edit("books", &change(cron("0 4 * * *"))).unwrap();
        assert_eq!(new, FILE.replace("30 2 * * 1-5", "0 4 * * *"));
        assert_eq!(edit("books", &change(cron("30 2 * * 1-5"))).unwrap(), FILE);
    }

    #[test]
    fn another_kind_stands_in_the_same_line_with_the_same_comments() {
        let daily = ScheduleConfig::Daily { at: crate::schedule::parse_time_of_day("04:15").unwrap() };
        let new = edit("books", &change(daily)).unwrap();
        assert_eq!(new, FILE.replace("cron = \"30 2 * * 1-5\"", "daily = \"04:15\""));
    }

    #[test]
    fn a_table_is_found_by_its_id_and_gets_what_it_did_not_say() {
        let every = ScheduleConfig::Interval { every: chrono::TimeDelta::minutes(90), anchor: None };
        let mut change = JobSpec { overlap: Overlap::Queue, ..change(every) };
        change.misfire.policy = Misfire::RunOnce;
        let new = edit("books-weekly", &change).unwrap();
        let expected = "every = \"1h30m\"\ntz = \"Europe/Madrid\"\noverlap = \"queue\"\n";
        assert_eq!(new, FILE.replace("weekly = \"mon 09:00\"\n", expected));
        assert!(edit("other", &change).unwrap_err().contains("no such table"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_link_to_it_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("books.toml"), dir.path().join("link.toml"));
        fs::write(&file, FILE).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        edit_file(&link, &change(cron("0 4 * * *"))).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&file).unwrap().contains("cron = \"0 4 * * *\"   # weekdays"));
        fs::write(&file, "no toml [").unwrap();
        let refusal = edit_file(&file, &change(cron("0 4 * * *"))).unwrap_err();
        assert!(refusal.contains("by hand") && refusal.contains("books.toml"), "{refusal}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "no toml [");
    }
}
