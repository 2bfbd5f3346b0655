//! Reads single values of a file: strings, numbers, arrays of strings, environments. `reader` reads tables.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::diagnostic::Problems;
use super::keys::{Bound, Key};
use super::kinds::{Kind, Plain};
use super::reader::Located;
use crate::base::id::is_valid_id;
use crate::base::units::SIGNALS;

/// The default or a choice of a parameter: its text, and its TOML type in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) written: Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    String,
    Integer,
    Float,
    Bool,
    Date,
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a bool",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The message for a wrong type: "`timeout` must be …, not …", with what to write if that is clear.
pub(super) fn wrong_type(name: &str, kind: Kind, value: &DeValue<'_>) -> String {
    let hint = match (kind, value) {
        (Kind::Duration(_), DeValue::Integer(number)) => format!("; write \"{number}s\" for seconds"),
        (Kind::Size(_), DeValue::Integer(number)) => format!("; write \"{number}B\" for bytes"),
        (Kind::Strings(..), DeValue::String(name)) => format!("; write [{name:?}]"),
        (Kind::Argv, DeValue::String(text)) => {
            format!("; write {:?}", text.split_whitespace().collect::<Vec<_>>())
        }
        (Kind::Flag, DeValue::String(text)) if matches!(&**text, "true" | "false") => {
            format!("; write {text} without quotes")
        }
        (Kind::Table(place), DeValue::Integer(number)) => match place.keys().next() {
            Some(Key { name, kind: Kind::Count(..), .. }) => format!("; write {{ {name} = {number} }}"),
            _ => String::new(),
        },
        (Kind::Tables(_), DeValue::Table(_)) => format!("; write [[{name}]] for [{name}]"),
        _ => String::new(),
    };
    format!("`{name}` must be {}, not {}{hint}", kind.expected(), type_of(value))
}

/// Reads a string that can be passed to the operating system and fits its key.
pub(super) fn read_text(key: &Key, text: &str, at: usize, problems: &mut Problems<'_>) -> Option<String> {
    let is_id = matches!(key.kind, Kind::Id);
    let problem = if text.contains('\0') {
        format!("`{}` contains a NUL character, which can't be passed to a process; leave it out", key.name)
    } else if is_id && !is_valid_id(text) {
        format!("the id {text:?} is malformed: {ID_RULE}")
    } else if text.trim().is_empty() && !matches!(key.kind, Kind::Text) {
        format!("`{}` is empty", key.name)
    } else {
        return Some(text.to_owned());
    };
    problems.add(at, problem);
    None
}

/// The rule for ids, for messages.
pub(crate) const ID_RULE: &str =
    "start with a letter or digit, use only letters, digits, '.', '_' and '-', and at most 128 of them";

pub(super) fn read_argv(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Problems<'_>,
) -> Option<Vec<String>> {
    let at = value.span().start;
    let items = read_strings(key, value, problems)?;
    if items.first().is_none_or(|program| program.value.is_empty()) {
        problems.add(at, format!("`{}` does not name a program: its first string must be one", key.name));
        return None;
    }
    if let Some(item) = items.iter().find(|item| item.value.contains('\0')) {
        problems.add(
            item.at,
            format!(
                "`{}` contains a NUL character, which can't be passed to a process; leave it out",
                key.name
            ),
        );
        return None;
    }
    Some(items.into_iter().map(|item| item.value).collect())
}

pub(super) fn read_strings(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Problems<'_>,
) -> Option<Vec<Located<String>>> {
    let items = value.get_ref().as_array()?;
    let mut strings = Vec::with_capacity(items.len());
    for item in items {
        match item.get_ref().as_str() {
            Some(text) => strings.push(Located { value: text.to_owned(), at: item.span().start }),
            None => {
                let hint = read_scalar(item.get_ref())
                    .map_or_else(String::new, |scalar| format!("; write {:?}", scalar.text));
                let message =
                    format!("`{}` holds {}, not only strings{hint}", key.name, type_of(item.get_ref()));
                problems.add(item.span().start, message);
            }
        }
    }
    (strings.len() == items.len()).then_some(strings)
}

pub(super) fn read_plain(key: &Key, text: &str, at: usize, problems: &mut Problems<'_>) -> Option<Plain> {
    match key.kind.read_plain(text) {
        Ok(plain) => return Some(plain),
        Err(why) if !why.is_empty() => problems.add(at, format!("`{}`: {why}", key.name)),
        Err(_) => {
            let near = if let Kind::Word(words) = key.kind {
                problems.did_you_mean(text, words.iter().copied())
            } else {
                problems.did_you_mean(text, SIGNALS.iter().map(|(name, _)| *name))
            };
            problems.add(at, format!("`{}` must be {}, not {text:?}{near}", key.name, key.kind.expected()));
        }
    }
    None
}

pub(super) fn read_number(
    key: &Key,
    bound: Bound,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Problems<'_>,
) -> Option<f64> {
    let scalar = read_scalar(value.get_ref())?;
    let number = scalar.text.parse::<f64>().ok().filter(|number| match bound {
        Bound::AboveZero => *number > 0.0 && number.is_finite(),
        Bound::AboveZeroOrInfinite => *number > 0.0,
        Bound::AtLeastOne => *number >= 1.0 && number.is_finite(),
    });
    if number.is_none() {
        let message = format!("`{}` must be {}, not {}", key.name, key.kind.expected(), scalar.text);
        problems.add(value.span().start, message);
    }
    number
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(super) fn read_scalar(value: &DeValue<'_>) -> Option<Scalar> {
    let (text, written) = match value {
        DeValue::String(text) => (text.to_string(), Written::String),
        DeValue::Integer(number) => {
            (integer(number).map_or_else(|| number.to_string(), |n| n.to_string()), Written::Integer)
        }
        DeValue::Float(number) => (number.as_str().to_owned(), Written::Float),
        DeValue::Boolean(flag) => (flag.to_string(), Written::Bool),
        DeValue::Datetime(date) => (date.to_string(), Written::Date),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    };
    Some(Scalar { text, written })
}

/// Names and values of an environment, in the order of the file.
pub(super) fn read_env(
    table: &DeTable<'_>,
    problems: &mut Problems<'_>,
) -> Vec<(Located<String>, Located<String>)> {
    let mut pairs = Vec::with_capacity(table.len());
    for (name, value) in table {
        let (at, value_at) = (name.span().start, value.span().start);
        let name = name.get_ref();
        if let Some(problem) = env_name_problem(name) {
            problems.add(at, problem);
            continue;
        }
        let Some(text) = value.get_ref().as_str() else {
            let hint = read_scalar(value.get_ref())
                .map_or_else(String::new, |scalar| format!("; write {:?}", scalar.text));
            let message =
                format!("the variable `{name}` must be a string, not {}{hint}", type_of(value.get_ref()));
            problems.add(value_at, message);
            continue;
        };
        if text.contains('\0') {
            problems.add(value_at, format!("the variable `{name}` holds a NUL character; leave it out"));
            continue;
        }
        pairs.push((
            Located { value: name.to_string(), at },
            Located { value: text.to_owned(), at: value_at },
        ));
    }
    pairs
}

/// Whether a text can name a variable: `[A-Za-z_][A-Za-z0-9_]*`.
pub(crate) fn is_variable_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn env_name_problem(name: &str) -> Option<String> {
    if !is_variable_name(name) {
        return Some(format!(
            "{name:?} is not a valid variable name: use letters, digits and '_', and no digit first"
        ));
    }
    name.starts_with("LEVERFRAME_")
        .then(|| format!("`{name}` is set by Leverframe for each step; choose a name without LEVERFRAME_"))
}

/// A whole number within the range of its kind, which is [`Kind::Count`].
pub(super) fn read_count(
    name: &str,
    kind: Kind,
    value: &Spanned<DeValue<'_>>,
    problems: &mut Problems<'_>,
) -> Option<u64> {
    let (DeValue::Integer(number), Kind::Count(least, most)) = (value.get_ref(), kind) else {
        problems.add(value.span().start, wrong_type(name, kind, value.get_ref()));
        return None;
    };
    let count = integer(number).and_then(|number| u64::try_from(number).ok());
    let count = count.filter(|count| (least..=most).contains(count));
    if count.is_none() {
        let message = format!("`{name}` must be {}, not {number}", kind.expected());
        problems.add(value.span().start, message);
    }
    count
}

/// Ids and whole numbers of at least 1; a pair with a problem is left out.
pub(super) fn read_counts(table: &DeTable<'_>, problems: &mut Problems<'_>) -> Vec<(String, u64)> {
    let mut counts = Vec::with_capacity(table.len());
    for (name, value) in table {
        let (at, name) = (name.span().start, name.get_ref());
        if !is_valid_id(name) {
            problems.add(at, format!("the name {name:?} is malformed: {ID_RULE}"));
        } else if let Some(count) = read_count(name, Kind::Count(1, u64::MAX), value, problems) {
            counts.push((name.to_string(), count));
        }
    }
    counts
}

/// Names and scalars; none when one of the values is something else.
pub(super) fn read_values(
    key: &Key,
    table: &DeTable<'_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<(String, Scalar)>> {
    let mut values = Some(Vec::new());
    for (name, value) in table {
        if let Some(scalar) = read_scalar(value.get_ref()) {
            values.iter_mut().for_each(|values| values.push((name.get_ref().to_string(), scalar.clone())));
            continue;
        }
        let expected = Kind::Scalar.expected();
        let message =
            format!("a value in `{}` must be {expected}, not {}", key.name, type_of(value.get_ref()));
        problems.add(value.span().start, message);
        values = None;
    }
    values
}

/// An array of scalars; none when one of its values is something else.
pub(super) fn read_scalars<'t, 'i: 't>(
    key: &Key,
    items: impl Iterator<Item = &'t Spanned<DeValue<'i>>>,
    problems: &mut Problems<'_>,
) -> Option<Vec<Located<Scalar>>> {
    let mut scalars = Some(Vec::new());
    for item in items {
        let at = item.span().start;
        if let Some(value) = read_scalar(item.get_ref()) {
            scalars.iter_mut().for_each(|scalars| scalars.push(Located { value: value.clone(), at }));
            continue;
        }
        let expected = Kind::Scalar.expected();
        let message =
            format!("a value in `{}` must be {expected}, not {}", key.name, type_of(item.get_ref()));
        problems.add(at, message);
        scalars = None;
    }
    scalars
}
