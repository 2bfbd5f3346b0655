//! Shows a run in the foreground: progress bars on a terminal, plain lines elsewhere, JSON for programs.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::exit::Failure;
use super::output::{Colour, Colours, Form, Page, clock_time, for_terminal, moves_cursor, note, printable};
use super::sentences::{Sentence, sentence};
use crate::base::id::StepId;
use crate::engine;
use crate::run::{Event, EventKind, RunState, StepState};

/// The shortest time between two plain lines of progress of the same step.
const PROGRESS_EVERY_MS: u64 = 1000;
/// How often a bar updates its elapsed time.
const TICK: Duration = Duration::from_secs(1);

/// Shows the events of one run.
pub(super) enum Painter {
    /// On a terminal whose cursor can be moved.
    Bars(Bars),
    /// One line for each event, for logs of other programs.
    Lines(Lines),
    /// One event on each line.
    Json(Page),
    /// The output has no reader any more; the run goes on.
    Silent,
}

impl Painter {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Json => Self::Json(Page::new()),
            // Bars are drawn on standard error. If that is not a terminal, they would show nothing.
            Form::Text if moves_cursor(&io::stdout()) && moves_cursor(&io::stderr()) => {
                Self::Bars(Bars::new())
            }
            Form::Text => Self::Lines(Lines { page: Page::new(), shown_ms: HashMap::new() }),
        }
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event) {
        let shown = match self {
            Self::Bars(bars) => {
                bars.show(event);
                Ok(())
            }
            Self::Lines(lines) => lines.show(event),
            Self::Json(page) => page.document_line(event),
            Self::Silent => Ok(()),
        };
        self.handle_outcome(shown);
    }

    /// Makes everything visible that was shown.
    pub(super) fn flush(&mut self) {
        let flushed = match self {
            Self::Bars(_) | Self::Silent => Ok(()),
            Self::Lines(lines) => lines.page.flush(),
            Self::Json(page) => page.flush(),
        };
        self.handle_outcome(flushed);
    }

    /// Output that fails (its reader is gone, or a disk is full) must not end the run: nothing is shown any more.
    fn handle_outcome(&mut self, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            *self = Self::Silent;
            if let Some(message) = failure.message {
                note(format_args!("leverframe: progress can't be printed any more: {message}"));
            }
        }
    }

    /// Prints a remark to standard error.
    pub(super) fn remark(&mut self, text: &str) {
        match self {
            Self::Bars(bars) => bars.all.suspend(|| note(text)),
            Self::Lines(lines) => {
                // Keeps the order of the two streams as far as possible.
                let _ = lines.page.flush();
                note(text);
            }
            Self::Json(_) | Self::Silent => note(text),
        }
    }

    /// Removes the bars: the run is over, or another program uses the terminal for a while.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Bars(bars) => bars.clear(),
            Self::Lines(_) | Self::Json(_) | Self::Silent => {}
        }
    }

    /// Whether the output is for people.
    pub(super) fn is_for_people(&self) -> bool {
        match self {
            Self::Bars(_) | Self::Lines(_) => true,
            Self::Json(_) | Self::Silent => false,
        }
    }
}

/// Plain lines.
pub(super) struct Lines {
    page: Page,
    /// When the progress of a step was last shown.
    shown_ms: HashMap<StepId, u64>,
}

impl Lines {
    fn show(&mut self, event: &Event) -> Result<(), Failure> {
        if let EventKind::StepProgress { step_id, .. } = &event.kind {
            let now_ms = engine::now().awake_ms;
            let is_early =
                self.shown_ms.get(step_id).is_some_and(|shown_at| now_ms < shown_at + PROGRESS_EVERY_MS);
            if is_early {
                return Ok(());
            }
            self.shown_ms.insert(step_id.clone(), now_ms);
        }
        match sentence(&event.kind, event.at) {
            Some(Sentence::Story(text)) => {
                self.page.line(format_args!("{} {text}", clock_time(event.at)))?;
            }
            Some(Sentence::Warning(text)) => {
                self.page.flush()?;
                note(format_args!("{} warning: {text}", clock_time(event.at)));
            }
            None => {}
        }
        Ok(())
    }
}

/// Bars: one for the run, and one for each step that runs.
pub(super) struct Bars {
    all: MultiProgress,
    run: ProgressBar,
    steps: HashMap<StepId, ProgressBar>,
    colours: Colours,
}

/// The length of a bar; progress is a fraction of it.
const WHOLE: u64 = 1000;

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let run = all.add(ProgressBar::new(WHOLE));
        run.set_style(style("{prefix} {bar:24} {percent:>3} %  {elapsed}  {wide_msg}"));
        run.enable_steady_tick(TICK);
        Self { all, run, steps: HashMap::new(), colours: Colours::of_terminal(&io::stdout()) }
    }

    fn show(&mut self, event: &Event) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "bars show runs and steps; all else is told in sentences"
        )]
        match &event.kind {
            EventKind::ExecutionStarted { run, .. }
            | EventKind::ExecutionRunning { run }
            | EventKind::ExecutionQueued { run } => self.run.set_prefix(run.run_id.to_string()),
            EventKind::ExecutionResumed { run, .. } => {
                self.run.set_prefix(run.run_id.to_string());
                self.run.set_message("");
            }
            EventKind::ExecutionPaused { .. } => self.run.set_message("frozen"),
            EventKind::ExecutionStopping { .. } => self.run.set_message("stopping"),
            EventKind::ExecutionProgress { progress, .. } => self.run.set_position(whole(*progress)),
            EventKind::StepStarted { step } => self.step_bar(&step.step_id),
            EventKind::StepChanged { step } => {
                if let Some(bar) = self.steps.get(&step.step_id) {
                    bar.set_message(if step.state == StepState::Paused { "frozen" } else { "" });
                } else if step.state.is_live() {
                    self.step_bar(&step.step_id);
                }
            }
            EventKind::StepProgress { step_id, progress, message } => {
                self.step_bar(step_id);
                if let Some(bar) = self.steps.get(step_id) {
                    bar.set_position(whole(*progress));
                    bar.set_message(printable(message.as_deref().unwrap_or_default()));
                }
                return;
            }
            EventKind::StepFinished { step } => {
                if let Some(bar) = self.steps.remove(&step.step_id) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            EventKind::ExecutionStopped { .. }
            | EventKind::ExecutionCompleted { .. }
            | EventKind::ExecutionFailed { .. }
            | EventKind::ExecutionForceStopped { .. }
            | EventKind::ExecutionInterrupted { .. } => {
                // The bars are removed: nothing more follows.
                self.steps.drain().for_each(|(_, bar)| bar.finish_and_clear());
                self.run.finish_and_clear();
            }
            _ => {}
        }
        self.print_story(event);
    }

    /// Prints the sentence of an event above the bars.
    fn print_story(&self, event: &Event) {
        let (text, colour) = match sentence(&event.kind, event.at) {
            Some(Sentence::Story(text)) => (text, colour_of(&event.kind)),
            Some(Sentence::Warning(text)) => (format!("warning: {text}"), Colour::Held),
            None => return,
        };
        let time = self.colours.paint(Colour::Faint, &clock_time(event.at));
        let line = format!("{time} {}", self.colours.paint(colour, &text));
        // If the terminal is gone, SIGHUP comes.
        let _ = self.all.println(for_terminal(&line, self.colours));
    }

    fn step_bar(&mut self, step_id: &StepId) {
        if self.steps.contains_key(step_id) {
            return;
        }
        let bar = self.all.add(ProgressBar::new(WHOLE));
        bar.set_style(style("  {prefix:20!} {bar:20} {percent:>3} %  {elapsed}  {wide_msg}"));
        bar.set_prefix(step_id.to_string());
        bar.enable_steady_tick(TICK);
        self.steps.insert(step_id.clone(), bar);
    }

    fn clear(&mut self) {
        // A terminal that is gone need not be cleared.
        let _ = self.all.clear();
    }
}

fn colour_of(kind: &EventKind) -> Colour {
    let run = kind.run().map(|run| run.state);
    let step = kind.step().map(|step| step.state);
    match (run, step) {
        (Some(RunState::Completed), _) | (_, Some(StepState::Completed)) => Colour::Good,
        (Some(RunState::Failed | RunState::Interrupted), _)
        | (_, Some(StepState::Failed | StepState::Interrupted)) => Colour::Bad,
        (Some(RunState::Paused | RunState::Stopped | RunState::ForceStopped), _) => Colour::Held,
        (_, _) => Colour::Plain,
    }
}

fn whole(progress: f64) -> u64 {
    (progress.clamp(0.0, 1.0) * WHOLE as f64) as u64
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸ ")
}
