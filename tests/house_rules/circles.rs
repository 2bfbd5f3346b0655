//! Which files of one module know one another: in no circle of more than two, so that each can be read after those that it
//! rests on.

use std::collections::{BTreeMap, BTreeSet};

use super::floors::{depth_at, module_of, names_at};
use super::source::{Breach, House, Source};

pub(crate) fn files_know_one_another_in_no_circle(house: &House) -> Vec<Breach> {
    let folders = house.sources.iter().filter(|source| source.path.matches('/').count() > 1);
    let modules: BTreeSet<&str> = folders.filter_map(module_of).collect();
    modules.into_iter().flat_map(|module| circles_of(house, module)).collect()
}

fn circles_of(house: &House, module: &str) -> Vec<Breach> {
    let mut files: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in house.sources.iter().filter(|source| module_of(source) == Some(module)) {
        files.entry(stem(source)).or_default().push(source);
    }
    let known_to_all = |sources: &Vec<&Source>| {
        sources.iter().flat_map(|source| known_to(source, module, &files)).collect::<BTreeSet<_>>()
    };
    let known: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|(name, sources)| (*name, known_to_all(sources))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        known.keys().map(|name| (*name, reachable(name, &known))).collect();
    let mut breaches = Vec::new();
    let mut told = BTreeSet::new();
    for (name, sources) in &files {
        let circle: BTreeSet<_> =
            reached[name].iter().filter(|other| reached[*other].contains(name)).copied().collect();
        if circle.len() > 2 && told.insert(circle.clone()) {
            let names = circle.into_iter().collect::<Vec<_>>().join(", ");
            breaches.push(sources[0].breach(
                0,
                format!(
                    "knows in a circle: {names}; each file of a module rests on others that do not rest on it. Move what both need into a file of its own"
                ),
            ));
        }
    }
    breaches
}

/// The name of a file; of those in a folder below, that of the folder.
fn stem(source: &Source) -> &str {
    let within = source.path.splitn(3, '/').nth(2).unwrap_or_default();
    within.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// The files that the program's code in `source` imports from its own module. A name that is no file's comes through
/// `mod.rs`, which knows what it passes on.
fn known_to<'a>(source: &Source, module: &str, files: &BTreeMap<&'a str, Vec<&Source>>) -> BTreeSet<&'a str> {
    let is_mod = stem(source) == "mod";
    let own = format!("crate::{module}::");
    let mut imported: Vec<usize> = source.find_in_program(&own).map(|at| at + own.len()).collect();
    if is_mod {
        imported.extend(source.find_in_program("use ").map(|at| at + "use ".len()));
    } else {
        imported.extend(source.find_in_program("super::").filter_map(|at| from_module(source, at)));
    }
    let mut known = BTreeSet::new();
    for (name, _) in imported.into_iter().flat_map(|at| names_at(&source.code, at)) {
        let through_mod = || files.get_key_value("mod").filter(|_| !is_mod);
        let file = files.get_key_value(name.as_str()).or_else(through_mod);
        known.extend(file.map(|(file, _)| *file));
    }
    known
}

/// Where the names begin that the path at `at` takes from the root of its module; none where its `super::`s lead less far.
fn from_module(source: &Source, at: usize) -> Option<usize> {
    const SUPER: &str = "super::";
    if source.code[..at].ends_with("::") {
        return None;
    }
    let mut n_supers = 0;
    while source.code[at + n_supers * SUPER.len()..].starts_with(SUPER) {
        n_supers += 1;
    }
    (depth_at(source, at) == n_supers + 1).then_some(at + n_supers * SUPER.len())
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

    #[test]
    fn the_files_of_a_folder_below_count_as_one_and_know_one_another_as_they_like() {
        let (a, b) = (("src/engine/a.rs", "use super::b::B;"), ("src/engine/b.rs", "use super::c::C;"));
        let below = [("src/engine/c/mod.rs", "use super::d::D;"), ("src/engine/c/e.rs", "use super::f::F;")];
        assert_eq!(n_circles(&[a, b, below[0], below[1]]), 0);
        let up = ("src/engine/c/g.rs", "use super::super::a::A;");
        assert_eq!(n_circles(&[a, b, below[0], up, below[1]]), 1);
        let inline = ("src/engine/c.rs", "mod a { use super::a::A; }");
        assert_eq!(n_circles(&[a, b, inline]), 0, "its super is its own file");
    }
}
