use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> SipUri {
    SipUri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn parses_what_rfc_3261_allows_and_writes_it_back() {
    for text in [
        "sip:alice@atlanta.com",
        "sips:alice@atlanta.com:5061",
        "sip:alice@atlanta.com;transport=tcp",
        "sip:+1-212-555-1212@gateway.com;user=phone",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:%61lice@atlanta.com",
        "sip:alice@192.0.2.4",
        "sip:alice@[2001:db8::10]:5070;lr",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice@my_host.example.",
    ] {
        assert_eq!(uri(text).to_string(), text);
    }
}

#[test]
fn a_refusal_names_what_is_wrong() {
    for (text, part) in [
        (" sip:alice@example.org", "only the URI itself"),
        ("<sip:alice@example.org>", "only the URI itself"),
        ("\"Alice\" <sip:alice@example.org>", "only the URI itself"),
        ("mailto:alice@example.org", "another scheme"),
        ("alice:wonderland@example.org", "password"),
    ] {
        let message = SipUri::parse_aor(text).unwrap_err().to_string();
        assert!(message.contains(part) && !message.contains("wonderland"), "{text}: {message}");
    }
}

#[test]
fn refuses_what_is_no_sip_uri() {
    for text in [
        "",
        "alice",
        "alice@example.org",
        "tel:+1",
        "sip:",
        "sip:@host",
        "sip:alice@",
        "sip:al ice@host",
        "sip:alice@host:0",
        "sip:alice@host:65536",
        "sip:alice@host:",
        "sip:alice@host:+5",
        "sip:alice@[::1",
        "sip:alice@[zz]",
        "sip:alice@1.2.3.4.5",
        "sip:alice@256.1.1.1",
        "sip:alice@-x.org",
        "sip:a@h;;lr",
        "sip:a@h;x=",
        "sip:a@h?x",
        "sip:alice:secret@host",
        "sip:a%4@host",
        "sip:a@b@c",
        "sip:a@host\r\nX: y",
        "sip:ä@host",
        "sip:a@h;a=1;A=2",
        "sip:a@::1",
    ] {
        assert!(SipUri::parse(text).is_err(), "{text:?} was taken");
    }
    assert!(SipUri::parse(&format!("sip:{}@h", "a".repeat(2000))).is_err());
}

#[test]
fn a_password_is_not_repeated_in_the_refusal() {
    let error = SipUri::parse("sip:alice:hunter2@host").unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn equivalence_follows_rfc_3261_19_1_4() {
    for (one, other) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[::1]", "sip:a@[0:0::1]"),
        ("sip:a%2bb%ff@h", "sip:%61%2Bb%FF@h"),
    ] {
        assert!(uri(one).equivalent(&uri(other)), "{one} {other}");
        assert!(uri(other).equivalent(&uri(one)), "{other} {one}");
    }
    for (one, other) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:bob%3bday=tuesday@biloxi.com", "sip:bob;day=tuesday@biloxi.com"),
        ("sip:a%FF@h", "sip:A%FF@h"),
    ] {
        assert!(!uri(one).equivalent(&uri(other)), "{one} {other}");
    }
}

#[test]
fn a_text_without_scheme_is_taken_loosely() {
    assert_eq!(SipUri::parse_loose("alice@example.org").unwrap().to_string(), "sip:alice@example.org");
    assert_eq!(SipUri::parse_loose("SIPS:alice@Example.org").unwrap().to_string(), "sips:alice@example.org");
    assert_eq!(SipUri::parse_loose("example.org:5070").unwrap().port, Some(5070));
}

#[test]
fn escapes_are_resolved_for_digest() {
    assert_eq!(uri("sip:al%20ice%C3%A9@host").user_unescaped(), "al iceé");
    assert_eq!(uri("sip:al%3bice@host").user_unescaped(), "al;ice");
    assert_eq!(uri("sip:al%ffice@host").user_unescaped(), "al%ffice", "no UTF-8");
    assert_eq!(uri("sip:al%0D%0AVia%3a%20x@host").user_unescaped(), "al%0D%0AVia%3a%20x", "no header fields");
    assert_eq!(uri("sip:host").user_unescaped(), "");
}

proptest! {
    #[test]
    fn nothing_panics(text in ".{0,60}") {
        let _ = SipUri::parse(&text);
        let _ = SipUri::parse_loose(&text);
    }

    #[test]
    fn what_parses_round_trips_and_equals_itself(
        text in "sips?:([a-z%0-9;?+]{1,8}@)?[a-z]{1,5}(\\.[a-z]{1,3})?(:[0-9]{1,5})?(;[a-z]{1,3}(=[a-z]{1,3})?){0,3}"
    ) {
        if let Ok(uri) = SipUri::parse(&text) {
            prop_assert_eq!(&SipUri::parse(&uri.to_string()).unwrap(), &uri);
            prop_assert!(uri.equivalent(&uri));
        }
    }
}
