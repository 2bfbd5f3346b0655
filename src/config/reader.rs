//! Reads a file and checks its tables against the table of keys: every unknown key, every key that is missing and every
//! value of a wrong type is a problem. Rules about several values belong to the owner of the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Problems};
use super::keys::{Fallback, Format, Key, Place};
use super::kinds::{Kind, Plain};
use super::values::{
    Scalar, read_argv, read_count, read_counts, read_env, read_number, read_plain, read_scalar, read_scalars,
    read_strings, read_text, read_values, wrong_type,
};
use crate::resources::Threshold;

/// A value and its byte offset in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: usize,
}

/// The value of a key, of the type in the table of keys.
pub(crate) enum Typed {
    Plain(Plain),
    Text(String),
    /// A `run` that is a line.
    Line(String),
    Argv(Vec<String>),
    Strings(Vec<Located<String>>),
    Env(Vec<(Located<String>, Located<String>)>),
    Counts(Vec<(String, u64)>),
    Scalar(Scalar),
    Scalars(Vec<Located<Scalar>>),
    Values(Vec<(String, Scalar)>),
    Table(Fields),
    Tables(Vec<Fields>),
    Named(Vec<(Located<String>, Fields)>),
}

/// The contents of one table of the file.
pub(crate) struct Fields {
    place: &'static Place,
    at: usize,
    entries: Vec<Field>,
}

struct Field {
    name: &'static str,
    at: usize,
    /// None when it was refused, which is already a problem.
    value: Option<Typed>,
}

impl Format {
    /// Reads the text of a file. `path` stands in its problems.
    ///
    /// # Errors
    /// The errors of the text as TOML, and no others: if it is not valid, anything else would be a guess.
    pub(crate) fn read<'t>(
        &self,
        text: &'t str,
        path: &Path,
    ) -> Result<(Fields, Problems<'t>), Vec<Diagnostic>> {
        let mut problems = Problems::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end().replace('\n', ", ").replace(", expected nothing", "");
            problems.add(at, format!("this is not valid TOML: {message}"));
        }
        if !problems.is_empty() {
            return Err(problems.into_diagnostics(path));
        }
        Ok((read_table(self.places[0], document.get_ref(), 0, &mut problems), problems))
    }
}

impl Fields {
    pub(crate) fn table(&self) -> Table<'_> {
        Table { place: self.place, own: Some(self), defaults: None }
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.entries.iter().find(|field| field.name == name)
    }
}

/// The values of a table: its own, else those of another table under it, else the defaults in the table of keys. None of
/// its own if the file does not have it.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) place: &'static Place,
    own: Option<&'a Fields>,
    defaults: Option<&'a Fields>,
}

impl<'a> Table<'a> {
    /// This table over another one.
    pub(crate) fn over(self, defaults: Self) -> Self {
        Self { defaults: defaults.own, ..self }
    }

    /// Whether the file has it.
    pub(crate) fn exists(self) -> bool {
        self.own.is_some()
    }

    /// Its offset in the file.
    pub(crate) fn at(self) -> usize {
        self.own.map_or(0, |own| own.at)
    }

    fn field(self, name: &str) -> Option<&'a Field> {
        debug_assert!(self.place.key(name).is_some(), "{name} is in the table of keys");
        [self.own, self.defaults].into_iter().flatten().find_map(|fields| fields.field(name))
    }

    /// Whether the file has this key, even if its value was refused.
    pub(crate) fn has(self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The offset of the key's value, or of the table when the key is left out.
    pub(crate) fn place_of(self, name: &str) -> usize {
        self.field(name).map_or(self.at(), |field| field.at)
    }

    /// What the file says under this key. None when it is left out or was refused.
    pub(crate) fn value(self, name: &str) -> Option<&'a Typed> {
        self.field(name).and_then(|field| field.value.as_ref())
    }

    /// What the file says under this key, else its default. None when it was refused or has no plain default.
    fn plain(self, name: &str) -> Option<Plain> {
        match self.field(name) {
            Some(Field { value: Some(Typed::Plain(plain)), .. }) => Some(*plain),
            Some(_) => None,
            None => self.place.key(name).and_then(Key::plain_fallback),
        }
    }

    pub(crate) fn word(self, name: &str) -> Option<&'static str> {
        if let Some(Plain::Word(word)) = self.plain(name) { Some(word) } else { None }
    }

    pub(crate) fn flag(self, name: &str) -> bool {
        matches!(self.plain(name), Some(Plain::Flag(true)))
    }

    /// A whole number; the range of its key must fit the type.
    pub(crate) fn count<N: TryFrom<u64>>(self, name: &str) -> Option<N> {
        if let Some(Plain::Count(count)) = self.plain(name) { N::try_from(count).ok() } else { None }
    }

    pub(crate) fn number(self, name: &str) -> Option<f64> {
        if let Some(Plain::Number(number)) = self.plain(name) { Some(number) } else { None }
    }

    pub(crate) fn duration(self, name: &str) -> Option<Duration> {
        if let Some(Plain::Duration(duration)) = self.plain(name) { Some(duration) } else { None }
    }

    pub(crate) fn size(self, name: &str) -> Option<u64> {
        if let Some(Plain::Size(bytes)) = self.plain(name) { Some(bytes) } else { None }
    }

    pub(crate) fn threshold(self, name: &str) -> Option<Threshold> {
        if let Some(Plain::Threshold(threshold)) = self.plain(name) { Some(threshold) } else { None }
    }

    pub(crate) fn signal(self, name: &str) -> Option<i32> {
        if let Some(Plain::Signal(number)) = self.plain(name) { Some(number) } else { None }
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        if let Some(Typed::Text(text)) = self.value(name) { Some(text) } else { None }
    }

    pub(crate) fn argv(self, name: &str) -> Option<&'a [String]> {
        if let Some(Typed::Argv(argv)) = self.value(name) { Some(argv) } else { None }
    }

    pub(crate) fn strings(self, name: &str) -> Option<&'a [Located<String>]> {
        if let Some(Typed::Strings(strings)) = self.value(name) { Some(strings) } else { None }
    }

    pub(crate) fn env(self, name: &str) -> &'a [(Located<String>, Located<String>)] {
        if let Some(Typed::Env(pairs)) = self.value(name) { pairs } else { &[] }
    }

    pub(crate) fn counts(self, name: &str) -> &'a [(String, u64)] {
        if let Some(Typed::Counts(counts)) = self.value(name) { counts } else { &[] }
    }

    pub(crate) fn scalar(self, name: &str) -> Option<&'a Scalar> {
        if let Some(Typed::Scalar(scalar)) = self.value(name) { Some(scalar) } else { None }
    }

    pub(crate) fn scalars(self, name: &str) -> &'a [Located<Scalar>] {
        if let Some(Typed::Scalars(scalars)) = self.value(name) { scalars } else { &[] }
    }

    pub(crate) fn values(self, name: &str) -> BTreeMap<String, String> {
        let values = if let Some(Typed::Values(values)) = self.value(name) { values.as_slice() } else { &[] };
        values.iter().map(|(name, value)| (name.clone(), value.text.clone())).collect()
    }

    /// The table under this key, over the one under the same key of the defaults.
    ///
    /// # Panics
    /// When the table of keys has no table under this key.
    pub(crate) fn table(self, name: &str) -> Self {
        let Some(Kind::Table(place)) = self.place.key(name).map(|key| key.kind) else {
            unreachable!("{name} is a table in the table of keys")
        };
        let inner = |fields: &'a Fields| {
            if let Some(Typed::Table(inner)) = &fields.field(name)?.value { Some(inner) } else { None }
        };
        Self { place, own: self.own.and_then(inner), defaults: self.defaults.and_then(inner) }
    }

    pub(crate) fn tables(self, name: &str) -> Vec<Self> {
        let tables = if let Some(Typed::Tables(tables)) = self.value(name) { tables.as_slice() } else { &[] };
        tables.iter().map(Fields::table).collect()
    }

    pub(crate) fn named(self, name: &str) -> Vec<(&'a Located<String>, Self)> {
        let named = if let Some(Typed::Named(tables)) = self.value(name) { tables.as_slice() } else { &[] };
        named.iter().map(|(name, fields)| (name, fields.table())).collect()
    }
}

/// Reads one table of the file. Every wrong key or value becomes a problem.
fn read_table(place: &'static Place, table: &DeTable<'_>, at: usize, problems: &mut Problems<'_>) -> Fields {
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
    let fields = Fields { place, at, entries };
    check_required(&fields, problems);
    fields
}

/// A key that must be there and is not, or holds an empty array of tables, is a problem.
fn check_required(fields: &Fields, problems: &mut Problems<'_>) {
    for key in required(fields.place) {
        let field = fields.field(key.name);
        let is_missing = field
            .is_none_or(|field| matches!(&field.value, Some(Typed::Tables(tables)) if tables.is_empty()));
        if is_missing {
            let message = if let Kind::Tables(place) = key.kind {
                let keys: Vec<_> = required(place).map(|key| format!("`{}`", key.name)).collect();
                let keys = keys.join(" and ");
                format!("there are no {}s; write at least one {} with {keys}", key.name, place.name)
            } else {
                format!("`{}` is missing in this {}", key.name, fields.place.name)
            };
            problems.add(field.map_or(fields.at, |field| field.at), message);
        }
    }
}

fn required(place: &'static Place) -> impl Iterator<Item = &'static Key> {
    place.keys().filter(|key| matches!(key.fallback, Fallback::Required))
}

/// The message for an unknown key: the table where it belongs, or the name that may be meant.
fn unknown_key(place: &'static Place, name: &str, problems: &mut Problems<'_>) -> String {
    /// Of a table with more keys, they are not listed.
    const MOST_LISTED: usize = 8;
    let here = place.locative();
    let unknown = |hint: String| format!("unknown key `{name}` {here}{hint}");
    let meant = |name: &str| unknown(format!("; did you mean `{name}`?"));
    if let Some(key) = place.keys().find(|key| key.aliases.contains(&name)) {
        return meant(key.name);
    }
    let other = match place.container {
        Some(container) if container.key(name).is_some() => {
            return format!("`{name}` does not belong {here}; it is a key of {} itself", container.name);
        }
        Some(_) => None,
        None => place.other_with(name),
    };
    if let Some(other) = other {
        let top = if other.is_top() { ", before the first [table]" } else { "" };
        return format!("`{name}` does not belong {here}; move it to {}{top}", other.name);
    }
    let names = place.keys().flat_map(|key| key.aliases.iter().copied().chain([key.name]));
    if let Some(near) = problems.nearest(name, names) {
        let key = place.keys().find(|key| key.aliases.contains(&near));
        return meant(key.map_or(near, |key| key.name));
    }
    let keys: Vec<_> = place.keys().filter(|key| !key.is_later()).map(|key| key.name).collect();
    unknown(match keys.as_slice() {
        [only] => format!("; there is only {only}"),
        keys if keys.len() <= MOST_LISTED => format!("; there are {}", keys.join(", ")),
        _ => String::new(),
    })
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
        (Kind::Strings(..), DeValue::Array(_)) => read_strings(key, value, problems).map(Typed::Strings),
        (
            Kind::Word(_) | Kind::Duration(_) | Kind::Size(_) | Kind::Threshold | Kind::Signal,
            DeValue::String(text),
        ) => read_plain(key, text, at, problems).map(Typed::Plain),
        (Kind::Flag, DeValue::Boolean(flag)) => Some(Typed::Plain(Plain::Flag(*flag))),
        (Kind::Count(..), _) => {
            let count = read_count(key.name, key.kind, value, problems);
            count.map(|count| Typed::Plain(Plain::Count(count)))
        }
        (Kind::Number(bound), DeValue::Integer(_) | DeValue::Float(_)) => {
            read_number(key, bound, value, problems).map(|number| Typed::Plain(Plain::Number(number)))
        }
        (Kind::Env, DeValue::Table(table)) => Some(Typed::Env(read_env(table, problems))),
        (Kind::Counts, DeValue::Table(table)) => Some(Typed::Counts(read_counts(table, problems))),
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
            problems.add(at, wrong_type(key.name, key.kind, other));
            None
        }
    }
}

fn read_tables<'t, 'i: 't>(
    key: &Key,
    place: &'static Place,
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
    place: &'static Place,
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
                    "`{shown}` must be a table: write [{}.{shown}], and its value as `{}` below",
                    key.name, place.example
                );
                problems.add(value.span().start, message);
            }
        }
    }
    named
}
