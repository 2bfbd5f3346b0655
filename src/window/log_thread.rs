//! Reads the log that is open in the window, on a thread of its own: indexes its lines piece by piece, answers questions
//! between two pieces, goes on as the file grows, and searches.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender, TryRecvError, after, never, select, unbounded};

use super::log_view::{LogAnswer, LogExtent, LogFound, LogQuestion, LogRow, LogRows};
use super::port::{AppUpdate, UpdateSender, WindowGone};
use crate::base::id::AttemptKey;
use crate::base::thread::{self, Thread};
use crate::base::wake::bell;
use crate::files;
use crate::logs::{LineIndex, LogSearch, LogTimes, rows_before_end, rows_from, watch_log};

/// The shortest time between two messages about growth or progress.
const PACE: Duration = Duration::from_millis(100);
/// Bytes that are indexed or searched between two looks at the questions: about 2 ms of work.
const STRETCH: u64 = 4 << 20;
/// The most rows of one answer.
const MAX_ROWS: u64 = 1024;
/// The most lines and bytes that are copied.
const MAX_COPIED_LINES: u64 = 100_000;
const MAX_COPIED_BYTES: usize = 8 << 20;

/// The thread of an open log. It ends when this is dropped.
pub(crate) struct LogThread {
    /// Dropped before the thread is joined, which ends it.
    questions: Sender<LogQuestion>,
    _thread: Thread,
}

impl LogThread {
    /// Opens the log at `path`. It need not exist yet.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn open(updates: UpdateSender, path: PathBuf, key: AttemptKey) -> io::Result<Self> {
        // Unbounded: the window asks for rows again only after an answer, and for the rest by hand. When it is closed,
        // the log is.
        let (questions, waiting) = unbounded();
        let _thread = thread::short("lf-log-view", move || {
            let reading = Reading {
                key,
                updates,
                path,
                file: None,
                log_len: 0,
                index: LineIndex::default(),
                search: None,
                moment: None,
                is_told: false,
            };
            // It ends with the window.
            let _ = reading.run(&waiting);
        })?;
        Ok(Self { questions, _thread })
    }

    pub(crate) fn ask(&self, question: LogQuestion) {
        // Fails when the thread has failed, which was said.
        let _ = self.questions.send(question);
    }
}

struct Reading {
    key: AttemptKey,
    updates: UpdateSender,
    path: PathBuf,
    /// None until it is there.
    file: Option<File>,
    log_len: u64,
    index: LineIndex,
    search: Option<(String, LogSearch)>,
    /// A moment whose line is asked for, until it is indexed.
    moment: Option<DateTime<Utc>>,
    /// Whether the window knows how far it is.
    is_told: bool,
}

impl Reading {
    fn run(mut self, questions: &Receiver<LogQuestion>) -> Result<(), WindowGone> {
        let (ring, rung) = bell();
        let changes = watch_log(&self.path, ring);
        // Without a watch it is shown as it is now.
        let growth = if changes.is_ok() { rung } else { never() };
        let (is_quiet, mut pause) = (never(), never());
        let mut is_resting = false;
        self.try_to(Self::look)?;
        loop {
            if self.is_busy() {
                match questions.try_recv() {
                    Ok(question) => self.try_to(|it| it.answer(question))?,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                    Err(TryRecvError::Empty) => self.try_to(Self::work)?,
                }
                if !self.is_busy() || pause.try_recv().is_ok() || !is_resting {
                    self.tell()?;
                    (is_resting, pause) = (true, after(PACE));
                }
                continue;
            }
            if !self.is_told {
                self.tell()?;
            }
            select! {
                recv(questions) -> question => match question {
                    Ok(question) => self.try_to(|it| it.answer(question))?,
                    Err(_) => return Ok(()),
                },
                recv(if is_resting { &is_quiet } else { &growth }) -> _ => {
                    self.try_to(Self::look)?;
                    (is_resting, pause) = (true, after(PACE));
                }
                recv(pause) -> _ => (is_resting, pause) = (false, never()),
            }
        }
    }

    /// Does something with the file. What fails is said, and the log stays as it is.
    fn try_to(
        &mut self,
        act: impl FnOnce(&mut Self) -> io::Result<Option<LogAnswer>>,
    ) -> Result<(), WindowGone> {
        let answer = match act(self) {
            Ok(None) => return Ok(()),
            Ok(Some(answer)) => answer,
            Err(error) => {
                self.file = None;
                (self.log_len, self.search) = (0, None);
                self.index = LineIndex::default();
                LogAnswer::Failed(format!("{}: {error}", self.path.display()))
            }
        };
        self.send(answer)
    }

    fn send(&self, answer: LogAnswer) -> Result<(), WindowGone> {
        self.updates.send(AppUpdate::Log { key: self.key.clone(), answer })
    }

    /// Looks how long it is now, and whether a part of it is gone.
    fn look(&mut self) -> io::Result<Option<LogAnswer>> {
        if self.file.is_none() {
            self.file = open(&self.path)?;
        }
        let Some(file) = &self.file else { return Ok(None) };
        let log_len = file.metadata()?.len();
        if self.index.check(file, log_len)?
            && let Some((_, search)) = &mut self.search
        {
            search.restart();
        }
        self.is_told &= log_len == self.log_len;
        self.log_len = log_len;
        Ok(None)
    }

    fn is_indexed(&self) -> bool {
        self.index.end() >= self.log_len
    }

    fn is_searched(&self) -> bool {
        self.search.as_ref().is_none_or(|(_, search)| search.end() >= self.index.end())
    }

    fn is_busy(&self) -> bool {
        self.file.is_some() && !(self.is_indexed() && self.is_searched())
    }

    /// A stretch of work.
    fn work(&mut self) -> io::Result<Option<LogAnswer>> {
        let Some(file) = &self.file else { return Ok(None) };
        self.is_told = false;
        if !self.is_indexed() {
            let (before, stride) = (self.index.end(), self.index.stride());
            self.index.extend(file, self.log_len, STRETCH)?;
            if self.index.end() == before {
                // It became shorter while it was read.
                return self.look();
            }
            let reached = self.reached()?;
            if self.index.stride() != stride
                && let Some((_, search)) = &mut self.search
            {
                search.restart();
            }
            return Ok(reached);
        } else if let Some((_, search)) = &mut self.search {
            let before = search.end();
            search.extend(file, &self.index, STRETCH)?;
            if search.end() == before {
                return self.look();
            }
        }
        Ok(None)
    }

    /// The line of the moment that is asked for, once it is indexed.
    fn reached(&mut self) -> io::Result<Option<LogAnswer>> {
        let (Some(file), Some(at)) = (&self.file, self.moment) else { return Ok(None) };
        // Without a time index there is no answer, and it stays where it is.
        let offset = LogTimes::open(&self.path)?.map(|times| times.offset_at(at)).transpose()?;
        if offset.is_some_and(|offset| offset >= self.index.end()) && !self.is_indexed() {
            return Ok(None);
        }
        self.moment = None;
        let line = offset.map(|offset| self.index.line_of(file, offset)).transpose()?;
        Ok(line.map(LogAnswer::Reached))
    }

    fn tell(&mut self) -> Result<(), WindowGone> {
        self.is_told = true;
        self.send(LogAnswer::Extent(self.extent()))?;
        match &self.search {
            Some((text, search)) => self.send(LogAnswer::Found(LogFound {
                text: text.clone(),
                n_hits: search.n_hits(),
                places: search.places(&self.index),
                is_whole: self.is_indexed() && self.is_searched(),
            })),
            None => Ok(()),
        }
    }

    fn extent(&self) -> LogExtent {
        let (n_lines, n_indexed) = (self.index.n_lines(), self.index.end());
        let estimate = match n_indexed {
            0 => self.log_len / 80,
            _ if self.is_indexed() => n_lines,
            _ => (u128::from(n_lines) * u128::from(self.log_len) / u128::from(n_indexed)) as u64,
        };
        LogExtent { exists: self.file.is_some(), n_lines: estimate, log_len: self.log_len, n_indexed }
    }

    fn answer(&mut self, question: LogQuestion) -> io::Result<Option<LogAnswer>> {
        let file = match (&self.file, question) {
            (_, LogQuestion::Search(text)) => {
                self.search = LogSearch::new(&text).map(|search| (text, search));
                self.is_told = false;
                return Ok(None);
            }
            (_, LogQuestion::AtTime(at)) => {
                self.moment = Some(at);
                return self.reached();
            }
            (None, LogQuestion::Rows(lines)) => {
                let rows = LogRows { first: lines.start, ..LogRows::default() };
                return Ok(Some(LogAnswer::Rows(rows)));
            }
            (None, LogQuestion::Next(_) | LogQuestion::Previous(_) | LogQuestion::Copy(_)) => {
                return Ok(None);
            }
            (Some(file), question) => (file, question),
        };
        let (file, question) = file;
        Ok(Some(match question {
            LogQuestion::Rows(lines) => LogAnswer::Rows(self.rows(file, lines.start, lines.end)?),
            LogQuestion::Copy(lines) => LogAnswer::Copied(self.text(file, lines.start, lines.end)?),
            LogQuestion::Next(line) => LogAnswer::Hit(match &self.search {
                Some((_, search)) => search.next(file, &self.index, line)?,
                None => None,
            }),
            LogQuestion::Previous(line) => LogAnswer::Hit(match &self.search {
                Some((_, search)) => search.previous(file, &self.index, line)?,
                None => None,
            }),
            LogQuestion::Search(_) | LogQuestion::AtTime(_) => return Ok(None),
        }))
    }

    fn rows(&self, file: &File, first: u64, end: u64) -> io::Result<LogRows> {
        let extent = self.extent();
        let end = end.min(extent.n_lines).min(first + MAX_ROWS);
        if end <= self.index.n_lines() {
            let rows = self.index.rows(file, first..end)?;
            return Ok(LogRows { first, rows, extent, is_exact: true });
        }
        let n_rows = end.saturating_sub(first);
        let rows = if end >= extent.n_lines {
            rows_before_end(file, self.log_len, n_rows)?
        } else {
            let at = u128::from(first) * u128::from(self.log_len) / u128::from(extent.n_lines.max(1));
            rows_from(file, at as u64, self.log_len, n_rows)?
        };
        let first = if end >= extent.n_lines { end.saturating_sub(rows.len() as u64) } else { first };
        Ok(LogRows { first, rows, extent, is_exact: false })
    }

    fn text(&self, file: &File, first: u64, end: u64) -> io::Result<String> {
        let mut text = String::new();
        let end = end.min(first + MAX_COPIED_LINES).min(self.index.n_lines());
        let mut line = first;
        while line < end && text.len() < MAX_COPIED_BYTES {
            let rows = self.index.rows(file, line..end.min(line + MAX_ROWS))?;
            if rows.is_empty() {
                break;
            }
            line += rows.len() as u64;
            for row in rows {
                match row {
                    LogRow::Text { text: line, .. } => text.push_str(&line.text),
                    LogRow::Dropped(n_bytes) => text.push_str(&format!("… {n_bytes} bytes dropped here …")),
                }
                text.push('\n');
            }
        }
        Ok(text)
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match files::open_to_read(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::super::port::{WindowPort, window_port};
    use super::*;
    use crate::base::id::{RunId, StepId};

    fn open_at(path: &Path) -> (LogThread, WindowPort) {
        let (port, world) = window_port();
        let (run_id, step_id) = (RunId::new("a-1").unwrap(), StepId::new("fetch").unwrap());
        let key = AttemptKey { run_id, step_id, attempt: 1 };
        (LogThread::open(world.updates, path.to_owned(), key).unwrap(), port)
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The first answer that is looked for.
    fn wait_for(port: &WindowPort, is_it: impl Fn(&LogAnswer) -> bool) -> LogAnswer {
        loop {
            let update = port.updates().recv_timeout(Duration::from_secs(20)).unwrap();
            let AppUpdate::Log { answer, .. } = update else { panic!("{update:?}") };
            if is_it(&answer) {
                return answer;
            }
        }
    }

    fn has_lines(n_lines: u64) -> impl Fn(&LogAnswer) -> bool {
        move |answer| matches!(answer, LogAnswer::Extent(extent) if extent.n_lines == n_lines && extent.is_exact())
    }

    #[test]
    fn a_log_is_read_from_before_it_exists_and_as_it_grows_and_is_searched_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fetch.1.log");
        let (log, port) = open_at(&path);
        wait_for(&port, |answer| matches!(answer, LogAnswer::Extent(extent) if !extent.exists));
        append(&path, "one\ntwo\n");
        wait_for(&port, has_lines(2));
        log.ask(LogQuestion::Search("t".into()));
        let found = |n_hits| move |answer: &LogAnswer| matches!(answer, LogAnswer::Found(found) if found.n_hits == n_hits && found.is_whole);
        wait_for(&port, found(1));
        append(&path, "three\n");
        wait_for(&port, found(2));
        log.ask(LogQuestion::Next(Some(1)));
        let hit = wait_for(&port, |answer| matches!(answer, LogAnswer::Hit(_)));
        assert!(matches!(hit, LogAnswer::Hit(Some(hit)) if (hit.line, hit.ordinal) == (2, 1)), "{hit:?}");
        log.ask(LogQuestion::Copy(1..9));
        let copied = wait_for(&port, |answer| matches!(answer, LogAnswer::Copied(_)));
        assert_eq!(copied, LogAnswer::Copied("two\nthree\n".into()));
        log.ask(LogQuestion::Rows(1..9));
        let rows = wait_for(&port, |answer| matches!(answer, LogAnswer::Rows(_)));
        assert!(matches!(rows, LogAnswer::Rows(rows) if (rows.first, rows.rows.len()) == (1, 2)));
    }

    #[test]
    fn a_log_that_is_removed_while_it_is_read_stays_readable_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fetch.1.log");
        append(&path, "one\ntwo\n");
        let (log, port) = open_at(&path);
        wait_for(&port, has_lines(2));
        std::fs::remove_file(&path).unwrap();
        log.ask(LogQuestion::Rows(0..9));
        let rows = wait_for(&port, |answer| matches!(answer, LogAnswer::Rows(_)));
        assert!(matches!(rows, LogAnswer::Rows(rows) if rows.rows.len() == 2));
    }

    #[test]
    fn a_log_that_can_not_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let (_log, port) = open_at(dir.path());
        let failed = wait_for(&port, |answer| matches!(answer, LogAnswer::Failed(_)));
        assert!(matches!(failed, LogAnswer::Failed(why) if why.contains(dir.path().to_str().unwrap())));
    }
}
