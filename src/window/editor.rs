//! Which program opens a pipeline file: the user's own editor (`$VISUAL`, then `$EDITOR`), one of the terminal in a
//! terminal, else what the desktop opens texts with.

use std::env::{split_paths, var, var_os};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program with its arguments, and how it is called before the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Editing {
    pub(super) argv: Vec<String>,
    /// Such as `code` or `vim in a terminal`.
    pub(super) with: String,
}

/// Editors that draw in the terminal they are started in.
const IN_TERMINAL: [&str; 16] = [
    "vi",
    "vim",
    "nvim",
    "vim.tiny",
    "vim.basic",
    "nano",
    "pico",
    "micro",
    "hx",
    "helix",
    "joe",
    "ne",
    "kak",
    "mcedit",
    "ed",
    "emacs-nox",
];

/// Terminals, with what stands before the command that they run.
const TERMINALS: [(&str, &[&str]); 10] = [
    ("x-terminal-emulator", &["-e"]),
    ("gnome-terminal", &["--"]),
    ("ptyxis", &["--"]),
    ("konsole", &["-e"]),
    ("xfce4-terminal", &["-x"]),
    ("kitty", &[]),
    ("foot", &[]),
    ("alacritty", &["-e"]),
    ("wezterm", &["start", "--"]),
    ("xterm", &["-e"]),
];

/// How a file is opened at a line, from 1, where the editor can. `env` reads a variable, `exists` says whether a program
/// of that name can be started.
///
/// # Errors
/// A sentence that says what to set, when nothing can open it.
pub(super) fn editing(
    path: &Path,
    line: Option<usize>,
    env: impl Fn(&str) -> Option<String>,
    exists: impl Fn(&str) -> bool,
) -> Result<Editing, String> {
    let words = |name: &str| -> Option<Vec<String>> {
        let words = shlex::split(&env(name)?)?;
        words.first().is_some_and(|program| exists(program)).then_some(words)
    };
    let file = path.to_string_lossy().into_owned();
    let by_desktop = || {
        let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let with = "the desktop's program for texts".to_owned();
        exists(opener).then(|| Editing { argv: vec![opener.to_owned(), file.clone()], with })
    };
    let none = || {
        "no editor was found: set VISUAL to one (such as VISUAL=gedit) and start the window again".to_owned()
    };
    let Some(mut argv) = words("VISUAL").or_else(|| words("EDITOR")) else {
        return by_desktop().ok_or_else(none);
    };
    let name = name_of(&argv[0]).to_owned();
    let is_in_terminal = IN_TERMINAL.contains(&&*name)
        || name.starts_with("emacs") && argv.iter().any(|word| matches!(&**word, "-nw" | "-t" | "--tty"));
    argv.extend(place(&name, &file, line));
    if !is_in_terminal {
        return Ok(Editing { argv, with: name });
    }
    let own = words("TERMINAL").map(|mut words| {
        let known = TERMINALS.iter().find(|(terminal, _)| *terminal == name_of(&words[0]));
        words.extend(known.map_or(&["-e"][..], |(_, before)| before).iter().map(ToString::to_string));
        words
    });
    let terminal = own.or_else(|| {
        let (terminal, before) = TERMINALS.iter().find(|(terminal, _)| exists(terminal))?;
        Some([*terminal].iter().chain(*before).map(ToString::to_string).collect())
    });
    match terminal {
        Some(mut words) => {
            words.append(&mut argv);
            Ok(Editing { argv: words, with: format!("{name} in a terminal") })
        }
        None => by_desktop().ok_or_else(|| {
            format!("{name} needs a terminal, and none was found: set TERMINAL, or VISUAL to another editor")
        }),
    }
}

/// Opens a file in the user's editor; its name. The editor is nobody's child, so that it outlives the window.
///
/// # Errors
/// A sentence that says what to set, or why nothing was started.
pub(super) fn edit(path: &Path, line: Option<usize>) -> Result<String, String> {
    let Editing { argv, with } = editing(path, line, |name| var(name).ok(), exists)?;
    // A shell that ends at once leaves the editor to the system, which reaps it.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\" >/dev/null 2>&1 &", "sh"]).args(&argv).stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(with),
        Ok(status) => Err(format!("{with} was not started: sh ended with {status}")),
        Err(error) => Err(format!("{with} was not started: {error}")),
    }
}

/// Whether a program can be started by this name.
fn exists(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    var_os("PATH").is_some_and(|path| split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn name_of(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The arguments that open `file` at `line`.
fn place(editor: &str, file: &str, line: Option<usize>) -> Vec<String> {
    let Some(line) = line else { return vec![file.to_owned()] };
    match editor {
        "code" | "code-oss" | "codium" | "vscodium" | "cursor" => {
            vec!["--goto".to_owned(), format!("{file}:{line}")]
        }
        "subl" | "zed" | "zeditor" | "hx" | "helix" => vec![format!("{file}:{line}")],
        "kate" | "kwrite" => vec!["--line".to_owned(), line.to_string(), file.to_owned()],
        "gedit" | "gnome-text-editor" | "gvim" | "emacs" | "emacsclient" | "mousepad" | "xed" | "pluma"
        | "geany" | "vi" | "vim" | "nvim" | "vim.tiny" | "vim.basic" | "nano" | "pico" | "micro" | "joe"
        | "kak" | "emacs-nox" => vec![format!("+{line}"), file.to_owned()],
        _ => vec![file.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is started where these variables are set and these programs exist.
    fn started(vars: &[(&str, &str)], programs: &[&str], line: Option<usize>) -> Result<String, String> {
        let env =
            |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let exists = |program: &str| programs.contains(&program);
        let editing = editing(Path::new("/p/a b.toml"), line, env, exists)?;
        Ok(format!("{} | {}", editing.argv.join(" "), editing.with))
    }

    #[test]
    fn the_users_editor_comes_before_the_desktops_and_opens_the_line_where_it_can() {
        let all = ["code", "xdg-open", "nano", "xterm", "odd"];
        for (vars, line, shown) in [
            (&[("VISUAL", "code --wait")][..], Some(7), "code --wait --goto /p/a b.toml:7 | code"),
            (&[("VISUAL", "odd")], Some(7), "odd /p/a b.toml | odd"),
            (&[("EDITOR", "nano")], Some(3), "xterm -e nano +3 /p/a b.toml | nano in a terminal"),
            (&[("VISUAL", "gone"), ("EDITOR", "code")], None, "code /p/a b.toml | code"),
            (&[], Some(3), "xdg-open /p/a b.toml | the desktop's program for texts"),
        ] {
            assert_eq!(started(vars, &all, line).as_deref(), Ok(shown), "{vars:?}");
        }
    }

    #[test]
    fn an_editor_of_the_terminal_gets_the_users_terminal() {
        let vars = [("EDITOR", "/usr/bin/vim"), ("TERMINAL", "kitty --hold")];
        let programs = ["/usr/bin/vim", "kitty", "xterm"];
        let shown = started(&vars, &programs, None).unwrap();
        assert_eq!(shown, "kitty --hold /usr/bin/vim /p/a b.toml | vim in a terminal");
        let emacs = started(&[("VISUAL", "emacs -nw")], &["emacs", "foot"], None).unwrap();
        assert_eq!(emacs, "foot emacs -nw /p/a b.toml | emacs in a terminal");
    }

    #[test]
    fn without_a_program_it_says_what_to_set() {
        assert!(started(&[], &[], None).unwrap_err().contains("set VISUAL"));
        let error = started(&[("EDITOR", "vim")], &["vim"], None).unwrap_err();
        assert!(error.contains("vim needs a terminal") && error.contains("TERMINAL"), "{error}");
        let opened = started(&[("EDITOR", "vim")], &["vim", "xdg-open"], None).unwrap();
        assert!(opened.starts_with("xdg-open "), "{opened}");
    }
}
