//! A table of keys as a JSON Schema, for editors, and as Markdown, for the README.

use serde_json::{Map, Value, json};

use super::keys::{Bound, Fallback, Format, Key, Place};
use super::kinds::{Kind, MANY};
use crate::base::units::SIGNALS;

/// The JSON Schema (draft 2020-12) of a file. A schema can't express rules about several values, such as cycles; a reader
/// checks those.
pub(crate) fn schema(format: &Format) -> Value {
    let mut root = table_schema(format.places[0]);
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!(format.title));
    root.insert("description".to_owned(), json!(format.description));
    root.into()
}

fn table_schema(place: &Place) -> Map<String, Value> {
    let keys = || place.keys().filter(|key| !key.is_later());
    let properties: Map<String, Value> = keys().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    let required: Vec<&str> =
        keys().filter(|key| matches!(key.fallback, Fallback::Required)).map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn key_schema(key: &Key) -> Value {
    let mut schema = kind_schema(key.kind);
    let doc = match key.fallback {
        Fallback::Words(words) => format!("{} Default: {words}.", key.doc),
        Fallback::Required | Fallback::None | Fallback::Is(_) => key.doc.to_owned(),
    };
    schema["description"] = json!(doc);
    if let Fallback::Is(text) = key.fallback {
        schema["default"] = if matches!(key.kind, Kind::Argv) {
            json!(text.split(' ').collect::<Vec<_>>())
        } else if is_bare(key.kind) {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        } else {
            json!(text)
        };
    }
    schema
}

/// Whether a file writes its values without quotes.
fn is_bare(kind: Kind) -> bool {
    matches!(kind, Kind::Count(..) | Kind::Number(_) | Kind::Flag)
}

fn kind_schema(kind: Kind) -> Value {
    let filled = json!({ "type": "string", "minLength": 1 });
    let argv = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
    let scalar = ["string", "number", "boolean"];
    let id = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
    let size = "[0-9]+(\\.[0-9]+)?(B|[kK]B|[MGT]B|[KMGT]iB)";
    match kind {
        Kind::Id => json!({ "type": "string", "pattern": id }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Filled => filled,
        Kind::Command => json!({ "anyOf": [filled, argv] }),
        Kind::Argv => argv,
        Kind::Strings(..) => {
            json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true })
        }
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(least, MANY..) => json!({ "type": "integer", "minimum": least }),
        Kind::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number(Bound::AboveZero | Bound::AboveZeroOrInfinite) => {
            json!({ "type": "number", "exclusiveMinimum": 0 })
        }
        Kind::Number(Bound::AtLeastOne) => json!({ "type": "number", "minimum": 1 }),
        Kind::Duration(_) => {
            let number = "[0-9]+(\\.[0-9]+)?";
            let units = ["d", "h", "m", "s", "ms"].map(|unit| format!("({number}{unit})?")).concat();
            json!({ "type": "string", "minLength": 2, "pattern": format!("^{units}$") })
        }
        Kind::Size(_) => json!({ "type": "string", "pattern": format!("^{size}$") }),
        Kind::Threshold => {
            json!({ "type": "string", "pattern": format!("^([0-9]+(\\.[0-9]+)?%|{size})$") })
        }
        Kind::Signal => {
            let names: Vec<String> =
                SIGNALS.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("SIG{name}")]).collect();
            json!({ "type": "string", "enum": names })
        }
        Kind::Env => json!({
            "type": "object",
            "propertyNames": { "pattern": "^(?!LEVERFRAME_)[A-Za-z_][A-Za-z0-9_]*$" },
            "additionalProperties": { "type": "string" },
        }),
        Kind::Counts => json!({
            "type": "object",
            "propertyNames": { "pattern": id },
            "additionalProperties": { "type": "integer", "minimum": 1 },
        }),
        Kind::Scalar => json!({ "type": scalar }),
        Kind::Values => json!({ "type": "object", "additionalProperties": { "type": scalar } }),
        Kind::Scalars => json!({ "type": "array", "items": { "type": scalar }, "minItems": 1 }),
        Kind::Table(place) => table_schema(place).into(),
        Kind::Tables(place) => {
            json!({ "type": "array", "items": table_schema(place), "minItems": 1 })
        }
        Kind::Named(place) => json!({ "type": "object", "additionalProperties": table_schema(place) }),
        Kind::Later => json!({}),
    }
}

/// The table of keys in Markdown, for the README.
pub(crate) fn key_table(format: &Format) -> String {
    let mut text = String::from("| key | where | type | default | meaning |\n|---|---|---|---|---|\n");
    let mut seen: Vec<*const Key> = Vec::new();
    let keys = format.places.iter().flat_map(|place| place.keys()).filter(|key| !key.is_later());
    for key in keys {
        if seen.contains(&std::ptr::from_ref(key)) {
            continue;
        }
        seen.push(key);
        let places: Vec<String> = key.places.iter().map(|place| format!("`{}`", place.name)).collect();
        let places = places.join(", ").replace("`the top of the file`", "top");
        let default = match key.fallback {
            Fallback::Required => "required".to_owned(),
            Fallback::None => "–".to_owned(),
            Fallback::Is(text) => format!("`{}`", literal(key.kind, text)),
            Fallback::Words(words) => words.to_owned(),
        };
        text.push_str(&format!(
            "| `{}` | {places} | {} | {default} | {} |\n",
            key.name,
            key.kind.name(),
            key.doc
        ));
    }
    text
}

/// A default as a file writes it.
fn literal(kind: Kind, text: &str) -> String {
    if matches!(kind, Kind::Argv) {
        format!("{:?}", text.split(' ').collect::<Vec<_>>())
    } else if is_bare(kind) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}
