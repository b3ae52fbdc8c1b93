//! Holding a profile while a command runs, or until interrupted.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use futures_util::StreamExt;
use serde_json::json;
use sip_profiles::advice::advice;
use sip_profiles::proxy::Options;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{self, Failure};
use super::{Service, print, profiles};

pub async fn hold(service: &Service, id: u32, command: Vec<String>, json: bool) -> Result<ExitCode, Failure> {
    let profile = service.profile(id).await?;
    let mut states = service.registry.receive_profile_state_changed().await?;
    let mut errors = service.registry.receive_error_occurred().await?;
    let mut forced = service.registry.receive_profile_forcibly_disabled().await?;
    let failed = |error: std::io::Error| Failure::other(error.to_string());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;

    profile.enable(Options::new()).await?;
    let mut told = String::new();
    tell(service, id, json, &mut told).await?;
    let mut child = match command.split_first() {
        None => None,
        Some((program, arguments)) => {
            let child = Command::new(program).args(arguments).spawn();
            let child = child.map_err(|error| Failure { message: format!("{program}: {error}"), code: 127 });
            if child.is_err() {
                profile.disable(Options::new()).await?;
            }
            Some(child?)
        }
    };
    let ended = loop {
        tokio::select! {
            Some(change) = states.next() => {
                if change.args()?.id == id {
                    match tell(service, id, json, &mut told).await {
                        // The service ended before it answered. The hold outlives it, and its successor has news.
                        Err(failure) if failure.code == failure::UNREACHABLE => {}
                        outcome => outcome?,
                    }
                }
            }
            Some(error) = errors.next() => {
                // The hold is gone. A command that runs goes on: it may not need the registration.
                if error.args()?.id == id && child.is_none() {
                    return Ok(ExitCode::from(1));
                }
            }
            Some(disabled) = forced.next() => {
                if disabled.args()?.id == id && child.is_none() {
                    return Err(Failure::other("the profile was disabled for everybody"));
                }
            }
            status = wait(&mut child) => break Some(status.map_err(failed)?),
            _ = interrupt.recv() => if child.is_none() { break None },
            _ = terminate.recv() => break None,
        }
    };
    profile.disable(Options::new()).await?;
    Ok(ended.map_or(ExitCode::SUCCESS, exit_code))
}

async fn wait(child: &mut Option<tokio::process::Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// As a shell gives it: 128 + the signal's number for a command that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Says how the profile stands, where that is not what was `told` last: a step that is over before it is looked at
/// is not told twice. To standard error, so that a command's output stays its own.
async fn tell(service: &Service, id: u32, json: bool, told: &mut String) -> Result<(), Failure> {
    let shown = profiles::look(&service.profile(id).await?).await?;
    let situation = shown.situation;
    let sentence = advice(&situation);
    if *told == sentence {
        return Ok(());
    }
    if json {
        let value =
            json!({"id": id, "state": situation.state, "reason": situation.reason, "status": sentence});
        print(&format!("{value}\n"))?;
    } else {
        eprintln!("{sentence}");
    }
    *told = sentence;
    Ok(())
}
