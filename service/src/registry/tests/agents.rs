//! Secret agents (E11).

use super::*;
use crate::registration::{Reason, SecretAnswer};
use crate::registry::agents::AgentAnswer;
use crate::settings::Secret;

impl World {
    fn without_password(&mut self, by: &Caller, storage: &str) -> u32 {
        let settings = values(&[
            ("aor", Value::Text("alice@192.0.2.1".into())),
            ("secret-storage", Value::Text(storage.into())),
        ]);
        match self.call(by, Call::CreateProfile(settings, none())) {
            Some(Ok(Reply::Created(id))) => id,
            other => panic!("not created: {other:?}"),
        }
    }

    fn agent(&mut self, by: &Caller) {
        let path = String::from("/agent");
        assert_eq!(self.call(by, Call::RegisterSecretAgent(path, none())), Some(Ok(Reply::Done)));
    }

    /// Enables, and is asked for a password by the registrar.
    fn challenge(&mut self, by: &Caller, id: u32) {
        self.call(by, Call::Enable(id, none()));
        self.answer(id, 401);
        self.answer(id, 401);
    }

    /// Who is asked about what, of the last command.
    fn questions(&self) -> Vec<(String, u32, u64, bool)> {
        let asked = self.asked.iter().filter_map(|effect| match effect {
            Effect::Ask { number, agent, profile, question, .. } => {
                Some((agent.to_string(), *profile, *number, question.refused))
            }
            _ => None,
        });
        asked.collect()
    }

    fn cancelled(&self) -> Vec<u32> {
        let cancelled = self.asked.iter().filter_map(|effect| match effect {
            Effect::CancelQuestion { profile, .. } => Some(*profile),
            _ => None,
        });
        cancelled.collect()
    }

    fn tell(&mut self, number: u64, answer: AgentAnswer) {
        self.apply(Command::Secret { number, answer });
    }

    fn give(&mut self, number: u64, password: &str, store: bool) {
        let answer = SecretAnswer::Given { password: Secret::new(password), store };
        self.tell(number, AgentAnswer::Person(answer));
    }

    fn shows(&mut self, by: &Caller, id: u32) -> (State, Reason, bool) {
        let status = self.face(by, id).status;
        (status.state, status.reason, status.needs_secret)
    }
}

#[test]
fn e11_without_an_agent_a_profile_of_the_service_stops_and_one_of_the_agent_waits() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    let id = world.without_password(&alice, "service");
    world.challenge(&alice, id);
    assert_eq!(world.shows(&alice, id), (State::Unregistered, Reason::Error, true));
    assert_eq!(world.face(&alice, id).users, 0);

    let id = world.without_password(&alice, "agent");
    world.challenge(&alice, id);
    assert_eq!(world.shows(&alice, id), (State::Waiting, Reason::Secret, true));
    assert_eq!(world.face(&alice, id).users, 1, "holds stay");
    world.agent(&alice);
    assert_eq!(world.questions().len(), 1, "a new agent is asked at once");
}

#[test]
fn e11_h10_a_waiting_enable_hears_at_once_that_a_predecessors_agent_is_gone() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    world.agent(&caller(2, 1000));
    let id = world.without_password(&alice, "service");
    world.challenge(&alice, id);
    assert_eq!(world.shows(&alice, id), (State::Waiting, Reason::Secret, true));
    world.succeed();
    let wait = Options(values(&[("wait", Value::Number(9))]));
    assert_eq!(kind(world.call(&alice, Call::Enable(id, wait))), CallErrorKind::NoSecret);
    assert_eq!((world.face(&alice, id).users, world.registry.waiters.len()), (0, 0));
}

#[test]
fn e11_the_newest_agent_is_asked_and_its_password_is_kept_in_memory_until_deregistration() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    let (old, new) = (caller(2, 1000), caller(3, 1000));
    world.agent(&old);
    world.agent(&new);
    let id = world.without_password(&alice, "agent");
    world.challenge(&alice, id);
    let asked = world.questions();
    assert_eq!(asked, [(new.name.to_string(), id, 1, false)]);
    assert_eq!(world.shows(&alice, id), (State::Waiting, Reason::Secret, true));

    world.give(1, "p", true);
    world.answer(id, 401);
    world.answer(id, 200);
    assert_eq!(world.shows(&alice, id), (State::Registered, Reason::None, false));
    assert_eq!(world.disk[&id].settings.password, None, "store counts for the service's passwords only");

    world.call(&alice, Call::Disable(id, none()));
    world.answer(id, 200);
    world.challenge(&alice, id);
    assert_eq!(world.questions().len(), 1, "asked again after a de-registration");
}

#[test]
fn e11_a_password_to_be_stored_is_on_disk_once_it_has_worked() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    world.agent(&alice);
    let id = world.without_password(&alice, "service");
    world.challenge(&alice, id);
    world.give(1, "p", true);
    assert_eq!(world.disk[&id].settings.password, None, "not before it has worked");
    world.answer(id, 401);
    world.answer(id, 200);
    assert_eq!(world.disk[&id].settings.password, Some(Secret::new("p")));
    assert!(world.signals.iter().any(|(_, signal)| *signal == Signal::ProfileUpdated(id)));
    assert_eq!(world.shows(&alice, id), (State::Registered, Reason::None, false));
}

#[test]
fn e11_who_may_only_use_a_shared_profile_does_not_store_its_password() {
    for (uid, stored) in [(0, true), (1000, false)] {
        let (mut world, root, user) = (World::new(), caller(1, 0), caller(2, uid));
        let settings = values(&[("aor", Value::Text("alice@192.0.2.1".into()))]);
        let shared = Options(values(&[("shared", Value::Flag(true))]));
        let Some(Ok(Reply::Created(id))) = world.call(&root, Call::CreateProfile(settings, shared)) else {
            panic!("not created");
        };
        world.agent(&user);
        world.call(&user, Call::Enable(id, none()));
        if uid != 0 {
            let question = world.questions.remove(0);
            world.apply(Command::Authorized { ticket: question.ticket, verdict: Verdict::Granted });
        }
        world.answer(id, 401);
        world.answer(id, 401);
        world.give(1, "p", true);
        world.answer(id, 200);
        assert_eq!(world.shows(&user, id).0, State::Registered);
        assert_eq!(world.disk[&id].settings.password.is_some(), stored, "uid {uid}");
    }
}

#[test]
fn e11_cancel_is_final_and_a_failing_agent_only_for_the_services_passwords() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    world.agent(&alice);
    for (storage, answer, expected) in [
        ("service", AgentAnswer::Person(SecretAnswer::Cancelled), State::Unregistered),
        ("agent", AgentAnswer::Person(SecretAnswer::Cancelled), State::Unregistered),
        ("service", AgentAnswer::None, State::Unregistered),
        ("agent", AgentAnswer::None, State::Waiting),
    ] {
        let id = world.without_password(&alice, storage);
        world.challenge(&alice, id);
        let number = world.questions()[0].2;
        world.tell(number, answer.clone());
        assert_eq!(world.face(&alice, id).status.state, expected, "{storage} {answer:?}");
        let error = world.face(&alice, id).status.last_error.unwrap();
        assert_eq!(error.kind, crate::registration::ErrorKind::NoSecret);
    }
}

#[test]
fn e11_an_agent_that_fails_dies_or_is_silent_for_120_s_is_followed_by_the_next() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    let agents: Vec<_> = (2..6).map(|number| caller(number, 1000)).collect();
    for agent in &agents {
        world.agent(agent);
    }
    let id = world.without_password(&alice, "agent");
    world.challenge(&alice, id);
    assert_eq!(world.questions()[0].0, agents[3].name.to_string());
    world.tell(1, AgentAnswer::None);
    assert_eq!(world.questions()[0].0, agents[2].name.to_string());
    world.apply(Command::Gone(agents[2].name.clone()));
    assert_eq!(world.questions()[0].0, agents[1].name.to_string());
    world.pass(Duration::from_secs(120));
    assert_eq!((world.questions()[0].0.clone(), world.cancelled()), (agents[0].name.to_string(), vec![id]));
    let late = SecretAnswer::Given { password: Secret::new("late"), store: false };
    world.tell(3, AgentAnswer::Person(late));
    assert!(world.flying.is_empty(), "a late answer is nobody's");
    world.give(4, "p", false);
    assert!(!world.flying.is_empty());
}

#[test]
fn e11_only_agents_of_those_who_need_it_are_asked_one_question_at_a_time() {
    let (mut world, alice, bob) = (World::new(), caller(1, 1000), caller(2, 1001));
    world.agent(&bob);
    let (first, second) = (world.without_password(&alice, "agent"), world.without_password(&alice, "agent"));
    world.challenge(&alice, first);
    assert_eq!(world.questions(), [], "another user's agent is never asked");
    world.agent(&alice);
    assert_eq!(world.questions().len(), 1);
    world.challenge(&alice, second);
    assert_eq!(world.questions(), [], "one question of a user at a time");
    world.give(1, "p", false);
    assert_eq!(world.questions()[0].1, second);
}

#[test]
fn e11_a_refused_answer_is_said_to_the_agent_and_an_unwanted_question_taken_back() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    world.agent(&alice);
    let id = world.without_password(&alice, "agent");
    world.challenge(&alice, id);
    world.give(1, "wrong", false);
    world.answer(id, 401);
    world.answer(id, 401);
    assert!(world.questions()[0].3, "refused");
    assert_eq!(world.shows(&alice, id), (State::Waiting, Reason::Secret, true));

    world.call(&alice, Call::Disable(id, none()));
    assert_eq!(world.cancelled(), [id]);
    assert_eq!(world.shows(&alice, id).0, State::Unregistered);

    world.challenge(&alice, id);
    assert_eq!(world.questions().len(), 1);
    let set = values(&[("password", Value::Text("p".into()))]);
    world.call(&alice, Call::Update(id, set, Vec::new(), none()));
    assert_eq!(world.cancelled(), [id], "a password was set");
    assert!(!world.flying.is_empty(), "and is tried at once");
}

#[test]
fn e11_a_refused_answer_for_the_services_password_is_an_error() {
    let (mut world, alice) = (World::new(), caller(1, 1000));
    world.agent(&alice);
    let id = world.without_password(&alice, "service");
    world.challenge(&alice, id);
    world.give(1, "wrong", true);
    world.answer(id, 401);
    world.answer(id, 401);
    let status = world.face(&alice, id).status;
    assert_eq!(status.state, State::Unregistered);
    assert_eq!(status.last_error.unwrap().kind, crate::registration::ErrorKind::Unauthorized);
    assert_eq!(world.disk[&id].settings.password, None, "what was refused is not kept");
}

#[test]
fn h9_agents_survive_the_service() {
    let alice = caller(1, 1000);
    let mut before = World::new();
    before.agent(&alice);
    assert!(before.notes.contains(&Note::AgentAdded(alice.name.clone(), String::from("/agent"))));
    let id = before.without_password(&alice, "agent");
    before.challenge(&alice, id);
    let memory = before.registry.profiles[&id].memory();

    let start = Start {
        profiles: before.disk.values().cloned().collect(),
        next_id: id + 1,
        memories: [(id, memory)].into(),
        sessions: vec![alice.clone()],
        holds: vec![(alice.name.clone(), id, String::new())],
        agents: vec![(alice.name.clone(), String::from("/agent"))],
        ..Start::default()
    };
    let random = Box::new(rand::rngs::StdRng::seed_from_u64(8));
    let (registry, effects) = Registry::start(Rules::default(), start, random, before.now);
    let mut after = World { registry, ..World::new() };
    for effect in effects {
        if let Effect::Sip { profile, output } = effect {
            after.sip(profile, output);
        }
    }
    // The server must say again what it wants to know.
    after.answer(id, 401);
    after.answer(id, 401);
    assert_eq!(after.questions().len(), 1);
}
