//! The start form: what is entered, what is wrong with it, the request it makes and the command line for the same. It
//! paints nothing. What a value must be is checked by [`Param::resolve`], as for the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;

use super::path_picker::PathPicker;
use crate::api::StartRun;
use crate::pipeline::{
    DEFAULT_ENVIRONMENT, DEFAULT_RUN_TYPE, ENVIRONMENT, Param, ParamError, ParamType, RUN_TYPE, SecretState,
    secret_origin,
};
use crate::window::StartBasis;

/// A parameter that can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParamField {
    pub(super) name: String,
    pub(super) kind: ParamType,
    pub(super) description: Option<String>,
    pub(super) default: Option<String>,
    /// The only values allowed, if any are listed.
    pub(super) choices: Vec<String>,
    /// What is entered.
    pub(super) value: String,
}

impl ParamField {
    pub(super) fn is_required(&self) -> bool {
        self.default.is_none()
    }

    /// What is given; none leaves it to the default. An empty field gives a text only where it takes the place of a
    /// default text.
    fn given(&self) -> Option<&str> {
        let is_text = self.kind == ParamType::String && self.default.is_some() && self.choices.is_empty();
        (is_text || !self.value.is_empty()).then_some(&*self.value)
    }
}

/// A secret, which can't be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretField {
    pub(super) name: String,
    /// Where it comes from.
    pub(super) origin: String,
    pub(super) state: SecretState,
}

/// The run type or the environment, where no parameter of that name stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnField {
    pub(super) default: &'static str,
    /// The default and what past runs used.
    pub(super) known: Vec<String>,
    pub(super) value: String,
}

impl OwnField {
    fn new(default: &'static str, earlier: Option<&String>, used: &[String]) -> Self {
        let rest = used.iter().filter(|value| *value != default).cloned();
        let known = [default.to_owned()].into_iter().chain(rest).collect();
        Self { default, known, value: earlier.map_or_else(|| default.to_owned(), Clone::clone) }
    }

    /// What is given, if it is not the default.
    pub(super) fn given(&self) -> Option<String> {
        let value = self.value.trim();
        (!value.is_empty() && value != self.default).then(|| value.to_owned())
    }
}

/// The fields about how a pipeline runs: its parameters, run type, environment and priority. The start form and the form
/// of a job share them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunFields {
    basis: Arc<StartBasis>,
    /// The required ones first, then by name.
    pub(super) params: Vec<ParamField>,
    pub(super) secrets: Vec<SecretField>,
    pub(super) run_type: Option<OwnField>,
    pub(super) environment: Option<OwnField>,
    pub(super) priority: u8,
    /// The parameter whose field gets the keyboard in the next frame.
    pub(super) focus: Option<String>,
    /// A day of the month that the open calendar shows.
    pub(super) month: Option<NaiveDate>,
    /// The open picker of a path.
    pub(super) picker: Option<PathPicker>,
}

/// The values that the fields begin with, in the place of the pipeline's own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before<'a> {
    pub(super) params: Option<&'a BTreeMap<String, String>>,
    pub(super) run_type: Option<&'a String>,
    pub(super) environment: Option<&'a String>,
    pub(super) priority: Option<u8>,
}

impl RunFields {
    pub(super) fn new(basis: Arc<StartBasis>, before: Before<'_>) -> Self {
        let pipeline = &basis.definition.pipeline;
        let (mut params, mut secrets) = (Vec::new(), Vec::new());
        for (name, param) in &pipeline.params {
            let name = name.clone();
            match param {
                Param::Secret(source) => {
                    let state = basis.secrets.get(&name).cloned().unwrap_or(SecretState::Unknown);
                    secrets.push(SecretField { name, origin: secret_origin(source), state });
                }
                Param::Value { kind, description, default, choices } => {
                    let value = before.params.and_then(|params| params.get(&name)).or(default.as_ref());
                    params.push(ParamField {
                        value: value.cloned().unwrap_or_default(),
                        name,
                        kind: *kind,
                        description: description.clone(),
                        default: default.clone(),
                        choices: choices.clone(),
                    });
                }
            }
        }
        params.sort_by_key(|field| !field.is_required());
        let own = |name: &str, field: OwnField| (!pipeline.params.contains_key(name)).then_some(field);
        let run_type = own(RUN_TYPE, OwnField::new(DEFAULT_RUN_TYPE, before.run_type, &basis.used.run_types));
        let environment = own(
            ENVIRONMENT,
            OwnField::new(DEFAULT_ENVIRONMENT, before.environment, &basis.used.environments),
        );
        let priority = before.priority.unwrap_or_default().max(pipeline.priority);
        Self {
            params,
            secrets,
            run_type,
            environment,
            priority,
            focus: None,
            month: None,
            picker: None,
            basis,
        }
    }

    /// Opens the picker of a path where the field's path lies; a relative one lies where the pipeline's file does.
    pub(super) fn open_picker(&mut self, param: &str) {
        let field = self.params.iter().find(|field| field.name == param);
        let Some(field) = field else { return };
        let home = self.basis.home.as_deref();
        let path = self.basis.definition.pipeline.params.get(param).and_then(|known| {
            let given = if field.value.is_empty() { field.default.as_deref() } else { Some(&*field.value) };
            known.resolve(param, given, home).ok().flatten()
        });
        let folder = Path::new(&*self.basis.definition.path).parent();
        let begin = match (path, home, folder) {
            (Some(path), _, Some(folder)) => folder.join(path),
            (Some(path), _, None) => path.into(),
            (None, Some(home), _) => home.to_owned(),
            (None, None, folder) => folder.map_or_else(|| PathBuf::from("/"), |folder| folder.to_owned()),
        };
        self.picker = Some(PathPicker::new(param, begin));
    }

    /// The pipeline's id.
    pub(super) fn pipeline_id(&self) -> &str {
        self.basis.definition.pipeline.id.as_str()
    }

    /// What is wrong with a parameter, in a sentence for beside its field.
    pub(super) fn error(&self, field: &ParamField) -> Option<String> {
        let param = self.basis.definition.pipeline.params.get(&field.name)?;
        let outcome = param.resolve(&field.name, field.given(), self.basis.home.as_deref());
        Some(match outcome.err()? {
            ParamError::Invalid { expected, hint, .. } => format!("It must be {expected}{hint}"),
            ParamError::Missing { .. } if field.choices.is_empty() => {
                "Fill it in: it has no default".to_owned()
            }
            ParamError::Missing { .. } => "Choose one: it has no default".to_owned(),
            error @ (ParamError::Unknown { .. }
            | ParamError::Secret { .. }
            | ParamError::Contradiction { .. }) => error.to_string(),
        })
    }

    /// The parameters with an error, in the order of the form.
    pub(super) fn wrong(&self) -> Vec<&str> {
        self.params.iter().filter(|field| self.error(field).is_some()).map(|field| &*field.name).collect()
    }

    /// Gives the keyboard to the first field with an error, or else to the first field.
    pub(super) fn focus_first(&mut self) {
        let first = self.wrong().first().map(|name| (*name).to_owned());
        self.focus = first.or_else(|| self.params.first().map(|field| field.name.clone()));
    }

    /// The parameters that differ from their default.
    pub(super) fn given(&self) -> BTreeMap<String, String> {
        let home = self.basis.home.as_deref();
        let is_default = |field: &&ParamField| {
            let Some(param) = self.basis.definition.pipeline.params.get(&field.name) else { return false };
            let default = param.resolve(&field.name, None, home);
            default.is_ok() && param.resolve(&field.name, field.given(), home) == default
        };
        let given = self.params.iter().filter(|field| !is_default(field));
        given.filter_map(|field| Some((field.name.clone(), field.given()?.to_owned()))).collect()
    }

    /// The value of every parameter that has one.
    fn all(&self) -> BTreeMap<String, String> {
        let all = self.params.iter().filter_map(|field| {
            let value = field.given().or(field.default.as_deref())?;
            Some((field.name.clone(), value.to_owned()))
        });
        all.collect()
    }

    /// The pipeline's own priority.
    pub(super) fn pipeline_priority(&self) -> u8 {
        self.basis.definition.pipeline.priority
    }

    /// The priority, unless it is the pipeline's own.
    pub(super) fn own_priority(&self) -> Option<u8> {
        (self.priority != self.basis.definition.pipeline.priority).then_some(self.priority)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct StartForm {
    basis: Arc<StartBasis>,
    pub(super) fields: RunFields,
    /// Why the run could not be started.
    pub(super) refusal: Option<String>,
    pub(super) is_starting: bool,
}

impl StartForm {
    pub(super) fn new(basis: Arc<StartBasis>) -> Self {
        let before = basis.earlier.as_ref().map_or_else(Before::default, |earlier| Before {
            params: Some(&earlier.params),
            run_type: Some(&earlier.run_type),
            environment: Some(&earlier.environment),
            priority: None,
        });
        let mut fields = RunFields::new(basis.clone(), before);
        fields.focus_first();
        Self { fields, refusal: None, is_starting: false, basis }
    }

    /// The pipeline's id.
    pub(super) fn pipeline_id(&self) -> &str {
        self.fields.pipeline_id()
    }

    pub(super) fn title(&self) -> String {
        match &self.basis.earlier {
            Some(earlier) => format!("Start {} again", earlier.run_id),
            None => format!("Start {}", self.pipeline_id()),
        }
    }

    pub(super) fn n_steps(&self) -> usize {
        self.basis.definition.pipeline.steps.len()
    }

    pub(super) fn description(&self) -> Option<&str> {
        self.basis.definition.pipeline.description.as_deref()
    }

    /// Whether a job can start it: a file has the pipeline.
    pub(super) fn can_be_scheduled(&self) -> bool {
        self.like().is_none()
    }

    /// The run whose definition is used, because no file has it.
    fn like(&self) -> Option<&crate::base::id::RunId> {
        self.basis
            .earlier
            .as_ref()
            .filter(|earlier| earlier.has_the_definition)
            .map(|earlier| &earlier.run_id)
    }

    /// The request that starts the run, whether or not a field has an error.
    fn start(&self) -> StartRun {
        let own = |field: &Option<OwnField>| match (field, self.like()) {
            (Some(field), None) => field.given(),
            // Otherwise the earlier run's would count.
            (Some(field), Some(_)) => Some(field.given().unwrap_or_else(|| field.default.to_owned())),
            (None, _) => None,
        };
        StartRun {
            pipeline: self.like().is_none().then(|| self.pipeline_id().to_owned()),
            // All where an earlier run would fill the others.
            params: if self.like().is_some() { self.fields.all() } else { self.fields.given() },
            run_id: None,
            run_type: own(&self.fields.run_type),
            environment: own(&self.fields.environment),
            priority: self.fields.own_priority(),
            like: self.like().cloned(),
        }
    }

    /// The request that starts the run; none while a field has an error or a start is under way.
    pub(super) fn request(&self) -> Option<StartRun> {
        (!self.is_starting && self.fields.wrong().is_empty()).then(|| self.start())
    }

    /// The command line that does the same, quoted for a shell. It contains no secret, because the form has none.
    pub(super) fn command_line(&self) -> String {
        let StartRun { pipeline, params, run_id: _, run_type, environment, priority, like } = self.start();
        let mut line = "leverframe run".to_owned();
        let mut add = |part: &str| {
            line.push(' ');
            line.push_str(part);
        };
        if let Some(pipeline) = pipeline {
            add(&quoted(&pipeline));
        }
        if let Some(like) = like {
            add(&format!("--like {}", quoted(like.as_str())));
        }
        for (name, value) in params {
            add(&format!("--param {name}={}", quoted(&value)));
        }
        for (option, value) in [("--run-type", run_type), ("--environment", environment)] {
            if let Some(value) = value {
                // A separate word that begins with a dash would be read as an option.
                let between = if value.starts_with('-') { '=' } else { ' ' };
                add(&format!("{option}{between}{}", quoted(&value)));
            }
        }
        if let Some(priority) = priority {
            add(&format!("--priority {priority}"));
        }
        if let Some(data_dir) = &self.basis.data_dir {
            add(&format!("--data-dir {}", quoted(&data_dir.to_string_lossy())));
        }
        line
    }
}

/// A word for a shell. No argument can hold a NUL, which the check of the parameter reports.
fn quoted(word: &str) -> String {
    let word = word.replace('\0', "");
    shlex::try_quote(&word).map_or_else(|_| word.clone(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;
    use crate::run::Definition;
    use crate::window::{Earlier, UsedValues};

    const TEXT: &str = r#"
        id = "alfabeta"
        priority = 5
        [params.since]
        type = "date"
        [params.region]
        default = "north"
        choices = ["north", "south"]
        [params.note]
        default = "none"
        [params.out]
        type = "path"
        default = "~/prices"
        [params.pages]
        type = "int"
        default = 3
        [params.token]
        secret = { env = "TOKEN" }
        [[step]]
        id = "a"
        run = "true"
    "#;

    fn basis(text: &str) -> StartBasis {
        let pipeline = Pipeline::parse(text, Path::new("/p/alfabeta.toml"), None).unwrap();
        let definition = Definition { path: "/p/alfabeta.toml".into(), text: text.into(), pipeline };
        let state = SecretState::Missing("the environment variable TOKEN is not set".to_owned());
        StartBasis {
            definition: Arc::new(definition),
            earlier: None,
            secrets: [("token".to_owned(), state)].into(),
            used: UsedValues::default(),
            home: Some("/home/ada".into()),
            data_dir: None,
        }
    }

    fn form() -> StartForm {
        StartForm::new(Arc::new(basis(TEXT)))
    }

    fn enter(form: &mut StartForm, name: &str, value: &str) {
        let field = form.fields.params.iter_mut().find(|field| field.name == name).unwrap();
        field.value = value.to_owned();
    }

    fn error(form: &StartForm, name: &str) -> Option<String> {
        form.fields.error(form.fields.params.iter().find(|field| field.name == name).unwrap())
    }

    fn earlier(has_the_definition: bool) -> Earlier {
        let params = [("since", "2026-01-02"), ("pages", "7"), ("note", "none"), ("gone", "x")];
        Earlier {
            run_id: crate::base::id::RunId::new("alfabeta-1").unwrap(),
            params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            run_type: "DELTA".to_owned(),
            environment: "dev".to_owned(),
            has_the_definition,
        }
    }

    #[test]
    fn every_parameter_has_a_field_with_its_default_and_the_required_one_is_first() {
        let form = form();
        let fields: Vec<_> = form.fields.params.iter().map(|field| (&*field.name, &*field.value)).collect();
        let rest = [("note", "none"), ("out", "~/prices"), ("pages", "3"), ("region", "north")];
        assert_eq!(fields[0], ("since", ""));
        assert_eq!(fields[1..], rest);
        assert_eq!(form.fields.secrets.len(), 1);
        assert!(matches!(form.fields.secrets[0].state, SecretState::Missing(_)));
        assert_eq!((form.fields.wrong(), form.fields.focus.as_deref()), (vec!["since"], Some("since")));
        assert_eq!(form.request(), None);
    }

    #[test]
    fn an_error_is_that_of_the_command_line_without_its_words() {
        let mut form = form();
        assert_eq!(error(&form, "since").unwrap(), "Fill it in: it has no default");
        for (name, value, shown) in [
            ("since", "2026-2-30", "It must be a date such as 2026-11-23"),
            ("pages", "1.5", "It must be a whole number"),
            ("region", "nort", "It must be one of north, south; did you mean \"north\"?"),
        ] {
            enter(&mut form, name, value);
            let given = [(name.to_owned(), value.to_owned())].into();
            let by_engine = form.basis.definition.pipeline.resolve_params(&given, None);
            assert!(by_engine.is_err());
            let error = error(&form, name).unwrap();
            assert!(error.starts_with(shown.split(" one of").next().unwrap()), "{error}");
            assert_eq!(error.contains("did you mean"), shown.contains("did you mean"), "{error}");
        }
        assert_eq!(form.fields.wrong(), ["since", "pages", "region"]);
    }

    #[test]
    fn an_empty_field_leaves_it_to_the_default_except_where_the_value_is_a_text() {
        let mut form = form();
        enter(&mut form, "since", "2026-11-16");
        enter(&mut form, "pages", "");
        enter(&mut form, "note", "");
        let start = form.request().unwrap();
        let params: Vec<_> = start.params.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(params, [("note", ""), ("since", "2026-11-16")]);
        assert_eq!((start.pipeline.as_deref(), start.priority, start.like), (Some("alfabeta"), None, None));
    }

    #[test]
    fn the_command_line_gives_what_differs_and_is_read_by_a_shell_as_it_was_entered() {
        let mut form = form();
        enter(&mut form, "since", "2026-11-16");
        assert_eq!(form.command_line(), "leverframe run alfabeta --param since=2026-11-16");
        enter(&mut form, "note", "it's $HOME; `x`\n\"y\"");
        enter(&mut form, "out", "~/other data");
        enter(&mut form, "pages", "+3");
        form.fields.run_type.as_mut().unwrap().value = "-DELTA 2".to_owned();
        form.fields.environment.as_mut().unwrap().value = " prod ".to_owned();
        form.fields.priority = 9;
        let words = shlex::split(&form.command_line()).unwrap();
        let told = [
            "leverframe",
            "run",
            "alfabeta",
            "--param",
            "note=it's $HOME; `x`\n\"y\"",
            "--param",
            "out=~/other data",
            "--param",
            "since=2026-11-16",
            "--run-type=-DELTA 2",
            "--environment",
            "prod",
            "--priority",
            "9",
        ];
        assert_eq!(words, told);
        let start = form.request().unwrap();
        assert_eq!(start.params["out"], "~/other data");
        assert_eq!((start.run_type.as_deref(), start.priority), (Some("-DELTA 2"), Some(9)));
    }

    #[test]
    fn the_command_line_names_another_data_directory_and_never_a_secret() {
        let other = StartBasis { data_dir: Some("/tmp/a b".into()), ..basis(TEXT) };
        let line = StartForm::new(Arc::new(other)).command_line();
        assert_eq!(line, "leverframe run alfabeta --data-dir '/tmp/a b'");
        assert!(!line.contains("token"));
    }

    #[test]
    fn again_with_begins_with_the_values_of_the_run() {
        let again = StartBasis { earlier: Some(earlier(false)), ..basis(TEXT) };
        let form = StartForm::new(Arc::new(again));
        assert_eq!(
            form.command_line(),
            "leverframe run alfabeta --param pages=7 --param since=2026-01-02 --run-type DELTA"
        );
        assert_eq!(form.request().unwrap().like, None, "all that counts is in the form");
        assert_eq!(form.fields.wrong(), Vec::<&str>::new());
    }

    #[test]
    fn without_a_file_the_runs_own_definition_is_used_and_nothing_else_of_it_counts() {
        let again = StartBasis { earlier: Some(earlier(true)), ..basis(TEXT) };
        let mut form = StartForm::new(Arc::new(again));
        enter(&mut form, "pages", "");
        form.fields.run_type.as_mut().unwrap().value.clear();
        let start = form.request().unwrap();
        assert_eq!((start.pipeline, start.like.unwrap().as_str()), (None, "alfabeta-1"));
        assert_eq!(start.params["pages"], "3");
        assert_eq!(start.run_type.as_deref(), Some("FULL_REFRESH"));
        assert!(form.command_line().starts_with("leverframe run --like alfabeta-1 --param note=none"));
    }

    #[test]
    fn a_parameter_named_run_type_takes_the_place_of_the_runs_own() {
        let text = TEXT.replace("[params.note]", "[params.run_type]");
        let mut form = StartForm::new(Arc::new(basis(&text)));
        assert!(form.fields.run_type.is_none() && form.fields.environment.is_some());
        enter(&mut form, "since", "2026-11-16");
        enter(&mut form, "run_type", "DELTA");
        let start = form.request().unwrap();
        assert_eq!((start.run_type, &*start.params["run_type"]), (None, "DELTA"));
    }
}
