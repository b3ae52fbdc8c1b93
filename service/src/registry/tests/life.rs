//! A random life: whatever clients, registrars, disks and polkit do, the rules hold.

use proptest::prelude::*;

use super::*;

/// What may happen in a random life.
#[derive(Clone, Debug)]
enum Event {
    Create(u32),
    Enable(u32, u32, u8),
    Disable(u32, u32, u8),
    Leave(u32),
    Die(u32),
    Update(u32, u32, u8),
    Remove(u32, u32, bool),
    Refresh(u32, u32),
    Answer(u32, u16),
    FlowLost(u32),
    Time(u64),
    Disk(bool),
    Polkit(usize, Verdict),
}

fn event() -> impl Strategy<Value = Event> {
    let (client, id) = (0..4u32, 1..4u32);
    let status = prop::sample::select(vec![200, 200, 200, 401, 0, 403, 404, 423, 480, 500, 503, 302, 600]);
    let verdict = prop::sample::select(vec![Verdict::Granted, Verdict::Granted, Verdict::Refused]);
    prop_oneof![
        1 => client.clone().prop_map(Event::Create),
        4 => (client.clone(), id.clone(), 0..2u8).prop_map(|(c, i, t)| Event::Enable(c, i, t)),
        3 => (client.clone(), id.clone(), 0..2u8).prop_map(|(c, i, t)| Event::Disable(c, i, t)),
        1 => client.clone().prop_map(Event::Leave),
        1 => client.clone().prop_map(Event::Die),
        2 => (client.clone(), id.clone(), 0..5u8).prop_map(|(c, i, w)| Event::Update(c, i, w)),
        1 => (client.clone(), id.clone(), any::<bool>()).prop_map(|(c, i, f)| Event::Remove(c, i, f)),
        1 => (client, id.clone()).prop_map(|(c, i)| Event::Refresh(c, i)),
        8 => (id.clone(), status).prop_map(|(i, s)| Event::Answer(i, s)),
        1 => id.prop_map(Event::FlowLost),
        3 => (0..4_000_000u64).prop_map(Event::Time),
        1 => prop::bool::weighted(0.2).prop_map(Event::Disk),
        4 => (0..4usize, verdict).prop_map(|(n, verdict)| Event::Polkit(n, verdict)),
    ]
}

fn happen(world: &mut World, event: Event) {
    // Clients 0 and 1 are one user's, 2 is another's, 3 is root's.
    let who = |client: u32| caller(client, [1000, 1000, 1001, 0][client as usize]);
    let token = |token: u8| Options(values(&[("token", Value::Text(token.to_string()))]));
    match event {
        Event::Create(client) => {
            let aor =
                values(&[("aor", Value::Text("a@192.0.2.1".into())), ("password", Value::Text("p".into()))]);
            // Root's are everybody's.
            let options = Options(values(&[("shared", Value::Flag(who(client).uid == 0))]));
            world.call(&who(client), Call::CreateProfile(aor, options));
        }
        Event::Enable(client, id, t) => drop(world.call(&who(client), Call::Enable(id, token(t)))),
        Event::Disable(client, id, t) => drop(world.call(&who(client), Call::Disable(id, token(t)))),
        Event::Leave(client) => drop(world.call(&who(client), Call::Leave(none()))),
        Event::Die(client) => world.apply(Command::Gone(who(client).name)),
        Event::Update(client, id, what) => {
            let set = match what {
                0 => values(&[("display-name", Value::Text("Home".into()))]),
                1 => values(&[("password", Value::Text("q".into()))]),
                2 => values(&[("expires", Value::Number(600))]),
                3 => values(&[("registrar", Value::Text("192.0.2.7".into()))]),
                _ => values(&[("auto-register", Value::Flag(true))]),
            };
            world.call(&who(client), Call::Update(id, set, Vec::new(), none()));
        }
        Event::Remove(client, id, force) => {
            let held = world.registry.profiles.get(&id).is_some_and(|profile| !profile.holders.is_empty());
            let options = Options(values(&[("force", Value::Flag(force))]));
            let answer = world.call(&who(client), Call::Remove(id, options));
            assert!(!(held && !force && matches!(answer, Some(Ok(_)))), "removed while held");
        }
        Event::Refresh(client, id) => drop(world.call(&who(client), Call::Refresh(id, none()))),
        Event::Answer(id, status) => world.answer(id, status),
        Event::FlowLost(profile) => {
            world.apply(Command::Registration { profile, input: Input::FlowLost });
        }
        Event::Time(millis) => world.pass(Duration::from_millis(millis)),
        Event::Disk(refuses) => world.disk_refuses = refuses,
        Event::Polkit(n, verdict) => world.polkit(n, verdict),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_random_life_breaks_no_rule(events in prop::collection::vec(event(), 1..80)) {
        let mut world = World::new();
        // Somebody who sees everything and never goes.
        world.call(&caller(9, 0), Call::ManagedObjects);
        let mut shown: BTreeMap<u32, super::super::face::Face> = BTreeMap::new();
        let mut held: BTreeSet<(Name, u32, String)> = BTreeSet::new();
        for event in events {
            happen(&mut world, event);
            for note in &world.notes {
                match note.clone() {
                    Note::HoldAdded(name, id, token) => drop(held.insert((name, id, token))),
                    Note::HoldGone(name, id, token) => drop(held.remove(&(name, id, token))),
                    _ => {}
                }
            }
            for (_, signal) in &world.signals {
                match signal {
                    Signal::PropertiesChanged(face, changed) => {
                        let before = shown.insert(face.id, (**face).clone());
                        if let Some(before) = before {
                            let differs = face.changes_since(&before);
                            prop_assert_eq!(&differs, changed, "no signal without a change");
                        }
                    }
                    Signal::InterfacesAdded(face) => drop(shown.insert(face.id, (**face).clone())),
                    Signal::ErrorOccurred(id, _) => {
                        let holders = &world.registry.profiles[id].holders;
                        prop_assert!(holders.is_empty(), "after an error nobody holds");
                    }
                    _ => {}
                }
            }
            let on_disk: Vec<_> = world.disk.keys().copied().collect();
            let known: Vec<_> = world.registry.profiles.keys().copied().collect();
            prop_assert_eq!(on_disk, known, "what is on disk is what was acknowledged");
            for profile in world.registry.profiles.values() {
                prop_assert_eq!(&world.disk[&profile.id].settings, &*profile.settings);
                let names: BTreeSet<_> =
                    held.iter().filter(|(_, id, _)| *id == profile.id).map(|(name, ..)| name.clone()).collect();
                prop_assert_eq!(profile.face().users as usize, names.len(), "Users is the number of bus names");
                for name in profile.holders.keys() {
                    prop_assert!(world.registry.sessions.contains_key(name), "a hold without a session");
                }
            }
            prop_assert!(world.questions.len() <= 3 * limits::QUESTIONS);
            prop_assert!(world.registry.is_asking() != world.questions.is_empty(), "every parked call is asked about");
            let wakeup = world.registry.wakeup();
            prop_assert!(wakeup.is_none_or(|moment| moment > world.now), "it would never rest: {:?}", wakeup);
            world.signals.clear();
            world.notes.clear();
        }
    }
}
