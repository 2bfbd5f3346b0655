//! Reads the log that is open in the window, on a thread of its own: indexes its lines piece by piece, answers questions
//! between two pieces, goes on as the file grows, and searches.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender, TryRecvError, after, never, select, unbounded};

use super::log_view::{LogAnswer, LogExtent, LogFound, LogOf, LogQuestion, LogRow, LogRows};
use super::port::{AppUpdate, UpdateSender, WindowGone};
use crate::base::id::AttemptKey;
use crate::base::thread::{self, Thread};
use crate::base::wake::bell;
use crate::files;
use crate::logs::{LineIndex, LogMerge, LogSearch, LogTimes, rows_before_end, rows_from, watch_log};
use crate::run::log_path;

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
    /// Opens a log. It need not exist yet.
    ///
    /// # Errors
    /// The system has no thread left, or logs that are to be merged can't be.
    pub(crate) fn open(updates: UpdateSender, data_dir: &Path, of: LogOf) -> io::Result<Self> {
        let log_file = |key: &AttemptKey| data_dir.join(log_path(&key.run_id, &key.step_id, key.attempt));
        let source = match &of {
            LogOf::Attempt(key) => Source::File(log_file(key)),
            LogOf::Merged(keys) => {
                let is_one_run = keys.iter().all(|key| key.run_id == keys[0].run_id);
                let logs = keys.iter().map(|key| {
                    let name = match (is_one_run, key.attempt) {
                        (true, 1) => key.step_id.to_string(),
                        (true, attempt) => format!("{}.{attempt}", key.step_id),
                        (false, _) => format!("{}/{}", key.run_id, key.step_id),
                    };
                    (name, log_file(key))
                });
                let merge = LogMerge::new(logs.collect(), data_dir)?;
                Source::Merged(Box::new(merge))
            }
        };
        Self::start(updates, source, of)
    }

    fn start(updates: UpdateSender, source: Source, of: LogOf) -> io::Result<Self> {
        // Unbounded: the window asks for rows again only after an answer, and for the rest by hand. When it is closed,
        // the log is.
        let (questions, waiting) = unbounded();
        let _thread = thread::short("lf-log-view", move || {
            let reading = Reading {
                of,
                updates,
                source,
                has_more: false,
                is_filtered: false,
                begun_at: None,
                file: None,
                is_removed: false,
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

/// Where the text comes from.
enum Source {
    /// The log at this path.
    File(PathBuf),
    Merged(Box<LogMerge>),
}

impl Source {
    /// The logs that are read.
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::File(path) => vec![path],
            Self::Merged(merge) => merge.paths().collect(),
        }
    }
}

struct Reading {
    of: LogOf,
    updates: UpdateSender,
    source: Source,
    /// Whether more is to be merged.
    has_more: bool,
    /// Whether rows are those that match.
    is_filtered: bool,
    /// When the log began.
    begun_at: Option<DateTime<Utc>>,
    /// None until it is there.
    file: Option<File>,
    is_removed: bool,
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
        let changes: Result<Vec<_>, _> =
            self.source.paths().into_iter().map(|path| watch_log(path, ring.clone())).collect();
        // Without a watch it is shown as it is now.
        let growth = if changes.is_ok() { rung } else { never() };
        drop(ring);
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
                (self.file, self.is_removed) = (None, false);
                (self.log_len, self.search) = (0, None);
                self.index = LineIndex::default();
                self.has_more = false;
                let path = self.source.paths().first().map(|path| path.display().to_string());
                LogAnswer::Failed(format!("{}: {error}", path.unwrap_or_default()))
            }
        };
        self.send(answer)
    }

    fn send(&self, answer: LogAnswer) -> Result<(), WindowGone> {
        self.updates.send(AppUpdate::Log { of: self.of.clone(), answer })
    }

    /// Looks how long it is now, and whether a part of it is gone.
    fn look(&mut self) -> io::Result<Option<LogAnswer>> {
        match &mut self.source {
            Source::File(path) => {
                if self.file.is_none() {
                    self.file = open(path)?;
                }
                if self.begun_at.is_none()
                    && let Some(times) = LogTimes::open(path)?
                {
                    self.begun_at = times.begun_at()?;
                }
            }
            Source::Merged(merge) => {
                merge.look()?;
                if self.file.is_none() {
                    self.file = Some(merge.file().try_clone()?);
                }
                self.has_more = true;
                return Ok(None);
            }
        }
        let Some(file) = &self.file else { return Ok(None) };
        let metadata = file.metadata()?;
        let log_len = metadata.len();
        let is_removed = matches!(self.source, Source::File(_)) && metadata.nlink() == 0;
        if self.index.check(file, log_len)?
            && let Some((_, search)) = &mut self.search
        {
            search.restart();
        }
        self.is_told &= log_len == self.log_len && is_removed == self.is_removed;
        (self.log_len, self.is_removed) = (log_len, is_removed);
        Ok(None)
    }

    fn is_indexed(&self) -> bool {
        self.index.end() >= self.log_len
    }

    fn is_searched(&self) -> bool {
        self.search.as_ref().is_none_or(|(_, search)| search.end() >= self.index.end())
    }

    fn is_busy(&self) -> bool {
        self.has_more || self.file.is_some() && !(self.is_indexed() && self.is_searched())
    }

    /// A stretch of work.
    fn work(&mut self) -> io::Result<Option<LogAnswer>> {
        let Some(file) = &self.file else { return Ok(None) };
        self.is_told = false;
        if let Source::Merged(merge) = &mut self.source
            && self.has_more
        {
            self.has_more = merge.extend(STRETCH)?;
            (self.log_len, self.begun_at) = (merge.merged_len(), merge.begun_at());
            return self.reached();
        }
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
        let offset = match &self.source {
            Source::File(path) => LogTimes::open(path)?.map(|times| times.offset_at(at)).transpose()?,
            Source::Merged(_) if self.has_more => return Ok(None),
            Source::Merged(merge) => Some(merge.offset_at(at)),
        };
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
        LogExtent {
            exists: self.file.is_some(),
            is_removed: self.is_removed,
            n_lines: estimate,
            log_len: self.log_len,
            n_indexed,
            begun_at: self.begun_at,
        }
    }

    fn answer(&mut self, question: LogQuestion) -> io::Result<Option<LogAnswer>> {
        let file = match (&self.file, question) {
            (_, LogQuestion::Search(text)) => {
                self.search = LogSearch::new(&text).map(|search| (text, search));
                self.is_told = false;
                return Ok(None);
            }
            (_, LogQuestion::Filter(is_filtered)) => {
                self.is_filtered = is_filtered;
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
            LogQuestion::Search(_) | LogQuestion::Filter(_) | LogQuestion::AtTime(_) => return Ok(None),
        }))
    }

    fn rows(&self, file: &File, first: u64, end: u64) -> io::Result<LogRows> {
        let extent = self.extent();
        if self.is_filtered {
            let numbers = self.matching(file, first..end.min(first + MAX_ROWS))?;
            let mut rows = Vec::new();
            for line in &numbers {
                rows.extend(self.index.rows(file, *line..line + 1)?);
            }
            return Ok(LogRows { first, rows, numbers: Some(numbers), extent, is_exact: true });
        }
        let n_wanted = end.saturating_sub(first).min(MAX_ROWS);
        let end = end.min(extent.n_lines).min(first + MAX_ROWS);
        // There are fewer lines than were estimated when these were asked for: the last ones are meant.
        let first = if first >= end { end.saturating_sub(n_wanted) } else { first };
        if end <= self.index.n_lines() {
            let rows = self.index.rows(file, first..end)?;
            return Ok(LogRows { first, rows, numbers: None, extent, is_exact: true });
        }
        let n_rows = end.saturating_sub(first);
        let rows = if end >= extent.n_lines {
            rows_before_end(file, self.log_len, n_rows)?
        } else {
            let at = u128::from(first) * u128::from(self.log_len) / u128::from(extent.n_lines.max(1));
            rows_from(file, at as u64, self.log_len, n_rows)?
        };
        let first = if end >= extent.n_lines { end.saturating_sub(rows.len() as u64) } else { first };
        Ok(LogRows { first, rows, numbers: None, extent, is_exact: false })
    }

    /// The lines of these hits.
    fn matching(&self, file: &File, hits: Range<u64>) -> io::Result<Vec<u64>> {
        match &self.search {
            Some((_, search)) => search.lines(file, &self.index, hits),
            None => Ok(Vec::new()),
        }
    }

    fn text(&self, file: &File, first: u64, end: u64) -> io::Result<String> {
        let mut text = String::new();
        if self.is_filtered {
            for line in self.matching(file, first..end.min(first + MAX_COPIED_LINES))? {
                if text.len() > MAX_COPIED_BYTES {
                    break;
                }
                self.index.rows(file, line..line + 1)?.iter().for_each(|row| copy_into(&mut text, row));
            }
            return Ok(text);
        }
        let end = end.min(first + MAX_COPIED_LINES).min(self.index.n_lines());
        let mut line = first;
        while line < end && text.len() < MAX_COPIED_BYTES {
            let rows = self.index.rows(file, line..end.min(line + MAX_ROWS))?;
            if rows.is_empty() {
                break;
            }
            line += rows.len() as u64;
            rows.iter().for_each(|row| copy_into(&mut text, row));
        }
        Ok(text)
    }
}

fn copy_into(text: &mut String, row: &LogRow) {
    match row {
        LogRow::Text { text: line, .. } => text.push_str(&line.text),
        LogRow::Dropped(n_bytes) => text.push_str(&format!("… {n_bytes} bytes dropped here …")),
    }
    text.push('\n');
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

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::port::{WindowPort, window_port};
    use super::*;
    use crate::base::id::{RunId, StepId};

    fn open_at(path: &Path) -> (LogThread, WindowPort) {
        let (port, world) = window_port();
        let (run_id, step_id) = (RunId::new("a-1").unwrap(), StepId::new("fetch").unwrap());
        let key = AttemptKey { run_id, step_id, attempt: 1 };
        (LogThread::start(world.updates, Source::File(path.to_owned()), key.into()).unwrap(), port)
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
        log.ask(LogQuestion::Rows(7..9));
        let rows = wait_for(&port, |answer| matches!(answer, LogAnswer::Rows(_)));
        assert!(
            matches!(rows, LogAnswer::Rows(rows) if (rows.first, rows.rows.len()) == (1, 2)),
            "those beyond the end are the last ones"
        );
        log.ask(LogQuestion::Filter(true));
        log.ask(LogQuestion::Rows(0..9));
        let rows = wait_for(&port, |answer| matches!(answer, LogAnswer::Rows(_)));
        assert!(matches!(rows, LogAnswer::Rows(rows) if rows.numbers.as_deref() == Some(&[1, 2])));
        log.ask(LogQuestion::Copy(1..2));
        let copied = wait_for(&port, |answer| matches!(answer, LogAnswer::Copied(_)));
        assert_eq!(copied, LogAnswer::Copied("three\n".into()), "the second hit");
    }

    #[test]
    fn a_moment_leads_to_its_line_when_that_is_indexed_and_merged_logs_are_read_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let index = |name: &str, entries: &[(u64, i64)]| {
            let bytes = entries.iter().flat_map(|(offset, ms)| [offset.to_le_bytes(), ms.to_le_bytes()]);
            std::fs::write(path(name), bytes.flatten().collect::<Vec<u8>>()).unwrap();
        };
        index("a.1.log.idx", &[(0, 1000), (4, 5000), (8, 7000)]);
        index("b.1.log.idx", &[(0, 3000), (4, 6000)]);
        append(&path("b.1.log"), "b-1\nb-2\n");
        append(&path("a.1.log"), "a-1\na-2\na-3\n");
        let second = |second| LogQuestion::AtTime(DateTime::from_timestamp(second, 0).unwrap());
        let reached = |port: &WindowPort| {
            let answer = wait_for(port, |answer| matches!(answer, LogAnswer::Reached(_)));
            let LogAnswer::Reached(line) = answer else { panic!() };
            line
        };
        let (log, port) = open_at(&path("a.1.log"));
        log.ask(second(6));
        assert_eq!(reached(&port), 1);
        let logs = ["a", "b"].map(|name| (name.to_owned(), path(&format!("{name}.1.log"))));
        let merge = LogMerge::new(logs.to_vec(), dir.path()).unwrap();
        let (port, world) = window_port();
        let of = LogOf::Merged(Vec::new().into());
        let log = LogThread::start(world.updates, Source::Merged(Box::new(merge)), of).unwrap();
        log.ask(second(5));
        assert_eq!(reached(&port), 2);
        append(&path("b.1.log"), "b-3\n");
        wait_for(&port, has_lines(6));
        log.ask(LogQuestion::Copy(0..9));
        let copied = wait_for(&port, |answer| matches!(answer, LogAnswer::Copied(_)));
        let LogAnswer::Copied(text) = copied else { panic!() };
        let lines: Vec<_> = text.lines().map(|line| &line[9..]).collect();
        assert_eq!(lines, ["a a-1", "b b-1", "a a-2", "b b-2", "a a-3", "b b-3"]);
    }

    #[test]
    fn a_log_that_is_removed_while_it_is_read_says_so_and_stays_readable_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fetch.1.log");
        append(&path, "one\ntwo\n");
        let (log, port) = open_at(&path);
        wait_for(&port, has_lines(2));
        std::fs::remove_file(&path).unwrap();
        wait_for(
            &port,
            |answer| matches!(answer, LogAnswer::Extent(extent) if extent.is_removed && extent.exists),
        );
        log.ask(LogQuestion::Rows(0..9));
        let rows = wait_for(&port, |answer| matches!(answer, LogAnswer::Rows(_)));
        assert!(matches!(rows, LogAnswer::Rows(rows) if rows.rows.len() == 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_lines_without_control_characters_but_tabs(
            pieces in vec(prop_oneof![
                vec(any::<u8>(), 0..40),
                Just(b"\n".to_vec()),
                Just(b"\x1b[31mred\x1b[0m\0\r\x1b]0;title\x07".to_vec()),
                Just("مرحبا 日本 🎉\n".as_bytes().to_vec()),
                Just(vec![b'x'; 100_000]),
            ], 0..40)
        ) {
            let mut bytes = pieces.concat();
            bytes.push(b'\n');
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("fetch.1.log");
            std::fs::write(&path, &bytes).unwrap();
            let n_lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            let (log, port) = open_at(&path);
            wait_for(&port, has_lines(n_lines as u64));
            log.ask(LogQuestion::Rows(0..n_lines as u64));
            let answer = wait_for(&port, |answer| matches!(answer, LogAnswer::Rows(_)));
            let LogAnswer::Rows(LogRows { rows, .. }) = answer else { panic!() };
            prop_assert_eq!(rows.len(), n_lines);
            for row in rows {
                let mut text = String::new();
                copy_into(&mut text, &row);
                let line = text.trim_end_matches('\n');
                prop_assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{:?}", line);
                prop_assert!(line.len() < 1 << 16, "{} bytes", line.len());
            }
        }
    }

    #[test]
    fn a_log_that_can_not_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let (_log, port) = open_at(dir.path());
        let failed = wait_for(&port, |answer| matches!(answer, LogAnswer::Failed(_)));
        assert!(matches!(failed, LogAnswer::Failed(why) if why.contains(dir.path().to_str().unwrap())));
    }
}
