//! E4, E6, flows, NAT, keep-alive, strays (L4).

use super::*;
use crate::registration::KeepAlive;

fn keep_alive(rig: &Rig) -> Option<Option<KeepAlive>> {
    rig.out.iter().rev().find_map(|output| match output {
        Output::KeepAlive(how) => Some(*how),
        _ => None,
    })
}

fn network(source_changed: bool, reachable: bool) -> Input {
    Input::Network { source_changed, reachable }
}

#[test]
fn e4_no_route_waits_without_packets_and_the_route_back_tries_at_once() {
    let mut rig = Rig::registered(Settings { keepalive: Some(30), ..settings() }, 600);
    rig.give(network(true, false));
    assert_eq!((rig.state(), rig.reason(), rig.sends()), (State::Waiting, Reason::Network, 0));
    assert_eq!(keep_alive(&rig), Some(None));
    rig.pass(seconds(1));
    rig.give(network(false, true));
    assert_eq!((rig.sends(), rig.last().target), (1, udp(1)));
    rig.accept(600);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::None));
    assert!(keep_alive(&rig).flatten().is_some());
}

#[test]
fn e4_another_source_address_registers_at_once_over_a_new_flow() {
    let mut rig = Rig::registered(settings(), 600);
    rig.give(network(true, true));
    assert_eq!((&rig.out[0], rig.sends(), rig.state()), (&Output::CloseFlow, 1, State::Registered));
    rig.accept(600);
    rig.give(network(false, true));
    assert!(rig.out.is_empty(), "nothing of ours changed");
}

#[test]
fn e4_news_during_a_register_lead_to_one_attempt_after_it() {
    let mut rig = Rig::registered(settings(), 600);
    rig.wake();
    rig.give(network(true, true));
    assert_eq!(rig.sends(), 0);
    rig.accept(600);
    assert_eq!(rig.sends(), 1);
    rig.accept(600);
    assert_eq!(rig.sends(), 0);
    rig.wake();
    rig.give(network(true, true));
    rig.answer(500, &[]);
    assert_eq!(rig.sends(), 1);
    rig.answer(500, &[]);
    assert_eq!(rig.sends(), 0);
}

#[test]
fn a_network_event_ends_back_off_but_a_swarm_of_them_is_one_attempt_in_5_s() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(500, &[]);
    for _ in 0..50 {
        rig.give(network(false, true));
        assert_eq!(rig.sends(), 0);
    }
    assert_eq!(rig.wake(), seconds(5));
    assert_eq!(rig.sends(), 1);
    rig.answer(500, &[]);
    assert!(rig.machine.status().retry_at.expect("it waits").since(rig.now) <= seconds(60));
}

#[test]
fn e6_names_and_certificates_are_tried_again_with_the_clock_the_network_and_refresh() {
    for failure in
        [Failure::NoSuchName(String::from("no such name")), Failure::TlsExpired(String::from("expired"))]
    {
        for input in [Input::ClockSet, network(true, true), Input::Refresh { by_owner: false }] {
            let mut rig = Rig::new(settings());
            rig.give(Input::Want);
            rig.resolve_to(failure.clone());
            assert_eq!(rig.state(), State::Waiting);
            rig.pass(seconds(10));
            rig.give(input.clone());
            assert!(rig.resolves(), "{input:?}");
        }
    }
}

#[test]
fn e4_a_kept_server_without_a_route_is_network() {
    let mut rig = Rig::registered(settings(), 600);
    rig.wake();
    rig.fail(Failure::Unreachable(String::from("reset")));
    rig.resolve(&[udp(1), udp(2)]);
    rig.fail(Failure::NoRoute(String::from("no route")));
    rig.fail(Failure::NoRoute(String::from("no route")));
    assert_eq!((rig.state(), rig.reason()), (State::Waiting, Reason::Network));
}

#[test]
fn a_lost_flow_is_replaced_within_a_second_but_not_for_ever() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[target(Transport::Tcp, 1)]);
    rig.accept(3600);
    let (mut prompt, began) = (0, rig.now);
    for _ in 0..20 {
        rig.give(Input::FlowLost);
        if rig.wake() <= seconds(1) {
            prompt += 1;
        }
        assert_eq!((rig.sends(), rig.state()), (1, State::Registered));
        rig.accept(3600);
    }
    assert_eq!(prompt, 5);
    assert!(rig.now.since(began) > seconds(1800));
    rig.pass(seconds(300));
    rig.give(Input::FlowLost);
    assert!(rig.wake() <= seconds(1), "a flow that lived is replaced at once again");
}

#[test]
fn a_flow_that_is_lost_twice_is_one_lost_flow() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[target(Transport::Tcp, 1)]);
    rig.accept(3600);
    for _ in 0..2 {
        rig.give(Input::FlowLost);
        rig.give(Input::FlowLost);
        assert!(rig.wake() <= seconds(1));
        rig.accept(3600);
    }
}

#[test]
fn the_contact_is_rewritten_once_per_flow_from_received_and_rport() {
    let via = ("Via", "SIP/2.0/UDP 198.51.100.7:40000;branch=z9;received=203.0.113.5;rport=1024");
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.answer(401, &[via, ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\"")]);
    assert_eq!(rig.last().request.contact_address, Some(([203, 0, 113, 5], 1024).into()));
    rig.accept_with(600, &[("Via", "SIP/2.0/UDP h;received=203.0.113.6;rport=9")]);
    assert_eq!((rig.state(), rig.sends()), (State::Registered, 0));
    rig.wake();
    assert_eq!(rig.last().request.contact_address, Some(([203, 0, 113, 5], 1024).into()));
}

#[test]
fn an_address_learnt_with_the_registration_is_registered_at_once() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.accept_with(600, &[("Via", "SIP/2.0/UDP h;received=203.0.113.5;rport=1024")]);
    assert_eq!(rig.last().request.contact_address, Some(([203, 0, 113, 5], 1024).into()));
    rig.accept(600);
    assert_eq!(rig.sends(), 0);
}

#[test]
fn nonsense_in_via_rewrites_nothing() {
    for via in [
        "received=nonsense;rport=1",
        "received=203.0.113.5;rport=0",
        "received=2001:db8::1;rport=9",
        "received=0.0.0.0;rport=9",
        "received=224.0.0.1;rport=9",
        "received=255.255.255.255;rport=9",
        "received=127.0.0.1;rport=9",
        "received=0.1.2.3;rport=9",
        "received=198.51.100.7;rport=40000",
        "rport",
        "",
    ] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        rig.accept_with(600, &[("Via", &format!("SIP/2.0/UDP 198.51.100.7:40000;{via}"))]);
        let learnt = rig.machine.flow.as_ref().and_then(|flow| flow.outside);
        let expected = (via == "received=nonsense;rport=1").then(|| ([198, 51, 100, 7], 1).into());
        assert_eq!(learnt, expected, "{via}");
    }
}

#[test]
fn keep_alives_are_as_rfc_5626_and_the_nat_ask() {
    let behind_nat = ("Via", "SIP/2.0/UDP h;received=203.0.113.5;rport=1024");
    for (transport, setting, headers, wanted) in [
        (Transport::Tcp, None, vec![], Some((95_000, 120_000))),
        (Transport::Tls, Some(0), vec![("Flow-Timer", "100")], Some((80_000, 100_000))),
        (Transport::Udp, None, vec![("Flow-Timer", "100")], None),
        (Transport::Udp, None, vec![behind_nat], Some((24_000, 29_000))),
        (Transport::Udp, Some(20), vec![], Some((16_000, 20_000))),
        (Transport::Tcp, Some(u32::MAX), vec![("Flow-Timer", "100")], None),
        (Transport::Udp, Some(u32::MAX), vec![behind_nat], None),
    ] {
        let mut rig = Rig::new(Settings { keepalive: setting, ..settings() });
        rig.give(Input::Want);
        rig.resolve(&[target(transport, 1)]);
        rig.accept_with(600, &headers);
        let how = keep_alive(&rig).flatten().map(|how| (how.min_millis, how.max_millis));
        assert_eq!(how, wanted, "{transport:?} {setting:?} {headers:?}");
        assert_eq!(rig.machine.binding().is_some_and(|binding| binding.keep_alive), wanted.is_some());
    }
}

#[test]
fn keep_alives_end_with_the_registration() {
    for end in [Input::Unwant, network(false, false)] {
        let mut rig = Rig::registered(Settings { keepalive: Some(30), ..settings() }, 600);
        rig.give(end);
        if rig.state() == State::Unregistering {
            rig.farewell();
        }
        assert_eq!(keep_alive(&rig), Some(None));
    }
    let mut rig = Rig::registered(Settings { keepalive: Some(30), ..settings() }, 60);
    rig.wake();
    rig.pass(seconds(32));
    rig.give(Input::Tick);
    assert_eq!((rig.state(), keep_alive(&rig)), (State::Waiting, Some(None)));
}

#[test]
fn l4_our_token_at_another_address_is_removed_by_one_register() {
    // With the instance ids: a registrar that stores them without heeding them.
    for instance in [String::new(), format!(";+sip.instance=\"<urn:uuid:{INSTANCE}>\";reg-id=1")] {
        let old = format!("<sip:{TOKEN}@203.0.113.77:5060>;expires=900{instance}");
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        let ours = format!("<sip:{TOKEN}@198.51.100.7:40000>;expires=600{instance}");
        rig.answer(200, &[("Contact", &format!("{old}, <sip:bob@203.0.113.9>;expires=5, {ours}"))]);
        let sent = rig.last();
        assert_eq!(sent.request.contact_uri.as_deref(), Some(&*format!("sip:{TOKEN}@203.0.113.77:5060")));
        assert_eq!(
            (sent.expires(), sent.request.contact_params.as_slice()),
            (0, &[String::from("expires=0")][..])
        );
        assert_eq!(rig.state(), State::Registered);
        let binding = rig.machine.binding().expect("it is registered").clone();
        assert_eq!((binding.expires_at.since(rig.now), binding.other_bindings.len()), (seconds(600), 1));
        rig.answer(403, &[]);
        assert_eq!((rig.sends(), rig.state(), rig.reason()), (0, State::Registered, Reason::None));
    }
}

#[test]
fn l4_what_several_crashes_left_is_removed_one_by_one() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    let left = [1, 2, 3].map(|host| format!("sip:{TOKEN}@203.0.113.{host}:5060"));
    rig.accept_with(600, &[("Contact", &left.each_ref().map(|uri| format!("<{uri}>;expires=9")).join(", "))]);
    for uri in &left {
        assert_eq!((rig.last().request.contact_uri.as_ref(), rig.last().expires()), (Some(uri), 0));
        rig.answer(200, &[]);
    }
    assert_eq!((rig.sends(), rig.state()), (0, State::Registered));
}

#[test]
fn l4_a_listed_contact_that_could_not_stand_in_a_request_is_left_alone() {
    for odd in ["1\rX: y", "1 2", "\u{e9}.example.org", "a\tb"] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        rig.resolve(&[udp(1)]);
        let ours = format!("<sip:{TOKEN}@198.51.100.7:40000>;expires=600");
        rig.answer(200, &[("Contact", &format!("<sip:{TOKEN}@{odd}>;expires=900, {ours}"))]);
        assert_eq!((rig.sends(), rig.state()), (0, State::Registered), "{odd:?}");
    }
}

#[test]
fn l4_a_flow_lost_during_the_removal_is_still_replaced() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.accept_with(600, &[("Contact", &format!("<sip:{TOKEN}@203.0.113.77:5060>"))]);
    rig.give(Input::FlowLost);
    rig.fail(Failure::Unreachable(String::from("reset")));
    assert_eq!(rig.state(), State::Registered);
    rig.wake();
    assert_eq!(rig.last().expires(), 3600);
}

#[test]
fn l4_unwanted_during_the_removal_deregisters_after_it() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.accept_with(600, &[("Contact", &format!("<sip:{TOKEN}@203.0.113.77:5060>"))]);
    rig.give(Input::Unwant);
    assert_eq!(rig.sends(), 0, "one REGISTER is in flight");
    rig.answer(200, &[]);
    assert_eq!(rig.last().request.contact_uri.as_deref(), Some(&*format!("sip:{TOKEN}@198.51.100.7:40000")));
    rig.farewell();
    assert!(rig.machine.is_idle());
}

#[test]
fn l4_wanted_again_after_the_binding_ran_out_during_the_removal_registers_after_it() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    rig.accept_with(60, &[("Contact", &format!("<sip:{TOKEN}@203.0.113.77:5060>"))]);
    rig.give(Input::Unwant);
    rig.pass(seconds(61));
    rig.give(Input::Tick);
    rig.give(Input::Want);
    rig.fail(Failure::Silence);
    assert_eq!((rig.state(), rig.last().expires()), (State::Registering, 3600));
}

#[test]
fn e4_after_a_sleep_of_two_hours_one_register_goes_out_at_once_over_a_new_flow() {
    let mut rig = Rig::registered(settings(), 3600);
    rig.pass(seconds(7200));
    rig.give(Input::Resumed { reachable: true });
    assert_eq!((&rig.out[0], rig.sends()), (&Output::CloseFlow, 1));
    // Nobody answers, and the binding has run out long ago.
    rig.give(Input::Tick);
    assert_eq!((rig.state(), rig.sends()), (State::Waiting, 0));
    rig.accept(3600);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::None));
}

#[test]
fn a_sleep_that_only_the_timers_tell_of_ends_with_one_register() {
    let mut rig = Rig::registered(settings(), 3600);
    rig.pass(seconds(7200));
    rig.give(Input::Tick);
    assert_eq!((rig.state(), rig.sends()), (State::Waiting, 1));
    rig.accept(3600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn e4_waking_ends_back_off_and_what_was_in_flight() {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    for _ in 0..4 {
        rig.fail(Failure::Silence);
        rig.wake();
        rig.resolve(&[udp(1)]);
    }
    let slept_through = rig.last();
    rig.pass(seconds(7200));
    rig.give(Input::Resumed { reachable: true });
    rig.resolve(&[udp(1)]);
    assert_eq!((rig.sends(), rig.state()), (1, State::Waiting));
    let late = rig.response(&slept_through, 403, &[]);
    rig.give(Input::Answer { attempt: slept_through.attempt, response: late });
    assert_eq!(rig.state(), State::Waiting, "an answer from before the sleep is stale");
    rig.fail(Failure::Silence);
    assert!(rig.machine.status().retry_at.unwrap().since(rig.now) <= seconds(60), "back-off is reset");

    rig.pass(seconds(1));
    rig.give(Input::Resumed { reachable: true });
    rig.resolve(&[udp(1)]);
    assert_eq!(rig.sends(), 1, "at once");
    rig.accept(600);
    assert_eq!(rig.state(), State::Registered);
}

#[test]
fn e4_waking_without_a_network_waits_for_one() {
    let mut rig = Rig::registered(settings(), 600);
    rig.give(Input::Resumed { reachable: false });
    assert_eq!((rig.state(), rig.reason(), rig.sends()), (State::Waiting, Reason::Network, 0));
    rig.give(network(false, true));
    assert_eq!(rig.sends(), 1);
}
