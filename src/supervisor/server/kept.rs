//! Logs of ended steps that what they left behind (`background = "keep"`) still writes to: moved until nobody does, by
//! whichever supervisor lives. Otherwise what was kept would stand still for ever, at a pipe that is full.

use std::io;

use super::Server;
use crate::process::tree;
use crate::supervisor::journal::{Entry, Record};
use crate::supervisor::log::Log;
use crate::supervisor::process;
use crate::supervisor::process::{ProcId, ProcTable};
use crate::supervisor::reaper::Inherited;

impl Server {
    /// From here on only those that were left behind write to this log.
    pub(super) fn keep_log(&mut self, n: u64) {
        self.remember(Record::LogKept { n });
        self.kept_logs.insert(n);
        self.mover.keep(n);
    }

    /// None of them is left, or none wants to write any more.
    pub(super) fn kept_log_closed(&mut self, n: u64) {
        self.kept_logs.remove(&n);
        self.mover.remove(n);
        self.remember(Record::LogClosed { n });
        self.tell_capacity();
    }

    /// Goes on with a log that a predecessor kept: from the pipe that it had open, else from that of one who writes.
    pub(super) fn recover_kept_log(
        &mut self,
        n: u64,
        entry: &Entry,
        table: &ProcTable,
        inherited: &mut Inherited,
    ) -> io::Result<()> {
        let inode = entry.spawned.as_ref().and_then(|spawned| spawned.pipe);
        let writers = match inode {
            Some(inode) => table.writers_to(inode)?.to_vec(),
            None => Vec::new(),
        };
        let writers: Vec<ProcId> = writers.iter().filter_map(|pid| Some(table.get(*pid)?.id)).collect();
        let pipe = inode.and_then(|inode| inherited.claim(inode));
        let reopen =
            || writers.iter().find_map(|id| process::reopen_output_pipe(id.pid, inode)).map(|it| it.1);
        let log = pipe
            .or_else(reopen)
            .and_then(|pipe| Log::open(&entry.start.log_path, pipe, entry.start.log_limit).ok());
        let bearers = tree::bearers_of(&entry.start.token, table, self.me)?;
        self.kept.extend(bearers.iter().map(|p| p.id).chain(writers));
        let is_moved = log.is_some_and(|log| self.mover.add(n, log).is_ok());
        if is_moved {
            self.keep_log(n);
        } else {
            self.kept_log_closed(n);
        }
        Ok(())
    }
}
