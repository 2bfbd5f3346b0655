//! placeholder until the pipeline branch lands
use super::Pipeline;
impl Pipeline {
    /// Ancestors.
    pub fn ancestors(&self, index: usize) -> Vec<usize> {
        let mut seen = vec![false; self.steps.len()];
        let mut todo = self.steps[index].needs.clone();
        while let Some(i) = todo.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                todo.extend(&self.steps[i].needs);
            }
        }
        (0..seen.len()).filter(|&i| seen[i]).collect()
    }
    /// Dependents.
    pub fn dependents(&self, index: usize) -> Vec<usize> {
        (0..self.steps.len()).filter(|&i| self.ancestors(i).contains(&index)).collect()
    }
}
