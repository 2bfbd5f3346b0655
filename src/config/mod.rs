//! The one reader of Leverframe's TOML files: a table of keys (where each key stands, its type, its default, its meaning)
//! becomes a reader that locates every problem, the nearest right names, a JSON Schema and a table of Markdown.
//!
//! Pure: text in, values or [`Diagnostic`]s out. The owner of a file defines its keys and the rules about several values:
//! `pipeline` for pipelines and their `[[schedule]]` tables, `settings` for `settings.toml`.
//!
//! In reading order: `keys` (what a table of keys is made of), `kinds` (the types of values), `diagnostic` (problems and
//! their places), `values` and `reader` (TOML, checked against a table of keys), `schema`.

mod diagnostic;
mod keys;
mod kinds;
mod reader;
mod schema;
mod values;

pub use diagnostic::Diagnostic;
pub(crate) use diagnostic::Problems;
#[cfg(test)]
pub(crate) use keys::check_format;
pub(crate) use keys::{Bound, Fallback, Format, Key, Place, Zero, key};
pub(crate) use kinds::{Kind, MANY, one_of};
pub(crate) use reader::{Located, Table, Typed};
pub(crate) use schema::{key_table, schema};
pub(crate) use values::{ID_RULE, Scalar, Written, is_variable_name};
