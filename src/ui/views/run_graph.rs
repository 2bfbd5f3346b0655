//! The steps of a run as a graph: a node for each step, coloured by its state, behind those that it needs.

use egui::epaint::CubicBezierShape;
use egui::{
    Align2, Color32, CornerRadius, CursorIcon, Pos2, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    Vec2, pos2, vec2,
};

use super::super::graph_layout::{HalfRow, Layout, Place, layout};
use super::super::widgets::{AccessibleName, Card, Icon, label_at, region};
use super::Commands;
use super::detail::took_text;
use super::run_page::RunPage;
use crate::base::id::StepId;
use crate::run::{StepState, StepSummary};
use crate::ui::{format, theme};
use crate::window::StepNeeds;

const NODE: Vec2 = vec2(132.0, 42.0);
/// The least width of a node: with less, the names of steps could not be read.
const NARROW: f32 = 100.0;
/// The gaps between nodes: for the lines, and between rows.
const GAPS: Vec2 = vec2(30.0, 12.0);
/// Above and below the nodes.
const MARGIN: f32 = 10.0;
/// The most nodes in a column: with more, a graph of 60 steps would have to be scrolled up and down.
const MAX_ROWS: usize = 10;

/// A graph with its layout.
pub(crate) struct Graph<'a> {
    needs: &'a [StepNeeds],
    layout: Layout,
}

impl<'a> Graph<'a> {
    /// The graph of the run's definition; none where it is not known, or has no steps.
    pub(crate) fn of(page: RunPage<'a>) -> Option<Self> {
        Self::of_steps(&page.facts?.needs)
    }

    /// The graph of these steps; none if there are none.
    pub(crate) fn of_steps(needs: &'a [StepNeeds]) -> Option<Self> {
        let indices: Vec<Vec<usize>> = needs.iter().map(|step| step.needs.clone()).collect();
        (!needs.is_empty()).then(|| Self { needs, layout: layout(&indices, MAX_ROWS) })
    }

    /// The height of its card if nothing is to be scrolled.
    pub(crate) fn height(&self) -> f32 {
        let n_rows = self.layout.n_rows as f32;
        theme::CARD_HEAD + n_rows * (NODE.y + GAPS.y) - GAPS.y + 2.0 * MARGIN + 2.0
    }

    /// Its card, `height` high.
    pub(crate) fn ui(&self, ui: &mut Ui, page: RunPage<'_>, height: f32, out: &mut Commands) {
        let tokens = theme::tokens(ui);
        Card::new("Graph").show(ui, |ui, head| {
            let text = states_text(page.entry.steps());
            let at = pos2(head.left() + 56.0, head.center().y);
            let muted = (theme::small(), tokens.muted);
            label_at(ui, at, Align2::LEFT_CENTER, text, muted, head.width() - 60.0);
            let height = (height - theme::CARD_HEAD - 2.0).max(NODE.y);
            let is_done = |step_id: &StepId| {
                let mut steps = page.entry.steps().iter();
                steps.any(|it| it.step_id == *step_id && it.state == StepState::Completed)
            };
            self.nodes_ui(ui, height, is_done, |ui, at, rect| {
                let step = &self.needs[at];
                let known = page.entry.steps().iter().find(|it| it.step_id == step.step_id);
                node_ui(ui, page, step, known, rect, out);
            });
        });
    }

    /// The lines and the nodes, `height` high and scrolled where they need more. `node` paints the node of the step with
    /// this index; a line from a step that `is_done` is marked.
    pub(crate) fn nodes_ui(
        &self,
        ui: &mut Ui,
        height: f32,
        is_done: impl Fn(&StepId) -> bool,
        mut node: impl FnMut(&mut Ui, usize, Rect),
    ) {
        let n_columns = self.layout.n_columns as f32;
        let fitting = (ui.available_width() - 2.0 * theme::GAP + GAPS.x) / n_columns - GAPS.x;
        let width = fitting.floor().clamp(NARROW, NODE.x);
        let size = vec2(
            n_columns * (width + GAPS.x) - GAPS.x + 2.0 * theme::GAP,
            self.height() - theme::CARD_HEAD - 2.0,
        );
        ScrollArea::both()
            .id_salt("graph")
            .min_scrolled_height(height)
            .max_height(height)
            .auto_shrink([false, false])
            .show(ui, |ui| {
                region(ui, Role::List, "Steps as a graph");
                let (_, rect) = ui.allocate_space(size);
                self.lines_at(ui, is_done, (rect.min, width));
                for (at, place) in self.layout.places.iter().enumerate() {
                    node(ui, at, node_at((rect.min, width), *place));
                }
            });
    }

    fn lines_at(&self, ui: &Ui, is_done: impl Fn(&StepId) -> bool, origin: (Pos2, f32)) {
        let tokens = theme::tokens(ui);
        for (to, step) in self.layout.places.iter().zip(self.needs) {
            for need in &step.needs {
                let (Some(from), Some(needed)) = (self.layout.places.get(*need), self.needs.get(*need))
                else {
                    continue;
                };
                let color =
                    if is_done(&needed.step_id) { tokens.tint(tokens.completed, 0.6) } else { tokens.faint };
                let line = Stroke::new(1.25, color);
                for points in line_of(&self.layout, origin, (*from, *to), lane_of(*need)) {
                    let curve =
                        CubicBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, line);
                    ui.painter().add(curve);
                }
            }
        }
    }
}

/// How far beside the middle of a gap the lines from a node run, so that those of other nodes are told apart.
fn lane_of(node: usize) -> f32 {
    [0.0, -3.0, 3.0][node % 3]
}

/// The line from a node to another as curves: each turns between two columns, or runs straight through one.
fn line_of(layout: &Layout, origin: (Pos2, f32), (from, to): (Place, Place), lane: f32) -> Vec<[Pos2; 4]> {
    let (begin, end) = (node_at(origin, from).right_center(), node_at(origin, to).left_center());
    let curve = |from: Pos2, to: Pos2| {
        let reach = vec2((to.x - from.x) / 2.0, 0.0);
        [from, from + reach, to - reach, to]
    };
    let (mut curves, mut at) = (Vec::new(), begin);
    for (n, bend) in layout.bends(from, to).into_iter().enumerate() {
        let column = node_at(origin, Place { column: from.column + n + 1, row: 0 }).x_range();
        let y = height_of(origin.0, bend) + if bend.row().is_some() { 0.0 } else { lane };
        let (left, right) = (pos2(column.min, y), pos2(column.max, y));
        curves.extend([curve(at, left), curve(left, right)]);
        at = right;
    }
    curves.push(curve(at, end));
    curves
}

/// Where a height of the layout is in a graph that begins at `origin`.
fn height_of(origin: Pos2, at: HalfRow) -> f32 {
    origin.y + MARGIN - GAPS.y / 2.0 + at.0 as f32 * (NODE.y + GAPS.y) / 2.0
}

/// The place of a node in a graph that begins at `origin`, whose nodes are `width` wide.
fn node_at((origin, width): (Pos2, f32), place: Place) -> Rect {
    let node = vec2(width, NODE.y);
    let step = node + GAPS;
    let offset = vec2(place.column as f32 * step.x, place.row as f32 * step.y);
    Rect::from_min_size(origin + vec2(theme::GAP, MARGIN) + offset, node)
}

/// How many steps are in which state.
fn states_text(steps: &[StepSummary]) -> String {
    let mut counts: Vec<(StepState, usize)> = Vec::new();
    for step in steps {
        match counts.iter_mut().find(|(state, _)| *state == step.state) {
            Some((_, n)) => *n += 1,
            None => counts.push((step.state, 1)),
        }
    }
    counts.iter().map(|(state, n)| format!("{n} {state}")).collect::<Vec<_>>().join(", ")
}

fn node_ui(
    ui: &mut Ui,
    page: RunPage<'_>,
    needs: &StepNeeds,
    known: Option<&StepSummary>,
    rect: Rect,
    out: &mut Commands,
) {
    let tokens = theme::tokens(ui);
    let step_id = &needs.step_id;
    let state = known.map_or(StepState::Pending, |step| step.state);
    let took = known.map(|step| took_text(step, page.view)).unwrap_or_default();
    let second = match known {
        Some(step) if state == StepState::Running && step.progress > 0.0 => {
            format!("{state} {}", format::percent(step.progress))
        }
        Some(_) | None => format!("{state} {took}").trim_end().to_owned(),
    };
    let n_before = known.map_or(0, |step| step.attempt.saturating_sub(1));
    let before = if n_before > 0 {
        format!(", after {}", format::count(n_before as usize, "attempt"))
    } else {
        String::new()
    };
    let is_selected = page.step() == Some(step_id);
    let response = ui
        .interact(rect, ui.scope_id().with(("node", step_id.as_str())), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.says_selected(Role::ListItem, is_selected, &format!("Node {step_id}: {second}{before}"));
    page.pull_step(&response, step_id, out);
    if !ui.is_rect_visible(rect) {
        return;
    }
    let color = tokens.step_state(state);
    let radius = CornerRadius::same(6);
    let fill = match state {
        StepState::Pending | StepState::Waiting | StepState::Skipped => tokens.panel,
        StepState::Running
        | StepState::Paused
        | StepState::Completed
        | StepState::Failed
        | StepState::Stopped
        | StepState::Interrupted => tokens.tint(color, if response.hovered() { 0.24 } else { 0.14 }),
    };
    let line =
        if is_selected { Stroke::new(2.0, tokens.text) } else { Stroke::new(1.0, tokens.tint(color, 0.7)) };
    ui.painter().rect(rect, radius, fill, line, StrokeKind::Inside);
    if response.has_focus() {
        let ring = Stroke::new(2.0, tokens.accent);
        ui.painter().rect_stroke(rect.expand(3.0), radius, ring, StrokeKind::Inside);
    }
    let left = rect.left() + 9.0;
    let mut right = rect.right() - 9.0;
    let upper = rect.top() + 13.0;
    if n_before > 0 {
        let style = (theme::small(), tokens.failed);
        right = label_at(ui, pos2(right, upper), Align2::RIGHT_CENTER, n_before.to_string(), style, 40.0)
            .left()
            - 5.0;
        Icon::Cross.paint(ui.painter(), pos2(right - 4.5, upper), 9.0, tokens.failed);
        right -= 15.0;
    }
    let style = (theme::medium(), tokens.text);
    let shown = label_at(ui, pos2(left, upper), Align2::LEFT_CENTER, step_id.as_str(), style, right - left);
    let place =
        Rect::from_min_max(pos2(left, rect.top() + 22.0), pos2(rect.right() - 6.0, rect.bottom() - 3.0));
    let x = Icon::of_step(state).paint_before(ui.painter(), place, 10.0, color);
    let style = (theme::small(), color);
    label_at(ui, pos2(x, place.center().y), Align2::LEFT_CENTER, second, style, place.right() - x);
    if shown.width() > right - left - 2.0 {
        response.tip(step_id.as_str());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Graphs of up to 60 steps, each of which needs up to four earlier ones.
    fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..=4);
        prop::collection::vec(needs, 1..=60).prop_map(|steps| {
            let of = |(at, needs): (usize, Vec<prop::sample::Index>)| {
                if at == 0 { Vec::new() } else { needs.iter().map(|need| need.index(at)).collect() }
            };
            steps.into_iter().enumerate().map(of).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_line_crosses_a_node_and_none_leaves_the_graph(needs in graphs(), width in NARROW..NODE.x) {
            let layout = layout(&needs, MAX_ROWS);
            let origin = (pos2(7.0, 11.0), width);
            let nodes: Vec<Rect> = layout.places.iter().map(|place| node_at(origin, *place)).collect();
            let top = origin.0.y;
            let bottom = top + layout.n_rows as f32 * (NODE.y + GAPS.y) - GAPS.y + 2.0 * MARGIN;
            for (to, needs) in needs.iter().enumerate() {
                for need in needs {
                    let (from, to) = (layout.places[*need], layout.places[to]);
                    let curves = line_of(&layout, origin, (from, to), lane_of(*need));
                    prop_assert_eq!(curves.len(), 2 * (to.column - from.column) - 1);
                    for points in curves {
                        let line = Stroke::new(1.0, Color32::WHITE);
                        let curve =
                            CubicBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, line);
                        for at in (0..=16).map(|n| curve.sample(n as f32 / 16.0)) {
                            // A line begins and ends at the edge of its own nodes.
                            let crossed = nodes.iter().find(|node| node.shrink(0.01).contains(at));
                            prop_assert!(crossed.is_none(), "{at:?} in {crossed:?}");
                            prop_assert!((top..=bottom).contains(&at.y), "{at:?}");
                        }
                    }
                }
            }
        }
    }
}
