//! The limits of the contract.

use super::*;

#[test]
fn limits_are_named_and_others_go_on() {
    let (mut world, owner, other) = (World::new(), caller(1, 1000), caller(2, 1001));
    for _ in 0..limits::PROFILES {
        world.create(&owner);
        world.now = world.now + Duration::from_millis(101);
    }
    let one_more = Call::CreateProfile(values(&[("aor", Value::Text("a@b.c".into()))]), none());
    let refused = world.call(&owner, one_more.clone());
    assert!(matches!(&refused, Some(Err(error)) if error.message.contains("64")), "{refused:?}");
    assert_eq!(kind(refused), CallErrorKind::LimitExceeded);
    assert!(world.call(&other, one_more).unwrap().is_ok());

    let token = |n: usize| Options(values(&[("token", Value::Text(n.to_string()))]));
    for n in 0..limits::HOLDS_PER_PROFILE {
        assert!(world.call(&owner, Call::Enable(1, token(n))).unwrap().is_ok());
    }
    assert_eq!(kind(world.call(&owner, Call::Enable(1, token(99)))), CallErrorKind::LimitExceeded);
    assert!(world.call(&owner, Call::Enable(1, token(3))).unwrap().is_ok(), "one that it has already");
}

#[test]
fn ten_writes_a_second_and_no_more() {
    let (mut world, owner) = (World::new(), caller(1, 1000));
    let id = world.create(&owner);
    let update = |world: &mut World, n: u32| {
        let set = values(&[("x-n", Value::Number(n.into()))]);
        world.call(&owner, Call::Update(id, set, Vec::new(), none()))
    };
    for n in 1..limits::WRITES as u32 {
        assert!(update(&mut world, n).unwrap().is_ok());
    }
    assert_eq!(kind(update(&mut world, 99)), CallErrorKind::LimitExceeded);
    world.now = world.now + Duration::from_secs(1);
    assert!(update(&mut world, 99).unwrap().is_ok());
}
