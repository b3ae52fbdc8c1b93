//! A panel that shows nothing: the watcher that items register with, and the reader of an item.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use zbus::{Connection, DynamicType, OwnedVariant, Variant, interface};

use super::{Desktop, until};

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const MENU: &str = "com.canonical.dbusmenu";

#[derive(Default)]
struct Watcher {
    items: Arc<Mutex<Vec<String>>>,
    /// The last of them answers the next question, instead of taking the item.
    refusals: Arc<Mutex<Vec<zbus::fdo::Error>>>,
    /// Takes the question, and never answers.
    hangs: bool,
}

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    async fn register_status_notifier_item(&self, service: String) -> zbus::fdo::Result<()> {
        if self.hangs {
            self.items.lock().expect("no holder panics").push(service);
            return std::future::pending().await;
        }
        match self.refusals.lock().expect("no holder panics").pop() {
            Some(error) => Err(error),
            None => {
                self.items.lock().expect("no holder panics").push(service);
                Ok(())
            }
        }
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }
}

/// The panel.
pub struct Panel {
    connection: Connection,
    items: Arc<Mutex<Vec<String>>>,
}

/// A row of the menu.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub id: i32,
    /// As it is sent, with `__`.
    pub label: String,
    pub checked: bool,
    pub enabled: bool,
    pub visible: bool,
    pub rows: Vec<Row>,
}

impl Panel {
    pub async fn start(desktop: &Desktop) -> Panel {
        Panel::refusing(desktop, vec![]).await
    }

    /// One that answers with these errors before it takes items.
    pub async fn refusing(desktop: &Desktop, errors: Vec<zbus::fdo::Error>) -> Panel {
        let refusals = Arc::new(Mutex::new(errors));
        Panel::with(desktop, Watcher { refusals, ..Watcher::default() }).await
    }

    /// One that hangs as soon as an item asks it.
    pub async fn hanging(desktop: &Desktop) -> Panel {
        Panel::with(desktop, Watcher { hangs: true, ..Watcher::default() }).await
    }

    async fn with(desktop: &Desktop, watcher: Watcher) -> Panel {
        let items = Arc::clone(&watcher.items);
        let connection = desktop.connect().await;
        connection.object_server().at("/StatusNotifierWatcher", watcher).await.expect("a free place");
        connection.request_name(WATCHER).await.expect("it is free");
        Panel { connection, items }
    }

    /// How often items have registered.
    pub fn registrations(&self) -> usize {
        self.items.lock().expect("no holder panics").len()
    }

    /// Waits for the item.
    pub async fn item(&self) -> String {
        until("an item registers", async || self.registrations() > 0).await;
        self.items.lock().expect("no holder panics").last().cloned().expect("waited for")
    }

    async fn call<B: serde::Serialize + DynamicType>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<zbus::Message> {
        let item = self.item().await;
        self.connection.call_method(Some(item.as_str()), path, Some(interface), member, body).await
    }

    /// A property of the item.
    pub async fn property(&self, name: &str) -> OwnedVariant {
        let interface = "org.freedesktop.DBus.Properties";
        let body = ("org.kde.StatusNotifierItem", name);
        let reply = self.call("/StatusNotifierItem", interface, "Get", &body).await.expect("it has it");
        reply.body().deserialize().expect("it is a variant")
    }

    /// A property that is text.
    pub async fn text(&self, name: &str) -> String {
        match &*self.property(name).await {
            Variant::Str(text) => text.as_str().to_owned(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Title and text of the tooltip.
    pub async fn tooltip(&self) -> (String, String) {
        let Variant::Structure(parts) = &*self.property("ToolTip").await else { panic!("no structure") };
        match &parts.fields()[2..] {
            [Variant::Str(title), Variant::Str(text)] => (title.to_string(), text.to_string()),
            other => panic!("a tooltip is {other:?}"),
        }
    }

    /// The whole menu.
    pub async fn menu(&self) -> Vec<Row> {
        type Layout = (u32, (i32, HashMap<String, OwnedVariant>, Vec<OwnedVariant>));
        let reply = self
            .call("/MenuBar", MENU, "GetLayout", &(0i32, -1i32, Vec::<&str>::new()))
            .await
            .expect("a menu");
        let (_, (_, _, rows)): Layout = reply.body().deserialize().expect("a layout");
        rows.iter().map(|value| row(value)).collect()
    }

    /// The row with that label, sub-menus included.
    pub async fn find(&self, label: &str) -> Option<Row> {
        fn find(rows: &[Row], label: &str) -> Option<Row> {
            let here = rows.iter().find(|row| row.label == label).cloned();
            here.or_else(|| rows.iter().find_map(|row| find(&row.rows, label)))
        }
        find(&self.menu().await, label)
    }

    /// Waits for a row with that label, and gives it.
    pub async fn row(&self, label: &str) -> Row {
        let mut found = None;
        until(&format!("a row {label:?}"), async || {
            found = self.find(label).await;
            found.is_some()
        })
        .await;
        found.expect("waited for")
    }

    /// Waits for a row whose mark is that.
    pub async fn marked(&self, label: &str, checked: bool) {
        until(&format!("{label:?} is marked: {checked}"), async || {
            self.find(label).await.is_some_and(|row| row.checked == checked)
        })
        .await;
    }

    /// Clicks the row with that label.
    pub async fn click(&self, label: &str) {
        let row = self.row(label).await;
        self.click_row(&row).await;
    }

    /// Clicks a row.
    pub async fn click_row(&self, row: &Row) {
        assert!(row.enabled && row.visible, "{row:?} cannot be clicked");
        let body = (row.id, "clicked", Variant::from(0i32), 0u32);
        self.call("/MenuBar", MENU, "Event", &body).await.expect("the row is there");
    }

    /// A click's activation token, as Wayland panels send it before.
    pub async fn token(&self, token: &str) {
        let interface = "org.kde.StatusNotifierItem";
        let member = "ProvideXdgActivationToken";
        self.call("/StatusNotifierItem", interface, member, &token).await.expect("it takes it");
    }

    /// Waits for an icon.
    pub async fn icon(&self, state: &str) {
        let name = format!("sip-profiles-{state}-symbolic");
        until(&format!("icon {name}"), async || self.text("IconName").await == name).await;
    }

    /// The panel is killed.
    pub async fn kill(self) {
        self.connection.close().await.expect("it was open");
    }
}

fn row(value: &Variant<'_>) -> Row {
    let Variant::Structure(parts) = value else { panic!("a row is {value:?}") };
    let [Variant::I32(id), Variant::Dict(properties), Variant::Array(rows)] = parts.fields() else {
        panic!("a row has {:?}", parts.fields())
    };
    let mut result = Row { id: *id, enabled: true, visible: true, ..Row::default() };
    for (key, value) in properties.iter() {
        let value = match value {
            Variant::Variant(inner) => inner,
            other => other,
        };
        match (key, value) {
            (Variant::Str(key), Variant::Str(text)) if key.as_str() == "label" => {
                result.label = text.to_string()
            }
            (Variant::Str(key), Variant::I32(state)) if key.as_str() == "toggle-state" => {
                result.checked = *state == 1;
            }
            (Variant::Str(key), Variant::Bool(is)) if key.as_str() == "enabled" => result.enabled = *is,
            (Variant::Str(key), Variant::Bool(is)) if key.as_str() == "visible" => result.visible = *is,
            _ => {}
        }
    }
    let inner = rows.inner().iter().map(|one| match one {
        Variant::Variant(inner) => row(inner),
        other => row(other),
    });
    result.rows = inner.collect();
    result
}
