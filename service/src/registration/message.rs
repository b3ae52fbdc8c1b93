//! What travels between the machine and the SIP edge: plain values, no wire format.

use std::net::SocketAddr;

use crate::settings::{SipUri, TransportChoice};

/// A transport in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// `udp`, `tcp` or `tls`.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The configured host of this hop: the name a certificate must carry, and SNI.
    pub host: String,
}

impl std::fmt::Display for Target {
    /// `tls:[2001:db8::1]:5061`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.address)
    }
}

/// A name to resolve, and what decides how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Host, port and `transport` parameter of the server.
    pub uri: SipUri,
    /// The profile's `transport`; a parameter of `uri` goes before `auto`.
    pub transport: TransportChoice,
}

/// A REGISTER, all but what only the flow knows: Via, and the address in Contact.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Request-URI.
    pub uri: String,
    /// AOR, for To and From, without brackets.
    pub aor: String,
    /// From-tag.
    pub from_tag: String,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// Contact: user part.
    pub contact_user: String,
    /// Contact: `sips:` scheme.
    pub contact_secure: bool,
    /// Contact: an address other than the flow's own, learnt from `received`/`rport`.
    pub contact_address: Option<SocketAddr>,
    /// Contact: this URI instead of one of the flow's own, to remove a stray binding of ours (L4).
    pub contact_uri: Option<String>,
    /// Contact parameters after `>` in order, each as written (`+sip.instance="<urn:uuid:…>"`, `reg-id=1`, `expires=3600`).
    pub contact_params: Vec<String>,
    /// Headers besides Via, Max-Forwards, From, To, Call-ID, CSeq, Contact, Content-Length, in order: Expires, Supported,
    /// Route, Authorization, Proxy-Authorization, the profile's own.
    pub headers: Vec<(String, String)>,
    /// Bytes past 1300 go over TCP (`transport` is `auto`; RFC 3261 §18.1.1).
    pub may_switch_to_tcp: bool,
    /// How long to wait for an answer, milliseconds: 32 s, for a de-REGISTER 4 s.
    pub timeout_millis: u64,
}

impl std::fmt::Debug for Request {
    /// Without headers: credentials are among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "REGISTER {} (CSeq {}, {} headers)", self.uri, self.cseq, self.headers.len())
    }
}

/// A final response, with the flow it came over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code, 200–699.
    pub status: u16,
    /// Reason phrase.
    pub phrase: String,
    /// All headers in order, long names, values unfolded. Via is among them.
    pub headers: Vec<(String, String)>,
    /// The target it came from (TCP where a long request switched).
    pub server: Target,
    /// Our address of the flow.
    pub local: SocketAddr,
    /// The Contact URI that was sent.
    pub contact: String,
    /// Whom TLS leads to; "" without TLS.
    pub tls_peer: String,
}

/// Where something went wrong (LastError `stage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Name resolution.
    Dns,
    /// Connecting, or no route.
    Connect,
    /// TLS handshake.
    Tls,
    /// SIP.
    Sip,
    /// Being asked for a password.
    Auth,
    /// Having no password.
    Secret,
}

impl Stage {
    /// The word on the bus.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Dns => "dns",
            Stage::Connect => "connect",
            Stage::Tls => "tls",
            Stage::Sip => "sip",
            Stage::Auth => "auth",
            Stage::Secret => "secret",
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// NXDOMAIN, or an SRV target `.` (E6).
    NoSuchName(String),
    /// SERVFAIL, timeout, no resolver (E3).
    Resolver(String),
    /// No route to the address (E4).
    NoRoute(String),
    /// Refused, reset, lost, connect timed out (E3).
    Unreachable(String),
    /// Nothing came back in time (E3).
    Silence,
    /// TLS: unknown issuer or wrong pin (E6).
    TlsUntrusted(String),
    /// TLS: wrong name (E6).
    TlsName(String),
    /// TLS: expired or not yet valid (E6).
    TlsExpired(String),
    /// TLS: no TLS, or too old (E6).
    TlsProtocol(String),
}
