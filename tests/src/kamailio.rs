//! A real Kamailio on loopback, with users of ours. Which bindings there are is asked of it, not of us.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::network::{Network, OFFICE};

/// A running Kamailio.
pub struct Kamailio {
    directory: TempDir,
    process: Child,
    host: &'static str,
    port: u16,
    tls_port: u16,
    certificates: Option<Certificates>,
}

/// How it is configured.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// `MD5` or `SHA-256`.
    pub algorithm: &'static str,
    /// Refuses less with 423, seconds.
    pub min_expires: u32,
    /// Each nonce is good for one request.
    pub one_time_nonces: bool,
    /// Contacts of one address at most; more are answered with 503.
    pub max_contacts: u32,
    /// Answers 439 to what asks for outbound.
    pub refuses_outbound: bool,
    /// Service-Route and P-Associated-URI in a 200.
    pub routes: bool,
    /// A Path, as an edge proxy before it would add.
    pub path: bool,
    /// Outbound (RFC 5626) with that Flow-Timer, seconds; 0: none.
    pub flow_timer: u32,
    /// Grants no more, seconds.
    pub max_expires: u32,
    /// Stores another Contact than we sent, as a session border controller would.
    pub rewrites_contact: bool,
    /// TLS beside UDP and TCP; `Some(true)` asks for a client certificate of the same authority.
    pub tls: Option<bool>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            algorithm: "MD5",
            min_expires: 60,
            one_time_nonces: false,
            max_contacts: 0,
            refuses_outbound: false,
            routes: false,
            path: false,
            flow_timer: 0,
            max_expires: 3600,
            rewrites_contact: false,
            tls: None,
        }
    }
}

/// What TLS needs, made anew for each Kamailio: PEM texts.
struct Certificates {
    authority: String,
    client: String,
    client_key: String,
}

impl Kamailio {
    /// Starts one on a free port of 127.0.0.1, UDP and TCP. Every user's password is `secret-USER`.
    pub fn start(dialect: Dialect) -> Kamailio {
        Self::start_on("127.0.0.1", (free_port(), free_port()), Command::new("kamailio"), dialect)
    }

    /// Starts one in the office.
    pub fn in_office(network: &Network, dialect: Dialect) -> Kamailio {
        Self::start_on(OFFICE, (5060, 5061), network.office_command("kamailio"), dialect)
    }

    fn start_on(host: &'static str, ports: (u16, u16), mut command: Command, dialect: Dialect) -> Kamailio {
        let directory = tempfile::Builder::new().prefix("kamailio-").tempdir().expect("a directory");
        let (port, tls_port) = ports;
        let certificates = dialect.tls.map(|_| Certificates::make(directory.path()));
        let config = directory.path().join("kamailio.cfg");
        let text = configuration(directory.path(), host, port, dialect)
            + &secured(directory.path(), tls_port, dialect);
        std::fs::write(&config, text).expect("our own directory");
        let process = command
            .args(["-DD", "-E", "-e", "-m", "32", "-M", "4", "-f"])
            .arg(&config)
            .arg("-Y")
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log")).expect("our own directory"))
            .spawn()
            .expect("kamailio is installed");
        let kamailio = Kamailio { directory, process, host, port, tls_port, certificates };
        let until = Instant::now() + PATIENCE;
        while kamailio.control(&["core.version"]).is_none() {
            assert!(Instant::now() < until, "kamailio does not start:\n{}", kamailio.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        kamailio
    }

    /// `127.0.0.1:PORT`, or the office's.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// `127.0.0.1:PORT` for TLS.
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port)
    }

    /// PEM of the authority that issued its certificate.
    pub fn authority(&self) -> &str {
        &self.certificates.as_ref().expect("it speaks TLS").authority
    }

    /// PEM of a client certificate that it takes, and of its key.
    pub fn client_certificate(&self) -> (&str, &str) {
        let certificates = self.certificates.as_ref().expect("it speaks TLS");
        (&certificates.client, &certificates.client_key)
    }

    /// How many Contacts the user has, as Kamailio says.
    pub fn contacts(&self, user: &str) -> usize {
        self.location(user).matches("Address:").count()
    }

    /// What Kamailio keeps of the user's Contacts, as it prints them.
    pub fn location(&self, user: &str) -> String {
        let aor = format!("{user}@127.0.0.1");
        self.control(&["ul.lookup", "location", &aor]).unwrap_or_default()
    }

    /// Waits until what it keeps of the user's Contacts contains `part`.
    pub async fn until_location(&self, user: &str, part: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.location(user).contains(part) {
            assert!(Instant::now() < until, "no {part} in:\n{}", self.location(user));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

impl Certificates {
    fn make(directory: &Path) -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of the same name as what it issues, it would count as self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority of the test");
        let key = || KeyPair::generate().expect("randomness");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a sound request");
        let issue = |name: &str| {
            let params = CertificateParams::new(vec![name.to_owned()]).expect("a good name");
            let key = key();
            let certificate = params.signed_by(&key, &authority).expect("a sound request");
            (certificate.pem(), key.serialize_pem())
        };
        let (server, (client, client_key)) = (issue("127.0.0.1"), issue("alice"));
        for (name, text) in
            [("ca.pem", &authority.pem()), ("server.pem", &server.0), ("server.key", &server.1)]
        {
            std::fs::write(directory.join(name), text).expect("our own directory");
        }
        Certificates { authority: authority.pem(), client, client_key }
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
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

fn configuration(directory: &Path, host: &str, port: u16, dialect: Dialect) -> String {
    let Dialect { algorithm, min_expires, max_expires, max_contacts, flow_timer, .. } = dialect;
    let on = |flag: bool, text: &'static str| if flag { text } else { "" };
    let one_time = on(dialect.one_time_nonces, "modparam(\"auth\", \"one_time_nonce\", 1)");
    let refusal = on(
        dialect.refuses_outbound,
        "if ($hdr(Supported) =~ \"outbound\") { sl_send_reply(\"439\", \"First Hop Lacks Outbound Support\"); exit; }",
    );
    let routes = on(
        dialect.routes,
        "append_to_reply(\"Service-Route: <sip:127.0.0.1;lr>, <sip:second.invalid;lr>\\r\\n\"); \
         append_to_reply(\"P-Associated-URI: <sip:$fU@127.0.0.1>, <sip:other@127.0.0.1>\\r\\n\");",
    );
    let path =
        on(dialect.path, "insert_hf(\"Path: <sip:edge@127.0.0.1:5999;lr>\\r\\n\"); msg_apply_changes();");
    let rewriting = on(
        dialect.rewrites_contact,
        "subst(\"/^(Contact: <sip:[^@]+)@[^>]*>/\\1@203.0.113.9:5999>/\"); msg_apply_changes();",
    );
    let outbound = match flow_timer {
        0 => String::new(),
        seconds => format!(
            "loadmodule \"stun.so\"\nloadmodule \"outbound.so\"\n\
             modparam(\"registrar\", \"outbound_mode\", 1)\nmodparam(\"registrar\", \"flow_timer\", {seconds})\n\
             modparam(\"outbound\", \"flow_token_secret\", \"01234567890123456789\")"
        ),
    };
    format!(
        r#"#!KAMAILIO
children=2
tcp_children=2
disable_tcp=no
tcp_crlf_ping=yes
log_stderror=yes
debug=1
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
alias="127.0.0.1"
loadmodule "ctl.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
modparam("ctl", "binrpc", "unix:{directory}/ctl")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", {min_expires})
modparam("registrar", "max_expires", {max_expires})
modparam("registrar", "max_contacts", {max_contacts})
modparam("registrar", "gruu_enabled", 1)
modparam("registrar", "use_path", 1)
modparam("auth", "algorithm", "{algorithm}")
{outbound}
{one_time}
request_route {{
    if (method != "REGISTER") {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    {refusal}
    if (!pv_auth_check("test", "secret-$fU", "0", "0")) {{
        auth_challenge("test", "1");
        exit;
    }}
    {routes}
    {path}
    {rewriting}
    if (!save("location")) {{ sl_reply_error(); }}
    exit;
}}
"#,
        directory = directory.display(),
    )
}

/// The part of the configuration that only TLS needs.
fn secured(directory: &Path, port: u16, dialect: Dialect) -> String {
    let Some(wants_certificate) = dialect.tls else {
        return String::new();
    };
    let directory = directory.display();
    format!(
        r#"
enable_tls=yes
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "private_key", "{directory}/server.key")
modparam("tls", "certificate", "{directory}/server.pem")
modparam("tls", "ca_list", "{directory}/ca.pem")
modparam("tls", "verify_certificate", {flag})
modparam("tls", "require_certificate", {flag})
"#,
        flag = u8::from(wants_certificate),
    )
}
