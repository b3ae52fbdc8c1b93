//! A real Kamailio on loopback, with users of ours. Which bindings there are is asked of it, not of us.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PATIENCE;

/// A running Kamailio.
pub struct Kamailio {
    directory: TempDir,
    process: Child,
    port: u16,
}

/// How it is configured.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// `MD5` or `SHA-256`.
    pub algorithm: &'static str,
    /// Refuses less with 423, seconds.
    pub min_expires: u32,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { algorithm: "MD5", min_expires: 60 }
    }
}

impl Kamailio {
    /// Starts one on a free port of 127.0.0.1, UDP and TCP. Every user's password is `secret-USER`.
    pub fn start(dialect: Dialect) -> Kamailio {
        let directory = tempfile::Builder::new().prefix("kamailio-").tempdir().expect("a directory");
        let port =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let config = directory.path().join("kamailio.cfg");
        std::fs::write(&config, configuration(directory.path(), port, dialect)).expect("our own directory");
        let process = Command::new("kamailio")
            .args(["-DD", "-E", "-e", "-m", "32", "-M", "4", "-f"])
            .arg(&config)
            .arg("-Y")
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log")).expect("our own directory"))
            .spawn()
            .expect("kamailio is installed");
        let kamailio = Kamailio { directory, process, port };
        let until = Instant::now() + PATIENCE;
        while kamailio.control(&["core.version"]).is_none() {
            assert!(Instant::now() < until, "kamailio does not start:\n{}", kamailio.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        kamailio
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many Contacts the user has, as Kamailio says.
    pub fn contacts(&self, user: &str) -> usize {
        let aor = format!("{user}@127.0.0.1");
        let found = self.control(&["ul.lookup", "location", &aor]).unwrap_or_default();
        found.matches("Address:").count()
    }

    /// Waits until the user has so many Contacts.
    pub async fn until_contacts(&self, user: &str, count: usize) {
        let until = Instant::now() + PATIENCE;
        while self.contacts(user) != count {
            assert!(Instant::now() < until, "{user} has {} contacts:\n{}", self.contacts(user), self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn control(&self, command: &[&str]) -> Option<String> {
        let socket = format!("unix:{}", self.socket().display());
        let output = Command::new("kamcmd").args(["-s", &socket]).args(command).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("ctl")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // TERM, so that it ends its children.
        let pid = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

fn configuration(directory: &std::path::Path, port: u16, dialect: Dialect) -> String {
    let Dialect { algorithm, min_expires } = dialect;
    format!(
        r#"#!KAMAILIO
children=2
tcp_children=2
disable_tcp=no
log_stderror=yes
debug=1
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
alias="127.0.0.1"
loadmodule "ctl.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("ctl", "binrpc", "unix:{directory}/ctl")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", {min_expires})
modparam("registrar", "max_expires", 3600)
modparam("auth", "algorithm", "{algorithm}")
request_route {{
    if (method != "REGISTER") {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    if (!pv_auth_check("test", "secret-$fU", "0", "0")) {{
        auth_challenge("test", "1");
        exit;
    }}
    if (!save("location")) {{ sl_reply_error(); }}
    exit;
}}
"#,
        directory = directory.display(),
    )
}
