//! Advice about things that are allowed in a pipeline but seldom intended. It refuses nothing.

use super::model::{Command, Pipeline, Step};

/// Shells that go on after a command that fails, unless they have the option `-e`.
const SHELLS: [&str; 7] = ["sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"];

impl Pipeline {
    /// The advice, one sentence each, in the order of the steps.
    pub fn advice(&self) -> Vec<String> {
        let of_step = |step: &Step| {
            let Command::Line { shell, line } = &step.command else { return None };
            let n_lines = commands(line).len();
            let continues = n_lines > 1 && is_plain_shell(shell) && !sets_errexit(line);
            continues.then(|| {
                format!(
                    "step {}: its `run` has {n_lines} lines, and the shell goes on after one that fails: only the last one decides; write shell = [\"sh\", \"-ec\"], or `set -e` as its first line",
                    step.id
                )
            })
        };
        self.steps.iter().filter_map(of_step).collect()
    }
}

/// Whether it is a shell without an option to stop at the first failure.
fn is_plain_shell(shell: &[String]) -> bool {
    let Some((program, options)) = shell.split_first() else { return false };
    let name = program.rsplit('/').next().unwrap_or(program);
    SHELLS.contains(&name) && !stops_at_failure(options.iter().map(String::as_str))
}

/// Whether these options hold `-e`, alone or among others, or `-o errexit`.
fn stops_at_failure<'a>(options: impl Iterator<Item = &'a str>) -> bool {
    let is_e = |option: &str| {
        option == "errexit" || option.starts_with('-') && !option.starts_with("--") && option.contains('e')
    };
    options.into_iter().any(is_e)
}

/// Whether one of the lines is a `set -e`.
fn sets_errexit(line: &str) -> bool {
    commands(line).iter().any(|command| {
        let mut words = command.split([' ', '\t', ';']);
        words.next() == Some("set") && stops_at_failure(words)
    })
}

/// The lines with commands. A command over several lines counts once, and the input of a command (`<<`) does not count.
fn commands(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut continues = false;
    let mut input_ends_at: Option<&str> = None;
    for line in text.lines().map(str::trim) {
        if let Some(end) = input_ends_at {
            if line == end {
                input_ends_at = None;
            }
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !continues {
            found.push(line);
        }
        continues = ["\\", "&&", "||", "|"].iter().any(|sign| line.ends_with(sign));
        input_ends_at = line.split_once("<<").map(|(_, rest)| {
            let word = rest.trim_start_matches(['-', ' ']).split([' ', ';', '|', '>', '&', ')']).next();
            word.unwrap_or_default().trim_matches(['"', '\''])
        });
        input_ends_at = input_ends_at.filter(|end| !end.is_empty() && !end.starts_with('<'));
    }
    found
}
