//! Text to [`Pipeline`]: what the values of a file mean together, and what is wrong with that.
//!
//! All problems of a file are found, not only the first: what cannot be used is left out, and the rest is
//! read on. Only where the text is no TOML, its errors alone are reported, since the rest would be guessed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::diagnostic::{Diagnostic, Problems};
use super::graph::find_cycles;
use super::keys::{Fallback, Place, Plain};
use super::model::{
    Background, Command, OnBattery, OnFailure, OnInterrupt, OnQuiet, Pipeline, Resources, Retries, Step, When,
};
use super::paths::resolve;
use super::reader::{Fields, Found, Located, Typed, read_table};
use super::schedules::read_schedules;
use super::values::ID_RULE;
use super::{Graph, params};
use crate::base::id::{PipelineId, StepId};

/// How long a `finally` step may take that does not say.
const FINALLY_TIMEOUT: Duration = Duration::from_secs(300);

/// The graph of as many steps takes 12 MB; more are a slip of whatever wrote the file.
const MAX_STEPS: usize = 10_000;

/// More cycles than these are not worth reading before the first ones are mended.
const MAX_CYCLES: usize = 20;

impl Pipeline {
    /// Reads a pipeline file. `path` is the file's absolute path: its stem is the default id, and relative
    /// paths start at its folder. `home` is what `~` stands for in `working_dir` and in a secret's `file`.
    ///
    /// A step that does not say what it `needs` needs the step before it: a normal step the normal one
    /// before it, a `finally` step the `finally` one before it, so that these run one after another.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in its order.
    pub fn parse(text: &str, path: &Path, home: Option<&Path>) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Problems::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end().replace('\n', ", ").replace(", expected nothing", "");
            problems.add(at, format!("this is no valid TOML: {message}"));
        }
        if !problems.is_empty() {
            return Err(problems.into_diagnostics(path));
        }
        let top = read_table(Place::Pipeline, document.get_ref(), 0, &mut problems);
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        if !path.is_absolute() {
            problems.add(0, "the path of this file is not absolute; make it so before it is read");
        }
        let mut parser = Parser { problems, folder, home };
        let pipeline = parser.pipeline(&top, path);
        match pipeline {
            Some(pipeline) if parser.problems.is_empty() => Ok(pipeline),
            _ => Err(parser.problems.into_diagnostics(path)),
        }
    }
}

/// A table and the one that speaks where it is silent; after both, the defaults of the table of keys.
#[derive(Clone, Copy)]
struct Layers<'a> {
    own: &'a Fields,
    defaults: &'a Fields,
}

impl Layers<'_> {
    fn find(&self, name: &str) -> Found<'_> {
        match self.own.find(name) {
            Found::Absent => self.defaults.find(name),
            found @ (Found::Value(_) | Found::Refused) => found,
        }
    }

    fn plain(&self, name: &str) -> Option<Plain> {
        match self.find(name) {
            Found::Value(Typed::Plain(plain)) => Some(*plain),
            Found::Value(_) | Found::Refused => None,
            Found::Absent => self.own.place.key(name).and_then(|key| key.plain_fallback()),
        }
    }

    fn word(&self, name: &str) -> Option<&'static str> {
        if let Some(Plain::Word(word)) = self.plain(name) { Some(word) } else { None }
    }

    fn size(&self, name: &str) -> Option<u64> {
        if let Some(Plain::Size(bytes)) = self.plain(name) { Some(bytes) } else { None }
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        if let Some(Plain::Duration(duration)) = self.plain(name) { Some(duration) } else { None }
    }

    fn number(&self, name: &str) -> Option<f64> {
        if let Some(Plain::Number(number)) = self.plain(name) { Some(number) } else { None }
    }

    fn count(&self, name: &str) -> Option<u32> {
        if let Some(Plain::Count(count)) = self.plain(name) { Some(count) } else { None }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.plain(name), Some(Plain::Flag(true)))
    }
}

struct Parser<'a> {
    problems: Problems<'a>,
    folder: PathBuf,
    home: Option<&'a Path>,
}

/// What every step takes from its pipeline.
struct Inherited<'a> {
    defaults: &'a Fields,
    retries: &'a Fields,
    shell: Vec<String>,
    working_dir: PathBuf,
}

impl Parser<'_> {
    fn pipeline(&mut self, top: &Fields, path: &Path) -> Option<Pipeline> {
        let no_defaults = Fields::none(Place::Pipeline);
        let layers = Layers { own: top, defaults: &no_defaults };
        let id = self.pipeline_id(top, path);
        let home = self.home;
        let folder = self.folder.clone();
        let params = params::read_params(top.named("params"), &mut self.problems, |at, file, problems| {
            resolve(&folder, file, home, at, problems)
        });
        let no_step_defaults = Fields::none(Place::StepDefaults);
        let no_retries = Fields::none(Place::Retries);
        let defaults = top.table("step_defaults").unwrap_or(&no_step_defaults);
        let inherited = Inherited {
            defaults,
            retries: defaults.table("retries").unwrap_or(&no_retries),
            shell: top.argv("shell").map_or_else(default_shell, <[String]>::to_vec),
            working_dir: self.working_dir(top, &folder),
        };
        self.check_required(top);
        if top.has("step") && top.tables("step").is_empty() && !matches!(top.find("step"), Found::Refused) {
            self.problems.add(top.place_of("step"), "there are no steps; write at least one [[step]]");
        }
        let mut tables = top.tables("step");
        if let Some((known, [first, ..])) = tables.split_at_checked(MAX_STEPS) {
            self.problems.add(first.at, format!("there are more than {MAX_STEPS} steps; split the pipeline"));
            tables = known;
        }
        let needs = self.needs(tables);
        let steps: Vec<Option<Step>> =
            tables.iter().zip(needs).map(|(table, needs)| self.step(table, needs, &inherited)).collect();
        let schedules = read_schedules(top.tables("schedule"), id.as_ref(), &mut self.problems);
        let steps = steps.into_iter().collect::<Option<Vec<Step>>>()?;
        let id = id?;
        let graph = if self.problems.is_empty() { Graph::of(&steps) } else { Graph::default() };
        Some(Pipeline {
            source: top.text("source").unwrap_or(id.as_str()).to_owned(),
            id,
            description: top.text("description").map(str::to_owned),
            max_parallel: layers.count("max_parallel").map(|count| count as usize),
            on_failure: layers.word("on_failure").and_then(OnFailure::from_word).unwrap_or_default(),
            timeout: layers.duration("timeout"),
            max_concurrent_runs: layers.count("max_concurrent_runs").map(|count| count as usize),
            group: top.text("group").map(str::to_owned),
            priority: layers.count("priority").and_then(|n| u8::try_from(n).ok()).unwrap_or_default(),
            on_battery: layers.word("on_battery").and_then(OnBattery::from_word).unwrap_or_default(),
            quiet: layers.word("quiet").and_then(OnQuiet::from_word).unwrap_or_default(),
            inhibit_sleep: layers.flag("inhibit_sleep"),
            params,
            env: environment([top]),
            steps,
            schedules,
            graph,
        })
    }

    fn pipeline_id(&mut self, top: &Fields, path: &Path) -> Option<PipelineId> {
        if top.has("id") {
            return top.text("id").and_then(|id| PipelineId::new(id).ok());
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let id = PipelineId::new(&stem);
        if id.is_err() {
            self.problems.add(
                0,
                format!(
                    "the file's name would make {stem:?} the pipeline's id, which is malformed; write `id = \"…\"` at the top, or rename the file: {ID_RULE}"
                ),
            );
        }
        id.ok()
    }

    fn check_required(&mut self, fields: &Fields) {
        for key in fields.place.keys() {
            if matches!(key.fallback, Fallback::Required) && !fields.has(key.name) {
                let message = match key.name {
                    "step" => {
                        "there are no steps; write at least one [[step]] with `id` and `run`".to_owned()
                    }
                    name => format!("`{name}` is missing in this {}", fields.place.name()),
                };
                self.problems.add(fields.at, message);
            }
        }
    }

    fn working_dir(&mut self, fields: &Fields, base: &Path) -> PathBuf {
        let text = fields.text("working_dir").unwrap_or(".");
        resolve(base, text, self.home, fields.place_of("working_dir"), &mut self.problems)
    }

    /// The steps that each step needs. Checks ids, names and cycles.
    fn needs(&mut self, tables: &[Fields]) -> Vec<Vec<usize>> {
        let is_finally: Vec<bool> = tables.iter().map(is_finally).collect();
        let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(tables.len());
        for (i, table) in tables.iter().enumerate() {
            let Some(id) = table.text("id") else { continue };
            if let Some(first) = by_id.get(id) {
                let line = self.problems.line_of(tables[*first].place_of("id"));
                self.problems.add(
                    table.place_of("id"),
                    format!("the step id {id:?} is already taken in line {line}; choose another"),
                );
            } else {
                by_id.insert(id, i);
            }
        }
        let mut last: [Option<usize>; 2] = [None, None];
        let mut all = Vec::with_capacity(tables.len());
        let mut places: Vec<Vec<usize>> = Vec::with_capacity(tables.len());
        for (i, table) in tables.iter().enumerate() {
            let before = last[usize::from(is_finally[i])].replace(i);
            let (needs, at) = match table.names("needs") {
                Some(names) => self.named_needs(i, names, &by_id, tables, &is_finally),
                None if table.has("needs") => (Vec::new(), Vec::new()),
                None => (Vec::from_iter(before), vec![table.at; usize::from(before.is_some())]),
            };
            all.push(needs);
            places.push(at);
        }
        for cycle in find_cycles(&all, MAX_CYCLES) {
            let Some(last) = cycle.steps.last() else { continue };
            let id = |step: usize| tables[step].text("id").unwrap_or("?");
            self.problems.add(places[*last][cycle.closing_need], cycle_message(&cycle.steps, id));
        }
        all
    }

    fn named_needs(
        &mut self,
        i: usize,
        names: &[Located<String>],
        by_id: &HashMap<&str, usize>,
        tables: &[Fields],
        is_finally: &[bool],
    ) -> (Vec<usize>, Vec<usize>) {
        let (mut needs, mut places) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
        for Located { value: name, at } in names {
            let problem = match by_id.get(name.as_str()) {
                None => {
                    // Only where every id could be read is a name that is not among them surely wrong.
                    if tables.iter().any(|table| table.text("id").is_none()) {
                        continue;
                    }
                    let ids = tables.iter().filter_map(|table| table.text("id"));
                    let near = self.problems.did_you_mean(name, ids);
                    format!("there is no step {name:?}{near}")
                }
                Some(need) if *need == i => format!("the step {name:?} needs itself; take it out"),
                Some(need) if needs.contains(need) => {
                    format!("the step {name:?} is named twice; take one out")
                }
                Some(need) if is_finally[*need] && !is_finally[i] => format!(
                    "{name:?} is a `finally` step, which runs after everything, so that only `finally` steps can need it"
                ),
                Some(need) => {
                    needs.push(*need);
                    places.push(*at);
                    continue;
                }
            };
            self.problems.add(*at, problem);
        }
        (needs, places)
    }

    fn step(&mut self, table: &Fields, needs: Vec<usize>, inherited: &Inherited<'_>) -> Option<Step> {
        self.check_required(table);
        let layers = Layers { own: table, defaults: inherited.defaults };
        let finally = is_finally(table);
        let when = match finally && !table.has("when") {
            true => When::Always,
            false => layers.word("when").and_then(When::from_word).unwrap_or_default(),
        };
        let working_dir_from = if table.has("working_dir") { table } else { inherited.defaults };
        let working_dir = self.working_dir(working_dir_from, &inherited.working_dir);
        let retries = self.retries(table, inherited.retries);
        let shell = table.argv("shell").or(inherited.defaults.argv("shell")).unwrap_or(&inherited.shell);
        let command = match table.find("run") {
            Found::Value(Typed::Line(line)) => Command::Line { shell: shell.to_vec(), line: line.clone() },
            Found::Value(Typed::Argv(argv)) => Command::Argv(argv.clone()),
            Found::Value(_) | Found::Refused | Found::Absent => return None,
        };
        let stop_signal = match layers.plain("stop_signal") {
            Some(Plain::Signal(number)) => number,
            _ => 0,
        };
        Some(Step {
            id: StepId::new(table.text("id")?).ok()?,
            needs,
            command,
            working_dir,
            env: environment([inherited.defaults, table]),
            timeout: layers.duration("timeout").or(finally.then_some(FINALLY_TIMEOUT)),
            retries,
            resources: resources(table, inherited.defaults),
            weight: layers.number("weight").unwrap_or_default(),
            on_interrupt: layers.word("on_interrupt").and_then(OnInterrupt::from_word).unwrap_or_default(),
            stop_signal,
            grace: layers.duration("grace").unwrap_or_default(),
            log_limit: layers.size("log_limit").unwrap_or_default(),
            background: layers.word("background").and_then(Background::from_word).unwrap_or_default(),
            when,
            may_fail: layers.flag("may_fail"),
            finally,
        })
    }

    fn retries(&mut self, table: &Fields, defaults: &Fields) -> Retries {
        let none = Fields::none(Place::Retries);
        let own = table.table("retries").unwrap_or(&none);
        let layers = Layers { own, defaults };
        let delay = layers.duration("delay").unwrap_or_default();
        let max_delay = layers.duration("max_delay").unwrap_or_default();
        for fields in [own, defaults] {
            if delay > max_delay && fields.has("delay") && fields.has("max_delay") {
                let message = "`max_delay` is shorter than `delay`; write a longer one, or leave it out";
                self.problems.add(fields.place_of("max_delay"), message);
            }
        }
        Retries {
            max: layers.count("max").unwrap_or_default(),
            delay,
            factor: layers.number("factor").unwrap_or(1.0),
            max_delay: max_delay.max(delay),
        }
    }
}

fn resources(table: &Fields, defaults: &Fields) -> Resources {
    let none = Fields::none(Place::Resources);
    let layers = Layers {
        own: table.table("resources").unwrap_or(&none),
        defaults: defaults.table("resources").unwrap_or(&none),
    };
    Resources { memory: layers.size("memory"), cpu: layers.number("cpu"), disk: layers.size("disk") }
}

fn is_finally(table: &Fields) -> bool {
    matches!(table.find("finally"), Found::Value(Typed::Plain(Plain::Flag(true))))
}

/// `fetch → parse → fetch`: what needs what; the middle of a long one is left out.
fn cycle_message<'i>(steps: &[usize], id: impl Fn(usize) -> &'i str) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = steps.iter().map(|step| id(*step).to_owned()).collect();
    names.extend(names.first().cloned());
    if names.len() > SHOWN {
        let left_out = names.len() - SHOWN + 1;
        names.splice(SHOWN / 2..SHOWN / 2 + left_out, [format!("({left_out} more)")]);
    }
    format!("these steps need each other in a circle: {}; take one need out", names.join(" → "))
}

/// The variables of these tables, the later ones over the earlier.
fn environment<const N: usize>(tables: [&Fields; N]) -> BTreeMap<String, String> {
    let pairs = tables.into_iter().flat_map(|table| table.env("env"));
    pairs.map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

fn default_shell() -> Vec<String> {
    match Place::Pipeline.key("shell").map(|key| key.fallback) {
        Some(Fallback::Is(words)) => words.split(' ').map(str::to_owned).collect(),
        Some(Fallback::Required | Fallback::None | Fallback::Words(_)) | None => Vec::new(),
    }
}
