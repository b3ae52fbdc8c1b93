//! The windows of the SIP profiles applet, as a program of its own: the account editor and the password question.

mod form;
mod outcome;
mod question;
mod service;
mod text;
mod ui;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sip_profiles::names::profile_id;

/// The windows of the SIP profiles applet.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The service is on the session bus (for development).
    #[arg(long, global = true)]
    session: bool,
    #[command(subcommand)]
    window: Window,
}

#[derive(Subcommand)]
enum Window {
    /// Add an account.
    Add,
    /// Edit an account.
    Edit {
        /// Its number or object path.
        #[arg(value_parser = parse_profile)]
        profile: u32,
    },
    /// Ask for a password: `key=value` lines on standard input, the answer on standard output.
    Password,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.window {
        Window::Add => ui::editor::run(arguments.session, None),
        Window::Edit { profile } => ui::editor::run(arguments.session, Some(profile)),
        Window::Password => ui::password::run(),
    }
}

fn parse_profile(text: &str) -> Result<u32, String> {
    let id = profile_id(text).or_else(|| text.parse().ok());
    id.ok_or_else(|| String::from("write the profile's number or its object path"))
}
