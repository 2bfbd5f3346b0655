//! Reads the tables of a file and checks them against the table of keys: every unknown key and every value of a wrong
//! type is a problem. Rules about several values together are in `parse`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Problems;
use super::keys::{Key, Kind, Place, Plain};
use super::values::{
    Scalar, read_argv, read_count, read_env, read_number, read_plain, read_scalar, read_scalars,
    read_strings, read_text, read_values, type_of,
};

/// A value and its byte offset in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// The value of a key, of the type in the table of keys.
#[derive(Debug)]
pub(super) enum Typed {
    Plain(Plain),
    Text(String),
    /// A `run` that is a line.
    Line(String),
    Argv(Vec<String>),
    Names(Vec<Located<String>>),
    Env(Vec<(Located<String>, Located<String>)>),
    Scalar(Scalar),
    Scalars(Vec<Located<Scalar>>),
    Values(Vec<(String, Scalar)>),
    Table(Fields),
    Tables(Vec<Fields>),
    Named(Vec<(Located<String>, Fields)>),
}

/// The contents of one table of the file.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) place: Place,
    pub(super) at: usize,
    entries: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    at: usize,
    /// None when it was refused, which is already a problem.
    value: Option<Typed>,
}

/// The value of a key in a table.
pub(super) enum Found<'a> {
    Value(&'a Typed),
    /// The key is there, but its value was refused.
    Refused,
    Absent,
}

impl Fields {
    pub(super) fn none(place: Place) -> Self {
        Self { place, at: 0, entries: Vec::new() }
    }

    pub(super) fn find(&self, name: &str) -> Found<'_> {
        match self.field(name) {
            Some(Field { value: Some(value), .. }) => Found::Value(value),
            Some(_) => Found::Refused,
            None => Found::Absent,
        }
    }

    fn field(&self, name: &str) -> Option<&Field> {
        debug_assert!(self.place.key(name).is_some(), "{name} is in the table of keys");
        self.entries.iter().find(|field| field.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The offset of the key's value, or of the table when the key is left out.
    pub(super) fn place_of(&self, name: &str) -> usize {
        self.field(name).map_or(self.at, |field| field.at)
    }

    fn value(&self, name: &str) -> Option<&Typed> {
        self.field(name).and_then(|field| field.value.as_ref())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        if let Some(Typed::Text(text)) = self.value(name) { Some(text) } else { None }
    }

    pub(super) fn names(&self, name: &str) -> Option<&[Located<String>]> {
        if let Some(Typed::Names(names)) = self.value(name) { Some(names) } else { None }
    }

    pub(super) fn argv(&self, name: &str) -> Option<&[String]> {
        if let Some(Typed::Argv(argv)) = self.value(name) { Some(argv) } else { None }
    }

    pub(super) fn env(&self, name: &str) -> &[(Located<String>, Located<String>)] {
        if let Some(Typed::Env(pairs)) = self.value(name) { pairs } else { &[] }
    }

    pub(super) fn scalar(&self, name: &str) -> Option<&Scalar> {
        if let Some(Typed::Scalar(scalar)) = self.value(name) { Some(scalar) } else { None }
    }

    pub(super) fn scalars(&self, name: &str) -> &[Located<Scalar>] {
        if let Some(Typed::Scalars(scalars)) = self.value(name) { scalars } else { &[] }
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let values = if let Some(Typed::Values(values)) = self.value(name) { values.as_slice() } else { &[] };
        values.iter().map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    pub(super) fn table(&self, name: &str) -> Option<&Fields> {
        if let Some(Typed::Table(fields)) = self.value(name) { Some(fields) } else { None }
    }

    pub(super) fn tables(&self, name: &str) -> &[Fields] {
        if let Some(Typed::Tables(tables)) = self.value(name) { tables } else { &[] }
    }

    pub(super) fn named(&self, name: &str) -> &[(Located<String>, Fields)] {
        if let Some(Typed::Named(tables)) = self.value(name) { tables } else { &[] }
    }
}

/// Reads one table of the file. Every wrong key or value becomes a problem.
pub(super) fn read_table(
    place: Place,
    table: &DeTable<'_>,
    at: usize,
    problems: &mut Problems<'_>,
) -> Fields {
    let mut entries = Vec::with_capacity(table.len());
    for (name, value) in table {
        let Some(key) = place.key(name.get_ref()) else {
            let message = unknown_key(place, name.get_ref(), problems);
            problems.add(name.span().start, message);
            continue;
        };
        if key.is_later() {
            problems.add(
                name.span().start,
                format!("`{}` comes with a later version of Leverframe; leave it out until then", key.name),
            );
            continue;
        }
        let value_at = value.span().start;
        let value = read_value(key, value, problems);
        entries.push(Field { name: key.name, at: value_at, value });
    }
    Fields { place, at, entries }
}

/// The message for an unknown key: the table where it belongs, or the name that may be meant.
fn unknown_key(place: Place, name: &str, problems: &mut Problems<'_>) -> String {
    let here = place.locative();
    if let Some(key) = place.keys().find(|key| key.aliases.contains(&name)) {
        return format!("unknown key `{name}` {here}; did you mean `{}`?", key.name);
    }
    let near = |problems: &mut Problems<'_>| {
        let names = place.keys().flat_map(|key| key.aliases.iter().copied().chain([key.name]));
        let near = problems.nearest(name, names)?;
        let key = place.keys().find(|key| key.aliases.contains(&near));
        Some(format!("; did you mean `{}`?", key.map_or(near, |key| key.name)))
    };
    if let Some(container) = place.container() {
        if container.key(name).is_some() {
            return format!("`{name}` does not belong {here}; it is a key of {} itself", container.name());
        }
        let hint = near(problems).unwrap_or_else(|| {
            let keys: Vec<_> = place.keys().filter(|key| !key.is_later()).map(|key| key.name).collect();
            format!("; there are {}", keys.join(", "))
        });
        return format!("unknown key `{name}` {here}{hint}");
    }
    match Place::ALL.into_iter().find(|other| other.key(name).is_some()) {
        Some(Place::Pipeline) => {
            format!(
                "`{name}` does not belong {here}; move it to the top of the file, before the first [table]"
            )
        }
        Some(
            other @ (Place::Step
            | Place::StepDefaults
            | Place::Retries
            | Place::Resources
            | Place::Param
            | Place::Secret
            | Place::Schedule),
        ) => {
            let other = if other == Place::StepDefaults { Place::Step } else { other };
            format!("`{name}` does not belong {here}; move it to {}", other.name())
        }
        None => {
            format!("unknown key `{name}` {here}{}", near(problems).unwrap_or_default())
        }
    }
}

fn read_value(key: &Key, value: &Spanned<DeValue<'_>>, problems: &mut Problems<'_>) -> Option<Typed> {
    let at = value.span().start;
    match (key.kind, value.get_ref()) {
        (Kind::Id | Kind::Text | Kind::Filled, DeValue::String(text)) => {
            read_text(key, text, at, problems).map(Typed::Text)
        }
        (Kind::Command, DeValue::String(text)) => read_text(key, text, at, problems).map(Typed::Line),
        (Kind::Command | Kind::Argv, DeValue::Array(_)) => read_argv(key, value, problems).map(Typed::Argv),
        (Kind::Values, DeValue::Table(table)) => read_values(key, table, problems).map(Typed::Values),
        (Kind::Names | Kind::Jobs, DeValue::Array(_)) => read_strings(key, value, problems).map(Typed::Names),
        (Kind::Word(_) | Kind::Duration(_) | Kind::Size | Kind::Signal, DeValue::String(text)) => {
            read_plain(key, text, at, problems).map(Typed::Plain)
        }
        (Kind::Flag, DeValue::Boolean(flag)) => Some(Typed::Plain(Plain::Flag(*flag))),
        (Kind::Count(_) | Kind::Priority, DeValue::Integer(number)) => {
            read_count(key, number, at, problems).map(|count| Typed::Plain(Plain::Count(count)))
        }
        (Kind::Number(bound), DeValue::Integer(_) | DeValue::Float(_)) => {
            read_number(key, bound, value, problems).map(|number| Typed::Plain(Plain::Number(number)))
        }
        (Kind::Env, DeValue::Table(table)) => Some(Typed::Env(read_env(table, problems))),
        (Kind::Scalar, scalar) if read_scalar(scalar).is_some() => read_scalar(scalar).map(Typed::Scalar),
        (Kind::Scalars, DeValue::Array(items)) => {
            read_scalars(key, items.iter(), problems).map(Typed::Scalars)
        }
        (Kind::Table(place), DeValue::Table(table)) => {
            Some(Typed::Table(read_table(place, table, at, problems)))
        }
        (Kind::Tables(place), DeValue::Array(items)) => read_tables(key, place, items.iter(), problems),
        (Kind::Named(place), DeValue::Table(tables)) => {
            Some(Typed::Named(read_named(key, place, tables, problems)))
        }
        (_, other) => {
            problems.add(at, wrong_type(key, other));
            None
        }
    }
}

/// The message for a wrong type: "`timeout` must be …, not …", with what to write if that is clear.
fn wrong_type(key: &Key, value: &DeValue<'_>) -> String {
    let hint = match (key.kind, value) {
        (Kind::Duration(_), DeValue::Integer(number)) => format!("; write \"{number}s\" for seconds"),
        (Kind::Size, DeValue::Integer(number)) => format!("; write \"{number}B\" for bytes"),
        (Kind::Names | Kind::Jobs, DeValue::String(name)) => format!("; write [{name:?}]"),
        (Kind::Argv, DeValue::String(text)) => {
            format!("; write {:?}", text.split_whitespace().collect::<Vec<_>>())
        }
        (Kind::Flag, DeValue::String(text)) if matches!(&**text, "true" | "false") => {
            format!("; write {text} without quotes")
        }
        (Kind::Table(Place::Retries), DeValue::Integer(number)) => format!("; write {{ max = {number} }}"),
        (Kind::Tables(_), DeValue::Table(_)) => format!("; write [[{0}]] for [{0}]", key.name),
        _ => String::new(),
    };
    format!("`{}` must be {}, not {}{hint}", key.name, key.kind.expected(), type_of(value))
}

fn read_tables<'t, 'i: 't>(
    key: &Key,
    place: Place,
    items: impl Iterator<Item = &'t Spanned<DeValue<'i>>>,
    problems: &mut Problems<'_>,
) -> Option<Typed> {
    let mut tables = Vec::new();
    for item in items {
        match item.get_ref().as_table() {
            Some(table) => tables.push(read_table(place, table, item.span().start, problems)),
            None => {
                let message = format!("`{}` must be {}", key.name, key.kind.expected());
                problems.add(item.span().start, message);
            }
        }
    }
    Some(Typed::Tables(tables))
}

fn read_named(
    key: &Key,
    place: Place,
    tables: &DeTable<'_>,
    problems: &mut Problems<'_>,
) -> Vec<(Located<String>, Fields)> {
    let mut named = Vec::with_capacity(tables.len());
    for (name, value) in tables {
        let (at, shown) = (name.span().start, name.get_ref());
        match value.get_ref().as_table() {
            Some(table) => {
                let fields = read_table(place, table, at, problems);
                named.push((Located { value: shown.to_string(), at }, fields));
            }
            None => {
                let message = format!(
                    "`{shown}` must be a table: write [{}.{shown}], and its value as `default = …` below",
                    key.name
                );
                problems.add(value.span().start, message);
            }
        }
    }
    named
}
