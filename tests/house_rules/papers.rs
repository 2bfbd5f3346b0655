//! What is written above and about the code: purposes, lengths, reasons for dependencies, the plan of the house.

use super::floors::module_of;
use super::source::{Breach, House};

/// No file is longer: 100 to 600 lines are usual.
const MOST_LINES: usize = 800;

/// So many names stand at the crate's root for programs: those of the library's contract and what these take and return.
/// Lowered when one goes; what a program does not need is hidden where it stands (`#[doc(hidden)]`).
const NAMES_AT_ROOT: usize = 61;

pub(crate) fn the_root_holds_so_many_names(house: &House) -> Vec<Breach> {
    let Some(lib) = house.source("src/lib.rs") else { return Vec::new() };
    let n_names: usize = lib.find("pub use").map(|at| names_of(&lib.code[at..])).sum();
    let text = format!(
        "{n_names} names stand at the crate's root, and NAMES_AT_ROOT says {NAMES_AT_ROOT}: a new one needs a method of the contract that takes or returns it"
    );
    if n_names == NAMES_AT_ROOT { Vec::new() } else { vec![lib.breach(0, text)] }
}

/// How many names a `pub use` passes on.
fn names_of(code: &str) -> usize {
    let path = &code[..code.find(';').unwrap_or(code.len())];
    path.split(',').filter(|name| name.contains(|c: char| c.is_alphanumeric())).count()
}

pub(crate) fn files_begin_with_a_purpose(house: &House) -> Vec<Breach> {
    let lacking = house.sources.iter().filter(|source| !source.text.starts_with("//!"));
    let text = "does not begin with `//!`: say first what the file is for, and what it deliberately is not";
    lacking.map(|source| source.breach(0, text)).collect()
}

pub(crate) fn files_are_short(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &house.sources {
        let n_lines = source.text.lines().count();
        if n_lines > MOST_LINES {
            let text = format!(
                "{n_lines} lines, and {MOST_LINES} are the most: a file is one subject, make two of it"
            );
            breaches.push(source.breach(source.text.len(), text));
        }
    }
    breaches
}

pub(crate) fn dependencies_are_explained(house: &House) -> Vec<Breach> {
    let (mut breaches, mut among) = (Vec::new(), false);
    for (i, line) in house.cargo_toml.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            among = trimmed.trim_end_matches(']').ends_with("dependencies");
            if trimmed.contains("dependencies.") {
                breaches
                    .push(cargo_breach(i, "a table for one dependency: write it as one line with a comment"));
            }
        } else if among && trimmed.contains('=') && !trimmed.starts_with('#') && comment_of(trimmed).len() < 5
        {
            breaches.push(cargo_breach(
                i,
                "a dependency without a comment: say on its line what it earns its place with",
            ));
        }
    }
    breaches
}

fn cargo_breach(i: usize, text: &str) -> Breach {
    Breach { path: "Cargo.toml".into(), line: i + 1, text: text.to_owned() }
}

/// What follows a `#` outside quotes.
fn comment_of(line: &str) -> &str {
    let mut in_quotes = false;
    for (i, c) in line.char_indices() {
        match c {
            '"' => in_quotes = !in_quotes,
            '#' if !in_quotes => return line[i + 1..].trim(),
            _ => {}
        }
    }
    ""
}

pub(crate) fn plan_names_every_module(house: &House) -> Vec<Breach> {
    let Some(lib) = house.source("src/lib.rs") else { return Vec::new() };
    let plan: String = lib.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let mut modules: Vec<&str> = house.sources.iter().filter_map(module_of).collect();
    modules.sort_unstable();
    modules.dedup();
    modules.retain(|module| !plan.contains(&format!("`{module}`")));
    let unnamed = |module| {
        lib.breach(0, format!("the plan of the house does not name `{module}`: say on which floor it stands and what it does"))
    };
    modules.into_iter().map(unnamed).collect()
}

mod tests {
    use super::*;

    fn texts(breaches: &[Breach]) -> Vec<String> {
        breaches.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_without_a_purpose_is_found() {
        let house = House::of(&[("src/a.rs", "use x;"), ("src/b.rs", "//! For b.")]);
        assert_eq!(files_begin_with_a_purpose(&house).len(), 1);
    }

    #[test]
    fn the_names_at_the_root_are_counted() {
        let house = House::of(&[("src/lib.rs", "pub use a::{B, C,\n};\n\npub use d::e;\nuse f::G;")]);
        let found = texts(&the_root_holds_so_many_names(&house));
        assert!(found.len() == 1 && found[0].contains("3 names"), "{found:?}");
    }

    #[test]
    fn a_file_that_is_too_long_is_found() {
        let of = |n_lines: usize| "x\n".repeat(n_lines);
        let house = House::of(&[("src/a.rs", &of(800)), ("src/b.rs", &of(801))]);
        let found = texts(&files_are_short(&house));
        assert!(found.len() == 1 && found[0].contains("801 lines"), "{found:?}");
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let mut house = House::of(&[]);
        house.cargo_toml = "[package]\nname = \"x\"\n[dependencies]\na = \"1\" # for the letter\nb = { version = \"#1\" }\n\n# c\n[dev-dependencies]\nd = \"1\"\n[[test]]\nf = \"1\"\n[lints.rust]\ne = 1\n".into();
        let lines: Vec<_> = dependencies_are_explained(&house).iter().map(|breach| breach.line).collect();
        assert_eq!(lines, [5, 9]);
    }

    #[test]
    fn a_module_that_the_plan_does_not_name_is_found() {
        let lib = "//! | 1 | `store`, [`logs`] | x |\n\npub mod `ui`;";
        let files = [("src/lib.rs", lib), ("src/store/mod.rs", ""), ("src/logs.rs", ""), ("src/ui/a.rs", "")];
        let found = texts(&plan_names_every_module(&House::of(&files)));
        assert!(found.len() == 1 && found[0].contains("`ui`"), "{found:?}");
    }
}
