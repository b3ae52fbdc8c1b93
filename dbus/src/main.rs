//! The command `sip-profiles`: the service's client for a shell.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run()
}
