//! What the fuzz targets do with their bytes: each goes the way that it would go in the service, up to the
//! registration's state machine. A panic, an answer that nobody could read or a packet without end is a find.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sip_profiled::moment::Moment;
use sip_profiled::registration::{
    Identity, Input, Output, Registration, Request, Response, Target, Transport,
};
use sip_profiled::settings::{Settings, Value, Values};
use sip_profiled::sip::frame::{self, Next, Passing};
use sip_profiled::sip::received::{Place, Received};
use sip_profiled::sip::wire::{self, Answer};

/// Bytes from a server, as a datagram and as a stream.
pub fn message(bytes: &[u8]) {
    take(bytes);
    let mut rest = bytes;
    loop {
        match frame::next(rest) {
            Next::Message(length) => {
                assert!((1..=rest.len()).contains(&length) && length <= wire::LONGEST);
                take(&rest[..length]);
                rest = &rest[length..];
            }
            Next::LineEnds(length) => {
                assert!((1..=rest.len()).contains(&length));
                rest = &rest[length..];
            }
            Next::Unfit(_) => {
                let mut passing = Passing::default();
                let Ok(length) = passing.pass(rest) else { return };
                assert!(length > 0 && (passing.is_over() || length == rest.len()));
                rest = &rest[length..];
            }
            Next::More => return,
        }
    }
}

fn take(bytes: &[u8]) {
    let Some(head) = wire::head(bytes) else { return };
    if wire::is_answer(&head) {
        if let Some(answer) = Answer::parse(&head).filter(Answer::is_final) {
            let mut rig = Rig::new();
            rig.answer(answer.into_response(rig.server(), rig.contact(), local(), ""));
        }
        return;
    }
    let Some(request) = Received::parse(&head) else { return };
    for place in [Place::Ours, Place::Nobodys] {
        let Some(answer) = request.answer(place, local()) else {
            assert!(request.is_ack());
            continue;
        };
        assert!(answer.starts_with("SIP/2.0 ") && answer.ends_with("\r\n\r\n"), "{answer:?}");
        assert_eq!(answer.matches("\r\n\r\n").count(), 1, "an answer is one message: {answer:?}");
    }
}

/// Challenges and what becomes of them: the first line is a status, each other one a header field.
pub fn digest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut rig = Rig::new();
    // One answer after the other, as many as the machine still waits for.
    for answer in text.split("\n\n") {
        let mut lines = answer.lines();
        let status = lines.next().and_then(|line| line.trim().parse::<u16>().ok()).unwrap_or(401);
        if !(200..700).contains(&status) {
            continue;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let response = Response {
            status,
            phrase: String::new(),
            headers,
            server: rig.server(),
            local: local(),
            contact: rig.contact(),
            tls_peer: String::new(),
        };
        rig.answer(response);
    }
}

/// Settings from a client, and as the store would read them: JSON. What is taken reads back the same.
pub fn settings(bytes: &[u8]) {
    let Ok(values) = serde_json::from_slice::<Values>(bytes) else { return };
    let Ok(settings) = Settings::create(values) else { return };
    let public = settings.public();
    let again: Values = public
        .into_iter()
        .filter(|(key, _)| !key.starts_with("has-"))
        .collect();
    let again = Settings::create(again).expect("what was shown can be set");
    assert_eq!(settings.aor, again.aor);
    let secrets = ["password", "tls-key"].map(String::from);
    let bare = settings.update(Values::new(), &secrets).expect("secrets can be cleared");
    assert_eq!(bare.public(), again.public(), "what was shown is what is set");
}

/// A registration whose first REGISTER awaits its answer.
struct Rig {
    machine: Registration,
    now: Moment,
    random: StdRng,
    awaits: Option<(u64, Request)>,
}

impl Rig {
    fn new() -> Self {
        let values = [("aor", "sip:alice@example.org"), ("password", "wonderland")];
        let values = values.map(|(key, value)| (key.to_owned(), Value::Text(value.to_owned())));
        let settings = Settings::create(values.into()).expect("plain settings");
        let identity = Identity { token: "t".repeat(20), instance: String::from("0-0-0-0-0") };
        let mut rig = Self {
            machine: Registration::new(Arc::new(settings), identity),
            now: Moment::from_millis(1),
            random: StdRng::seed_from_u64(1),
            awaits: None,
        };
        rig.give(Input::Want);
        rig
    }

    fn server(&self) -> Target {
        let address = SocketAddr::from(([192, 0, 2, 1], 5060));
        Target { transport: Transport::Udp, address, host: String::from("example.org") }
    }

    fn contact(&self) -> String {
        format!("sip:{}@{}", "t".repeat(20), local())
    }

    fn answer(&mut self, response: Response) {
        if let Some((attempt, _)) = self.awaits.take() {
            self.give(Input::Answer { attempt, response });
        }
    }

    /// One input, and the resolving that follows.
    fn give(&mut self, input: Input) {
        let mut next = Some(input);
        for step in 0.. {
            let Some(input) = next.take() else { return };
            assert!(step < 20, "a busy loop");
            for output in self.machine.handle(input, self.now, &mut self.random) {
                match output {
                    Output::Resolve { attempt, .. } => {
                        next = Some(Input::Resolved { attempt, result: Ok(vec![self.server()]) });
                    }
                    Output::Send { attempt, request, .. } => {
                        check(&request);
                        self.awaits = Some((attempt, *request));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Nothing that a server said may become a line of its own, and no request tells the password.
fn check(request: &Request) {
    let text = wire::register(request, Transport::Udp, local());
    assert_eq!(text.matches("\r\n\r\n").count(), 1, "{text:?}");
    let lines = text.trim_end().split("\r\n").skip(1);
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        assert!(!name.is_empty() && !name.contains([' ', '\t', '\n', '\r']), "{line:?} in {text:?}");
        assert!(!line.contains(['\n', '\r']), "{line:?}");
    }
    assert!(!text.contains("wonderland"), "{text}");
}

fn local() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 40_000))
}
