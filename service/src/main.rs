//! The service's command line, logging and wiring.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sip_profiled::service::{self, Setup};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Keeps this machine's SIP accounts and registers each while a program wants it.
#[derive(Parser)]
#[command(name = "sip-profiled", version)]
struct Arguments {
    /// Serve the session bus instead of the system bus, for development
    #[arg(long)]
    session: bool,

    /// Where profiles are kept [default: /var/lib/sip-profiles, with --session $XDG_STATE_HOME/sip-profiles]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where holds are journalled [default: /run/sip-profiles, with --session $XDG_RUNTIME_DIR/sip-profiles]
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,

    /// How long to stay after the last client is gone, fractions allowed
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    idle_timeout: Duration,

    /// What to log: a level (error, warn, info, debug, trace) or directives per module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text:?} is no duration"))
}

/// Our own filter with the SIP library held at warnings: its lower levels hold whole messages, credentials
/// included. Appended last, so that nothing given from outside loosens it.
fn log_filter(text: &str) -> Result<EnvFilter, String> {
    let guarded = ["rsipstack=warn", "zbus=warn"];
    let loosens = |directive: &&str| {
        let directive = directive.trim();
        guarded.iter().any(|guard| {
            let library = guard.split('=').next().unwrap_or_default();
            directive.starts_with(library) || directive.starts_with('[')
        })
    };
    if let Some(directive) = text.split(',').find(loosens) {
        return Err(format!("{directive:?}: what the SIP and bus libraries log stays at warnings"));
    }
    // The library takes any word for a module's name, and then logs nothing.
    let is_level =
        |directive: &&str| directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok();
    if let Some(directive) = text.split(',').find(|directive| !is_level(directive)) {
        return Err(format!(
            "{directive:?}: a level is error, warn, info, debug or trace, of a module as sip_profiled::store=debug"
        ));
    }
    let all = format!("{text},{}", guarded.join(","));
    EnvFilter::try_new(&all).map_err(|error| format!("{text:?}: {error}"))
}

fn directory(
    given: Option<PathBuf>,
    session: bool,
    system: &str,
    variable: &str,
    home: &str,
) -> Result<PathBuf, String> {
    if let Some(path) = given {
        return Ok(path);
    }
    if !session {
        return Ok(PathBuf::from(system));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable)
        .or_else(|| absolute("HOME").filter(|_| !home.is_empty()).map(|path| path.join(home)))
        .map(|path| path.join("sip-profiles"))
        .ok_or_else(|| format!("{variable} is not set: say the directory with an option"))
}

fn setup(arguments: Arguments) -> Result<(Setup, EnvFilter), String> {
    let Arguments { session, state_dir, runtime_dir, idle_timeout, log } = arguments;
    let filter = log_filter(&log).map_err(|error| format!("--log {error}"))?;
    let state_dir = directory(state_dir, session, "/var/lib/sip-profiles", "XDG_STATE_HOME", ".local/state")?;
    let runtime_dir = directory(runtime_dir, session, "/run/sip-profiles", "XDG_RUNTIME_DIR", "")?;
    Ok((Setup { session, state_dir, runtime_dir, idle_timeout }, filter))
}

fn main() -> ExitCode {
    let (setup, filter) = match setup(Arguments::parse()) {
        Ok(setup) => setup,
        Err(message) => {
            eprintln!("sip-profiled: {message}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    match service::run_to_end(setup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
