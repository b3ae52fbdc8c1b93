//! One file per kind of action; this one connects, dispatches and reports.

mod arguments;
mod failure;
mod hold;
mod man;
mod output;
mod password;
mod profiles;
mod settings;
mod watch;

use std::process::ExitCode;

use arguments::{Action, Arguments};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use failure::Failure;
use sip_profiles::names;
use sip_profiles::proxy::{ProfileProxy, RegistryProxy};
use zbus::Connection;
use zbus::proxy::CacheProperties;

/// Runs the command; prints what fails to standard error.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(&Failure::other(error.to_string())),
    };
    runtime.block_on(act(arguments)).unwrap_or_else(|failure| end(&failure))
}

fn end(failure: &Failure) -> ExitCode {
    report(failure);
    ExitCode::from(failure.code)
}

/// Says what failed, where that was not said already.
fn report(failure: &Failure) {
    if !failure.message.is_empty() {
        note(&format!("sip-profiles: {failure}\n"));
    }
}

async fn act(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { session, json, action } = arguments;
    match action {
        Action::Completions { shell } => {
            print(&completions(shell))?;
            return Ok(ExitCode::SUCCESS);
        }
        Action::Man => {
            print(&man::page(Arguments::command()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Action::SetPassword { ref given, .. } if !given.is_empty() => {
            return Err(Failure::usage(
                "a password is seen by others here: type it when asked, or send it to standard input",
            ));
        }
        _ => {}
    }
    let service = Service::connect(session).await?;
    match action {
        Action::List => profiles::list(&service, json).await?,
        Action::Show { id } => profiles::show(&service, id, json).await?,
        Action::Status { id } => profiles::status(&service, id, json).await?,
        Action::Add { aor, settings, shared } => {
            profiles::add(&service, aor, &settings, shared, json).await?
        }
        Action::Set { id, settings, unset } => profiles::set(&service, id, &settings, &unset).await?,
        Action::SetPassword { id, clear, .. } => password::set(&service, id, clear).await?,
        Action::Default { id } => profiles::default(&service, id, json).await?,
        Action::Remove { id, force } => profiles::remove(&service, id, force).await?,
        Action::Refresh { id } => profiles::refresh(&service, id).await?,
        Action::Watch => watch::watch(&service, json).await?,
        Action::Hold { id, command } => return hold::hold(&service, id, command, json).await,
        Action::Completions { .. } | Action::Man => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sip-profiles", &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        // A name with a hyphen is spelt in two ways there, and nothing behind an action completed (clap issue 6421).
        Shell::Bash => text.replace("sip__subcmd__profiles", "sip__profiles"),
        _ => text,
    }
}

/// The service, connected.
pub struct Service {
    connection: Connection,
    registry: RegistryProxy<'static>,
}

impl Service {
    async fn connect(session: bool) -> Result<Service, Failure> {
        let (name, connection) = match session {
            true => ("session", Connection::session().await),
            false => ("system", Connection::system().await),
        };
        let connection = connection.map_err(|error| {
            Failure::unreachable(format!("the {name} bus cannot be reached: {error}; is dbus running?"))
        })?;
        let registry =
            RegistryProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        Ok(Service { connection, registry })
    }

    /// The profile `id`; NotFound where there is none.
    async fn profile(&self, id: u32) -> Result<ProfileProxy<'static>, Failure> {
        let path = self.registry.get_profile(id).await?;
        self.profile_at(path.as_str()).await
    }

    async fn profile_at(&self, path: &str) -> Result<ProfileProxy<'static>, Failure> {
        let builder = ProfileProxy::builder(&self.connection).path(path.to_owned());
        Ok(builder.cache_properties(CacheProperties::No).build().await?)
    }
}

/// Prints to standard output; a reader that has gone away (as `head`) ends the command quietly.
pub fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::quiet(0),
        _ => Failure::other(error.to_string()),
    })
}

/// Prints to standard error. Where nobody reads that, nothing else is to be done.
pub fn note(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The id in an object path, as people know it.
pub fn id_of(path: &str) -> u32 {
    names::profile_id(path).unwrap_or(0)
}
