//! Random lives: whatever comes in whatever order, the promises hold.

use proptest::prelude::*;

use super::*;
use crate::registration::SecretAnswer;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Want,
    Unwant,
    Settings(u8),
    Refresh(bool),
    Answer(u16, u8),
    Stale(u16),
    Fail(u8),
    Resolve(u8),
    FlowLost,
    Network(bool, bool),
    Resumed(bool),
    Agents(bool),
    Secret(u8),
    ClockSet,
    Pass(u32),
    Wake,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let status = prop_oneof![
        6 => Just(200u16),
        3 => Just(401u16),
        1 => Just(407u16),
        1 => prop::sample::select(vec![302u16, 403, 404, 408, 420, 423, 439, 480, 486, 500, 503, 513, 603]),
        1 => 300..700u16,
    ];
    prop_oneof![
        4 => Just(Event::Want),
        2 => Just(Event::Unwant),
        2 => (0..8u8).prop_map(Event::Settings),
        1 => any::<bool>().prop_map(Event::Refresh),
        12 => (status.clone(), 0..12u8).prop_map(|(status, flavour)| Event::Answer(status, flavour)),
        1 => status.prop_map(Event::Stale),
        3 => (0..8u8).prop_map(Event::Fail),
        8 => (0..10u8).prop_map(Event::Resolve),
        1 => Just(Event::FlowLost),
        1 => any::<(bool, bool)>().prop_map(|(source, reachable)| Event::Network(source, reachable)),
        1 => any::<bool>().prop_map(Event::Resumed),
        1 => any::<bool>().prop_map(Event::Agents),
        2 => (0..6u8).prop_map(Event::Secret),
        1 => Just(Event::ClockSet),
        3 => (0..4_000_000u32).prop_map(Event::Pass),
        4 => Just(Event::Wake),
        1 => Just(Event::Restart),
    ]
}

fn variant(number: u8) -> Settings {
    match number {
        0 => settings(),
        1 => Settings { password: None, ..settings() },
        2 => with_password("other"),
        3 => Settings { expires: Some(120), ..settings() },
        4 => Settings { registrar: Some(server("sip:example.net")), ..settings() },
        5 => Settings { display_name: Some(String::from("A")), ..settings() },
        6 => Settings { keepalive: Some(20), ..settings() },
        _ => Settings {
            password: None,
            secret_storage: Some(crate::settings::SecretStorage::Agent),
            ..settings()
        },
    }
}

fn failure(number: u8) -> Failure {
    let text = String::from("so it is");
    match number {
        0 => Failure::NoSuchName(text),
        1 => Failure::Resolver(text),
        2 => Failure::NoRoute(text),
        3 => Failure::Unreachable(text),
        4 => Failure::TlsUntrusted(text),
        5 => Failure::TlsExpired(text),
        _ => Failure::Silence,
    }
}

fn secret_answer(number: u8) -> SecretAnswer {
    match number {
        0 => SecretAnswer::Cancelled,
        1 => SecretAnswer::Failed,
        _ => SecretAnswer::Given {
            password: Secret::new(format!("p{number}")),
            store: number.is_multiple_of(2),
        },
    }
}

/// The world around one machine, and what it has seen.
struct World {
    rig: Rig,
    settings: Settings,
    /// What is awaited: an attempt that resolves, or one that was sent.
    pending: Option<(u64, bool)>,
    last_id: u64,
    last_cseq: u32,
    challenged: bool,
    flavour: u32,
    /// Somebody is there to be asked for a password, and is asked.
    agent: bool,
    asked: bool,
}

impl World {
    fn new() -> Self {
        Self {
            rig: Rig::new(settings()),
            settings: settings(),
            pending: None,
            last_id: 0,
            last_cseq: 0,
            challenged: false,
            flavour: 0,
            agent: false,
            asked: false,
        }
    }

    fn input(&mut self, input: Input) {
        let silent = self.rig.machine.is_stopped() && !matches!(input, Input::Want | Input::Settings(..));
        // The registry's own limit on steps at one instant.
        let mut next = Some(input);
        for step in 0..8 {
            let Some(input) = next.take() else { return self.check_rest() };
            let outputs = self.rig.machine.handle(input, self.rig.now, &mut self.rig.rng);
            assert!(!silent || outputs.is_empty(), "E2: {outputs:?}");
            self.check(&outputs);
            self.rig.note(outputs);
            if self.rig.machine.wakeup().is_some_and(|at| at <= self.rig.now) {
                next = Some(Input::Tick);
            }
            assert!(step < 7, "a busy loop in {:?}", self.rig.machine);
        }
    }

    fn check(&mut self, outputs: &[Output]) {
        let wanted = self.rig.machine.is_wanted();
        let mut requests = 0;
        for output in outputs {
            match output {
                Output::Resolve { attempt, .. } => {
                    assert!(*attempt > self.last_id && wanted);
                    (self.last_id, self.pending) = (*attempt, Some((*attempt, false)));
                    requests += 1;
                }
                Output::Send { attempt, request, .. } => {
                    assert!(*attempt > self.last_id && request.cseq > self.last_cseq);
                    (self.last_id, self.last_cseq) = (*attempt, request.cseq);
                    self.pending = Some((*attempt, true));
                    requests += 1;
                    let has = |wanted: &str| request.headers.iter().any(|(name, _)| name == wanted);
                    let farewell = request.headers.contains(&(String::from("Expires"), String::from("0")));
                    assert!(wanted || farewell, "sent though unwanted");
                    assert!(self.challenged || !has("Authorization") && !has("Proxy-Authorization"));
                }
                Output::AskSecret(_) => {
                    assert!(self.agent && wanted && !std::mem::replace(&mut self.asked, true));
                }
                Output::ForgetSecret => assert!(std::mem::take(&mut self.asked)),
                Output::KeepSecret(_) => assert!(self.rig.machine.settings.password.is_none()),
                Output::Stopped => {
                    let shown = self.rig.machine.status();
                    assert_eq!((shown.state, shown.reason), (State::Unregistered, Reason::Error));
                    assert!(self.rig.machine.is_stopped() && !wanted && self.rig.machine.is_idle());
                    assert!(shown.last_error.is_some());
                }
                Output::CloseFlow | Output::KeepAlive(_) | Output::Moved => {}
            }
        }
        assert!(requests <= 1, "at most one REGISTER in flight: {outputs:?}");
        let in_flight = self.rig.machine.in_flight();
        self.pending = self.pending.filter(|_| in_flight);
        assert_eq!(in_flight, self.pending.is_some());
    }

    /// Between inputs: shown states make sense, and everything that is wanted goes on by itself.
    fn check_rest(&self) {
        let machine = &self.rig.machine;
        let shown = machine.status();
        let (wanted, in_flight) = (machine.is_wanted(), machine.in_flight());
        match shown.state {
            State::Registered => assert!(machine.binding().is_some() && wanted),
            State::Waiting => {
                assert!(wanted && (in_flight || machine.wakeup().is_some() || shown.reason == Reason::Secret))
            }
            State::Registering | State::Unregistering => assert!(in_flight),
            State::Unregistered => assert!(!wanted && !in_flight),
        }
        assert_eq!(shown.state == State::Registered, !shown.registered_aors.is_empty());
        assert!(shown.reason != Reason::Error || machine.is_stopped());
        assert!(shown.needs_secret || shown.reason != Reason::Secret || in_flight);
        if let Some(at) = machine.wakeup() {
            assert!(at > self.rig.now);
        }
        let memory = machine.memory();
        let text = serde_json::to_string(&memory).expect("it is written");
        assert_eq!(serde_json::from_str::<Memory>(&text).expect("it is read"), memory);
    }

    fn headers(&mut self, status: u16, flavour: u8) -> Vec<(&'static str, String)> {
        self.flavour += 1;
        let nonce = if flavour.is_multiple_of(2) { String::from("n") } else { format!("n{}", self.flavour) };
        let stale = if flavour.is_multiple_of(3) { ", stale=true" } else { "" };
        let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"{stale}");
        let ours = self.rig.sent.last().map(|sent| sent.contact(self.rig.local)).unwrap_or_default();
        let granted = [0u32, 1, 60, 600, 3600, 86_400][usize::from(flavour) % 6];
        let mut headers = match status {
            401 => vec![("WWW-Authenticate", challenge)],
            407 => vec![("Proxy-Authenticate", challenge)],
            302 => vec![("Contact", String::from("<sip:example.com>"))],
            420 => vec![("Unsupported", String::from("gruu"))],
            423 => vec![("Min-Expires", (3000 + self.flavour * 10).to_string())],
            503 if flavour.is_multiple_of(2) => vec![("Retry-After", u32::from(flavour).to_string())],
            200 if flavour != 11 => vec![("Contact", format!("<{ours}>;expires={granted}"))],
            _ => vec![],
        };
        if flavour.is_multiple_of(4) && status == 200 {
            headers.push(("Contact", format!("<sip:{TOKEN}@203.0.113.77:5060>;expires=9")));
        }
        if flavour.is_multiple_of(5) {
            headers
                .push(("Via", format!("SIP/2.0/UDP h;received=203.0.113.5;rport={}", 1000 + self.flavour)));
        }
        headers
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Want => self.input(Input::Want),
            Event::Unwant => self.input(Input::Unwant),
            Event::Settings(number) => {
                let new = variant(number);
                let change = change(&self.settings, &new);
                self.settings = new.clone();
                self.input(Input::Settings(Arc::new(new), change));
            }
            Event::Refresh(by_owner) => self.input(Input::Refresh { by_owner }),
            Event::Answer(status, flavour) => {
                let Some((attempt, true)) = self.pending else { return };
                self.challenged |= [401, 407].contains(&status);
                let headers = self.headers(status, flavour);
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let sent = self.rig.sent.last().expect("something was sent").clone();
                let response = self.rig.response(&sent, status, &headers);
                self.input(Input::Answer { attempt, response });
            }
            Event::Stale(status) => {
                let Some(sent) = self.rig.sent.first().cloned() else { return };
                let response = self.rig.response(&sent, status, &[]);
                self.input(Input::Answer { attempt: 0, response });
            }
            Event::Fail(number) => match self.pending {
                Some((attempt, true)) => self.input(Input::Failed { attempt, failure: failure(number) }),
                Some((attempt, false)) => {
                    self.input(Input::Resolved { attempt, result: Err(failure(number)) })
                }
                None => {}
            },
            Event::Resolve(number) => {
                let Some((attempt, false)) = self.pending else { return };
                let targets = (0..number % 4).map(|at| match number % 3 {
                    0 => udp(1 + at),
                    1 => target(Transport::Tcp, 1 + at),
                    _ => target(Transport::Tls, 1 + at),
                });
                self.input(Input::Resolved { attempt, result: Ok(targets.collect()) });
            }
            Event::FlowLost => self.input(Input::FlowLost),
            Event::Network(source_changed, reachable) => {
                self.input(Input::Network { source_changed, reachable })
            }
            Event::Resumed(reachable) => self.input(Input::Resumed { reachable }),
            Event::Agents(there) => {
                self.agent = there;
                self.input(Input::Agents(there));
            }
            Event::Secret(number) => {
                self.asked = false;
                self.input(Input::Secret(secret_answer(number)));
            }
            Event::ClockSet => self.input(Input::ClockSet),
            Event::Pass(millis) => {
                self.rig.pass(Duration::from_millis(millis.into()));
                self.input(Input::Tick);
            }
            Event::Wake => {
                if let Some(at) = self.rig.machine.wakeup() {
                    self.rig.now = self.rig.now.max(at);
                    self.input(Input::Tick);
                }
            }
            Event::Restart => self.restart(),
        }
    }

    /// A successor takes over, as the registry lets it.
    fn restart(&mut self) {
        let (wanted, memory) = (self.rig.machine.is_wanted(), self.rig.machine.memory());
        let was = self.rig.machine.status();
        let stopped = self.rig.machine.is_stopped();
        let mut rig = Rig::restored(self.settings.clone(), memory, self.rig.now);
        rig.local.set_port(self.rig.local.port() + 1);
        *self = World { rig, settings: self.settings.clone(), flavour: self.flavour, ..World::new() };
        assert_eq!(self.rig.machine.is_stopped(), stopped);
        if wanted || !self.rig.machine.is_idle() {
            self.input(if wanted { Input::Want } else { Input::Unwant });
        }
        if let (State::Waiting, Some(until)) = (was.state, was.retry_at) {
            let shown = self.rig.machine.status();
            assert!(shown.retry_at >= Some(until) || until <= self.rig.now, "E9: {was:?} {shown:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// H6, E2, E9, no busy loop, CSeq rises, nothing sent that nobody wants, no credentials unasked.
    #[test]
    fn whatever_happens_the_promises_hold(events in prop::collection::vec(event(), 1..80)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
    }

    /// Left alone at a server that works, whatever was before, a wanted profile gets registered by itself.
    #[test]
    fn a_wanted_profile_recovers_by_itself(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        let new = settings();
        let change = change(&world.settings, &new);
        world.settings = new.clone();
        world.input(Input::Settings(Arc::new(new), change));
        world.input(Input::Want);
        for _ in 0..60 {
            match world.pending {
                Some((_, false)) => world.happen(Event::Resolve(3)),
                Some((_, true)) => world.happen(Event::Answer(200, 3)),
                None if world.rig.state() == State::Registered && world.rig.reason() == Reason::None => break,
                None => world.happen(Event::Wake),
            }
        }
        prop_assert_eq!((world.rig.state(), world.rig.reason()), (State::Registered, Reason::None));
    }
}
