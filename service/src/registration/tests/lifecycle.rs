//! H4–H6, E1, E5, E7, E12, the shape of one REGISTER, refreshes.

use super::*;

#[test]
fn e1_want_registers_and_unwant_deregisters() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    assert!(rig.resolves() && rig.sends() == 0);
    rig.resolve(&[udp(1)]);
    rig.accept(600);
    rig.give(Input::Unwant);
    rig.farewell();
    use State::*;
    assert_eq!(rig.states(), [Unregistered, Registering, Registered, Unregistering, Unregistered]);
    assert!(rig.machine.is_idle() && rig.machine.wakeup().is_none());
    assert!(rig.out.contains(&Output::CloseFlow));
}

#[test]
fn a_register_is_as_the_contract_says() {
    let mut rig = Rig::new(Settings {
        outbound_proxy: Some(server("sip:proxy.example.net")),
        contact_params: Some(vec![String::from("q=0.5")]),
        headers: Some(vec![String::from("X-Site: attic")]),
        expires: Some(600),
        ..settings()
    });
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    let sent = rig.last();
    assert_eq!(
        (sent.request.uri.as_str(), sent.request.aor.as_str()),
        ("sip:example.org", "sip:alice@example.org")
    );
    assert_eq!(sent.request.contact_user, TOKEN);
    let instance = format!("+sip.instance=\"<urn:uuid:{INSTANCE}>\"");
    assert_eq!(sent.request.contact_params, [instance.as_str(), "reg-id=1", "expires=600", "q=0.5"]);
    assert_eq!(sent.header("Supported"), Some("path, outbound, gruu"));
    assert_eq!(sent.header("Route"), Some("<sip:proxy.example.net;lr>"));
    assert_eq!(sent.header("X-Site"), Some("attic"));
    assert_eq!(sent.expires(), 600);
    assert_eq!(sent.header("Authorization"), None);
    assert!(sent.request.may_switch_to_tcp);
    assert_eq!(sent.request.timeout_millis, 32_000);
}

#[test]
fn call_id_and_from_tag_stay_and_cseq_rises() {
    let mut rig = Rig::registered(settings(), 600);
    rig.wake();
    rig.accept(600);
    rig.give(Input::Unwant);
    rig.farewell();
    rig.give(Input::Want);
    let all: Vec<_> = rig.sent.iter().map(|sent| &sent.request).collect();
    assert!(all.len() >= 4);
    for pair in all.windows(2) {
        assert!(pair[1].cseq == pair[0].cseq + 1 && pair[1].call_id == pair[0].call_id);
        assert_eq!(pair[1].from_tag, pair[0].from_tag);
    }
}

#[test]
fn refresh_comes_at_75_to_85_percent_and_40_s_before_the_end() {
    for granted in [1u32, 5, 60, 119, 120, 121, 200, 3600, 86_400, u32::MAX] {
        let mut rig = Rig::registered(settings(), granted);
        let end = rig.now + seconds(granted.into());
        let pause = rig.wake();
        let millis = u64::from(granted) * 1000;
        assert_eq!(rig.sends(), 1, "granted {granted}");
        assert!(pause >= Duration::from_millis((millis * 75 / 100).min(millis.saturating_sub(40_000))));
        assert!(pause <= Duration::from_millis(millis * 85 / 100));
        assert!(granted < 120 || end.since(rig.now) >= seconds(40), "granted {granted}");
        assert_eq!(rig.state(), State::Registered);
    }
}

#[test]
fn granted_time_is_that_of_our_contact_alone() {
    let ours = format!("<sip:{TOKEN}@198.51.100.7:40000>");
    let stranger = "\"Bob, the <builder>\" <sip:bob@203.0.113.9>;expires=7";
    let instance =
        format!("<sip:{TOKEN}@203.0.113.9:1>;reg-id=1;+sip.instance=\"<URN:UUID:{INSTANCE}>\";expires=99");
    for (contacts, expires, wanted) in [
        (vec![format!("{stranger}, {ours};expires=300")], "3600", 300),
        (vec![stranger.to_owned(), ours.clone()], "500", 500),
        (vec![stranger.to_owned()], "500", 500),
        (vec![format!("{ours};expires=nonsense")], "500", 3600),
        (vec![format!("{ours};EXPIRES=\"120\"")], "500", 120),
        (vec![format!("{ours};expires=99999999999")], "500", 3600),
        (vec![instance], "500", 99),
        (vec![format!("sip:{TOKEN}@198.51.100.7:40000;expires=77")], "500", 77),
        (vec![format!("<SIP:{TOKEN}@198.51.100.7:40000;lr>;expires=88")], "500", 88),
    ] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        let mut headers: Vec<_> = contacts.iter().map(|contact| ("Contact", contact.as_str())).collect();
        headers.push(("Expires", expires));
        rig.answer(200, &headers);
        let binding = rig.machine.binding().expect("it is registered");
        assert_eq!(binding.expires_at.since(rig.now), seconds(wanted), "{contacts:?}");
    }
}

#[test]
fn without_any_expiry_in_the_answer_what_we_asked_counts() {
    let mut rig = Rig::new(Settings { expires: Some(700), ..settings() });
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(200, &[("Contact", "<sip:bob@203.0.113.9>, *")]);
    let binding = rig.machine.binding().expect("it is registered");
    assert_eq!(binding.expires_at.since(rig.now), seconds(700));
    assert_eq!(binding.other_bindings, ["sip:bob@203.0.113.9"]);
}

#[test]
fn all_that_a_2xx_says_is_kept_and_dropped_with_the_next() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[target(Transport::Tcp, 1)]);
    let contact = format!(
        "<sip:{TOKEN}@198.51.100.7:40000;transport=tcp>;expires=600;pub-gruu=\"sip:alice@example.org;gr=1\";\
         temp-gruu=\"sip:tgruu.1@example.org;gr\""
    );
    rig.answer(
        200,
        &[
            ("Contact", &contact),
            ("Service-Route", "<sip:a.example;lr>, <sip:b.example;lr>"),
            ("Service-Route", "<sip:c.example;lr>"),
            ("Path", "<sip:edge.example;lr;ob>"),
            ("P-Associated-URI", "<sip:alice@example.org>, <tel:+1234>"),
            ("Flow-Timer", "100"),
        ],
    );
    let binding = rig.machine.binding().expect("it is registered").clone();
    assert_eq!(binding.service_route, ["sip:a.example;lr", "sip:b.example;lr", "sip:c.example;lr"]);
    assert_eq!(binding.path, ["sip:edge.example;lr;ob"]);
    assert_eq!(binding.aors, ["sip:alice@example.org", "tel:+1234"]);
    assert_eq!(rig.machine.status().registered_aors, binding.aors);
    assert_eq!(binding.public_gruu.as_deref(), Some("sip:alice@example.org;gr=1"));
    assert_eq!(binding.temporary_gruu.as_deref(), Some("sip:tgruu.1@example.org;gr"));
    assert!(binding.keep_alive);
    rig.wake();
    rig.accept(600);
    let binding = rig.machine.binding().expect("it is registered");
    assert!(binding.service_route.is_empty() && binding.path.is_empty() && binding.public_gruu.is_none());
    assert_eq!(binding.aors, ["sip:alice@example.org"]);
}

#[test]
fn a_2xx_with_neither_contact_nor_expires_is_a_protocol_error() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(200, &[]);
    assert!(rig.stopped());
    assert_eq!(
        rig.machine.status().last_error.map(|error| error.kind),
        Some(crate::registration::ErrorKind::Protocol)
    );
}

#[test]
fn a_2xx_that_ends_ours_is_tried_again_no_faster_than_back_off() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.accept(0);
    assert_eq!((rig.state(), rig.reason()), (State::Waiting, Reason::Backoff));
    assert!(rig.wake() >= seconds(30));
    assert!(rig.machine.in_flight());
}

#[test]
fn h6_unwanted_during_register_is_deregistered_without_registered_in_between() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.give(Input::Unwant);
    assert_eq!(rig.sends(), 0);
    rig.accept(600);
    rig.farewell();
    use State::*;
    assert_eq!(rig.states(), [Unregistered, Registering, Unregistering, Unregistered]);
}

#[test]
fn h6_unwanted_during_register_and_then_refused_is_silent() {
    for status in [401, 403, 404, 486, 500, 503, 600] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1), udp(2)]);
        rig.give(Input::Unwant);
        rig.answer(status, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")]);
        assert_eq!((rig.state(), rig.reason(), rig.sends()), (State::Unregistered, Reason::None, 0));
        assert!(!rig.stopped() && rig.machine.is_idle());
    }
}

#[test]
fn h6_wanted_again_during_deregister_registers_anew_by_itself() {
    let mut rig = Rig::registered(settings(), 600);
    rig.give(Input::Unwant);
    rig.give(Input::Want);
    assert_eq!(rig.sends(), 0);
    rig.states();
    rig.answer(200, &[]);
    assert_eq!(rig.states(), [State::Unregistered, State::Registering]);
    assert_eq!(rig.last().expires(), 3600);
}

#[test]
fn h6_unwanted_and_wanted_again_during_a_refresh_sends_nothing_more() {
    let mut rig = Rig::registered(settings(), 600);
    rig.wake();
    rig.give(Input::Unwant);
    assert_eq!(rig.state(), State::Unregistering);
    rig.give(Input::Want);
    rig.accept(600);
    assert_eq!((rig.state(), rig.sends(), rig.sent.len()), (State::Registered, 0, 2));
}

#[test]
fn unwanted_while_resolving_ends_at_once() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.give(Input::Unwant);
    assert_eq!(rig.state(), State::Unregistered);
    assert!(rig.machine.is_idle());
}

#[test]
fn stale_attempt_ids_are_ignored() {
    let mut rig = Rig::registered(settings(), 600);
    let old = rig.sent[0].clone();
    rig.wake();
    let response = rig.response(&old, 403, &[]);
    rig.give(Input::Answer { attempt: old.attempt, response });
    rig.give(Input::Failed { attempt: old.attempt, failure: Failure::Silence });
    rig.give(Input::Resolved { attempt: 1, result: Ok(vec![udp(9)]) });
    assert_eq!((rig.state(), rig.out.len()), (State::Registered, 0));
    assert!(rig.machine.in_flight());
}

#[test]
fn e12_a_farewell_says_exactly_what_stands_there() {
    let mut rig = Rig::registered(settings(), 600);
    let registered = rig.machine.binding().expect("it is registered").contact.clone();
    rig.give(Input::FlowLost);
    rig.local = ([198, 51, 100, 7], 41_000).into();
    rig.give(Input::Unwant);
    let sent = rig.last();
    assert_eq!((sent.contact(rig.local), sent.expires()), (registered, 0));
    assert!(sent.request.contact_params.iter().any(|param| param.contains(INSTANCE)));
    assert_eq!(sent.request.timeout_millis, 4_000);
}

#[test]
fn e12_any_final_answer_or_4_s_end_a_farewell() {
    for status in (300..700).filter(|status| ![401, 407].contains(status)) {
        let mut rig = Rig::registered(settings(), 600);
        rig.give(Input::Unwant);
        rig.answer(status, &[("Contact", "<sip:example.net>"), ("Min-Expires", "9")]);
        assert_eq!(
            (rig.state(), rig.reason(), rig.sends()),
            (State::Unregistered, Reason::None, 0),
            "{status}"
        );
        assert!(rig.machine.status().last_error.is_none() && rig.machine.is_idle());
    }
    let mut rig = Rig::registered(settings(), 600);
    rig.give(Input::Unwant);
    assert_eq!(rig.wake(), seconds(4));
    assert!(rig.out.contains(&Output::CloseFlow) && rig.machine.is_idle());
    let mut rig = Rig::registered(settings(), 600);
    rig.give(Input::Unwant);
    rig.fail(Failure::Unreachable(String::from("refused")));
    assert!(rig.machine.is_idle() && rig.machine.status().last_error.is_none());
}

#[test]
fn e5_a_refresh_that_fails_is_degraded_then_waiting_once() {
    let mut rig = Rig::registered(settings(), 600);
    let end = rig.now + seconds(600);
    rig.states();
    let mut reasons = vec![rig.reason()];
    while rig.now < end + seconds(2_000) {
        rig.wake();
        if rig.resolves() {
            rig.resolve(&[udp(1)]);
        }
        if rig.machine.in_flight() {
            let silence = rig.machine.wakeup().map_or(seconds(32), |at| at.since(rig.now).min(seconds(32)));
            rig.pass(silence);
            rig.give(Input::Tick);
            rig.fail(Failure::Silence);
            if rig.resolves() {
                rig.resolve(&[udp(1)]);
            }
        }
        if reasons.last() != Some(&rig.reason()) {
            reasons.push(rig.reason());
        }
        assert!(!rig.stopped());
    }
    assert_eq!(reasons, [Reason::None, Reason::Degraded, Reason::Backoff]);
    assert_eq!(rig.states(), [State::Waiting]);
}

#[test]
fn a_refresh_that_gets_through_ends_degraded() {
    let mut rig = Rig::registered(settings(), 3600);
    rig.wake();
    rig.answer(500, &[]);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::Degraded));
    assert!(rig.machine.status().retry_at.is_some() && rig.machine.binding().is_some());
    rig.wake();
    rig.accept(3600);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::None));
    assert!(rig.machine.status().last_error.is_none());
}

#[test]
fn e7_last_error_ends_with_a_start_an_update_and_registered() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(404, &[]);
    assert!(rig.machine.status().last_error.is_some());
    rig.give(Input::Want);
    assert!(rig.machine.status().last_error.is_none());
    rig.answer(500, &[]);
    assert!(rig.machine.status().last_error.is_some());
    rig.update(Settings { display_name: Some(String::from("Alice")), ..settings() });
    assert!(rig.machine.status().last_error.is_none() && rig.state() == State::Waiting);
    rig.wake();
    rig.accept(60);
    assert!(rig.machine.status().last_error.is_none());
}

#[test]
fn h4_refresh_at_most_one_in_5_s_and_merged() {
    let mut rig = Rig::registered(settings(), 600);
    rig.give(Input::Refresh { by_owner: false });
    rig.give(Input::Refresh { by_owner: false });
    assert_eq!(rig.sends(), 0);
    assert_eq!(rig.wake(), seconds(5));
    assert_eq!(rig.sends(), 1);
    rig.give(Input::Refresh { by_owner: false });
    rig.accept(600);
    rig.pass(seconds(6));
    rig.give(Input::Tick);
    assert_eq!(rig.sends(), 0);
    rig.give(Input::Refresh { by_owner: false });
    assert_eq!((rig.sends(), rig.state()), (1, State::Registered));
}
