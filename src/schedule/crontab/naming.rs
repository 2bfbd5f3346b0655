//! A name for a pipeline: the name of the program that a shell line runs, after conditions, waits, locks and other
//! things that only come first. It is a guess for people, not a shell: it skips what it does not understand.

/// Operators that end one command and begin another.
const SEPARATORS: [&str; 8] = [";", "&", "&&", "|", "||", "|&", "\n", ";;"];

/// Words of the shell that come before a command, or alone.
const KEYWORDS: [&str; 16] = [
    "if", "then", "elif", "else", "fi", "while", "until", "do", "done", "{", "}", "(", ")", "!", "time",
    "exec",
];

/// Commands that decide, wait or prepare: the program comes after them.
const AUXILIARIES: [&str; 24] = [
    "[", "[[", "test", "command", "which", "type", "hash", "cd", "pushd", "popd", "sleep", "true", "false",
    ":", "exit", "return", "export", "set", "umask", "ulimit", "trap", "wait", "for", "case",
];

/// Commands that give the name only if there is no better one.
const HELPERS: [&str; 14] = [
    "echo", "printf", "date", "cat", "mkdir", "rm", "touch", "source", ".", "eval", "read", "kill", "pkill",
    "tee",
];

/// Commands that run another command, with their options that take a word.
const WRAPPERS: [(&str, &[&str]); 17] = [
    ("nice", &["-n", "--adjustment"]),
    ("ionice", &["-c", "-n", "-t", "--class", "--classdata"]),
    ("chrt", &["-T", "-P", "-D"]),
    ("chronic", &[]),
    ("nohup", &[]),
    ("setsid", &[]),
    ("stdbuf", &["-i", "-o", "-e"]),
    ("env", &["-u", "-C", "--unset", "--chdir"]),
    ("sudo", &["-u", "-g", "-h", "-p", "--user", "--group"]),
    ("su", &["-s", "-g"]),
    ("runuser", &["-u", "-g"]),
    ("systemd-cat", &["-t", "-p", "--identifier", "--priority"]),
    ("systemd-run", &["-p", "--unit", "--property"]),
    ("timeout", &["-s", "-k", "--signal", "--kill-after"]),
    ("flock", &["-w", "-E", "--timeout", "--wait", "--conflict-exit-code"]),
    ("chroot", &[]),
    ("xvfb-run", &["-s", "-n", "-e", "-f", "-p"]),
];

/// Wrappers with one word before the command: a duration, a lock, a directory, a priority.
const TAKE_ONE_WORD: [&str; 5] = ["timeout", "flock", "chroot", "chrt", "su"];

/// Programs that run a script, with their options that take a word.
const INTERPRETERS: [(&str, &[&str]); 16] = [
    ("sh", &["-o"]),
    ("ash", &["-o"]),
    ("bash", &["-o", "-O", "--rcfile", "--init-file"]),
    ("dash", &["-o"]),
    ("ksh", &["-o"]),
    ("zsh", &["-o"]),
    ("fish", &[]),
    ("python", &["-W", "-X"]),
    ("python2", &["-W"]),
    ("python3", &["-W", "-X"]),
    ("perl", &["-I"]),
    ("ruby", &["-I", "-r"]),
    ("php", &["-d", "-c"]),
    ("node", &["-r", "--require"]),
    ("java", &["-cp", "-classpath"]),
    ("run-parts", &["-a", "--arg", "--regex", "-u", "--umask"]),
];

/// How deep lines may be nested, as in `sh -c 'sh -c …'`.
const MAX_DEPTH: usize = 4;

/// The name of the program that the line runs, without folders and the usual endings of scripts; none when there is
/// none.
pub(super) fn name_of(line: &str) -> Option<String> {
    let found = search(line, 0);
    let word = found.main.or(found.helper)?;
    let name = word.rsplit('/').find(|part| !part.is_empty())?;
    let stem = name.rsplit_once('.').map_or(name, |(stem, ending)| match ending {
        "sh" | "bash" | "py" | "pl" | "rb" | "php" | "js" | "jar" => stem,
        _ => name,
    });
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = stem.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(100).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    (!name.is_empty()).then(|| name.to_owned())
}

#[derive(Default)]
struct Names {
    main: Option<String>,
    /// The name of a helper command.
    helper: Option<String>,
}

fn search(line: &str, depth: usize) -> Names {
    let mut names = Names::default();
    if depth >= MAX_DEPTH {
        return names;
    }
    for command in words(line).split(|word| word.is_operator && SEPARATORS.contains(&word.text.as_str())) {
        let words: Vec<&str> = without_redirections(command);
        let found = name_in(&words, depth);
        names.helper = names.helper.or(found.helper);
        if found.main.is_some() {
            names.main = found.main;
            return names;
        }
    }
    names
}

/// The name that one command gives.
fn name_in(words: &[&str], depth: usize) -> Names {
    let nothing = Names::default();
    let is_before = |word: &&str| KEYWORDS.contains(word) || is_assignment(word);
    let n_before = words.iter().take_while(|word| is_before(word)).count();
    let Some((first, rest)) = words[n_before..].split_first() else { return nothing };
    let program = base(first);
    if AUXILIARIES.contains(&program) || program.starts_with(['$', '`', '-']) || first.starts_with("$(") {
        return nothing;
    }
    if let Some((_, options)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == program) {
        let mut rest = past_options(rest, options);
        if TAKE_ONE_WORD.contains(&program) && !rest.is_empty() && !rest[0].starts_with('-') {
            rest = past_options(&rest[1..], &[]);
        }
        return match rest {
            ["-c" | "--command", script, ..] => search(script, depth + 1),
            rest => {
                let found = name_in(rest, depth);
                // If the wrapped command has no name, the wrapper's name is used.
                let helper = found.helper.or_else(|| Some(program.to_owned()));
                Names { main: found.main, helper }
            }
        };
    }
    if let Some((_, options)) = INTERPRETERS.iter().find(|(interpreter, _)| *interpreter == program) {
        return interpreted(program, rest, options, depth);
    }
    if HELPERS.contains(&program) {
        return Names { main: None, helper: Some(program.to_owned()) };
    }
    Names { main: Some((*first).to_owned()), helper: None }
}

/// The name of what an interpreter runs: a script, a module, or a line of code in its arguments.
fn interpreted(program: &str, arguments: &[&str], options: &[&str], depth: usize) -> Names {
    let is_shell = program.ends_with("sh");
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let is_line = match program {
            "perl" | "ruby" => word.starts_with("-e") || word.ends_with('e') && word.starts_with('-'),
            "php" => *word == "-r",
            "node" => matches!(*word, "-e" | "--eval" | "-p"),
            _ => word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'),
        };
        if is_line && !matches!(program, "java" | "run-parts") {
            return match after.first() {
                Some(script) if is_shell => search(script, depth + 1),
                // Mostly a pause of random length.
                _ => Names { main: None, helper: Some(program.to_owned()) },
            };
        }
        let names_next = matches!(*word, "-m" | "-f" | "-jar");
        if let (true, Some(next)) = (names_next, after.first()) {
            return Names { main: Some((*next).to_owned()), helper: None };
        }
        if !word.starts_with(['-', '+']) {
            return Names { main: Some((*word).to_owned()), helper: None };
        }
        let n_words = usize::from(options.contains(word) && !after.is_empty());
        rest = &after[n_words..];
    }
    Names { main: None, helper: Some(program.to_owned()) }
}

/// Skips options, the words that they take, and assignments.
fn past_options<'a, 'b>(mut words: &'a [&'b str], taking: &[&str]) -> &'a [&'b str] {
    while let Some((word, rest)) = words.split_first() {
        if matches!(*word, "-c" | "--command") && !taking.contains(word) {
            break;
        }
        let is_passed_over = word.starts_with('-') || is_assignment(word);
        if !is_passed_over {
            break;
        }
        let n_words = usize::from(taking.contains(word) && !rest.is_empty());
        words = &rest[n_words..];
    }
    words
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The words of a command without redirections.
fn without_redirections(words: &[Word]) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if word.is_operator {
            if word.text.contains(['<', '>']) {
                // Skips its target.
                words.next();
            }
            continue;
        }
        // `2>` is one token, `2 >` is two.
        let is_number_before = word.text.bytes().all(|byte| byte.is_ascii_digit())
            && words.peek().is_some_and(|next| next.is_operator && next.touches);
        if !is_number_before || word.text.is_empty() {
            kept.push(word.text.as_str());
        }
    }
    kept
}

/// A word of a line without its quotes, or an operator between words.
#[derive(Debug, Default)]
struct Word {
    text: String,
    is_operator: bool,
    /// No blank stands before it.
    touches: bool,
}

/// Splits a line into words as a shell does. `$(…)` and backquotes stay in their word.
fn words(line: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars().peekable();
    let mut after_blank = true;
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let word = word.get_or_insert_default();
                word.extend(letters.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = letters.next().filter(|c| *c != '"') {
                    word.push(if c == '\\' { letters.next().unwrap_or(c) } else { c });
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '$' if letters.peek() == Some(&'(') => {
                let word = word.get_or_insert_default();
                word.push('$');
                let mut depth = 0_i32;
                for c in letters.by_ref() {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    word.push(c);
                    if depth == 0 {
                        break;
                    }
                }
            }
            '`' => {
                let word = word.get_or_insert_default();
                word.push('`');
                word.extend(letters.by_ref().take_while(|c| *c != '`'));
            }
            '#' if word.is_none() && after_blank => break,
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => {
                let touches = word.is_some();
                words.extend(word.take().map(|text| Word { text, ..Word::default() }));
                if matches!(letter, ' ' | '\t') {
                    after_blank = true;
                    continue;
                }
                let mut text = String::from(letter);
                // `(`, `)` and line ends are tokens of their own.
                if !matches!(letter, '(' | ')' | '\n') {
                    while let Some(next) = letters.next_if(|c| matches!(c, ';' | '&' | '|' | '<' | '>')) {
                        text.push(next);
                    }
                }
                let is_operator = !matches!(letter, '(' | ')');
                words.push(Word { text, is_operator, touches });
            }
            letter => word.get_or_insert_default().push(letter),
        }
        after_blank = false;
    }
    words.extend(word.map(|text| Word { text, ..Word::default() }));
    words
}
