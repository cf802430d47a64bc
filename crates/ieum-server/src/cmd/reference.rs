//! The page about the command line says what the commands say, in both languages.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Command, CommandFactory};

use super::Cli;

/// What every command that asks a platform takes; it stands once, at the page's beginning.
const ASKING: [&str; 3] = ["platform", "token", "json"];

/// A command by its whole name, with its long options and the names of its positional arguments.
struct Described {
    options: BTreeSet<String>,
    positional: BTreeSet<String>,
}

/// Every command that does something by itself.
fn commands() -> BTreeMap<String, Described> {
    let mut found = BTreeMap::new();
    collect("ieum", &Cli::command(), &mut found);
    found
}

fn collect(name: &str, command: &Command, found: &mut BTreeMap<String, Described>) {
    for below in command.get_subcommands() {
        collect(&format!("{name} {}", below.get_name()), below, found);
    }
    if command.is_subcommand_required_set() || command.is_arg_required_else_help_set() {
        return;
    }
    let arguments = || command.get_arguments();
    let long = arguments().filter_map(|argument| argument.get_long());
    let mut options: BTreeSet<_> = long.map(str::to_owned).collect();
    if ASKING.iter().all(|name| options.contains(*name)) {
        options.retain(|option| !ASKING.contains(&option.as_str()));
    }
    let positional = arguments().filter(|argument| argument.is_positional());
    let positional = positional.filter_map(|argument| argument.get_value_names());
    let positional = positional.flatten().map(ToString::to_string);
    let described = Described {
        options,
        positional: positional.collect(),
    };
    found.insert(name.to_owned(), described);
}

/// The sections of the page that are about one command, by its name.
fn sections(page: &str) -> BTreeMap<&str, &str> {
    let sections = page.split("\n### `").skip(1);
    let ended = sections.map(|section| section.split("\n## ").next().unwrap_or(section));
    ended
        .filter_map(|section| section.split_once('`'))
        .collect()
}

/// The long options that the rows of a section begin with.
fn options(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter(|line| line.starts_with("| `-"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let words = cells.flat_map(|cell| cell.split(['`', ' ', ',']));
    let long = words.filter_map(|word| word.strip_prefix("--"));
    long.map(str::to_owned).collect()
}

#[track_caller]
fn check(page: &str) {
    let commands = commands();
    let sections = sections(page);
    let named: Vec<_> = sections.keys().copied().collect();
    let known: Vec<_> = commands.keys().map(String::as_str).collect();
    assert_eq!(named, known);
    for (name, described) in commands {
        let section = sections[name.as_str()];
        assert_eq!(options(section), described.options, "{name}");
        for argument in described.positional {
            assert!(section.contains(&argument), "{name}: {argument}");
        }
    }
    for option in ASKING {
        assert!(page.contains(&format!("| `--{option}")), "{option}");
    }
}

#[test]
fn the_page_has_every_command_with_its_options_and_no_other() {
    check(include_str!("../../../../docs/reference/command-line.md"));
}

#[test]
fn the_page_in_korean_has_them_too() {
    check(include_str!(
        "../../../../docs/ko/reference/command-line.md"
    ));
}
