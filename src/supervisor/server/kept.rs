//! Logs of ended steps whose background processes (`background = "keep"`) still write to them. Each supervisor goes on
//! moving such a log until no process can write to it. Otherwise the pipe would become full and block these processes
//! for ever.

use std::io;

use super::Server;
use crate::process::tree;
use crate::supervisor::journal::{Entry, Record};
use crate::supervisor::log::Log;
use crate::supervisor::process;
use crate::supervisor::process::{ProcId, ProcTable};
use crate::supervisor::reaper::Inherited;

impl Server {
    /// From here on only kept background processes write to this log.
    pub(super) fn keep_log(&mut self, n: u64) {
        self.remember(Record::LogKept { n });
        self.kept_logs.insert(n);
        self.mover.keep(n);
    }

    /// No process can write to this log any more.
    pub(super) fn kept_log_closed(&mut self, n: u64) {
        self.kept_logs.remove(&n);
        self.mover.remove(n);
        self.remember(Record::LogClosed { n });
        self.send_capacity();
    }

    /// Goes on with a log that a predecessor kept: from the predecessor's open pipe, else from the pipe of a process
    /// that writes to it.
    pub(super) fn recover_kept_log(
        &mut self,
        n: u64,
        entry: &Entry,
        table: &ProcTable,
        inherited: &mut Inherited,
    ) -> io::Result<()> {
        let inode = entry.spawned.as_ref().and_then(|spawned| spawned.pipe);
        let writers = match inode {
            Some(inode) => table.writing_to(inode)?.to_vec(),
            None => Vec::new(),
        };
        let writers: Vec<ProcId> = writers.iter().filter_map(|pid| Some(table.get(*pid)?.id)).collect();
        let pipe = inode.and_then(|inode| inherited.claim(inode));
        let reopen =
            || writers.iter().find_map(|id| process::reopen_output_pipe(id.pid, inode)).map(|it| it.1);
        let log = pipe
            .or_else(reopen)
            .and_then(|pipe| Log::open(&entry.start.log_path, pipe, entry.start.log_limit).ok());
        let holders = tree::processes_with_token(&entry.start.token, table, self.me)?;
        self.kept.extend(holders.iter().map(|p| p.id).chain(writers));
        let is_moved = log.is_some_and(|log| self.mover.add(n, log).is_ok());
        if is_moved {
            self.keep_log(n);
        } else {
            self.kept_log_closed(n);
        }
        Ok(())
    }
}
