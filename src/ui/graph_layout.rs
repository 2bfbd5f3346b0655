//! Where the nodes of a graph of steps lie: one column for each layer, so that every line runs from left to right; and
//! where a long line passes the columns between, so that it crosses no node. Pure: indices in, columns and rows out.

/// Rounds of moving nodes next to those that they are connected to.
const ROUNDS: usize = 4;

/// The place of a node: its column, and its row within the whole graph, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) column: usize,
    pub(super) row: usize,
}

/// The places of all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// In the order of the nodes.
    pub(super) places: Vec<Place>,
    pub(super) n_columns: usize,
    pub(super) n_rows: usize,
    /// Whether a node lies in a row of a column, column by column.
    is_taken: Vec<bool>,
}

/// A height in the graph, in half rows: odd ones are the middles of rows, even ones the gaps between rows, from the one
/// above the first row to the one below the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HalfRow(pub(super) usize);

impl HalfRow {
    /// The middle of a row.
    pub(super) const fn of_row(row: usize) -> Self {
        Self(2 * row + 1)
    }

    /// The row of which it is the middle; none if it is a gap.
    pub(super) const fn row(self) -> Option<usize> {
        if self.0 % 2 == 1 { Some(self.0 / 2) } else { None }
    }
}

impl Layout {
    fn new(places: Vec<Place>, n_columns: usize, n_rows: usize) -> Self {
        let mut is_taken = vec![false; n_columns * n_rows];
        for Place { column, row } in &places {
            is_taken[column * n_rows + row] = true;
        }
        Self { places, n_columns, n_rows, is_taken }
    }

    /// At which height the line from one node to another passes each column between them: through a gap between rows or
    /// an empty place, near the straight line and with few turns.
    pub(super) fn bends(&self, from: Place, to: Place) -> Vec<HalfRow> {
        let (begin, end) = (HalfRow::of_row(from.row).0, HalfRow::of_row(to.row).0);
        let n_columns = to.column.saturating_sub(from.column);
        let mut bends: Vec<HalfRow> = Vec::new();
        for n in 1..n_columns {
            let straight = begin as f64 + (end as f64 - begin as f64) * n as f64 / n_columns as f64;
            let before = bends.last().map_or(begin, |bend| bend.0);
            let cost = |at: &HalfRow| (at.0 as f64 - straight).abs() + at.0.abs_diff(before) as f64;
            let free = (0..=2 * self.n_rows).map(HalfRow).filter(|at| self.is_free(from.column + n, *at));
            bends.extend(free.min_by(|a, b| cost(a).total_cmp(&cost(b))));
        }
        bends
    }

    fn is_free(&self, column: usize, at: HalfRow) -> bool {
        at.row().is_none_or(|row| !self.is_taken[column * self.n_rows + row])
    }
}

/// Lays out nodes by what each needs. A column holds at most `max_rows` nodes (at least 1); a fuller layer takes several
/// columns. A need that is no node, or that closes a cycle, is left out.
pub(super) fn layout(needs: &[Vec<usize>], max_rows: usize) -> Layout {
    let needs = forward(needs);
    let mut columns = split(layers(&needs), max_rows.max(1));
    for round in 0..ROUNDS {
        order(&mut columns, &needs, round % 2 == 0);
    }
    let n_rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut places = vec![Place { column: 0, row: 0 }; needs.len()];
    for (column, nodes) in columns.iter().enumerate() {
        // Lower columns stand at half height, so that lines stay short.
        let top = (n_rows - nodes.len()) / 2;
        for (row, node) in nodes.iter().enumerate() {
            places[*node] = Place { column, row: top + row };
        }
    }
    Layout::new(places, columns.len(), n_rows)
}

/// The needs that exist and close no cycle.
fn forward(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    // A node is done once all that it needs is; what never gets done lies on or behind a cycle.
    let mut is_done = vec![false; needs.len()];
    let exists = |need: &usize| *need < needs.len();
    loop {
        let is_ready =
            |at: &usize| !is_done[*at] && needs[*at].iter().filter(|n| exists(n)).all(|n| is_done[*n]);
        let ready: Vec<usize> = (0..needs.len()).filter(is_ready).collect();
        if ready.is_empty() {
            break;
        }
        ready.into_iter().for_each(|at| is_done[at] = true);
    }
    needs
        .iter()
        .map(|needs| needs.iter().copied().filter(|need| exists(need) && is_done[*need]).collect())
        .collect()
}

/// The layer of a node is one behind the last of those that it needs.
fn layers(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut layer_of: Vec<Option<usize>> = vec![None; needs.len()];
    while layer_of.contains(&None) {
        for at in 0..needs.len() {
            let behind = needs[at].iter().try_fold(0, |last, need| Some(last.max(layer_of[*need]? + 1)));
            layer_of[at] = layer_of[at].or(behind);
        }
    }
    let n_layers = layer_of.iter().flatten().max().map_or(0, |last| last + 1);
    let mut layers = vec![Vec::new(); n_layers];
    for (node, layer) in layer_of.into_iter().enumerate() {
        layers[layer.unwrap_or_default()].push(node);
    }
    layers
}

/// Spreads each layer evenly over as many columns as it needs.
fn split(layers: Vec<Vec<usize>>, max_rows: usize) -> Vec<Vec<usize>> {
    let mut columns = Vec::new();
    for layer in layers {
        let n_columns = layer.len().div_ceil(max_rows);
        columns.extend(layer.chunks(layer.len().div_ceil(n_columns)).map(<[usize]>::to_vec));
    }
    columns
}

/// Sorts the nodes of each column by the mean row of those that they are connected to in other columns: of those before
/// it, or of those behind it. Nodes without any keep their row.
fn order(columns: &mut [Vec<usize>], needs: &[Vec<usize>], is_forward: bool) {
    let mut row_of = vec![0.0; needs.len()];
    for column in columns.iter() {
        place(column, &mut row_of);
    }
    let mut dependents = vec![Vec::new(); needs.len()];
    for (node, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| dependents[*need].push(node));
    }
    let neighbours = if is_forward { needs } else { &dependents };
    let n_columns = columns.len();
    for n in 0..n_columns {
        let column = &mut columns[if is_forward { n } else { n_columns - 1 - n }];
        let mean = |node: &usize| {
            let near = &neighbours[*node];
            let sum: f64 = near.iter().map(|it| row_of[*it]).sum();
            if near.is_empty() { row_of[*node] } else { sum / near.len() as f64 }
        };
        column.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
        place(column, &mut row_of);
    }
}

/// Counts rows from the middle of the column, as they are painted.
fn place(column: &[usize], row_of: &mut [f64]) {
    let middle = (column.len() as f64 - 1.0) / 2.0;
    for (row, node) in column.iter().enumerate() {
        row_of[*node] = row as f64 - middle;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn crossings(needs: &[Vec<usize>], layout: &Layout) -> usize {
        let lines: Vec<(Place, Place)> = needs
            .iter()
            .enumerate()
            .flat_map(|(to, needs)| needs.iter().map(move |from| (*from, to)))
            .map(|(from, to)| (layout.places[from], layout.places[to]))
            .collect();
        let crosses = |(a, b): (Place, Place), (c, d): (Place, Place)| {
            a.column == c.column
                && b.column == d.column
                && (a.row < c.row) != (b.row < d.row)
                && a.row != c.row
                && b.row != d.row
        };
        let pairs = (0..lines.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.filter(|(i, j)| crosses(lines[*i], lines[*j])).count()
    }

    /// What holds for every layout.
    fn checked(needs: &[Vec<usize>], max_rows: usize) -> Layout {
        let layout = layout(needs, max_rows);
        assert_eq!(layout.places.len(), needs.len());
        let places: HashSet<_> = layout.places.iter().map(|place| (place.column, place.row)).collect();
        assert_eq!(places.len(), needs.len(), "no two nodes lie on each other");
        for place in &layout.places {
            assert!(place.column < layout.n_columns && place.row < layout.n_rows.min(max_rows.max(1)));
        }
        layout
    }

    #[test]
    fn every_line_runs_from_left_to_right_also_in_a_graph_of_60_steps() {
        let wide: Vec<Vec<usize>> =
            (0..60).map(|n| if n < 4 { vec![] } else { vec![n / 4, n - 4] }).collect();
        let layout = checked(&wide, 12);
        for (to, needs) in wide.iter().enumerate() {
            for from in needs {
                assert!(layout.places[*from].column < layout.places[to].column, "{from} before {to}");
            }
        }
    }

    #[test]
    fn a_layer_that_is_too_full_takes_several_columns_evenly() {
        let mut needs = vec![vec![]];
        needs.extend((1..=50).map(|_| vec![0]));
        needs.push((1..=50).collect());
        let layout = checked(&needs, 20);
        assert_eq!((layout.n_columns, layout.n_rows), (5, 17));
        assert_eq!(layout.places[0], Place { column: 0, row: 8 }, "a lower column stands in the middle");
        assert_eq!(layout.places[51].column, 4);
    }

    #[test]
    fn nodes_lie_beside_those_that_they_need() {
        // Three chains whose second steps stand in the reverse order.
        let needs = vec![vec![], vec![], vec![], vec![2], vec![1], vec![0], vec![3], vec![4], vec![5]];
        let layout = checked(&needs, 10);
        assert_eq!(crossings(&needs, &layout), 0, "{layout:?}");
    }

    #[test]
    fn a_chain_is_one_row_and_nothing_is_nothing() {
        let layout = checked(&[vec![], vec![0], vec![1]], 5);
        assert_eq!((layout.n_columns, layout.n_rows), (3, 1));
        let layout = checked(&[], 0);
        assert_eq!((layout.n_columns, layout.n_rows), (0, 0));
    }

    #[test]
    fn a_long_line_passes_beside_what_lies_between_and_straight_through_an_empty_place() {
        // A chain of four, whose last one also needs the first.
        let layout = checked(&[vec![], vec![0], vec![1], vec![2, 0]], 5);
        let bends = layout.bends(layout.places[0], layout.places[3]);
        assert_eq!(bends, [HalfRow(0), HalfRow(0)], "above the only row");
        assert_eq!(layout.bends(layout.places[0], layout.places[1]), [], "nothing lies between");
        // Two chains from one step; the other's row is empty between.
        let layout = Layout::new(vec![Place { column: 0, row: 1 }, Place { column: 2, row: 1 }], 3, 3);
        assert_eq!(layout.bends(layout.places[0], layout.places[1]), [HalfRow::of_row(1)]);
    }

    #[test]
    fn a_need_that_does_not_exist_or_closes_a_cycle_is_left_out() {
        let layout = checked(&[vec![7], vec![2], vec![1], vec![0, 1], vec![4]], 1);
        assert_eq!(layout.n_rows, 1);
        assert!(layout.places[3].column > layout.places[0].column);
    }
}
