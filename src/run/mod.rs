//! A run: its states, its steps, its events, and the pure rules that apply an input to it.
//!
//! Nothing here acts: [`decide()`] changes the run and lists effects, which the engine carries out once the run is on disk.
//!
//! In reading order, each file after those that it rests on:
//! - a run: `state` (the words), `freeze`, `phase`, `step_phase`, `work_time`, `summary` (what others see), `definition`,
//!   `step_run`, `tally` (what is known of all steps), `steps` and `model`, `stored` and `stored_step` (their JSON), `plan`;
//! - a decision: `report`, `cost`, `input` and `context` (what it is given), `event` and `outbox` (what it asks for);
//! - its rules: `transition` (the tables), `tell`, `pause`, `hold`, `admit`, `resume`, `killed`, `step_end`, `step`, `advance`,
//!   `recover`, `work`, `decide`;
//! - questions about a run: `deadline`, `why`.

mod definition;
mod freeze;
mod model;
mod phase;
mod plan;
mod state;
mod step_phase;
mod step_run;
mod steps;
mod stored;
mod stored_step;
mod summary;
mod tally;
mod work_time;

mod context;
mod cost;
mod event;
mod input;
mod outbox;
mod report;

mod admit;
mod advance;
mod decide;
mod hold;
mod killed;
mod pause;
mod recover;
mod resume;
mod step;
mod step_end;
mod tell;
mod transition;
mod work;

mod deadline;
mod why;

pub use admit::{claim_of, current_waits, rank_of, waits, waits_on};
pub use context::{Context, Starts};
pub use cost::StepCost;
pub use deadline::{Deadline, next_deadline};
pub use decide::decide;
pub use definition::{Body, Definition};
pub use event::{Decision, Event, EventKind};
pub use freeze::{Freeze, Hold, Holds};
pub use input::{Exit, Found, Input, MemoryAtEnd, StepNews};
pub use model::{FiredBy, Run, RunLedger};
pub use outbox::{Effect, Level, Outbox, Record};
pub use phase::{End, Phase, StopKind, Verdict};
pub use plan::Plan;
pub use report::{
    MAX_REPORT_LINE, ReportBatch, ReportFault, ReportFaultKind, ReportLine, ReportWarning, parse_report_line,
};
pub use state::{RunState, StepState, Trigger};
pub use step_phase::{Ending, Prepared, StepEnd, StepPhase};
pub use step_run::{StepLedger, StepRun, log_path, report_path};
pub use steps::{StepMut, Steps};
pub use stored::StoredLedger;
pub use stored_step::StoredStepLedger;
pub use summary::{RunSummary, StepSummary};
pub use transition::{Command, Refusal, hint, transition};
pub use why::{Why, WhyContext, slower_than_usual, why};
pub use work_time::WorkTime;
