//! Parameters: reads them from the file, and checks given values against them before a run starts. The value of a
//! secret never passes through here: the engine fetches it for each attempt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::model::{Param, ParamType, Pipeline};
use super::secret::{origin, read_secret};
use crate::base::id::is_valid_id;
use crate::base::nearest::nearest;
use crate::config::{ID_RULE, Located, Problems, Scalar, Table, Written, one_of};

/// The run type when none is given and the pipeline has no parameter `run_type`.
pub const DEFAULT_RUN_TYPE: &str = "FULL_REFRESH";

/// The environment when none is given and the pipeline has no parameter `environment`.
pub const DEFAULT_ENVIRONMENT: &str = "dev";

/// A parameter of this name, and one of [`ENVIRONMENT`], is the run's own as well.
pub const RUN_TYPE: &str = "run_type";
/// See [`RUN_TYPE`].
pub const ENVIRONMENT: &str = "environment";

/// The checked arguments of a run: its parameters without secrets, its run type and its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The value of every parameter that is not a secret and has one.
    pub params: BTreeMap<String, String>,
    /// Such as `FULL_REFRESH`.
    pub run_type: String,
    /// Such as `dev`.
    pub environment: String,
}

/// Why a run can't start with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The pipeline has no such parameter.
    #[error("the pipeline {pipeline} has no parameter {name:?}{hint}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The pipeline's id.
        pipeline: String,
        /// The nearest name, or all of them, after a semicolon.
        hint: String,
    },
    /// A parameter without a default was not given.
    #[error("the parameter {name:?} has no default and was not given; add --param {name}=…")]
    Missing { name: String },
    /// A secret was given as a value, which would be stored.
    #[error("the parameter {name:?} is a secret and cannot be given; set it where it comes from: {origin}")]
    Secret {
        name: String,
        /// Where it comes from.
        origin: String,
    },
    /// The value is not of the parameter's type, or not among its choices.
    #[error("the parameter {name:?} must be {expected}, not {value:?}{hint}")]
    Invalid {
        name: String,
        /// The value that was given.
        value: String,
        /// What it must be.
        expected: String,
        /// The nearest choice, after a semicolon.
        hint: String,
    },
    /// `--run-type` or `--environment` contradicts the parameter of that name.
    #[error(
        "the parameter {name:?} was given as {param:?}, but the run's own {name} as {own:?}; leave one out"
    )]
    Contradiction {
        /// `run_type` or `environment`.
        name: String,
        /// The parameter's value.
        param: String,
        /// The run's own value.
        own: String,
    },
}

/// The environment variable with a parameter's value in every step: `LEVERFRAME_PARAM_<NAME>`, in upper case, with `_`
/// for `-` and `.`.
pub fn param_env_name(name: &str) -> String {
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    format!("LEVERFRAME_PARAM_{name}")
}

impl Param {
    /// The value of this parameter, which has that name: the given one, else the default, in the normal form of its
    /// type; none of a secret. `home` as for [`Pipeline::resolve_params`].
    ///
    /// # Errors
    /// [`ParamError`] when a secret is given, the value is not of its type or choices, or there is none.
    pub fn resolve(
        &self,
        name: &str,
        given: Option<&str>,
        home: Option<&Path>,
    ) -> Result<Option<String>, ParamError> {
        let (kind, default, choices) = match (self, given) {
            (Self::Secret(source), Some(_)) => {
                return Err(ParamError::Secret { name: name.to_owned(), origin: origin(source) });
            }
            (Self::Secret(_), None) => return Ok(None),
            (Self::Value { kind, default, choices, .. }, _) => (*kind, default, choices),
        };
        let value =
            given.or(default.as_deref()).ok_or_else(|| ParamError::Missing { name: name.to_owned() })?;
        let value = check(name, value, kind, choices)?;
        Ok(Some(match kind {
            ParamType::Path => expand_home(value, home),
            ParamType::String | ParamType::Int | ParamType::Float | ParamType::Bool | ParamType::Date => {
                value
            }
        }))
    }

    /// Whether a run can't start unless it is given.
    pub fn is_required(&self) -> bool {
        matches!(self, Self::Value { default: None, .. })
    }
}

impl Pipeline {
    /// The values of all parameters that are not secrets: the given value, else the default, each in the normal form of
    /// its type. `home` replaces a leading `~` in a path; a relative path stays relative to the working directory of
    /// each step.
    ///
    /// # Errors
    /// The first [`ParamError`] by name, when a given name is unknown or a secret, a value is not of its
    /// type or choices, or a parameter without a default is not given.
    pub fn resolve_params(
        &self,
        given: &BTreeMap<String, String>,
        home: Option<&Path>,
    ) -> Result<BTreeMap<String, String>, ParamError> {
        if let Some(name) = given.keys().find(|name| !self.params.contains_key(*name)) {
            return Err(self.unknown_param(name));
        }
        let mut values = BTreeMap::new();
        for (name, param) in &self.params {
            let value = param.resolve(name, given.get(name).map(String::as_str), home)?;
            values.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(values)
    }

    /// [`resolve_params`](Self::resolve_params), together with the run's own run type and environment,
    /// which a step sees as `LEVERFRAME_RUN_TYPE` and `LEVERFRAME_ENVIRONMENT`.
    ///
    /// They never differ from parameters named `run_type` and `environment`. If the pipeline has such a parameter, the
    /// run's own value sets it and is checked against its type and choices. If the run has no value of its own, it
    /// takes the parameter's. Without both it takes [`DEFAULT_RUN_TYPE`] and [`DEFAULT_ENVIRONMENT`].
    ///
    /// # Errors
    /// As `resolve_params`, and [`ParamError::Contradiction`] when both are given and differ.
    pub fn resolve_arguments(
        &self,
        given: &BTreeMap<String, String>,
        run_type: Option<&str>,
        environment: Option<&str>,
        home: Option<&Path>,
    ) -> Result<Arguments, ParamError> {
        let mut given = given.clone();
        for (name, own) in [(RUN_TYPE, run_type), (ENVIRONMENT, environment)] {
            let Some(own) = own.filter(|_| self.params.contains_key(name)) else { continue };
            let param = given.entry(name.to_owned()).or_insert_with(|| own.to_owned());
            if param != own {
                let (name, own, param) = (name.to_owned(), own.to_owned(), param.clone());
                return Err(ParamError::Contradiction { name, param, own });
            }
        }
        let params = self.resolve_params(&given, home)?;
        let own = |name: &str, word: Option<&str>, default: &str| {
            params.get(name).map(String::as_str).or(word).unwrap_or(default).to_owned()
        };
        Ok(Arguments {
            run_type: own(RUN_TYPE, run_type, DEFAULT_RUN_TYPE),
            environment: own(ENVIRONMENT, environment, DEFAULT_ENVIRONMENT),
            params,
        })
    }

    fn unknown_param(&self, name: &str) -> ParamError {
        let names = || self.params.keys().map(String::as_str);
        let hint = match nearest(name, names()) {
            Some(near) => format!("; did you mean {near:?}?"),
            None if self.params.is_empty() => "; it has none at all".to_owned(),
            None => format!("; it has {}", names().collect::<Vec<_>>().join(", ")),
        };
        ParamError::Unknown { name: name.to_owned(), pipeline: self.id.to_string(), hint }
    }
}

fn check(name: &str, value: &str, kind: ParamType, choices: &[String]) -> Result<String, ParamError> {
    let invalid = |expected: String, hint: String| ParamError::Invalid {
        name: name.to_owned(),
        value: value.to_owned(),
        expected,
        hint,
    };
    let value = canonical(kind, value).ok_or_else(|| invalid(expected(kind).to_owned(), String::new()))?;
    if choices.is_empty() || choices.contains(&value) {
        return Ok(value);
    }
    let hint = nearest(&value, choices.iter().map(String::as_str));
    Err(invalid(one_of(choices), hint.map_or_else(String::new, |near| format!("; did you mean {near:?}?"))))
}

/// The normal form of a value of this type, so that equal values are equal texts; none when the text is not of the
/// type.
fn canonical(kind: ParamType, text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    match kind {
        ParamType::String => Some(text.to_owned()),
        ParamType::Int => text.parse::<i64>().ok().map(|number| number.to_string()),
        ParamType::Float => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| format!("{number:?}"))
        }
        ParamType::Bool => text.parse::<bool>().ok().map(|flag| flag.to_string()),
        ParamType::Date => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.to_string();
            (date == text).then_some(date)
        }
        ParamType::Path => (!text.is_empty()).then(|| text.to_owned()),
    }
}

fn expected(kind: ParamType) -> &'static str {
    match kind {
        ParamType::String => "a text without NUL characters",
        ParamType::Int => "a whole number",
        ParamType::Float => "a number",
        ParamType::Bool => "true or false",
        ParamType::Date => "a date such as 2026-11-23",
        ParamType::Path => "a path",
    }
}

fn expand_home(path: String, home: Option<&Path>) -> String {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.display())
        }
        _ => path,
    }
}

/// Reads `[params.…]`. `resolve` makes a path of the file absolute.
pub(super) fn read_params(
    tables: &[(&Located<String>, Table<'_>)],
    problems: &mut Problems<'_>,
    resolve: impl Fn(usize, &str, &mut Problems<'_>) -> PathBuf,
) -> BTreeMap<String, Param> {
    let mut in_order: Vec<_> = tables.iter().collect();
    in_order.sort_by_key(|(name, _)| name.at);
    let mut by_variable: BTreeMap<String, &str> = BTreeMap::new();
    let mut params = BTreeMap::new();
    for &(Located { value: name, at }, table) in in_order {
        if !is_valid_id(name) {
            problems.add(*at, format!("the parameter's name {name:?} is malformed: {ID_RULE}"));
        } else {
            let variable = param_env_name(name);
            if let Some(first) = by_variable.get(&variable) {
                let message = format!(
                    "the parameters `{first}` and `{name}` would both be the variable {variable}; rename one"
                );
                problems.add(*at, message);
            } else {
                by_variable.insert(variable, name);
            }
        }
        let param = if table.table("secret").exists() {
            read_secret(name, table, problems, &resolve).map(Param::Secret)
        } else {
            Some(read_value(table, problems))
        };
        params.extend(param.map(|param| (name.clone(), param)));
    }
    params
}

fn read_value(table: Table<'_>, problems: &mut Problems<'_>) -> Param {
    let description = table.text("description").map(str::to_owned);
    let Some(kind) = table.word("type").and_then(ParamType::from_word) else {
        return Param::Value { kind: ParamType::default(), description, default: None, choices: Vec::new() };
    };
    let mut choices: Vec<String> = Vec::new();
    for choice in table.scalars("choices") {
        match typed(kind, &choice.value) {
            Ok(value) if choices.contains(&value) => {
                problems.add(choice.at, format!("the choice {value:?} is named twice; take one out"));
            }
            Ok(value) => choices.push(value),
            Err(why) => problems.add(choice.at, format!("the choice {why}")),
        }
    }
    if table.value("choices").is_some() && table.scalars("choices").is_empty() {
        problems.add(table.place_of("choices"), "`choices` is empty; write some, or leave it out");
    }
    let default = table.scalar("default").and_then(|default| {
        let value = typed(kind, default);
        if let Err(why) = &value {
            problems.add(table.place_of("default"), format!("the default {why}"));
        }
        value.ok()
    });
    if let Some(value) = default.as_ref().filter(|value| !choices.is_empty() && !choices.contains(value)) {
        let message = format!("the default {value:?} is not among the choices; write {}", one_of(&choices));
        problems.add(table.place_of("default"), message);
    }
    Param::Value { kind, description, default, choices }
}

/// The value of a default or choice. A string in the file may stand for any type.
fn typed(kind: ParamType, scalar: &Scalar) -> Result<String, String> {
    let fits = match (kind, scalar.written) {
        (_, Written::String) => true,
        (ParamType::Int | ParamType::Float, Written::Integer) => true,
        (ParamType::Float, Written::Float) => true,
        (ParamType::Bool, Written::Bool) => true,
        (ParamType::Date, Written::Date) => true,
        (
            ParamType::String
            | ParamType::Int
            | ParamType::Float
            | ParamType::Bool
            | ParamType::Date
            | ParamType::Path,
            Written::Integer | Written::Float | Written::Bool | Written::Date,
        ) => false,
    };
    let text = &scalar.text;
    if !fits && matches!(kind, ParamType::String | ParamType::Path) {
        let other = match scalar.written {
            Written::String => ParamType::String,
            Written::Integer => ParamType::Int,
            Written::Float => ParamType::Float,
            Written::Bool => ParamType::Bool,
            Written::Date => ParamType::Date,
        };
        return Err(format!(
            "{text} is no {} as written; write {text:?}, or `type = {:?}`",
            kind.word(),
            other.word()
        ));
    }
    canonical(kind, text).filter(|_| fits).ok_or_else(|| format!("must be {}, not {text}", expected(kind)))
}
