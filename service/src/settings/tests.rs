use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn settings(pairs: &[(&str, Value)]) -> Result<Settings, SettingsError> {
    let mut values = Values::from([(String::from("aor"), text("alice@example.org"))]);
    values.extend(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Settings::create(values)
}

fn with(pairs: &[(&str, Value)]) -> Settings {
    settings(pairs).unwrap_or_else(|error| panic!("{pairs:?}: {error}"))
}

#[test]
fn good_values_are_taken() {
    for (key, value) in [
        ("registrar", text("sip.example.org:5070")),
        ("registrar", text("2001:db8::1")),
        ("outbound-proxy", text("sip:[2001:db8::1]:5070;transport=tcp;lr")),
        ("transport", text("tcp")),
        ("expires", Value::Number(86_400)),
        ("keepalive", Value::Number(4_294_967_295)),
        ("dscp", Value::Number(63)),
        (
            "contact-params",
            Value::List(vec![
                String::from("methods=\"INVITE\""),
                String::from("+x"),
                String::from("a=[::1]"),
            ]),
        ),
        ("headers", Value::List(vec![String::from("X-Office: first floor")])),
        ("interface", text("eth0.7")),
        ("password", text("")),
        ("x-a.b_c-d", Value::List(Vec::new())),
    ] {
        with(&[(key, value)]);
    }
}

#[test]
fn bad_values_are_refused_by_name() {
    for (key, value) in [
        ("registrar", text("bob@example.org")),
        ("registrar", text("exa mple.org")),
        ("transport", text("TCP")),
        ("transport", text("sctp")),
        ("expires", Value::Number(59)),
        ("expires", Value::Number(-1)),
        ("expires", text("600")),
        ("expires", Value::Other(String::from("d"))),
        ("dscp", Value::Number(64)),
        ("auto-register", Value::Number(1)),
        ("display-name", text("a\nb")),
        ("contact-params", Value::List(vec![String::from("expires=1")])),
        ("contact-params", Value::List(vec![String::from("a=b;c")])),
        ("contact-params", Value::List(vec![String::from("a=[::g]")])),
        ("headers", Value::List(vec![String::from("v: SIP/2.0/UDP x")])),
        ("headers", Value::List(vec![String::from("No colon")])),
        ("interface", text("a/b")),
        ("has-password", Value::Flag(true)),
        ("x-", text("")),
        ("x-d", Value::Other(String::from("d"))),
    ] {
        match settings(&[(key, value.clone())]) {
            Err(SettingsError::Invalid(error)) => assert_eq!(error.key, key),
            other => panic!("{key} {value:?}: {other:?}"),
        }
    }
}

#[test]
fn pem_texts_must_hold_what_they_say() {
    let key = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![String::from("example.org")]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    with(&[
        ("tls-ca", text(&certificate)),
        ("tls-pin", text("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")),
    ]);
    let pair = [("tls-certificate", text(&certificate)), ("tls-key", text(&key.serialize_pem()))];
    let shown = with(&pair).public();
    assert_eq!(shown["has-tls-key"], Value::Flag(true));
    assert!(!shown.contains_key("tls-key"));

    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (bad, values) in [
        ("tls-ca", vec![("tls-ca", text(junk))]),
        ("tls-ca", vec![("tls-ca", text("x"))]),
        ("tls-ca", vec![("tls-ca", text(&key.serialize_pem()))]),
        ("tls-certificate", vec![("tls-certificate", text(junk))]),
        ("tls-key", vec![("tls-key", text(&certificate))]),
        ("tls-pin", vec![("tls-pin", text("AAAA"))]),
        // Another's key.
        ("tls-certificate", vec![pair[0].clone(), ("tls-key", text(&other.serialize_pem()))]),
    ] {
        let error = settings(&values).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{bad}: ")), "{values:?}: {error}");
    }
}

#[test]
fn a_sips_address_travels_over_tls_only() {
    let secure = |pairs: &[(&str, Value)]| {
        let aor = [("aor", text("sips:alice@example.org"))];
        Settings::create(
            aor.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        )
    };
    secure(&[("transport", text("tls")), ("registrar", text("sip:example.org;transport=tls"))]).unwrap();
    secure(&[]).unwrap();
    for (key, value) in [("transport", "udp"), ("transport", "tcp"), ("registrar", "sip:x;transport=tcp")] {
        let error = secure(&[(key, text(value))]).unwrap_err().to_string();
        assert!(error.starts_with(key) && error.contains("tls"), "{error}");
    }
}

#[test]
fn u3_a_change_is_what_it_means_for_the_network() {
    let base = with(&[("expires", Value::Number(3600))]);
    let change = |key: &str, value: Value| {
        let set = Values::from([(key.to_owned(), value)]);
        base.change_to(&base.update(set, &[]).unwrap())
    };
    assert_eq!(change("expires", Value::Number(3600)), Change::Nothing);
    assert_eq!(change("display-name", text("Home")), Change::Quiet { credential: false });
    assert_eq!(change("x-a", text("b")), Change::Quiet { credential: false });
    assert_eq!(change("password", text("b")), Change::Quiet { credential: true });
    assert_eq!(change("headers", Value::List(vec![String::from("X: y")])), Change::Refresh);
    assert_eq!(change("expires", Value::Number(600)), Change::Refresh);
    assert_eq!(change("registrar", text("example.net")), Change::Move);
    assert_eq!(change("aor", text("bob@example.org")), Change::Move);
    assert_eq!(
        base.change_to(&base.update(Values::new(), &[String::from("expires")]).unwrap()),
        Change::Quiet { credential: false }
    );
}

#[test]
fn secrets_are_neither_listed_nor_debugged_nor_stored_with_the_rest() {
    let settings = with(&[("password", text("hunter2"))]);
    assert_eq!(settings.public()["has-password"], Value::Flag(true));
    let shown = [
        format!("{:?}", settings.public()),
        format!("{settings:?}"),
        serde_json::to_string(&settings).unwrap(),
        settings.digest(),
    ];
    assert!(shown.iter().all(|text| !text.contains("hunter2")), "{shown:?}");
}

/// A number among a client's own keys once made the whole profile unreadable at the next start.
#[test]
fn u2_every_type_of_a_clients_own_keys_comes_back_from_the_disk() {
    let settings = with(&[
        ("x-number", Value::Number(4_294_967_295)),
        ("x-flag", Value::Flag(true)),
        ("x-text", text("5")),
        ("x-list", Value::List(vec![String::from("5")])),
    ]);
    let stored: Settings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(stored, settings);
}

#[test]
fn sizes_are_limited_and_the_limit_is_named() {
    let long = "x".repeat(1025);
    assert!(
        matches!(settings(&[("realm", text(&long))]), Err(SettingsError::TooLarge(why)) if why.contains("1024"))
    );
    let many = Value::List(vec!["x".repeat(1000); 400]);
    assert!(
        matches!(settings(&[("x-many", many)]), Err(SettingsError::TooLarge(why)) if why.contains("327680"))
    );
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,20}".prop_map(Value::Text),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        any::<bool>().prop_map(Value::Flag),
        prop::collection::vec(".{0,10}", 0..3).prop_map(Value::List),
    ]
}

proptest! {
    #[test]
    fn whatever_is_taken_is_shown_and_can_be_taken_again(
        key in prop::sample::select(vec![
            "display-name", "registrar", "outbound-proxy", "transport", "auth-user", "realm", "password", "expires",
            "auto-register", "contact-params", "headers", "keepalive", "tls-ca", "interface", "dscp", "locked", "x-y",
        ]),
        value in value(),
    ) {
        if let Ok(settings) = settings(&[(key, value)]) {
            prop_assert_eq!(&settings.clone().rechecked().unwrap(), &settings);
            let unset = settings.update(Values::new(), &[key.to_owned()]).unwrap();
            prop_assert_eq!(unset, with(&[]));
            let stored: Settings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
            prop_assert_eq!(stored.public().len(), settings.public().len());
        }
    }
}
