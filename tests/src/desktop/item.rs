//! The applet as panels see it over the session's bus, and dunst's memory of what it has shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use zbus::{Connection, DynamicType, Message, OwnedVariant, Variant};

use super::{Desktop, until};
use crate::PATIENCE;
use crate::client::text;

/// The applet's item.
#[derive(Clone, Debug)]
pub struct Item {
    /// The applet's process.
    pub pid: Pid,
    /// Its name on the session's bus.
    pub name: String,
    connection: Connection,
}

/// A row of the menu.
#[derive(Clone, Debug)]
pub struct Row {
    /// As it is read.
    pub label: String,
    /// It can be clicked.
    pub enabled: bool,
}

type Properties = HashMap<String, OwnedVariant>;
/// An id, its properties, and the rows below.
type Node = (i32, Properties, Vec<OwnedVariant>);

impl Item {
    pub(super) fn new(connection: &Connection, name: String, pid: Pid) -> Item {
        Item { pid, name, connection: connection.clone() }
    }

    async fn call<B>(&self, path: &str, interface: &str, member: &str, body: &B) -> Message
    where
        B: serde::Serialize + DynamicType,
    {
        let call = self.connection.call_method(Some(self.name.as_str()), path, Some(interface), member, body);
        call.await.unwrap_or_else(|error| panic!("{member}: {error}"))
    }

    async fn property(&self, name: &str) -> OwnedVariant {
        let body = ("org.kde.StatusNotifierItem", name);
        let interface = "org.freedesktop.DBus.Properties";
        let reply = self.call("/StatusNotifierItem", interface, "Get", &body).await;
        reply.body().deserialize().expect("a variant")
    }

    /// The state in the icon's name: `off`, `registered` …
    pub async fn icon(&self) -> String {
        let name = text(&self.property("IconName").await);
        let state = name.strip_prefix("sip-profiles-").and_then(|name| name.strip_suffix("-symbolic"));
        state.unwrap_or_else(|| panic!("the icon is {name:?}")).to_owned()
    }

    /// Waits for the icon of that state.
    pub async fn until_icon(&self, state: &str) {
        until(&format!("the icon says {state}"), async || self.icon().await == state).await;
    }

    /// Title and text of the tooltip.
    pub async fn tooltip(&self) -> (String, String) {
        let value = self.property("ToolTip").await;
        let Variant::Structure(parts) = &*value else { panic!("a tooltip is {value:?}") };
        match parts.fields() {
            [_, _, Variant::Str(title), Variant::Str(text)] => (title.to_string(), text.to_string()),
            other => panic!("a tooltip is {other:?}"),
        }
    }

    /// The rows that are seen, from above, without separators.
    pub async fn rows(&self) -> Vec<Row> {
        let body = (0i32, 1i32, Vec::<&str>::new());
        let reply = self.call("/MenuBar", "com.canonical.dbusmenu", "GetLayout", &body).await;
        let (_, (_, _, rows)): (u32, Node) = reply.body().deserialize().expect("a layout");
        rows.into_iter().filter_map(row).collect()
    }

    /// Waits for a row that starts so.
    pub async fn until_row(&self, label: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows().await;
            if rows.iter().any(|row| row.label.starts_with(label)) {
                return;
            }
            assert!(Instant::now() < end, "no row {label:?} in {rows:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn row(value: OwnedVariant) -> Option<Row> {
    let (_, properties, _) = Node::try_from(value).expect("a row");
    let is = |key: &str, by_default| match properties.get(key).map(|value| &**value) {
        Some(Variant::Bool(is)) => *is,
        _ => by_default,
    };
    let is_separator = properties.get("type").is_some_and(|kind| text(kind) == "separator");
    let label = properties.get("label").map(text).unwrap_or_default().replace("__", "_");
    (is("visible", true) && !is_separator).then(|| Row { label, enabled: is("enabled", true) })
}

impl Desktop {
    /// Titles and texts of the notifications that are over, as dunst remembers them.
    pub async fn past_notices(&self) -> Vec<(String, String)> {
        let (name, path) = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications");
        let interface = Some("org.dunstproject.cmd0");
        let call = self.connection.call_method(Some(name), path, interface, "NotificationListHistory", &());
        let reply = call.await.expect("dunst remembers");
        let all: Vec<Properties> = reply.body().deserialize().expect("a list");
        all.iter().map(|one| (text(&one["summary"]), text(&one["body"]))).collect()
    }

    /// Waits for a notification, clicks it away as people do, and tells what it said.
    pub async fn read_notice(&self) -> (String, String) {
        let before = self.past_notices().await.len();
        let area = self.window(&["--class", "dunst"]).await;
        self.click(area, 1).await;
        until("dunst remembers it", async || self.past_notices().await.len() > before).await;
        // The newest is the first.
        self.past_notices().await.swap_remove(0)
    }
}
