//! Against a real registrar: whether bindings are there or gone, Kamailio is asked.

use rustix::process::Signal;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name};
use sip_profiles_tests::kamailio::{Dialect, Kamailio};
use zbus::Variant;

fn settings(kamailio: &Kamailio, user: &str, transport: &'static str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(format!("sip:{user}@127.0.0.1"))),
        ("registrar", Variant::from(kamailio.address())),
        ("password", Variant::from(format!("secret-{user}"))),
        ("transport", Variant::from(transport)),
    ])
}

#[tokio::test]
async fn several_profiles_register_and_go_over_udp_and_tcp() {
    let kamailio = Kamailio::start(Dialect::default());
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let users = [("alice", "udp"), ("bob", "tcp"), ("carol", "auto"), ("dave", "tcp")];
    let mut ids = Vec::new();
    for (user, transport) in users {
        let id = client.create(settings(&kamailio, user, transport)).await.unwrap();
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered", "{user}");
        assert_eq!(kamailio.contacts(user), 1, "{user}");
        ids.push(id);
    }
    for ((user, _), id) in users.into_iter().zip(ids) {
        client.disable(id).await.unwrap();
        kamailio.until_contacts(user, 0).await;
    }
}

#[tokio::test]
async fn sha_256_and_423_are_understood() {
    let kamailio = Kamailio::start(Dialect { algorithm: "SHA-256", min_expires: 1800 });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let mut wanted = settings(&kamailio, "alice", "udp");
    wanted.insert("expires", Variant::from(600u32));
    let id = client.create(wanted).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(kamailio.contacts("alice"), 1);
}

#[tokio::test]
async fn l4_kill_9_of_the_service_leaves_one_binding() {
    let kamailio = Kamailio::start(Dialect::default());
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "tcp")).await.unwrap();
    client.enable_and_wait(id).await.unwrap();
    let old = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(old).await;
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    kamailio.until_contacts("alice", 1).await;
    client.disable(id).await.unwrap();
    kamailio.until_contacts("alice", 0).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_a_real_registrar() {
    let kamailio = Kamailio::start(Dialect::default());
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let mut wanted = settings(&kamailio, "alice", "udp");
    wanted.insert("password", Variant::from("wrong"));
    let id = client.create(wanted).await.unwrap();
    let result = client.enable_and_wait(id).await;
    assert_eq!(error_name(result), "org.sipprofiles.Error.Registration.Unauthorized");
    assert_eq!(kamailio.contacts("alice"), 0);
}
