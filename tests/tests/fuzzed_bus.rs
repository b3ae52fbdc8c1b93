//! Programs gone mad: whatever they call with whatever arguments is answered, and costs the service nothing that lasts.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::StreamExt;
use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::bus::{Bus, Options, resident};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::random::Random;
use zbus::message::{Flags, Message, Type};
use zbus::{Array, Connection, MessageStream, ObjectPath, Signature, Structure, Variant};

const BATCHES: usize = 400;
const BATCH: usize = 50;
/// Batches before the memory is measured.
const WARM: usize = 100;
/// The service may not keep more, bytes.
const GROWTH: u64 = 16 * 1024 * 1024;
const STRANGER: u32 = 65534;

const PATHS: [&str; 14] = [
    "/org/sipprofiles",
    "/org/sipprofiles",
    "/org/sipprofiles/profile/1",
    "/org/sipprofiles/profile/2",
    "/org/sipprofiles/profile/3",
    "/org/sipprofiles/profile/4",
    "/org/sipprofiles/profile",
    "/org/sipprofiles/profile/4294967295",
    "/org/sipprofiles/profile/4294967296",
    "/org/sipprofiles/profile/01",
    "/org/sipprofiles/profile/1/x",
    "/org",
    "/",
    "/nowhere",
];

const INTERFACES: [(&str, &[&str]); 6] = [
    (
        "org.sipprofiles.Registry1",
        &[
            "CreateProfile",
            "GetProfile",
            "FindProfiles",
            "GetDefaultProfile",
            "SetDefaultProfile",
            "GetTemplate",
            "RegisterSecretAgent",
            "UnregisterSecretAgent",
            "Leave",
        ],
    ),
    (
        "org.sipprofiles.Profile1",
        &[
            "Enable",
            "Disable",
            "IsEnabled",
            "Refresh",
            "ForceDisable",
            "GetSettings",
            "GetRegistration",
            "Update",
            "Remove",
            "ListUsers",
        ],
    ),
    ("org.freedesktop.DBus.Properties", &["Get", "GetAll", "Set"]),
    ("org.freedesktop.DBus.ObjectManager", &["GetManagedObjects"]),
    ("org.freedesktop.DBus.Introspectable", &["Introspect"]),
    ("org.freedesktop.DBus.Peer", &["Ping", "GetMachineId"]),
];

const WORDS: [&str; 24] = [
    "",
    "aor",
    "type",
    "registrar",
    "transport",
    "tls",
    "password",
    "expires",
    "wait",
    "token",
    "shared",
    "force",
    "x-note",
    "headers",
    "contact-params",
    "ietf",
    "sip:fuzz@127.0.0.1",
    "sip:%zz@[::1]:99999",
    "X-A: b",
    "State",
    "org.sipprofiles.Profile1",
    "org.sipprofiles.Registry1",
    "\u{feff}\u{202e}é\u{1f4de}",
    "a\r\nb",
];

/// Nothing of it leaves this machine: the one domain is 127.0.0.1, where nobody listens.
fn text(random: &mut Random) -> String {
    match random.below(40) {
        0 => "x".repeat(random.below(5000)),
        1 => "é".repeat(300_000),
        2 if random.below(50) == 0 => "y".repeat(8 << 20),
        2 => String::from("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        _ => random.one_of(&WORDS).to_string(),
    }
}

fn number(random: &mut Random) -> u64 {
    *random.one_of(&[0, 1, 2, 59, 60, 65535, 1 << 31, (1 << 32) - 1, 1 << 32, u64::MAX])
}

/// A value of any type, not deeper than `depth`.
fn value(random: &mut Random, depth: usize) -> Variant<'static> {
    let basic = depth == 0 || random.below(3) > 0;
    match random.below(if basic { 12 } else { 17 }) {
        0 => Variant::from(random.below(2) == 0),
        1 => Variant::U8(number(random) as u8),
        2 => Variant::I16(number(random) as i16),
        3 => Variant::U16(number(random) as u16),
        4 => Variant::I32(number(random) as i32),
        5 => Variant::U32(number(random) as u32),
        6 => Variant::I64(number(random) as i64),
        7 => Variant::U64(number(random)),
        8 => Variant::F64(f64::from_bits(number(random))),
        9 => Variant::ObjectPath(ObjectPath::try_from(*random.one_of(&PATHS)).expect("they are paths")),
        10 => Variant::Signature(Signature::try_from("a{sv}(ii)").expect("it is one")),
        11 => Variant::from(text(random)),
        12 => Variant::from(dict(random, depth - 1)),
        13 => Variant::from((0..random.below(5)).map(|_| text(random)).collect::<Vec<_>>()),
        14 => Variant::from(structure(random, depth - 1)),
        15 => array(random, depth - 1),
        _ => nested(random, depth - 1),
    }
}

fn dict(random: &mut Random, depth: usize) -> HashMap<String, Variant<'static>> {
    if random.below(200) == 0 {
        return (0..20_000).map(|count| (format!("x-{count}"), Variant::from("many"))).collect();
    }
    let word = |random: &mut Random| random.one_of(&WORDS).to_string();
    (0..random.below(5)).map(|_| (word(random), value(random, depth))).collect()
}

fn structure(random: &mut Random, depth: usize) -> Structure<'static> {
    let mut builder = Structure::builder();
    for _ in 0..=random.below(4) {
        builder.push_value(value(random, depth));
    }
    builder.build().expect("it has fields")
}

fn array(random: &mut Random, depth: usize) -> Variant<'static> {
    let first = value(random, depth);
    let mut array = Array::new(first.value_signature());
    array.append(first).expect("of its type");
    Variant::from(array)
}

/// As deep as a message may be, and some that are not.
fn nested(random: &mut Random, depth: usize) -> Variant<'static> {
    let mut value = value(random, depth.min(1));
    for _ in 0..random.below(58) {
        value = Variant::Variant(Box::new(value));
    }
    value
}

/// The arguments that the member takes, of its types at least.
fn fitting(member: &str, random: &mut Random) -> Option<Structure<'static>> {
    let path = |random: &mut Random| ObjectPath::try_from(*random.one_of(&PATHS)).expect("they are paths");
    let builder = Structure::builder();
    let builder = match member {
        "CreateProfile" => {
            let mut settings = dict(random, 2);
            if random.below(2) == 0 {
                settings = HashMap::from([(String::from("aor"), Variant::from("sip:fuzz@127.0.0.1"))]);
            }
            builder.add_field(settings).add_field(Dict::new())
        }
        "Update" => {
            let unset: Vec<_> = (0..random.below(3)).map(|_| text(random)).collect();
            builder.add_field(dict(random, 3)).add_field(unset).add_field(Dict::new())
        }
        "SetDefaultProfile" | "RegisterSecretAgent" => builder.add_field(path(random)).add_field(Dict::new()),
        "GetProfile" => builder.add_field(number(random) as u32),
        "GetTemplate" | "GetAll" => builder.add_field(text(random)),
        "Get" => builder.add_field(text(random)).add_field(text(random)),
        "Set" => builder.add_field(text(random)).add_field(text(random)).append_field(nested(random, 2)),
        "FindProfiles" => builder.add_field(dict(random, 2)),
        "IsEnabled" | "GetSettings" | "GetRegistration" | "ListUsers" | "GetDefaultProfile" => return None,
        "GetManagedObjects" | "Introspect" | "Ping" | "GetMachineId" => return None,
        _ if random.below(3) > 0 => builder.add_field(Dict::new()),
        _ => builder.add_field(dict(random, 2)),
    };
    Some(builder.build().expect("it has fields"))
}

fn call(random: &mut Random) -> Message {
    let (interface, members) = random.one_of(&INTERFACES[..]);
    let (interface, member) = match random.below(12) {
        0 => (random.one_of(&INTERFACES).0, *random.one_of(members)),
        1 => ("org.example.Nothing", "Nothing"),
        _ => (*interface, *random.one_of(members)),
    };
    loop {
        let mut builder = Message::method_call(*random.one_of(&PATHS), member).destination("org.sipprofiles");
        if random.below(10) > 0 {
            builder = builder.interface(interface);
        }
        if random.below(8) == 0 {
            builder = builder.with_flags(Flags::NO_REPLY_EXPECTED);
        }
        let body = match random.below(3) {
            0 => Some(structure(random, 4)).filter(|_| random.below(4) > 0),
            _ => fitting(member, random),
        };
        let built = match body {
            Some(body) => builder.build(&body),
            None => builder.build(&()),
        };
        // The library refuses what is deeper than a message may be: the bus would not take it either.
        if let Ok(message) = built {
            return message;
        }
    }
}

/// Sends a batch, and returns when all that is owed has come: the names of errors.
async fn batch(connection: &Connection, random: &mut Random) -> Vec<String> {
    let mut stream = MessageStream::from(connection);
    let mut owed = BTreeSet::new();
    let calls: Vec<_> = (0..BATCH).map(|_| call(random)).collect();
    for call in &calls {
        connection.send(call).await.expect("the bus takes it");
        if !call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED) {
            owed.insert(call.primary_header().serial_num());
        }
    }
    let mut errors = Vec::new();
    while !owed.is_empty() {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        let Ok(Some(Ok(message))) = next else {
            let lost: Vec<_> =
                calls.iter().filter(|call| owed.contains(&call.primary_header().serial_num())).collect();
            panic!("{next:?}; without an answer: {lost:?}");
        };
        let header = message.header();
        if let Some(serial) = header.reply_serial() {
            owed.remove(&serial);
        }
        if message.message_type() == Type::Error {
            errors.extend(header.error_name().map(|name| name.to_string()));
        }
    }
    errors
}

#[tokio::test]
async fn twenty_thousand_mad_calls_are_answered_and_leave_it_small() {
    let bus = Bus::start(Options { log: String::from("warn"), idle_timeout: 600.0, ..Options::default() });
    let normal = Client::connect(&bus).await;
    let aor = || Dict::from([("aor", Variant::from("sip:normal@127.0.0.1"))]);
    normal.create(aor()).await.unwrap();
    let pid = bus.service_pid();
    let mad = [bus.connect().await, bus.connect().await, bus.connect_as(STRANGER).await];
    let mut random = Random(4476);
    let (mut names, mut before, mut errors) = (BTreeSet::new(), 0, 0);
    for number in 0..BATCHES {
        if number == WARM {
            before = resident(pid);
        }
        let said = batch(&mad[number % mad.len()], &mut random).await;
        errors += said.len();
        names.extend(said);
    }
    for name in &names {
        let ours = name.strip_prefix("org.sipprofiles.Error.");
        let known = ours.or(name.strip_prefix("org.freedesktop.DBus.Error.")).is_some();
        assert!(known && !name.ends_with(".NoReply"), "{name}");
    }
    assert!(names.len() > 8 && errors < BATCHES * BATCH, "it was understood at times: {errors}, {names:?}");
    let growth = resident(pid).saturating_sub(before);
    assert!(growth < GROWTH, "it has grown by {growth} bytes");
    assert_eq!(bus.service_pids().len(), 1, "it was never restarted");

    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = normal.create(aor()).await.unwrap();
    assert_eq!(normal.state(id).await, "unregistered");
    assert!(!bus.log().contains("panicked"), "{}", bus.log());
}
