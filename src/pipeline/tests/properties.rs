//! What holds for every file: parsing never panics, and the graph is what its needs say.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::keys::FORMAT;
use super::{FULL, parse_at};

const WRONG: &str = include_str!("../cases/wrong.toml");

/// For each step the steps that it needs, chosen freely.
fn arbitrary_needs() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    (1_usize..24).prop_flat_map(|n| {
        let others = (0..n).map(|i| {
            prop::collection::btree_set(0..n, 0..n.min(4)).prop_map(move |mut needs| {
                needs.remove(&i);
                needs
            })
        });
        others.collect::<Vec<_>>()
    })
}

fn file_with_needs(needs: &[BTreeSet<usize>]) -> String {
    let step = |(i, needs): (usize, &BTreeSet<usize>)| {
        let names: Vec<_> = needs.iter().map(|need| format!("s{need}")).collect();
        format!("[[step]]\nid = \"s{i}\"\nrun = \"x\"\nneeds = {names:?}\n")
    };
    needs.iter().enumerate().map(step).collect()
}

/// The steps that can be reached along needs, by a simple and slow algorithm.
fn reached(needs: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<usize> = needs[from].iter().copied().collect();
    while let Some(step) = left.pop() {
        if seen.insert(step) {
            left.extend(&needs[step]);
        }
    }
    seen
}

/// Values of every type, as a file writes them.
const VALUES: [&str; 19] = [
    "1",
    "-1",
    "1.5",
    "nan",
    "true",
    "\"x\"",
    "\"\"",
    "\"1s\"",
    "[]",
    "[1]",
    "[\"a\"]",
    "[[]]",
    "{}",
    "{ a = 1 }",
    "{ a = {} }",
    "2026-11-23",
    "0xff",
    "[{}]",
    "\"\\u0000\"",
];

fn key_names() -> Vec<&'static str> {
    FORMAT.places.iter().flat_map(|place| place.keys()).map(|key| key.name).collect()
}

proptest! {
    #[test]
    fn a_graph_is_refused_only_for_a_cycle(needs in arbitrary_needs()) {
        let is_cyclic = (0..needs.len()).any(|i| reached(&needs, i).contains(&i));
        let parsed = parse_at(&file_with_needs(&needs), "/j/a.toml");
        prop_assert_eq!(parsed.is_err(), is_cyclic);
        let found = parsed.err().unwrap_or_default();
        prop_assert!(found.iter().all(|problem| problem.message.contains("in a circle")));
    }

    #[test]
    fn what_stands_above_is_what_needs_reach(needs in arbitrary_needs()) {
        let Ok(pipeline) = parse_at(&file_with_needs(&needs), "/j/a.toml") else { return Ok(()) };
        let mut done = BTreeSet::new();
        for &i in pipeline.order() {
            prop_assert!(pipeline.steps[i].needs.iter().all(|need| done.contains(need)));
            done.insert(i);
        }
        prop_assert_eq!(done.len(), needs.len());
        for i in 0..needs.len() {
            let above = reached(&needs, i);
            for j in 0..needs.len() {
                prop_assert_eq!(pipeline.below([j]).contains(i), above.contains(&j));
            }
            for &need in &pipeline.steps[i].needs {
                prop_assert!(pipeline.levels()[need] < pipeline.levels()[i]);
                prop_assert!(pipeline.children(need).contains(&i));
            }
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,200}") {
        let _ = parse_at(&text, "/j/a.toml");
    }

    #[test]
    fn no_damaged_file_makes_parsing_panic(
        cuts in prop::collection::vec((any::<Index>(), 0_usize..6, "[\\[\\]{}=\"'a-z0-9.\n -]{0,4}"), 1..6),
        text in select(vec![FULL, WRONG]),
    ) {
        let mut letters: Vec<char> = text.chars().collect();
        for (at, len, put) in cuts {
            let at = at.index(letters.len());
            letters.splice(at..(at + len).min(letters.len()), put.chars());
        }
        let text: String = letters.into_iter().collect();
        let found = parse_at(&text, "/j/a.toml").err();
        prop_assert!(found.as_ref().is_none_or(|found| !found.is_empty()));
        let lines = text.lines().count() + 1;
        for problem in found.unwrap_or_default() {
            prop_assert!((1..=lines).contains(&problem.line) && problem.column > 0, "{}", problem);
        }
    }

    #[test]
    fn any_value_under_any_key_is_taken_or_a_problem(key in select(key_names()), value in select(&VALUES[..])) {
        let line = format!("{key} = {value}\n");
        for text in [
            format!("{line}[[step]]\nid = \"s\"\nrun = \"x\"\n"),
            format!("[[step]]\nid = \"s\"\nrun = \"x\"\n{line}"),
            format!("[[step]]\n{line}"),
            format!("[params.p]\n{line}[[step]]\nid = \"s\"\nrun = \"x\"\n"),
            format!("[step_defaults]\n{line}[[step]]\nid = \"s\"\nrun = \"x\"\n"),
        ] {
            let _ = parse_at(&text, "/j/a.toml");
        }
    }
}
