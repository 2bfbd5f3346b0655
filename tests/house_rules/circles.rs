//! Which files of one module know one another: in no circle of more than two, so that each can be read after those that it
//! rests on.

use std::collections::{BTreeMap, BTreeSet};

use super::floors::names_at;
use super::source::{Breach, House, Source};

/// The modules of which that holds. Meant to grow.
const WITHOUT_CIRCLES: &[&str] = &["engine"];

pub(crate) fn files_know_one_another_in_no_circle(house: &House) -> Vec<Breach> {
    WITHOUT_CIRCLES.iter().flat_map(|module| circles_of(house, module)).collect()
}

fn circles_of(house: &House, module: &str) -> Vec<Breach> {
    let folder = format!("src/{module}/");
    let sources = house.sources.iter().filter(|source| source.path.starts_with(&folder));
    let files: BTreeMap<&str, &Source> = sources.map(|source| (stem(source), source)).collect();
    let known: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|(name, source)| (*name, known_to(source, module, &files))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        known.keys().map(|name| (*name, reachable(name, &known))).collect();
    let mut breaches = Vec::new();
    let mut told = BTreeSet::new();
    for (name, source) in &files {
        let circle: BTreeSet<_> =
            reached[name].iter().filter(|other| reached[*other].contains(name)).copied().collect();
        if circle.len() > 2 && told.insert(circle.clone()) {
            let names = circle.into_iter().collect::<Vec<_>>().join(", ");
            breaches.push(source.breach(
                0,
                format!(
                    "knows in a circle: {names}; each file of a module rests on others that do not rest on it. Move what both need into a file of its own"
                ),
            ));
        }
    }
    breaches
}

/// The name of a file; of one in a folder below, that of the folder.
fn stem(source: &Source) -> &str {
    let within = source.path.splitn(3, '/').nth(2).unwrap_or_default();
    within.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// The files that the program's code in `source` imports from its own module. A name that is no file's comes through
/// `mod.rs`, which knows what it passes on.
fn known_to<'a>(source: &Source, module: &str, files: &BTreeMap<&'a str, &Source>) -> BTreeSet<&'a str> {
    let is_mod = source.path.ends_with("/mod.rs");
    let own = format!("crate::{module}::");
    let prefixes = if is_mod { vec!["use ", &own] } else { vec!["super::", &own] };
    let mut known = BTreeSet::new();
    for prefix in prefixes {
        for at in source.find_in_program(prefix) {
            for (name, _) in names_at(&source.code, at + prefix.len()) {
                let file = files.get_key_value(name.as_str()).or_else(|| files.get_key_value("mod"));
                known.extend(
                    file.map(|(file, _)| *file).filter(|_| !is_mod || files.contains_key(name.as_str())),
                );
            }
        }
    }
    known
}

/// What one can come to from `name`.
fn reachable<'a>(name: &'a str, known: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![name]);
    while let Some(next) = open.pop() {
        open.extend(known.get(next).into_iter().flatten().copied().filter(|other| reached.insert(*other)));
    }
    reached
}

mod tests {
    use super::*;

    fn n_circles(files: &[(&str, &str)]) -> usize {
        circles_of(&House::of(files), "engine").len()
    }

    #[test]
    fn a_circle_of_three_is_found_and_one_of_two_is_none() {
        let (b, c) = (("src/engine/b.rs", "use super::c::C;"), ("src/engine/c.rs", "use super::{a::A, d};"));
        assert_eq!(n_circles(&[("src/engine/a.rs", "use super::b::B;"), b, c]), 1);
        assert_eq!(n_circles(&[("src/engine/a.rs", "use super::c::C;"), b, c]), 0);
    }

    #[test]
    fn names_that_mod_passes_on_lead_to_their_files_and_tests_lead_nowhere() {
        let facade = ("src/engine/mod.rs", "mod a;\nmod b;\npub use a::A;\n");
        let a = ("src/engine/a.rs", "use super::b::B;");
        assert_eq!(n_circles(&[facade, a, ("src/engine/b.rs", "use super::A;")]), 1);
        let b = ("src/engine/b.rs", "#[cfg(test)] mod tests { use super::*; use crate::engine::A; }");
        assert_eq!(n_circles(&[facade, a, b]), 0);
    }
}
