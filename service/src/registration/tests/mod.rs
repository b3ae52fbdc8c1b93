//! The machine under a virtual clock: inputs in, outputs out, each test named after the rule it checks.

mod answers;
mod fates;
mod headers;
mod lifecycle;
mod limits;
mod logins;
mod memory;
mod model;
mod network;
mod random;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{
    Failure, Identity, Input, Memory, Output, Reason, Registration, Request, Response, State, Target,
    Transport,
};
use crate::moment::Moment;
use crate::settings::{Change, Secret, ServerUri, Settings, SipUri};

pub const TOKEN: &str = "abcdefghij0123456789";
pub const INSTANCE: &str = "00000000-0000-4000-8000-000000000001";

pub fn identity() -> Identity {
    Identity { token: TOKEN.to_owned(), instance: INSTANCE.to_owned() }
}

pub fn uri(text: &str) -> SipUri {
    SipUri::parse(text).expect("the test's URI parses")
}

pub fn server(text: &str) -> ServerUri {
    ServerUri::try_from(text.to_owned()).expect("the test's server parses")
}

/// A profile of alice with the password `sesame`.
pub fn settings() -> Settings {
    Settings {
        aor: uri("sip:alice@example.org"),
        kind: String::from("ietf"),
        display_name: None,
        registrar: None,
        outbound_proxy: None,
        transport: None,
        auth_user: None,
        realm: None,
        secret_storage: None,
        expires: None,
        auto_register: None,
        contact_params: None,
        headers: None,
        keepalive: None,
        tls_ca: None,
        tls_certificate: None,
        tls_pin: None,
        interface: None,
        dscp: None,
        locked: None,
        extra: Default::default(),
        password: Some(Secret::new("sesame")),
        tls_key: None,
    }
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The server number `number`, over UDP.
pub fn udp(number: u8) -> Target {
    target(Transport::Udp, number)
}

pub fn target(transport: Transport, number: u8) -> Target {
    let address = std::net::SocketAddr::from(([192, 0, 2, number], 5060));
    Target { transport, address, host: String::from("example.org") }
}

/// A REGISTER that left, and where to.
#[derive(Clone, Debug)]
pub struct Sent {
    pub attempt: u64,
    pub target: Target,
    pub request: Request,
}

impl Sent {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.request.headers.iter();
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn expires(&self) -> u32 {
        self.header("Expires").and_then(|value| value.parse().ok()).expect("every REGISTER says Expires")
    }

    /// The Contact URI as the SIP edge writes it.
    pub fn contact(&self, local: std::net::SocketAddr) -> String {
        if let Some(uri) = &self.request.contact_uri {
            return uri.clone();
        }
        let address = self.request.contact_address.unwrap_or(local);
        let parameter = match self.target.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        format!("sip:{}@{address}{parameter}", self.request.contact_user)
    }
}

/// One machine, a clock and what it did.
pub struct Rig {
    pub machine: Registration,
    pub now: Moment,
    pub rng: StdRng,
    pub local: std::net::SocketAddr,
    /// Outputs of the last input.
    pub out: Vec<Output>,
    /// States shown since the last look, each once.
    states: Vec<State>,
    shown: State,
    /// All REGISTERs so far.
    pub sent: Vec<Sent>,
}

impl Rig {
    pub fn new(settings: Settings) -> Self {
        Self::around(Registration::new(Arc::new(settings), identity()), Moment::from_millis(1_000_000))
    }

    pub fn restored(settings: Settings, memory: Memory, now: Moment) -> Self {
        Self::around(Registration::restore(Arc::new(settings), identity(), memory, None, now), now)
    }

    fn around(machine: Registration, now: Moment) -> Self {
        Self {
            states: vec![machine.status().state],
            shown: machine.status().state,
            machine,
            now,
            rng: StdRng::seed_from_u64(7),
            local: ([198, 51, 100, 7], 40_000).into(),
            out: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// A profile registered at server 1 without being asked for a password.
    pub fn registered(settings: Settings, granted: u32) -> Self {
        let mut rig = Self::new(settings);
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        rig.accept(granted);
        assert_eq!(rig.state(), State::Registered);
        rig
    }

    /// One input, and the ticks due at the same instant.
    pub fn give(&mut self, input: Input) -> &[Output] {
        self.out.clear();
        let mut next = Some(input);
        for step in 0.. {
            let Some(input) = next.take() else { break };
            assert!(step < 8, "a busy loop");
            let outputs = self.machine.handle(input, self.now, &mut self.rng);
            self.note(outputs);
            if self.machine.wakeup().is_some_and(|at| at <= self.now) {
                next = Some(Input::Tick);
            }
        }
        &self.out
    }

    fn note(&mut self, outputs: Vec<Output>) {
        for output in &outputs {
            if let Output::Send { attempt, target, request, .. } = output {
                let request = Request::clone(request);
                self.sent.push(Sent { attempt: *attempt, target: target.clone(), request });
            }
        }
        self.out.extend(outputs);
        let state = self.machine.status().state;
        if std::mem::replace(&mut self.shown, state) != state {
            self.states.push(state);
        }
    }

    pub fn state(&self) -> State {
        self.machine.status().state
    }

    pub fn reason(&self) -> Reason {
        self.machine.status().reason
    }

    /// The states shown since the last look.
    pub fn states(&mut self) -> Vec<State> {
        std::mem::take(&mut self.states)
    }

    pub fn stopped(&self) -> bool {
        self.out.contains(&Output::Stopped)
    }

    /// The latest REGISTER; it must be the answer to the last input.
    pub fn last(&self) -> Sent {
        assert!(self.sends() > 0, "nothing was sent: {:?}", self.out);
        self.sent.last().expect("something was sent").clone()
    }

    /// How many REGISTERs the last input led to.
    pub fn sends(&self) -> usize {
        self.out.iter().filter(|output| matches!(output, Output::Send { .. })).count()
    }

    /// The settings that the latest REGISTER travels with.
    pub fn way(&self) -> &Settings {
        let sent = self.out.iter().rev().find_map(|output| match output {
            Output::Send { settings, .. } => Some(&**settings),
            _ => None,
        });
        sent.expect("the last input sent something")
    }

    pub fn resolves(&self) -> bool {
        self.out.iter().any(|output| matches!(output, Output::Resolve { .. }))
    }

    fn resolving(&self) -> u64 {
        let found = self.out.iter().rev().find_map(|output| match output {
            Output::Resolve { attempt, .. } => Some(*attempt),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nothing is resolved: {:?}", self.out))
    }

    pub fn resolve(&mut self, targets: &[Target]) {
        let attempt = self.resolving();
        self.give(Input::Resolved { attempt, result: Ok(targets.to_vec()) });
    }

    pub fn resolve_to(&mut self, failure: Failure) {
        let attempt = self.resolving();
        self.give(Input::Resolved { attempt, result: Err(failure) });
    }

    pub fn fail(&mut self, failure: Failure) {
        let attempt = self.sent.last().expect("something was sent").attempt;
        self.give(Input::Failed { attempt, failure });
    }

    pub fn answer(&mut self, status: u16, headers: &[(&str, &str)]) {
        let sent = self.sent.last().expect("something was sent").clone();
        let response = self.response(&sent, status, headers);
        self.give(Input::Answer { attempt: sent.attempt, response });
    }

    pub fn response(&self, sent: &Sent, status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Response {
            status,
            phrase: String::from("Phrase"),
            headers: headers.collect(),
            server: sent.target.clone(),
            local: self.local,
            contact: sent.contact(self.local),
            tls_peer: String::new(),
        }
    }

    /// 200 with our Contact for `granted` seconds.
    pub fn accept(&mut self, granted: u32) {
        self.accept_with(granted, &[]);
    }

    pub fn accept_with(&mut self, granted: u32, more: &[(&str, &str)]) {
        let contact = self.sent.last().expect("something was sent").contact(self.local);
        let contact = format!("<{contact}>;expires={granted}");
        let mut headers = vec![("Contact", contact.as_str())];
        headers.extend(more);
        self.answer(200, &headers);
    }

    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Jumps to the next wakeup and ticks; says how long that took.
    pub fn wake(&mut self) -> Duration {
        let before = self.now;
        let at = self.machine.wakeup().expect("something is waited for");
        self.now = self.now.max(at);
        self.give(Input::Tick);
        self.now.since(before)
    }

    pub fn update(&mut self, settings: Settings) {
        let change = self.machine.settings.change_to(&settings);
        self.give(Input::Settings(Arc::new(settings), change));
    }

    /// Ends the farewell under way.
    pub fn farewell(&mut self) {
        assert_eq!(self.last().expires(), 0);
        self.answer(200, &[]);
    }

    /// Why it does not work, in one sentence.
    pub fn message(&self) -> String {
        self.machine.status().last_error.expect("there is an error").message
    }
}

/// Credentials in use.
pub fn with_password(password: &str) -> Settings {
    Settings { password: Some(Secret::new(password)), ..settings() }
}

/// The kind of `change` that leaves `before` for `after`.
pub fn change(before: &Settings, after: &Settings) -> Change {
    before.change_to(after)
}
