//! The types of values: their names, and how plain values are parsed. A table of keys says which key has which type.

use std::borrow::Cow;
use std::time::Duration;

use super::keys::{Bound, Place, Zero};
use crate::base::units;
use crate::resources::Threshold;

/// The type of a key's value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The id of a pipeline, step or job.
    Id,
    Text,
    /// A path or another text that is not empty.
    Filled,
    /// A line for the shell, or an argv array.
    Command,
    /// An argv array.
    Argv,
    /// An array of strings: what they are, and one of them.
    Strings(&'static str, &'static str),
    Word(&'static [&'static str]),
    Flag,
    /// A whole number from the first of these to the second. Messages name the second only below [`MANY`].
    Count(u64, u64),
    Number(Bound),
    Duration(Zero),
    Size(Zero),
    /// A share of what there is, or a size.
    Threshold,
    Signal,
    /// Names and values.
    Env,
    /// Ids and whole numbers of at least 1.
    Counts,
    /// Names and scalars.
    Values,
    /// A string, number, bool or date.
    Scalar,
    Scalars,
    Table(&'static Place),
    Tables(&'static Place),
    /// A table of tables by name.
    Named(&'static Place),
    /// Reserved for a later version.
    Later,
}

/// More than anyone writes.
pub(crate) const MANY: u64 = u32::MAX as u64;

/// A value that is `Copy`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plain {
    Word(&'static str),
    Flag(bool),
    Count(u64),
    Number(f64),
    Duration(Duration),
    Size(u64),
    Threshold(Threshold),
    Signal(i32),
}

impl Kind {
    /// The expected value, for messages: "must be …".
    pub(super) fn expected(self) -> Cow<'static, str> {
        self.words().0
    }

    /// The short name of the type, for tables.
    pub(super) fn name(self) -> Cow<'static, str> {
        self.words().1
    }

    fn words(self) -> (Cow<'static, str>, Cow<'static, str>) {
        let (expected, name) = match self {
            Self::Id => ("a string", "id"),
            Self::Text | Self::Filled => ("a string", "string"),
            Self::Command => (
                "a line for the shell or an array of strings such as [\"python3\", \"fetch.py\"]",
                "line or argv array",
            ),
            Self::Argv => ("an array of strings such as [\"sh\", \"-c\"]", "argv array"),
            Self::Strings(what, example) => {
                return (
                    format!("an array of {what} such as [{example:?}]").into(),
                    format!("array of {what}").into(),
                );
            }
            Self::Word(words) => return (one_of(words).into(), one_of(words).into()),
            Self::Flag => ("true or false", "bool"),
            Self::Count(least, MANY..) => {
                return (format!("a whole number of at least {least}").into(), "whole number".into());
            }
            Self::Count(least, most) => {
                let range = format!("{least} to {most}");
                return (format!("a whole number from {range}").into(), range.into());
            }
            Self::Number(Bound::AboveZero | Bound::AboveZeroOrInfinite) => {
                ("a number above 0", "number above 0")
            }
            Self::Number(Bound::AtLeastOne) => ("a number of at least 1", "number from 1"),
            Self::Duration(_) => ("a duration such as \"30s\" or \"1h30m\"", "duration"),
            Self::Size(_) => ("a size such as \"500MB\" or \"1GiB\"", "size"),
            Self::Threshold => ("a share such as \"90%\" or an amount such as \"2GiB\"", "share or size"),
            Self::Signal => ("the name of a signal such as \"TERM\"", "signal name"),
            Self::Env => ("a table of names and strings such as { LANG = \"C.UTF-8\" }", "table of strings"),
            Self::Counts => {
                ("a table of names and whole numbers such as { scrapers = 2 }", "table of whole numbers")
            }
            Self::Scalar => ("a string, a number, true or false, or a date", "value"),
            Self::Scalars => ("an array of strings, numbers or dates", "array of values"),
            Self::Table(Place { example: "", .. }) => ("a table", "table"),
            Self::Table(place) => {
                return (format!("a table such as {{ {} }}", place.example).into(), "table".into());
            }
            Self::Tables(place) => {
                let expected = format!("an array of tables, each begun by {}", place.name);
                return (expected.into(), "array of tables".into());
            }
            Self::Values => ("a table of names and values such as { page = 3 }", "table of values"),
            Self::Named(place) => {
                let expected = format!("a table of tables, each begun by {}", place.name);
                return (expected.into(), "table of tables".into());
            }
            Self::Later => ("left out", "later"),
        };
        (expected.into(), name.into())
    }

    /// Parses a value that a file writes as a string, or a default.
    ///
    /// # Errors
    /// What is wrong with it. The message is empty for a kind that has no plain values.
    pub(super) fn read_plain(self, text: &str) -> Result<Plain, String> {
        match self {
            Self::Word(words) => {
                words.iter().find(|word| **word == text).map(|word| Plain::Word(word)).ok_or_else(String::new)
            }
            Self::Flag => text.parse().map(Plain::Flag).map_err(|_| String::new()),
            Self::Count(..) => text.parse().map(Plain::Count).map_err(|_| String::new()),
            Self::Number(_) => text.parse().map(Plain::Number).map_err(|_| String::new()),
            Self::Duration(zero) => match units::parse_duration(text)? {
                duration if duration.is_zero() && zero == Zero::Refused => {
                    Err("the duration is zero; write a longer one, or leave the key out".to_owned())
                }
                duration => Ok(Plain::Duration(duration)),
            },
            Self::Size(zero) => match units::parse_size(text)? {
                0 if zero == Zero::Refused => Err("the size is zero; write a larger one".to_owned()),
                bytes => Ok(Plain::Size(bytes)),
            },
            Self::Threshold => Threshold::from_words(text)
                .map(Plain::Threshold)
                .ok_or_else(|| format!("{text:?} is not a limit; give {}", self.expected())),
            Self::Signal => units::signal_number(text).map(Plain::Signal).ok_or_else(String::new),
            Self::Id
            | Self::Text
            | Self::Filled
            | Self::Command
            | Self::Argv
            | Self::Strings(..)
            | Self::Env
            | Self::Counts
            | Self::Scalar
            | Self::Scalars
            | Self::Table(_)
            | Self::Tables(_)
            | Self::Values
            | Self::Named(_)
            | Self::Later => Err(String::new()),
        }
    }
}

/// `"a", "b" or "c"`.
pub(crate) fn one_of(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{:?}", word.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}
