//! The window's own state about starts: the form that is asked for, opened and answered.

use egui::Context;

use super::command::Page;
use super::start_form::StartForm;
use super::state::Overlay;
use super::window::LeverframeWindow;
use crate::base::id::RunId;
use crate::window::{Action, StartOf};

impl LeverframeWindow {
    /// Asks for what the start form of a pipeline shows.
    pub(super) fn ask_start(&mut self, pipeline_id: String, like: Option<RunId>) {
        let mut pipelines = self.store.pipelines().unwrap_or_default().iter();
        let listed = pipelines.find(|entry| entry.id == pipeline_id && entry.error.is_none());
        let path = listed.map(|entry| entry.path.clone());
        self.send(Action::LoadStart(StartOf { pipeline_id, path, like }));
    }

    /// The same for a run that is to be started again.
    pub(super) fn ask_start_like(&mut self, run_id: RunId) {
        if let Some(entry) = self.store.run(&run_id) {
            let pipeline_id = entry.run.pipeline_id.to_string();
            self.ask_start(pipeline_id, Some(run_id));
        }
    }

    /// Starts the run of the open form, or goes to its first error.
    pub(super) fn start_form(&mut self) {
        let Overlay::Start(form) = &mut self.state.overlay else { return };
        if form.is_starting {
            return;
        }
        let Some(start) = form.request() else { return form.fields.focus_first() };
        // Not by `send`: what fails is shown in the form.
        match self.port.send(Action::Start(Box::new(start))) {
            Ok(()) => {
                (form.is_starting, form.refusal) = (true, None);
                self.state.now.await_new();
            }
            Err(reason) => form.refusal = Some(reason.to_owned()),
        }
    }

    /// Opens the form of a new job with the values of the open start form.
    pub(super) fn schedule_form(&mut self) {
        if let Overlay::Start(form) = std::mem::take(&mut self.state.overlay) {
            let pipeline_id = form.pipeline_id().to_owned();
            self.new_job(Some(&pipeline_id));
            if let Some(job) = &mut self.state.schedule.form {
                job.run = Some(form.fields);
            }
        }
    }

    /// Asks for the fields that the form of a job has about how its pipeline runs.
    pub(super) fn want_job_basis(&mut self) {
        let Some(form) = self.state.schedule.form.as_mut() else { return };
        let listed = self.store.pipelines().unwrap_or_default();
        let path_of = |id: &str| {
            let entry = listed.iter().find(|entry| entry.id == id && entry.error.is_none())?;
            Some(entry.path.clone())
        };
        if let Some(of) = form.basis_wanted(path_of) {
            self.send(Action::LoadStart(of));
        }
    }

    /// Asks what lies in the folder that the open picker of a path shows.
    pub(super) fn want_folder(&mut self) {
        let page = self.state.page;
        let picker = if let Overlay::Start(form) = &self.state.overlay {
            form.fields.picker.as_ref()
        } else if page == Page::Settings {
            self.state.settings.picker.as_ref()
        } else {
            let job = self.state.schedule.form.as_ref().filter(|_| page == Page::Schedule);
            job.and_then(|job| job.run.as_ref()?.picker.as_ref())
        };
        self.store.want_folder(picker.map(|picker| picker.asked.clone()));
    }

    /// Opens the form that was asked for, and takes over the outcome of a start.
    pub(super) fn take_starts(&mut self, ctx: &Context) {
        let basis = self.store.take_start_basis();
        let basis = basis.and_then(|basis| self.state.schedule.take_basis(basis));
        if let Some(basis) = basis
            && matches!(self.state.overlay, Overlay::None | Overlay::Start(_))
        {
            self.state.overlay = Overlay::Start(Box::new(StartForm::new(basis)));
            ctx.request_repaint();
        }
        let Some(outcome) = self.store.take_started() else { return };
        let form = if let Overlay::Start(form) = &mut self.state.overlay { Some(form) } else { None };
        let form = form.filter(|form| form.is_starting);
        match (outcome, form) {
            (Ok(run_id), form) => {
                if form.is_some() {
                    self.state.overlay = Overlay::None;
                    self.state.page = Page::Now;
                    self.store.want_jobs(None);
                    self.store.select_run(Some(run_id));
                }
            }
            (Err(refusal), Some(form)) => (form.is_starting, form.refusal) = (false, Some(refusal)),
            (Err(refusal), None) => self.store.push_failure("start a run", refusal),
        }
        self.send_requests();
    }
}
