//! The service on its bus: what it says becomes events, what is wanted of it becomes calls.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use sip_profiles::names;
use sip_profiles::proxy::{Options, ProfileProxy, RegistryProxy, Values};
use tokio::sync::mpsc::UnboundedSender;
use zbus::connection::Builder;
use zbus::fdo::{DBusProxy, ObjectManagerProxy};
use zbus::message::{Message as Wire, Type};
use zbus::names::BusName;
use zbus::proxy::CacheProperties;
use zbus::{Connection, DBusError, MessageStream, ObjectPath, OwnedObjectPath, Variant};

use crate::agent::{self, Agent};
use crate::app::Message;
use crate::model::{Event, Failure, News, Patch, Profile, Secret};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// No call of ours needs as long, but for one about which a person is asked.
const CALL: Duration = Duration::from_secs(120);
/// Before the next try to reach the bus itself.
const NO_BUS: Duration = Duration::from_secs(10);

/// Keeps a connection to the service's bus, and forwards what comes there.
pub async fn follow(session: bool, to: UnboundedSender<Message>) {
    loop {
        if let Err(error) = connect(session, &to).await {
            eprintln!("sip-profiles-tray: the service's bus: {error}");
        }
        let _ = to.send(Message::Disconnected);
        tokio::time::sleep(NO_BUS).await;
    }
}

async fn connect(session: bool, to: &UnboundedSender<Message>) -> zbus::Result<()> {
    let builder = if session { Builder::session() } else { Builder::system() };
    let agent = Agent::new(to.clone());
    let connection = builder.method_timeout(CALL).serve_at(agent::PATH, agent).build().await?;
    let mut stream = MessageStream::from(&connection);
    let _ = to.send(Message::Connected(connection.clone()));
    let setup = async {
        // Before the first call: a service that goes right after it must not be missed.
        for rule in [
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.sipprofiles'",
            "type='signal',sender='org.sipprofiles'",
        ] {
            connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &rule).await?;
        }
        let owner = DBusProxy::new(&connection).await?.get_name_owner(bus_name()?).await;
        zbus::Result::Ok(owner.ok().map(|owner| owner.to_string()))
    };
    let mut owner = setup.await?;
    let _ = to.send(Message::Event(match owner {
        Some(_) => Event::Up,
        None => Event::Down { ever: false },
    }));
    while let Some(message) = stream.next().await {
        let message = message?;
        if message.message_type() != Type::Signal {
            continue;
        }
        if let Some(new) = new_owner(&message) {
            if new != owner {
                let (had, has) = (owner.is_some(), new.is_some());
                owner = new;
                // Straight from one to the next: what the old one said is over as well.
                if had {
                    let _ = to.send(Message::Event(Event::Down { ever: true }));
                }
                if has {
                    let _ = to.send(Message::Event(Event::Up));
                }
            }
            continue;
        }
        // Anybody may send us signals.
        let header = message.header();
        let is_service = owner.is_some() && header.sender().map(|sender| sender.as_str()) == owner.as_deref();
        if let Some(news) = news(&message).filter(|_| is_service) {
            let _ = to.send(Message::Event(Event::News(news)));
        }
    }
    Ok(())
}

fn bus_name() -> zbus::Result<BusName<'static>> {
    BusName::try_from(names::BUS_NAME)
}

/// The new owner of the service's name (`Some(None)`: there is none), if that is what the message says.
fn new_owner(message: &Wire) -> Option<Option<String>> {
    let header = message.header();
    let is_bus = header.sender().is_some_and(|sender| sender.as_str() == BUS);
    if !is_bus || header.member().is_none_or(|member| member.as_str() != "NameOwnerChanged") {
        return None;
    }
    let (name, _, new): (String, String, String) = message.body().deserialize().ok()?;
    (name == names::BUS_NAME).then(|| Some(new).filter(|new| !new.is_empty()))
}

/// A signal of the service, if it is one of those that we need.
fn news(message: &Wire) -> Option<News> {
    let header = message.header();
    let body = message.body();
    match (header.interface()?.as_str(), header.member()?.as_str()) {
        ("org.freedesktop.DBus.Properties", "PropertiesChanged") => {
            let (interface, values, _): (String, Values, Vec<String>) = body.deserialize().ok()?;
            let id = names::profile_id(header.path()?.as_str())?;
            (interface == names::PROFILE_INTERFACE).then(|| News::Changed(id, patch(&values)))
        }
        ("org.freedesktop.DBus.ObjectManager", "InterfacesAdded") => {
            let (path, interfaces): (OwnedObjectPath, HashMap<String, Values>) = body.deserialize().ok()?;
            let values = interfaces.get(names::PROFILE_INTERFACE)?;
            Some(News::Added(names::profile_id(path.as_str())?, patch(values)))
        }
        ("org.freedesktop.DBus.ObjectManager", "InterfacesRemoved") => {
            let (path, interfaces): (OwnedObjectPath, Vec<String>) = body.deserialize().ok()?;
            let ours = interfaces.iter().any(|one| one == names::PROFILE_INTERFACE);
            names::profile_id(path.as_str()).filter(|_| ours).map(News::Removed)
        }
        (names::REGISTRY_INTERFACE, "ProfileUpdated") => {
            body.deserialize::<(u32, OwnedObjectPath)>().ok().map(|(id, _)| News::Updated(id))
        }
        (names::REGISTRY_INTERFACE, "ProfileForciblyDisabled") => {
            body.deserialize::<(u32, OwnedObjectPath)>().ok().map(|(id, _)| News::Forced(id))
        }
        (names::REGISTRY_INTERFACE, "DefaultProfileChanged") => {
            let path: OwnedObjectPath = body.deserialize().ok()?;
            Some(News::Default(names::profile_id(path.as_str())))
        }
        _ => None,
    }
}

/// The properties that we look at.
fn patch(values: &Values) -> Patch {
    let text = |key: &str| match values.get(key).map(|value| &**value) {
        Some(Variant::Str(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let truth = |key: &str| match values.get(key).map(|value| &**value) {
        Some(Variant::Bool(value)) => Some(*value),
        _ => None,
    };
    let error = values.get("LastError").and_then(|value| Values::try_from(value.clone()).ok());
    Patch {
        name: text("DisplayName"),
        aor: text("Aor"),
        state: text("State"),
        reason: text("StateReason"),
        users: match values.get("Users").map(|value| &**value) {
            Some(Variant::U32(users)) => Some(*users),
            _ => None,
        },
        auto_register: truth("AutoRegister"),
        retry_at: match values.get("RetryAt").map(|value| &**value) {
            Some(Variant::I64(at)) => Some(*at),
            _ => None,
        },
        needs_secret: truth("NeedsSecret"),
        error: error.map(|error| {
            let name = string(&error, "name");
            let short = name.strip_prefix(names::ERROR_PREFIX).unwrap_or(&name).to_owned();
            (short, string(&error, "message"))
        }),
    }
}

/// A string of an `a{sv}`, empty where there is none.
pub fn string(values: &Values, key: &str) -> String {
    match values.get(key).map(|value| &**value) {
        Some(Variant::Str(text)) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

/// A boolean of an `a{sv}`, false where there is none.
pub fn flag(values: &Values, key: &str) -> bool {
    matches!(values.get(key).map(|value| &**value), Some(Variant::Bool(true)))
}

/// The calls.
#[derive(Clone)]
pub struct Service {
    connection: Connection,
}

impl Service {
    /// Calls over that connection.
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Asks the bus to start the service.
    pub async fn start(&self) -> bool {
        let arguments = (names::BUS_NAME, 0u32);
        let call =
            self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "StartServiceByName", &arguments);
        call.await.is_ok()
    }

    /// The agent first, so that a hold that needs a password finds it; then the holds; then everything is read.
    /// What became of the holds goes to `to`.
    pub async fn greet(
        &self,
        wished: Vec<u32>,
        to: &UnboundedSender<Message>,
    ) -> Result<(Vec<Profile>, Option<u32>), String> {
        let registry = self.registry().await.map_err(|error| sentence(&error))?;
        let path = ObjectPath::try_from(agent::PATH).map_err(|error| error.to_string())?;
        if let Err(error) = registry.register_secret_agent(&path, Options::new()).await {
            // Without an agent the rest still has its use.
            eprintln!("sip-profiles-tray: the service takes no password agent: {}", sentence(&error));
        }
        for id in wished {
            let result = self.enable(id).await;
            let _ = to.send(Message::Event(Event::Switched(id, true, result)));
        }
        let manager = ObjectManagerProxy::builder(&self.connection)
            .destination(names::BUS_NAME)
            .path(names::ROOT_PATH)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(|error| sentence(&error))?;
        let objects = manager.get_managed_objects().await.map_err(|error| sentence(&error.into()))?;
        let mut profiles = Vec::new();
        for (path, interfaces) in &objects {
            let values = interfaces.iter().find(|(name, _)| name.as_str() == names::PROFILE_INTERFACE);
            if let (Some(id), Some((_, values))) = (names::profile_id(path.as_str()), values) {
                profiles.push(Profile::new(id, patch(values)));
            }
        }
        Ok((profiles, self.default_profile().await))
    }

    /// Takes our hold.
    pub async fn enable(&self, id: u32) -> Result<(), Failure> {
        let profile = self.profile(id).await.map_err(failure)?;
        profile.enable(Options::new()).await.map(drop).map_err(failure)
    }

    /// Gives it back.
    pub async fn disable(&self, id: u32) -> Result<(), Failure> {
        let profile = self.profile(id).await.map_err(failure)?;
        profile.disable(Options::new()).await.map(drop).map_err(failure)
    }

    /// Tries now.
    pub async fn refresh(&self, id: u32) -> Result<(), Failure> {
        self.profile(id).await.map_err(failure)?.refresh(Options::new()).await.map_err(failure)
    }

    /// Sets `auto-register` to false.
    pub async fn auto_register_off(&self, id: u32) -> Result<(), Failure> {
        self.update(id, Options::from([("auto-register", Variant::from(false))])).await
    }

    /// Stores a password, and takes our hold where `enable`.
    pub async fn set_password(&self, id: u32, secret: Secret, enable: bool) -> Result<(), Failure> {
        self.update(id, Options::from([("password", Variant::from(secret.0.as_str()))])).await?;
        if enable { self.enable(id).await } else { Ok(()) }
    }

    /// Makes it the default.
    pub async fn set_default(&self, id: u32) -> Result<(), Failure> {
        let path = ObjectPath::try_from(names::profile_path(id)).map_err(failure)?;
        let registry = self.registry().await.map_err(failure)?;
        registry.set_default_profile(&path, Options::new()).await.map_err(failure)
    }

    /// Which one that is.
    pub async fn default_profile(&self) -> Option<u32> {
        let path = self.registry().await.ok()?.get_default_profile().await.ok()?;
        names::profile_id(path.as_str())
    }

    async fn update(&self, id: u32, set: Options<'_>) -> Result<(), Failure> {
        self.profile(id).await.map_err(failure)?.update(set, &[], Options::new()).await.map_err(failure)
    }

    // No cache: a proxy with one reads all properties before its first call.
    async fn registry(&self) -> zbus::Result<RegistryProxy<'static>> {
        RegistryProxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await
    }

    async fn profile(&self, id: u32) -> zbus::Result<ProfileProxy<'static>> {
        let builder = ProfileProxy::builder(&self.connection).path(names::profile_path(id));
        builder.cache_properties(CacheProperties::No).build().await
    }
}

/// Name and sentence of an error reply; the standard ones are a type of their own.
fn reply(error: &zbus::Error) -> Option<(String, String)> {
    match error {
        zbus::Error::MethodError(name, message, _) => {
            Some((name.to_string(), message.clone().unwrap_or_else(|| name.to_string())))
        }
        zbus::Error::FDO(error) => {
            let name = error.name().to_string();
            let message = error.description().map_or_else(|| name.clone(), String::from);
            Some((name, message))
        }
        _ => None,
    }
}

/// The service's own sentence, where it has one.
fn sentence(error: &zbus::Error) -> String {
    reply(error).map_or_else(|| error.to_string(), |(_, sentence)| sentence)
}

fn failure(error: zbus::Error) -> Failure {
    let passing = match reply(&error) {
        Some((name, _)) => matches!(
            name.as_str(),
            "org.sipprofiles.Error.ShuttingDown"
                | "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner"
                | "org.freedesktop.DBus.Error.NoReply"
                | "org.freedesktop.DBus.Error.Disconnected"
        ),
        None => matches!(error, zbus::Error::InputOutput(_)),
    };
    Failure { message: sentence(&error), passing }
}

#[cfg(test)]
mod tests {
    use zbus::OwnedVariant;

    use super::*;

    #[test]
    fn only_what_was_sent_changes() {
        let owned = |value: Variant<'static>| OwnedVariant::try_from(value).expect("no file descriptor");
        let error = HashMap::from([("name", Variant::from("org.sipprofiles.Error.NoSecret"))]);
        let values = Values::from([
            (String::from("State"), owned(Variant::from("waiting"))),
            (String::from("Users"), owned(Variant::from(2u32))),
            (String::from("LastError"), owned(Variant::from(error))),
            (String::from("RetryAt"), owned(Variant::from("not a number"))),
        ]);
        let expected = Patch {
            state: Some("waiting".into()),
            users: Some(2),
            error: Some(("NoSecret".into(), String::new())),
            ..Patch::default()
        };
        assert_eq!(patch(&values), expected);
    }
}
