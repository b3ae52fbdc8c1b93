//! Calling secret agents (SecretAgent1, exported by clients).

use std::collections::HashMap;
use std::time::Duration;

use sip_profiles::names::{SECRET_AGENT_INTERFACE, profile_path};
use tokio::sync::mpsc;
use tracing::debug;
use zbus::message::Message;
use zbus::{Connection, ObjectPath, OwnedVariant, Variant};

use crate::registration::{SecretAnswer, SecretQuestion};
use crate::registry::agents::AgentAnswer;
use crate::settings::{Secret, Settings, TEXT};

/// A call that outlives its question is given up, so that an agent that never answers costs nothing for ever.
const FORGOTTEN: Duration = Duration::from_secs(180);
/// How an agent says that the person said no.
const CANCELLED: &str = "org.sipprofiles.Error.Cancelled";

/// An agent's answer to question `number`.
#[derive(Debug)]
pub struct Answered {
    /// Which question.
    pub number: u64,
    /// What it says.
    pub answer: AgentAnswer,
}

/// An agent's object.
#[derive(Debug)]
pub struct At {
    /// Its bus name.
    pub name: String,
    /// Its object path.
    pub path: String,
}

/// Asks the agent at `at` for the password of `profile`; the answer goes to `tell`.
pub fn ask(
    connection: &Connection,
    at: At,
    number: u64,
    profile: u32,
    (settings, question): (&Settings, &SecretQuestion),
    tell: mpsc::Sender<Answered>,
) {
    let connection = connection.clone();
    let SecretQuestion { realm, server, transport, refused } = question.clone();
    let (aor, shown) = (settings.aor.to_string(), settings.shown_name());
    tokio::spawn(async move {
        let details = HashMap::from([
            ("aor", Variant::from(aor)),
            ("display-name", Variant::from(shown)),
            ("realm", Variant::from(realm)),
            ("server", Variant::from(server)),
            ("transport", Variant::from(transport)),
            ("refused", Variant::from(refused)),
        ]);
        let path = profile_path(profile);
        let path = ObjectPath::try_from(path.as_str());
        let call = async { call(&connection, &at, "GetPassword", &(path?, details)).await };
        let answer = match tokio::time::timeout(FORGOTTEN, call).await {
            Ok(reply) => understand(reply),
            Err(_) => AgentAnswer::None,
        };
        // Fails only when the service is ending, and then nobody asks any more.
        let _ = tell.send(Answered { number, answer }).await;
    });
}

/// Tells the agent at `at` that its answer for `profile` is not wanted any more.
pub fn cancel(connection: &Connection, at: At, profile: u32) {
    let connection = connection.clone();
    tokio::spawn(async move {
        let path = profile_path(profile);
        let called = async { call(&connection, &at, "Cancel", &ObjectPath::try_from(path.as_str())?).await };
        if let Ok(Err(error)) = tokio::time::timeout(FORGOTTEN, called).await {
            debug!("the secret agent {} does not take a question back: {error}", at.name);
        }
    });
}

async fn call<B>(connection: &Connection, at: &At, member: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::DynamicType,
{
    connection
        .call_method(Some(at.name.as_str()), at.path.as_str(), Some(SECRET_AGENT_INTERFACE), member, body)
        .await
}

fn understand(reply: zbus::Result<Message>) -> AgentAnswer {
    let reply = match reply {
        Ok(reply) => reply,
        Err(zbus::Error::MethodError(name, ..)) if name.as_str() == CANCELLED => {
            return AgentAnswer::Person(SecretAnswer::Cancelled);
        }
        Err(error) => {
            debug!("a secret agent has no answer: {error}");
            return AgentAnswer::None;
        }
    };
    let body = reply.body();
    let Ok(mut answer) = body.deserialize::<HashMap<String, OwnedVariant>>() else {
        debug!("a secret agent's answer is no a{{sv}}");
        return AgentAnswer::None;
    };
    let store = matches!(answer.get("store").map(|store| &**store), Some(Variant::Bool(true)));
    match answer.remove("password").map(String::try_from) {
        Some(Ok(password)) if password.len() <= TEXT && !password.chars().any(char::is_control) => {
            AgentAnswer::Person(SecretAnswer::Given { password: Secret::new(password), store })
        }
        _ => {
            debug!("a secret agent's answer has no password that can be used");
            AgentAnswer::None
        }
    }
}
