//! The registry by itself: commands in, effects out, on a virtual clock, with a registrar made of values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;

use super::call::{Answer, Options, Reply};
use super::effect::{Audience, Note, Signal, Write};
use super::error::CallErrorKind;
use super::rights::{Question, Verdict};
use super::*;
use crate::registration::{Failure, Input, Output, Response, State, Target, Transport};
use crate::settings::{Value, Values};

mod agents;
mod bounds;
mod clock;
mod farewell;
mod life;

mod rights;
mod updates;

/// The registry, and what a service around it would know.
struct World {
    registry: Registry,
    now: Moment,
    tickets: Ticket,
    /// Attempts under way by profile.
    flying: BTreeMap<u32, (u64, Option<Box<crate::registration::Request>>)>,
    disk: BTreeMap<u32, Record>,
    /// What the disk keeps until its binding is removed.
    farewells: BTreeMap<u32, Record>,
    /// What the journal has of the profiles.
    memories: BTreeMap<u32, effect::ProfileMemory>,
    disk_refuses: bool,
    /// What polkit is being asked.
    questions: Vec<Question>,
    /// What the last command brought.
    answers: Vec<(Ticket, Answer)>,
    signals: Vec<(Audience, Signal)>,
    notes: Vec<Note>,
    /// What agents are asked, or told to forget.
    asked: Vec<Effect>,
}

fn values(pairs: &[(&str, Value)]) -> Values {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn caller(number: u32, uid: u32) -> Caller {
    Caller { name: format!(":1.{number}").into(), uid, pid: 1000 + number }
}

fn none() -> Options {
    Options::default()
}

impl World {
    fn new() -> Self {
        let random = Box::new(rand::rngs::StdRng::seed_from_u64(7));
        let now = Moment::from_millis(1_000_000);
        let (registry, effects) = Registry::start(Rules::default(), Start::default(), random, now);
        assert_eq!(effects, []);
        Self {
            registry,
            now,
            tickets: 0,
            flying: BTreeMap::new(),
            disk: BTreeMap::new(),
            farewells: BTreeMap::new(),
            memories: BTreeMap::new(),
            disk_refuses: false,
            questions: Vec::new(),
            answers: Vec::new(),
            signals: Vec::new(),
            notes: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn apply(&mut self, command: Command) {
        self.answers.clear();
        self.signals.clear();
        self.notes.clear();
        self.asked.clear();
        let effects = self.registry.apply(command, self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, mut effects: Vec<Effect>) {
        loop {
            let mut command = None;
            for effect in effects {
                match effect {
                    Effect::Reply(ticket, answer) => self.answers.push((ticket, answer)),
                    Effect::Signal(audience, signal) => self.signals.push((audience, signal)),
                    Effect::Note(note) => self.note(note),
                    Effect::Save(write) => command = Some(Command::Saved(self.save(*write))),
                    Effect::Sip { profile, output } => self.sip(profile, output),
                    Effect::Ask { .. } | Effect::CancelQuestion { .. } => self.asked.push(effect),
                    Effect::Authorize(question) => self.questions.push(*question),
                    Effect::Withdraw(ticket) => self.questions.retain(|question| question.ticket != ticket),
                    Effect::Configure { .. } => {}
                    Effect::Forget(id) => drop(self.farewells.remove(&id)),
                }
            }
            let command = command.or_else(|| self.registry.can_resume().then_some(Command::Resume));
            let Some(command) = command else { return };
            effects = self.registry.apply(command, self.now);
        }
    }

    fn note(&mut self, note: Note) {
        match &note {
            Note::Memory(id, memory) => drop(self.memories.insert(*id, (**memory).clone())),
            Note::MemoryGone(id) => drop(self.memories.remove(id)),
            _ => {}
        }
        self.notes.push(note);
    }

    fn save(&mut self, write: Write) -> Result<(), String> {
        if self.disk_refuses {
            return Err(String::from("no space left"));
        }
        let (id, after, farewell) = match write {
            Write::Profile { record, farewell } => (record.id, Some(*record), farewell),
            Write::Removal { id, farewell } => (id, None, farewell),
            Write::Default { .. } => return Ok(()),
        };
        let before = self.disk.remove(&id);
        self.disk.extend(after.map(|record| (id, record)));
        if let Some(before) = before.filter(|_| farewell) {
            self.farewells.entry(id).or_insert(before);
        }
        Ok(())
    }

    fn sip(&mut self, profile: u32, output: Output) {
        match output {
            Output::Resolve { attempt, .. } => drop(self.flying.insert(profile, (attempt, None))),
            Output::Send { attempt, request, .. } => {
                let before = self.flying.insert(profile, (attempt, Some(request)));
                assert!(
                    before.is_none_or(|(_, request)| request.is_none()),
                    "two REGISTERs of {profile} in flight"
                );
            }
            Output::CloseFlow => drop(self.flying.remove(&profile)),
            Output::KeepAlive(_) => {}
            Output::Moved => drop(self.farewells.remove(&profile)),
            other => panic!("not for the SIP edge: {other:?}"),
        }
    }

    fn call(&mut self, caller: &Caller, call: Call) -> Option<Answer> {
        self.tickets += 1;
        let ticket = self.tickets;
        self.apply(Command::Call { caller: caller.clone(), call, ticket, interactive: false });
        self.answers.iter().find(|(other, _)| *other == ticket).map(|(_, answer)| answer.clone())
    }

    fn create(&mut self, by: &Caller) -> u32 {
        self.create_with(by, none())
    }

    fn create_with(&mut self, by: &Caller, options: Options) -> u32 {
        let settings =
            values(&[("aor", Value::Text("alice@192.0.2.1".into())), ("password", Value::Text("p".into()))]);
        match self.call(by, Call::CreateProfile(settings, options)) {
            Some(Ok(Reply::Created(id))) => id,
            other => panic!("not created: {other:?}"),
        }
    }

    /// The registrar answers what is under way for a profile.
    fn answer(&mut self, profile: u32, status: u16) {
        let Some((attempt, request)) = self.flying.remove(&profile) else { return };
        let server = Target {
            transport: Transport::Udp,
            address: "192.0.2.1:5060".parse().unwrap(),
            host: String::from("192.0.2.1"),
        };
        let input = match request {
            None => Input::Resolved { attempt, result: Ok(vec![server]) },
            Some(_) if status == 0 => Input::Failed { attempt, failure: Failure::Silence },
            Some(request) => {
                let contact = format!("sip:{}@192.0.2.9:5060", request.contact_user);
                let mut headers = vec![(String::from("Via"), String::from("SIP/2.0/UDP 192.0.2.9:5060"))];
                if status == 401 {
                    let challenge = String::from("Digest realm=\"r\", nonce=\"n\", qop=\"auth\"");
                    headers.push((String::from("WWW-Authenticate"), challenge));
                }
                if status == 200 {
                    let asked = request.headers.iter().find(|(name, _)| name == "Expires").unwrap().1.clone();
                    headers.push((String::from("Expires"), asked.clone()));
                    if asked != "0" {
                        headers.push((String::from("Contact"), format!("<{contact}>;expires={asked}")));
                    }
                }
                let local = "192.0.2.9:5060".parse().unwrap();
                let phrase = String::from("As told");
                Input::Answer {
                    attempt,
                    response: Response {
                        status,
                        phrase,
                        headers,
                        server,
                        local,
                        contact,
                        tls_peer: String::new(),
                    },
                }
            }
        };
        self.apply(Command::Registration { profile, input });
    }

    /// Resolves the name and answers 200.
    fn register(&mut self, profile: u32) {
        self.answer(profile, 200);
        self.answer(profile, 200);
    }

    /// Polkit answers the `n`th open question.
    fn polkit(&mut self, n: usize, verdict: Verdict) {
        if n < self.questions.len() {
            let ticket = self.questions.remove(n).ticket;
            self.apply(Command::Authorized { ticket, verdict });
        }
    }

    fn face(&mut self, by: &Caller, id: u32) -> super::face::Face {
        match self.call(by, Call::Properties(id)) {
            Some(Ok(Reply::Face(face))) => *face,
            other => panic!("no properties: {other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.apply(Command::Tick);
    }
}

fn kind(answer: Option<Answer>) -> CallErrorKind {
    match answer {
        Some(Err(error)) => error.kind,
        other => panic!("no error: {other:?}"),
    }
}

#[test]
fn h4_h5_the_first_hold_registers_and_the_last_deregisters() {
    let (mut world, owner, other) = (World::new(), caller(1, 1000), caller(2, 1000));
    let id = world.create(&owner);
    assert_eq!(world.call(&owner, Call::Enable(id, none())), Some(Ok(Reply::State("registering"))));
    assert!(world.notes.contains(&Note::HoldAdded(owner.name.clone(), id, String::new())));
    world.register(id);
    assert_eq!(world.face(&owner, id).status.state, State::Registered);
    assert_eq!(world.call(&other, Call::Enable(id, none())), Some(Ok(Reply::State("registered"))));
    assert_eq!(world.flying, BTreeMap::new(), "H4: nothing is sent");
    world.apply(Command::Gone(owner.name.clone()));
    assert_eq!(world.flying, BTreeMap::new(), "somebody holds it still");
    world.apply(Command::Gone(other.name.clone()));
    assert_eq!(world.flying.len(), 1, "H5: the de-REGISTER");
    world.answer(id, 200);
    assert!(!world.registry.is_needed(), "L1");
}

#[test]
fn private_profiles_do_not_exist_for_strangers() {
    let (mut world, owner, stranger, root) = (World::new(), caller(1, 1000), caller(2, 1001), caller(3, 0));
    let id = world.create(&owner);
    assert_eq!(kind(world.call(&stranger, Call::GetProfile(id))), CallErrorKind::NotFound);
    assert_eq!(kind(world.call(&stranger, Call::Enable(id, none()))), CallErrorKind::UnknownObject);
    assert_eq!(world.call(&stranger, Call::ManagedObjects), Some(Ok(Reply::Faces(Vec::new()))));
    assert_eq!(world.registry.visible_ids(1001).count(), 0);
    assert!(world.call(&root, Call::Properties(id)).unwrap().is_ok());
    world.call(&owner, Call::Enable(id, none()));
    let names = BTreeSet::from([&owner.name, &root.name]);
    for (audience, _) in &world.signals {
        let Audience::Sessions(heard) = audience else { panic!("a private profile was broadcast") };
        assert_eq!(heard.iter().collect::<BTreeSet<_>>(), names);
    }
    assert!(!world.signals.is_empty());
    assert_eq!(
        kind(world.call(&root, Call::SetDefaultProfile(Some(id), none()))),
        CallErrorKind::AccessDenied
    );
}

#[test]
fn u1_what_the_disk_refuses_did_not_happen() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    world.disk_refuses = true;
    let update = |name: &str| {
        Call::Update(id, values(&[("display-name", Value::Text(name.into()))]), Vec::new(), none())
    };
    assert_eq!(kind(world.call(&owner, update("Home"))), CallErrorKind::Storage);
    assert_eq!(world.signals, []);
    assert_eq!(world.face(&owner, id).settings.shown_name(), "sip:alice@192.0.2.1");
    assert_eq!(kind(world.call(&owner, Call::Remove(id, none()))), CallErrorKind::Storage);
    world.disk_refuses = false;
    assert_eq!(world.call(&owner, update("Home")), Some(Ok(Reply::Done)));
    assert_eq!(world.disk[&id].settings.shown_name(), "Home");
}

#[test]
fn h8_force_disable_keeps_an_auto_register_profile_off_until_somebody_enables_it() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    let on = values(&[("auto-register", Value::Flag(true))]);
    world.call(&owner, Call::Update(id, on, Vec::new(), none()));
    world.register(id);
    world.call(&owner, Call::ForceDisable(id, none()));
    let forced = |(_, signal): &&(Audience, Signal)| *signal == Signal::ProfileForciblyDisabled(id);
    assert_eq!(world.signals.iter().filter(forced).count(), 1);
    world.answer(id, 200);
    world.pass(Duration::from_secs(7200));
    assert_eq!(world.flying, BTreeMap::new());
    assert_eq!(world.face(&owner, id).status.state, State::Unregistered);
    world.call(&owner, Call::Enable(id, none()));
    world.register(id);
    assert_eq!(world.face(&owner, id).status.state, State::Registered);
}

#[test]
fn h9_a_successor_goes_on_with_what_was_noted() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    let mut memory = None;
    world.call(&owner, Call::Enable(id, none()));
    for _ in 0..2 {
        world.answer(id, 200);
        memory = world.notes.iter().find_map(|note| match note {
            Note::Memory(_, memory) => Some((**memory).clone()),
            _ => None,
        });
    }
    let start = |held: bool| Start {
        profiles: world.disk.values().cloned().collect(),
        memories: BTreeMap::from([(id, memory.clone().unwrap())]),
        sessions: vec![owner.clone()],
        holds: if held { vec![(owner.name.clone(), id, String::new())] } else { Vec::new() },
        ..Start::default()
    };
    for (held, asked) in [(true, "3600"), (false, "0")] {
        let random = Box::new(rand::rngs::StdRng::seed_from_u64(8));
        let (_, effects) = Registry::start(Rules::default(), start(held), random, world.now);
        let sent: Vec<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Sip { output: Output::Send { request, .. }, .. } => request
                    .headers
                    .iter()
                    .find(|(name, _)| name == "Expires")
                    .map(|(_, value)| value.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(sent, [asked], "confirmed for its holder, removed without one");
    }
}

#[test]
fn a_face_with_the_same_settings_has_not_changed() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    let face = world.face(&owner, id);
    let mut same = face.clone();
    same.settings = Arc::new((*face.settings).clone());
    assert_eq!(same.changes_since(&face), []);
}
