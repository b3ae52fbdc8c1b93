//! Setting a password: from a terminal without echo, else from standard input. Never from the command line.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sip_profiles::proxy::Options;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task;
use zbus::Variant;

use super::failure::Failure;
use super::output::printable;
use super::{Service, note, settings};

pub async fn set(service: &Service, id: u32, clear: bool) -> Result<(), Failure> {
    let profile = service.profile(id).await?;
    if clear {
        return Ok(profile.update(Options::new(), &["password"], Options::new()).await?);
    }
    let password = read(&profile.aor().await?).await?;
    let settings = Options::from([("password", Variant::from(password))]);
    Ok(profile.update(settings, &[], Options::new()).await?)
}

async fn read(aor: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::other(format!("the password cannot be read: {error}"));
    let line = if io::stdin().is_terminal() {
        note(&format!("Password for {}: ", printable(aor)));
        let ended = ended().map_err(failed)?;
        let quiet = NoEcho::start().map_err(failed)?;
        let line = tokio::select! {
            line = task::spawn_blocking(read_line) => line.map_err(io::Error::other).flatten(),
            signal = ended => {
                // The reading thread cannot be waited for, and the terminal must not stay as it is.
                drop(quiet);
                note("\n");
                std::process::exit(128 + signal);
            }
        };
        drop(quiet);
        note("\n");
        line
    } else {
        read_line()
    };
    let line = line.map_err(failed)?;
    if line.is_empty() {
        return Err(Failure::other("no password was given"));
    }
    if line.contains('\0') {
        return Err(Failure::other("password: must not hold control characters"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The first line of standard input; no more of it than is needed to see that it is too long.
fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(settings::MOST).read_line(&mut line)?;
    Ok(line)
}

/// Gives the number of the signal that would end us. Called, not awaited, it begins to listen.
fn ended() -> io::Result<impl Future<Output = i32>> {
    let kinds = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, quit, terminate, hangup] = kinds.map(signal);
    let (mut interrupt, mut quit, mut terminate, mut hangup) = (interrupt?, quit?, terminate?, hangup?);
    Ok(async move {
        let kind = tokio::select! {
            _ = interrupt.recv() => kinds[0],
            _ = quit.recv() => kinds[1],
            _ = terminate.recv() => kinds[2],
            _ = hangup.recv() => kinds[3],
        };
        kind.as_raw_value()
    })
}

/// The terminal shows nothing while this lives.
struct NoEcho(Termios);

impl NoEcho {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
