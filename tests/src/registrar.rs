//! A registrar on loopback that does as it is told: challenges, checks passwords, keeps bindings, answers from a
//! script, and remembers everything it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use md5::{Digest, Md5};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::PATIENCE;
pub use crate::sip::Message;

/// What the registrar does with the next request instead of what it would.
#[derive(Clone, Debug)]
pub enum Script {
    /// Nothing.
    Silence,
    /// Answers with that status and those header lines.
    Status(u16, Vec<String>),
}

/// A request, when it came and from where.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// From where.
    pub from: SocketAddr,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// What.
    pub message: Message,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Contact URI.
    pub contact: String,
    /// Contact parameters besides expires.
    pub params: String,
    /// Seconds granted.
    pub expires: u32,
}

/// How the registrar behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Passwords by user; without any, nobody is asked.
    pub passwords: BTreeMap<String, String>,
    /// `MD5` or `SHA-256`.
    pub algorithm: &'static str,
    /// Answers 423 below this.
    pub min_expires: u32,
    /// Grants no more than this.
    pub max_expires: u32,
    /// Every so-maniest request is lost on its way; 1: all, 0: none.
    pub loses_every: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        let passwords = [("alice", "wonderland"), ("bob", "builder")];
        Self {
            passwords: passwords.map(|(user, word)| (user.to_owned(), word.to_owned())).into(),
            algorithm: "MD5",
            min_expires: 0,
            max_expires: 3600,
            loses_every: 0,
        }
    }
}

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    script: VecDeque<Script>,
    requests: Vec<Received>,
    bindings: BTreeMap<String, Vec<Binding>>,
    nonces: BTreeMap<String, u32>,
    packets: u32,
    responses: Vec<String>,
}

/// A running registrar.
pub struct Registrar {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
    tasks: Vec<JoinHandle<()>>,
    udp: Arc<UdpSocket>,
}

impl Registrar {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start(behaviour: Behaviour) -> Registrar {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), behaviour).await.expect("a free port")
    }

    /// Starts one at `address`, UDP and TCP.
    pub async fn start_at(address: SocketAddr, behaviour: Behaviour) -> io::Result<Registrar> {
        let (udp, tcp) = sockets(address).await?;
        Self::serve(udp, tcp, behaviour)
    }

    /// Starts one on sockets that are there.
    pub fn on(
        udp: std::net::UdpSocket,
        tcp: std::net::TcpListener,
        behaviour: Behaviour,
    ) -> io::Result<Registrar> {
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Self::serve(UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?, behaviour)
    }

    fn serve(udp: UdpSocket, tcp: TcpListener, behaviour: Behaviour) -> io::Result<Registrar> {
        let udp = Arc::new(udp);
        let address = udp.local_addr()?;
        let inner = Arc::new(Mutex::new(Inner { behaviour, ..Inner::default() }));
        let changed = Arc::new(watch::Sender::new(0));
        let desk = Desk { inner: inner.clone(), changed: changed.clone() };
        let tasks =
            vec![tokio::spawn(serve_udp(udp.clone(), desk.clone())), tokio::spawn(serve_tcp(tcp, desk))];
        Ok(Registrar { address, inner, changed, tasks, udp })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.lock().behaviour);
    }

    /// Does `script` with the next requests.
    pub fn next(&self, script: impl IntoIterator<Item = Script>) {
        self.lock().script.extend(script);
    }

    /// Everything it was asked.
    pub fn requests(&self) -> Vec<Received> {
        self.lock().requests.clone()
    }

    /// Responses to requests of its own, as OPTIONS.
    pub fn responses(&self) -> Vec<String> {
        self.lock().responses.clone()
    }

    /// The bindings of `aor`.
    pub fn bindings(&self, aor: &str) -> Vec<Binding> {
        self.lock().bindings.get(aor).cloned().unwrap_or_default()
    }

    /// Sends a datagram.
    pub async fn send_datagram(&self, text: &str, to: SocketAddr) {
        self.udp.send_to(text.as_bytes(), to).await.expect("loopback takes datagrams");
    }

    /// Waits until `condition` holds of the registrar.
    pub async fn until(&self, what: &str, condition: impl Fn(&Registrar) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !condition(self) {
                changed.changed().await.expect("the registrar holds the sender");
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("the registrar waited in vain for: {what}; it was asked:\n{}", self.transcript());
        }
    }

    /// Waits for the next message.
    pub async fn changed(&self) {
        // Fails only when the sender is gone, and we hold it.
        let _ = self.changed.subscribe().changed().await;
    }

    /// Everything it was asked, as text.
    pub fn transcript(&self) -> String {
        self.lock().requests.iter().map(|received| received.message.text.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn sockets(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..50 {
        let udp = UdpSocket::bind(address).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(_) if address.port() == 0 => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[derive(Clone)]
struct Desk {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
}

async fn serve_udp(socket: Arc<UdpSocket>, desk: Desk) {
    let mut buffer = vec![0; 65536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if let Some(answer) = desk.take(text, from, "udp") {
            let _ = socket.send_to(answer.as_bytes(), from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, desk: Desk) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, from)) = listener.accept().await {
        connections.spawn(serve_stream(stream, from, desk.clone()));
    }
}

async fn serve_stream(mut stream: TcpStream, from: SocketAddr, desk: Desk) {
    let (answers, mut to_send) = mpsc::unbounded_channel::<String>();
    let mut pending = String::new();
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(length) if length > 0 => pending.push_str(&String::from_utf8_lossy(&buffer[..length])),
                _ => return,
            },
            Some(answer) = to_send.recv() => {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
        while let Some(end) = pending.find("\r\n\r\n") {
            let text: String = pending.drain(..end + 4).collect();
            if text.trim().is_empty() {
                let _ = answers.send(String::from("\r\n"));
            } else if let Some(answer) = desk.take(text, from, "tcp") {
                let _ = answers.send(answer);
            }
        }
    }
}

impl Desk {
    fn take(&self, text: String, from: SocketAddr, transport: &'static str) -> Option<String> {
        if text.trim().is_empty() {
            return None;
        }
        let mut inner = self.inner.lock().expect("no holder panics");
        let answer = if text.starts_with("SIP/2.0") {
            inner.responses.push(text);
            None
        } else {
            let message = Message { text };
            let received = Received { at: Instant::now(), from, transport, message: message.clone() };
            inner.requests.push(received);
            inner.answer(&message, from)
        };
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
        answer
    }
}

impl Inner {
    fn answer(&mut self, message: &Message, from: SocketAddr) -> Option<String> {
        self.packets = self.packets.wrapping_add(1);
        let every = self.behaviour.loses_every;
        if every > 0 && self.packets.is_multiple_of(every) { None } else { self.decide(message, from) }
    }

    fn decide(&mut self, message: &Message, from: SocketAddr) -> Option<String> {
        match self.script.pop_front() {
            Some(Script::Silence) => return None,
            Some(Script::Status(status, headers)) => {
                return Some(message.response(status, "Scripted", &headers, from));
            }
            None => {}
        }
        if message.expires() != 0 && message.expires() < self.behaviour.min_expires {
            let header = format!("Min-Expires: {}", self.behaviour.min_expires);
            return Some(message.response(423, "Interval Too Brief", &[header], from));
        }
        if !self.behaviour.passwords.is_empty() && !self.is_authorized(message) {
            return Some(message.response(401, "Unauthorized", &[self.challenge()], from));
        }
        Some(self.bind(message, from))
    }

    fn challenge(&mut self) -> String {
        let nonce = format!("nonce-{}", self.nonces.len() + 1);
        self.nonces.insert(nonce.clone(), 0);
        let algorithm = self.behaviour.algorithm;
        format!(
            "WWW-Authenticate: Digest realm=\"test\", nonce=\"{nonce}\", qop=\"auth,auth-int\", algorithm={algorithm}"
        )
    }

    fn is_authorized(&mut self, message: &Message) -> bool {
        let get = |name: &str| message.credential(name).unwrap_or_default();
        let (user, nonce, count) = (get("username"), get("nonce"), get("nc"));
        let Some(password) = self.behaviour.passwords.get(&user) else {
            return false;
        };
        let Some(last) = self.nonces.get_mut(&nonce) else {
            return false;
        };
        let number = u32::from_str_radix(&count, 16).unwrap_or(0);
        if number <= *last {
            return false;
        }
        let hash = |text: String| match self.behaviour.algorithm {
            "MD5" => hex(&Md5::digest(text)),
            _ => hex(&Sha256::digest(text)),
        };
        let secret = hash(format!("{user}:test:{password}"));
        let request = hash(format!("{}:{}", message.method(), get("uri")));
        let expected = hash(format!("{secret}:{nonce}:{count}:{}:{}:{request}", get("cnonce"), get("qop")));
        let right = expected == get("response");
        if right {
            *last = number;
        }
        right
    }

    fn bind(&mut self, message: &Message, from: SocketAddr) -> String {
        let granted = message.expires().min(self.behaviour.max_expires);
        let bindings = self.bindings.entry(message.aor().to_owned()).or_default();
        let params: String = message
            .contact_params()
            .split(';')
            .filter(|param| !param.is_empty() && !param.starts_with("expires="))
            .map(|param| format!(";{param}"))
            .collect();
        let contact = message.contact().to_owned();
        bindings.retain(|other| other.contact != contact && (params.is_empty() || other.params != params));
        if granted > 0 {
            bindings.push(Binding { contact, params, expires: granted });
        }
        let headers: Vec<String> = bindings
            .iter()
            .map(|one| format!("Contact: <{}>{};expires={}", one.contact, one.params, one.expires))
            .collect();
        let headers = if headers.is_empty() { vec![String::from("Expires: 0")] } else { headers };
        message.response(200, "OK", &headers, from)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
