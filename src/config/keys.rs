//! What a table of keys is made of: the kinds of tables of a file, and one row for each of their keys.

use super::kinds::{Kind, Plain};

/// The format of one kind of file.
pub(crate) struct Format {
    pub(crate) title: &'static str,
    /// One sentence for people.
    pub(crate) description: &'static str,
    /// The kinds of tables; the first one is the top of the file. A key that stands in the wrong table belongs to the
    /// first one that has it.
    pub(crate) places: &'static [&'static Place],
    /// The rows, in the order of the README.
    pub(crate) keys: &'static [&'static &'static [Key]],
}

/// A kind of table in a file.
pub(crate) struct Place {
    format: &'static Format,
    /// As a file writes it.
    pub(crate) name: &'static str,
    /// The table that contains this one as an inline table, in braces.
    pub(super) container: Option<&'static Self>,
    /// What may stand in it, for messages; it may be empty.
    pub(super) example: &'static str,
}

/// One row of the table.
pub(crate) struct Key {
    pub(super) places: &'static [&'static Place],
    pub(crate) name: &'static str,
    pub(super) kind: Kind,
    pub(crate) fallback: Fallback,
    /// One line for people.
    pub(super) doc: &'static str,
    /// Names for it in other tools, which people may write out of habit.
    pub(super) aliases: &'static [&'static str],
}

/// The lower bound of a number.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AboveZero,
    /// Infinity is allowed too.
    AboveZeroOrInfinite,
    AtLeastOne,
}

/// Whether a duration or size may be zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zero {
    Allowed,
    Refused,
}

/// What is used for a key that is left out.
#[derive(Clone, Copy)]
pub(crate) enum Fallback {
    /// The key must not be left out.
    Required,
    /// There is no value.
    None,
    /// This value; a string without quotes, an array as its words.
    Is(&'static str),
    /// A default that these words describe.
    Words(&'static str),
}

impl Place {
    /// The top of a file.
    pub(crate) const fn top(format: &'static Format) -> Self {
        Self::table(format, "the top of the file")
    }

    pub(crate) const fn table(format: &'static Format, name: &'static str) -> Self {
        Self { format, name, container: None, example: "" }
    }

    pub(crate) const fn inline_in(self, container: &'static Self) -> Self {
        Self { container: Some(container), ..self }
    }

    pub(crate) const fn such_as(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Whether it is the top of the file.
    pub(super) fn is_top(&self) -> bool {
        std::ptr::eq(self, self.format.places[0])
    }

    /// "in this table", for messages.
    pub(super) fn locative(&self) -> String {
        format!("{} {}", if self.is_top() { "at" } else { "in" }, self.name)
    }

    /// The keys of this place, in the order of the table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        let is_here = |key: &&Key| key.places.iter().any(|place| std::ptr::eq(*place, self));
        self.format.keys.iter().flat_map(|rows| rows.iter()).filter(is_here)
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// The first kind of table in this file that has such a key.
    pub(super) fn other_with(&self, name: &str) -> Option<&'static Self> {
        self.format.places.iter().copied().find(|other| other.key(name).is_some())
    }
}

impl Key {
    /// Other names for it.
    pub(crate) const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) fn is_later(&self) -> bool {
        matches!(self.kind, Kind::Later)
    }

    /// The default as a `Plain` value, if it has one.
    pub(super) fn plain_fallback(&self) -> Option<Plain> {
        match self.fallback {
            Fallback::Is(text) => self.kind.read_plain(text).ok(),
            Fallback::Required | Fallback::None | Fallback::Words(_) => None,
        }
    }
}

pub(crate) const fn key(
    places: &'static [&'static Place],
    name: &'static str,
    kind: Kind,
    fallback: Fallback,
    doc: &'static str,
) -> Key {
    Key { places, name, kind, fallback, doc, aliases: &[] }
}

/// Panics unless a format's table of keys contradicts itself nowhere.
#[cfg(test)]
#[track_caller]
pub(crate) fn check_format(format: &'static Format) {
    for key in format.keys.iter().flat_map(|rows| rows.iter()) {
        if let Fallback::Is(text) = key.fallback {
            let is_text = matches!(key.kind, Kind::Filled | Kind::Argv);
            assert!(
                is_text || key.plain_fallback().is_some(),
                "{}: its default {text} is of its type",
                key.name
            );
        }
        assert!(key.is_later() || key.doc.ends_with('.'), "{} is said in a sentence", key.name);
        assert!(!key.doc.contains('|'), "{} would break the table of the README", key.name);
    }
    for place in format.places {
        let mut seen = std::collections::BTreeSet::new();
        for name in place.keys().flat_map(|key| key.aliases.iter().chain([&key.name])) {
            assert!(seen.insert(*name), "{name} stands once in {}", place.name);
        }
    }
}
