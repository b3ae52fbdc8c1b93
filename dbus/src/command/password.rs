//! Setting a password: from a terminal without echo, else from standard input. Never from the command line.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sip_profiles::proxy::Options;
use zbus::Variant;

use super::Service;
use super::failure::Failure;

pub async fn set(service: &Service, id: u32, clear: bool) -> Result<(), Failure> {
    let profile = service.profile(id).await?;
    if clear {
        return Ok(profile.update(Options::new(), &["password"], Options::new()).await?);
    }
    let password = read(&profile.aor().await?)?;
    let settings = Options::from([("password", Variant::from(password))]);
    Ok(profile.update(settings, &[], Options::new()).await?)
}

fn read(aor: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::other(format!("the password cannot be read: {error}"));
    let input = io::stdin();
    let mut line = String::new();
    if input.is_terminal() {
        eprint!("Password for {}: ", super::output::printable(aor));
        io::stderr().flush().map_err(failed)?;
        let quiet = NoEcho::start().map_err(failed)?;
        let read = input.lock().read_line(&mut line);
        drop(quiet);
        eprintln!();
        read.map_err(failed)?;
    } else {
        input.lock().read_line(&mut line).map_err(failed)?;
    }
    if line.is_empty() {
        return Err(Failure::other("no password was given"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal shows nothing while this lives.
struct NoEcho(Termios);

impl NoEcho {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
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
