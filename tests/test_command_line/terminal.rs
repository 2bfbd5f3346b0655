//! What reaches a terminal: all that is to be said, on every kind of terminal, and nothing that a terminal obeys.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Home, Said, said};

/// Runs the program on a terminal of this kind; what it shows. None, with a word, where there is no `script`.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn on_terminal(home: &Home, term: Option<&str>, args: &str) -> Option<Said> {
    let mut command: Command = home.command([] as [&str; 0]);
    let program = command.get_program().to_owned();
    let line = format!("'{}' {args}", Path::new(&program).display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(home.folder()).env_remove("TERM");
    for (name, value) in command.env_remove("TERM").get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.envs(term.map(|term| ("TERM", term))).stdin(std::process::Stdio::null());
    match script.output() {
        Ok(output) => Some(said(output)),
        Err(error) => {
            println!("SKIPPED: without `script` (util-linux) there is no terminal here: {error}");
            None
        }
    }
}

#[test]
fn a_run_tells_its_story_on_every_kind_of_terminal() {
    let home = Home::new();
    home.pipeline(
        "two.toml",
        "[[step]]\nid = \"first\"\nrun = \"true\"\n[[step]]\nid = \"last\"\nrun = \"exit 3\"\n",
    );
    for term in [None, Some(""), Some("dumb"), Some("xterm")] {
        let Some(said) = on_terminal(&home, term, "run two") else { return };
        said.check(1, &["step first completed", "last", "exited with code 3"]);
        let is_plain = !said.out.contains('\x1b');
        assert_eq!(is_plain, term != Some("xterm"), "{term:?}: {said:?}");
    }
}

/// A title set, a screen cleared, the direction of reading turned.
const EVIL: [(&str, &str); 3] =
    [("\\u001b]0;PWNED\\u0007", "\x1b"), ("\\u001b[2J", "\x1b"), ("\\u202egpj", "\u{202e}")];

#[track_caller]
fn is_tame(said: &Said, what: &str) {
    let is_wild =
        |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
    for text in [&said.out, &said.err] {
        assert!(!text.contains(is_wild), "{what}: {said:?}");
    }
}

#[test]
fn nothing_that_a_terminal_obeys_comes_from_files_arguments_or_steps() {
    let home = Home::new();
    for (i, (evil, raw)) in EVIL.into_iter().enumerate() {
        let key = home.file("key.toml", &format!("\"{evil}\" = 1\n[[step]]\nid = \"a\"\nrun = \"true\"\n"));
        let needs = format!("[[step]]\nid = \"a\"\nrun = \"true\"\nneeds = [\"{evil}\"]\n");
        let needs = home.file(&format!("needs{raw}.toml"), &needs);
        let text = format!(
            "description = \"{evil}\"\n[params.x]\ndefault = \"{evil}\"\n[[step]]\nid = \"a\"\nrun = '''\necho '{{\"progress\": 0.5, \"message\": \"{evil}\"}}' >> $LEVERFRAME_REPORT\nprintf '\\033]0;LOG\\007\\n'; exit 1'''\n"
        );
        home.pipeline("says.toml", &text);
        let run_id = format!("r{i}");
        for args in [
            &["validate", &key, &needs][..],
            &["run", &key],
            &["run", &needs],
            &["run", "says", "--run-id", &run_id],
            &["show", &run_id],
            &["runs"],
            &["why", &run_id],
            &["stats", "says"],
            &["run", "says", "--param", &format!("x{raw}=1")],
            &["show", &format!("a{raw}b")],
            &["run", &format!("/no/{raw}.toml")],
            &["runs", "--state", raw],
            &[raw],
            &["schedule", "preview", "--cron", raw],
            &["logs", &run_id, "--step", &format!("a{raw}")],
            &["doctor"],
        ] {
            is_tame(&home.say(args), &format!("{args:?}"));
        }
        // What programs read is exact.
        let said = home.json(&["show", &run_id]);
        let meant: Value = serde_json::from_str(&format!("\"{evil}\"")).expect("JSON");
        assert_eq!(said["params"]["x"], meant);
    }
}
