//! The screen, and the hands: what is seen where, mouse and keyboard.

use std::collections::HashMap;
use std::process::{Command, Output, Stdio};

use super::{Desktop, Item, until};
use crate::PATIENCE;

/// Of the screen.
pub const SIZE: &str = "800x600x24";
/// The screen's colour.
pub const BACKGROUND: &str = "#3b5a78";

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its left edge.
    pub x: i32,
    /// Its upper edge.
    pub y: i32,
    /// How wide.
    pub width: i32,
    /// How high.
    pub height: i32,
}

impl Area {
    /// The same with that much around it, as far as the screen goes.
    pub fn grown(self, by: i32) -> Area {
        let (right, below) = ((self.x + self.width + by).min(800), (self.y + self.height + by).min(600));
        let (x, y) = ((self.x - by).max(0), (self.y - by).max(0));
        Area { x, y, width: right - x, height: below - y }
    }

    fn crop(self) -> String {
        format!("{}x{}+{}+{}", self.width, self.height, self.x, self.y)
    }
}

impl Desktop {
    /// Runs a command to its end.
    pub async fn run(&self, command: &mut Command) -> Output {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("")));
        let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output());
        output.await.unwrap_or_else(|_| panic!("{name} does not end")).unwrap_or_else(|_| panic!("{name}"))
    }

    async fn xdotool(&self, arguments: &[&str]) -> String {
        let output = self.run(self.command("xdotool").args(arguments)).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The visible windows that xdotool's `search` finds so.
    pub async fn windows(&self, search: &[&str]) -> Vec<Area> {
        let arguments = [&["search", "--onlyvisible"], search, &["getwindowgeometry", "--shell", "%@"]];
        let text = self.xdotool(&arguments.concat()).await;
        let mut found = Vec::new();
        let mut values = HashMap::new();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            values.insert(key, value.parse().unwrap_or(0));
            if key == "HEIGHT" {
                let get = |key| values.get(key).copied().unwrap_or(0);
                found.push(Area { x: get("X"), y: get("Y"), width: get("WIDTH"), height: get("HEIGHT") });
            }
        }
        found
    }

    /// Waits for the first such window.
    pub async fn window(&self, search: &[&str]) -> Area {
        let mut found = None;
        until(&format!("a window {search:?}"), async || {
            found = self.windows(search).await.first().copied();
            found.is_some()
        })
        .await;
        found.expect("waited for")
    }

    /// Moves the mouse.
    pub async fn point(&self, x: i32, y: i32) {
        self.xdotool(&["mousemove", &x.to_string(), &y.to_string()]).await;
    }

    /// Clicks in the middle, with that button of the mouse.
    pub async fn click(&self, area: Area, button: u8) {
        self.point(area.x + area.width / 2, area.y + area.height / 2).await;
        self.xdotool(&["click", &button.to_string()]).await;
    }

    /// Types into the window that has the keyboard.
    pub async fn types(&self, text: &str) {
        self.xdotool(&["type", "--delay", "10", text]).await;
    }

    /// Presses keys.
    pub async fn press(&self, keys: &[&str]) {
        self.xdotool(&[&["key", "--delay", "20"], keys].concat()).await;
    }

    /// Waits for a window of that title to have the keyboard.
    pub async fn until_keyboard_is_in(&self, title: &str) {
        until(&format!("{title:?} has the keyboard"), async || {
            self.xdotool(&["getactivewindow", "getwindowname"]).await.trim() == title
        })
        .await;
    }

    /// What is seen there.
    pub async fn pixels(&self, area: Area) -> Vec<u8> {
        let mut import = self.command("import");
        import.args(["-silent", "-window", "root", "-crop", &area.crop(), "+repage", "-depth", "8", "rgb:-"]);
        self.run(&mut import).await.stdout
    }

    /// How many colours are seen there: a gap in the panel has two or three.
    pub async fn colours(&self, area: Area) -> usize {
        let pixels = self.pixels(area).await;
        pixels.chunks(3).collect::<std::collections::HashSet<_>>().len()
    }

    /// Saves what is seen there as a picture for the documentation, when `PICTURES` names a folder for them.
    pub async fn picture(&self, name: &str, area: Area) {
        let Some(folder) = std::env::var_os("PICTURES") else { return };
        let file = std::path::Path::new(&folder).join(format!("{name}.png"));
        let mut import = self.command("import");
        import.args(["-silent", "-window", "root", "-crop", &area.crop(), "+repage", "-strip"]);
        import
            .args(["-define", "png:compression-level=9", "-define", "png:exclude-chunks=date,time"])
            .arg(file);
        let output = self.run(&mut import).await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Where the panel shows the applet.
    pub async fn icon(&self) -> Area {
        let mut icon = None;
        until("the panel draws the icon", async || {
            // The status area is a window within the panel's, as wide as its only icon. A panel that starts moves it.
            let areas = self.windows(&["--class", "wrapper-2.0"]).await;
            let area = areas.into_iter().find(|area| area.y < 8 && area.height < 40 && area.width > 8);
            let before = std::mem::replace(&mut icon, area);
            match area {
                Some(area) => before == Some(area) && self.colours(area).await > 6,
                None => false,
            }
        })
        .await;
        icon.expect("waited for")
    }

    /// What hangs below the panel's icon: the open menu, or the tooltip.
    async fn hanging(&self) -> Option<Area> {
        let areas = self.windows(&["--class", "wrapper-2.0"]).await;
        areas.into_iter().find(|area| area.y >= 8 && area.width > 20)
    }

    /// Points at the icon and waits for the tooltip.
    pub async fn tooltip(&self) -> Area {
        let icon = self.icon().await;
        let mut tooltip = None;
        let mut step = 0;
        until("the tooltip is shown", async || {
            // It comes only for a mouse that moves.
            step = 1 - step;
            self.point(icon.x + icon.width / 2 + step, icon.y + icon.height / 2).await;
            let end = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
            while tooltip.is_none() && tokio::time::Instant::now() < end {
                tooltip = self.hanging().await;
            }
            tooltip.is_some()
        })
        .await;
        tooltip.expect("waited for")
    }

    /// Opens the menu as people do.
    pub async fn open_menu(&self) -> Area {
        // A tooltip would be taken for the menu.
        self.point(5, 590).await;
        until("no tooltip and no menu", async || self.hanging().await.is_none()).await;
        self.click(self.icon().await, 1).await;
        let mut menu = None;
        until("the menu opens", async || {
            menu = self.hanging().await.filter(|area| area.height > 100);
            menu.is_some()
        })
        .await;
        menu.expect("waited for")
    }

    /// Opens the menu and clicks on the row that starts so.
    pub async fn choose(&self, item: &Item, label: &str) {
        let menu = self.open_menu().await;
        let rows = item.rows().await;
        let place = rows.iter().position(|row| row.label.starts_with(label));
        let place = place.unwrap_or_else(|| panic!("no row {label:?} in {rows:?}"));
        assert!(rows[place].enabled, "{:?} cannot be clicked", rows[place]);
        // Separators are a line; all other rows have one height.
        let (place, count) = (place as i32, rows.len() as i32);
        let row = Area { y: menu.y + menu.height * place / count, height: menu.height / count, ..menu };
        let before = self.pixels(row).await;
        self.point(row.x + row.width / 2, row.y + row.height / 2).await;
        until("the row lights up", async || self.pixels(row).await != before).await;
        self.click(row, 1).await;
        until("the menu closes", async || self.hanging().await.is_none()).await;
    }

    /// The notification on the screen, if any.
    pub async fn notice(&self) -> Option<Area> {
        self.windows(&["--class", "dunst"]).await.first().copied()
    }
}
