//! Between an engine and a window: [`AppStore`], the read model that the window paints from; the port for updates and
//! actions; and [`ExecutionIntegration`], which feeds it. Painting is not known here.

mod comparison;
mod controller;
mod history_page;
mod integration;
mod job_page;
mod log_thread;
mod log_view;
mod look;
mod lookups;
mod machine_history;
mod own_store;
mod port;
mod remote_usage;
mod run_facts;
mod samples;
mod start;
mod store;
mod time_range;
mod urgency;

pub use comparison::{Comparison, LogDifference, Pair, StepPair};
pub use history_page::{HistoryFilter, HistoryList, HistoryOrder, HistoryPage, HistoryQuestion};
pub use integration::ExecutionIntegration;
pub use job_page::{FireRow, JobDetail, JobPage, JobRow, MAX_MARKS};
pub use log_view::{
    Ink, LogAnswer, LogExtent, LogFound, LogHit, LogOf, LogQuestion, LogRow, LogRows, LogView, Look,
    StyledText,
};
pub use look::{ThemeChoice, WindowLook};
pub use machine_history::{AlertMark, HistorySpan, MachineHistory};
pub use port::{
    Action, AppUpdate, Folder, LogTail, QuitChoice, RunUsage, SaveJob, SavedJob, UpdateSender, WindowPort,
    WorldPort, window_port,
};
pub use run_facts::{CheckpointText, DefinitionText, OutputText, RunFacts, StepNeeds, Usual};
pub use start::{Earlier, StartBasis, StartOf};
pub use store::{AppStore, HistoryModel, JobsModel, MAX_RECENT, RunEntry, SAMPLE_SPAN, StepsKnown};
pub use time_range::{Moment, RangeHistory, TimeAnswer, TimeQuestion, TimeRange};
pub use urgency::Urgency;
