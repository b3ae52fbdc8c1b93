//! A client as any language would write it: plain calls by name, and every signal it receives, in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zbus::message::{Message, Type};
use zbus::proxy::MethodFlags;
use zbus::wire::DynamicDeserialize;
use zbus::{Connection, DynamicType, MessageStream, OwnedObjectPath, OwnedVariant, Variant};

use crate::PATIENCE;
use crate::bus::Bus;

/// `a{sv}` to send.
pub type Dict<'a> = HashMap<&'a str, Variant<'a>>;
/// `a{sv}` received.
pub type Map = HashMap<String, OwnedVariant>;

/// A client of the service.
pub struct Client {
    /// Its bus connection.
    pub connection: Connection,
    seen: Arc<Mutex<Vec<Seen>>>,
    changed: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

/// A message that reached the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// `ProfileStateChanged` …
    pub member: String,
    /// Its arguments as text; of ProfileStateChanged `ID: PREVIOUS -> STATE (REASON)`.
    pub text: String,
}

impl Client {
    /// Connects to the bus and starts listening.
    pub async fn connect(bus: &Bus) -> Client {
        Self::listen(bus.connect().await).await
    }

    /// Connects as another user.
    pub async fn connect_as(bus: &Bus, uid: u32) -> Client {
        Self::listen(bus.connect_as(uid).await).await
    }

    async fn listen(connection: Connection) -> Client {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (tell, changed) = watch::channel(0);
        let mut stream = MessageStream::from(&connection);
        let into = seen.clone();
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Some(one) = describe(&message) {
                    into.lock().expect("no holder panics").push(one);
                    tell.send_modify(|count| *count += 1);
                }
            }
        });
        Client { connection, seen, changed, task }
    }

    /// Asks the bus for broadcasts of the service, and for changes of its name's owner.
    pub async fn match_all(&self) {
        let rules = ["type='signal',sender='org.sipprofiles'"];
        for rule in rules {
            self.call_at(
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                "AddMatch",
                &rule,
            )
            .await
            .expect("the bus takes rules");
        }
    }

    /// The signals of the service that came, in order.
    pub fn signals(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder panics").clone()
    }

    /// Forgets what came.
    pub fn forget(&self) {
        self.seen.lock().expect("no holder panics").clear();
    }

    /// The members of the signals that came, in order.
    pub fn members(&self) -> Vec<String> {
        self.signals().into_iter().map(|seen| seen.member).collect()
    }

    /// Waits for a signal of that member whose text contains `part`.
    pub async fn until(&mut self, member: &str, part: &str) -> Seen {
        let seen = self.seen.clone();
        let find = move || {
            let seen = seen.lock().expect("no holder panics");
            seen.iter().find(|one| one.member == member && one.text.contains(part)).cloned()
        };
        let wait = async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                self.changed.changed().await.expect("the listener goes on");
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("no {member} with {part:?} came, only:\n{:#?}", self.signals()),
        }
    }

    /// A call to anything.
    pub async fn call_at<B>(
        &self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.connection.call_method(Some(destination), path, Some(interface), member, body).await
    }

    /// A call of Registry1.
    pub async fn root<B: serde::Serialize + DynamicType>(
        &self,
        member: &str,
        body: &B,
    ) -> zbus::Result<Message> {
        self.call_at("org.sipprofiles", "/org/sipprofiles", "org.sipprofiles.Registry1", member, body).await
    }

    /// A call of Profile1.
    pub async fn profile<B>(&self, id: u32, member: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        let path = format!("/org/sipprofiles/profile/{id}");
        self.call_at("org.sipprofiles", &path, "org.sipprofiles.Profile1", member, body).await
    }

    /// A call of Profile1 for which polkit may show a dialog.
    pub async fn profile_with_dialog<B, R>(&self, id: u32, member: &str, body: &B) -> zbus::Result<Option<R>>
    where
        B: serde::Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let path = format!("/org/sipprofiles/profile/{id}");
        let (service, interface) = ("org.sipprofiles", "org.sipprofiles.Profile1");
        let proxy = zbus::Proxy::new(&self.connection, service, path, interface).await?;
        proxy.call_with_flags(member, MethodFlags::ALLOW_INTERACTIVE_AUTH, body).await
    }

    /// Creates a profile that all users see.
    pub async fn create_shared(&self, settings: Dict<'_>) -> zbus::Result<u32> {
        let options = Dict::from([("shared", Variant::from(true))]);
        let reply = self.root("CreateProfile", &(settings, options)).await?;
        Ok(reply.body().deserialize::<(u32, OwnedObjectPath)>()?.0)
    }

    /// Creates a profile.
    pub async fn create(&self, settings: Dict<'_>) -> zbus::Result<u32> {
        let reply = self.root("CreateProfile", &(settings, Dict::new())).await?;
        Ok(reply.body().deserialize::<(u32, OwnedObjectPath)>()?.0)
    }

    /// Enables a profile and returns the state.
    pub async fn enable(&self, id: u32, options: Dict<'_>) -> zbus::Result<String> {
        self.profile(id, "Enable", &options).await?.body().deserialize()
    }

    /// Enables a profile and waits for the outcome.
    pub async fn enable_and_wait(&self, id: u32) -> zbus::Result<String> {
        self.enable(id, Dict::from([("wait", Variant::from(60u32))])).await
    }

    /// Disables a profile.
    pub async fn disable(&self, id: u32) -> zbus::Result<bool> {
        self.profile(id, "Disable", &Dict::new()).await?.body().deserialize()
    }

    /// Updates settings.
    pub async fn update(&self, id: u32, set: Dict<'_>, unset: &[&str]) -> zbus::Result<()> {
        self.profile(id, "Update", &(set, unset, Dict::new())).await.map(drop)
    }

    /// All properties of a profile.
    pub async fn properties(&self, id: u32) -> zbus::Result<Map> {
        let path = format!("/org/sipprofiles/profile/{id}");
        let interface = "org.freedesktop.DBus.Properties";
        let reply =
            self.call_at("org.sipprofiles", &path, interface, "GetAll", &"org.sipprofiles.Profile1").await?;
        reply.body().deserialize()
    }

    /// GetRegistration.
    pub async fn registration(&self, id: u32) -> zbus::Result<Map> {
        self.profile(id, "GetRegistration", &()).await?.body().deserialize()
    }

    /// `State`.
    pub async fn state(&self, id: u32) -> String {
        let properties = self.properties(id).await.expect("the profile is there");
        text(&properties["State"])
    }

    /// `Users`.
    pub async fn users(&self, id: u32) -> u32 {
        let properties = self.properties(id).await.expect("the profile is there");
        u32::try_from(properties["Users"].clone()).expect("Users is u")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A string property.
pub fn text(value: &OwnedVariant) -> String {
    match &**value {
        Variant::Str(text) => text.as_str().to_owned(),
        other => panic!("{other:?} is no string"),
    }
}

/// The sentence of an error reply.
pub fn error_text<T: std::fmt::Debug>(result: zbus::Result<T>) -> String {
    match result {
        Err(zbus::Error::MethodError(_, text, _)) => text.unwrap_or_default(),
        Err(zbus::Error::FDO(error)) => zbus::DBusError::description(&*error).unwrap_or_default().to_owned(),
        other => panic!("no error reply: {other:?}"),
    }
}

/// The name of an error reply.
pub fn error_name<T: std::fmt::Debug>(result: zbus::Result<T>) -> String {
    match result {
        Err(zbus::Error::MethodError(name, ..)) => name.to_string(),
        Err(zbus::Error::FDO(error)) => zbus::DBusError::name(&*error).to_string(),
        other => panic!("no error reply: {other:?}"),
    }
}

fn describe(message: &Message) -> Option<Seen> {
    let header = message.header();
    let member = header.member()?.as_str().to_owned();
    let from_bus = header.sender().is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus");
    if message.message_type() != Type::Signal || from_bus {
        return None;
    }
    let body = message.body();
    if member == "ProfileStateChanged" {
        let (id, _, state, previous, reason) =
            body.deserialize::<(u32, OwnedObjectPath, String, String, String)>().ok()?;
        return Some(Seen { member, text: format!("{id}: {previous} -> {state} ({reason})") });
    }
    let arguments: zbus::Structure<'_> = body.deserialize().ok()?;
    Some(Seen { member, text: format!("{:?}", arguments.fields()) })
}
