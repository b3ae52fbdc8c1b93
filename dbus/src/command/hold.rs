//! Holding a profile while a command runs, or until interrupted.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sip_profiles::advice::advice;
use sip_profiles::proxy::Options;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{self, Failure};
use super::{Service, note, print, profiles, report};

pub async fn hold(
    service: &Service,
    id: u32,
    command: Vec<OsString>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let profile = service.profile(id).await?;
    let mut states = service.registry.receive_profile_state_changed().await?;
    let mut errors = service.registry.receive_error_occurred().await?;
    let mut forced = service.registry.receive_profile_forcibly_disabled().await?;
    let mut news = News { service, id, json, told: String::new() };

    profile.enable(Options::new()).await?;
    news.tell().await?;
    // Not sooner: until now a signal just ends us, whatever we wait for, and the hold with us.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut child = start(command)?;
    let mut connected = true;
    let ended = loop {
        let outcome = tokio::select! {
            change = states.next(), if connected => match change {
                Some(change) if change.args()?.id == id => news.tell().await,
                Some(_) => Ok(()),
                None => {
                    connected = false;
                    Err(Failure::unreachable("the bus closed the connection"))
                }
            },
            Some(error) = errors.next() => match error.args()?.id == id {
                // The hold is gone. Its news may be looked at before those of the state, which say why.
                true => news.tell().await.and(Err(Failure::quiet(1))),
                false => Ok(()),
            },
            Some(disabled) = forced.next() => match disabled.args()?.id == id {
                true => Err(Failure::other("the profile was disabled for everybody")),
                false => Ok(()),
            },
            status = wait(&mut child) => break Some(status.map_err(failed)?),
            // The terminal sends it to the command as well.
            _ = interrupt.recv() => if child.is_none() { break None } else { Ok(()) },
            _ = terminate.recv() => match &child {
                Some(child) => pass_on(Signal::TERM, child),
                None => break None,
            },
        };
        match outcome {
            // A command that runs goes on: it may not need the registration.
            Err(failure) if child.is_some() => report(&failure),
            outcome => outcome?,
        }
    };
    // Where that fails, or nobody waits for it, the hold ends with our bus name.
    tokio::select! {
        _ = profile.disable(Options::new()) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(ended.map_or(ExitCode::SUCCESS, exit_code))
}

fn failed(error: io::Error) -> Failure {
    Failure::other(error.to_string())
}

/// Starts the command, if there is one. Exit codes as a shell's.
fn start(command: Vec<OsString>) -> Result<Option<Child>, Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(None) };
    let child = Command::new(program).args(arguments).spawn().map_err(|error| Failure {
        message: format!("{}: {error}", program.to_string_lossy()),
        code: if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 },
    })?;
    Ok(Some(child))
}

async fn wait(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// What ends us ends the command first; its exit code is ours then too.
fn pass_on(signal: Signal, child: &Child) -> Result<(), Failure> {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    pid.map_or(Ok(()), |pid| kill_process(pid, signal)).map_err(|error| failed(error.into()))
}

/// As a shell gives it: 128 + the signal's number for a command that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Says how the profile stands.
struct News<'a> {
    service: &'a Service,
    id: u32,
    json: bool,
    told: String,
}

impl News<'_> {
    /// Says how it stands, where that is not what was told last: a step that is over before it is looked at is not
    /// told twice. To standard error, so that a command's output stays its own.
    async fn tell(&mut self) -> Result<(), Failure> {
        let situation = match self.look().await {
            // The service ended before it answered. The hold outlives it, and its successor has news.
            Err(failure) if failure.code == failure::UNREACHABLE => return Ok(()),
            shown => shown?.situation,
        };
        let sentence = advice(&situation);
        if self.told == sentence {
            return Ok(());
        }
        if self.json {
            let value = json!({"id": self.id, "state": situation.state, "reason": situation.reason, "status": sentence});
            print(&format!("{value}\n"))?;
        } else {
            note(&format!("{sentence}\n"));
        }
        self.told = sentence;
        Ok(())
    }

    async fn look(&self) -> Result<profiles::Shown, Failure> {
        profiles::look(&self.service.profile(self.id).await?).await
    }
}
