//! The command line, from which help, completions and man page are made.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// SIP accounts of this machine: see them, change them, hold them.
///
/// The service keeps the profiles and registers each of them with its registrar only while some program holds it.
#[derive(Parser)]
#[command(name = "sip-profiles", version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct Arguments {
    /// Use the service of the session bus instead of the system's
    #[arg(long, global = true)]
    pub session: bool,

    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub action: Action,
}

/// What the exit codes mean, a line each.
pub const EXIT_CODES: &str = "Exit codes:\n  0  done\n  1  the service refused, or the registration failed\n  \
                          2  the command line is wrong\n  3  the service cannot be reached\n  4  no such profile\n  \
                          5  not allowed\n  hold -- COMMAND ends with the exit code of COMMAND";

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// List the profiles
    List,
    /// Show a profile's settings, its state and its registration
    Show {
        /// Profile id
        id: u32,
    },
    /// Create a profile: `add alice@example.org [KEY=VALUE …]`
    Add {
        /// SIP address, as alice@example.org
        aor: String,
        /// Settings, as registrar=sip.example.org; the text of a file as tls-ca=@FILE
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// Visible to all users (needs authorisation)
        #[arg(long)]
        shared: bool,
    },
    /// Change settings: `set 1 expires=600 --unset realm`
    Set {
        /// Profile id
        id: u32,
        /// Settings, as registrar=sip.example.org; a list by giving its key several times
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// Go back to the default
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
    },
    /// Set the password, asked for without echo, or read from standard input
    SetPassword {
        /// Profile id
        id: u32,
        /// Forget the password instead
        #[arg(long)]
        clear: bool,
        /// No password here, others see it: taken only to be refused without repeating it
        #[arg(hide = true)]
        given: Vec<OsString>,
    },
    /// Hold a profile, so that it is registered, while a command runs or until interrupted
    Hold {
        /// Profile id
        id: u32,
        /// The command to run
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Show what happens, as it happens
    Watch,
    /// Show the default profile, or choose it
    Default {
        /// Profile id
        id: Option<u32>,
    },
    /// Remove a profile
    Remove {
        /// Profile id
        id: u32,
        /// Even while programs hold it
        #[arg(long)]
        force: bool,
    },
    /// Say in words what state a profile is in, why, and what to do
    Status {
        /// Profile id
        id: u32,
    },
    /// Try to register now, or confirm the registration (for the owner of an auto-register profile)
    Refresh {
        /// Profile id
        id: u32,
    },
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the man page
    #[command(hide = true)]
    Man,
}
