//! A limit written into `settings.toml`: its table says what it is to say, and everything around it, comments included,
//! stays as it is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, RawString, Table, TableLike, Value};

use super::limit_params::LimitParams;

/// The settings with that limit in them; `text` is what they are now, and valid.
///
/// # Errors
/// A sentence, when they are written in a way that can't be edited.
pub(crate) fn edited(text: &str, params: &LimitParams) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|_| "the file is not valid TOML now".to_owned())?;
    if params.off {
        remove(&mut document, params.resource.name());
        return Ok(document.to_string());
    }
    let nested = || "`limits` is not a table there".to_owned();
    let limits = document.entry("limits").or_insert_with(|| {
        let mut limits = Table::new();
        // Only the tables in it have heads.
        limits.set_implicit(true);
        Item::Table(limits)
    });
    let limits = limits.as_table_like_mut().ok_or_else(nested)?;
    let name = params.resource.name();
    if !limits.contains_key(name) {
        limits.insert(name, Item::Table(Table::new()));
    }
    let table = limits.get_mut(name).and_then(Item::as_table_like_mut).ok_or_else(nested)?;
    for (key, said) in params.said() {
        match said {
            Some(said) => say(table, key, Value::from(said)),
            None => drop(table.remove(key)),
        }
    }
    Ok(document.to_string())
}

/// Has a table say `said` under `key`, with the comments that stand at it.
pub(super) fn say(table: &mut dyn TableLike, key: &str, said: Value) {
    match (table.get_mut(key).and_then(Item::as_value_mut), &said) {
        (Some(Value::Array(old)), Value::Array(said)) => list(old, said),
        (Some(old), _) if old.as_str() == said.as_str() && old.as_integer() == said.as_integer() => {}
        (Some(old), _) => {
            let decor = old.decor().clone();
            *old = said;
            *old.decor_mut() = decor;
        }
        (None, _) => drop(table.insert(key, toml_edit::value(said))),
    }
}

/// Has a list hold the texts of `said`: those that stay keep their comments, new ones come last.
fn list(old: &mut Array, said: &Array) {
    let texts: Vec<&str> = said.iter().filter_map(Value::as_str).collect();
    old.retain(|value| value.as_str().is_some_and(|text| texts.contains(&text)));
    for text in texts {
        if !old.iter().any(|value| value.as_str() == Some(text)) {
            old.push(text);
        }
    }
}

/// Takes the table of a limit out. What stands above its head may be about more than it, and stays.
fn remove(document: &mut DocumentMut, name: &str) {
    let Some(limits) = document.get_mut("limits").and_then(Item::as_table_like_mut) else { return };
    let Some(Item::Table(gone)) = limits.remove(name) else { return };
    let above = gone.decor().prefix().and_then(RawString::as_str).unwrap_or_default().to_owned();
    let (Some(place), true) = (gone.position(), above.contains('#')) else { return };
    match next_table(document.as_table_mut(), place) {
        Some(next) => {
            let own = next.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
            let both = format!("{above}{own}");
            next.decor_mut().set_prefix(both);
        }
        None => {
            let rest = document.trailing().as_str().unwrap_or_default();
            let both = format!("{above}{rest}");
            document.set_trailing(both);
        }
    }
}

/// The table whose head comes next in the text after a place.
fn next_table(root: &mut Table, place: isize) -> Option<&mut Table> {
    fn collect<'t>(table: &'t mut Table, found: &mut Vec<&'t mut Table>) {
        for (_, item) in table.iter_mut() {
            match item {
                Item::Table(table) => {
                    if table.is_implicit() || table.is_dotted() {
                        collect(table, found);
                    } else {
                        found.push(table);
                    }
                }
                Item::ArrayOfTables(tables) => found.extend(tables.iter_mut()),
                Item::None | Item::Value(_) => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(root, &mut found);
    found.into_iter().filter(|table| table.position() > Some(place)).min_by_key(|table| table.position())
}

/// Replaces the settings, so that only the operator can read them.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it leads to is written.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let draft = target.with_file_name(".settings.toml.new");
    replace_file(&target, &draft, text, Permissions::from_mode(0o600))
}

/// Replaces a file through a draft in the same folder: it is whole at any time, and on disk when this returns.
pub(super) fn replace_file(file: &Path, draft: &Path, text: &str, access: Permissions) -> io::Result<()> {
    let written = (|| {
        let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
        new.write_all(text.as_bytes())?;
        new.set_permissions(access)?;
        new.sync_all()?;
        fs::rename(draft, file)?;
        File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()
    })();
    written.inspect_err(|_| {
        // What is left of it is of no use; if it can't be removed, it does no harm.
        let _ = fs::remove_file(draft);
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::resources::{Limit, LimitAction, Resource, Threshold};
    use crate::settings::Settings;

    const FILE: &str = r#"# All my settings.

[env] # for every step
LANG = "C.UTF-8"

# The machine has 24 GiB.
[limits.memory]   # memory
above = "90%"     # as measured
for = "1m"        # not at once

[limits.disk]
below = "5GiB"

[retention]
runs = "90d"
# the end
"#;

    fn parse(text: &str) -> Settings {
        let path = PathBuf::from("/data/settings.toml");
        Settings::parse(text, &path, |_| None).unwrap_or_else(|problems| panic!("{problems:?} in {text}"))
    }

    fn limit(resource: Resource, raise: u32, clear: u32, action: LimitAction) -> Limit {
        let [raise, clear] = [raise, clear].map(|percent| Threshold::Fraction(f64::from(percent) / 100.0));
        Limit::new(resource, raise, clear, Duration::from_secs(60)).unwrap().with_action(action)
    }

    #[test]
    fn only_what_changes_is_written() {
        let set = limit(Resource::Memory, 80, 70, LimitAction::Freeze);
        let params = LimitParams { clear: None, ..LimitParams::of(&set) };
        let expected = FILE.replace("\"90%\"", "\"80%\"");
        let expected = expected.replace("# not at once\n", "# not at once\naction = \"freeze\"\n");
        assert_eq!(edited(FILE, &params).unwrap(), expected);
        assert_eq!(edited(&expected, &params).unwrap(), expected);
        let new = edited(
            FILE,
            &LimitParams {
                clear: None,
                ..LimitParams::of(&limit(Resource::Cpu, 80, 70, LimitAction::Alert))
            },
        );
        let table = "[limits.cpu]\nabove = \"80%\"\nfor = \"1m\"\naction = \"alert\"\n\n";
        assert_eq!(new.unwrap(), FILE.replace("[retention]", &format!("{table}[retention]")));
    }

    #[test]
    fn a_limit_that_is_taken_out_leaves_the_comments_above_it() {
        let new = edited(FILE, &LimitParams::off(Resource::Memory)).unwrap();
        let table = "[limits.memory]   # memory\nabove = \"90%\"     # as measured\nfor = \"1m\"        # not at once\n";
        assert_eq!(new, FILE.replace(table, ""));
        let alone = "# mine\n[limits.memory]\nabove = \"90%\"\n";
        assert_eq!(edited(alone, &LimitParams::off(Resource::Memory)).unwrap(), "# mine\n");
        assert_eq!(edited("", &LimitParams::off(Resource::Memory)).unwrap(), "");
    }

    #[test]
    fn the_file_is_replaced_whole_private_and_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("settings.toml"), dir.path().join("dotfile"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, FILE).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left");
        assert!(replace(&dir.path().join("missing/settings.toml"), FILE).is_err());
    }

    /// However a file says its limits, and whether it says any.
    fn files() -> impl Strategy<Value = String> {
        let tables = [
            "",
            FILE,
            "[limits]\n",
            "limits = { memory = { above = \"70%\" } } # all\n[env]\nA = \"b\"\n",
            "limits.memory.above = \"70%\"\nlimits.disk = { below = \"1GiB\", clear = \"2GiB\" }\n",
            "[limits]\ncpu = { above = \"70%\", action = \"hold\" }\n[limits.swap]\nabove = \"10%\"\n",
            "[monitor]\ninterval = \"2s\"\n\n# last\n[limits.cpu]\n# key\nabove = \"70%\"\n# end",
        ];
        prop::sample::select(tables.to_vec()).prop_map(str::to_owned)
    }

    fn params() -> impl Strategy<Value = LimitParams> {
        let resource = prop::sample::select(Resource::ALL.to_vec());
        let action = prop::sample::select(LimitAction::ALL.to_vec());
        (resource, 2_u32..100, 1_u32..50, action, any::<bool>(), any::<bool>()).prop_map(
            |(resource, high, share, action, is_off, is_short)| {
                let low = high * share / 50;
                let low = low.min(high - 1);
                let (raise, clear) = if resource == Resource::Disk { (low, high) } else { (high, low) };
                match (is_off, LimitParams::of(&limit(resource, raise, clear, action))) {
                    (true, _) => LimitParams::off(resource),
                    (false, params) if is_short => LimitParams { clear: None, sustain: None, ..params },
                    (false, params) => params,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_set_and_nothing_else_has_changed(
            file in files(),
            sets in prop::collection::vec(params(), 1..6),
        ) {
            let comments = |text: &str| text.matches('#').count();
            let mut text = file;
            for params in sets {
                let before = parse(&text);
                let Ok(limit) = params.check() else {
                    // A disk that clears above all that there is, where nothing is said of it.
                    continue;
                };
                let new = edited(&text, &params).unwrap();
                let expected = Settings { limits: params.applied(&before.limits, limit), ..before };
                prop_assert_eq!(parse(&new), expected, "{}\n---\n{}", text, new);
                prop_assert!(params.off || comments(&new) == comments(&text) || params.clear.is_none()
                    || params.sustain.is_none(), "{}\n---\n{}", text, new);
                text = new;
            }
        }
    }
}
