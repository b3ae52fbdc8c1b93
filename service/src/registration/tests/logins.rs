//! Being asked for a password: E2, E11, E12, RFC 7616.

use super::*;
use crate::registration::{ErrorKind, Stage};
use crate::settings::SecretStorage;

const ASK: &str = "WWW-Authenticate";

fn asking(settings: Settings) -> Rig {
    let mut rig = Rig::new(settings);
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig
}

fn kind(rig: &Rig) -> Option<ErrorKind> {
    rig.machine.status().last_error.map(|error| error.kind)
}

fn digest(nonce: &str) -> String {
    format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth,auth-int\", algorithm=SHA-256")
}

fn stale(nonce: &str) -> String {
    format!("{}, stale=TRUE", digest(nonce))
}

/// Registered after one challenge with nonce `n1`.
fn logged_in(settings: Settings) -> Rig {
    let mut rig = asking(settings);
    rig.answer(401, &[(ASK, &digest("n1"))]);
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
    rig
}

fn credentials(rig: &Rig) -> String {
    rig.last().header("Authorization").expect("credentials were sent").to_owned()
}

#[test]
fn a_challenge_is_answered_and_its_nonce_reused_with_a_rising_count() {
    let mut rig = logged_in(settings());
    assert!(rig.sent[1].header("Authorization").expect("credentials").contains("nc=00000001"));
    rig.wake();
    assert!(credentials(&rig).contains("nonce=\"n1\"") && credentials(&rig).contains("nc=00000002"));
    rig.accept(600);
    rig.give(Input::Unwant);
    assert!(credentials(&rig).contains("nc=00000003"), "a farewell takes one round trip");
    rig.farewell();
    assert_eq!(rig.sent.len(), 4);
}

#[test]
fn e2_a_wrong_password_is_sent_exactly_once() {
    for second in ["n1", "n2"] {
        for status in [401, 407] {
            let name = if status == 401 { ASK } else { "Proxy-Authenticate" };
            let mut rig = asking(settings());
            rig.answer(status, &[(name, &digest("n1"))]);
            assert_eq!(rig.sends(), 1);
            rig.answer(status, &[(name, &digest(second))]);
            assert!(rig.stopped() && rig.sends() == 0);
            let error = rig.machine.status().last_error.expect("there is an error");
            assert_eq!((error.kind, error.code, error.stage), (ErrorKind::Unauthorized, status, Stage::Auth));
            assert!(error.message.contains("password") && !error.message.contains("sesame"));
        }
    }
}

#[test]
fn a_stale_nonce_is_no_refusal_at_most_three_times() {
    let mut rig = asking(settings());
    rig.answer(401, &[(ASK, &digest("n1"))]);
    for nonce in ["n2", "n3", "n4"] {
        rig.answer(401, &[(ASK, &stale(nonce))]);
        assert!(
            credentials(&rig).contains(&format!("nonce=\"{nonce}\""))
                && credentials(&rig).contains("nc=00000001")
        );
    }
    rig.answer(401, &[(ASK, &stale("n5"))]);
    assert_eq!(
        (rig.state(), rig.reason(), kind(&rig)),
        (State::Waiting, Reason::Backoff, Some(ErrorKind::Server))
    );
    assert!(!rig.stopped());
}

#[test]
fn a_stale_nonce_and_then_a_refusal_is_a_refusal() {
    let mut rig = asking(settings());
    rig.answer(401, &[(ASK, &digest("n1"))]);
    rig.answer(401, &[(ASK, &stale("n2"))]);
    rig.answer(401, &[(ASK, &digest("n3"))]);
    assert_eq!((rig.stopped(), kind(&rig)), (true, Some(ErrorKind::Unauthorized)));
}

#[test]
fn a_new_nonce_after_a_login_that_worked_is_no_refusal() {
    let mut rig = logged_in(settings());
    rig.wake();
    for nonce in ["n2", "n3", "n4"] {
        rig.answer(401, &[(ASK, &digest(nonce))]);
        assert!(credentials(&rig).contains(nonce));
    }
    rig.answer(401, &[(ASK, &digest("n5"))]);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::Degraded));
    // The same nonce once more, answered and refused at once, is one of the password.
    let mut rig = logged_in(settings());
    rig.wake();
    rig.answer(401, &[(ASK, &digest("n1"))]);
    assert!(credentials(&rig).contains("nc=00000003"));
    rig.answer(401, &[(ASK, &digest("n1"))]);
    assert_eq!(kind(&rig), Some(ErrorKind::Unauthorized));
}

#[test]
fn an_old_nonce_that_never_worked_is_not_tried_again() {
    let mut rig = asking(settings());
    rig.answer(401, &[(ASK, &digest("n1"))]);
    rig.answer(500, &[]);
    rig.wake();
    assert_eq!(rig.last().header("Authorization"), None);
    rig.answer(401, &[(ASK, &digest("n2"))]);
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn another_server_is_not_told_what_the_first_one_asked() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1), udp(2)]);
    rig.answer(401, &[(ASK, &digest("n1"))]);
    rig.answer(503, &[]);
    assert_eq!((rig.last().target, rig.last().header("Authorization")), (udp(2), None));
    rig.answer(401, &[(ASK, &digest("n2"))]);
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn both_401_and_407_and_several_realms_in_one_exchange() {
    let mut rig = asking(settings());
    rig.answer(407, &[("Proxy-Authenticate", "Digest realm=\"edge\", nonce=\"p\"")]);
    rig.answer(401, &[(ASK, "Digest realm=\"a\", nonce=\"1\", Digest realm=\"b\", nonce=\"2\"")]);
    let sent = rig.last();
    let names: Vec<_> = sent
        .request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.ends_with("Authorization"))
        .collect();
    assert_eq!(names, ["Proxy-Authorization", "Authorization", "Authorization"]);
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn nextnonce_is_obeyed() {
    let mut rig = asking(settings());
    rig.answer(401, &[(ASK, &digest("n1"))]);
    rig.accept_with(600, &[("Authentication-Info", "qop=auth, nextnonce=\"n,2\"")]);
    rig.wake();
    assert!(credentials(&rig).contains("nonce=\"n,2\"") && credentials(&rig).contains("nc=00000001"));
}

#[test]
fn a_challenge_that_nobody_can_answer_is_a_protocol_error() {
    for header in ["Basic realm=\"r\"", "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-3", "nonsense", ""] {
        let mut rig = asking(settings());
        rig.answer(401, &[(ASK, header)]);
        assert_eq!(
            (rig.stopped(), kind(&rig), rig.sends()),
            (true, Some(ErrorKind::Protocol), 0),
            "{header}"
        );
    }
}

#[test]
fn e11_no_password_is_final_where_the_service_keeps_it() {
    let mut rig = asking(Settings { password: None, ..settings() });
    rig.answer(401, &[(ASK, &digest("n"))]);
    let shown = rig.machine.status();
    assert_eq!((rig.stopped(), kind(&rig), shown.needs_secret), (true, Some(ErrorKind::NoSecret), true));
    rig.update(settings());
    assert!(!rig.machine.status().needs_secret && !rig.machine.is_stopped());
    rig.give(Input::Want);
    assert_eq!(rig.sends(), 1);
}

#[test]
fn e11_an_empty_password_is_one() {
    let mut rig = asking(with_password(""));
    rig.answer(401, &[(ASK, &digest("n"))]);
    assert_eq!(rig.sends(), 1);
}

#[test]
fn e11_with_an_agent_it_waits_until_a_password_comes() {
    let agent = Settings { password: None, secret_storage: Some(SecretStorage::Agent), ..settings() };
    let mut rig = asking(agent.clone());
    rig.answer(401, &[(ASK, &digest("n"))]);
    let shown = rig.machine.status();
    assert_eq!((shown.state, shown.reason, shown.needs_secret), (State::Waiting, Reason::Secret, true));
    assert_eq!((rig.machine.wakeup(), shown.retry_at, rig.stopped()), (None, None, false));
    rig.give(Input::Network { source_changed: true, reachable: true });
    rig.give(Input::Refresh { by_owner: true });
    assert_eq!(rig.sends(), 0);
    rig.update(Settings { password: Some(Secret::new("x")), ..agent });
    assert_eq!((rig.sends(), rig.machine.status().needs_secret), (1, false));
    rig.answer(401, &[(ASK, &digest("n2"))]);
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn h6_an_answer_that_comes_during_a_register_is_used_by_it_and_starts_no_second_one() {
    let agent = Settings { password: None, secret_storage: Some(SecretStorage::Agent), ..settings() };
    let mut rig = asking(agent.clone());
    rig.give(Input::Agents(true));
    rig.answer(401, &[(ASK, &digest("n"))]);
    // Other headers start an attempt while the question is open.
    rig.update(Settings { headers: Some(vec![String::from("X-A: b")]), ..agent });
    assert_eq!(rig.sends(), 1);
    let password = Secret::new("x");
    rig.give(Input::Secret(crate::registration::SecretAnswer::Given { password, store: false }));
    assert_eq!(rig.sends(), 0, "one REGISTER at a time");
    rig.answer(401, &[(ASK, &digest("n2"))]);
    assert_eq!(rig.sends(), 1, "with the password");
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn e11_a_password_that_comes_during_the_question_is_used() {
    for storage in [SecretStorage::Agent, SecretStorage::Service] {
        let bare = Settings { password: None, secret_storage: Some(storage), ..settings() };
        let mut rig = asking(bare.clone());
        rig.update(Settings { password: Some(Secret::new("x")), ..bare });
        rig.answer(401, &[(ASK, &digest("n"))]);
        assert_eq!((rig.sends(), rig.stopped()), (1, false));
        assert!(!rig.machine.status().needs_secret);
    }
}

#[test]
fn the_password_is_for_its_realm_only() {
    let mut rig = asking(Settings { realm: Some(String::from("home")), ..settings() });
    rig.answer(401, &[(ASK, "Digest realm=\"elsewhere\", nonce=\"n\"")]);
    assert_eq!((rig.stopped(), kind(&rig), rig.sends()), (true, Some(ErrorKind::NoSecret), 0));
    assert!(rig.message().contains("elsewhere"));
    let mut rig = asking(Settings { realm: Some(String::from("home")), ..settings() });
    rig.answer(401, &[(ASK, "Digest realm=\"elsewhere\", nonce=\"n\", Digest realm=\"home\", nonce=\"m\"")]);
    assert!(credentials(&rig).contains("realm=\"home\""));
}

#[test]
fn e12_a_farewell_answers_one_challenge() {
    let mut rig = logged_in(settings());
    rig.give(Input::Unwant);
    rig.answer(401, &[(ASK, &stale("n2"))]);
    assert!(credentials(&rig).contains("n2") && rig.last().expires() == 0);
    assert!(rig.last().request.timeout_millis <= 4_000);
    rig.answer(401, &[(ASK, &stale("n3"))]);
    assert_eq!((rig.sends(), rig.state(), rig.machine.is_idle()), (0, State::Unregistered, true));
    assert!(rig.machine.status().last_error.is_none());
}

#[test]
fn u3a_new_credentials_serve_at_the_next_challenge() {
    let mut rig = logged_in(settings());
    rig.update(with_password("new"));
    assert!(rig.out.is_empty());
    rig.wake();
    assert_eq!(rig.last().header("Authorization"), None);
    rig.answer(401, &[(ASK, &digest("n2"))]);
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn secrets_are_not_in_debug() {
    let rig = logged_in(settings());
    let text = format!("{:?} {:?} {:?}", rig.machine, rig.sent, rig.machine.memory());
    assert!(!text.contains("sesame"));
    let request = format!("{:?}", rig.sent[1].request);
    assert!(!request.contains("response=") && !request.contains("Digest"));
}

#[test]
fn a_server_that_hangs_up_behind_its_challenge_is_asked_over_a_new_flow_once() {
    let server = target(Transport::Tcp, 1);
    let hang_up = || Failure::Unreachable(String::from("closed"));
    let mut rig = Rig::new(with_password("sesame"));
    rig.give(Input::Want);
    rig.resolve(std::slice::from_ref(&server));
    rig.answer(401, &[(ASK, &digest("n1"))]);
    rig.fail(hang_up());
    rig.resolve(std::slice::from_ref(&server));
    assert!(credentials(&rig).contains("nc=00000002"));
    rig.fail(hang_up());
    assert_eq!((rig.sends(), rig.resolves()), (0, false), "it has not answered over the new one");
    assert_eq!((rig.state(), rig.reason()), (State::Waiting, Reason::Backoff));
}
