//! A notification server that remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use zbus::{Connection, OwnedVariant, Variant, interface};

use super::{Desktop, until};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// A notification.
#[derive(Clone, Debug, Default)]
pub struct Notice {
    pub id: u32,
    pub replaces: u32,
    pub title: String,
    pub body: String,
    /// Keys only.
    pub actions: Vec<String>,
    pub urgency: u8,
}

#[derive(Default)]
struct State {
    capabilities: Vec<String>,
    shown: Vec<Notice>,
    closed: Vec<u32>,
}

struct Server(Arc<Mutex<State>>);

#[interface(name = "org.freedesktop.Notifications")]
impl Server {
    fn get_capabilities(&self) -> Vec<String> {
        self.0.lock().expect("no holder panics").capabilities.clone()
    }

    #[allow(clippy::too_many_arguments, reason = "the interface has them")]
    fn notify(
        &self,
        _application: String,
        replaces: u32,
        _icon: String,
        title: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        _expires: i32,
    ) -> u32 {
        let mut state = self.0.lock().expect("no holder panics");
        let next = u32::try_from(state.shown.len()).expect("few") + 100;
        let id = if replaces == 0 { next } else { replaces };
        let urgency = match hints.get("urgency").map(|value| &**value) {
            Some(Variant::U8(urgency)) => *urgency,
            other => panic!("urgency is {other:?}"),
        };
        let actions = actions.into_iter().step_by(2).collect();
        state.shown.push(Notice { id, replaces, title, body, actions, urgency });
        id
    }

    fn close_notification(&self, id: u32) {
        self.0.lock().expect("no holder panics").closed.push(id);
    }
}

/// The server.
pub struct Notices {
    connection: Connection,
    state: Arc<Mutex<State>>,
}

impl Notices {
    /// One with buttons and markup.
    pub async fn start(desktop: &Desktop) -> Notices {
        Self::start_with(desktop, &["actions", "body", "body-markup"]).await
    }

    pub async fn start_with(desktop: &Desktop, capabilities: &[&str]) -> Notices {
        let capabilities = capabilities.iter().map(|one| String::from(*one)).collect();
        let state = Arc::new(Mutex::new(State { capabilities, ..State::default() }));
        let connection = desktop.connect().await;
        connection.object_server().at(PATH, Server(state.clone())).await.expect("a free place");
        connection.request_name(NAME).await.expect("it is free");
        Notices { connection, state }
    }

    /// The server is killed.
    pub async fn kill(self) {
        self.connection.close().await.expect("it was open");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// All that was shown, in order.
    pub fn all(&self) -> Vec<Notice> {
        self.lock().shown.clone()
    }

    /// What was taken away, in order.
    pub fn closings(&self) -> Vec<u32> {
        self.lock().closed.clone()
    }

    /// Waits for one whose title contains `part`.
    pub async fn one(&self, part: &str) -> Notice {
        let mut found = None;
        until(&format!("a notice {part:?}"), async || {
            found = self.all().into_iter().rfind(|notice| notice.title.contains(part));
            found.is_some()
        })
        .await;
        found.expect("waited for")
    }

    /// Waits until it is taken away.
    pub async fn closed(&self, id: u32) {
        until(&format!("notice {id} is closed"), async || self.lock().closed.contains(&id)).await;
    }

    /// Presses a button, with a token before.
    pub async fn press(&self, id: u32, key: &str, token: &str) {
        let send = async |member: &str, text: &str| {
            let sent = self.connection.emit_signal(None::<&str>, PATH, NAME, member, &(id, text)).await;
            sent.expect("the bus takes it");
        };
        send("ActivationToken", token).await;
        send("ActionInvoked", key).await;
    }
}
