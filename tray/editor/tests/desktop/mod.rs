//! A desktop without pixels that anybody sees: an X server, a session bus with the service on it, a keyboard, and a
//! screen reader's view of the windows.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sip_profiles_tests::{PATIENCE, program};
use tempfile::TempDir;
use zbus::Connection;

/// Everything it started ends with it.
pub struct Desktop {
    directory: TempDir,
    display: String,
    address: String,
    children: Vec<Child>,
}

impl Desktop {
    /// Without the service.
    pub fn start() -> Desktop {
        let directory = tempfile::Builder::new().prefix("sip-profiles-").tempdir().expect("a directory");
        let (xvfb, display) = speaker(
            Command::new("Xvfb")
                .args(["-displayfd", "1", "-screen", "0", "1024x900x24", "-nolisten", "tcp"])
                .stderr(Stdio::null()),
        );
        let display = format!(":{display}");
        let mut desktop = Desktop { directory, display, address: String::new(), children: vec![xvfb] };
        let mut bus = desktop.command("dbus-daemon");
        let (bus, address) =
            speaker(bus.args(["--session", "--nofork", "--print-address"]).stderr(Stdio::null()));
        desktop.address = address;
        desktop.children.push(bus);
        desktop
    }

    /// With the service.
    pub async fn with_service() -> (Desktop, Connection) {
        let mut desktop = Desktop::start();
        let log = std::fs::File::create(desktop.path("log")).expect("our own directory");
        let mut service = desktop.command(program("sip-profiled"));
        desktop.children.push(service.args(["--session", "--log", "debug"]).stderr(log).spawn().unwrap());
        let builder = zbus::connection::Builder::address(desktop.address.as_str());
        let connection = builder.build().await.expect("the bus takes connections");
        let bus = zbus::fdo::DBusProxy::new(&connection).await.unwrap();
        let name = zbus::names::BusName::try_from(sip_profiles::names::BUS_NAME).unwrap();
        let until = Instant::now() + PATIENCE;
        while !bus.name_has_owner(name.clone()).await.unwrap() {
            assert!(Instant::now() < until, "the service does not start: {}", desktop.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (desktop, connection)
    }

    /// What the service has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command that lives on this desktop.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("HOME", self.directory.path())
            .env("GDK_BACKEND", "x11")
            .env("GSK_RENDERER", "cairo")
            .env("GTK_A11Y", "atspi")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XDG_ACTIVATION_TOKEN")
            .env_remove("DESKTOP_STARTUP_ID");
        command
    }

    /// The editor's program.
    pub fn editor_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_sip-profiles-editor"));
        command.args(arguments);
        command
    }

    /// Starts the editor's program with that on its standard input.
    pub fn editor(&self, arguments: &[&str], input: &str) -> Running {
        Running::start(self.editor_command(arguments), input)
    }

    /// When somebody last used the window of that title, as window managers are told; 0 = it wants no keyboard.
    pub fn user_time(&self, title: &str) -> Option<String> {
        let window = self.window(title);
        let mut command = self.command("xprop");
        let output =
            command.args(["-id", &window, "_NET_WM_USER_TIME"]).output().expect("xprop is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_once(" = ").map(|(_, time)| time.trim().to_owned())
    }

    /// Pixels from the upper edge of the window of that title to its lower one.
    pub fn height(&self, title: &str) -> u32 {
        let geometry = self.xdotool(&["getwindowgeometry", "--shell", &self.window(title)]);
        let height = geometry.lines().find_map(|line| line.strip_prefix("HEIGHT="));
        height.and_then(|height| height.parse().ok()).expect("a window has a height")
    }

    fn window(&self, title: &str) -> String {
        let found = self.xdotool(&["search", "--sync", "--onlyvisible", "--name", title]);
        found.lines().next().unwrap_or_default().to_owned()
    }

    /// Waits for a window of that title and gives it the keyboard; there is no window manager to do so.
    pub fn enter(&self, title: &str) {
        let window = self.window(title);
        self.xdotool(&["windowfocus", "--sync", &window]);
    }

    /// Types.
    pub fn types(&self, text: &str) {
        self.xdotool(&["type", "--delay", "5", text]);
    }

    /// Presses keys.
    pub fn press(&self, keys: &[&str]) {
        self.xdotool(&[&["key", "--delay", "20"], keys].concat());
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let mut command = self.command("timeout");
        let output = command.arg("60").arg("xdotool").args(arguments).output().expect("xdotool is installed");
        assert!(output.status.success(), "xdotool {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a screen reader finds in the windows: `role | name | description | focused` lines.
    pub fn tree(&self) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/desktop/tree.py");
        let mut command = self.command("timeout");
        let output = command.args(["60", "/usr/bin/python3", script]).output().expect("timeout is installed");
        let problem = String::from_utf8_lossy(&output.stderr);
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            if output.status.success() { "" } else { &problem }
        )
    }

    /// Waits until a screen reader finds a line with all of `parts`.
    pub fn sees(&self, parts: &[&str]) {
        self.press_until(&[], parts);
    }

    /// The same, pressing `keys` each time: for what is on its way into view, and takes no keys until it is there.
    pub fn press_until(&self, keys: &[&str], parts: &[&str]) {
        let until = Instant::now() + PATIENCE;
        loop {
            if !keys.is_empty() {
                self.press(keys);
            }
            let tree = self.tree();
            if tree.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
                return;
            }
            assert!(Instant::now() < until, "nobody sees {parts:?} in\n{tree}\n{}", self.log());
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
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

/// The editor's program, running.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    /// Starts it with that on its standard input.
    pub fn start(mut command: Command, input: &str) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it is built");
        child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
        Running { child: Some(child) }
    }

    /// Nobody reads its answer any more.
    pub fn abandon(&mut self) {
        drop(self.child.as_mut().and_then(|child| child.stdout.take()));
    }

    /// Ends it as the applet does.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("it runs");
    }

    /// Waits for its end.
    pub fn end(mut self) -> Output {
        let until = Instant::now() + PATIENCE;
        let mut child = self.child.take().expect("it is taken once");
        while child.try_wait().expect("our own child").is_none() {
            if Instant::now() > until {
                let _ = child.kill();
                panic!("it does not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().expect("our own child")
    }

    fn pid(&self) -> Pid {
        let id = self.child.as_ref().map_or(0, Child::id);
        i32::try_from(id).ok().and_then(Pid::from_raw).expect("a pid is positive")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
