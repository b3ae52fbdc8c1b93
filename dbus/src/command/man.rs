//! The man page, from the same source as the help.

use clap::{Arg, Command};
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::arguments::EXIT_CODES;

/// The page of `command`, with a part for each of its actions.
pub fn page(mut command: Command) -> String {
    command.build();
    let name = command.get_name().to_owned();
    let version = command.get_version().unwrap_or_default().to_owned();
    let mut page = Roff::new();
    page.control("SH", ["NAME"]).text([roman(format!("{name} - {}", about(&command)))]);
    page.control("SH", ["SYNOPSIS"]).text([bold(&name), roman(" "), italic("COMMAND"), roman(" …")]);
    page.control("SH", ["DESCRIPTION"]);
    for paragraph in
        command.get_long_about().map(ToString::to_string).unwrap_or_default().split("\n\n").skip(1)
    {
        page.text([roman(paragraph)]);
    }
    page.control("SH", ["COMMANDS"]);
    for action in command.get_subcommands_mut() {
        if !action.is_hide_set() && action.get_name() != "help" {
            describe(&mut page, action);
        }
    }
    page.control("SH", ["OPTIONS"]);
    for argument in command.get_arguments() {
        explain(&mut page, argument);
    }
    page.control("SH", ["EXIT STATUS"]);
    for line in EXIT_CODES.lines().skip(1) {
        let (code, meaning) = line.trim_start().split_once("  ").unwrap_or(("", line.trim_start()));
        item(&mut page, bold(code), meaning);
    }
    page.control("SH", ["SEE ALSO"]).text([roman("sip-profiled(8), sip-profiles-tray(1)")]);
    format!(".TH SIP\\-PROFILES 1 \"\" \"{name} {version}\"\n{}", page.render())
}

/// One action: how it is called, what it does, and what its own arguments are.
fn describe(page: &mut Roff, action: &mut Command) {
    let usage = action.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    page.control("SS", [action.get_name().to_uppercase().as_str()]).text([bold(usage)]);
    page.control("PP", []).text([roman(format!("{}.", about(action)))]);
    for argument in action.get_arguments() {
        if !argument.is_global_set() && !argument.is_hide_set() && argument.get_id() != "help" {
            explain(page, argument);
        }
    }
}

fn explain(page: &mut Roff, argument: &Arg) {
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values = argument.get_possible_values();
    if !values.is_empty() && argument.get_action().takes_values() {
        let values: Vec<_> = values.iter().map(|value| value.get_name()).collect();
        help.push_str(&format!(": {}", values.join(", ")));
    }
    let name = match argument.get_short() {
        Some(short) => format!("-{short}, {argument}"),
        None => argument.to_string(),
    };
    item(page, bold(name), &help);
}

fn item(page: &mut Roff, name: Inline, text: &str) {
    page.control("TP", []).text([name]).text([roman(text)]);
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}
