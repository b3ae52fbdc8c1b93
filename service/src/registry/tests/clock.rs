//! A wall clock that jumps (L7, E6).

use super::*;
use crate::registration::Reason;
use crate::registry::face::Property;

impl World {
    fn fail(&mut self, profile: u32, failure: Failure) {
        let (attempt, _) = self.flying.remove(&profile).expect("an attempt is under way");
        self.apply(Command::Registration { profile, input: Input::Failed { attempt, failure } });
    }

    /// The times that were announced anew, by profile.
    fn announced(&self) -> BTreeMap<u32, Vec<Property>> {
        let times = self.signals.iter().map(|(_, signal)| match signal {
            Signal::PropertiesChanged(face, properties) => (face.id, properties.clone()),
            other => panic!("a clock changes no more than times: {other:?}"),
        });
        times.collect()
    }
}

#[test]
fn l7_a_clock_that_jumps_shows_times_anew_and_moves_nothing() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let ids: Vec<u32> = (0..4).map(|_| world.create(&owner)).collect();
    for id in &ids[..3] {
        world.call(&owner, Call::Enable(*id, none()));
    }
    world.register(ids[0]);
    world.answer(ids[1], 200);
    world.fail(ids[1], Failure::Silence);
    world.answer(ids[2], 200);
    world.answer(ids[2], 403);
    let before: Vec<_> = ids.iter().map(|id| world.face(&owner, *id)).collect();
    assert_eq!(before[1].status.state, State::Waiting);
    let wakeup = world.registry.wakeup();
    for jump in 0..100 {
        world.apply(Command::ClockSet);
        let announced = world.announced();
        assert_eq!(announced.keys().copied().collect::<Vec<_>>(), ids[1..3], "those that show a time");
        assert!(announced[&ids[1]].contains(&Property::RetryAt));
        assert_eq!(announced[&ids[2]], [Property::LastError]);
        assert_eq!((world.registry.wakeup(), world.flying.len()), (wakeup, 0));
        assert!(jump == 0 || world.notes.is_empty(), "{:?}", world.notes);
    }
    let after: Vec<_> = ids.iter().map(|id| world.face(&owner, *id)).collect();
    assert_eq!(after, before);
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.flying.keys().copied().collect::<Vec<_>>(), ids[..2], "refresh and retry, on boot time");
}

#[test]
fn e6_a_certificate_is_looked_at_again_when_the_clock_is_set_once_at_a_time() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    world.call(&owner, Call::Enable(id, none()));
    for _ in 0..5 {
        world.answer(id, 200);
        world.fail(id, Failure::TlsExpired(String::from("it is over")));
        let status = world.face(&owner, id).status;
        assert_eq!((status.state, status.reason), (State::Waiting, Reason::Certificate));
        // More jumps while that attempt is under way start no other one: the rig would see two in flight.
        for _ in 0..10 {
            world.apply(Command::ClockSet);
            assert_eq!(world.flying.len(), 1);
        }
    }
    world.answer(id, 200);
    world.answer(id, 200);
    assert_eq!(world.face(&owner, id).status.state, State::Registered);
}
