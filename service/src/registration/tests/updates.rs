//! U3, U4: what new settings mean for the network.

use super::*;

fn elsewhere() -> Settings {
    Settings { registrar: Some(server("sip:other.example.net")), ..settings() }
}

#[test]
fn u3a_a_quiet_change_sends_nothing() {
    let mut rig = Rig::registered(settings(), 600);
    rig.update(Settings { display_name: Some(String::from("Alice")), locked: Some(true), ..settings() });
    assert!(rig.out.is_empty() && rig.state() == State::Registered);
    assert_eq!(change(&settings(), &with_password("x")), Change::Quiet { credential: true });
    rig.update(with_password("x"));
    assert!(rig.out.is_empty());
}

#[test]
fn u3a_keepalive_takes_effect_at_once() {
    let mut rig = Rig::registered(settings(), 600);
    rig.update(Settings { keepalive: Some(10), password: Some(Secret::new("x")), ..settings() });
    let how = crate::registration::KeepAlive { min_millis: 8_000, max_millis: 10_000 };
    assert_eq!(rig.out, [Output::KeepAlive(Some(how))]);
    rig.update(Settings { keepalive: Some(u32::MAX), ..settings() });
    assert_eq!(rig.out, [Output::KeepAlive(None)]);
}

#[test]
fn u3b_one_refreshing_register_and_registered_throughout() {
    let mut rig = Rig::registered(settings(), 600);
    rig.states();
    rig.update(Settings { expires: Some(900), ..settings() });
    assert_eq!(rig.last().expires(), 900);
    rig.accept(900);
    assert_eq!((rig.states(), rig.sent.len()), (vec![], 2));
}

#[test]
fn u3c_a_move_leaves_the_old_server_with_the_old_settings_first() {
    let mut rig = Rig::registered(settings(), 600);
    rig.states();
    rig.update(Settings { interface: Some(String::from("lan7")), ..elsewhere() });
    let sent = rig.last();
    assert_eq!(
        (sent.target, sent.request.uri.as_str(), sent.request.timeout_millis),
        (udp(1), "sip:example.org", 4_000)
    );
    assert_eq!(rig.way().interface, None, "it travels the old way");
    rig.farewell_of_move();
    assert!(rig.resolves(), "nothing of the old server is kept");
    rig.resolve(&[udp(2)]);
    assert_eq!(rig.last().request.uri, "sip:other.example.net");
    assert_eq!(rig.way().interface.as_deref(), Some("lan7"));
    rig.accept(600);
    use State::*;
    assert_eq!(rig.states(), [Unregistering, Unregistered, Registering, Registered]);
}

impl Rig {
    fn farewell_of_move(&mut self) {
        self.answer(200, &[]);
    }
}

#[test]
fn u3c_an_old_server_that_is_silent_delays_a_move_by_4_s() {
    let mut rig = Rig::registered(settings(), 600);
    rig.update(elsewhere());
    assert_eq!(rig.wake(), seconds(4));
    assert!(rig.resolves() && rig.machine.is_wanted());
}

#[test]
fn u3c_credentials_for_the_old_server_are_the_old_ones_and_stay_there() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(401, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")]);
    rig.accept(600);
    rig.update(Settings { password: Some(Secret::new("new")), ..elsewhere() });
    assert!(rig.last().header("Authorization").is_some());
    rig.answer(200, &[]);
    rig.resolve(&[udp(2)]);
    assert_eq!(rig.last().header("Authorization"), None);
}

#[test]
fn u3c_a_move_that_nobody_wants_any_more_ends_there() {
    let mut rig = Rig::registered(settings(), 600);
    rig.update(elsewhere());
    rig.give(Input::Unwant);
    rig.answer(200, &[]);
    assert!(rig.machine.is_idle() && rig.machine.wakeup().is_none());
}

#[test]
fn u3_while_waiting_a_change_starts_an_attempt_at_once() {
    for new in [with_password("x"), Settings { expires: Some(900), ..settings() }, elsewhere()] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        rig.answer(503, &[("Retry-After", "900")]);
        assert_eq!(rig.state(), State::Waiting);
        rig.update(new);
        assert!(rig.resolves());
    }
}

#[test]
fn u3d_nothing_changed_is_nothing() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(404, &[]);
    let before = rig.machine.status();
    rig.update(settings());
    assert!(rig.out.is_empty() && rig.machine.status() == before && rig.machine.is_stopped());
}

#[test]
fn u4_only_the_last_update_goes_to_the_network_and_after_the_answer() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.update(Settings { expires: Some(900), ..settings() });
    rig.update(Settings { expires: Some(1000), ..settings() });
    rig.update(Settings { expires: Some(1100), ..settings() });
    assert_eq!(rig.sends(), 0);
    rig.accept(600);
    assert_eq!((rig.sends(), rig.last().expires()), (1, 1100));
    rig.accept(1100);
    assert_eq!((rig.sends(), rig.sent.len()), (0, 2));
}

#[test]
fn u4_a_move_during_a_register_deregisters_with_the_settings_of_that_register() {
    for unwanted in [false, true] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        rig.update(elsewhere());
        if unwanted {
            rig.give(Input::Unwant);
        }
        rig.accept(600);
        let sent = rig.last();
        assert_eq!((sent.expires(), sent.request.uri.as_str(), sent.target), (0, "sip:example.org", udp(1)));
        rig.answer(200, &[]);
        assert_eq!((rig.resolves(), rig.machine.is_idle()), (!unwanted, unwanted));
    }
}

#[test]
fn u4_an_error_that_the_old_settings_earned_gives_the_new_ones_an_attempt() {
    for new in [with_password("right"), Settings { expires: Some(900), ..settings() }, elsewhere()] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        rig.update(new);
        rig.answer(403, &[]);
        assert!(!rig.stopped() && rig.machine.is_wanted() && rig.machine.in_flight());
        assert_eq!(rig.state(), State::Registering);
        assert!(rig.machine.status().last_error.is_none());
    }
}
