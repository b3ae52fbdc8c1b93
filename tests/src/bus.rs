//! A private message bus with the service on it, started by the bus itself as on a real system.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Gid, Pid, Signal, Uid, kill_process, test_kill_process};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use tempfile::TempDir;
use zbus::Connection;

use crate::{PATIENCE, program};

/// How the service is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--idle-timeout`.
    pub idle_timeout: f64,
    /// `--log`.
    pub log: String,
    /// What to put in front of the service's command, to run it elsewhere.
    pub wrapper: String,
    /// The service runs as that user, whom policies then name in place of sip-profiles, instead of as root.
    pub user: Option<(&'static str, u32)>,
}

impl Options {
    /// The service lives on the network's laptop.
    pub fn on(network: &crate::network::Network) -> Self {
        Self { wrapper: network.on_laptop(), ..Self::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { idle_timeout: 30.0, log: String::from("debug"), wrapper: String::new(), user: None }
    }
}

/// A private bus. Everything it started ends with it.
pub struct Bus {
    directory: TempDir,
    daemon: Child,
}

impl Bus {
    /// Starts a bus that activates the service.
    pub fn start(options: Options) -> Bus {
        let directory = tempfile::Builder::new().prefix("sip-profiles-").tempdir().expect("a directory");
        let root = directory.path();
        // Clients of other users must reach the socket.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("our own directory");
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../dbus/install/org.sipprofiles.conf");
        let mut shipped = PathBuf::from(shipped);
        if let Some(user) = options.user {
            shipped = settle(root, &shipped, user).expect("our own directory");
        }
        fs::create_dir(root.join("services")).expect("our own directory");
        fs::write(root.join("bus.conf"), bus_config(root, &shipped)).expect("our own directory");
        fs::write(root.join("services/org.sipprofiles.service"), activation(root))
            .expect("our own directory");
        let starter = root.join("start-service");
        fs::write(&starter, start_script(root, &options)).expect("our own directory");
        fs::set_permissions(&starter, fs::Permissions::from_mode(0o755)).expect("our own file");
        let daemon = start_daemon(root);
        Bus { directory, daemon }
    }

    /// Ends the bus daemon and starts another one at the same address, with another GUID and no names.
    pub async fn restart(&mut self) {
        let service = self.service_pid();
        self.daemon.kill().and_then(|()| self.daemon.wait()).expect("our own process");
        let until = Instant::now() + PATIENCE;
        while is_running(service) {
            assert!(Instant::now() < until, "the service outlives its bus; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fs::remove_file(self.path("bus")).or_else(when_gone).expect("our own directory");
        self.daemon = start_daemon(self.directory.path());
    }

    /// The bus address.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.path("bus").display())
    }

    /// A file of the rig.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new connection of this process.
    pub async fn connect(&self) -> Connection {
        let builder = zbus::connection::Builder::address(self.address().as_str());
        builder.build().await.expect("the bus takes connections")
    }

    /// A new connection of this process that the bus takes for one of another user's, whom the system must know.
    pub async fn connect_as(&self, uid: u32) -> Connection {
        let builder = zbus::connection::Builder::unix_stream(self.socket_of(uid)).user_id(uid);
        builder.build().await.expect("the bus takes connections")
    }

    /// A socket to the bus as another user's, with nothing said yet.
    pub fn socket_of(&self, uid: u32) -> UnixStream {
        let socket = self.path("bus");
        // Credentials are a thread's own, and those of the connecting thread are what the bus sees.
        let connecting = std::thread::spawn(move || {
            set_thread_res_gid(Gid::from_raw(uid), Gid::from_raw(uid), Gid::from_raw(uid))?;
            set_thread_res_uid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid))?;
            UnixStream::connect(socket)
        });
        connecting.join().expect("the thread ends").expect("root may be anybody")
    }

    /// A command that finds this bus as its system bus.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.address()).env_remove("DBUS_SESSION_BUS_ADDRESS");
        command
    }

    /// The same, run by another user.
    pub fn command_as(&self, uid: u32, program: &str) -> Command {
        let mut command = self.command("setpriv");
        command.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups", "--"]);
        command.arg(program);
        command
    }

    /// The process ids of all services started so far, the newest last.
    pub fn service_pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.path("pids")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The running service.
    pub fn service_pid(&self) -> Pid {
        let pid = self.service_pids().last().copied().expect("the service was started");
        Pid::from_raw(pid).expect("a pid is positive")
    }

    /// Sends the running service a signal.
    pub fn signal_service(&self, signal: Signal) {
        kill_process(self.service_pid(), signal).expect("the service runs");
    }

    /// Waits until the process has ended, and the bus knows it.
    pub async fn await_end(&self, pid: Pid) {
        let until = Instant::now() + PATIENCE;
        while is_running(pid) {
            assert!(Instant::now() < until, "process {pid:?} goes on; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Calls go to the dead process until the bus has noticed, too.
        let connection = self.connect().await;
        let bus = "org.freedesktop.DBus";
        loop {
            let path = "/org/freedesktop/DBus";
            let question = "GetConnectionUnixProcessID";
            let reply =
                connection.call_method(Some(bus), path, Some(bus), question, &"org.sipprofiles").await;
            let owner = reply.ok().and_then(|reply| reply.body().deserialize::<u32>().ok());
            if owner.and_then(|owner| i32::try_from(owner).ok()) != Some(pid.as_raw_pid()) {
                return;
            }
            assert!(Instant::now() < until, "the bus does not notice the end of {pid:?}");
        }
    }

    /// What all services have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn when_gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn start_daemon(root: &Path) -> Child {
    let mut daemon = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", root.join("bus.conf").display()))
        .args(["--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("dbus-daemon is installed");
    let mut address = String::new();
    let out = daemon.stdout.take().expect("it is piped");
    BufReader::new(out).read_line(&mut address).expect("the daemon prints its address");
    assert!(address.starts_with("unix:"), "the daemon says {address:?}");
    daemon
}

/// Is it there, and no zombie?
pub fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    test_kill_process(pid).is_ok() && state.is_some_and(|state| state != 'Z')
}

/// How much memory the process has, bytes.
pub fn resident(pid: Pid) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_pid())).unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

impl Drop for Bus {
    fn drop(&mut self) {
        for pid in self.service_pids().into_iter().filter_map(Pid::from_raw) {
            let cmdline = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
            // The number may have been given to another process since.
            if cmdline.windows(12).any(|window| window == b"sip-profiled") {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            let _ = fs::File::open(self.path("log")).and_then(|mut file| file.read_to_string(&mut log));
            eprintln!("--- the service's log ---\n{log}");
        }
    }
}

/// Everything that a service without root's rights needs; returns the bus policy with its name in it.
fn settle(root: &Path, shipped: &Path, (name, uid): (&str, u32)) -> std::io::Result<PathBuf> {
    for directory in ["state", "run"] {
        fs::create_dir(root.join(directory))?;
        std::os::unix::fs::chown(root.join(directory), Some(uid), Some(uid))?;
    }
    // It cannot reach into our own home.
    fs::copy(program("sip-profiled"), root.join("sip-profiled"))?;
    let policy = root.join("policy.conf");
    fs::write(&policy, fs::read_to_string(shipped)?.replace("\"sip-profiles\"", &format!("\"{name}\"")))?;
    Ok(policy)
}

fn bus_config(root: &Path, shipped: &Path) -> String {
    // As the system's bus: nothing may be owned or called but what a policy allows.
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={root}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{root}/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    <allow send_destination="org.freedesktop.login1"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.login1"/>
    <allow own="org.freedesktop.PolicyKit1"/>
  </policy>
  <limit name="max_connections_per_user">4096</limit>
  <limit name="max_completed_connections">4096</limit>
  <limit name="max_incomplete_connections">512</limit>
  <include ignore_missing="yes">/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>
  <include>{shipped}</include>
</busconfig>
"#,
        root = root.display(),
        shipped = shipped.display(),
    )
}

fn activation(root: &Path) -> String {
    format!("[D-BUS Service]\nName=org.sipprofiles\nExec={}/start-service\n", root.display())
}

fn start_script(root: &Path, options: &Options) -> String {
    let (mut wrapper, mut service) = (options.wrapper.clone(), program("sip-profiled"));
    if let Some((_, uid)) = options.user {
        wrapper = format!("setpriv --reuid={uid} --regid={uid} --clear-groups --");
        service = root.join("sip-profiled");
    }
    format!(
        "#!/bin/sh\necho $$ >> {root}/pids\nexport DBUS_SYSTEM_BUS_ADDRESS=unix:path={root}/bus\n\
         exec {wrapper} {program} --state-dir {root}/state --runtime-dir {root}/run --idle-timeout {idle} --log {log} \
         2>> {root}/log\n",
        root = root.display(),
        program = service.display(),
        idle = options.idle_timeout,
        log = options.log,
    )
}
