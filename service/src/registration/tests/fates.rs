//! Whole lives at a registrar that checks what it gets.

use super::model::Registrar;
use super::*;

#[test]
fn a_day_at_a_registrar_that_asks_for_a_password() {
    for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"] {
        let mut registrar = Registrar::new(algorithm, "sesame");
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        registrar.serve(&mut rig);
        let end = rig.now + seconds(86_400);
        while rig.now < end {
            rig.wake();
            registrar.serve(&mut rig);
            assert_eq!(
                (rig.state(), rig.reason(), registrar.bindings.len()),
                (State::Registered, Reason::None, 1)
            );
        }
        rig.give(Input::Unwant);
        registrar.serve(&mut rig);
        assert!(registrar.bindings.is_empty() && rig.machine.is_idle());
        assert_eq!(registrar.refused, 0, "{algorithm}");
        assert!(rig.sent.len() <= 35, "a nonce is used again: {}", rig.sent.len());
    }
}

#[test]
fn a_wrong_password_reaches_the_registrar_once() {
    let mut registrar = Registrar::new("SHA-256", "right");
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    registrar.serve(&mut rig);
    assert!(rig.machine.is_stopped());
    assert_eq!((registrar.refused, rig.sent.len()), (1, 2));
}

#[test]
fn l4_restarts_behind_changing_ports_leave_one_binding_at_a_registrar_that_ignores_instances() {
    let mut registrar = Registrar::new("MD5", "sesame");
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    registrar.serve(&mut rig);
    for port in 50_000..50_010 {
        let mut next = Rig::restored(settings(), rig.machine.memory(), rig.now + seconds(2));
        next.local.set_port(port);
        registrar.meet_successor();
        next.give(Input::Want);
        registrar.serve(&mut next);
        assert_eq!(next.state(), State::Registered);
        assert_eq!(registrar.bindings.len(), 1, "{:?}", registrar.bindings);
        assert!(registrar.bindings.keys().all(|uri| uri.contains(&port.to_string())));
        rig = next;
    }
}

#[test]
fn a_move_leaves_nothing_at_the_old_registrar() {
    let (mut old, mut new) = (Registrar::new("MD5", "sesame"), Registrar::new("SHA-256", "other"));
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    old.serve(&mut rig);
    let there = server("sip:example.net");
    rig.update(Settings { registrar: Some(there), password: Some(Secret::new("other")), ..settings() });
    old.serve(&mut rig);
    rig.resolve(&[udp(2)]);
    new.serve(&mut rig);
    assert_eq!((old.bindings.len(), new.bindings.len(), rig.state()), (0, 1, State::Registered));
    assert_eq!((old.refused, new.refused), (0, 0));
}
