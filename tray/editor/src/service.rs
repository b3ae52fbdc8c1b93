//! The service, seen from the window: requests go in, events come out. The bus lives in a thread of its own.

use std::collections::HashMap;
use std::thread;

use async_channel::{Receiver, Sender};
use futures_util::StreamExt;
use sip_profiles::advice::Situation;
use sip_profiles::names::{
    BUS_NAME, PROFILE_INTERFACE, REGISTRY_INTERFACE, ROOT_PATH, profile_id, profile_path,
};
use sip_profiles::proxy::{Options, ProfileProxy, Values};
use tokio::task::JoinHandle;
use zbus::fdo::PropertiesProxy;
use zbus::proxy::MethodFlags;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant};

use crate::form::{Change, Settings, from_bus};
use crate::text;

/// What the window wants.
#[derive(Debug)]
pub enum Request {
    /// The settings of a profile.
    Load(u32),
    /// Settings to store, and then the registration to try; a new profile without an id.
    Save {
        /// Which profile.
        id: Option<u32>,
        /// What to send.
        change: Change,
    },
}

/// What the window is told.
#[derive(Debug)]
pub enum Event {
    /// The settings as the service has them; after Save too.
    Settings {
        /// Which profile.
        id: u32,
        /// All of them.
        settings: Settings,
        /// This answers a Save.
        saved: bool,
    },
    /// The request failed.
    Refused(Refusal),
    /// How the profile stands.
    News {
        /// As its properties say; `retry_in` is left to whoever shows it.
        situation: Situation,
        /// Unix seconds, 0 = not by itself.
        retry_at: i64,
    },
    /// The service's bus name has no owner.
    Gone,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error's name; empty where the bus itself failed.
    pub name: String,
    /// The sentence.
    pub message: String,
}

impl Refusal {
    /// Is it about a setting?
    pub fn is_about_setting(&self) -> bool {
        let word = self.name.rsplit('.').next().unwrap_or_default();
        matches!(word, "InvalidSetting" | "LimitExceeded")
    }
}

/// Starts the thread. It ends, and with it the hold, when the sender of requests is gone.
pub fn start(session: bool) -> std::io::Result<(Sender<Request>, Receiver<Event>)> {
    let (requests, inbox) = async_channel::unbounded();
    let (events, outbox) = async_channel::unbounded();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name(String::from("bus"))
        .spawn(move || runtime.block_on(run(session, inbox, events)))?;
    Ok((requests, outbox))
}

async fn run(session: bool, requests: Receiver<Request>, events: Sender<Event>) {
    let mut link = Link { session, connection: None, watch: None, events };
    while let Ok(request) = requests.recv().await {
        let outcome = match request {
            Request::Load(id) => link.load(id, false).await,
            Request::Save { id, change } => link.save(id, &change).await,
        };
        if let Err(error) = outcome {
            let refusal = refusal(error);
            if refusal.name.is_empty() {
                // The bus itself failed: the next request tries a new connection.
                link.connection = None;
            }
            link.tell(Event::Refused(refusal)).await;
        }
    }
}

struct Link {
    session: bool,
    connection: Option<Connection>,
    watch: Option<JoinHandle<()>>,
    events: Sender<Event>,
}

impl Link {
    async fn connection(&mut self) -> zbus::Result<Connection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection =
            if self.session { Connection::session().await? } else { Connection::system().await? };
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    async fn load(&mut self, id: u32, saved: bool) -> zbus::Result<()> {
        let connection = self.connection().await?;
        let profile = ProfileProxy::builder(&connection).path(profile_path(id)).build().await?;
        let settings = from_bus(&profile.get_settings().await?);
        self.tell(Event::Settings { id, settings, saved }).await;
        Ok(())
    }

    async fn save(&mut self, id: Option<u32>, change: &Change) -> zbus::Result<()> {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
        let connection = self.connection().await?;
        let id = match id {
            Some(id) => {
                if !change.is_empty() {
                    update(&connection, id, change).await?;
                }
                id
            }
            None => create(&connection, change).await?,
        };
        self.load(id, true).await?;
        self.watch(&connection, id).await
    }

    /// Takes the hold and tells from then on how the profile stands.
    async fn watch(&mut self, connection: &Connection, id: u32) -> zbus::Result<()> {
        let properties =
            PropertiesProxy::builder(connection).destination(BUS_NAME).path(profile_path(id)).build().await?;
        let mut changes = properties.receive_properties_changed().await?;
        let mut owners = properties.inner().receive_owner_changed().await?;
        let profile = ProfileProxy::builder(connection).path(profile_path(id)).build().await?;
        let none = Options::new();
        let state: Option<String> = call(profile.inner(), "Enable", &(none.clone(),)).await?;
        if state.as_deref() == Some("waiting") {
            // Save is somebody's wish to see it tried now.
            profile.refresh(none).await?;
        }
        let mut known = read(&properties).await?;
        let events = self.events.clone();
        events.send(news(id, &known)).await.ok();
        self.watch = Some(tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    Some(change) = changes.next() => {
                        let Ok(arguments) = change.args() else { continue };
                        let changed = arguments.changed_properties.iter();
                        known.extend(changed.filter_map(|(key, value)| {
                            Some(((*key).to_owned(), OwnedVariant::try_from(value).ok()?))
                        }));
                        news(id, &known)
                    }
                    Some(owner) = owners.next() => match owner {
                        None => Event::Gone,
                        Some(_) => match read(&properties).await {
                            Ok(values) => {
                                known = values;
                                news(id, &known)
                            }
                            Err(error) => Event::Refused(refusal(error)),
                        },
                    },
                    else => return,
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }));
        Ok(())
    }

    async fn tell(&self, event: Event) {
        // Without a window nobody is left to be told.
        self.events.send(event).await.ok();
    }
}

async fn read(properties: &PropertiesProxy<'_>) -> zbus::Result<Values> {
    let interface = zbus::names::InterfaceName::try_from(PROFILE_INTERFACE)?;
    Ok(properties.get_all(interface).await?)
}

async fn create(connection: &Connection, change: &Change) -> zbus::Result<u32> {
    let registry = zbus::Proxy::new(connection, BUS_NAME, ROOT_PATH, REGISTRY_INTERFACE).await?;
    let created: Option<(u32, OwnedObjectPath)> =
        call(&registry, "CreateProfile", &(sent(change), Options::new())).await?;
    match created {
        Some((id, path)) if profile_id(path.as_str()) == Some(id) => Ok(id),
        _ => Err(zbus::Error::InvalidReply),
    }
}

async fn update(connection: &Connection, id: u32, change: &Change) -> zbus::Result<()> {
    let profile = zbus::Proxy::new(connection, BUS_NAME, profile_path(id), PROFILE_INTERFACE).await?;
    let _: Option<()> = call(&profile, "Update", &(sent(change), &change.unset, Options::new())).await?;
    Ok(())
}

/// A person sits here: polkit may ask.
async fn call<B, R>(proxy: &zbus::Proxy<'_>, method: &'static str, body: &B) -> zbus::Result<Option<R>>
where
    B: serde::Serialize + zbus::DynamicType,
    R: for<'d> zbus::wire::DynamicDeserialize<'d>,
{
    proxy.call_with_flags(method, MethodFlags::ALLOW_INTERACTIVE_AUTH, body).await
}

fn sent(change: &Change) -> HashMap<&str, Variant<'_>> {
    change.set.iter().filter_map(|(key, value)| Some((*key, value.to_variant()?))).collect()
}

fn news(id: u32, values: &Values) -> Event {
    let text = |values: &Values, key: &str| match values.get(key).map(|value| &**value) {
        Some(Variant::Str(text)) => text.as_str().to_owned(),
        _ => String::new(),
    };
    let error: Values =
        values.get("LastError").and_then(|value| value.try_clone().ok()?.try_into().ok()).unwrap_or_default();
    let retry_at = match values.get("RetryAt").map(|value| &**value) {
        Some(Variant::I64(at)) => *at,
        _ => 0,
    };
    let situation = Situation {
        state: text(values, "State"),
        reason: text(values, "StateReason"),
        error: text(&error, "name"),
        message: text(&error, "message"),
        retry_in: None,
        users: match values.get("Users").map(|value| &**value) {
            Some(Variant::U32(users)) => *users,
            _ => 0,
        },
        auto_register: matches!(values.get("AutoRegister").map(|value| &**value), Some(Variant::Bool(true))),
        id,
    };
    Event::News { situation, retry_at }
}

fn refusal(error: zbus::Error) -> Refusal {
    let (name, message) = match &error {
        zbus::Error::MethodError(name, message, _) => {
            (name.to_string(), message.clone().unwrap_or_else(|| name.to_string()))
        }
        zbus::Error::FDO(error) => {
            let message = zbus::DBusError::description(&**error).unwrap_or_default().to_owned();
            (zbus::DBusError::name(&**error).to_string(), message)
        }
        other => return Refusal { name: String::new(), message: text::unreachable(&other.to_string()) },
    };
    let word = name.rsplit('.').next().unwrap_or_default();
    let is_absent =
        matches!(word, "ServiceUnknown" | "NoServer" | "NoReply" | "NameHasNoOwner" | "Disconnected");
    if is_absent || name.starts_with("org.freedesktop.DBus.Error.Spawn") {
        let message = text::unreachable(message.trim_end_matches('.'));
        return Refusal { name, message };
    }
    // The bus names an object's path, which nobody in front of a window knows.
    if matches!(word, "UnknownObject" | "NotFound") {
        return Refusal { name, message: String::from(text::REMOVED) };
    }
    Refusal { name, message }
}
