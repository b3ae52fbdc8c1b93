//! A desktop without pixels: a private session bus, and on it a service, a panel and a notification server that are
//! values of the test. Only the applet is real.
#![allow(dead_code, reason = "no test file uses all of it")]

pub mod notices;
pub mod panel;
pub mod service;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zbus::Connection;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The session: its bus and its folders.
pub struct Desktop {
    folder: TempDir,
    daemon: Child,
}

impl Desktop {
    /// A session with nothing in it.
    pub fn start() -> Desktop {
        // Beside the build: the applet is linked into it, so that no window program of the build is its neighbour.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let root = folder.path();
        for name in ["bin", "run", "state", "home", "data"] {
            fs::create_dir(root.join(name)).expect("our own folder");
        }
        let config = root.join("bus.conf");
        // A socket's path may have 108 letters only, and a build folder may be deep.
        let sockets = std::env::temp_dir();
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
            sockets.display()
        );
        fs::write(&config, text).expect("our own folder");
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        let out = daemon.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut address).expect("the daemon prints its address");
        fs::write(root.join("address"), address.trim()).expect("our own folder");
        fs::hard_link(env!("CARGO_BIN_EXE_sip-profiles-tray"), root.join("bin/sip-profiles-tray"))
            .expect("the same file system");
        Desktop { folder, daemon }
    }

    fn address(&self) -> String {
        fs::read_to_string(self.path("address")).expect("we wrote it")
    }

    /// A file of the session.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection of this process.
    pub async fn connect(&self) -> Connection {
        let builder = zbus::connection::Builder::address(self.address().as_str());
        builder.build().await.expect("the bus takes connections")
    }

    /// A program that the applet finds; a shell script.
    pub fn program(&self, name: &str, script: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}")).expect("our own folder");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("our own file");
    }

    /// The applet, not started yet, for a service on the same bus.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.arg("--session");
        command
    }

    fn bare_command(&self) -> Command {
        let mut command = Command::new(self.path("bin/sip-profiles-tray"));
        command
            .env_clear()
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_DATA_DIRS", self.path("data"))
            .env("HOME", self.path("home"))
            .env("RIG", self.folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command
    }

    /// Starts the applet.
    pub fn applet(&self) -> Applet {
        self.applet_with(&[])
    }

    /// Starts it with more arguments.
    pub fn applet_with(&self, arguments: &[&str]) -> Applet {
        let mut command = self.command();
        command.args(arguments);
        self.spawn(command)
    }

    /// Starts it with the bus of another one as the system's.
    pub fn applet_of(&self, system: &Desktop) -> Applet {
        let mut command = self.bare_command();
        command.env("DBUS_SYSTEM_BUS_ADDRESS", system.address());
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Applet {
        let log = fs::File::create(self.path("log")).expect("our own folder");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Applet { child: command.spawn().expect("it is built"), log: self.path("log") }
    }

    /// What a script has written.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if let Some(socket) =
            self.address().strip_prefix("unix:path=").and_then(|rest| rest.split(',').next())
        {
            let _ = fs::remove_file(socket);
        }
    }
}

/// The running applet. It ends with the test.
pub struct Applet {
    child: Child,
    log: PathBuf,
}

impl Applet {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the applet ends", async || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        })
        .await;
        status.expect("waited for")
    }

    /// Asks it to end, as the session does.
    pub async fn end(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(self.ended().await.success());
    }
}

impl Drop for Applet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the applet's log ---\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every file below.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
