//! Against a real registrar: whether bindings are there or gone, Kamailio is asked.

use rustix::process::Signal;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name, text};
use sip_profiles_tests::kamailio::{Dialect, Kamailio};
use sip_profiles_tests::network::Network;
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
    let kamailio = Kamailio::start(Dialect { algorithm: "SHA-256", min_expires: 1800, ..Dialect::default() });
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

/// The settings of a profile that registers over TLS.
fn secure_settings(kamailio: &Kamailio, user: &str) -> Dict<'static> {
    let mut settings = settings(kamailio, user, "tls");
    settings.insert("registrar", Variant::from(kamailio.tls_address()));
    settings.insert("tls-ca", Variant::from(kamailio.authority().to_owned()));
    settings
}

#[tokio::test]
async fn tls_with_an_authority_of_its_own() {
    let kamailio = Kamailio::start(Dialect { tls: Some(false), ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(secure_settings(&kamailio, "alice")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(kamailio.contacts("alice"), 1);
    let registration = client.registration(id).await.unwrap();
    assert_eq!(text(&registration["server"]), format!("tls:{}", kamailio.tls_address()));
    assert!(text(&registration["tls-peer"]).contains("pin:"), "{registration:?}");
    assert!(text(&registration["contact"]).ends_with(";transport=tls"), "{registration:?}");
    client.disable(id).await.unwrap();
    kamailio.until_contacts("alice", 0).await;

    // Without the authority it is nobody whom the system trusts (E6).
    let mut stranger = secure_settings(&kamailio, "bob");
    stranger.remove("tls-ca");
    let id = client.create(stranger).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(text(&properties["StateReason"]), "certificate");
    let error = format!("{:?}", properties["LastError"]);
    assert!(error.contains("TlsUntrusted") && error.contains("tls-ca"), "{error}");
    assert_eq!(client.users(id).await, 1, "holds stay");
}

#[tokio::test]
async fn mutual_tls() {
    let kamailio = Kamailio::start(Dialect { tls: Some(true), ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let mut settings = secure_settings(&kamailio, "alice");
    let (certificate, key) = kamailio.client_certificate();
    settings.insert("tls-certificate", Variant::from(certificate.to_owned()));
    settings.insert("tls-key", Variant::from(key.to_owned()));
    let id = client.create(settings).await.unwrap();
    let state = client.enable_and_wait(id).await.unwrap();
    assert_eq!(state, "registered", "{:?}", client.properties(id).await.unwrap()["LastError"]);
    assert_eq!(kamailio.contacts("alice"), 1);

    let id = client.create(secure_settings(&kamailio, "bob")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(text(&properties["StateReason"]), "certificate");
    let error = format!("{:?}", properties["LastError"]);
    assert!(error.contains("check tls-certificate"), "{error}");
}

#[tokio::test]
async fn one_time_nonces_are_no_wrong_password() {
    let kamailio = Kamailio::start(Dialect { one_time_nonces: true, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "tcp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    client.disable(id).await.unwrap();
    kamailio.until_contacts("alice", 0).await;
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(kamailio.contacts("alice"), 1);
}

#[tokio::test]
async fn the_second_contact_past_max_contacts_waits() {
    let kamailio = Kamailio::start(Dialect { max_contacts: 1, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let first = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(first).await.unwrap(), "registered");
    let second = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(second).await.unwrap(), "waiting");
    let properties = client.properties(second).await.unwrap();
    assert!(format!("{:?}", properties["LastError"]).contains("503"), "{properties:?}");
    assert_eq!(kamailio.contacts("alice"), 1);
}

#[tokio::test]
async fn a_439_is_answered_without_outbound() {
    let kamailio = Kamailio::start(Dialect { refuses_outbound: true, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(kamailio.contacts("alice"), 1);
}

#[tokio::test]
async fn gruus_routes_and_associated_addresses_are_told() {
    let kamailio = Kamailio::start(Dialect { routes: true, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    let registration = client.registration(id).await.unwrap();
    assert!(text(&registration["public-gruu"]).contains(";gr="), "{registration:?}");
    assert!(text(&registration["temporary-gruu"]).contains(";gr"), "{registration:?}");
    let routes = format!("{:?}", registration["service-route"]);
    let place = |route: &str| routes.find(route).unwrap_or_else(|| panic!("no {route} in {routes}"));
    assert!(place("sip:127.0.0.1;lr") < place("sip:second.invalid;lr"), "{routes}");
    let aors = format!("{:?}", client.properties(id).await.unwrap()["RegisteredAors"]);
    assert!(aors.contains("sip:alice@127.0.0.1") && aors.contains("sip:other@127.0.0.1"), "{aors}");
}

#[tokio::test]
async fn a_path_is_told_and_kept() {
    let kamailio = Kamailio::start(Dialect { path: true, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    let path = format!("{:?}", client.registration(id).await.unwrap()["path"]);
    assert!(path.contains("\"sip:edge@127.0.0.1:5999;lr\""), "{path}");
    assert!(kamailio.location("alice").contains("Path: <sip:edge@127.0.0.1:5999;lr>"));
}

#[tokio::test]
async fn outbound_with_a_flow_timer_is_kept_alive() {
    let kamailio = Kamailio::start(Dialect { flow_timer: 1, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "tcp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    let registration = client.registration(id).await.unwrap();
    assert_eq!(text(&registration["keep-alive"]), "crlf", "{registration:?}");
    let location = kamailio.location("alice");
    assert!(location.contains("Reg-Id: 1"), "the registrar takes it as a flow: {location}");
    // Several pings and their pongs later it is the same flow.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(client.registration(id).await.unwrap(), registration);
    assert_eq!(kamailio.location("alice").matches("Address:").count(), 1);
}

#[tokio::test]
async fn short_grants_are_refreshed_in_time() {
    let kamailio = Kamailio::start(Dialect { min_expires: 1, max_expires: 4, ..Dialect::default() });
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    // CSeq 1 is challenged, 2 registers; each refresh is one more.
    for cseq in 3..=5 {
        kamailio.until_location("alice", &format!("CSeq: {cseq}\n")).await;
        assert_eq!(kamailio.contacts("alice"), 1);
        assert_eq!(client.state(id).await, "registered");
    }
    assert!(client.signals().iter().all(|seen| !seen.text.contains("waiting")), "{:?}", client.signals());
}

#[tokio::test]
async fn a_contact_that_the_registrar_rewrites_is_still_ours() {
    let dialect = Dialect { rewrites_contact: true, min_expires: 1, max_expires: 4, ..Dialect::default() };
    let kamailio = Kamailio::start(dialect);
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(settings(&kamailio, "alice", "udp")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    kamailio.until_location("alice", "CSeq: 4\n").await;
    assert!(kamailio.location("alice").contains("@203.0.113.9:5999"), "{}", kamailio.location("alice"));
    assert_eq!(kamailio.contacts("alice"), 1);
    let registration = client.registration(id).await.unwrap();
    let granted = i64::try_from(registration["expires-at"].clone()).unwrap()
        - i64::try_from(registration["last-confirmed"].clone()).unwrap();
    assert_eq!(granted, 4, "the grant is read from the rewritten Contact: {registration:?}");
    assert!(!format!("{:?}", registration["other-bindings"]).contains("sip:"), "{registration:?}");
    client.disable(id).await.unwrap();
    kamailio.until_contacts("alice", 0).await;
}

#[tokio::test]
async fn always_one_binding_after_kill_9_restart_and_another_address() {
    let network = Network::connected();
    for transport in ["udp", "tcp"] {
        let kamailio = Kamailio::in_office(&network, Dialect::default());
        let bus = Bus::start(Options::on(&network));
        let client = Client::connect(&bus).await;
        let id = client.create(settings(&kamailio, "alice", transport)).await.unwrap();
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
        for (signal, cseq) in [(Signal::KILL, "crash"), (Signal::USR1, "upgrade")] {
            let (old, before) = (bus.service_pid(), kamailio.location("alice"));
            bus.signal_service(signal);
            bus.await_end(old).await;
            assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered", "{cseq}");
            assert_eq!(kamailio.contacts("alice"), 1, "{transport} {cseq}: {}", kamailio.location("alice"));
            assert_ne!(kamailio.location("alice"), before, "it was confirmed");
        }
        let (from, to) = if transport == "udp" { ("1", "77") } else { ("77", "1") };
        network.laptop(&["addr", "del", &format!("192.0.2.{from}/24"), "dev", "cable"]);
        network.laptop(&["addr", "add", &format!("192.0.2.{to}/24"), "dev", "cable"]);
        kamailio.until_location("alice", &format!("@192.0.2.{to}:")).await;
        assert_eq!(client.state(id).await, "registered");
        assert_eq!(kamailio.contacts("alice"), 1, "{transport}: {}", kamailio.location("alice"));
        // SIGTERM takes it along.
        let old = bus.service_pid();
        bus.signal_service(Signal::TERM);
        bus.await_end(old).await;
        kamailio.until_contacts("alice", 0).await;
    }
}
