//! One profile's registration as a pure state machine: inputs and the time in, outputs out.
//!
//! Knows neither sockets, tasks nor the bus. The registry owns one [`Registration`] per profile, gives
//! it [`Input`]s, carries out the [`Output`]s and reads [`Registration::status`] before and after to see
//! what to announce. Rules: semantics E1–E12, H4–H6, U3, U4; the SIP side: registration.md.

mod answer;
mod attempt;
mod challenge;
mod digest;
mod error;
mod events;
mod grant;
mod headers;
mod login;
mod machine;
mod memory;
mod message;
mod request;
mod secret;
mod timing;
mod wish;

pub use machine::Registration;
pub use memory::Memory;
pub use message::{Failure, Hop, Request, Response, Stage, Target, Transport};
pub use secret::{SecretAnswer, SecretQuestion};

use std::sync::Arc;

use rand::RngExt as _;

use crate::moment::Moment;
use crate::settings::{Change, Secret, Settings};

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody wants this profile registered (first hold, or AutoRegister). No-op when wanted already.
    Want,
    /// Nobody wants it any more: de-register (H5, H6).
    Unwant,
    /// The service ends: de-register. A wait with nothing at the registrar is the successor's to go on with (E9, L3).
    ServiceEnds,
    /// The settings were replaced. `change` is what differs (U3).
    Settings(Arc<Settings>, Change),
    /// Try now, or confirm a standing registration. At most one attempt in 5 s, an earlier one is put
    /// off and merged. `by_owner` lifts the five minutes after a refused password (E10).
    Refresh {
        /// The caller owns the profile.
        by_owner: bool,
    },
    /// The answer to [`Output::Resolve`].
    Resolved {
        /// As given in the output; any other is stale and ignored.
        attempt: u64,
        /// Targets in the order to try them (RFC 3263); never empty when `Ok`.
        result: Result<Vec<Target>, Failure>,
    },
    /// A final response to [`Output::Send`].
    Answer {
        /// As given in the output; any other is stale and ignored.
        attempt: u64,
        /// The response.
        response: Response,
    },
    /// [`Output::Send`] came to nothing: connect failed, reset, 32 s of silence.
    Failed {
        /// As given in the output; any other is stale and ignored.
        attempt: u64,
        /// Why.
        failure: Failure,
    },
    /// The stream this profile is registered over was closed or reset by the peer, or is dead.
    FlowLost,
    /// Network or resolver: something changed; `source_changed` when the source address
    /// towards the server is another one now (E4, E6).
    Network {
        /// The source address towards this profile's server changed.
        source_changed: bool,
        /// A route to the server exists now.
        reachable: bool,
    },
    /// The machine slept: flows are dead and servers may have forgotten us; one attempt at once, back-off reset
    /// (E4).
    Resumed {
        /// A route to the server exists now.
        reachable: bool,
    },
    /// Whether somebody is there who answers questions for this profile's password (E11).
    Agents(bool),
    /// The answer to [`Output::AskSecret`].
    Secret(SecretAnswer),
    /// The wall clock was set (E6: certificates may be valid now).
    ClockSet,
    /// [`Registration::wakeup`] has come.
    Tick,
}

/// What the machine wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Resolve `hop` by RFC 3263; answer with [`Input::Resolved`].
    Resolve {
        /// Echoed in the answer.
        attempt: u64,
        /// What.
        hop: Hop,
    },
    /// Send `request` to `target` in a new client transaction, over the profile's standing flow where it
    /// leads to `target`, else over a new one; answer with [`Input::Answer`] or [`Input::Failed`].
    Send {
        /// Echoed in the answer.
        attempt: u64,
        /// Where to.
        target: Target,
        /// What.
        request: Box<Request>,
        /// How it travels: interface, mark, whom TLS trusts. A de-registration before a move travels the old
        /// way (U3c).
        settings: Arc<Settings>,
    },
    /// Forget the profile's flow, and whatever transaction still runs: its answer is not wanted.
    CloseFlow,
    /// The server is another one from now on, and nothing is owed to the old one (U3c).
    Moved,
    /// A final error (E2): the registry drops every hold, stops AutoRegister and signals ErrorOccurred.
    /// The machine is `unregistered` with reason `error` already.
    Stopped,
    /// Ask a person for the password; answer with [`Input::Secret`]. Only where [`Input::Agents`] said so.
    AskSecret(SecretQuestion),
    /// Nobody wants the answer any more.
    ForgetSecret,
    /// A person's password has worked: store it with the settings, as the person wanted.
    KeepSecret(Secret),
    /// Keep the flow of a registered profile alive as told; `None` stops it. Sent on every change.
    KeepAlive(Option<KeepAlive>),
}

/// How to keep a flow alive (RFC 5626, registration.md "Staying reachable").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Shortest pause between two pings, milliseconds.
    pub min_millis: u64,
    /// Longest pause.
    pub max_millis: u64,
}

/// The state words of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody wants it, or an error stopped it.
    #[default]
    Unregistered,
    /// The first REGISTER of an attempt is under way.
    Registering,
    /// The registrar says so.
    Registered,
    /// The de-REGISTER is under way.
    Unregistering,
    /// Wanted, not possible now, goes on by itself.
    Waiting,
}

impl State {
    /// The word on the bus.
    pub fn word(self) -> &'static str {
        match self {
            State::Unregistered => "unregistered",
            State::Registering => "registering",
            State::Registered => "registered",
            State::Unregistering => "unregistering",
            State::Waiting => "waiting",
        }
    }
}

/// The StateReason words of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Reason {
    /// ""
    #[default]
    None,
    /// `error`: see LastError.
    Error,
    /// `degraded`: a refresh failed, the binding still lives.
    Degraded,
    /// `network`: no route to the server.
    Network,
    /// `backoff`: no answer or a temporary refusal, see RetryAt.
    Backoff,
    /// `server`: 503 with Retry-After.
    Server,
    /// `name`: the domain does not exist.
    Name,
    /// `certificate`.
    Certificate,
    /// `secret`: an agent must answer.
    Secret,
    /// `limit`: too many attempts.
    Limit,
}

impl Reason {
    /// The word on the bus.
    pub fn word(self) -> &'static str {
        match self {
            Reason::None => "",
            Reason::Error => "error",
            Reason::Degraded => "degraded",
            Reason::Network => "network",
            Reason::Backoff => "backoff",
            Reason::Server => "server",
            Reason::Name => "name",
            Reason::Certificate => "certificate",
            Reason::Secret => "secret",
            Reason::Limit => "limit",
        }
    }
}

/// The registration errors of the contract: `org.sipprofiles.Error.Registration.*`, and NoSecret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ErrorKind {
    /// Password refused.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    UnknownUser,
    /// Other final refusals.
    Rejected,
    /// 423 unusable.
    IntervalTooBrief,
    /// A redirection that leads nowhere.
    Redirect,
    /// An answer that makes no sense.
    Protocol,
    /// 5xx.
    Server,
    /// No answer.
    Timeout,
    /// Connect failed, refused, lost, no route.
    Unreachable,
    /// The name does not exist, or the resolver does not answer.
    NameResolution,
    /// Unknown issuer, wrong pin.
    TlsUntrusted,
    /// Wrong name in the certificate.
    TlsNameMismatch,
    /// Certificate expired.
    TlsExpired,
    /// Not TLS, or too old.
    TlsProtocol,
    /// `org.sipprofiles.Error.NoSecret`: no password where one is asked for.
    NoSecret,
}

/// `LastError`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastError {
    /// Which error.
    pub kind: ErrorKind,
    /// SIP status where there was a response, else 0.
    pub code: u16,
    /// One English sentence that names what to change.
    pub message: String,
    /// Where it happened.
    pub stage: Stage,
    /// When.
    pub at: Moment,
}

/// All that the bus shows of a registration's progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `State`.
    pub state: State,
    /// `StateReason`.
    pub reason: Reason,
    /// `RetryAt`, `None` = 0.
    pub retry_at: Option<Moment>,
    /// `LastError`.
    pub last_error: Option<LastError>,
    /// `NeedsSecret`.
    pub needs_secret: bool,
    /// `RegisteredAors`.
    pub registered_aors: Vec<String>,
}

/// What the registrar says now (`GetRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Our Contact URI as registered.
    pub contact: String,
    /// P-Associated-URI, or the AOR.
    pub aors: Vec<String>,
    /// The server that answered.
    pub server: Target,
    /// Our address of the flow.
    pub local: std::net::SocketAddr,
    /// When the binding runs out.
    pub expires_at: Moment,
    /// When the registrar last confirmed it.
    pub last_confirmed: Moment,
    /// Service-Route, in order.
    pub service_route: Vec<String>,
    /// Path, in order.
    pub path: Vec<String>,
    /// pub-gruu.
    pub public_gruu: Option<String>,
    /// temp-gruu.
    pub temporary_gruu: Option<String>,
    /// Contact URIs of other bindings of the AOR.
    pub other_bindings: Vec<String>,
    /// Keep-alives are sent.
    pub keep_alive: bool,
    /// Whom TLS leads to; "" without TLS.
    pub tls_peer: String,
    /// Flow-Timer, seconds (RFC 5626 §4.4).
    pub flow_timer: Option<u32>,
}

/// What makes a profile's Contact its own, kept with the profile for its whole life.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Contact user part: 20 random characters of `[a-z0-9]`.
    pub token: String,
    /// `+sip.instance`: the UUID, without `urn:uuid:`.
    pub instance: String,
}

impl Identity {
    /// A new one.
    pub fn random(rng: &mut dyn rand::Rng) -> Self {
        Self { token: random_word(20, rng), instance: random_uuid(rng) }
    }
}

/// `length` random characters of `[a-z0-9]`.
pub fn random_word(length: usize, rng: &mut dyn rand::Rng) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// A random UUID (RFC 9562 §5.4, version 4).
fn random_uuid(rng: &mut dyn rand::Rng) -> String {
    let mut bytes = [0u8; 16];
    rng.fill_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
