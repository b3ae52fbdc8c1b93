//! A desktop on a screen that nobody sees: an X server with a window manager, XFCE's panel and dunst for notifications,
//! on a session bus of its own. The applet on it finds the service on the bus that it is given.

mod item;
mod screen;
mod session;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use zbus::Connection;
use zbus::fdo::DBusProxy;

pub use item::Item;
pub use screen::Area;

use crate::bus::Bus;
use crate::{PATIENCE, program};

/// The session. Everything it started ends with it.
pub struct Desktop {
    directory: TempDir,
    display: String,
    /// To the session's bus.
    pub connection: Connection,
    /// What ends first is last.
    processes: Vec<Child>,
}

impl Desktop {
    /// Starts one, and waits until the panel is there.
    pub async fn start() -> Desktop {
        let mut desktop = Desktop::without_panel().await;
        desktop.panel().await;
        desktop
    }

    /// Starts one whose panel is late.
    pub async fn without_panel() -> Desktop {
        let directory = tempfile::Builder::new().prefix("sip-profiles-").tempdir().expect("a directory");
        session::prepare(directory.path());
        let (xserver, display) = speaker(
            Command::new("Xvfb")
                .args(["-displayfd", "1", "-screen", "0", screen::SIZE, "-nolisten", "tcp", "-noreset"])
                .stderr(Stdio::null()),
        );
        let mut daemon = Command::new("dbus-daemon");
        daemon.arg("--config-file").arg(directory.path().join("bus.conf"));
        let (daemon, address) = speaker(daemon.args(["--nofork", "--print-address"]).stderr(Stdio::null()));
        let connection = zbus::connection::Builder::address(address.as_str());
        let connection = connection.build().await.expect("the bus takes connections");
        let display = format!(":{display}");
        let mut desktop = Desktop { directory, display, connection, processes: vec![xserver, daemon] };
        desktop.furnish().await;
        desktop
    }

    async fn furnish(&mut self) {
        self.run(self.command("xsetroot").args(["-solid", screen::BACKGROUND])).await;
        self.spawn(self.command(session::settings_daemon()));
        self.owned("org.xfce.Xfconf").await;
        let mut manager = self.command("xfwm4");
        manager.arg("--compositor=off");
        self.spawn(manager);
        let mut notices = self.command("dunst");
        notices.arg("-config").arg(self.path("dunstrc"));
        self.spawn(notices);
        self.owned("org.freedesktop.Notifications").await;
    }

    /// Starts the panel.
    pub async fn panel(&mut self) {
        self.spawn(self.command("xfce4-panel"));
        self.owned("org.kde.StatusNotifierWatcher").await;
    }

    /// Starts the applet for the service on `bus`, and waits until it is on the session's bus.
    pub async fn applet(&mut self, bus: &Bus, arguments: &[&str]) -> Item {
        let mut applet = self.command(program("sip-profiles-tray"));
        applet.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address()).args(arguments);
        let pid = self.spawn(applet);
        let name = format!("org.kde.StatusNotifierItem-{}-1", pid.as_raw_pid());
        self.owned(&name).await;
        Item::new(&self.connection, name, pid)
    }

    /// A file of the session.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command that lives on this desktop.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.path("bus").display()))
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_CURRENT_DESKTOP", "XFCE")
            .env("LANG", "C.UTF-8")
            .env("GDK_BACKEND", "x11")
            .env("GSK_RENDERER", "cairo")
            .env("GTK_A11Y", "none")
            .env("NO_AT_BRIDGE", "1")
            .stdin(Stdio::null());
        command
    }

    fn spawn(&mut self, mut command: Command) -> Pid {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("our own file");
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let pid = Pid::from_child(&child);
        self.processes.push(child);
        pid
    }

    async fn owned(&self, name: &str) {
        let bus = DBusProxy::new(&self.connection).await.expect("the bus");
        let name = zbus::names::BusName::try_from(name).expect("a name");
        until(&format!("{name} is on the session's bus"), async || {
            bus.name_has_owner(name.clone()).await.expect("the bus answers")
        })
        .await;
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if let Some(folder) = std::env::var_os("PICTURES").filter(|_| std::thread::panicking()) {
            let file = Path::new(&folder).join(format!("failed{}.png", self.display));
            let _ = self.command("import").args(["-window", "root"]).arg(file).status();
        }
        // The applet takes its windows along, the X server everything that has one.
        for child in self.processes.iter_mut().rev() {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
            let end = Instant::now() + Duration::from_secs(2);
            while child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- the desktop's log ---\n{}",
                fs::read_to_string(self.path("log")).unwrap_or_default()
            );
        }
    }
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts something that says on its first line where it is.
fn speaker(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it is installed");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("it says where it is");
    assert!(!line.trim().is_empty(), "{command:?} says nothing");
    (child, line.trim().to_owned())
}

fn make_private(folder: &Path) {
    fs::create_dir_all(folder).expect("our own directory");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("our own directory");
}
