//! The window: applies updates within a time budget, paints the page, runs commands. It holds the read model and its
//! own state (which page, which dialog), and nothing else.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use egui::{CentralPanel, Context, Frame, Key, Margin, Panel, Ui, ViewportCommand};

use super::announce::Announcer;
use super::beat::Beat;
use super::command::{Command, Page, RunTab};
use super::format::Manner;
use super::history_filter::HistoryState;
use super::job_form::SchedulePage;
use super::labels::subject_of;
use super::limit_form::MachinePage;
use super::log_page::LogPage;
use super::now_page::NowPage;
use super::outline::OutlineState;
use super::pipeline_list::{NewPipeline, PipelineList};
use super::room::Room;
use super::settings_form::SettingsPage;
use super::shown::ShownWatch;
use super::state::{Overlay, WindowState};
use super::time_line::TimeLine;
use super::toasts::Toasts;
use super::views::{Commands, PaletteState, View};
use super::window_look::{TITLE, theme_of};
use super::{beat, offers, system_fonts, theme, views};
use crate::api;
use crate::base::id::RunId;
use crate::run::{RunState, StopKind};
use crate::window::{Action, AppStore, Urgency, WindowPort};

const DRAIN_BUDGET: Duration = Duration::from_millis(8);

/// The window.
#[derive(Debug)]
pub struct LeverframeWindow {
    pub(super) port: WindowPort,
    pub(super) store: AppStore,
    pub(super) state: WindowState,
    /// How long applying updates may delay a frame.
    drain_budget: Duration,
    /// None when the window system does not need it, and in tests.
    _shown: Option<ShownWatch>,
}

impl LeverframeWindow {
    /// Prepares the context of a new window and connects it to the port.
    pub fn new(cc: &eframe::CreationContext<'_>, port: WindowPort) -> Self {
        system_fonts::install(&cc.egui_ctx);
        let mut window = Self { _shown: ShownWatch::of(cc), ..Self::with_context(&cc.egui_ctx, port) };
        window.state.of_system = Manner::of_system(|name| std::env::var(name).ok());
        window.follow_formats();
        window
    }

    /// The same without a window system, for a test or a benchmark.
    pub fn with_context(ctx: &Context, port: WindowPort) -> Self {
        theme::install(ctx);
        let waker = ctx.clone();
        port.wake_by(move |urgency| match urgency {
            Urgency::AtOnce => waker.request_repaint(),
            Urgency::Within(time) => waker.request_repaint_after(time),
            Urgency::WithClocks => waker.request_repaint_after(beat::to_next(Utc::now())),
        });
        let look = port.look();
        let theme = theme_of(look.theme);
        ctx.set_theme(theme);
        ctx.set_zoom_factor(f32::from(look.scale) / 100.0);
        let state = WindowState {
            page: Page::Now,
            back: Page::Now,
            run_tab: RunTab::default(),
            compared_with: None,
            overlay: Overlay::None,
            is_there: None,
            there_until: DateTime::UNIX_EPOCH,
            theme,
            schedule: SchedulePage::default(),
            machine: MachinePage::default(),
            history: HistoryState::default(),
            pipelines: PipelineList::default(),
            log: LogPage::default(),
            settings: SettingsPage::default(),
            density: look.density,
            formats: look.formats,
            of_system: Manner::NEUTRAL,
            announcer: Announcer::default(),
            now: NowPage::default(),
            toasts: Toasts::default(),
            time: TimeLine::default(),
            may_close: false,
            look: look.clone(),
            title: TITLE,
            title_bar: None,
        };
        // Updates that were sent before the window could be woken wait in the channel.
        ctx.request_repaint();
        let mut window =
            Self { port, store: AppStore::default(), state, drain_budget: DRAIN_BUDGET, _shown: None };
        window.go_back_to(&look.last, Utc::now());
        window
    }

    /// The read model, for tests.
    #[cfg(test)]
    pub(super) fn store(&self) -> &AppStore {
        &self.store
    }

    /// Applies updates and answers the window system; paints nothing.
    pub fn process_updates(&mut self, ctx: &Context) {
        let begun = Instant::now();
        while let Some(update) = self.port.try_recv() {
            self.store.apply(update);
            if begun.elapsed() > self.drain_budget {
                break;
            }
        }
        if self.port.has_updates() {
            ctx.request_repaint();
        }
        self.send_requests();
        if let Some(saved) = self.store.take_saved_job() {
            self.take_saved(saved);
        }
        self.take_settings();
        self.take_starts(ctx);
        self.take_made_pipeline();
        self.take_backfilled();
        self.take_log_news(ctx);
        if self.store.take_raise() {
            ctx.send_viewport_cmd(ViewportCommand::Minimized(false));
            ctx.send_viewport_cmd(ViewportCommand::Focus);
            // Wayland lets no program raise its window: the compositor marks it there instead.
            if ctx.input(|input| input.viewport().focused) != Some(true) {
                let attention = egui::UserAttentionType::Informational;
                ctx.send_viewport_cmd(ViewportCommand::RequestUserAttention(attention));
            }
        }
        if ctx.input(|input| input.viewport().close_requested()) {
            self.close(ctx);
        }
        if self.store.is_ready_to_close() && !self.state.may_close {
            self.state.may_close = true;
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
    }

    /// Paints a frame at the instant `at`, and runs the commands from it.
    pub fn paint(&mut self, ui: &mut Ui, at: DateTime<Utc>) {
        let beat = Beat::of(at);
        let now = beat.now();
        let mut out = Commands::new();
        self.state.toasts.expire(now);
        for done in self.store.take_done() {
            self.state.toasts.push(&done, subject_of(&done), now);
        }
        self.take_shortcuts(ui, &mut out);
        self.follow_presence(ui.ctx(), at);
        self.keep_scale(ui.ctx());
        self.sync_title_bar(ui);
        self.name_window(ui);
        let mut schedule = std::mem::take(&mut self.state.schedule);
        let mut machine = std::mem::take(&mut self.state.machine);
        let mut history = std::mem::take(&mut self.state.history);
        let mut log = std::mem::take(&mut self.state.log);
        let mut settings = std::mem::take(&mut self.state.settings);
        settings.follow(self.store.settings());
        let mut now_page = std::mem::take(&mut self.state.now);
        let mut pipelines = std::mem::take(&mut self.state.pipelines);
        schedule.follow(self.store.jobs());
        machine.follow(self.store.watched().limits());
        let view = View { store: &self.store, state: &self.state, now, beat: &beat };
        let tokens = theme::tokens(ui);
        let room = Room::of(ui.ctx());
        if room != Room::Tiny {
            let rail = Frame::NONE.fill(tokens.panel);
            Panel::left("rail").exact_size(room.rail()).resizable(false).frame(rail).show(ui, |ui| {
                views::rail_ui(ui, view, &mut out);
            });
        }
        let margin = Margin { left: room.margin(), right: room.margin(), top: 8, bottom: 12 };
        let page = Frame::NONE.fill(tokens.bg).inner_margin(margin);
        CentralPanel::no_frame().frame(page).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = theme::GRID;
            if room == Room::Tiny {
                return views::tiny_ui(ui, view, &mut out);
            }
            views::header_ui(ui, view, &mut out);
            views::strip_ui(ui, view, &mut out);
            ui.add_space(theme::GRID);
            let forms = views::Forms {
                now: &mut now_page,
                schedule: &mut schedule,
                machine: &mut machine,
                history: &mut history,
                pipelines: &mut pipelines,
                log: &mut log,
                settings: &mut settings,
            };
            views::page_ui(ui, view, forms, &mut out);
        });
        // Taken out only here: a row is marked while the form about it is open.
        let mut overlay = std::mem::take(&mut self.state.overlay);
        let view = View { store: &self.store, state: &self.state, now, beat: &beat };
        views::toasts_ui(ui, view, &mut out);
        views::overlay_ui(ui, view, &mut overlay, &mut out);
        self.state.overlay = overlay;
        self.announce(ui, &beat);
        views::focus_ring(ui);
        (self.state.schedule, self.state.machine) = (schedule, machine);
        (self.state.history, self.state.log, self.state.pipelines) = (history, log, pipelines);
        self.state.settings = settings;
        self.state.now = now_page;
        let ctx = ui.ctx().clone();
        for command in out {
            self.run_command(&ctx, command, now);
        }
        if self.state.page == Page::Now {
            let wanted = self.state.now.wanted_estimates(&self.store);
            self.store.want_estimates(&wanted);
        }
        self.want_time(now);
        if self.state.page == Page::History {
            self.store.want_ended_count();
            self.store.list_runs(self.state.history.list());
            self.store.want_runs(Some(self.state.history.rows()));
        } else {
            self.store.want_runs(None);
        }
        self.want_agenda(now);
        self.want_job_basis();
        self.want_folder();
        let is_open = self.state.page == Page::Pipelines;
        self.store.want_pipelines(is_open.then_some(self.state.pipelines.visible()));
        let opened = self.store.selected().filter(|_| self.state.page == Page::Run);
        let opened = opened.map(|entry| entry.run.run_id.clone());
        self.store.want_facts(opened.as_ref());
        self.want_comparison();
        self.want_log();
        if matches!(self.state.page, Page::Now | Page::Away) {
            self.store.want_away();
        }
        self.send_requests();
        // Elsewhere it is read again when something is painted anyway.
        if self.state.page == Page::Machine
            && let Some(holds) = self.store.watched().next_reading(now)
        {
            beat.holds_for(holds);
        }
        if let Some(pause) = beat.pause(at) {
            ctx.request_repaint_after(pause);
        }
    }

    pub(super) fn go_to(&mut self, page: Page) {
        self.state.page = page;
        if page != Page::Schedule {
            self.store.want_jobs(None);
        }
        if page == Page::Settings {
            self.store.load_settings();
        }
    }

    fn take_shortcuts(&self, ui: &Ui, out: &mut Commands) {
        if self.state.overlay != Overlay::None {
            return;
        }
        let is_typing = ui.ctx().text_edit_focused();
        let is_menu_open = egui::Popup::is_any_open(ui.ctx());
        // Space pulls the focused lever. It acts on the selected run only when no lever but the run's row has the
        // focus.
        let focused = ui.memory(|memory| memory.focused());
        let selected = self.store.selected().map(|entry| entry.run.run_id.clone());
        let is_on_row = focused.is_none()
            || selected.is_some_and(|run_id| {
                let is_row = |kind| focused == Some(egui::Id::unique((kind, run_id.as_str())));
                is_row("living run") || is_row("ended run")
            });
        for command in offers::with_shortcut(&self.store, self.state.page) {
            let Some(shortcut) = command.label().shortcut else { continue };
            // No text has F3 in it.
            let is_bare = shortcut.modifiers == egui::Modifiers::NONE && shortcut.logical_key != Key::F3;
            let is_active = if shortcut.logical_key == Key::Escape {
                !is_menu_open
            } else {
                !is_bare || (is_on_row && !is_typing && !is_menu_open)
            };
            if is_active && ui.input_mut(|input| input.consume_shortcut(&shortcut)) {
                out.push(command);
            }
        }
    }

    pub(super) fn run_command(&mut self, ctx: &Context, command: Command, now: DateTime<Utc>) {
        let shows_another = matches!(
            command,
            Command::Show(_)
                | Command::ShowSpan(_)
                | Command::NewJob
                | Command::NewJobOf(_)
                | Command::OpenJob(_)
                | Command::Select(_)
        );
        if shows_another {
            self.store.open_log(None);
        }
        match command {
            Command::Send(Action::Quit(choice)) => {
                self.keep_look(ctx);
                self.leave_desk();
                self.send_requests();
                self.state.overlay = Overlay::Leaving(choice);
                if self.port.send(Action::Quit(choice)).is_err() {
                    self.state.may_close = true;
                    ctx.send_viewport_cmd(ViewportCommand::Close);
                }
            }
            Command::Send(Action::Do(api::Command::Stop(api::Stop { run_id, force: true })))
                if self.state.overlay != Overlay::ForceStop(run_id.clone()) =>
            {
                self.state.overlay = Overlay::ForceStop(run_id);
            }
            Command::Send(action) => {
                if matches!(self.state.overlay, Overlay::ForceStop(_)) {
                    self.state.overlay = Overlay::None;
                }
                if let Action::Do(api::Command::StartRun(_) | api::Command::RunJobNow(_)) = action {
                    self.state.now.await_new();
                }
                self.send(action);
            }
            Command::Undo(index) => {
                for undo in self.state.toasts.take_undo(index) {
                    self.send(Action::Do(undo));
                }
            }
            Command::Log(command) => self.run_log(command),
            Command::Time(command) => self.run_time(command),
            Command::Show(page) => self.go_to(page),
            Command::OpenRun(run_id) => self.open_run(run_id),
            Command::CompareWith(run_id) => self.compare_with(run_id),
            Command::CompareMarked => self.compare_marked(),
            Command::CloseRun => self.close_run(),
            Command::ShowRunTab(tab) => self.state.run_tab = tab,
            Command::SelectPipeline(path) => self.store.select_pipeline(path),
            Command::AskNewPipeline => self.state.overlay = Overlay::NewPipeline(NewPipeline::default()),
            Command::MakePipeline => self.make_pipeline(),
            Command::OpenJob(job_id) => self.open_job(job_id),
            Command::NewJobOf(pipeline) => self.new_job(Some(&pipeline)),
            Command::SelectJob(job_id) => {
                if job_id.is_some() {
                    self.state.page = Page::Schedule;
                }
                self.state.schedule.form = None;
                self.store.select_job(job_id);
            }
            Command::NewJob => self.new_job(None),
            Command::ShowScheduleTab(tab) => self.state.schedule.tab = tab,
            Command::ShowFires(span, is_of_selected) => self.show_fires(span, is_of_selected, now),
            Command::AskBackfill(job_id) => self.ask_backfill(job_id, now),
            Command::RunBackfill => self.run_backfill(),
            Command::ShowJobs(rows) => self.store.want_jobs(rows),
            Command::SaveJob => {
                if let Some(form) = &mut self.state.schedule.form
                    && let Some(action) = form.request(now)
                {
                    (form.is_saving, form.refusal) = (true, None);
                    self.send(action);
                }
            }
            Command::RevertJob => match &mut self.state.schedule.form {
                Some(form) if form.job_id.is_some() => form.revert(),
                form => *form = None,
            },
            Command::AskStart(pipeline_id) => self.ask_start(pipeline_id, None),
            Command::AskStartLike(run_id) => self.ask_start_like(run_id),
            Command::StartForm => self.start_form(),
            Command::OrderNow(order) => {
                self.go_to(Page::Now);
                self.state.now.order = order;
                self.state.now.let_go();
            }
            Command::GroupNow(groups) => {
                self.go_to(Page::Now);
                self.state.now.groups = groups;
                self.state.now.let_go();
            }
            Command::ShowNewRows => self.state.now.let_go(),
            Command::ShowHistoryOf(pipeline_id) => {
                self.go_to(Page::History);
                self.state.history.clear_filter();
                self.state.history.pipeline = Some(pipeline_id);
            }
            Command::SearchHistory(text) => {
                self.go_to(Page::History);
                self.state.history.clear_filter();
                self.state.history.text = text;
            }
            Command::ScheduleForm => self.schedule_form(),
            Command::ShowNewRuns => {
                self.state.history.go_to_top();
                self.store.refresh_runs();
            }
            Command::ClearRunFilter => self.state.history.clear_filter(),
            Command::MarkRun => self.mark_run(),
            Command::MarkNeighbour(neighbour) => self.mark_neighbour(neighbour),
            Command::AskDeleteMarked => {
                let marked = self.state.history.marked.iter().cloned().collect();
                self.state.overlay = Overlay::DeleteRuns(marked);
            }
            Command::DeleteRuns(run_ids) => {
                self.state.overlay = Overlay::None;
                self.state.history.marked.clear();
                self.send(Action::DeleteRuns(run_ids));
            }
            Command::UnmarkRuns => self.state.history.marked.clear(),
            Command::RetryMarked => {
                for run_id in std::mem::take(&mut self.state.history.marked) {
                    self.send(Action::Do(api::Command::retry(&run_id, None)));
                }
            }
            Command::ShowSpan(span) => {
                self.state.page = Page::Machine;
                self.state.machine.span = span;
            }
            Command::SaveLimits => {
                self.state.machine.requests().into_iter().for_each(|action| self.send(action));
            }
            Command::RevertLimits => self.state.machine.revert(),
            Command::AskRemoveJob(job_id) => self.state.overlay = Overlay::RemoveJob(job_id),
            Command::Select(run_id) => self.show_run(run_id),
            Command::SelectNeighbour(neighbour) => self.select_neighbour(neighbour),
            Command::ChooseStep(step_id) => self.store.choose_step(step_id),
            Command::PauseAll => self.send_to_all(RunState::Running, api::Command::pause),
            Command::ResumeAll => self.send_to_all(RunState::Paused, api::Command::resume),
            Command::AskStopAll => self.state.overlay = Overlay::StopAll,
            Command::StopAll => {
                self.state.overlay = Overlay::None;
                for state in [RunState::Queued, RunState::Running, RunState::Paused] {
                    self.send_to_all(state, |run_id| api::Command::stop(run_id, StopKind::Graceful));
                }
            }
            Command::OpenPalette => {
                let typed = ctx.input(|input| {
                    let texts = input.events.iter().filter_map(|event| {
                        if let egui::Event::Text(text) = event { Some(text.as_str()) } else { None }
                    });
                    texts.collect()
                });
                self.store.want_job_names();
                self.state.overlay = Overlay::Palette(PaletteState::typed(typed));
            }
            Command::OpenOutline => self.state.overlay = Overlay::Outline(OutlineState::default()),
            Command::CloseOverlay => self.state.overlay = Overlay::None,
            Command::AskQuit => ctx.send_viewport_cmd(ViewportCommand::Close),
            Command::MarkAway(mark) => self.store.mark_away(mark),
            Command::DismissFailure(index) => self.store.dismiss_failure(index),
            Command::SetScale(percent) => self.set_scale(ctx, percent),
            Command::SetFormats(formats) => self.set_formats(ctx, formats),
            Command::SetDensity(density) => self.set_density(ctx, density),
            Command::SaveSettings => self.save_settings(),
            Command::RevertSettings => self.state.settings.revert(),
            Command::SetTheme(theme) => {
                self.state.theme = theme;
                ctx.set_theme(theme);
                self.keep_look(ctx);
            }
        }
        self.send_requests();
        // The effect shows in the next frame.
        ctx.request_repaint();
    }

    /// The window system asks to close. If runs live or jobs would go on, the operator is asked first. A second request
    /// closes the window.
    fn close(&mut self, ctx: &Context) {
        if self.state.may_close || matches!(self.state.overlay, Overlay::Leaving(_)) {
            self.state.may_close = true;
            return;
        }
        if self.store.living().len() > 0 || self.store.n_jobs_left() > 0 {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.state.overlay = Overlay::Quit;
        } else {
            // Nothing lives that needs a question. The caller of the window shuts the rest down.
            self.keep_look(ctx);
            self.leave_desk();
            self.send_requests();
            self.state.may_close = true;
        }
    }

    pub(super) fn send_requests(&mut self) {
        for request in self.store.take_requests() {
            self.send(request);
        }
    }

    pub(super) fn send(&mut self, action: Action) {
        if let Err(reason) = self.port.send(action.clone()) {
            let about = Command::Send(action).name().to_lowercase();
            self.store.push_failure(about, reason);
        }
    }

    fn send_to_all(&mut self, state: RunState, command_for: impl Fn(&RunId) -> api::Command) {
        let run_ids: Vec<RunId> = self
            .store
            .living()
            .filter(|entry| entry.run.state == state)
            .map(|entry| entry.run.run_id.clone())
            .collect();
        for run_id in run_ids {
            self.send(Action::Do(command_for(&run_id)));
        }
    }
}

impl eframe::App for LeverframeWindow {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.process_updates(ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.paint(ui, Utc::now());
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}
