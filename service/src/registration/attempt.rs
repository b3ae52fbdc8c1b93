//! One attempt: resolve, try the targets in turn, build each REGISTER.

use std::collections::VecDeque;
use std::sync::Arc;

use super::digest;
use super::machine::{Flow, Login, Phase, Registration, Turn};
use super::timing;
use super::{ErrorKind, Failure, Hop, LastError, Output, Reason, Request, Stage, Target, Transport};
use crate::moment::Moment;
use crate::settings::{Settings, TransportChoice};

/// What an attempt is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Register, refresh or confirm.
    Register,
    /// De-register.
    Deregister,
    /// Remove a stray binding of ours, by its Contact URI (L4).
    RemoveStray(String),
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The id of its last output; answers to earlier ones are stale.
    pub id: u64,
    pub purpose: Purpose,
    /// The settings it registers with (U4), or de-registers the old with (U3c).
    pub settings: Arc<Settings>,
    /// Where the request went; `None` while the name is being resolved.
    pub target: Option<Target>,
    /// What is left to try.
    pub targets: VecDeque<Target>,
    /// The name was resolved in this attempt.
    pub resolved: bool,
    /// By when it must be over.
    pub deadline: Option<Moment>,
    pub auth: AuthRounds,
    pub redirects: u32,
    /// A redirection's host, in place of the profile's own.
    pub redirected: Option<Hop>,
    /// The shortest Retry-After of a 503, seconds.
    pub retry_after: Option<u64>,
    /// What the targets so far came to.
    pub failure: Option<(Reason, LastError)>,
    /// The answered request asked for so much, seconds.
    pub asked: u32,
    /// How often a 423 or 420 was obeyed.
    pub concessions: u32,
}

/// How often a server asked for the password.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AuthRounds {
    /// Rounds with a stale nonce, or a new one after a login that had worked.
    pub stale: u32,
}

impl Attempt {
    fn new(purpose: Purpose, settings: Arc<Settings>) -> Self {
        Self {
            id: 0,
            purpose,
            settings,
            target: None,
            targets: VecDeque::new(),
            resolved: false,
            deadline: None,
            auth: AuthRounds::default(),
            redirects: 0,
            redirected: None,
            retry_after: None,
            failure: None,
            asked: 0,
            concessions: 0,
        }
    }

    /// Is it still looking for a server, nothing sent yet?
    pub fn is_resolving(&self) -> bool {
        self.target.is_none()
    }
}

impl Registration {
    /// Starts an attempt: at the server that answered last, else wherever the name leads.
    pub(super) fn begin(&mut self, purpose: Purpose, turn: &mut Turn<'_>) {
        self.ensure_dialog(turn.rng);
        self.refresh_asked_done();
        self.last_attempt_at = Some(turn.now);
        self.attempt = Some(Attempt::new(purpose, self.settings.clone()));
        match self.server().cloned() {
            Some(server) => self.send_to(server, turn),
            None => self.resolve(turn),
        }
    }

    /// Starts a de-registration with `settings`, at the server that has the binding.
    pub(super) fn deregister(&mut self, settings: Arc<Settings>, turn: &mut Turn<'_>) {
        let Some(server) = self.standing.as_ref().map(|standing| standing.server().clone()) else {
            return self.rest(turn);
        };
        self.ensure_dialog(turn.rng);
        self.refresh_asked_done();
        self.phase = Phase::Unregistering;
        let mut attempt = Attempt::new(Purpose::Deregister, settings);
        attempt.deadline = Some(turn.now + timing::FAREWELL);
        self.attempt = Some(attempt);
        self.send_to(server, turn);
    }

    fn next_id(&mut self) -> u64 {
        self.last_attempt_id += 1;
        self.last_attempt_id
    }

    fn resolve(&mut self, turn: &mut Turn<'_>) {
        let id = self.next_id();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.id = id;
        attempt.target = None;
        attempt.resolved = true;
        let hop = attempt.redirected.clone().unwrap_or_else(|| Hop {
            uri: attempt
                .settings
                .next_hop()
                .domain_only(attempt.settings.aor.secure)
                .with_transport_of(attempt.settings.next_hop()),
            transport: attempt.settings.transport(),
        });
        turn.out.push(Output::Resolve { attempt: id, hop });
    }

    pub(super) fn resolved(&mut self, result: Result<Vec<Target>, Failure>, turn: &mut Turn<'_>) {
        match result {
            Err(failure) => self.target_failed(failure, turn),
            Ok(targets) => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.targets = targets.into();
                }
                self.try_next(turn);
            }
        }
    }

    /// Goes to a redirection's host.
    pub(super) fn resolve_redirection(&mut self, hop: Hop, turn: &mut Turn<'_>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.redirected = Some(hop);
            attempt.targets.clear();
        }
        self.resolve(turn);
    }

    /// The target at hand came to nothing.
    pub(super) fn target_failed(&mut self, failure: Failure, turn: &mut Turn<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let target = attempt.target.clone();
        let error = LastError {
            kind: failure.kind(),
            code: 0,
            message: sentence(&failure, target.as_ref()),
            stage: failure.stage(),
            at: turn.now,
        };
        attempt.note_failure(failure.reason(), error);
        if matches!(failure, Failure::NoSuchName(_) | Failure::Resolver(_)) {
            attempt.targets.clear();
        }
        if self.flow.as_ref().map(|flow| &flow.server) == target.as_ref() {
            self.flow = None;
        }
        self.try_next(turn);
    }

    /// The next target, a fresh look at the name, or the end of the attempt.
    pub(super) fn try_next(&mut self, turn: &mut Turn<'_>) {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.purpose == Purpose::Deregister) {
            return self.deregistered(turn);
        }
        // H6: nobody wants it any more, and nothing is at the registrar that we know of.
        if !self.wanted {
            return self.ended_unwanted(turn);
        }
        let Some(attempt) = &mut self.attempt else { return };
        match attempt.targets.pop_front() {
            Some(target) => self.send_to(target, turn),
            None if !attempt.resolved => self.resolve(turn),
            None => self.attempt_failed(turn),
        }
    }

    /// Sends the attempt's request to `target`.
    pub(super) fn send_to(&mut self, target: Target, turn: &mut Turn<'_>) {
        let id = self.next_id();
        self.cseq = self.cseq.wrapping_add(1);
        if self.cseq > i32::MAX as u32 {
            self.cseq = 1;
        }
        let Some(mut attempt) = self.attempt.take() else {
            return;
        };
        attempt.id = id;
        attempt.target = Some(target.clone());
        attempt.asked = self.asked_expires(&attempt);
        let request = Box::new(self.request(&attempt, &target, turn));
        self.attempt = Some(attempt);
        turn.out.push(Output::Send { attempt: id, target, request });
    }

    /// Sends the request again to the server that just answered.
    pub(super) fn send_again(&mut self, turn: &mut Turn<'_>) {
        match self.attempt.as_ref().and_then(|attempt| attempt.target.clone()) {
            Some(target) => self.send_to(target, turn),
            None => self.try_next(turn),
        }
    }

    fn asked_expires(&self, attempt: &Attempt) -> u32 {
        match attempt.purpose {
            Purpose::Register => attempt.settings.expires().max(self.learnt.min_expires.unwrap_or(0)),
            Purpose::Deregister | Purpose::RemoveStray(_) => 0,
        }
    }

    fn request(&mut self, attempt: &Attempt, target: &Target, turn: &mut Turn<'_>) -> Request {
        let settings = attempt.settings.clone();
        let uri = settings.request_uri().to_string();
        let supported = |option: &str| !self.learnt.refused_options.iter().any(|refused| refused == option);
        let outbound = supported("outbound");
        let mut contact_params = vec![format!("+sip.instance=\"<urn:uuid:{}>\"", self.identity.instance)];
        if outbound {
            contact_params.push(String::from("reg-id=1"));
        }
        let contact_uri = match &attempt.purpose {
            Purpose::RemoveStray(uri) => {
                contact_params.clear();
                Some(uri.clone())
            }
            _ => None,
        };
        contact_params.push(format!("expires={}", attempt.asked));
        if contact_uri.is_none() {
            contact_params.extend(settings.contact_params.clone().unwrap_or_default());
        }

        let mut headers = vec![(String::from("Expires"), attempt.asked.to_string())];
        let options: Vec<_> = ["path", "outbound", "gruu"].into_iter().filter(|tag| supported(tag)).collect();
        if !options.is_empty() {
            headers.push((String::from("Supported"), options.join(", ")));
        }
        if let Some(proxy) = &settings.outbound_proxy {
            headers.push((String::from("Route"), route(proxy)));
        }
        headers.extend(self.authorize(&settings, &uri, turn));
        headers.extend(settings.headers.iter().flatten().filter_map(|header| {
            let (name, value) = header.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        }));

        let flow = self.flow.as_ref().filter(|flow| flow.server == *target);
        Request {
            uri,
            aor: settings.aor.to_string(),
            from_tag: self.from_tag.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            contact_user: self.identity.token.clone(),
            contact_secure: settings.aor.secure,
            contact_address: flow.and_then(|flow| flow.outside),
            contact_uri,
            contact_params,
            headers,
            may_switch_to_tcp: settings.transport() == TransportChoice::Auto
                && target.transport == Transport::Udp,
            timeout_millis: timeout_millis(attempt, turn.now),
        }
    }

    /// Credentials for every challenge so far, each nonce counted up (RFC 7616 §3.4).
    fn authorize(&mut self, settings: &Settings, uri: &str, turn: &mut Turn<'_>) -> Vec<(String, String)> {
        let Some(password) = &settings.password else {
            return Vec::new();
        };
        let user = settings.auth_user();
        let header = |login: &mut Login| {
            login.count = login.count.saturating_add(1);
            let name = if login.proxy { "Proxy-Authorization" } else { "Authorization" };
            let login_now = digest::Login { user: &user, password, uri, count: login.count };
            (name.to_owned(), digest::credentials(&login.challenge, &login_now, turn.rng))
        };
        self.logins.iter_mut().map(header).collect()
    }

    /// The flow that an answer came over: the server is kept, and where it sees us elsewhere than we are, the
    /// Contact is rewritten, once per flow. Says whether it was rewritten just now.
    pub(super) fn note_flow(&mut self, response: &super::Response) -> bool {
        let same = self
            .flow
            .as_ref()
            .is_some_and(|flow| flow.server == response.server && flow.local == response.local);
        if !same {
            let flow = Flow { server: response.server.clone(), local: response.local, outside: None };
            self.flow = Some(flow);
        }
        self.learnt.server = Some(response.server.clone());
        let seen = response.seen_address().filter(|seen| *seen != response.local);
        match (&mut self.flow, seen) {
            (Some(flow), Some(seen)) if flow.outside.is_none() => {
                flow.outside = Some(seen);
                true
            }
            _ => false,
        }
    }
}

impl Attempt {
    /// Keeps the failure that says most: of targets without a route the first, else the last one.
    pub(super) fn note_failure(&mut self, reason: Reason, error: LastError) {
        let keep = reason == Reason::Network && self.failure.is_some();
        if !keep {
            self.failure = Some((reason, error));
        }
    }
}

fn timeout_millis(attempt: &Attempt, now: Moment) -> u64 {
    let patience = attempt.deadline.map_or(timing::PATIENCE, |deadline| deadline.since(now));
    u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)
}

/// An outbound proxy as a loose Route (RFC 3261 §8.1.2, §16.4).
fn route(proxy: &crate::settings::SipUri) -> String {
    if proxy.param("lr").is_some() { format!("<{proxy}>") } else { format!("<{proxy};lr>") }
}

impl Failure {
    fn kind(&self) -> ErrorKind {
        match self {
            Failure::NoSuchName(_) | Failure::Resolver(_) => ErrorKind::NameResolution,
            Failure::NoRoute(_) | Failure::Unreachable(_) => ErrorKind::Unreachable,
            Failure::Silence => ErrorKind::Timeout,
            Failure::TlsUntrusted(_) => ErrorKind::TlsUntrusted,
            Failure::TlsName(_) => ErrorKind::TlsNameMismatch,
            Failure::TlsExpired(_) => ErrorKind::TlsExpired,
            Failure::TlsProtocol(_) => ErrorKind::TlsProtocol,
        }
    }

    fn stage(&self) -> Stage {
        match self {
            Failure::NoSuchName(_) | Failure::Resolver(_) => Stage::Dns,
            Failure::NoRoute(_) | Failure::Unreachable(_) => Stage::Connect,
            Failure::Silence => Stage::Sip,
            Failure::TlsUntrusted(_)
            | Failure::TlsName(_)
            | Failure::TlsExpired(_)
            | Failure::TlsProtocol(_) => Stage::Tls,
        }
    }

    /// The reason to wait for (E3, E4, E6).
    fn reason(&self) -> Reason {
        match self {
            Failure::NoSuchName(_) => Reason::Name,
            Failure::Resolver(_) | Failure::Unreachable(_) | Failure::Silence => Reason::Backoff,
            Failure::NoRoute(_) => Reason::Network,
            _ => Reason::Certificate,
        }
    }
}

/// What went wrong, for a person.
pub(super) fn sentence(failure: &Failure, target: Option<&Target>) -> String {
    let at = target.map_or_else(String::new, |target| format!("{} ({target}): ", target.host));
    match failure {
        Failure::NoSuchName(detail) => format!("{detail}; check the domain, registrar and outbound-proxy."),
        Failure::Resolver(detail) => format!("Names cannot be resolved: {detail}."),
        Failure::NoRoute(detail) => format!("{at}{detail}; check the network connection."),
        Failure::Unreachable(detail) => format!("{at}{detail}."),
        Failure::Silence => format!("{at}the server does not answer."),
        Failure::TlsUntrusted(detail)
        | Failure::TlsName(detail)
        | Failure::TlsExpired(detail)
        | Failure::TlsProtocol(detail) => format!("{at}{detail}."),
    }
}
