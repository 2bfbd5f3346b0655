//! Which of several names was most likely meant.

/// The name that was most likely meant by `wrong`: the one with the fewest typing errors, if these are few for its
/// length. Case does not matter, and `-` equals `_`.
pub(crate) fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const LONGEST: usize = 64;
    let wrong = folded(wrong);
    if wrong.len() > LONGEST {
        return None;
    }
    names
        .into_iter()
        .map(|name| (name, folded(name)))
        .filter(|(_, folded)| folded.len() <= LONGEST && folded.len().abs_diff(wrong.len()) <= 3)
        .map(|(name, folded)| (slips(&wrong, &folded), name))
        .filter(|(slips, _)| *slips <= (wrong.len() / 3).clamp(1, 3) && *slips < wrong.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

fn folded(name: &str) -> Vec<char> {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// The number of letters that were left out, added, replaced or swapped with their neighbour (optimal string
/// alignment).
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_with_the_fewest_slips() {
        #[track_caller]
        fn check(wrong: &str, expected: Option<&str>) {
            let names = ["needs", "run", "timeout", "retries", "working_dir", "weight", "TERM"];
            assert_eq!(nearest(wrong, names), expected, "{wrong}");
        }
        check("neeeds", Some("needs"));
        check("nedes", Some("needs"));
        check("time-out", Some("timeout"));
        check("working-dir", Some("working_dir"));
        check("term", Some("TERM"));
        check("rum", Some("run"));
        check("r", None);
        check("", None);
        check("colour", None);
        check(&"x".repeat(10_000), None);
    }
}
