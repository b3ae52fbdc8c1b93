//! A service that does what the test says, and remembers what it was asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use sip_profiles::names::{self, profile_path};
use zbus::message::Header;
use zbus::{Connection, DBusError, ObjectPath, OwnedObjectPath, OwnedVariant, Variant, interface};

use super::{Desktop, until};

type Map = HashMap<String, OwnedVariant>;

/// What it has.
#[derive(Default)]
pub struct State {
    profiles: BTreeMap<u32, Map>,
    default: u32,
    /// `MEMBER ARGUMENT`, in order.
    calls: Vec<String>,
    /// Who registered an agent.
    agent: String,
    /// Enable or SetDefaultProfile refuses, once, with that sentence.
    refusal: Option<String>,
    /// What Enable makes of the state.
    after_enable: String,
}

type Shared = Arc<Mutex<State>>;

/// The service.
pub struct Service {
    pub connection: Connection,
    state: Shared,
}

impl Service {
    /// On the bus, with these profiles: names, each unregistered.
    pub async fn start(desktop: &Desktop, profiles: &[&str]) -> Service {
        let state = Shared::default();
        for (name, id) in profiles.iter().zip(1..) {
            lock(&state).profiles.insert(id, profile(id, name));
        }
        lock(&state).default = 1;
        lock(&state).after_enable = String::from("registered");
        let connection = desktop.connect().await;
        let server = connection.object_server();
        server.at(names::ROOT_PATH, Registry(state.clone())).await.expect("a free place");
        server.at(names::ROOT_PATH, Manager(state.clone())).await.expect("a free place");
        for (_, id) in profiles.iter().zip(1..) {
            let object = Profile(id, state.clone());
            server.at(profile_path(id), object).await.expect("a free place");
        }
        let service = Service { connection, state };
        service.appear().await;
        service
    }

    /// Takes the name.
    pub async fn appear(&self) {
        self.connection.request_name(names::BUS_NAME).await.expect("it is free");
    }

    /// Gives it back, as at an exit.
    pub async fn vanish(&self) {
        self.connection.release_name(names::BUS_NAME).await.expect("it is ours");
    }

    /// What it was asked, in order.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.state).calls.clone()
    }

    pub fn forget_calls(&self) {
        lock(&self.state).calls.clear();
    }

    /// Waits for a call.
    pub async fn called(&self, call: &str) {
        until(&format!("{call} is called"), async || self.calls().iter().any(|one| one == call)).await;
    }

    /// Who registered an agent.
    pub fn agent(&self) -> String {
        lock(&self.state).agent.clone()
    }

    pub fn refuse(&self, sentence: &str) {
        lock(&self.state).refusal = Some(sentence.into());
    }

    pub fn after_enable(&self, state: &str) {
        lock(&self.state).after_enable = state.into();
    }

    /// Changes properties without a word.
    pub fn set_silently(&self, id: u32, values: &[(&str, Variant<'_>)]) {
        set(&self.state, id, values);
    }

    /// Changes properties, and says so.
    pub async fn set(&self, id: u32, values: &[(&str, Variant<'_>)]) {
        set(&self.state, id, values);
        announce(&self.connection, id, values).await;
    }

    /// A state.
    pub async fn state(&self, id: u32, state: &str, reason: &str) {
        self.set(id, &[("State", state.into()), ("StateReason", reason.into())]).await;
    }

    /// A final error, as far as properties say so.
    pub async fn fail(&self, id: u32, error: &str, message: &str) {
        self.trouble(id, ("unregistered", "error"), error, message).await;
    }

    /// A state with its error.
    pub async fn trouble(&self, id: u32, (state, reason): (&str, &str), error: &str, message: &str) {
        let error = format!("org.sipprofiles.Error.{error}");
        let last = HashMap::from([("name", Variant::from(error)), ("message", Variant::from(message))]);
        let state = ("State", state.into());
        self.set(id, &[state, ("StateReason", reason.into()), ("LastError", Variant::from(last))]).await;
    }

    /// A signal of Registry1 about a profile.
    pub async fn signal(&self, member: &str, id: u32) {
        let path = ObjectPath::try_from(profile_path(id)).expect("a path");
        let (root, interface) = (names::ROOT_PATH, names::REGISTRY_INTERFACE);
        let result = self.connection.emit_signal(None::<&str>, root, interface, member, &(id, path)).await;
        result.expect("the bus takes it");
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

fn owned(value: &Variant<'_>) -> OwnedVariant {
    value.try_to_owned().expect("no file descriptor")
}

fn profile(id: u32, name: &str) -> Map {
    let values = [
        ("Id", Variant::from(id)),
        ("DisplayName", Variant::from(name)),
        ("Aor", Variant::from(format!("sip:{id}@example.org"))),
        ("State", Variant::from("unregistered")),
        ("StateReason", Variant::from("")),
        ("Users", Variant::from(0u32)),
        ("AutoRegister", Variant::from(false)),
        ("RetryAt", Variant::from(0i64)),
        ("NeedsSecret", Variant::from(false)),
    ];
    values.iter().map(|(key, value)| (String::from(*key), owned(value))).collect()
}

fn set(state: &Shared, id: u32, values: &[(&str, Variant<'_>)]) {
    let mut state = lock(state);
    let profile = state.profiles.get_mut(&id).expect("there is that profile");
    for (key, value) in values {
        profile.insert(String::from(*key), owned(value));
    }
}

async fn announce(connection: &Connection, id: u32, values: &[(&str, Variant<'_>)]) {
    let changed: HashMap<&str, &Variant<'_>> = values.iter().map(|(key, value)| (*key, value)).collect();
    let body = (names::PROFILE_INTERFACE, changed, Vec::<&str>::new());
    let (path, interface) = (profile_path(id), "org.freedesktop.DBus.Properties");
    let sent = connection.emit_signal(None::<&str>, path.as_str(), interface, "PropertiesChanged", &body);
    sent.await.expect("the bus takes it");
}

struct Registry(Shared);

#[interface(name = "org.sipprofiles.Registry1")]
impl Registry {
    fn register_secret_agent(
        &self,
        #[zbus(header)] header: Header<'_>,
        agent: ObjectPath<'_>,
        _options: Map,
    ) {
        let mut state = lock(&self.0);
        state.calls.push(format!("RegisterSecretAgent {agent}"));
        state.agent = header.sender().map(|sender| sender.to_string()).unwrap_or_default();
    }

    fn get_default_profile(&self) -> OwnedObjectPath {
        OwnedObjectPath::try_from(profile_path(lock(&self.0).default)).expect("a path")
    }

    async fn set_default_profile(
        &self,
        #[zbus(connection)] connection: &Connection,
        profile: ObjectPath<'_>,
        _options: Map,
    ) -> Result<(), Refused> {
        if let Some(sentence) = lock(&self.0).refusal.take() {
            return Err(Refused::LimitExceeded(sentence));
        }
        let id = names::profile_id(profile.as_str()).expect("a profile's path");
        lock(&self.0).default = id;
        lock(&self.0).calls.push(format!("SetDefaultProfile {id}"));
        let (root, interface) = (names::ROOT_PATH, names::REGISTRY_INTERFACE);
        let sent = connection.emit_signal(None::<&str>, root, interface, "DefaultProfileChanged", &profile);
        sent.await.expect("the bus takes it");
        Ok(())
    }
}

struct Manager(Shared);

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl Manager {
    fn get_managed_objects(&self) -> HashMap<OwnedObjectPath, HashMap<String, Map>> {
        let mut state = lock(&self.0);
        state.calls.push(String::from("GetManagedObjects"));
        let object = |(id, values): (&u32, &Map)| {
            let path = OwnedObjectPath::try_from(profile_path(*id)).expect("a path");
            (path, HashMap::from([(String::from(names::PROFILE_INTERFACE), values.clone())]))
        };
        state.profiles.iter().map(object).collect()
    }
}

struct Profile(u32, Shared);

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.sipprofiles.Error")]
enum Refused {
    LimitExceeded(String),
}

#[interface(name = "org.sipprofiles.Profile1")]
impl Profile {
    async fn enable(
        &self,
        #[zbus(connection)] connection: &Connection,
        _options: Map,
    ) -> Result<String, Refused> {
        let after = {
            let mut state = lock(&self.1);
            state.calls.push(format!("Enable {}", self.0));
            if let Some(sentence) = state.refusal.take() {
                return Err(Refused::LimitExceeded(sentence));
            }
            state.after_enable.clone()
        };
        let values =
            [("State", after.as_str().into()), ("StateReason", "".into()), ("Users", Variant::from(1u32))];
        set(&self.1, self.0, &values);
        announce(connection, self.0, &values).await;
        Ok(after)
    }

    async fn disable(&self, #[zbus(connection)] connection: &Connection, _options: Map) -> bool {
        lock(&self.1).calls.push(format!("Disable {}", self.0));
        let values =
            [("State", "unregistered".into()), ("StateReason", "".into()), ("Users", Variant::from(0u32))];
        set(&self.1, self.0, &values);
        announce(connection, self.0, &values).await;
        true
    }

    fn refresh(&self, _options: Map) {
        lock(&self.1).calls.push(format!("Refresh {}", self.0));
    }

    fn update(&self, set: Map, _unset: Vec<String>, _options: Map) {
        let mut settings: Vec<String> = set.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        settings.sort();
        lock(&self.1).calls.push(format!("Update {} {}", self.0, settings.join(" ")));
    }
}
