//! Prints the states of the SIP profiles, as they change. The applet will grow from here.

use std::collections::HashMap;
use std::process::ExitCode;

use futures_util::StreamExt;
use sip_profiles::proxy::{ProfileProxy, RegistryProxy};
use zbus::Connection;

async fn follow(session: bool) -> zbus::Result<()> {
    let connection = if session { Connection::session().await? } else { Connection::system().await? };
    let registry = RegistryProxy::new(&connection).await?;
    let mut changes = registry.receive_profile_state_changed().await?;
    for path in registry.find_profiles(HashMap::new()).await? {
        let profile = ProfileProxy::builder(&connection).path(path).build().await?;
        println!("{}: {}", profile.display_name().await?, profile.state().await?);
    }
    while let Some(change) = changes.next().await {
        let change = change.args()?;
        let profile = ProfileProxy::builder(&connection).path(change.profile.clone()).build().await?;
        println!("{}: {} {}", profile.display_name().await?, change.state, change.reason);
    }
    Ok(())
}

fn main() -> ExitCode {
    let session = std::env::args().any(|argument| argument == "--session");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sip-profiles-tray: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(follow(session)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sip-profiles-tray: {error}");
            ExitCode::FAILURE
        }
    }
}
