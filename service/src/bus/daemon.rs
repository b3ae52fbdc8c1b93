//! What we ask of the message bus itself.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use sip_profiles::names::BUS_NAME;
use zbus::message::{Flags, Message};
use zbus::{Connection, MessageStream, OwnedVariant, Result, Variant};

use crate::registry::call::{Caller, Name};

const DAEMON: &str = "org.freedesktop.DBus";
const DAEMON_PATH: &str = "/org/freedesktop/DBus";

/// A name went from the bus: clients die in order with their calls, so this is the one match rule we need.
const NAMES_LOST: &str = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
                          member='NameOwnerChanged',arg2=''";

/// `RequestName` flag: fail rather than wait in line. The default would let a second instance queue.
const DO_NOT_QUEUE: u32 = 4;

async fn ask<B>(connection: &Connection, member: &str, body: &B) -> Result<Message>
where
    B: serde::Serialize + zbus::DynamicType,
{
    connection.call_method(Some(DAEMON), DAEMON_PATH, Some(DAEMON), member, body).await
}

/// Asks to be told of every name that goes.
pub async fn watch_names(connection: &Connection) -> Result<()> {
    ask(connection, "AddMatch", &NAMES_LOST).await.map(drop)
}

/// The unique name that went, if `message` says so.
pub fn lost_name(message: &Message) -> Option<Name> {
    let header = message.header();
    if header.member()?.as_str() != "NameOwnerChanged" || header.sender()?.as_str() != DAEMON {
        return None;
    }
    let body = message.body();
    let (name, _, new_owner) = body.deserialize::<(&str, &str, &str)>().ok()?;
    (new_owner.is_empty() && name.starts_with(':')).then(|| Name::from(name))
}

/// Who `name` is, as the bus vouches for it; `None` where it is gone or the bus does not know its user.
pub async fn identify(connection: &Connection, name: &Name) -> Option<Caller> {
    let reply = ask(connection, "GetConnectionCredentials", &&**name).await.ok()?;
    let body = reply.body();
    let credentials = body.deserialize::<BTreeMap<String, OwnedVariant>>().ok()?;
    let number = |key: &str| match credentials.get(key).map(|variant| &**variant) {
        Some(Variant::U32(number)) => Some(*number),
        _ => None,
    };
    Some(Caller { name: name.clone(), uid: number("UnixUserID")?, pid: number("ProcessID").unwrap_or(0) })
}

/// Takes the service's name; false when another process has it.
pub async fn request_name(connection: &Connection, name: &str) -> Result<bool> {
    const PRIMARY_OWNER: u32 = 1;
    let reply = ask(connection, "RequestName", &(name, DO_NOT_QUEUE)).await?;
    Ok(reply.body().deserialize::<u32>()? == PRIMARY_OWNER)
}

/// Gives the service's name up.
pub async fn release_name(connection: &Connection, name: &str) -> Result<()> {
    ask(connection, "ReleaseName", &name).await.map(drop)
}

/// A message to whoever has our name, without starting anybody: where that is a connection that has ended, the bus
/// notices it now.
pub async fn knock(session: bool) -> Result<()> {
    let connection = if session { Connection::session().await? } else { Connection::system().await? };
    let call = Message::method_call("/", "Ping").interface("org.freedesktop.DBus.Peer");
    let call = call.destination(BUS_NAME).with_flags(Flags::NO_AUTO_START).build(&())?;
    let mut answers = MessageStream::from(&connection);
    connection.send(&call).await?;
    while let Some(answer) = answers.next().await.transpose()? {
        if answer.header().reply_serial() == Some(call.primary_header().serial_num()) {
            break;
        }
    }
    Ok(())
}

/// Asks the bus to start whoever serves `name`.
pub async fn start_service(connection: &Connection, name: &str) -> Result<()> {
    ask(connection, "StartServiceByName", &(name, 0u32)).await.map(drop)
}

/// A message to ourselves through the bus: its arrival proves that every earlier call has been dispatched (L2).
pub async fn ping_self(connection: &Connection) -> Result<()> {
    let Some(own) = connection.unique_name() else {
        return Ok(());
    };
    let peer = Some("org.freedesktop.DBus.Peer");
    connection.call_method(Some(own.as_str()), "/", peer, "Ping", &()).await.map(drop)
}
