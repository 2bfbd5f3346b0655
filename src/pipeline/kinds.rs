//! The names of the kinds of values, and how plain values are parsed. `keys` says which key has which kind.

use super::keys::{Bound, Kind, Place, Plain, Zero};
use crate::base::units;

impl Kind {
    /// The expected value, for messages: "must be …".
    pub(super) fn expected(self) -> String {
        let fixed = match self {
            Self::Id | Self::Text | Self::Filled => "a string",
            Self::Command => {
                "a line for the shell or an array of strings such as [\"python3\", \"fetch.py\"]"
            }
            Self::Argv => "an array of strings such as [\"sh\", \"-c\"]",
            Self::Names => "an array of step ids such as [\"fetch\"]",
            Self::Jobs => "an array of job ids such as [\"nightly\"]",
            Self::Word(words) => return one_of(words),
            Self::Flag => "true or false",
            Self::Count(0) => "a whole number of at least 0",
            Self::Priority => "a whole number from 0 to 9",
            Self::Count(least) => return format!("a whole number of at least {least}"),
            Self::Number(Bound::AboveZero) => "a number above 0",
            Self::Number(Bound::AtLeastOne) => "a number of at least 1",
            Self::Duration(_) => "a duration such as \"30s\" or \"1h30m\"",
            Self::Size => "a size such as \"500MB\" or \"1GiB\"",
            Self::Signal => "the name of a signal such as \"TERM\"",
            Self::Env => "a table of names and strings such as { LANG = \"C.UTF-8\" }",
            Self::Scalar => "a string, a number, true or false, or a date",
            Self::Scalars => "an array of strings, numbers or dates",
            Self::Table(Place::Retries) => "a table such as { max = 3, delay = \"10s\" }",
            Self::Table(Place::Resources) => "a table such as { memory = \"2GiB\", cpu = 1.5 }",
            Self::Table(Place::Secret) => "a table such as { env = \"API_TOKEN\" }",
            Self::Table(_) => "a table",
            Self::Tables(place) => return format!("an array of tables, each begun by {}", place.name()),
            Self::Values => "a table of names and values such as { page = 3 }",
            Self::Named(_) => "a table of tables, each begun by [params.NAME]",
            Self::Later => "left out",
        };
        fixed.to_owned()
    }

    /// The short name of the type, for tables.
    pub(super) fn name(self) -> String {
        let fixed = match self {
            Self::Id => "id",
            Self::Text | Self::Filled => "string",
            Self::Command => "line or argv array",
            Self::Argv => "argv array",
            Self::Names => "array of step ids",
            Self::Jobs => "array of job ids",
            Self::Word(words) => return one_of(words),
            Self::Flag => "bool",
            Self::Count(_) => "whole number",
            Self::Priority => "0 to 9",
            Self::Number(Bound::AboveZero) => "number above 0",
            Self::Number(Bound::AtLeastOne) => "number from 1",
            Self::Duration(_) => "duration",
            Self::Size => "size",
            Self::Signal => "signal name",
            Self::Env => "table of strings",
            Self::Scalar => "value",
            Self::Scalars => "array of values",
            Self::Table(_) => "table",
            Self::Tables(_) => "array of tables",
            Self::Values => "table of values",
            Self::Named(_) => "table of tables",
            Self::Later => "later",
        };
        fixed.to_owned()
    }

    /// Parses a value that a file writes as a string, or a default.
    ///
    /// # Errors
    /// What is wrong with it. The message is empty for a kind that has no plain values.
    pub(super) fn read_plain(self, text: &str) -> Result<Plain, String> {
        let number = || text.parse::<f64>().map_err(|_| String::new());
        match self {
            Self::Word(words) => {
                words.iter().find(|word| **word == text).map(|word| Plain::Word(word)).ok_or_else(String::new)
            }
            Self::Flag => text.parse().map(Plain::Flag).map_err(|_| String::new()),
            Self::Count(_) | Self::Priority => text.parse().map(Plain::Count).map_err(|_| String::new()),
            Self::Number(_) => number().map(Plain::Number),
            Self::Duration(zero) => {
                let duration = units::parse_duration(text)?;
                if duration.is_zero() && zero == Zero::Refused {
                    return Err(
                        "the duration is zero; write a longer one, or leave the key out for none".to_owned()
                    );
                }
                Ok(Plain::Duration(duration))
            }
            Self::Size => match units::parse_size(text)? {
                0 => Err("the size is zero; write a larger one".to_owned()),
                bytes => Ok(Plain::Size(bytes)),
            },
            Self::Signal => units::signal_number(text).map(Plain::Signal).ok_or_else(String::new),
            Self::Id
            | Self::Text
            | Self::Filled
            | Self::Command
            | Self::Argv
            | Self::Names
            | Self::Jobs
            | Self::Env
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
pub(super) fn one_of(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{:?}", word.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}
