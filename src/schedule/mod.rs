//! When a job is due: its schedule, its zone, what happens to missed instants, and the sentences that describe this.
//!
//! Pure: nothing here reads a clock or starts a run. `now`, the machine's zone and the instant up to which a job's
//! fires are accounted for are arguments. The caller records the result and acts on it.
//!
//! In reading order: `model` (times of day and the like), `config` (a schedule, as it is stored), `constructors` (as a program writes it), `parse` (as the
//! command line writes it), `cron` (expressions: fields to sets, sets to local times), `zone` and `wall` (which zone,
//! and how its clock runs), `timetable` (the instants of a schedule: the next, how many, the newest), `policy`
//! (misfire, overlap and outcome), `plan` (what is due and what happens to it), `overlap` (what happens while a run has
//! not ended), `words` and `preview` (for people), `crontab` (from cron's own files).

mod config;
mod constructors;
mod error;
mod json;
mod model;
mod parse;

mod cron;

mod wall;
mod zone;

mod timetable;

mod overlap;
mod plan;
mod policy;

mod preview;
mod words;

mod crontab;

pub use config::{ScheduleConfig, cycle_through};
pub use cron::CronExpr;
pub use crontab::{
    CrontabKind, CrontabSource, ImportedCrontab, ImportedJob, ImportedPipeline, Remark, RemarkKind,
    import_crontab,
};
pub use error::ScheduleError;
pub use model::{AfterOn, TimeOfDay};
pub use overlap::{Admission, admit};
pub use parse::{parse_every, parse_once, parse_time_of_day, parse_weekly};
pub use plan::{Fire, OnTime, Plan, Situation, Start, plan};
pub use policy::{MAX_CATCHUP, Misfire, MisfirePolicy, Outcome, Overlap};
pub use preview::{ClockChange, MAX_PREVIEW, Preview, PreviewFire, preview};
pub use timetable::Timetable;
pub use zone::Zone;
