//! The table of answers: E2, E3, 3xx, 420, 423, 439, 503, failover.

use super::*;
use crate::registration::{ErrorKind, Stage};

fn asking(targets: &[Target]) -> Rig {
    let mut rig = Rig::new(settings());
    rig.give(Input::Want);
    rig.resolve(targets);
    rig
}

fn kind(rig: &Rig) -> Option<ErrorKind> {
    rig.machine.status().last_error.map(|error| error.kind)
}

/// What a bare answer with that status leads to.
fn expected(status: u16) -> Result<ErrorKind, ErrorKind> {
    match status {
        300..=399 => Err(ErrorKind::Redirect),
        401 | 407 => Err(ErrorKind::Protocol),
        403 => Err(ErrorKind::Forbidden),
        404 => Err(ErrorKind::UnknownUser),
        408 => Ok(ErrorKind::Timeout),
        423 => Err(ErrorKind::IntervalTooBrief),
        480 => Ok(ErrorKind::Server),
        501 | 505 | 513 => Err(ErrorKind::Server),
        500..600 => Ok(ErrorKind::Server),
        _ => Err(ErrorKind::Rejected),
    }
}

#[test]
fn e2_e3_every_status_is_final_or_waited_out() {
    for status in (300..700).filter(|status| *status != 439) {
        let mut rig = asking(&[udp(1)]);
        rig.answer(status, &[]);
        if rig.resolves() {
            rig.resolve(&[udp(1)]);
        }
        let shown = rig.machine.status();
        let error = shown.last_error.clone().expect("there is an error");
        assert_eq!(error.code, status);
        assert!(
            error.message.contains("example.org") && error.message.contains(&status.to_string())
                || status % 100 == 1
                || [407, 423].contains(&status),
            "{}",
            error.message
        );
        match expected(status) {
            Err(kind) => {
                assert!(rig.stopped() && rig.machine.is_stopped() && rig.machine.is_idle(), "{status}");
                assert_eq!(
                    (shown.state, shown.reason, error.kind),
                    (State::Unregistered, Reason::Error, kind),
                    "{status}"
                );
                assert!(rig.machine.wakeup().is_none() && !rig.machine.is_wanted());
                for quiet in [
                    Input::Tick,
                    Input::Refresh { by_owner: true },
                    Input::Network { source_changed: true, reachable: true },
                    Input::ClockSet,
                    Input::FlowLost,
                    Input::Unwant,
                ] {
                    rig.pass(seconds(900));
                    assert!(rig.give(quiet).is_empty(), "{status}");
                }
                assert_eq!(rig.reason(), Reason::Error);
            }
            Ok(kind) => {
                assert_eq!(
                    (shown.state, shown.reason, error.kind),
                    (State::Waiting, Reason::Backoff, kind),
                    "{status}"
                );
                assert!(!rig.stopped() && rig.machine.is_wanted());
                let pause = rig.wake();
                assert!(pause >= seconds(30) && pause <= seconds(60), "{status}: {pause:?}");
            }
        }
    }
}

#[test]
fn e2_a_final_answer_to_a_refresh_sends_nothing_more() {
    for status in [403, 404, 405, 416, 501, 603] {
        let mut rig = Rig::registered(settings(), 600);
        rig.wake();
        rig.answer(status, &[]);
        assert!(rig.stopped() && rig.sends() == 0);
        assert_eq!((rig.state(), rig.reason()), (State::Unregistered, Reason::Error));
        assert!(rig.machine.binding().is_none() && rig.machine.status().registered_aors.is_empty());
        rig.pass(seconds(4000));
        assert!(rig.give(Input::Tick).is_empty());
    }
}

#[test]
fn e3_back_off_doubles_to_half_an_hour_and_is_spread() {
    let mut rig = asking(&[udp(1)]);
    for round in 1..12u32 {
        rig.answer(500, &[]);
        let whole = 1800.min(30 << round);
        let pause = rig.wake();
        assert!(pause >= seconds(whole) / 2 && pause <= seconds(whole), "round {round}: {pause:?}");
        assert_eq!((rig.state(), rig.sends()), (State::Waiting, 1));
    }
    rig.accept(600);
    rig.wake();
    rig.answer(500, &[]);
    assert!(rig.machine.status().retry_at.expect("it waits").since(rig.now) <= seconds(60));
}

#[test]
fn a_423_is_obeyed_and_remembered() {
    let mut rig = asking(&[udp(1)]);
    rig.answer(423, &[("Min-Expires", "7200")]);
    assert_eq!((rig.last().expires(), rig.state()), (7200, State::Registering));
    rig.accept(7200);
    rig.wake();
    assert_eq!(rig.last().expires(), 7200);
}

#[test]
fn a_423_that_makes_no_sense_is_final() {
    for least in ["", "soon", "60", "3600"] {
        let mut rig = asking(&[udp(1)]);
        rig.answer(423, &[("Min-Expires", least)]);
        assert_eq!((rig.stopped(), kind(&rig)), (true, Some(ErrorKind::IntervalTooBrief)), "{least}");
    }
    let mut rig = asking(&[udp(1)]);
    for round in 1..20 {
        rig.answer(423, &[("Min-Expires", &(3600 + round * 10).to_string())]);
    }
    assert!(rig.sent.len() <= 5 && rig.machine.is_stopped());
    let error = rig.machine.status().last_error.expect("it is stopped");
    assert!(error.message.contains("wants more each time"), "{}", error.message);
}

#[test]
fn a_420_or_439_is_obeyed_until_the_server_changes() {
    let mut rig = asking(&[udp(1)]);
    rig.answer(420, &[("Unsupported", "gruu, nonsense")]);
    assert_eq!(rig.last().header("Supported"), Some("path, outbound"));
    rig.answer(439, &[]);
    assert_eq!(rig.last().header("Supported"), Some("path"));
    assert!(!rig.last().request.contact_params.contains(&String::from("reg-id=1")));
    rig.accept(600);
    rig.wake();
    assert_eq!(rig.last().header("Supported"), Some("path"));
    rig.fail(Failure::Silence);
    rig.resolve(&[udp(2)]);
    rig.accept(600);
    rig.wake();
    assert_eq!(rig.last().header("Supported"), Some("path, outbound, gruu"));
    rig.answer(420, &[("Unsupported", "nonsense")]);
    assert_eq!(kind(&rig), Some(ErrorKind::Rejected));
}

#[test]
fn a_redirection_changes_the_next_hop_alone() {
    let mut rig = asking(&[udp(1)]);
    rig.answer(302, &[("Contact", "<mailto:a@b>, <sip:other.example.net:5070;transport=tcp>;q=0.1")]);
    let hop = rig.out.iter().find_map(|output| match output {
        Output::Resolve { hop, .. } => Some(hop.clone()),
        _ => None,
    });
    assert_eq!(hop.expect("it is resolved").uri.to_string(), "sip:other.example.net:5070;transport=tcp");
    rig.resolve(&[udp(2)]);
    let sent = rig.last();
    assert_eq!(
        (sent.request.uri.as_str(), sent.request.aor.as_str()),
        ("sip:example.org", "sip:alice@example.org")
    );
    rig.accept(600);
    rig.wake();
    assert_eq!(rig.last().target, udp(2), "the server that answered is kept");
}

#[test]
fn a_redirection_takes_the_outbound_proxys_place() {
    let proxy = Some(server("sip:proxy.example.org"));
    let mut rig = Rig::new(Settings { outbound_proxy: proxy, ..settings() });
    rig.give(Input::Want);
    rig.resolve(&[udp(1)]);
    assert_eq!(rig.last().header("Route"), Some("<sip:proxy.example.org;lr>"));
    rig.answer(302, &[("Contact", "<sip:other.example.net>")]);
    rig.resolve(&[udp(2)]);
    assert_eq!(rig.last().header("Route"), None);
}

#[test]
fn redirections_end_after_five_and_never_lead_out_of_tls() {
    let mut rig = asking(&[udp(1)]);
    for round in 1..=6 {
        rig.answer(301, &[("Contact", "sip:example.net")]);
        if round <= 5 {
            rig.resolve(&[udp(round + 1)]);
        }
    }
    assert_eq!(kind(&rig), Some(ErrorKind::Redirect));
    let mut rig = asking(&[target(Transport::Tls, 1)]);
    rig.answer(302, &[("Contact", "<sip:example.net;transport=tcp>, <sip:example.net>")]);
    assert_eq!(kind(&rig), Some(ErrorKind::Redirect));
    let mut rig = asking(&[target(Transport::Tls, 1)]);
    rig.answer(302, &[("Contact", "<sip:example.net>, <sips:example.net>")]);
    assert!(rig.resolves());
}

#[test]
fn a_503_goes_to_the_next_target_and_rests_as_asked() {
    let mut rig = asking(&[udp(1), udp(2)]);
    rig.answer(503, &[("Retry-After", "100 (in a meeting);duration=9")]);
    assert_eq!(rig.last().target, udp(2));
    rig.answer(503, &[("Retry-After", "50")]);
    assert_eq!((rig.state(), rig.reason()), (State::Waiting, Reason::Server));
    let pause = rig.machine.status().retry_at.expect("it waits").since(rig.now);
    assert!(pause >= seconds(50) && pause <= seconds(55), "{pause:?}");
    rig.wake();
    rig.resolve(&[udp(1), udp(2)]);
    assert_eq!(rig.last().target, udp(2), "the first still rests");
}

#[test]
fn a_503_is_not_shortened_by_leaving_and_coming() {
    let mut rig = asking(&[udp(1)]);
    rig.answer(503, &[("Retry-After", "600")]);
    let until = rig.machine.status().retry_at;
    rig.give(Input::Unwant);
    assert_eq!(rig.state(), State::Unregistered);
    rig.pass(seconds(10));
    rig.give(Input::Want);
    assert_eq!((rig.state(), rig.reason(), rig.sends()), (State::Waiting, Reason::Server, 0));
    assert_eq!(rig.machine.status().retry_at, until);
    rig.give(Input::Network { source_changed: false, reachable: true });
    assert_eq!(rig.sends(), 0);
    rig.give(Input::Refresh { by_owner: false });
    assert!(rig.resolves(), "a person may try now");
}

#[test]
fn a_retry_after_is_held_to_sane_bounds_and_garbage_is_ignored() {
    for (value, least, most) in
        [("0", 5, 6), ("1", 5, 6), ("999999", 3600, 3960), ("soon", 30, 60), ("-3", 30, 60), ("", 30, 60)]
    {
        let mut rig = asking(&[udp(1)]);
        rig.answer(503, &[("Retry-After", value)]);
        let pause = rig.machine.status().retry_at.expect("it waits").since(rig.now);
        assert!(pause >= seconds(least) && pause <= seconds(most), "{value}: {pause:?}");
    }
}

#[test]
fn a_503_of_the_kept_server_is_not_asked_twice_in_one_attempt() {
    let mut rig = Rig::registered(settings(), 600);
    rig.wake();
    rig.answer(503, &[]);
    rig.resolve(&[udp(1), udp(2)]);
    assert_eq!(rig.last().target, udp(2));
    rig.accept(600);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::None));
}

#[test]
fn all_targets_are_tried_in_one_attempt() {
    let targets = [target(Transport::Tcp, 1), udp(2), udp(3)];
    let mut rig = asking(&targets);
    rig.fail(Failure::Unreachable(String::from("connection refused")));
    assert_eq!(rig.last().target, targets[1]);
    rig.fail(Failure::Silence);
    assert_eq!(rig.last().target, targets[2]);
    rig.answer(500, &[]);
    assert_eq!((rig.state(), rig.sends()), (State::Waiting, 0), "a 500 is an answer");
}

#[test]
fn a_kept_server_that_fails_is_resolved_anew_in_the_same_attempt() {
    let mut rig = Rig::registered(settings(), 600);
    rig.wake();
    assert!(!rig.resolves());
    rig.fail(Failure::Unreachable(String::from("connection reset")));
    assert!(rig.resolves());
    rig.resolve(&[udp(1), udp(2)]);
    assert_eq!(rig.last().target, udp(1), "a new flow may do better");
    rig.fail(Failure::Silence);
    assert_eq!(rig.last().target, udp(2));
    rig.accept(600);
    assert_eq!((rig.state(), rig.reason()), (State::Registered, Reason::None));
    assert_eq!(rig.machine.binding().expect("it is registered").server, udp(2));
}

#[test]
fn failures_tell_kind_stage_and_reason() {
    let text = || String::from("it is so");
    for (failure, kind_wanted, stage, reason) in [
        (Failure::NoSuchName(text()), ErrorKind::NameResolution, Stage::Dns, Reason::Name),
        (Failure::Resolver(text()), ErrorKind::NameResolution, Stage::Dns, Reason::Backoff),
        (Failure::NoRoute(text()), ErrorKind::Unreachable, Stage::Connect, Reason::Network),
        (Failure::Unreachable(text()), ErrorKind::Unreachable, Stage::Connect, Reason::Backoff),
        (Failure::Silence, ErrorKind::Timeout, Stage::Sip, Reason::Backoff),
        (Failure::TlsUntrusted(text()), ErrorKind::TlsUntrusted, Stage::Tls, Reason::Certificate),
        (Failure::TlsName(text()), ErrorKind::TlsNameMismatch, Stage::Tls, Reason::Certificate),
        (Failure::TlsExpired(text()), ErrorKind::TlsExpired, Stage::Tls, Reason::Certificate),
        (Failure::TlsProtocol(text()), ErrorKind::TlsProtocol, Stage::Tls, Reason::Certificate),
    ] {
        let mut rig = Rig::new(settings());
        rig.give(Input::Want);
        if stage == Stage::Dns {
            rig.resolve_to(failure.clone());
        } else {
            rig.resolve(&[target(Transport::Tls, 1)]);
            rig.fail(failure.clone());
            assert!(rig.message().starts_with("example.org (tls:192.0.2.1:5060): "), "{}", rig.message());
        }
        let error = rig.machine.status().last_error.expect("there is an error");
        assert_eq!((error.kind, error.stage, error.code, rig.reason()), (kind_wanted, stage, 0, reason));
        assert_eq!(rig.state(), State::Waiting);
        let slow = matches!(reason, Reason::Name | Reason::Network | Reason::Certificate);
        let pause = rig.wake();
        assert!(if slow { pause == seconds(1800) } else { pause <= seconds(60) }, "{failure:?}: {pause:?}");
    }
}

#[test]
fn texts_from_the_network_are_cleaned() {
    let mut rig = asking(&[udp(1)]);
    let sent = rig.sent[0].clone();
    let phrase = format!("No\r\n\u{1b}[31m{}", "x".repeat(500));
    let response = Response { phrase, ..rig.response(&sent, 404, &[]) };
    rig.give(Input::Answer { attempt: sent.attempt, response });
    assert!(!rig.message().contains(char::is_control) && rig.message().len() < 300, "{}", rig.message());
}
