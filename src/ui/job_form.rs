//! The form of a job: what was entered, what is wrong with it, and what it will do. It paints nothing.

use chrono::{DateTime, SecondsFormat, Utc};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::start_form::{Before, OwnField, RunFields};
use crate::api::{JobPatch, JobSpec, JobView};
use crate::base::id::{JobId, PipelineId};
use crate::base::tz::Tz;
use crate::schedule::{
    AfterOn, Misfire, Overlap, Preview, ScheduleConfig, Zone, parse_every, parse_once, parse_time_of_day,
    parse_weekly, preview,
};
use crate::settings::interval_text;
use crate::ui::schedule_page::{CalendarPage, Ledger, ScheduleTab};
use crate::window::{Action, JobDetail, JobsModel, SaveJob, StartBasis, StartOf};

/// How many fires the preview shows.
const N_FIRES: usize = 10;

/// The kinds of schedules in the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Daily,
    Weekly,
    Every,
    Cron,
    Once,
    After,
    Manual,
}

impl When {
    pub(super) const ALL: [Self; 7] =
        [Self::Daily, Self::Weekly, Self::Every, Self::Cron, Self::Once, Self::After, Self::Manual];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Daily => "Every day at",
            Self::Weekly => "Every week on",
            Self::Every => "Every",
            Self::Cron => "Cron expression",
            Self::Once => "Once, on",
            Self::After => "After jobs",
            Self::Manual => "Only by hand",
        }
    }

    /// An example for its text field.
    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::Daily => "02:30",
            Self::Weekly => "mon 09:00",
            Self::Every => "6h",
            Self::Cron => "30 2 * * 1-5",
            Self::Once => "2026-12-24 18:00",
            Self::After => "books, prices",
            Self::Manual => "",
        }
    }

    fn of(schedule_type: &str) -> Self {
        match schedule_type {
            "daily" => Self::Daily,
            "weekly" => Self::Weekly,
            "interval" => Self::Every,
            "once" => Self::Once,
            "after" => Self::After,
            "manual" => Self::Manual,
            _ => Self::Cron,
        }
    }
}

/// The contents of the form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fields {
    pub(super) name: String,
    pub(super) pipeline: String,
    pub(super) when: When,
    /// The text field next to `when`.
    pub(super) text: String,
    pub(super) on: AfterOn,
    pub(super) zone: String,
    pub(super) misfire: Misfire,
    pub(super) overlap: Overlap,
    /// The instant from which an interval counts.
    anchor: Option<DateTime<Utc>>,
}

/// What a job says about how its pipeline runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct RunValues {
    params: BTreeMap<String, String>,
    run_type: Option<String>,
    environment: Option<String>,
    priority: i32,
}

impl RunValues {
    fn of(job: &JobView) -> Self {
        Self {
            params: job.params.clone(),
            run_type: job.run_type.clone(),
            environment: job.environment.clone(),
            priority: job.priority,
        }
    }

    /// As they are entered.
    fn entered(fields: &RunFields, saved: &Self) -> Self {
        let own = |field: &Option<OwnField>| field.as_ref().and_then(OwnField::given);
        // The pipeline's own counts as well: a job's is noted only where it is another.
        let priority = fields.own_priority().map_or(0, i32::from);
        let is_same = saved.priority <= fields.pipeline_priority().into() && priority == 0;
        Self {
            params: fields.given(),
            run_type: own(&fields.run_type),
            environment: own(&fields.environment),
            priority: if is_same { saved.priority } else { priority },
        }
    }
}

/// The meaning of the fields; for a field with an error, a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checked {
    pub(super) name: Result<JobId, String>,
    pub(super) pipeline: Result<PipelineId, String>,
    pub(super) zone: Result<Zone, String>,
    pub(super) schedule: Result<ScheduleConfig, String>,
    /// The schedule in a sentence.
    pub(super) words: String,
    pub(super) preview: Preview,
    /// The zone in which its fires are shown.
    pub(super) tz: Tz,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobForm {
    /// The job that it changes; none when it adds one.
    pub(super) job_id: Option<JobId>,
    /// The pipeline file that defines the job, if one does.
    pub(super) file: Option<String>,
    pub(super) fields: Fields,
    /// How its pipeline runs; none while that is not known, and for a job of a file, which has it.
    pub(super) run: Option<RunFields>,
    /// The pipeline whose fields were asked for last.
    asked: Option<String>,
    /// The saved values.
    saved: Fields,
    /// What the job says about how its pipeline runs, as saved.
    saved_run: RunValues,
    /// What [`Self::run`] said before anything was entered. A value that is saved and is the default shows as none.
    taken_run: Option<RunValues>,
    created_at: Option<DateTime<Utc>>,
    local: Tz,
    checked: Option<(Fields, Checked)>,
    /// Why it could not be saved.
    pub(super) refusal: Option<String>,
    pub(super) is_saving: bool,
}

impl JobForm {
    /// For a new job, on a machine in the zone `local`.
    pub(super) fn new(local: Tz, pipeline: Option<&str>) -> Self {
        let fields = Fields {
            name: String::new(),
            pipeline: pipeline.unwrap_or_default().to_owned(),
            when: When::Daily,
            text: String::new(),
            on: AfterOn::default(),
            zone: local.name().to_owned(),
            misfire: Misfire::RunOnce,
            overlap: Overlap::Skip,
            anchor: None,
        };
        Self::with(None, None, fields, None, local)
    }

    /// For an existing job; none when its id is not valid, so that no command can name it.
    pub(super) fn of(detail: &JobDetail, local: Tz) -> Option<Self> {
        let job = &detail.row.job;
        let config = ScheduleConfig::from_parts(&job.schedule_type, &job.schedule_config.to_string()).ok();
        let on = if let Some(ScheduleConfig::After { on, .. }) = config { on } else { AfterOn::default() };
        let anchor = if let Some(ScheduleConfig::Interval { anchor, .. }) = config { anchor } else { None };
        let fields = Fields {
            name: job.job_id.clone(),
            pipeline: job.pipeline_id.clone(),
            when: When::of(&job.schedule_type),
            text: config.map(|config| text_of(&config, detail.row.zone)).unwrap_or_default(),
            on,
            zone: job.zone.clone(),
            misfire: job.misfire,
            overlap: job.overlap,
            anchor,
        };
        let created_at = DateTime::parse_from_rfc3339(&job.created_at).ok().map(|at| at.with_timezone(&Utc));
        let job_id = detail.row.job_id.clone()?;
        let form = Self::with(Some(job_id), job.file.clone(), fields, created_at, local);
        Some(Self { saved_run: RunValues::of(job), ..form })
    }

    fn with(
        job_id: Option<JobId>,
        file: Option<String>,
        fields: Fields,
        created_at: Option<DateTime<Utc>>,
        local: Tz,
    ) -> Self {
        let saved = fields.clone();
        Self {
            job_id,
            file,
            fields,
            run: None,
            asked: None,
            saved,
            saved_run: RunValues::default(),
            taken_run: None,
            created_at,
            local,
            checked: None,
            refusal: None,
            is_saving: false,
        }
    }

    /// Takes over the job's present values, unless there are unsaved changes.
    pub(super) fn follow(&mut self, fresh: Self) {
        let is_other = self.saved != fresh.saved || self.saved_run != fresh.saved_run;
        if !self.is_changed() && !self.is_saving && is_other {
            *self = fresh;
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.fields != self.saved || self.is_run_changed()
    }

    /// Undoes the changes.
    pub(super) fn revert(&mut self) {
        self.fields = self.saved.clone();
        (self.run, self.taken_run, self.asked, self.refusal) = (None, None, None, None);
    }

    /// The form was saved: its contents are the saved values now.
    pub(super) fn mark_saved(&mut self) {
        self.saved = self.fields.clone();
        if let Some(run) = &self.run {
            self.saved_run = RunValues::entered(run, &self.saved_run);
            self.taken_run = Some(self.saved_run.clone());
        }
        self.is_saving = false;
    }

    /// The kinds of schedules that can be chosen.
    pub(super) fn kinds(&self) -> &'static [When] {
        // A file can't express the last one.
        if self.file.is_some() { &When::ALL[..When::ALL.len() - 1] } else { &When::ALL }
    }

    /// The meaning of the fields. It is computed again only when they have changed or a shown fire is past.
    pub(super) fn check(&mut self, now: DateTime<Utc>) -> Checked {
        if let Some((fields, checked)) = &self.checked
            && *fields == self.fields
            && checked.preview.fires.first().is_none_or(|fire| fire.at > now)
        {
            return checked.clone();
        }
        let checked = self.compute(now);
        self.checked = Some((self.fields.clone(), checked.clone()));
        checked
    }

    fn compute(&self, now: DateTime<Utc>) -> Checked {
        let fields = &self.fields;
        let zone = fields.zone.trim().parse::<Zone>().map_err(|error| error.to_string());
        let tz = match zone {
            Ok(Zone::Named(zone)) => zone,
            Ok(Zone::Local) | Err(_) => self.local,
        };
        let schedule = self.schedule(tz, now);
        let (words, preview) = match &schedule {
            Ok(config) => {
                let words = config.in_words(zone.clone().unwrap_or(Zone::Local), tz);
                (words, preview(config, tz, self.created_at.unwrap_or(now), now, N_FIRES))
            }
            Err(_) => (String::new(), Preview { fires: Vec::new(), clock_changes: Vec::new() }),
        };
        Checked {
            name: JobId::new(fields.name.trim()).map_err(|error| error.to_string()),
            pipeline: PipelineId::new(fields.pipeline.trim()).map_err(|error| error.to_string()),
            zone,
            schedule,
            words,
            preview,
            tz,
        }
    }

    fn schedule(&self, tz: Tz, now: DateTime<Utc>) -> Result<ScheduleConfig, String> {
        let (fields, text) = (&self.fields, self.fields.text.trim());
        let error_text = |error: crate::schedule::ScheduleError| error.to_string();
        let config = match fields.when {
            When::Daily => ScheduleConfig::Daily { at: parse_time_of_day(text).map_err(error_text)? },
            When::Weekly => {
                let (day_of_week, at) = parse_weekly(text).map_err(error_text)?;
                ScheduleConfig::Weekly { day_of_week, at }
            }
            When::Every => ScheduleConfig::Interval {
                every: parse_every(text).map_err(error_text)?,
                anchor: fields.anchor,
            },
            When::Cron => ScheduleConfig::Cron(text.parse().map_err(error_text)?),
            When::Once => ScheduleConfig::Once { at: parse_once(text, tz).map_err(error_text)? },
            When::After => {
                let names = text.split([',', ' ']).filter(|name| !name.is_empty());
                let jobs = names.map(|name| JobId::new(name).map_err(|error| error.to_string()));
                let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
                if jobs.is_empty() {
                    return Err("name the jobs whose runs it waits for".to_owned());
                }
                ScheduleConfig::After { jobs, on: fields.on }
            }
            When::Manual => ScheduleConfig::Manual,
        };
        if self.job_id.is_none() || self.is_changed() {
            config.check_new(now).map_err(error_text)?;
        }
        Ok(config)
    }

    /// Which pipeline's fields have to be asked for; none if they are known or asked for. `path_of` finds its file.
    pub(super) fn basis_wanted(&mut self, path_of: impl Fn(&str) -> Option<PathBuf>) -> Option<StartOf> {
        let pipeline_id = self.fields.pipeline.trim();
        let is_known = self.run.as_ref().is_some_and(|run| run.pipeline_id() == pipeline_id);
        if is_known || self.file.is_some() || self.asked.as_deref() == Some(pipeline_id) {
            return None;
        }
        let path = path_of(pipeline_id)?;
        (self.run, self.taken_run) = (None, None);
        self.asked = Some(pipeline_id.to_owned());
        Some(StartOf { pipeline_id: pipeline_id.to_owned(), path: Some(path), like: None })
    }

    /// Takes over the fields that were asked for; returns them if they are not its own.
    fn take_basis(&mut self, basis: Arc<StartBasis>) -> Option<Arc<StartBasis>> {
        let id = basis.definition.pipeline.id.as_str();
        if basis.earlier.is_some() || self.asked.as_deref() != Some(id) || self.run.is_some() {
            return Some(basis);
        }
        let saved = &self.saved_run;
        let is_the_jobs = self.saved.pipeline == id;
        let before = Before {
            params: Some(&saved.params),
            run_type: saved.run_type.as_ref(),
            environment: saved.environment.as_ref(),
            priority: u8::try_from(saved.priority).ok(),
        };
        let before = if is_the_jobs { before } else { Before::default() };
        let run = RunFields::new(basis, before);
        self.taken_run = Some(RunValues::entered(&run, saved));
        self.run = Some(run);
        None
    }

    /// Whether something about how its pipeline runs has changed.
    fn is_run_changed(&self) -> bool {
        let entered = self.run.as_ref().map(|run| RunValues::entered(run, &self.saved_run));
        entered.is_some() && entered != self.taken_run
    }

    /// What a patch says about how its pipeline runs.
    fn run_patch(&self) -> RunPatch {
        let Some(run) = self.run.as_ref().filter(|_| self.is_run_changed()) else {
            return RunPatch::default();
        };
        let (saved, entered) = (&self.saved_run, RunValues::entered(run, &self.saved_run));
        let gone = saved.params.keys().filter(|name| !entered.params.contains_key(*name));
        let mut params: BTreeMap<String, Option<String>> = gone.map(|name| (name.clone(), None)).collect();
        params.extend(entered.params.into_iter().map(|(name, value)| (name, Some(value))));
        RunPatch {
            params,
            run_type: (entered.run_type != saved.run_type).then_some(entered.run_type),
            environment: (entered.environment != saved.environment).then_some(entered.environment),
            priority: (entered.priority != saved.priority).then_some(entered.priority),
        }
    }

    /// The action that saves the form; none while a field has an error or nothing has changed.
    pub(super) fn request(&mut self, now: DateTime<Utc>) -> Option<Action> {
        let checked = self.check(now);
        let has_wrong = self.run.as_ref().is_some_and(|run| !run.wrong().is_empty());
        if has_wrong || self.is_saving || (self.job_id.is_some() && !self.is_changed()) {
            return None;
        }
        let (Ok(job_id), Ok(pipeline_id), Ok(zone), Ok(schedule)) =
            (checked.name, checked.pipeline, checked.zone, checked.schedule)
        else {
            return None;
        };
        let (misfire, overlap) = (self.fields.misfire, self.fields.overlap);
        let job_id = self.job_id.clone().unwrap_or(job_id);
        let form = if let Some(file) = &self.file {
            let mut job = JobSpec::of(job_id, pipeline_id, schedule);
            (job.zone, job.misfire.policy, job.overlap) = (Some(zone), misfire, overlap);
            SaveJob::InFile { path: file.into(), job: Box::new(job) }
        } else {
            let run = self.run_patch();
            let params = JobPatch {
                pipeline_id: Some(pipeline_id),
                zone: Some(zone.as_str().to_owned()),
                misfire: Some(misfire),
                overlap: Some(overlap),
                params: run.params,
                run_type: run.run_type,
                environment: run.environment,
                priority: run.priority,
                ..JobPatch::new(job_id).with_schedule(&schedule)
            };
            if self.job_id.is_some() { SaveJob::Set(params) } else { SaveJob::Add(params) }
        };
        Some(Action::SaveJob(Box::new(form)))
    }
}

/// The part of a patch about how the pipeline runs.
#[derive(Debug, Default)]
struct RunPatch {
    params: BTreeMap<String, Option<String>>,
    run_type: Option<Option<String>>,
    environment: Option<Option<String>>,
    priority: Option<i32>,
}

/// The window's state of the page of jobs.
#[derive(Debug, Default)]
pub(super) struct SchedulePage {
    /// The form of the selected job, or of a new one.
    pub(super) form: Option<JobForm>,
    /// The row to scroll to.
    pub(super) scroll_to: Option<usize>,
    /// What the page shows.
    pub(super) tab: ScheduleTab,
    /// Whether the day ahead has room.
    pub(super) shows_day: bool,
    pub(super) calendar: CalendarPage,
    pub(super) ledger: Ledger,
    /// The rows that were visible in the last frame.
    pub(super) shown: std::ops::Range<usize>,
}

impl SchedulePage {
    /// Takes over the fields that the form has asked for; returns them if they are not its own.
    pub(super) fn take_basis(&mut self, basis: Arc<StartBasis>) -> Option<Arc<StartBasis>> {
        match &mut self.form {
            Some(form) => form.take_basis(basis),
            None => Some(basis),
        }
    }

    /// Makes the form show the selected job, if one is selected.
    pub(super) fn follow(&mut self, jobs: &JobsModel) {
        let is_new = self.form.as_ref().is_some_and(|form| form.job_id.is_none());
        let Some(selected) = jobs.selected() else {
            if !is_new {
                self.form = None;
            }
            return;
        };
        let fresh = jobs.detail().and_then(|detail| JobForm::of(detail, jobs.local()));
        match (&mut self.form, fresh) {
            (Some(form), Some(fresh)) if form.job_id.as_ref() == Some(selected) => form.follow(fresh),
            (Some(form), None) if form.job_id.as_ref() == Some(selected) => {}
            (form, fresh) => *form = fresh,
        }
    }
}

/// A schedule as the text of its field.
fn text_of(config: &ScheduleConfig, zone: Tz) -> String {
    match config {
        ScheduleConfig::Daily { at } => at.to_string(),
        ScheduleConfig::Weekly { day_of_week, at } => {
            format!("{} {at}", day_of_week.to_string().to_lowercase())
        }
        ScheduleConfig::Interval { every, .. } => interval_text(*every),
        ScheduleConfig::Cron(expression) => expression.as_str().to_owned(),
        ScheduleConfig::Once { at } => {
            let wall = at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
            let is_it = parse_once(&wall, zone).is_ok_and(|read| read == *at);
            if is_it { wall } else { at.to_rfc3339_opts(SecondsFormat::AutoSi, true) }
        }
        ScheduleConfig::After { jobs, .. } => jobs.iter().map(JobId::as_str).collect::<Vec<_>>().join(", "),
        ScheduleConfig::Manual => String::new(),
    }
}
