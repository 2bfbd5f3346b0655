//! What keys and signals do to the run: stop, freeze, thaw, or leave.

use rustix::process::Signal;

use super::super::exit::Failure;
use super::super::output::note;
use super::link::Link;
use super::question::{QUESTION, Question, Reply};
use super::{End, Foreground, StopAsked, Suspension};
use crate::api::{Command, Stop};
use crate::base::id::RunId;
use crate::daemon::{Joined, ServeFor, join};
use crate::engine::ShutdownKind;
use crate::run::RunState;
use crate::settings::Settings;

impl Foreground {
    /// Ctrl-C: stops the run, the second time by force. If another process drives the run, the operator is asked first,
    /// if there is a terminal for the question.
    pub(super) fn stop(&mut self, run_id: &RunId) {
        let is_elsewhere = self.engine().is_none();
        if is_elsewhere && self.asked == StopAsked::No && Question::can_be_asked() {
            self.painter.remark(QUESTION);
            self.asked = StopAsked::Question;
            // Without a thread to wait for the reply, the next Ctrl-C stops.
            self.question = Question::ask().unwrap_or_else(|_| Question::none());
            return;
        }
        self.suspension = Suspension::None;
        let (force, text, next) = match self.asked {
            StopAsked::No | StopAsked::Question => {
                let text = "stopping the run; Ctrl-C again stops it by force";
                (false, text, StopAsked::InGoodOrder)
            }
            StopAsked::InGoodOrder | StopAsked::AtOnce => {
                (true, "stopping the run by force", StopAsked::AtOnce)
            }
        };
        match self.command(Stop { run_id: run_id.clone(), force }.into()) {
            Ok(()) => self.painter.remark(text),
            // The run may just have ended, which is shown next, or be stopping already.
            Err(failure) => self.remark_failure(&failure),
        }
        self.asked = next;
    }

    pub(super) fn hear_reply(&mut self, reply: Reply, run_id: &RunId) -> Option<End> {
        match reply {
            Reply::Stop => self.stop(run_id),
            Reply::GoOn => self.asked = StopAsked::No,
            Reply::Leave => return Some(self.leave(run_id, 0)),
        }
        None
    }

    fn remark_failure(&mut self, failure: &Failure) {
        self.painter.remark(&format!("leverframe: {}", failure.message.as_deref().unwrap_or("it failed")));
    }

    pub(super) fn freeze(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let is_paused = self.run(run_id)?.is_some_and(|run| run.state == RunState::Paused);
        if is_paused {
            // It was frozen before by another client, so this process will not thaw it.
            return self.suspend(run_id);
        }
        match self.command(Command::pause(run_id)) {
            Ok(()) => {
                self.suspension = Suspension::Freezing;
                self.painter.remark("freezing the run …");
                Ok(())
            }
            Err(failure) => {
                self.remark_failure(&failure);
                self.painter.remark("its steps go on meanwhile");
                self.suspend(run_id)
            }
        }
    }

    /// Lets a background process be the engine, because a stopped process would answer no one. The run is followed
    /// there.
    fn pass_on(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let Some(service) = self.link.backend.take_service() else { return Ok(()) };
        match service.leave_behind(ShutdownKind::LeaveSteps, ServeFor::WhatRuns) {
            Ok(()) => {
                // Its last events are about this run too.
                while let Some(event) = self.link.events.try_recv() {
                    self.seq = self.seq.max(Some(event.seq));
                    if event.run_id.as_ref() == Some(run_id) {
                        self.painter.show(&event);
                    }
                }
                self.follow_elsewhere(run_id)
            }
            Err(why) => {
                self.painter.remark(&format!("leverframe: {why}; steps that run go on to their end"));
                Ok(())
            }
        }
    }

    /// Continues with the engine that has taken over, if there is one. Otherwise it is looked for when this process
    /// continues.
    fn follow_elsewhere(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let backend = &self.link.backend;
        let (dir, settings) = (backend.data_dir().clone(), Settings::clone(&backend.settings().now()));
        if let Ok(Joined::Client(client)) = join(&dir) {
            self.link = Link::live(client, dir, settings, run_id, self.seq)?;
        }
        Ok(())
    }

    /// Stops this process, as Ctrl-Z would have done: the shell says so, and `fg` continues it.
    pub(super) fn suspend(&mut self, run_id: &RunId) -> Result<(), Failure> {
        if self.suspension == Suspension::Freezing {
            self.suspension = Suspension::Frozen;
            self.painter.remark("the run is frozen; `fg` lets it go on");
        }
        self.pass_on(run_id)?;
        self.painter.clear();
        self.painter.flush();
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)
            .map_err(|errno| Failure::from(std::io::Error::from(errno)))
    }

    /// `fg`: thaws the run, if it was frozen for this process.
    pub(super) fn thaw(&mut self, run_id: &RunId) -> Result<Option<End>, Failure> {
        let was_frozen = std::mem::replace(&mut self.suspension, Suspension::None) == Suspension::Frozen;
        if was_frozen
            && self.link.events.is_over()
            && let Some(end) = self.rejoin(run_id)?
        {
            return Ok(Some(end));
        }
        if was_frozen && let Err(failure) = self.command(Command::resume(run_id)) {
            self.remark_failure(&failure);
        }
        Ok(None)
    }

    /// Stops following. The run goes on.
    pub(super) fn leave(&mut self, run_id: &RunId, code: u8) -> End {
        self.painter.clear();
        match self.engine() {
            Some(_) => note(format_args!(
                "leaving: the steps of run {run_id} go on to their end; `leverframe resume {run_id}` continues it"
            )),
            None => note(format_args!(
                "leaving: run {run_id} goes on; `leverframe stop {run_id}` stops it, `leverframe show {run_id}` shows it"
            )),
        }
        End::Left(code)
    }
}
