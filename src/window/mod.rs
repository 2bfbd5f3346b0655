//! Between an engine and a window: [`AppStore`], the read model that the window paints from; the port for updates and
//! actions; and [`ExecutionIntegration`], which feeds it. Painting is not known here.

mod agenda;
mod away;
mod comparison;
mod controller;
mod delete_runs;
mod editor;
mod estimates;
mod fires_file;
mod folder;
mod history_page;
mod integration;
mod job_page;
mod log_thread;
mod log_view;
mod look;
mod lookups;
mod machine_history;
mod own_store;
mod pipeline_page;
mod port;
mod remote_usage;
mod run_facts;
mod run_grid;
mod samples;
mod settings_page;
mod start;
mod store;
mod time_range;
mod urgency;

// What feeds a window, for a test of the whole way.
#[cfg(all(test, feature = "gui"))]
pub(crate) use crate::engine::{EventBus, Subscription};
pub use crate::store::{LedgerFilter, LedgerKind};
pub use agenda::{Day, DayFire, DayTally, FiresPage, FiresQuestion, LedgerRow, Month, MonthOf, day_begin};
pub use away::{AwayItem, AwayKind, AwayMark, AwayPage, AwayWhat};
pub use comparison::{Comparison, LogDifference, Pair, StepPair};
pub use estimates::{Estimate, Left};
pub use folder::{FolderContent, FolderEntry};
pub use history_page::{HistoryFilter, HistoryList, HistoryOrder, HistoryPage, HistoryQuestion};
pub use integration::ExecutionIntegration;
pub use job_page::{FireRow, JobDetail, JobPage, JobRow, MAX_MARKS};
pub use log_view::{
    Ink, LogAnswer, LogExtent, LogFound, LogHit, LogOf, LogQuestion, LogRow, LogRows, LogView, Look,
    StyledText,
};
pub use look::{Density, Formats, LastView, NowGroups, NowOrder, ThemeChoice, WindowLook};
pub use machine_history::{AlertMark, HistorySpan, MachineHistory};
pub use pipeline_page::{
    FileProblem, JobBrief, ParamBrief, PipelineDetail, PipelineFacts, RunMark, StepBrief,
};
pub use port::{
    Action, AppUpdate, Folder, LogTail, QuitChoice, RunUsage, SaveJob, SavedJob, UpdateSender, WindowPort,
    WorldPort, window_port,
};
pub use run_facts::{CheckpointText, DefinitionText, OutputText, RunFacts, StepNeeds, Usual};
pub use run_grid::{GridCell, GridColumn, RunGrid};
pub use settings_page::{Place, SettingsView};
pub use start::{Earlier, StartBasis, StartOf, UsedValues};
pub use store::{
    AgendaModel, AppStore, HistoryModel, JobsModel, MAX_RECENT, PipelinesModel, RunEntry, SAMPLE_SPAN,
    StepsKnown, left_of,
};
pub use time_range::{Moment, RangeHistory, TimeAnswer, TimeQuestion, TimeRange};
pub use urgency::Urgency;
