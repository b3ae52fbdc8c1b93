//! Semantics, "Clients and holds": H1–H10, at the bus and at the registrar.

use std::process::Stdio;

use rustix::process::Signal;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name};
use sip_profiles_tests::registrar::{Behaviour, Registrar, Script};
use zbus::Variant;

const ALICE: &str = "sip:alice@127.0.0.1";

fn alice(registrar: &Registrar) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(ALICE)),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
    ])
}

fn wait(seconds: u32) -> Dict<'static> {
    Dict::from([("wait", Variant::from(seconds))])
}

fn token(token: &'static str) -> Dict<'static> {
    Dict::from([("token", Variant::from(token))])
}

#[tokio::test]
async fn h1_h3_h4_h5_the_first_call_starts_the_service_and_a_hold_registers() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let mut client = Client::connect(&bus).await;
    assert_eq!(bus.service_pids(), [], "H1: nothing has to be running before");
    let id = client.create(alice(&registrar)).await.unwrap();
    assert_eq!(id, 1);
    assert_eq!(client.state(id).await, "unregistered");
    assert!(registrar.requests().is_empty(), "H3: owning and reading cause no registration");

    assert_eq!(client.enable(id, Dict::new()).await.unwrap(), "registering");
    client.until("ProfileStateChanged", "-> registered").await;
    let requests = registrar.requests();
    assert_eq!(requests.len(), 2, "{}", registrar.transcript());
    assert!(!requests[0].message.has_credentials() && requests[1].message.has_credentials());
    assert_eq!(registrar.bindings(ALICE).len(), 1);

    assert!(client.disable(id).await.unwrap());
    client.until("ProfileStateChanged", "-> unregistered").await;
    assert_eq!(registrar.bindings(ALICE), [], "H5: the last hold to go de-registers");
    let last = registrar.requests().pop().unwrap();
    assert_eq!(last.message.expires(), 0);
    assert_ne!(last.message.header("Contact"), Some("*"), "our Contact only");
    assert_eq!(registrar.requests().len(), 3, "the nonce is used again");
    assert!(!client.disable(id).await.unwrap(), "there was none to give back");
}

#[tokio::test]
async fn h2_users_counts_bus_names_not_tokens() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (one, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = one.create(alice(&registrar)).await.unwrap();
    one.enable_and_wait(id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(one.enable(id, token("second")).await.unwrap(), "registered");
    }
    assert_eq!(one.users(id).await, 1);
    other.enable(id, Dict::new()).await.unwrap();
    assert_eq!(one.users(id).await, 2);
    assert!(
        one.profile(id, "Disable", &token("second")).await.unwrap().body().deserialize::<bool>().unwrap()
    );
    assert!(
        !one.profile(id, "Disable", &token("second")).await.unwrap().body().deserialize::<bool>().unwrap()
    );
    assert_eq!(one.users(id).await, 2);
    one.disable(id).await.unwrap();
    assert_eq!(one.users(id).await, 1);
    assert_eq!(registrar.requests().len(), 2, "H4: one registration for all of them");
}

#[tokio::test]
async fn h4_enable_of_a_registered_profile_signals_nothing_but_users() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (mut one, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = one.create(alice(&registrar)).await.unwrap();
    one.enable_and_wait(id).await.unwrap();
    one.forget();
    assert_eq!(other.enable(id, Dict::new()).await.unwrap(), "registered");
    other.disable(id).await.unwrap();
    let seen = one.until("PropertiesChanged", "\"Users\"").await;
    assert!(!seen.text.contains("State"), "{seen:?}");
    one.state(id).await;
    assert_eq!(one.members(), ["PropertiesChanged", "PropertiesChanged"]);
}

#[tokio::test]
async fn h5_leave_and_the_end_of_the_name_are_the_same_as_disable() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let watcher = Client::connect(&bus).await;
    let id = watcher.create(alice(&registrar)).await.unwrap();

    let leaver = Client::connect(&bus).await;
    leaver.enable_and_wait(id).await.unwrap();
    leaver.root("Leave", &Dict::new()).await.unwrap();
    registrar.until("the de-registration after Leave", |it| it.bindings(ALICE).is_empty()).await;

    let mut program = bus
        .command("busctl")
        .args([
            "--system",
            "call",
            "org.sipprofiles",
            "/org/sipprofiles/profile/1",
            "org.sipprofiles.Profile1",
        ])
        .args(["Enable", "a{sv}", "1", "wait", "u", "10"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    registrar.until("the registration of busctl", |it| it.bindings(ALICE).len() == 1).await;
    program.wait().unwrap();
    registrar.until("the de-registration after its exit", |it| it.bindings(ALICE).is_empty()).await;
    assert_eq!(watcher.users(id).await, 0);
}

#[tokio::test]
async fn h6_one_register_in_flight_and_what_is_wanted_is_read_at_its_answer() {
    let registrar =
        Registrar::start(Behaviour { passwords: Default::default(), ..Behaviour::default() }).await;
    let bus = Bus::start(Options::default());
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    registrar.next([Script::Silence]);
    client.enable(id, Dict::new()).await.unwrap();
    registrar.until("the first REGISTER", |it| it.requests().len() == 1).await;
    client.disable(id).await.unwrap();
    registrar.until("the retransmission and the de-registration", |it| it.requests().len() == 3).await;
    client.until("ProfileStateChanged", "-> unregistered").await;
    let states: Vec<_> =
        client.signals().into_iter().filter(|one| one.member == "ProfileStateChanged").collect();
    assert!(!states.iter().any(|one| one.text.contains("-> registered")), "{states:#?}");
    assert_eq!(registrar.requests()[2].message.expires(), 0);
}

#[tokio::test]
async fn h7_signals_come_after_the_reply_and_in_order() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    client.until("DefaultProfileChanged", "").await;
    assert_eq!(client.members(), ["InterfacesAdded", "ProfileAdded", "DefaultProfileChanged"]);
    client.forget();
    client.update(id, Dict::from([("display-name", Variant::from("Home"))]), &[]).await.unwrap();
    client.until("ProfileUpdated", "").await;
    assert_eq!(client.members(), ["PropertiesChanged", "ProfileUpdated"]);
    client.forget();
    client.profile(id, "Remove", &Dict::new()).await.unwrap();
    client.until("DefaultProfileChanged", "\"/\"").await;
    assert_eq!(client.members(), ["InterfacesRemoved", "ProfileRemoved", "DefaultProfileChanged"]);
}

#[tokio::test]
async fn h8_force_disable_drops_every_hold_and_deregisters() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (mut one, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = one.create(alice(&registrar)).await.unwrap();
    one.enable_and_wait(id).await.unwrap();
    other.enable(id, Dict::new()).await.unwrap();
    one.forget();
    other.profile(id, "ForceDisable", &Dict::new()).await.unwrap();
    one.until("ProfileStateChanged", "-> unregistered").await;
    assert_eq!(one.members().iter().filter(|member| *member == "ProfileForciblyDisabled").count(), 1);
    assert_eq!(one.users(id).await, 0);
    assert_eq!(registrar.bindings(ALICE), []);
    assert!(!one.disable(id).await.unwrap());
}

#[tokio::test]
async fn h9_a_hold_outlives_kill_9_of_the_service() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (holder, reader) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = holder.create(alice(&registrar)).await.unwrap();
    holder.enable_and_wait(id).await.unwrap();
    let before = registrar.bindings(ALICE);
    let old = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(old).await;

    assert_eq!(reader.users(id).await, 1, "the successor knows the hold");
    registrar.until("the successor's REGISTER", |it| it.requests().len() >= 4).await;
    assert_eq!(reader.enable_and_wait(id).await.unwrap(), "registered");
    let after = registrar.bindings(ALICE);
    assert_eq!(after.len(), 1, "L4: replaced, not doubled");
    assert_eq!(after[0].params, before[0].params, "the instance id is kept");
    reader.disable(id).await.unwrap();
    assert!(holder.disable(id).await.unwrap(), "the hold is the holder's still");
    registrar.until("the de-registration", |it| it.bindings(ALICE).is_empty()).await;
}

#[tokio::test]
async fn h9_l4_a_holder_that_died_with_the_service_leaves_no_binding() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (holder, reader) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = holder.create(alice(&registrar)).await.unwrap();
    holder.enable_and_wait(id).await.unwrap();
    let old = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(old).await;
    holder.connection.clone().close().await.unwrap();
    drop(holder);
    assert_eq!(reader.users(id).await, 0);
    registrar.until("the successor removes the binding", |it| it.bindings(ALICE).is_empty()).await;
}

#[tokio::test]
async fn h10_a_waiting_enable_ends_as_it_should() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (client, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = client.create(alice(&registrar)).await.unwrap();
    registrar.next((0..3).map(|_| Script::Silence));
    assert_eq!(error_name(client.enable(id, wait(1)).await), "org.sipprofiles.Error.Timeout");
    assert_eq!(client.users(id).await, 1, "the hold stays");

    let waits = other.enable(id, wait(60));
    let disables = async {
        other.profile(id, "IsEnabled", &()).await.unwrap();
        other.disable(id).await.unwrap();
    };
    let (ended, ()) = tokio::join!(waits, disables);
    assert_eq!(error_name(ended), "org.sipprofiles.Error.NotEnabled");

    let waits = other.enable(id, wait(60));
    let removes = async {
        other.profile(id, "IsEnabled", &()).await.unwrap();
        client.profile(id, "Remove", &Dict::from([("force", Variant::from(true))])).await.unwrap();
    };
    let (ended, ()) = tokio::join!(waits, removes);
    assert_eq!(error_name(ended), "org.sipprofiles.Error.NotEnabled");
    for bad in [Variant::from(0u32), Variant::from(121u32), Variant::from("1")] {
        let id = client.create(alice(&registrar)).await.unwrap();
        let result = client.enable(id, Dict::from([("wait", bad)])).await;
        assert_eq!(error_name(result), "org.sipprofiles.Error.InvalidSetting");
        assert_eq!(client.users(id).await, 0, "a refused call changes nothing");
    }
}

#[tokio::test]
async fn h10_a_waiting_enable_hears_of_the_services_end() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    registrar.next((0..20).map(|_| Script::Silence));
    let waits = client.enable(id, wait(60));
    let ends = async {
        registrar.until("the REGISTER", |it| !it.requests().is_empty()).await;
        bus.signal_service(Signal::TERM);
    };
    let (ended, ()) = tokio::join!(waits, ends);
    assert_eq!(error_name(ended), "org.sipprofiles.Error.ShuttingDown");
}

#[tokio::test]
async fn h5_four_hundred_clients_that_enable_and_die_leave_no_hold() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let mut watcher = Client::connect(&bus).await;
    let id = watcher.create(alice(&registrar)).await.unwrap();
    for _ in 0..400 {
        let connection = bus.connect().await;
        let message = zbus::Message::method_call("/org/sipprofiles/profile/1", "Enable")
            .destination("org.sipprofiles")
            .interface("org.sipprofiles.Profile1")
            .build(&Dict::new())
            .unwrap();
        connection.send(&message).await.unwrap();
        connection.close().await.unwrap();
    }
    // A call behind the last death: the bus has told of it before.
    let last = Client::connect(&bus).await;
    last.connection.clone().close().await.unwrap();
    loop {
        if watcher.users(id).await == 0 {
            break;
        }
        watcher.forget();
        watcher.until("PropertiesChanged", "\"Users\"").await;
    }
    let users = watcher.profile(id, "ListUsers", &()).await.unwrap();
    assert_eq!(users.body().deserialize::<Vec<(String, u32, u32)>>().unwrap(), []);
    registrar.until("no binding is left", |it| it.bindings(ALICE).is_empty()).await;
}
