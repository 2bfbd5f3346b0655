//! `leverframe import crontab`: pipelines and jobs from cron's own files. This module reads the crontab, writes the
//! pipelines and jobs, and prints the report. The meaning of a crontab is in `schedule`.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{Failure, Outcome};
use super::output::{Form, Page, count, note};
use super::schedule::{add_locally, change};
use super::{Place, Print};
use crate::api::exit_code::{DONE, FAILED, NOT_FOUND, UNUSABLE};
use crate::api::{AddJob, JobPatch, JobView};
use crate::files::{read_bounded, read_small_file, read_small_text};
use crate::schedule::{
    CrontabKind, CrontabSource, ImportedCrontab, ImportedJob, ImportedPipeline, Remark, RemarkKind,
    import_crontab,
};
use crate::scheduler::DesktopScheduler;
use crate::settings::{Catalogue, Settings};
use crate::store::DataDir;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum ImportVerb {
    /// Import a crontab as pipelines and jobs, and report line by line what is different.
    Crontab(CrontabArgs),
}

#[derive(Debug, Args)]
pub(super) struct CrontabArgs {
    /// The crontab; - for standard input. Default: your own, as `crontab -l` prints it.
    file: Option<PathBuf>,
    /// Show the result, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// It is a user's: after the fields of time comes the command. Default: decided by its path and its text; a line
    /// that is not clear is refused.
    #[arg(long, conflicts_with = "system")]
    user_crontab: bool,
    /// It is a system's, as /etc/crontab: after the fields of time comes a user.
    #[arg(long)]
    system: bool,
    #[command(flatten)]
    print: Print,
}

/// What the data directory already holds.
struct Present {
    catalogue: Catalogue,
    folder: PathBuf,
    jobs: Vec<JobView>,
}

/// Whether a pipeline or job existed before the import.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    /// Nothing has that name.
    Free,
    /// The same one, from an earlier import.
    Same,
    /// Another one has that name.
    Other,
}

/// The result of the import.
#[derive(Default)]
struct Done {
    /// Each with its file, and whether it was written.
    pipelines: Vec<(String, PathBuf, bool)>,
    /// Each with whether it was added.
    jobs: Vec<(String, bool)>,
    /// What could not be written or added.
    problems: Vec<Failure>,
}

pub(super) fn import(verb: ImportVerb, place: &Place) -> Outcome {
    let ImportVerb::Crontab(args) = verb;
    let text = text_of(&args)?;
    let path = place.path()?;
    let settings = Settings::load(&path)?;
    let present = Present {
        catalogue: Catalogue::scan(&path, &settings),
        folder: path.join("pipelines"),
        jobs: DesktopScheduler::read_only(&path).list_jobs()?,
    };
    let users = users();
    let users: Vec<&str> = users.iter().map(|(name, _)| name.as_str()).collect();
    let user = own_user_name();
    let is_of_system = args.system || args.file.as_deref().is_some_and(is_of_system);
    let kind = match (args.user_crontab || args.file.is_none(), is_of_system) {
        (true, _) => CrontabKind::User,
        (false, true) => CrontabKind::System,
        (false, false) => CrontabKind::Detect,
    };
    let source = CrontabSource {
        kind,
        user: &user,
        users: &users,
        is_command,
        heeds_cron_tz: is_cronie_here(),
        taken: &BTreeSet::new(),
    };
    let imported = present.import(&text, &source);
    let done = if args.dry_run { present.plan(&imported) } else { present.write(&imported, place)? };
    print(&args, &imported, &done)?;
    // Lines that were not imported show in the exit code too.
    let all_taken = if imported.refused.is_empty() { DONE } else { FAILED };
    let code = done.problems.first().map_or(all_taken, |failure| failure.code);
    Ok(code)
}

/// The crontab's text.
fn text_of(args: &CrontabArgs) -> Result<Vec<u8>, Failure> {
    let bytes = match &args.file {
        Some(file) if file.as_os_str() == "-" => read_bounded(io::stdin())
            .map_err(|error| Failure::new(FAILED, format!("the crontab can't be read: {error}")))?,
        Some(file) => read_small_file(file).map_err(|error| {
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { FAILED };
            let is_no_file = error.kind() == io::ErrorKind::InvalidInput;
            let hint =
                if is_no_file { "; to read what a command prints, name `-` (standard input)" } else { "" };
            Failure::new(code, format!("the crontab {} can't be read: {error}{hint}", file.display()))
        })?,
        None => own_crontab()?,
    };
    if bytes.contains(&0) {
        let name = args.file.as_deref().unwrap_or(Path::new("-")).display();
        return Err(Failure::usage(format!(
            "{name} is not a crontab: it contains NUL bytes; name a text file"
        )));
    }
    Ok(bytes)
}

/// Whether cron reads this file as a crontab of the system.
fn is_of_system(file: &Path) -> bool {
    let Ok(file) = fs::canonicalize(file) else { return false };
    file == Path::new("/etc/crontab") || file.parent() == Some(Path::new("/etc/cron.d"))
}

/// Whether one of these folders has a program of this name.
fn is_command(name: &str, path: &str) -> bool {
    let is_program = |file: PathBuf| {
        fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    path.split(':').any(|folder| is_program(Path::new(folder).join(name)))
}

/// Whether the cron of this machine is cronie, which follows `CRON_TZ`. Only cronie has `cronnext`.
fn is_cronie_here() -> bool {
    ["/usr/bin/cronnext", "/bin/cronnext"].iter().any(|file| Path::new(file).exists())
}

/// What `crontab -l` prints.
fn own_crontab() -> Result<Vec<u8>, Failure> {
    let output = std::process::Command::new("crontab").arg("-l").output();
    let failed = |why: String| {
        let text = format!("your crontab can't be read: {why}; name a file instead, such as /etc/crontab");
        Failure::new(NOT_FOUND, text)
    };
    let output = output.map_err(|error| failed(format!("`crontab -l`: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(output.stdout)
}

/// The users of the machine with their numbers.
fn users() -> Vec<(String, u32)> {
    // Without this file no user is known, and a system's crontab must be declared with --system.
    let text = read_small_text(Path::new("/etc/passwd")).unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(user).collect()
}

/// The user that this process runs as.
fn own_user_name() -> String {
    let own = rustix::process::getuid().as_raw();
    let known = users().into_iter().find(|(_, number)| *number == own).map(|(name, _)| name);
    known.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| own.to_string())
}

impl Present {
    /// Imports the text. Names that are in use get a number, unless an earlier import of the same lines uses them.
    fn import(&self, text: &[u8], source: &CrontabSource<'_>) -> ImportedCrontab {
        let mut taken = BTreeSet::new();
        let mut renamed = Vec::new();
        loop {
            let mut imported = import_crontab(text, &CrontabSource { taken: &taken, ..*source });
            let n_before = taken.len();
            for pipeline in &imported.pipelines {
                let id = pipeline.id.to_string();
                if self.pipeline(pipeline) == Existing::Other || self.job(&id) == Existing::Other {
                    renamed.push(id.clone());
                    taken.insert(id);
                }
            }
            if taken.len() == n_before {
                imported.report.extend(renamed.iter().map(|id| Remark {
                    line: None,
                    kind: RemarkKind::Differs,
                    text: format!(
                        "there is already another {id}, which stays as it is; the new one gets a number; if both do the same, remove one of them"
                    ),
                }));
                return imported;
            }
        }
    }

    /// Whether this pipeline exists already.
    fn pipeline(&self, pipeline: &ImportedPipeline) -> Existing {
        let id = pipeline.id.as_str();
        let entry = self.catalogue.entries.iter().find(|entry| entry.id == id);
        let path = entry.map_or_else(|| self.file_of(id), |entry| entry.path.clone());
        match read_small_text(&path) {
            // Without the first line, which names the line of the crontab: that may have moved.
            Ok(text) if body(&text) == body(&pipeline.toml) => Existing::Same,
            Ok(_) => Existing::Other,
            Err(_) if entry.is_none() => Existing::Free,
            Err(_) => Existing::Other,
        }
    }

    /// Whether this job exists already.
    fn job(&self, id: &str) -> Existing {
        match self.jobs.iter().find(|job| job.job_id == id) {
            None => Existing::Free,
            Some(job) if job.pipeline_id == id => Existing::Same,
            Some(_) => Existing::Other,
        }
    }

    fn file_of(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.toml"))
    }

    /// What would be written.
    fn plan(&self, imported: &ImportedCrontab) -> Done {
        let pipeline = |pipeline: &ImportedPipeline| {
            let id = pipeline.id.to_string();
            (id.clone(), self.file_of(&id), self.pipeline(pipeline) == Existing::Free)
        };
        let job = |job: &ImportedJob| {
            let id = job.job_id.to_string();
            let is_free = self.job(&id) == Existing::Free;
            (id, is_free)
        };
        Done {
            pipelines: imported.pipelines.iter().map(pipeline).collect(),
            jobs: imported.jobs.iter().map(job).collect(),
            problems: Vec::new(),
        }
    }

    /// Writes what does not exist yet: the pipelines first, because the jobs need them.
    fn write(&self, imported: &ImportedCrontab, place: &Place) -> Result<Done, Failure> {
        DataDir::open(place.path()?)?;
        let unwritten = |path: &Path, error: io::Error| {
            Failure::new(UNUSABLE, format!("{} can't be written: {error}", path.display()))
        };
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        make.map_err(|error| unwritten(&self.folder, error))?;
        let mut done = self.plan(imported);
        for (pipeline, (_, path, is_new)) in imported.pipelines.iter().zip(&mut done.pipelines) {
            if *is_new && let Err(error) = write_new(path, &pipeline.toml) {
                *is_new = false;
                done.problems.push(unwritten(path, error));
            }
        }
        for (job, (_, is_new)) in imported.jobs.iter().zip(&mut done.jobs) {
            if !*is_new {
                continue;
            }
            let request = AddJob { params: Box::new(params_of(job)) };
            if let Err(failure) = change(place, request, add_locally) {
                *is_new = false;
                done.problems.push(failure);
            }
        }
        Ok(done)
    }
}

/// A file's text without its first line, which is a comment.
fn body(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(_, body)| body)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn params_of(job: &ImportedJob) -> JobPatch {
    JobPatch {
        pipeline_id: Some(job.pipeline_id.clone()),
        zone: Some(job.zone.as_str().to_owned()),
        misfire: Some(job.misfire.policy),
        misfire_grace_seconds: Some(job.misfire.grace.num_milliseconds() as f64 / 1000.0),
        overlap: Some(job.overlap),
        ..JobPatch::new(job.job_id.clone()).with_schedule(&job.schedule)
    }
}

fn print(args: &CrontabArgs, imported: &ImportedCrontab, done: &Done) -> Result<(), Failure> {
    let mut page = Page::new();
    match args.print.form() {
        Form::Json => page.document(&document(args, imported, done))?,
        Form::Text => {
            for remark in &imported.report {
                page.line(remark)?;
            }
            let unchanged = "exists already and stays as it is; remove it first to import it again";
            for (id, path, is_new) in &done.pipelines {
                match (is_new, args.dry_run) {
                    (true, true) => page.line(format_args!("would write {}", path.display()))?,
                    (true, false) => page.line(format_args!("wrote {}", path.display()))?,
                    (false, _) => page.line(format_args!("pipeline {id} {unchanged}"))?,
                }
            }
            for (id, is_new) in &done.jobs {
                match (is_new, args.dry_run) {
                    (true, true) => page.line(format_args!("would add job {id}"))?,
                    (true, false) => page.line(format_args!("added job {id}"))?,
                    (false, _) => page.line(format_args!("job {id} {unchanged}"))?,
                }
            }
        }
    }
    page.flush()?;
    done.problems.iter().filter_map(|failure| failure.message.as_ref()).for_each(|text| {
        note(format_args!("leverframe: {text}"));
    });
    if !imported.refused.is_empty() {
        let lines: Vec<_> = imported.refused.iter().map(ToString::to_string).collect();
        let n = count(lines.len(), "line was", "lines were");
        note(format_args!("{n} not imported: {}", lines.join(", ")));
    }
    if args.dry_run {
        note("nothing was written");
    } else {
        let (n_pipelines, n_jobs) = (
            done.pipelines.iter().filter(|(_, _, is_new)| *is_new).count(),
            done.jobs.iter().filter(|(_, is_new)| *is_new).count(),
        );
        note(format_args!(
            "wrote {} and added {}; cron goes on running its lines until you delete them there (`crontab -e`)",
            count(n_pipelines, "pipeline", "pipelines"),
            count(n_jobs, "job", "jobs")
        ));
    }
    Ok(())
}

fn document(args: &CrontabArgs, imported: &ImportedCrontab, done: &Done) -> Value {
    let pipelines = imported.pipelines.iter().zip(&done.pipelines).map(|(pipeline, (id, path, is_new))| {
        json!({ "pipeline_id": id, "path": path, "new": is_new, "toml": pipeline.toml })
    });
    let jobs = imported.jobs.iter().zip(&done.jobs).map(|(job, (id, is_new))| {
        let (kind, config) = (job.schedule.kind(), job.schedule.to_json());
        json!({
            "job_id": id, "pipeline_id": job.pipeline_id, "schedule_type": kind, "schedule_config": config,
            "zone": job.zone.as_str(), "new": is_new,
        })
    });
    let report = imported
        .report
        .iter()
        .map(|remark| json!({ "line": remark.line, "kind": remark.kind.as_str(), "text": remark.text }));
    json!({
        "dry_run": args.dry_run,
        "pipelines": pipelines.collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
        "report": report.collect::<Vec<_>>(),
        "refused": imported.refused,
        "problems": done.problems.iter().map(|failure| &failure.message).collect::<Vec<_>>(),
    })
}
