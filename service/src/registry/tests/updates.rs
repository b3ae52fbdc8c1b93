//! U7: switching AutoRegister.

use super::*;

#[test]
fn u7_switching_on_registers_what_an_error_had_stopped() {
    for stopped_by_auto_register in [false, true] {
        let (mut world, owner) = (World::new(), caller(1, 1000));
        let id = world.create(&owner);
        let switch = |world: &mut World, on: bool| {
            let set = values(&[("auto-register", Value::Flag(on))]);
            assert!(world.call(&owner, Call::Update(id, set, Vec::new(), none())).unwrap().is_ok());
        };
        if stopped_by_auto_register {
            switch(&mut world, true);
        } else {
            world.call(&owner, Call::Enable(id, none()));
        }
        world.answer(id, 404);
        world.answer(id, 404);
        assert!(world.registry.profiles[&id].registration.is_stopped());
        if stopped_by_auto_register {
            switch(&mut world, false);
            assert!(world.flying.is_empty());
        }
        switch(&mut world, true);
        assert_eq!(world.face(&owner, id).status.state, State::Registering);
        world.register(id);
        assert_eq!(world.face(&owner, id).status.state, State::Registered);
    }
}
