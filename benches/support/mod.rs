//! What the benchmarks share: one table, medians of interleaved rounds, and the machine's own limits.
//!
//! A limit is measured in the same run as what is compared with it, in turns, so that both meet the same
//! machine; what counts is the median of the rounds' ratios. Set `TMPDIR` to measure another disk.

pub(crate) mod desk;
pub(crate) mod limits;
pub(crate) mod process;
pub(crate) mod runs;
#[cfg(feature = "gui")]
pub(crate) mod window;

use std::time::Duration;

/// The word after which a benchmark runs as a small process of its own: `--child WHAT DIR`.
const CHILD: &str = "--child";

/// Runs a benchmark: first the entry by which this program serves as the supervisor of its own steps, then
/// `child` where this process was started as one, else `body` between two looks at how busy the machine is.
pub(crate) fn bench(title: &str, body: impl FnOnce(&mut Table), child: impl FnOnce(&str, &std::path::Path)) {
    leverframe::supervisor_entry();
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == CHILD) {
        return child(&args[at + 1], std::path::Path::new(&args[at + 2]));
    }
    // `cargo test --benches` and `cargo bench -- --list` only want to know that it starts.
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    let mut table = Table { title: title.to_owned(), rows: Vec::new() };
    let before = load_average();
    body(&mut table);
    table.print(&before, &load_average());
}

/// For a benchmark without children.
pub(crate) fn no_child(what: &str, _dir: &std::path::Path) {
    panic!("this benchmark has no part {what}");
}

/// How many processes wanted a CPU in the last minute: whose numbers these are.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// What was measured, a line each.
pub(crate) struct Table {
    title: String,
    rows: Vec<[String; 6]>,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Told for comparison.
    None,
}

impl Goal {
    fn is_met(self, value: f64) -> &'static str {
        let is_met = match self {
            Self::AtMost(goal) => value <= goal,
            Self::AtLeast(goal) => value >= goal,
            Self::None => return "",
        };
        if is_met { "yes" } else { "NO" }
    }

    fn text(self, unit: impl Fn(f64) -> String) -> String {
        match self {
            Self::AtMost(goal) => format!("≤ {}", unit(goal)),
            Self::AtLeast(goal) => format!("≥ {}", unit(goal)),
            Self::None => String::new(),
        }
    }
}

impl Table {
    /// A figure beside the machine's limit: one pair a round. The ratio is the median of the rounds' ratios.
    pub(crate) fn ratio(
        &mut self,
        what: &str,
        rounds: &[(f64, f64)],
        unit: impl Fn(f64) -> String,
        goal: Goal,
    ) {
        let ratios: Vec<f64> = rounds.iter().map(|(ours, limit)| ours / limit).collect();
        let ratio = median(&ratios);
        let (low, high) = range(&ratios);
        let ours: Vec<f64> = rounds.iter().map(|(ours, _)| *ours).collect();
        let limits: Vec<f64> = rounds.iter().map(|(_, limit)| *limit).collect();
        self.rows.push([
            what.to_owned(),
            unit(median(&ours)),
            unit(median(&limits)),
            format!("{ratio:.2}x ({low:.2}–{high:.2})"),
            goal.text(|goal| format!("{goal}x")),
            goal.is_met(ratio).to_owned(),
        ]);
    }

    /// A figure that stands for itself: the median of `values`.
    pub(crate) fn value(&mut self, what: &str, values: &[f64], unit: impl Fn(f64) -> String, goal: Goal) {
        let value = median(values);
        let (low, high) = range(values);
        let spread =
            if values.len() > 1 { format!("({}–{})", unit(low), unit(high)) } else { String::new() };
        let row = [
            what.to_owned(),
            unit(value),
            String::new(),
            spread,
            goal.text(&unit),
            goal.is_met(value).into(),
        ];
        self.rows.push(row);
    }

    /// What frames cost, in seconds: the middle, the 99th of 100, and the slowest.
    pub(crate) fn frames(&mut self, what: &str, costs: &[f64], goal: Goal) {
        let mut costs = costs.to_vec();
        costs.sort_unstable_by(f64::total_cmp);
        let part = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
        self.value(&format!("{what}: half of the frames, at most"), &[part(0.5)], ms, Goal::None);
        self.value(&format!("{what}: 99 % of the frames, at most"), &[part(0.99)], ms, goal);
        self.value(&format!("{what}: the slowest"), &[part(1.0)], ms, Goal::None);
    }

    /// Something that could not be measured, and why.
    pub(crate) fn missing(&mut self, what: &str, why: &str) {
        let none = String::new;
        self.rows.push([what.to_owned(), why.to_owned(), none(), none(), none(), none()]);
    }

    #[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
    fn print(&self, load_before: &str, load_after: &str) {
        let head = ["", "measured", "limit", "ratio (range)", "goal", "met?"].map(str::to_owned);
        let lines: Vec<&[String; 6]> = std::iter::once(&head).chain(&self.rows).collect();
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        println!("\n{} (load of the machine {load_before} before, {load_after} after)", self.title);
        for line in &lines {
            let cells: Vec<String> = line
                .iter()
                .enumerate()
                .map(|(i, cell)| {
                    let pad = " ".repeat(width(i) - cell.chars().count());
                    if i == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
                })
                .collect();
            println!("{}", cells.join("  ").trim_end());
        }
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn range(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}

/// Seconds as microseconds.
pub(crate) fn us(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

/// Seconds as milliseconds.
pub(crate) fn ms(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

/// A number a second.
pub(crate) fn per_second(n: f64) -> String {
    format!("{n:.0}/s")
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

/// How long `work` takes, in seconds. What it makes is put away afterwards.
pub(crate) fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let begun = std::time::Instant::now();
    let _made = work();
    begun.elapsed().as_secs_f64()
}

/// Lets this much time pass, for what is measured over time.
pub(crate) fn let_pass(time: Duration) {
    // Capacity 0: nothing is ever sent; the receiver waits for its deadline.
    let (_sender, receiver) = crossbeam_channel::bounded::<()>(0);
    let _ = receiver.recv_timeout(time);
}
