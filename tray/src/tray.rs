//! The StatusNotifierItem: shows a view, and sends clicks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ksni::menu::{CheckmarkItem, RadioGroup, RadioItem, StandardItem, SubMenu};
use ksni::{Category, Handle, MenuItem, OfflineReason, Status, ToolTip, TrayMethods};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use zbus::Connection;
use zbus::fdo::DBusProxy;

use crate::app::Message;
use crate::model::{Click, Event, Icon, View};
use crate::{icons, plain, text};

/// Who keeps a panel's items.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
/// Between the tries to get onto the session bus and into the panel: at login it is often late.
const RETRIES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// What the panel asks.
pub struct Item {
    view: View,
    theme_path: String,
    /// A watcher would not have it, or there was none to ask.
    refused: Arc<Notify>,
    to: UnboundedSender<Message>,
}

/// Puts the item into the panel, however long that takes, as often as it is needed, and hands its handle over.
pub async fn appear(desktop: Connection, to: UnboundedSender<Message>) -> zbus::Result<()> {
    let bus = DBusProxy::new(&desktop).await?;
    let theme_path = icons::theme_path();
    let mut waits = RETRIES.into_iter();
    loop {
        let refused = Arc::new(Notify::new());
        let (view, theme_path, to) = (View::default(), theme_path.clone(), to.clone());
        let item = Item { view, theme_path, refused: refused.clone(), to: to.clone() };
        match item.assume_sni_available(true).spawn().await {
            Ok(handle) => {
                let _ = to.send(Message::Tray(handle.clone()));
                if refused.notified().now_or_never().is_some() {
                    refused.notify_one();
                } else {
                    let _ = to.send(Message::Event(Event::TrayFound));
                    waits = RETRIES.into_iter();
                }
                in_vain(&bus, &refused).await?;
                handle.shutdown().await;
            }
            Err(_) => {
                let _ = to.send(Message::Event(Event::TrayMissing));
            }
        }
        tokio::time::sleep(waits.next().unwrap_or(RETRIES[4])).await;
    }
}

/// Waits until the item was refused although a watcher is there: one that came between the item's question and its
/// look at the bus, or that has its name before its object. The library does not ask it again.
async fn in_vain(bus: &DBusProxy<'_>, refused: &Notify) -> zbus::Result<()> {
    loop {
        refused.notified().await;
        if bus.name_has_owner(WATCHER.try_into()?).await? {
            return Ok(());
        }
    }
}

/// An item that is kept up to date by a task of its own: a panel that hangs holds it up, and nothing else.
pub struct Shown {
    views: watch::Sender<View>,
    task: JoinHandle<()>,
}

impl Shown {
    /// Starts the task.
    pub fn new(handle: Handle<Item>) -> Self {
        let (views, mut wanted) = watch::channel(View::default());
        let task = tokio::spawn(async move {
            while wanted.changed().await.is_ok() {
                let view = wanted.borrow_and_update().clone();
                handle.update(|item| item.view = view).await;
            }
            handle.shutdown().await;
        });
        Self { views, task }
    }

    /// Shows a view.
    pub fn show(&self, view: View) {
        self.views.send_replace(view);
    }

    /// Takes the item away.
    pub async fn close(self) {
        drop(self.views);
        let _ = self.task.await;
    }
}

impl Item {
    fn click(&self, click: Click) {
        // The panel sends the token just before the click; one that comes later is not waited for here, as this
        // callback holds up the whole item.
        let token = ksni::current_xdg_activation_token();
        let _ = self.to.send(Message::Event(Event::Clicked(click, token)));
    }

    fn accounts(&self) -> Vec<MenuItem<Self>> {
        let row = |(place, row): (usize, &crate::model::Row)| {
            let id = row.id;
            CheckmarkItem {
                label: escaped(&row.label),
                checked: row.checked,
                enabled: self.view.service,
                activate: Box::new(move |item: &mut Self| {
                    // Set at once, as some panels have flipped it already; the service's answer follows.
                    let Some(row) = item.view.rows.get_mut(place).filter(|row| row.id == id) else { return };
                    row.checked = !row.checked;
                    let on = row.checked;
                    item.click(Click::Toggle(id, on));
                }),
                ..CheckmarkItem::default()
            }
            .into()
        };
        self.view.rows.iter().enumerate().map(row).collect()
    }

    fn default_account(&self) -> MenuItem<Self> {
        let ids: Vec<u32> = self.view.rows.iter().map(|row| row.id).collect();
        let option = |row: &crate::model::Row| RadioItem { label: name(&row.name), ..RadioItem::default() };
        let group = RadioGroup {
            selected: self.view.default.unwrap_or(usize::MAX),
            select: Box::new(move |item: &mut Self, place| {
                if let Some(&id) = ids.get(place) {
                    item.view.default = Some(place);
                    item.click(Click::Default(id));
                }
            }),
            options: self.view.rows.iter().map(option).collect(),
        };
        SubMenu {
            label: text::default_account(),
            enabled: self.view.service && !self.view.rows.is_empty(),
            submenu: vec![group.into()],
            ..SubMenu::default()
        }
        .into()
    }

    fn edit_account(&self) -> MenuItem<Self> {
        let row = |row: &crate::model::Row| self.standard(name(&row.name), true, Click::Edit(row.id));
        SubMenu {
            label: text::edit_account(),
            enabled: self.view.service && !self.view.rows.is_empty(),
            submenu: self.view.rows.iter().map(row).collect(),
            ..SubMenu::default()
        }
        .into()
    }

    fn standard(&self, label: String, enabled: bool, click: Click) -> MenuItem<Self> {
        StandardItem {
            label,
            enabled,
            activate: Box::new(move |item: &mut Self| item.click(click.clone())),
            ..StandardItem::default()
        }
        .into()
    }

    /// A row that is always there and mostly not seen: panels misdraw a menu that grows while it is open.
    fn at_times(&self, label: Option<&String>, click: Click) -> MenuItem<Self> {
        StandardItem {
            label: label.map(|label| escaped(label)).unwrap_or_default(),
            visible: label.is_some(),
            activate: Box::new(move |item: &mut Self| item.click(click.clone())),
            ..StandardItem::default()
        }
        .into()
    }
}

impl ksni::Tray for Item {
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        String::from("sip-profiles-tray")
    }

    fn category(&self) -> Category {
        Category::Communications
    }

    fn title(&self) -> String {
        self.view.summary.clone()
    }

    fn status(&self) -> Status {
        if self.view.icon == Icon::Error { Status::NeedsAttention } else { Status::Active }
    }

    fn icon_theme_path(&self) -> String {
        self.theme_path.clone()
    }

    fn icon_name(&self) -> String {
        icons::name(self.view.icon)
    }

    fn attention_icon_name(&self) -> String {
        icons::name(Icon::Error)
    }

    fn tool_tip(&self) -> ToolTip {
        let lines: Vec<String> = self.view.lines.iter().map(|line| plain::markup(line)).collect();
        ToolTip {
            icon_name: icons::name(self.view.icon),
            icon_pixmap: Vec::new(),
            title: self.view.summary.clone(),
            // GTK's markup knows no <br/>, and shows nothing at all where one is.
            description: lines.join("\n"),
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let view = &self.view;
        let summary =
            StandardItem { label: escaped(&view.summary), enabled: false, ..StandardItem::default() };
        let mut menu = vec![summary.into(), MenuItem::Separator];
        menu.extend(self.accounts());
        menu.extend([
            MenuItem::Separator,
            self.default_account(),
            self.standard(text::retry_now(), view.retry, Click::Retry),
            self.at_times(view.question.as_ref(), Click::TurnOff),
            self.at_times(view.password.as_ref(), Click::Password),
            self.edit_account(),
            self.standard(text::add_account(), true, Click::Add),
            MenuItem::Separator,
            self.standard(text::quit(), true, Click::Quit),
        ]);
        menu
    }

    fn watcher_online(&self) {
        let _ = self.to.send(Message::Event(Event::TrayFound));
    }

    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        if !matches!(reason, OfflineReason::No) {
            self.refused.notify_one();
        }
        let _ = self.to.send(Message::Event(Event::TrayMissing));
        true
    }
}

/// A label: a single `_` would underline the letter that follows.
fn escaped(label: &str) -> String {
    label.replace('_', "__")
}

fn name(name: &str) -> String {
    escaped(&plain::isolated(name))
}
