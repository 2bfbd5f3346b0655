//! `~` and variables in the values of an environment. Only values of `env` are expanded, never a command, so that the
//! value of a variable can't become a command.

use std::borrow::Cow;

/// Why a value can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A variable has no value.
    #[error("the variable {name} in {value:?} is not set; set it, or write $$ for a plain $")]
    Unknown {
        /// Its name; `HOME` for a `~`.
        name: String,
        /// The value that contains it.
        value: String,
    },
    /// A `$` begins no variable.
    #[error(
        "{value:?} has a $ that does not begin a variable; write $NAME or ${{NAME}}, or $$ for a plain $"
    )]
    Malformed {
        /// The value that contains it.
        value: String,
    },
}

/// Expands `$NAME` and `${NAME}` to the result of `lookup`, and `$$` to `$`. A `~` at the start or after a `:`, alone
/// or before a `/`, becomes `$HOME`, as in a shell's assignment of a variable. Inserted values are not expanded again.
///
/// # Errors
/// [`ExpandError::Unknown`] when `lookup` does not know a variable, [`ExpandError::Malformed`] when a `$`
/// begins none.
pub fn expand(value: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    expand_with(value, |name| lookup(name).map(Cow::Owned))
}

/// Whether every `$` of a value begins a variable, without knowing what the variables hold.
pub(super) fn check(value: &str) -> Result<(), ExpandError> {
    expand_with(value, |_| Some(Cow::Borrowed(""))).map(|_| ())
}

fn expand_with<'v>(
    value: &str,
    lookup: impl Fn(&str) -> Option<Cow<'v, str>>,
) -> Result<String, ExpandError> {
    let malformed = || ExpandError::Malformed { value: value.to_owned() };
    let look_up = |name: &str| {
        lookup(name).ok_or_else(|| ExpandError::Unknown { name: name.to_owned(), value: value.to_owned() })
    };
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    let mut at_word_start = true;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        let is_tilde = letter == '~' && at_word_start && (after.is_empty() || after.starts_with(['/', ':']));
        at_word_start = letter == ':';
        rest = match letter {
            '~' if is_tilde => {
                expanded.push_str(&look_up("HOME")?);
                after
            }
            '$' if after.starts_with('$') => {
                expanded.push('$');
                &after[1..]
            }
            '$' => {
                let braced = after.strip_prefix('{');
                let name = braced.unwrap_or(after);
                let (name, after) = name.split_at(name_len(name));
                if name.is_empty() {
                    return Err(malformed());
                }
                expanded.push_str(&look_up(name)?);
                match braced {
                    Some(_) => after.strip_prefix('}').ok_or_else(malformed)?,
                    None => after,
                }
            }
            _ => {
                expanded.push(letter);
                after
            }
        };
    }
    Ok(expanded)
}

/// How many bytes at the start of a text are the name of a variable.
fn name_len(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/ada".to_owned()),
            "PATH" => Some("/bin:/usr/bin".to_owned()),
            "ODD" => Some("$PATH ~".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn tilde_and_variables_expand_once() {
        #[track_caller]
        fn check(value: &str, expected: &str) {
            assert_eq!(expand(value, lookup).as_deref(), Ok(expected), "{value}");
        }
        check("", "");
        check("plain", "plain");
        check("~", "/home/ada");
        check("~/bin:$PATH", "/home/ada/bin:/bin:/usr/bin");
        check("$PATH:~/bin", "/bin:/usr/bin:/home/ada/bin");
        check("a~/b ~/c ~user", "a~/b ~/c ~user");
        check("${HOME}x$HOME/y", "/home/adax/home/ada/y");
        check("$$HOME costs 5 $$", "$HOME costs 5 $");
        check("$ODD", "$PATH ~");
        check("[$EMPTY]", "[]");
        check("ä$HOMEö", "ä/home/adaö");
    }

    #[test]
    fn an_unknown_variable_is_named() {
        assert_eq!(
            expand("x${NOWHERE}", lookup).unwrap_err().to_string(),
            "the variable NOWHERE in \"x${NOWHERE}\" is not set; set it, or write $$ for a plain $"
        );
        assert_eq!(
            expand("~/x", |_| None),
            Err(ExpandError::Unknown { name: "HOME".to_owned(), value: "~/x".to_owned() })
        );
    }

    #[test]
    fn a_dollar_that_begins_no_variable_is_refused() {
        for value in ["$", "a$", "$5", "${", "${}", "${HOME", "${HOME:-x}", "$-", "$ä", "$(ls)"] {
            let expected = Err(ExpandError::Malformed { value: value.to_owned() });
            assert_eq!(expand(value, lookup), expected, "{value}");
            assert!(check(value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in "[$~{}:/A-Zä ]{0,20}") {
            let _ = expand(&value, lookup);
        }
    }
}
