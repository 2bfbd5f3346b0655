//! `--help` of the program and of every verb below it.

use super::golden::Golden;
use crate::test_command_line::Home;

#[test]
fn the_help_of_every_verb_is_as_it_was() {
    let home = Home::new();
    let mut golden = Golden::new("help.txt", &home);
    walk(&home, &[], &mut golden);
    golden.check();
}

fn walk(home: &Home, verbs: &[&str], golden: &mut Golden) {
    let said = home.say(&[verbs, &["--help"]].concat());
    golden.add_said(&format!("leverframe {} --help", verbs.join(" ")), &said);
    let commands = said.out.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    let commands = commands.split("\n\n").next().unwrap_or_default();
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let verb = line.split_whitespace().next().expect("a verb");
        if verb != "help" {
            walk(home, &[verbs, &[verb]].concat(), golden);
        }
    }
}
