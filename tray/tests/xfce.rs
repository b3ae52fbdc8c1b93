//! A real panel, on a display that nobody sees. Not in the fast ring; it needs Debian's xvfb, xdotool, imagemagick,
//! xfconf, xfce4-panel, librsvg2-common and hicolor-icon-theme:
//!
//!     cargo test -p sip-profiles-tray --test xfce -- --ignored

mod rig;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rig::service::Service;
use rig::{Desktop, until};
use zbus::fdo::DBusProxy;

const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array"><value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty"><property name="plugin-1" type="string" value="systray"/></property>
</channel>
"#;

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Screen<'a> {
    desktop: &'a Desktop,
    display: String,
    _server: Process,
}

impl Screen<'_> {
    fn start(desktop: &Desktop) -> Screen<'_> {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "700x420x24", "-nolisten", "tcp"]);
        let mut server =
            server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Xvfb is installed");
        let mut number = String::new();
        let out = server.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut number).expect("it says its number");
        Screen { desktop, display: format!(":{}", number.trim()), _server: Process(server) }
    }

    fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", self.desktop.read("address"))
            .env("HOME", self.desktop.path("home"))
            .env("XDG_CONFIG_HOME", self.desktop.path("home/.config"))
            .env("XDG_RUNTIME_DIR", self.desktop.path("run"))
            .env("NO_AT_BRIDGE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn spawn(&self, program: impl Into<PathBuf>) -> Process {
        let program = program.into();
        Process(self.command(&program).spawn().unwrap_or_else(|error| panic!("{program:?}: {error}")))
    }

    fn xdotool(&self, arguments: &str) {
        let status = self.command("xdotool").args(arguments.split(' ')).status();
        assert!(status.expect("xdotool is installed").success());
    }

    /// How many colours there are where the icon is.
    fn colours(&self) -> usize {
        let mut command = self.command("import");
        command.args(["-window", "root", "-crop", "24x24+14+4", "txt:-"]);
        let output = command.stdout(Stdio::piped()).output().expect("imagemagick is installed");
        // `X,Y: (R,G,B) #RRGGBB NAME`
        let text = String::from_utf8_lossy(&output.stdout);
        let colours: BTreeSet<&str> =
            text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        colours.len()
    }
}

fn settings_daemon() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut files = folders.map(|folder| folder.path().join("xfce4/xfconf/xfconfd"));
    files.find(|file| file.is_file()).expect("xfconf is installed")
}

#[tokio::test]
#[ignore = "needs a real panel"]
async fn a_late_panel_draws_the_icon_and_a_click_takes_the_hold() {
    let desktop = Desktop::start();
    let folder = desktop.path("home/.config/xfce4/xfconf/xfce-perchannel-xml");
    fs::create_dir_all(&folder).expect("our own folder");
    fs::write(folder.join("xfce4-panel.xml"), PANEL).expect("our own folder");
    let service = Service::start(&desktop, &["Home_office & <b>"]).await;
    let _applet = desktop.applet();
    service.called("GetManagedObjects").await;

    let screen = Screen::start(&desktop);
    let bus = DBusProxy::new(&service.connection).await.expect("the bus");
    let has = async |name: &str| {
        bus.name_has_owner(name.try_into().expect("a name")).await.expect("the bus answers")
    };
    let _settings = screen.spawn(settings_daemon());
    until("xfconfd is there", async || has("org.xfce.Xfconf").await).await;
    let _panel = screen.spawn("xfce4-panel");
    until("the panel is there", async || has("org.kde.StatusNotifierWatcher").await).await;
    // A gap has one colour, or two with the panel's border.
    until("the icon is drawn", async || screen.colours() > 6).await;

    until("Enable is called", async || {
        // Down goes to the first row that can be clicked.
        screen.xdotool("mousemove 28 16 click 1");
        tokio::time::sleep(Duration::from_millis(400)).await;
        screen.xdotool("key Down Return Escape");
        tokio::time::sleep(Duration::from_millis(400)).await;
        service.calls().iter().any(|call| call == "Enable 1")
    })
    .await;
}
