//! E9, H9, L4: what a successor knows.

use super::*;
use crate::settings::SecretStorage;

/// The memory after a trip to disk.
fn succeed(rig: &Rig, settings: Settings, after: Duration) -> Rig {
    let text = serde_json::to_string(&rig.machine.memory()).expect("it is written");
    assert!(!text.contains("sesame"));
    let memory = serde_json::from_str(&text).expect("it is read");
    Rig::restored(settings, memory, rig.now + after)
}

fn refused(status: u16) -> Rig {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(status, &[("Retry-After", "900")]);
    rig
}

#[test]
fn e9_a_stop_outlives_the_service_for_the_same_settings() {
    let rig = refused(404);
    let next = succeed(&rig, settings(), seconds(5));
    assert!(next.machine.is_stopped() && next.machine.status() == rig.machine.status());
    assert_eq!(next.machine.wakeup(), None);
    let quiet = Settings { display_name: Some(String::from("A")), ..settings() };
    assert!(succeed(&rig, quiet, seconds(5)).machine.is_stopped());
    let next = succeed(&rig, with_password("new"), seconds(5));
    assert!(!next.machine.is_stopped() && next.machine.status().last_error.is_none());
}

#[test]
fn e9_a_wait_is_not_shortened() {
    for status in [500, 503] {
        let rig = refused(status);
        let mut next = succeed(&rig, settings(), seconds(5));
        assert_eq!(next.state(), State::Unregistered);
        next.give(Input::Want);
        assert_eq!((next.state(), next.sends()), (State::Waiting, 0));
        assert_eq!(next.machine.status(), rig.machine.status());
        next.wake();
        assert!(next.resolves());
    }
    let mut next = succeed(&refused(500), settings(), seconds(5000));
    next.give(Input::Want);
    assert_eq!(next.state(), State::Registering);
}

#[test]
fn e9_l3_an_end_by_the_system_does_not_shorten_a_wait() {
    for status in [500, 503] {
        let mut rig = refused(status);
        let waiting = rig.machine.status();
        rig.give(Input::ServiceEnds);
        assert_eq!((rig.state(), rig.sends(), rig.machine.wakeup()), (State::Unregistered, 0, None));
        assert!(rig.machine.is_idle());
        let mut next = succeed(&rig, settings(), seconds(5));
        next.give(Input::Want);
        assert_eq!((next.machine.status(), next.sends()), (waiting, 0));
    }
    let mut rig = Rig::registered(settings(), 3600);
    rig.give(Input::ServiceEnds);
    rig.farewell();
    assert!(rig.machine.is_idle());
}

#[test]
fn e7_e9_the_last_error_outlives_the_service() {
    let mut rig = refused(500);
    rig.give(Input::Unwant);
    let shown = rig.machine.status();
    assert!(shown.last_error.is_some());
    let mut next = succeed(&rig, settings(), seconds(5));
    assert_eq!(next.machine.status(), shown);
    next.give(Input::Want);
    assert!(next.machine.status().last_error.is_none());
}

#[test]
fn e9_e10_counts_and_refusals_outlive_the_service() {
    let mut rig = refused(403);
    rig.pass(seconds(100));
    let mut next = succeed(&rig, settings(), seconds(5));
    next.give(Input::Want);
    assert_eq!((next.reason(), next.sends()), (Reason::Limit, 0));
    let mut next = succeed(&rig, with_password("new"), seconds(5));
    next.give(Input::Want);
    assert_eq!(next.state(), State::Registering);
}

#[test]
fn e9_a_wait_for_a_secret_outlives_the_service_until_there_is_one() {
    let agent = Settings { password: None, secret_storage: Some(SecretStorage::Agent), ..settings() };
    let mut rig = Rig::new(agent.clone());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(401, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")]);
    let mut next = succeed(&rig, agent.clone(), seconds(5));
    next.give(Input::Want);
    assert_eq!((next.reason(), next.sends(), next.machine.status().needs_secret), (Reason::Secret, 0, true));
    let with = Settings { password: Some(Secret::new("x")), ..agent };
    let mut next = succeed(&rig, with, seconds(5));
    next.give(Input::Want);
    assert_eq!(next.state(), State::Registering);
}

#[test]
fn e9_what_a_423_taught_is_remembered() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(423, &[("Min-Expires", "7200")]);
    rig.accept(7200);
    let mut next = succeed(&rig, settings(), seconds(5));
    next.give(Input::Want);
    assert_eq!(next.last().expires(), 7200);
}

#[test]
fn h9_a_successor_confirms_a_binding_and_that_counts_for_no_limit() {
    let mut rig = Rig::registered(settings(), 600);
    for _ in 0..20 {
        let mut next = succeed(&rig, settings(), seconds(1));
        next.give(Input::Want);
        assert_eq!((next.state(), next.last().target), (State::Registering, udp(1)));
        next.accept(600);
        assert_eq!(next.states(), [State::Unregistered, State::Registering, State::Registered]);
        rig = next;
    }
}

#[test]
fn e10_a_successor_that_confirms_no_binding_but_asks_for_one_counts() {
    // Killed each time before the answer to a wrong password comes.
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    for attempt in 1..=6 {
        rig.answer(401, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")]);
        assert!(rig.last().header("Authorization").is_some());
        rig = succeed(&rig, settings(), seconds(1));
        rig.give(Input::Want);
        assert_eq!(rig.sends(), usize::from(attempt < 6), "attempt {attempt}");
    }
    assert_eq!((rig.state(), rig.reason()), (State::Waiting, Reason::Limit));
    // What may stand there is not forgotten meanwhile.
    let mut unwanted = succeed(&rig, settings(), seconds(1));
    unwanted.give(Input::Unwant);
    assert_eq!(unwanted.last().expires(), 0);
    rig.wake();
    assert_eq!((rig.state(), rig.last().expires()), (State::Registering, 3600));
}

#[test]
fn l4_a_successor_removes_a_binding_that_nobody_wants() {
    let rig = Rig::registered(settings(), 600);
    let contact = rig.machine.binding().expect("it is registered").contact.clone();
    let mut next = succeed(&rig, settings(), seconds(1));
    assert!(!next.machine.is_idle());
    next.local = ([198, 51, 100, 7], 50_000).into();
    next.give(Input::Unwant);
    assert_eq!((next.state(), next.last().contact(next.local)), (State::Unregistering, contact));
    next.farewell();
    assert!(next.machine.is_idle());
}

#[test]
fn l4_with_it_goes_what_else_of_ours_stands_there_and_that_ends() {
    let mut next = succeed(&Rig::registered(settings(), 600), settings(), seconds(1));
    next.give(Input::Unwant);
    let until = next.now + seconds(4);
    let left = [1, 2].map(|host| format!("sip:{TOKEN}@203.0.113.{host}:5060"));
    let lists = left.each_ref().map(|uri| format!("<{uri}>")).join(", ");
    for uri in &left {
        next.pass(seconds(1));
        next.answer(200, &[("Contact", &lists)]);
        assert_eq!((next.last().request.contact_uri.as_ref(), next.last().expires()), (Some(uri), 0));
        assert_eq!(next.machine.memory().binding.expect("it stands").contact.as_ref(), Some(uri));
        assert_eq!(next.machine.wakeup(), Some(until), "E12: 4 s in all");
    }
    next.answer(200, &[("Contact", &lists)]);
    assert!(next.machine.is_idle() && next.sends() == 0);
}

#[test]
fn a_binding_that_has_run_out_is_nobodys() {
    let rig = Rig::registered(settings(), 600);
    assert!(succeed(&rig, settings(), seconds(601)).machine.is_idle());
    let mut next = succeed(&rig, settings(), seconds(1));
    next.wake();
    assert!(next.machine.is_idle() && next.sent.is_empty());
}

#[test]
fn h6_a_binding_that_was_never_confirmed_is_not_shown_as_registered() {
    let mut next = succeed(&Rig::registered(settings(), 600), settings(), seconds(1));
    next.give(Input::Want);
    next.fail(Failure::Silence);
    next.resolve_to(Failure::NoSuchName(String::from("no such name")));
    next.pass(seconds(6));
    next.give(Input::Refresh { by_owner: true });
    next.give(Input::Unwant);
    next.give(Input::Want);
    assert_eq!((next.state(), next.machine.binding().is_none()), (State::Registering, true));
}

#[test]
fn l4_what_was_in_flight_may_have_become_a_binding_and_is_removed_wherever_it_is() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    assert_eq!(rig.machine.memory().binding, None, "nothing was sent");
    rig.resolve(&[udp(1)]);
    let made = rig.last().contact(rig.local);
    for listed in [true, false] {
        let mut next = succeed(&rig, settings(), seconds(1));
        next.local = ([198, 51, 100, 7], 50_000).into();
        next.give(Input::Unwant);
        let sent = next.last();
        assert_eq!(
            (sent.target.clone(), sent.expires(), sent.contact(next.local)),
            (udp(1), 0, format!("sip:{}@{}", identity().token, next.local))
        );
        let header = format!("<{made}>;expires=3000");
        let lists = [("Contact", header.as_str())];
        next.answer(200, &lists[..usize::from(listed)]);
        if listed {
            assert_eq!((next.last().expires(), next.last().contact(next.local)), (0, made.clone()));
            next.answer(200, &lists);
        }
        assert!(next.machine.is_idle() && next.state() == State::Unregistered, "once is enough");
    }
    rig.accept(600);
    assert!(rig.machine.memory().binding.expect("it stands").contact.is_some());
}

#[test]
fn h9_a_successor_registers_anew_what_was_in_flight_for_a_holder() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    let mut next = succeed(&rig, settings(), seconds(1));
    next.give(Input::Want);
    assert_eq!((next.state(), next.last().expires()), (State::Registering, 3600));
    next.fail(Failure::Silence);
    assert!(next.resolves(), "that server may be the wrong one");
}
