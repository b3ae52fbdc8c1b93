//! Prints how many packets, and how much time, registrars that refuse, rest, fall silent, die and lose packets cost.

use std::time::{Duration, Instant};

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::registrar::{Behaviour, Registrar, Script};
use zbus::Variant;

fn settings(registrar: &Registrar, user: &str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(format!("sip:{user}@127.0.0.1"))),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("auth-user", Variant::from("alice")),
        ("password", Variant::from("wonderland")),
    ])
}

async fn rig(behaviour: Behaviour) -> (Registrar, Bus, Client) {
    let registrar = Registrar::start(behaviour).await;
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let client = Client::connect(&bus).await;
    (registrar, bus, client)
}

async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn until_registered(client: &Client, id: u32) -> Duration {
    let started = Instant::now();
    while client.state(id).await != "registered" {
        assert!(started.elapsed() < Duration::from_secs(120), "it never comes back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::join!(wrong_password(), retry_after(), silence(), death());
    losses().await;
}

async fn wrong_password() {
    let (registrar, _bus, client) = rig(Behaviour::default()).await;
    let mut wrong = settings(&registrar, "alice");
    wrong.insert("password", Variant::from("wrong"));
    let id = client.create(wrong).await.expect("a profile");
    let outcome = client.enable_and_wait(id).await;
    assert!(outcome.is_err(), "{outcome:?}");
    pause(75).await;
    let requests = registrar.requests();
    let tries = requests.iter().filter(|one| one.message.has_credentials()).count();
    println!(
        "wrong password, 75 s: {} REGISTERs in all, {tries} with credentials, then silence",
        requests.len()
    );
}

async fn retry_after() {
    let (registrar, _bus, client) = rig(Behaviour { passwords: [].into(), ..Behaviour::default() }).await;
    let id = client.create(settings(&registrar, "alice")).await.expect("a profile");
    registrar.next([Script::Status(503, vec![String::from("Retry-After: 5")])]);
    client.enable(id, Dict::new()).await.expect("enabled");
    until_registered(&client, id).await;
    let requests = registrar.requests();
    let pause = requests[1].at - requests[0].at;
    println!(
        "503 with Retry-After 5: {} REGISTERs, the second after {:.2} s",
        requests.len(),
        pause.as_secs_f64()
    );
}

async fn silence() {
    let (registrar, _bus, client) = rig(Behaviour { loses_every: 1, ..Behaviour::default() }).await;
    let id = client.create(settings(&registrar, "alice")).await.expect("a profile");
    client.enable(id, Dict::new()).await.expect("enabled");
    pause(75).await;
    let packets = registrar.requests().len();
    registrar.behave(|behaviour| behaviour.loses_every = 0);
    let back = until_registered(&client, id).await;
    println!(
        "registrar silent for 75 s: {packets} packets, registered {:.1} s after it is back",
        back.as_secs_f64()
    );
}

async fn death() {
    for transport in ["udp", "tcp"] {
        let (registrar, _bus, client) = rig(Behaviour::default()).await;
        let address = registrar.address();
        let mut wanted = settings(&registrar, "alice");
        wanted.insert("transport", Variant::from(transport));
        let id = client.create(wanted).await.expect("a profile");
        client.enable_and_wait(id).await.expect("registered");
        drop(registrar);
        client.profile(id, "Refresh", &Dict::new()).await.expect("a holder may");
        pause(30).await;
        let during = client.properties(id).await.expect("it is there");
        let registrar = Registrar::start_at(address, Behaviour::default()).await.expect("the same port");
        let back = Instant::now();
        while registrar.bindings("sip:alice@127.0.0.1").is_empty() {
            assert!(back.elapsed() < Duration::from_secs(120), "it never comes back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "registrar killed for 30 s ({transport}): meanwhile {:?} {:?}, a binding {:.1} s after it is back, {} REGISTERs",
            during["State"],
            during["StateReason"],
            back.elapsed().as_secs_f64(),
            registrar.requests().len()
        );
    }
}

async fn losses() {
    let (registrar, _bus, client) = rig(Behaviour { loses_every: 5, ..Behaviour::default() }).await;
    let mut ids = Vec::new();
    for number in 0..100 {
        loop {
            match client.create(settings(&registrar, &format!("user{number}"))).await {
                Ok(id) => break ids.push(id),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    let started = Instant::now();
    for id in &ids {
        client.enable(*id, Dict::new()).await.expect("enabled");
    }
    for id in &ids {
        until_registered(&client, *id).await;
    }
    println!(
        "100 profiles, every fifth packet lost: all registered after {:.2} s, {} packets",
        started.elapsed().as_secs_f64(),
        registrar.requests().len()
    );
}
