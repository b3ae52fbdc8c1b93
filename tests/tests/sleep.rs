//! Sleep, as logind tells of it.

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::logind::{Inhibitor, Logind};
use sip_profiles_tests::registrar::{Behaviour, Registrar, Script};
use zbus::Variant;

fn alice(registrar: &Registrar, transport: &'static str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from("sip:alice@example.org")),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
        ("transport", Variant::from(transport)),
    ])
}

fn held(given: &[Inhibitor]) -> usize {
    given.iter().filter(|one| !one.is_released()).count()
}

#[tokio::test]
async fn e4_sleep_leaves_bindings_and_waking_is_one_register_over_a_new_flow() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let logind = Logind::start(&bus).await;
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar, "tcp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    logind
        .until("a delay inhibitor", |given| {
            given.len() == 1 && given[0].what == "sleep" && given[0].mode == "delay" && held(given) == 1
        })
        .await;
    let before = registrar.requests();

    logind.prepare_for_sleep(true).await;
    logind.until("its release", |given| held(given) == 0).await;
    assert_eq!(registrar.requests().len(), before.len(), "nothing is sent before sleep");
    assert_eq!(client.state(id).await, "registered");

    logind.prepare_for_sleep(false).await;
    let expected = before.len() + 1;
    registrar.until("one REGISTER", |registrar| registrar.requests().len() == expected).await;
    logind.until("a new inhibitor", |given| given.len() == 2 && held(given) == 1).await;
    client.until("PropertiesChanged", "").await;
    let last = registrar.requests().pop().unwrap();
    assert_ne!(last.from, before.last().unwrap().from, "a new connection");
    assert_eq!(client.state(id).await, "registered");
    assert_eq!(registrar.bindings("sip:alice@example.org").len(), 1);
}

#[tokio::test]
async fn sleep_waits_for_an_answer_two_seconds_and_waking_does_not_wait_for_it() {
    let registrar = Registrar::start(Behaviour { passwords: [].into(), ..Behaviour::default() }).await;
    let bus = Bus::start(Options::default());
    let logind = Logind::start(&bus).await;
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar, "tcp")).await.unwrap();
    registrar.next([Script::Silence]);
    client.enable(id, Dict::new()).await.unwrap();
    registrar.until("the first REGISTER", |registrar| registrar.requests().len() == 1).await;
    logind.until("an inhibitor", |given| held(given) == 1).await;

    let told = std::time::Instant::now();
    logind.prepare_for_sleep(true).await;
    logind.until("its release", |given| held(given) == 0).await;
    let delay = told.elapsed().as_secs_f64();
    assert!((1.9..3.0).contains(&delay), "sleep was put off for {delay} s");
    logind.prepare_for_sleep(false).await;
    client.until("ProfileStateChanged", "registering -> registered").await;
    assert_eq!(registrar.requests().len(), 2, "{}", registrar.transcript());
}

#[tokio::test]
async fn a_stranger_cannot_send_the_machine_to_sleep() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let logind = Logind::start(&bus).await;
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar, "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    logind.until("an inhibitor", |given| held(given) == 1).await;
    let before = registrar.requests().len();
    let (path, interface) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
    for destination in [None, Some("org.sipprofiles")] {
        for start in [true, false] {
            let sent = client.connection.emit_signal(destination, path, interface, "PrepareForSleep", &start);
            sent.await.unwrap();
        }
    }
    // The service has read the signals once it answers.
    assert_eq!(client.state(id).await, "registered");
    logind.until("nothing", |given| given.len() == 1 && held(given) == 1).await;
    assert_eq!(registrar.requests().len(), before);
}
