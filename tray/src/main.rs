//! `sip-profiles-tray`: shows the states of the SIP profiles in the panel, holds those that the person wants, tells of
//! trouble, and asks for passwords.

mod agent;
mod app;
mod bus;
mod children;
mod icons;
mod model;
mod notify;
mod plain;
mod text;
mod tray;
mod wishes;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use zbus::connection::Builder;
use zbus::fdo::RequestNameFlags;

/// Held by the one applet of a session.
const NAME: &str = "org.sipprofiles.Tray";

/// A notification server that hangs does not keep back what comes later for longer.
const CALL: Duration = Duration::from_secs(25);

/// Shows SIP accounts in the panel, keeps them registered, and asks for their passwords.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The service is on the session bus, not on the system bus.
    #[arg(long)]
    session: bool,
    /// How many seconds an account may wait before that is told.
    #[arg(long, value_name = "SECONDS", default_value_t = model::PATIENCE.as_secs_f64(), hide = true)]
    patience: f64,
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let desktop = Builder::session().method_timeout(CALL).build().await?;
    match desktop.request_name_with_flags(NAME, RequestNameFlags::DO_NOT_QUEUE).await {
        Ok(_) => {}
        Err(zbus::Error::NameTaken) => {
            println!("{}", text::already_running());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let patience = Duration::try_from_secs_f64(arguments.patience)?;
    Ok(app::App::run(desktop, arguments.session, patience).await?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        let result = runtime.block_on(run(arguments));
        // A call that hangs does not hold up the end.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sip-profiles-tray: {error}");
            ExitCode::FAILURE
        }
    }
}
