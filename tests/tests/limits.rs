//! The contract's limits, reached by a user, and what the others notice of it: nothing.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sip_profiles_tests::bus::{Bus, Options, resident};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::registrar::{Behaviour, Registrar, Script};
use zbus::message::Message;
use zbus::{MessageStream, ObjectPath, Variant};

const MALLORY: u32 = 65534;
/// The bus takes users that the system knows: this is `daemon`.
const CAROL: u32 = 1;
/// Others are answered within that time while one attacks, on a machine that is busy with the attack.
const PROMPT: Duration = Duration::from_secs(3);

fn settings(registrar: &Registrar) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from("sip:alice@127.0.0.1")),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
    ])
}

fn aor() -> Dict<'static> {
    Dict::from([("aor", Variant::from("sip:alice@127.0.0.1"))])
}

fn token(number: usize) -> Dict<'static> {
    Dict::from([("token", Variant::from(number.to_string()))])
}

/// The call is refused, and its error names the limit.
fn assert_limited<T: std::fmt::Debug>(result: zbus::Result<T>, limit: &str) {
    let Err(zbus::Error::MethodError(name, Some(said), _)) = &result else { panic!("{result:?}") };
    assert!(name.as_str() == "org.sipprofiles.Error.LimitExceeded" && said.contains(limit), "{name}: {said}");
}

/// Root and an ordinary user are served as ever.
async fn others_are_served(bus: &Bus) {
    let begun = Instant::now();
    for uid in [0, CAROL] {
        let client = Client::connect_as(bus, uid).await;
        let id = client.create(aor()).await.unwrap();
        assert_eq!(client.state(id).await, "unregistered");
        client.profile(id, "Remove", &Dict::new()).await.unwrap();
    }
    assert!(begun.elapsed() < PROMPT, "it took {:?}", begun.elapsed());
}

async fn mallory(bus: &Bus) -> Client {
    Client::connect_as(bus, MALLORY).await
}

#[tokio::test]
async fn sessions_of_one_user() {
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let mut clients = Vec::new();
    for _ in 0..256 {
        let client = mallory(&bus).await;
        client.root("FindProfiles", &Dict::new()).await.unwrap();
        clients.push(client);
    }
    let more = mallory(&bus).await;
    for _ in 0..50 {
        assert_limited(mallory(&bus).await.root("FindProfiles", &Dict::new()).await, "256 sessions");
    }
    others_are_served(&bus).await;
    clients[0].root("Leave", &Dict::new()).await.unwrap();
    more.root("FindProfiles", &Dict::new()).await.unwrap();
    assert_limited(clients[0].root("FindProfiles", &Dict::new()).await, "256 sessions");
    assert_eq!(bus.service_pids().len(), 1);
}

#[tokio::test]
async fn holds_of_one_connection() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = mallory(&bus).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(client.create(settings(&registrar)).await.unwrap());
    }
    for id in &ids[..4] {
        for number in 0..16 {
            client.enable(*id, token(number)).await.unwrap();
        }
        assert_limited(client.enable(*id, token(16)).await, "16 holds");
    }
    assert_limited(client.enable(ids[4], Dict::new()).await, "64 holds");
    assert_eq!(client.users(ids[4]).await, 0);
    mallory(&bus).await.enable(ids[4], Dict::new()).await.unwrap();
    others_are_served(&bus).await;
    client.profile(ids[0], "Disable", &token(0)).await.unwrap();
    client.enable(ids[4], Dict::new()).await.unwrap();
}

#[tokio::test]
async fn enables_of_one_user_that_wait() {
    let registrar = Registrar::start(Behaviour::default()).await;
    registrar.next((0..40).map(|_| Script::Silence));
    let bus = Bus::start(Options::default());
    let (client, second) = (mallory(&bus).await, mallory(&bus).await);
    let id = client.create(settings(&registrar)).await.unwrap();
    let waits = |number: usize| {
        let mut options = token(number);
        options.insert("wait", Variant::from(60u32));
        options
    };
    let answering = Registrar::start(Behaviour::default()).await;
    let registered = client.create(settings(&answering)).await.unwrap();
    assert_eq!(client.enable(registered, waits(0)).await.unwrap(), "registered");
    let waiting = join_all((0..16).map(|number| client.enable(id, waits(number))));
    let others = async {
        while second.users(id).await == 0 {}
        // All sixteen went out before: they are looked at in the order in which they came.
        client.profile(id, "IsEnabled", &()).await.unwrap();
        assert_limited(second.enable(id, waits(0)).await, "16 Enables");
        assert_eq!(second.enable(id, Dict::new()).await.unwrap(), "registering", "without waiting it may");
        assert_eq!(second.enable(registered, waits(0)).await.unwrap(), "registered", "nothing to wait for");
        others_are_served(&bus).await;
        second.profile(id, "ForceDisable", &Dict::new()).await.unwrap();
    };
    let (ended, ()) = tokio::join!(waiting, others);
    for end in ended {
        let Err(zbus::Error::MethodError(name, ..)) = end else { panic!("{end:?}") };
        assert_eq!(name.as_str(), "org.sipprofiles.Error.NotEnabled");
    }
}

#[tokio::test]
async fn writes_of_one_user_and_the_size_of_what_is_written() {
    let bus = Bus::start(Options::default());
    let client = mallory(&bus).await;
    let id = client.create(aor()).await.unwrap();
    let writes = (0..60u32).map(|number| {
        let client = &client;
        async move { client.update(id, Dict::from([("x-n", Variant::from(number + 1))]), &[]).await }
    });
    let begun = Instant::now();
    let (results, ()) = tokio::join!(join_all(writes), others_are_served(&bus));
    let (taken, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap_or(0) + 2;
    assert!(taken.len() <= 10 * seconds && !refused.is_empty(), "{} writes were taken", taken.len());
    refused.into_iter().for_each(|result| assert_limited(result, "10 writes a second"));

    tokio::time::sleep(Duration::from_millis(1100)).await;
    for (key, limit) in
        [("x-a", 1024), ("display-name", 1024), ("tls-certificate", 16384), ("tls-ca", 262_144)]
    {
        let long = Dict::from([(key, Variant::from("x".repeat(limit + 1)))]);
        assert_limited(client.update(id, long, &[]).await, &limit.to_string());
    }
    let many: Vec<String> = (0..400).map(|number| format!("x-{number}")).collect();
    let many = many.iter().map(|key| (key.as_str(), Variant::from("x".repeat(1000)))).collect::<Dict<'_>>();
    assert_limited(client.update(id, many, &[]).await, "327680");
}

#[tokio::test]
async fn a_call_that_is_too_large_is_not_taken_apart() {
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let client = mallory(&bus).await;
    let id = client.create(aor()).await.unwrap();
    let keys: Vec<String> = (0..150_000).map(|number| format!("x-{number}")).collect();
    let huge = || keys.iter().map(|key| (key.as_str(), Variant::from(0u32))).collect::<Dict<'_>>();
    let cost = cpu_time(&bus);
    assert_limited(client.update(id, huge(), &[]).await, "1048576 bytes");
    assert_limited(client.create(huge()).await, "1048576 bytes");
    assert_limited(client.root("FindProfiles", &huge()).await, "1048576 bytes");
    assert_limited(client.root("GetTemplate", &"x".repeat(16 << 20)).await, "1048576 bytes");
    let cost = cpu_time(&bus) - cost;
    assert!(cost < Duration::from_secs(1), "it took the service {cost:?}");
    others_are_served(&bus).await;
}

/// What the service has used of the processors.
fn cpu_time(bus: &Bus) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bus.service_pid().as_raw_pid())).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks =
        after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

#[tokio::test]
async fn what_the_runtime_directory_keeps_of_one_user() {
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let client = mallory(&bus).await;
    let path = |length: usize| ObjectPath::try_from(format!("/{}", "x".repeat(length))).unwrap();
    assert_limited(client.root("RegisterSecretAgent", &(path(500_000), Dict::new())).await, "1024 bytes");
    for _ in 0..3000 {
        client.root("RegisterSecretAgent", &(path(1000), Dict::new())).await.unwrap();
    }
    let kept = std::fs::metadata(bus.path("run/journal")).unwrap().len();
    assert!(kept < 2 * 1024 * 1024, "{kept} bytes");
}

#[tokio::test]
async fn calls_before_the_bus_has_said_who_calls() {
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    Client::connect(&bus).await.root("FindProfiles", &Dict::new()).await.unwrap();
    let (mut refused, mut answered) = (0, 0);
    for _ in 0..5 {
        let connection = bus.connect_as(MALLORY).await;
        let mut replies = MessageStream::from(&connection);
        let calls: Vec<_> = (0..2000).map(|_| registry_call("GetDefaultProfile")).collect();
        let sent = connection.send_all(&calls);
        let (sent, ()) = tokio::join!(sent, others_are_served(&bus));
        sent.unwrap();
        for _ in 0..calls.len() {
            let reply = futures_util::StreamExt::next(&mut replies).await.unwrap().unwrap();
            match reply
                .header()
                .error_name()
                .map(|name| name.as_str().rsplit('.').next().unwrap_or("").to_owned())
            {
                Some(name) if name == "LimitExceeded" || name == "LimitsExceeded" => refused += 1,
                _ => answered += 1,
            }
        }
    }
    assert!(refused > 0 && answered >= 5 * 64, "{refused} refused, {answered} answered");
    assert_eq!(bus.service_pids().len(), 1);
}

fn registry_call(member: &'static str) -> Message {
    let call = Message::method_call("/org/sipprofiles", member).destination("org.sipprofiles");
    call.interface("org.sipprofiles.Registry1").build(&()).expect("well-formed")
}

/// A connection that says who it is and then never reads.
fn deaf(bus: &Bus) -> UnixStream {
    let mut socket = bus.socket_of(MALLORY);
    let hex: String = MALLORY.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
    socket.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line).unwrap();
    assert!(line.starts_with("OK"), "{line}");
    socket.write_all(b"BEGIN\r\n").unwrap();
    let daemon = "org.freedesktop.DBus";
    let hello = Message::method_call("/org/freedesktop/DBus", "Hello").destination(daemon).interface(daemon);
    socket.write_all(hello.build(&()).unwrap().data()).unwrap();
    socket
}

#[tokio::test]
async fn clients_that_do_not_read_their_signals() {
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let (mut owner, root) = (mallory(&bus).await, Client::connect(&bus).await);
    let id = owner.create(aor()).await.unwrap();
    let mut sockets: Vec<_> = (0..50).map(|_| deaf(&bus)).collect();
    for socket in &mut sockets {
        socket.write_all(registry_call("GetDefaultProfile").data()).unwrap();
    }
    let before = resident(bus.service_pid());
    for number in 0..300 {
        let name = format!("{number} {}", "x".repeat(1000));
        root.update(id, Dict::from([("display-name", Variant::from(name))]), &[]).await.unwrap_or_else(
            |error| {
                assert!(error.to_string().contains("writes a second"), "{error}");
            },
        );
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    root.update(id, Dict::from([("display-name", Variant::from("the last"))]), &[]).await.unwrap();
    owner.until("PropertiesChanged", "the last").await;
    others_are_served(&bus).await;
    let growth = resident(bus.service_pid()).saturating_sub(before);
    assert!(growth < 8 * 1024 * 1024, "it has grown by {growth} bytes");
}

#[tokio::test]
async fn a_client_that_reads_nothing_stops_the_others_for_seconds_only() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let (holder, client) = (Client::connect(&bus).await, mallory(&bus).await);
    let held = holder.create(settings(&registrar)).await.unwrap();
    holder.enable_and_wait(held).await.unwrap();
    let id = client.create(aor()).await.unwrap();
    let many: Vec<String> = (0..290).map(|number| format!("x-{number}")).collect();
    let many = many.iter().map(|key| (key.as_str(), Variant::from("x".repeat(1000)))).collect::<Dict<'_>>();
    client.update(id, many, &[]).await.unwrap();

    // More than the 127 MB that the bus lets wait of one sender.
    let mut socket = deaf(&bus);
    let path = format!("/org/sipprofiles/profile/{id}");
    let large = || {
        let call = Message::method_call(path.as_str(), "GetSettings").destination("org.sipprofiles");
        call.interface("org.sipprofiles.Profile1").build(&()).expect("well-formed")
    };
    let first = bus.service_pid();
    for _ in 0..10 {
        for _ in 0..60 {
            socket.write_all(large().data()).unwrap();
        }
        if holder.root("FindProfiles", &Dict::new()).await.is_err() {
            break;
        }
    }
    bus.await_end(first).await;
    assert!(bus.log().contains("some client leaves too many unread"), "{}", bus.log());
    others_are_served(&bus).await;
    assert_eq!(holder.users(held).await, 1);
    assert_eq!(holder.enable_and_wait(held).await.unwrap(), "registered");
    assert_eq!(registrar.bindings("sip:alice@127.0.0.1").len(), 1);
}

#[tokio::test]
async fn e10_enable_and_disable_in_a_loop_sends_six_attempts_a_minute() {
    let registrar =
        Registrar::start(Behaviour { passwords: Default::default(), ..Behaviour::default() }).await;
    let bus = Bus::start(Options::default());
    let (one, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let settings = settings(&registrar);
    let shared = Dict::from([("shared", Variant::from(true))]);
    one.root("CreateProfile", &(settings.clone(), shared)).await.unwrap();
    for number in 0..40 {
        let client = if number % 2 == 0 { &one } else { &other };
        let state = client.enable_and_wait(1).await.unwrap();
        assert_eq!(state, if number < 6 { "registered" } else { "waiting" }, "{number}");
        client.disable(1).await.unwrap();
        while client.state(1).await != "unregistered" {}
    }
    let attempts = || registrar.requests().iter().filter(|it| it.message.expires() > 0).count();
    assert_eq!(attempts(), 6, "{}", registrar.transcript());

    // A profile of somebody else at the same registrar is another matter.
    let carol = Client::connect_as(&bus, CAROL).await;
    let id = carol.create(settings).await.unwrap();
    assert_eq!(carol.enable_and_wait(id).await.unwrap(), "registered");
}
