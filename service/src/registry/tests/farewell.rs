//! L4, U3c, U5, E9: a binding whose profile was removed or moved is removed by the successor too, and a wait goes on.

use super::*;

impl World {
    /// The service is killed, and a successor starts with what disk and journal have. What was in flight is lost.
    pub(super) fn succeed(&mut self) {
        let start = Start {
            profiles: self.disk.values().cloned().collect(),
            farewells: self.farewells.values().cloned().collect(),
            memories: self.memories.clone(),
            ..Start::default()
        };
        let random = Box::new(rand::rngs::StdRng::seed_from_u64(8));
        let (registry, effects) = Registry::start(Rules::default(), start, random, self.now);
        self.registry = registry;
        self.flying.clear();
        self.carry_out(effects);
    }

    fn registered(&mut self, owner: &Caller) -> u32 {
        let id = self.create(owner);
        self.call(owner, Call::Enable(id, none()));
        self.answer(id, 200);
        self.answer(id, 200);
        assert!(self.memories[&id].registration.binding.is_some());
        id
    }

    /// A registered profile on its way to another registrar, wanted whatever becomes of its holder.
    fn moving(&mut self, owner: &Caller) -> u32 {
        let id = self.registered(owner);
        let aor = Value::Text("alice@192.0.2.77".into());
        let set = values(&[("aor", aor), ("auto-register", Value::Flag(true))]);
        assert!(self.call(owner, Call::Update(id, set, Vec::new(), none())).unwrap().is_ok());
        id
    }

    /// Host and Expires of what is under way.
    fn asked(&self, id: u32) -> Option<(String, String)> {
        let (_, request) = self.flying.get(&id)?;
        let request = request.as_ref()?;
        let expires =
            request.headers.iter().find(|(name, _)| name == "Expires").map(|(_, value)| value.clone());
        Some((request.uri.clone(), expires?))
    }
}

fn farewell_of(uri: &str) -> Option<(String, String)> {
    Some((uri.to_owned(), String::from("0")))
}

#[test]
fn u5_l4_a_removed_profiles_binding_is_removed_by_the_successor() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.registered(&owner);
    let force = Options(values(&[("force", Value::Flag(true))]));
    assert!(world.call(&owner, Call::Remove(id, force)).unwrap().is_ok());
    assert_eq!((world.disk.len(), world.farewells.len()), (0, 1));
    for _ in 0..2 {
        world.succeed();
        assert_eq!(world.asked(id), farewell_of("sip:192.0.2.1"));
        assert!(world.registry.is_needed() && world.registry.profiles.is_empty());
    }
    world.answer(id, 200);
    assert!(world.farewells.is_empty() && world.memories.is_empty() && !world.registry.is_needed());
}

#[test]
fn u5_a_profile_without_a_binding_is_gone_at_once() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    assert!(world.call(&owner, Call::Remove(id, none())).unwrap().is_ok());
    assert!(world.farewells.is_empty() && world.disk.is_empty());
}

#[test]
fn h9_what_was_noted_of_a_profile_that_is_gone_is_struck_out() {
    // Killed between the removal on disk and its note.
    let (owner, id) = (caller(1, 1000), 7);
    let hold = (owner.name.clone(), id, String::from("token"));
    let start = Start {
        memories: BTreeMap::from([(id, effect::ProfileMemory::default())]),
        sessions: vec![owner],
        holds: vec![hold.clone()],
        ..Start::default()
    };
    let random = Box::new(rand::rngs::StdRng::seed_from_u64(7));
    let (_, effects) = Registry::start(Rules::default(), start, random, Moment::from_millis(1));
    let gone = [Note::HoldGone(hold.0, hold.1, hold.2), Note::MemoryGone(id)];
    assert_eq!(effects, gone.map(Effect::Note));
}

#[test]
fn e6_a_wait_for_a_name_is_known_to_a_successor_whether_somebody_wants_it_or_not() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    assert!(!world.registry.awaits_a_name());
    world.call(&owner, Call::Enable(id, none()));
    let (attempt, _) = world.flying.remove(&id).unwrap();
    let result = Err(Failure::NoSuchName(String::from("no such name")));
    world.apply(Command::Registration { profile: id, input: Input::Resolved { attempt, result } });
    world.succeed();
    assert_eq!(world.registry.state_of(id), State::Unregistered, "its holder is gone");
    assert!(world.registry.awaits_a_name());
}

#[test]
fn u3c_l4_a_move_is_finished_by_the_successor() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.moving(&owner);
    assert_eq!((world.asked(id), world.farewells.len()), (farewell_of("sip:192.0.2.1"), 1));
    world.succeed();
    assert_eq!(
        world.asked(id),
        farewell_of("sip:192.0.2.1"),
        "with the settings that the binding was made with"
    );
    world.answer(id, 200);
    assert!(world.farewells.is_empty());
    world.answer(id, 200);
    assert_eq!(world.asked(id), Some((String::from("sip:192.0.2.77"), String::from("3600"))));
}

#[test]
fn u3c_a_move_whose_binding_was_removed_in_time_leaves_nothing() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.moving(&owner);
    let kept = world.farewells.clone();
    world.answer(id, 200);
    assert!(world.farewells.is_empty());
    // Killed between the journal's line and the file's end.
    world.farewells = kept;
    world.succeed();
    assert!(world.farewells.is_empty());
    world.answer(id, 200);
    assert_eq!(world.asked(id), Some((String::from("sip:192.0.2.77"), String::from("3600"))));
}

#[test]
fn u3a_a_quiet_update_keeps_no_copy() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.registered(&owner);
    let set = values(&[("password", Value::Text("new".into())), ("expires", Value::Number(600))]);
    assert!(world.call(&owner, Call::Update(id, set, Vec::new(), none())).unwrap().is_ok());
    assert!(world.farewells.is_empty());
}

#[test]
fn e9_l3_a_wait_is_left_to_the_successor() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    world.call(&owner, Call::Enable(id, none()));
    world.answer(id, 500);
    world.answer(id, 500);
    let waits = world.memories[&id].registration.clone();
    assert!(waits.wait.is_some() && waits.last_error.is_some());
    world.apply(Command::Shutdown);
    assert_eq!(world.memories[&id].registration, waits);
    assert!(!world.registry.is_registered_anywhere());
}
