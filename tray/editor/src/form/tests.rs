use proptest::prelude::*;

use super::*;

fn stored() -> Settings {
    let text = |text: &str| Value::from(text);
    [
        ("aor", text("sip:alice@example.org")),
        ("type", text("ietf")),
        ("transport", text("tls")),
        ("expires", Value::Number(600)),
        ("keepalive", Value::Number(u32::MAX.into())),
        ("headers", Value::List(vec!["X-A: 1".into(), "X-B: 2".into()])),
        ("auto-register", Value::Flag(true)),
        ("has-password", Value::Flag(true)),
        ("x-colour", text("blue")),
        ("of-tomorrow", Value::Other),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn entries(stored: &Settings) -> Entries {
    Field::ALL.map(|field| (field, shown(stored, field))).into()
}

fn with(field: Field, entry: Entry) -> Result<Change, Mistake> {
    let stored = stored();
    let mut entries = entries(&stored);
    entries.insert(field, entry);
    change(&stored, &entries)
}

fn typed(field: Field, text: &str) -> Result<Change, Mistake> {
    with(field, Entry::Text(text.to_owned()))
}

#[test]
fn only_what_changed_is_sent() {
    let sent = typed(Field::Registrar, " sip.example.org ").unwrap();
    assert_eq!(sent.set, [("registrar", Value::from("sip.example.org"))].into());
    assert!(sent.unset.is_empty());
    let sent = typed(Field::Headers, "X-A: 1\n\n  X-B: 2 ").unwrap();
    assert!(sent.is_empty(), "the same list, written otherwise: {sent:?}");
    assert_eq!(typed(Field::Expires, "").unwrap().unset, ["expires"]);
    assert_eq!(typed(Field::Transport, "auto").unwrap().unset, ["transport"]);
    let off = with(Field::AutoRegister, Entry::Flag(false)).unwrap();
    assert_eq!(off.set, [("auto-register", Value::Flag(false))].into());
    assert!(typed(Field::Realm, "  ").unwrap().is_empty());
}

#[test]
fn secrets_stay_unless_somebody_says_otherwise() {
    assert!(with(Field::Password, Entry::Kept).unwrap().is_empty());
    assert_eq!(with(Field::TlsKey, Entry::Cleared).unwrap().unset, ["tls-key"]);
    let sent = with(Field::Password, Entry::New(Secret::new("wonderland"))).unwrap();
    assert_eq!(sent.set["password"], Value::Secret(Secret::new("wonderland")));
    assert!(!format!("{sent:?}").contains("wonderland"));
}

#[test]
fn a_new_account_needs_its_address_and_nothing_else() {
    let nothing = Settings::new();
    let mistake = change(&nothing, &entries(&nothing)).unwrap_err();
    assert_eq!(mistake.field, Field::Aor);
    let mut filled = entries(&nothing);
    filled.insert(Field::Aor, Entry::Text("alice@example.org".into()));
    let sent = change(&nothing, &filled).unwrap();
    assert_eq!(sent, Change { set: [("aor", Value::from("alice@example.org"))].into(), unset: vec![] });
    assert_eq!(typed(Field::Aor, "").unwrap_err().field, Field::Aor);
}

#[test]
fn numbers_are_numbers_and_keepalive_may_be_off() {
    assert_eq!(typed(Field::Expires, "soon").unwrap_err().field, Field::Expires);
    assert_eq!(typed(Field::Dscp, "-1").unwrap_err().field, Field::Dscp);
    assert_eq!(shown(&stored(), Field::Keepalive), Entry::Text("off".into()));
    assert!(typed(Field::Keepalive, "Off").unwrap().is_empty());
    assert_eq!(typed(Field::Keepalive, "30").unwrap().set["keepalive"], Value::Number(30));
}

#[test]
fn an_empty_field_says_what_it_means() {
    let stored = stored();
    let mut entries = entries(&stored);
    let mut says = |aor: &str, field| {
        entries.insert(Field::Aor, Entry::Text(aor.to_owned()));
        placeholder(field, &entries, &stored)
    };
    assert_eq!(says("sips:al%20ice@example.org:5071", Field::AuthUser), "al ice");
    assert_eq!(says("sips:alice@example.org:5071", Field::Registrar), "example.org:5071");
    assert_eq!(says("SIP:alice@[::1]", Field::Registrar), "[::1]");
    assert_eq!(says("alice@example.org", Field::DisplayName), "alice@example.org");
    assert_eq!(says("alice", Field::Registrar), "");
    assert_eq!(says("alice@example.org", Field::Password), crate::text::KEPT);
}

#[test]
fn an_error_finds_its_field() {
    let field = |message: &str| blamed(message).map(|mistake| mistake.field);
    assert_eq!(field("registrar: \"a b\" is neither a host name nor an address"), Some(Field::Registrar));
    assert_eq!(field("the text of tls-ca is larger than 256 KiB."), Some(Field::TlsCa));
    assert_eq!(field("x-colour: is no text"), None);
    assert_eq!(field("You may have 64 profiles."), None);
    assert_eq!(blamed("dscp: must be 0 to 63").unwrap().message, "Must be 0 to 63.");
}

/// What the service might give for any key, the right type or not.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Flag),
        any::<i64>().prop_map(Value::Number),
        "\\PC{0,20}".prop_map(Value::Text),
        proptest::collection::vec("\\PC{0,8}", 0..4).prop_map(Value::List),
        Just(Value::Other),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let key = prop_oneof![
        proptest::sample::select(Field::ALL.to_vec()).prop_map(|field| field.key().to_owned()),
        "x-[a-z]{1,5}",
        "[a-z-]{1,9}",
    ];
    proptest::collection::btree_map(key, any_value(), 0..12).prop_map(|mut settings| {
        settings.insert("aor".into(), Value::from("sip:alice@example.org"));
        settings
    })
}

fn apply(mut settings: Settings, change: &Change) -> Settings {
    settings.extend(change.set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    settings.retain(|key, _| !change.unset.contains(&key.as_str()));
    settings
}

proptest! {
    #[test]
    fn an_untouched_form_sends_nothing(settings in any_settings()) {
        prop_assert!(change(&settings, &entries(&settings)).unwrap().is_empty());
    }

    #[test]
    fn what_was_sent_is_what_stands_there(
        settings in any_settings(),
        field in proptest::sample::select(Field::ALL.to_vec()),
        text in "[ -~]{0,20}",
    ) {
        prop_assume!(!matches!(field.kind(), Kind::Flag | Kind::Password | Kind::SecretPem));
        let mut filled = entries(&settings);
        filled.insert(field, Entry::Text(text));
        if let Ok(sent) = change(&settings, &filled) {
            let keys: Vec<_> = sent.set.keys().chain(&sent.unset).copied().collect();
            prop_assert!(keys.iter().all(|key| *key == field.key()), "{keys:?}");
            let now = apply(settings.clone(), &sent);
            // Sending the same again is nothing.
            prop_assert!(change(&now, &filled).unwrap().is_empty());
            for (key, value) in settings.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
                prop_assert_eq!(now.get(key), Some(value));
            }
        }
    }

    #[test]
    fn placeholders_take_any_address(aor in "\\PC{0,30}") {
        let entries: Entries = [(Field::Aor, Entry::Text(aor))].into();
        for field in Field::ALL {
            placeholder(field, &entries, &Settings::new());
        }
    }

    #[test]
    fn blame_takes_any_sentence(message in "\\PC{0,60}") {
        let _ = blamed(&message);
    }
}
