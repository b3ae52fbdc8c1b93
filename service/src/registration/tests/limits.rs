//! E10: nobody can use us to get an account locked.

use super::*;

#[test]
fn e10_six_attempts_a_minute_then_a_limit() {
    let mut rig = Rig::new(settings());
    let began = rig.now;
    for _ in 0..6 {
        rig.give(Input::Want);
        if rig.resolves() {
            rig.resolve(&[udp(1)]);
        }
        rig.answer(404, &[]);
        rig.pass(seconds(2));
    }
    rig.give(Input::Want);
    assert_eq!((rig.state(), rig.reason(), rig.sends()), (State::Waiting, Reason::Limit, 0));
    assert_eq!(rig.machine.status().retry_at, Some(began + seconds(60)));
    rig.give(Input::Refresh { by_owner: true });
    rig.pass(seconds(6));
    rig.give(Input::Refresh { by_owner: true });
    assert_eq!((rig.reason(), rig.sends()), (Reason::Limit, 0), "the owner lifts only the five minutes");
    rig.wake();
    assert_eq!((rig.state(), rig.sends()), (State::Registering, 1));
}

#[test]
fn e10_five_minutes_after_a_refusal_unless_the_owner_says_so() {
    for status in [401, 403] {
        let challenge = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"");
        let refused = || {
            let mut rig = Rig::new(settings());
            rig.give(Input::Want);
            rig.resolve(&[udp(1)]);
            rig.answer(status, &[challenge]);
            if status == 401 {
                rig.answer(status, &[challenge]);
            }
            assert!(rig.stopped());
            rig.pass(seconds(70));
            rig.give(Input::Want);
            assert_eq!((rig.state(), rig.reason(), rig.sends()), (State::Waiting, Reason::Limit, 0));
            rig
        };
        let mut rig = refused();
        rig.give(Input::Refresh { by_owner: false });
        assert_eq!(rig.sends(), 0);
        assert_eq!(rig.wake(), seconds(230));
        assert_eq!((rig.state(), rig.sends()), (State::Registering, 1));
        let mut rig = refused();
        rig.give(Input::Refresh { by_owner: true });
        assert_eq!((rig.state(), rig.sends()), (State::Registering, 1));
        let mut rig = refused();
        rig.update(with_password("other"));
        assert_eq!((rig.state(), rig.sends()), (State::Registering, 1));
        let mut rig = refused();
        rig.update(Settings { display_name: Some(String::from("A")), ..settings() });
        assert_eq!((rig.reason(), rig.sends()), (Reason::Limit, 0));
    }
}
