//! Warnings and diagnostics, on `tracing`.
//!
//! A *notice* is a warning that a person sees: an event of level `WARN` with the target [`NOTICE`], a sentence as its
//! message, and the data directory that it concerns as its field `data_dir`. The user interface of that directory's
//! engine listens to them ([`listen`]) and shows each among its other messages: `serve` writes it with a time, the
//! window shows it as a message.
//!
//! Every other event is for developers, and is off unless `LEVERFRAME_LOG` holds a filter. Only events of this program
//! are written. None of them contains the value of a secret, a variable or a parameter, because people share a log more
//! easily than a data directory. Notices are not written to the log: they are shown anyway, and one about a pipeline
//! file may quote its text. Deliberately not for what happens to runs: that is the subject of events, which are
//! recorded.

use std::fmt::{Debug, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, fmt};

use crate::files;

/// The target of a warning that a person sees.
pub(crate) const NOTICE: &str = "leverframe";

/// The variable that turns diagnostics on: a filter such as `debug` or `leverframe::engine=trace,info`.
const VARIABLE: &str = "LEVERFRAME_LOG";
/// The name of the log in the data directory.
const LOG_NAME: &str = "leverframe.log";
/// A log that has grown beyond this many bytes is renamed, and replaces the older one.
const MAX_LOG: u64 = 4 << 20;

/// Where diagnostics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard error, which a person watches.
    Stderr,
    /// `leverframe.log` in this data directory, created at the first line.
    DataDir(PathBuf),
}

/// Writes diagnostics to `output` if `LEVERFRAME_LOG` asks for them, and delivers notices to listeners. Only the first
/// call in a process has an effect. A program that uses this library and has a `tracing` subscriber of its own keeps
/// it, and gets everything there.
///
/// # Errors
/// A sentence when the filter is not understood; then there is no filter.
pub(crate) fn install(output: Output) -> Result<(), String> {
    let filter = read_filter(std::env::var_os(VARIABLE).as_deref());
    let (filter, outcome) = match filter {
        Ok(filter) => (filter, Ok(())),
        Err(why) => (None, Err(why)),
    };
    set(filter.map(|filter| log_layer(filter, output)));
    outcome
}

/// Listens to the notices about one data directory, until it is dropped.
#[must_use]
pub(crate) struct Listening(u64);

struct Listener {
    id: u64,
    /// The text of the field `data_dir`.
    data_dir: String,
    show: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The listeners. A process has one subscriber, and so one list.
static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

/// Calls `show` with each notice about `data_dir`, on the thread that emits it; `show` must return soon.
pub(crate) fn listen(data_dir: &Path, show: impl Fn(&str) + Send + Sync + 'static) -> Listening {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // In case `install` was not called, as when a program uses the library.
    set(None);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let listener = Listener { id, data_dir: data_dir.display().to_string(), show: Arc::new(show) };
    LISTENERS.lock().push(listener);
    Listening(id)
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENERS.lock().retain(|listener| listener.id != self.0);
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn set(log: Option<BoxedLayer>) {
    static SET: Once = Once::new();
    SET.call_once(|| {
        // Fails when the program has a subscriber of its own, which then gets everything.
        let _ = match log {
            Some(log) => {
                tracing::subscriber::set_global_default(Registry::default().with(log).with(notices()))
            }
            None => tracing::subscriber::set_global_default(Registry::default().with(notices())),
        };
    });
}

/// Delivers notices to the listeners.
struct Notices;

/// The layer for notices. Its level hint turns everything below a warning off at once, so that unused events cost
/// nothing.
fn notices<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    Notices.with_filter(filter_fn(is_notice).with_max_level_hint(LevelFilter::WARN))
}

fn is_notice(metadata: &Metadata<'_>) -> bool {
    metadata.target() == NOTICE && *metadata.level() == Level::WARN
}

impl<S: Subscriber> Layer<S> for Notices {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut notice = Notice::default();
        event.record(&mut notice);
        // Called without the lock: a listener may add or remove one.
        let callbacks: Vec<_> = LISTENERS
            .lock()
            .iter()
            .filter(|listener| listener.data_dir == notice.data_dir)
            .map(|listener| listener.show.clone())
            .collect();
        for show in callbacks {
            show(&notice.message);
        }
    }
}

/// The fields of a notice.
#[derive(Default)]
struct Notice {
    message: String,
    data_dir: String,
}

impl Visit for Notice {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = match field.name() {
            "message" => &mut self.message,
            "data_dir" => &mut self.data_dir,
            _ => return,
        };
        // Writing to a string can't fail.
        let _ = write!(text, "{value:?}");
    }
}

/// Parses the filter; none when the variable is empty.
fn read_filter(text: Option<&std::ffi::OsStr>) -> Result<Option<EnvFilter>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let ignored = |why: String| format!("{VARIABLE} is ignored: {why}");
    let text = text.to_str().ok_or_else(|| ignored("it is not UTF-8 text".into()))?;
    // Without regular expressions: the filter comes from outside, and is compared literally.
    let filter = EnvFilter::builder().with_regex(false).parse(text);
    filter.map(Some).map_err(|error| {
        ignored(format!("{error}; write it as in `debug` or `leverframe::engine=trace,info`"))
    })
}

fn log_layer(filter: EnvFilter, output: Output) -> BoxedLayer {
    // Events of other crates may contain what is sent over a socket or typed into a window.
    let filter = filter.and(filter_fn(|metadata| is_ours(metadata.target()) && !is_notice(metadata)));
    // A line that can't be written is lost: a report of that would fail as well.
    let layer = fmt::layer().with_ansi(false).log_internal_errors(false);
    match output {
        Output::Stderr => Box::new(layer.with_writer(io::stderr).with_filter(filter)),
        Output::DataDir(folder) => {
            let log = LogFile { path: folder.join(LOG_NAME), file: None };
            Box::new(layer.with_writer(std::sync::Mutex::new(log)).with_filter(filter))
        }
    }
}

fn is_ours(target: &str) -> bool {
    target.split("::").next() == Some(NOTICE)
}

/// A log of bounded length, with one older part beside it. Several processes may write to the same log.
struct LogFile {
    path: PathBuf,
    file: Option<File>,
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Checked each time: another process may have written to it or renamed it.
        let file = self.file.take().filter(|file| file.metadata().is_ok_and(|meta| meta.len() <= MAX_LOG));
        let file = match file {
            Some(file) => file,
            None => open_log(&self.path, MAX_LOG)?,
        };
        self.file.insert(file).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a log for appending, for our user only. A log that is longer than `max` bytes is first renamed to `….log.1`,
/// over the older one.
///
/// # Errors
/// The file system's error; `InvalidInput` when it is not a regular file.
pub(crate) fn open_log(path: &Path, max: u64) -> io::Result<File> {
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.len() > max) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    files::open(OpenOptions::new().create(true).append(true), path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_notice_reaches_those_who_listen_to_its_data_directory_and_nothing_else_does() {
        let received = Arc::new(Mutex::new(Vec::new()));
        let listening = {
            let received = received.clone();
            listen(Path::new("/its/own"), move |text| received.lock().push(text.to_owned()))
        };
        let give = |data_dir: &str| {
            tracing::warn!(target: NOTICE, data_dir = %data_dir, "said of {data_dir}");
            tracing::info!(target: NOTICE, data_dir = %data_dir, "no warning");
            tracing::warn!(data_dir = %data_dir, "not for people");
        };
        tracing::subscriber::with_default(Registry::default().with(notices()), || {
            give("/its/own");
            give("/another");
            drop(listening);
            give("/its/own");
        });
        assert_eq!(*received.lock(), ["said of /its/own"]);
    }

    #[test]
    fn a_filter_that_is_not_understood_is_said_in_one_line() {
        let read = |text: &str| read_filter(Some(text.as_ref()));
        assert!(read_filter(None).unwrap().is_none() && read("").unwrap().is_none());
        for text in ["debug", "leverframe::engine=trace,info", "off"] {
            assert!(read(text).unwrap().is_some(), "{text}");
        }
        for text in ["leverframe=loud", "a=b=c", "[{"] {
            let why = read(text).err().unwrap_or_else(|| panic!("{text} is understood"));
            assert!(why.starts_with("LEVERFRAME_LOG is ignored: ") && why.lines().count() == 1, "{why}");
        }
    }

    #[test]
    fn the_log_is_bounded_is_for_our_user_alone_and_holds_events_of_this_program_only() {
        let temp = tempfile::tempdir().unwrap();
        let (path, aside) = (temp.path().join(LOG_NAME), temp.path().join("leverframe.log.1"));
        let filter = read_filter(Some("debug".as_ref())).unwrap().unwrap();
        let layer = log_layer(filter, Output::DataDir(temp.path().to_owned()));
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            assert!(!path.exists(), "it is made when there is something to write");
            tracing::debug!("the first");
            tracing::trace!("below the filter");
            tracing::debug!(target: "zbus::connection", "of a crate below");
            tracing::warn!(target: NOTICE, data_dir = "/a", "for people, with a quotation");
            File::options().write(true).open(&path).unwrap().set_len(MAX_LOG + 1).unwrap();
            tracing::debug!("the second");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("the second") && text.lines().count() == 1, "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let older = std::fs::read(&aside).unwrap();
        assert_eq!(older.len() as u64, MAX_LOG + 1);
        let older = String::from_utf8_lossy(&older);
        let older = older.trim_end_matches('\0');
        assert!(older.contains("the first") && older.lines().count() == 1, "{older}");
    }
}
