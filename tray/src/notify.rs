//! Notifications: plain calls of org.freedesktop.Notifications, one at a time.

use std::collections::HashMap;

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::proxy::CacheProperties;
use zbus::{Connection, Variant, proxy};

use crate::app::Message;
use crate::icons;
use crate::model::{Button, Event, Icon, Note, Subject};
use crate::text;

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[allow(clippy::too_many_arguments)]
    fn notify(
        &self,
        application: &str,
        replaces: u32,
        icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        expires: i32,
    ) -> zbus::Result<u32>;

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
    ids: HashMap<Subject, u32>,
    tokens: HashMap<u32, String>,
}

async fn serve(
    connection: &Connection,
    mut queue: UnboundedReceiver<Order>,
    own: UnboundedSender<Order>,
    to: UnboundedSender<Message>,
) -> zbus::Result<()> {
    let proxy = NotificationsProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
    forward(&proxy, &own).await?;
    let mut shown = Shown { proxy, ids: HashMap::new(), tokens: HashMap::new() };
    while let Some(order) = queue.recv().await {
        match order {
            Order::Tell(note) => {
                let subject = note.subject;
                let buttons = shown.tell(note).await.unwrap_or_else(|error| {
                    eprintln!("sip-profiles-tray: notification: {error}");
                    false
                });
                let _ = to.send(Message::Event(Event::Told(subject, buttons)));
            }
            Order::Untell(subject) => {
                if let Some(id) = shown.ids.remove(&subject) {
                    // It may be gone already, which is an error of some servers.
                    let _ = shown.proxy.close_notification(id).await;
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
                    shown.ids.remove(&subject);
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
    Ok(())
}

impl Shown {
    /// Shows it in the place of the last one about the same; with buttons?
    async fn tell(&mut self, note: Note) -> zbus::Result<bool> {
        // Asked each time, as another server may run by now.
        let able = self.proxy.get_capabilities().await?;
        let has = |name: &str| able.iter().any(|one| one == name);
        let body = if has("body-markup") { text::markup(&note.body) } else { note.body };
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
        let replaces = self.ids.get(&note.subject).copied().unwrap_or(0);
        let application = text::applet();
        let call =
            self.proxy.notify(&application, replaces, &icon, &note.title, &body, &actions, hints, expires);
        self.ids.insert(note.subject, call.await?);
        Ok(buttons)
    }

    fn subject(&self, id: u32) -> Option<Subject> {
        self.ids.iter().find(|&(_, &one)| one == id).map(|(&subject, _)| subject)
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
