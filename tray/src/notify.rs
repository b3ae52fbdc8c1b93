//! Notifications: plain calls of org.freedesktop.Notifications, one at a time.

use std::collections::HashMap;

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::proxy::CacheProperties;
use zbus::{Connection, Variant, proxy};

use crate::app::Message;
use crate::icons;
use crate::model::{Button, Event, Icon, Note, Subject};
use crate::{plain, text};

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    fn close_notification(&self, id: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, key: String) -> zbus::Result<()>;

    #[zbus(signal)]
    fn activation_token(&self, id: u32, token: String) -> zbus::Result<()>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// What this task does, one after the other.
pub enum Order {
    /// Show one.
    Tell(Note),
    /// Take it away.
    Untell(Subject),
    /// A button was pressed.
    Pressed(u32, String),
    /// The token that comes before a button's press.
    Token(u32, String),
    /// It is gone from the screen.
    Closed(u32),
    /// Another server, or none.
    Server(Option<String>),
}

/// Starts the task.
pub fn start(connection: Connection, to: UnboundedSender<Message>) -> UnboundedSender<Order> {
    let (orders, queue) = unbounded_channel();
    let own = orders.clone();
    tokio::spawn(async move {
        if let Err(error) = serve(&connection, queue, own, to).await {
            eprintln!("sip-profiles-tray: notifications: {error}");
        }
    });
    orders
}

struct Shown {
    proxy: NotificationsProxy<'static>,
    places: HashMap<Subject, Place>,
    tokens: HashMap<u32, String>,
    /// What no server has taken: at login it may be late.
    untold: HashMap<Subject, Note>,
}

/// Where a note is shown. The next server counts its numbers anew: they are other programs' then.
struct Place {
    server: Option<String>,
    id: u32,
}

async fn serve(
    connection: &Connection,
    mut queue: UnboundedReceiver<Order>,
    own: UnboundedSender<Order>,
    to: UnboundedSender<Message>,
) -> zbus::Result<()> {
    let proxy = NotificationsProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
    forward(&proxy, &own).await?;
    let (places, tokens, untold) = Default::default();
    let mut shown = Shown { proxy, places, tokens, untold };
    while let Some(order) = queue.recv().await {
        match order {
            Order::Tell(note) => shown.tell(note, &to).await,
            Order::Untell(subject) => {
                shown.untold.remove(&subject);
                if let Some(place) = shown.places.remove(&subject) {
                    // It may be gone already, which is an error of some servers.
                    let _ = shown.proxy.close_notification(place.id).await;
                }
            }
            Order::Token(id, token) => {
                if shown.subject(id).is_some() {
                    shown.tokens.insert(id, token);
                }
            }
            Order::Pressed(id, key) => {
                if let (Some(subject), Some(button)) = (shown.subject(id), button(&key)) {
                    let token = shown.tokens.remove(&id);
                    let _ = to.send(Message::Event(Event::Pressed(subject, button, token)));
                }
            }
            Order::Closed(id) => {
                shown.tokens.remove(&id);
                if let Some(subject) = shown.subject(id) {
                    shown.places.remove(&subject);
                }
            }
            Order::Server(server) => {
                shown.places.retain(|_, place| place.server == server);
                shown.tokens.clear();
                if server.is_some() {
                    for (_, note) in std::mem::take(&mut shown.untold) {
                        shown.tell(note, &to).await;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A task for each stream that only forwards: one that is not drained would stall the connection.
async fn forward(proxy: &NotificationsProxy<'static>, own: &UnboundedSender<Order>) -> zbus::Result<()> {
    let mut pressed = proxy.receive_action_invoked().await?;
    let mut tokens = proxy.receive_activation_token().await?;
    let mut closed = proxy.receive_notification_closed().await?;
    let mut servers = proxy.inner().receive_owner_changed().await?;
    let to = own.clone();
    tokio::spawn(async move {
        while let Some(signal) = pressed.next().await {
            if let Ok(one) = signal.args() {
                let _ = to.send(Order::Pressed(one.id, one.key.clone()));
            }
        }
    });
    let to = own.clone();
    tokio::spawn(async move {
        while let Some(signal) = tokens.next().await {
            if let Ok(one) = signal.args() {
                let _ = to.send(Order::Token(one.id, one.token.clone()));
            }
        }
    });
    let to = own.clone();
    tokio::spawn(async move {
        while let Some(signal) = closed.next().await {
            if let Ok(one) = signal.args() {
                let _ = to.send(Order::Closed(one.id));
            }
        }
    });
    let to = own.clone();
    tokio::spawn(async move {
        while let Some(server) = servers.next().await {
            let _ = to.send(Order::Server(server.map(|name| name.to_string())));
        }
    });
    Ok(())
}

impl Shown {
    async fn tell(&mut self, note: Note, to: &UnboundedSender<Message>) {
        let subject = note.subject;
        // The end of something that nobody was told of is no news.
        if self.untold.remove(&subject).is_some() && note.quiet {
            return;
        }
        let buttons = self.show(&note).await.unwrap_or_else(|error| {
            eprintln!("sip-profiles-tray: notification: {error}");
            self.untold.insert(subject, note);
            false
        });
        let _ = to.send(Message::Event(Event::Told(subject, buttons)));
    }

    /// Shows it in the place of the last one about the same; with buttons?
    async fn show(&mut self, note: &Note) -> zbus::Result<bool> {
        // Asked each time, as another server may run by now.
        let able = self.proxy.get_capabilities().await?;
        let has = |name: &str| able.iter().any(|one| one == name);
        let body = if has("body-markup") { plain::markup(&note.body) } else { note.body.clone() };
        let buttons = has("actions");
        let mut actions = Vec::new();
        for (button, label) in note.buttons.iter().filter(|_| buttons) {
            actions.extend([key(*button), label.as_str()]);
        }
        let hints = HashMap::from([
            ("urgency", Variant::from(if note.quiet { 0u8 } else { 1u8 })),
            ("suppress-sound", Variant::from(note.quiet)),
            ("desktop-entry", Variant::from("org.sipprofiles.Tray")),
        ]);
        // A question stays until it is answered or taken back.
        let expires = if matches!(note.subject, Subject::Prompt | Subject::Question(_)) { 0 } else { -1 };
        let icon = match note.subject {
            Subject::Trouble(_) if note.quiet => icons::name(Icon::Registered),
            Subject::Trouble(_) | Subject::Failure(_) => icons::name(Icon::Error),
            _ => String::from("org.sipprofiles.Tray"),
        };
        let replaces = self.places.get(&note.subject).map_or(0, |place| place.id);
        let notice = (text::applet(), replaces, icon, &note.title, body, actions, hints, expires);
        let reply = self.proxy.inner().call_method("Notify", &notice).await?;
        let server = reply.header().sender().map(|name| name.to_string());
        self.places.insert(note.subject, Place { server, id: reply.body().deserialize()? });
        Ok(buttons)
    }

    fn subject(&self, id: u32) -> Option<Subject> {
        self.places.iter().find(|(_, place)| place.id == id).map(|(&subject, _)| subject)
    }
}

const KEYS: [(Button, &str); 5] = [
    (Button::Retry, "retry"),
    (Button::Edit, "edit"),
    (Button::Password, "password"),
    (Button::TurnOff, "turn-off"),
    (Button::Keep, "keep"),
];

fn key(button: Button) -> &'static str {
    KEYS.iter().find(|(one, _)| *one == button).map_or("", |(_, key)| key)
}

fn button(key: &str) -> Option<Button> {
    KEYS.iter().find(|(_, one)| *one == key).map(|(button, _)| *button)
}
