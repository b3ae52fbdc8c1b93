//! Showing what happens.

use futures_util::StreamExt;
use serde_json::{Value, json};
use sip_profiles::names;
use zbus::message::{Message, Type};
use zbus::{MessageStream, OwnedObjectPath};

use super::failure::{self, Failure};
use super::output::printable;
use super::{Service, id_of, print};

pub async fn watch(service: &Service, json: bool) -> Result<(), Failure> {
    let mut stream = MessageStream::from(&service.connection);
    let rule = format!("type='signal',sender='{}'", names::BUS_NAME);
    let bus = "org.freedesktop.DBus";
    let connection = &service.connection;
    connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule).await?;
    let rule = format!("type='signal',sender='{bus}',member='NameOwnerChanged',arg0='{}'", names::BUS_NAME);
    connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule).await?;
    // Any call makes a session: from here on signals about private profiles come too.
    match service.registry.get_default_profile().await.map_err(Failure::from) {
        Err(failure) if failure.code != failure::NOT_FOUND => return Err(failure),
        _ => {}
    }
    while let Some(message) = stream.next().await {
        if let Some(event) = event(&message?) {
            let line = if json { event.to_string() } else { sentence(&event) };
            print(&format!("{line}\n"))?;
        }
    }
    Err(Failure::unreachable("the bus closed the connection"))
}

/// A signal as JSON; `None` for those that only repeat another one.
fn event(message: &Message) -> Option<Value> {
    if message.message_type() != Type::Signal {
        return None;
    }
    let header = message.header();
    let member = header.member()?.as_str();
    let body = message.body();
    Some(match member {
        "ProfileAdded" | "ProfileUpdated" | "ProfileRemoved" | "ProfileForciblyDisabled" => {
            let (id, _) = body.deserialize::<(u32, OwnedObjectPath)>().ok()?;
            json!({"event": member, "id": id})
        }
        "ProfileStateChanged" => {
            let (id, _, state, previous, reason) =
                body.deserialize::<(u32, OwnedObjectPath, String, String, String)>().ok()?;
            json!({"event": member, "id": id, "state": state, "previous": previous, "reason": reason})
        }
        "ErrorOccurred" => {
            let (id, _, error, code) = body.deserialize::<(u32, OwnedObjectPath, String, i32)>().ok()?;
            json!({"event": member, "id": id, "error": error, "code": code})
        }
        "DefaultProfileChanged" => {
            let path = body.deserialize::<OwnedObjectPath>().ok()?;
            json!({"event": member, "id": id_of(path.as_str())})
        }
        "NameOwnerChanged" => {
            let (_, _, owner) = body.deserialize::<(String, String, String)>().ok()?;
            json!({"event": if owner.is_empty() { "ServiceEnded" } else { "ServiceStarted" }})
        }
        _ => return None,
    })
}

fn sentence(event: &Value) -> String {
    let text = |key: &str| printable(event[key].as_str().unwrap_or_default());
    let id = &event["id"];
    match text("event").as_str() {
        "ProfileAdded" => format!("profile {id} was added"),
        "ProfileUpdated" => format!("profile {id} was changed"),
        "ProfileRemoved" => format!("profile {id} was removed"),
        "ProfileForciblyDisabled" => format!("profile {id} was disabled for everybody"),
        "ProfileStateChanged" => {
            let reason = text("reason");
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            format!("profile {id}: {} -> {}{reason}", text("previous"), text("state"))
        }
        "ErrorOccurred" => {
            let error = text("error");
            let error = error.strip_prefix(names::ERROR_PREFIX).unwrap_or(&error).to_owned();
            format!("profile {id}: error {error} ({})", event["code"])
        }
        "DefaultProfileChanged" if event["id"] == 0 => String::from("there is no default profile any more"),
        "DefaultProfileChanged" => format!("the default profile is {id}"),
        "ServiceEnded" => String::from("the service has ended"),
        _ => String::from("the service has started"),
    }
}
