//! A tree that is walked by keys: its entries, what of it is expanded, and which entry is chosen. It paints nothing.

use std::collections::BTreeSet;

use super::command::Command;

/// The most entries below one.
const MAX_CHILDREN: usize = 200;

/// An entry of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// All of it in one sentence.
    pub(super) text: String,
    /// What Enter does with it.
    pub(super) open: Option<Command>,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), open: None, children: Vec::new() }
    }

    pub(super) fn opening(self, command: Command) -> Self {
        Self { open: Some(command), ..self }
    }

    pub(super) fn with(self, children: impl IntoIterator<Item = Node>) -> Self {
        Self { children: children.into_iter().take(MAX_CHILDREN).collect(), ..self }
    }
}

/// Where an entry is: the index at each level.
pub(super) type Path = Vec<usize>;

/// A visible entry.
#[derive(Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) path: Path,
    pub(super) node: &'a Node,
    /// None if nothing is below it.
    pub(super) is_expanded: Option<bool>,
}

/// What of the tree is expanded, and which entry is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OutlineState {
    expanded: BTreeSet<Path>,
    pub(super) at: Path,
}

/// A key in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    First,
    Last,
    /// Expands the entry, or goes to the first below it.
    In,
    /// Collapses the entry, or goes to the one above it.
    Out,
}

impl OutlineState {
    /// The visible entries, in order.
    pub(super) fn rows<'a>(&self, nodes: &'a [Node]) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        self.add_rows(nodes, &mut Vec::new(), &mut rows);
        rows
    }

    fn add_rows<'a>(&self, nodes: &'a [Node], path: &mut Path, rows: &mut Vec<Row<'a>>) {
        for (n, node) in nodes.iter().enumerate() {
            path.push(n);
            let is_expanded = self.expanded.contains(path);
            let has_children = !node.children.is_empty();
            rows.push(Row { path: path.clone(), node, is_expanded: has_children.then_some(is_expanded) });
            if is_expanded {
                self.add_rows(&node.children, path, rows);
            }
            path.pop();
        }
    }

    /// Expands an entry, or collapses it.
    pub(super) fn toggle(&mut self, path: &Path) {
        if !self.expanded.remove(path) {
            self.expanded.insert(path.clone());
        }
        self.at = path.clone();
    }

    /// Does what a key says.
    pub(super) fn walk(&mut self, step: Step, nodes: &[Node]) {
        let rows = self.rows(nodes);
        let Some(last) = rows.len().checked_sub(1) else { return };
        let at = rows.iter().position(|row| row.path == self.at).unwrap_or(0);
        let to = match step {
            Step::Up => at.saturating_sub(1),
            Step::Down => (at + 1).min(last),
            Step::First => 0,
            Step::Last => last,
            Step::In => match rows[at].is_expanded {
                Some(true) => at + 1,
                Some(false) => {
                    self.expanded.insert(rows[at].path.clone());
                    at
                }
                None => at,
            },
            Step::Out if rows[at].is_expanded == Some(true) => {
                self.expanded.remove(&rows[at].path);
                at
            }
            Step::Out => {
                let above = &rows[at].path[..rows[at].path.len() - 1];
                rows.iter().position(|row| row.path == above).unwrap_or(at)
            }
        };
        self.at = rows[to].path.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Vec<Node> {
        let leaf = Node::new;
        vec![leaf("a").with([leaf("b").with([leaf("c")]), leaf("d")]), leaf("e")]
    }

    fn shown(state: &OutlineState) -> String {
        let tree = tree();
        let texts = state.rows(&tree).into_iter().map(|row| {
            let mark = if row.path == state.at { "*" } else { "" };
            format!("{mark}{}", row.node.text)
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_tree_is_walked_expanded_and_collapsed_by_keys() {
        let mut state = OutlineState { at: vec![0], ..OutlineState::default() };
        let mut press = |step| {
            state.walk(step, &tree());
            shown(&state)
        };
        assert_eq!(press(Step::Up), "*a e");
        assert_eq!(press(Step::In), "*a b d e");
        assert_eq!(press(Step::In), "a *b d e");
        assert_eq!(press(Step::In), "a *b c d e");
        assert_eq!(press(Step::In), "a b *c d e");
        assert_eq!(press(Step::In), "a b *c d e", "nothing is below it");
        assert_eq!(press(Step::Out), "a *b c d e");
        assert_eq!(press(Step::Last), "a b c d *e");
        assert_eq!(press(Step::Down), "a b c d *e");
        assert_eq!(press(Step::First), "*a b c d e");
        assert_eq!(press(Step::Out), "*a e");
        assert_eq!(press(Step::Out), "*a e");
    }

    #[test]
    fn an_entry_that_is_gone_is_no_trouble() {
        let mut state = OutlineState { at: vec![7, 7], ..OutlineState::default() };
        state.walk(Step::Down, &tree());
        assert_eq!(shown(&state), "a *e");
        state.walk(Step::Down, &[]);
        state.toggle(&vec![0]);
        assert_eq!(shown(&state), "*a b d e");
    }
}
