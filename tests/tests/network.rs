//! Networks that come, go and change under the service, on hosts of the test's own (E4, E6, RFC 3263).

use rustix::process::Signal;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, text};
use sip_profiles_tests::network::{Network, OFFICE, OFFICE_V6};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

fn alice(registrar: &str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from("sip:alice@example.org")),
        ("registrar", Variant::from(registrar.to_owned())),
        ("password", Variant::from("wonderland")),
    ])
}

/// The host that the newest binding of alice is at.
fn contact_host(registrar: &Registrar) -> Option<String> {
    let bindings = registrar.bindings("sip:alice@example.org");
    let contact = bindings.last()?.contact.split('@').nth(1)?.to_owned();
    contact.rsplit_once(':').map(|(host, _)| host.to_owned())
}

#[tokio::test]
async fn e4_no_route_means_no_packets_and_a_route_means_one_attempt() {
    let network = Network::new();
    let registrar = network.registrar(OFFICE, Behaviour::default());
    let bus = Bus::start(Options::on(&network));
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar.address().to_string())).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(text(&properties["StateReason"]), "network");
    assert!(format!("{:?}", properties["LastError"]).contains("no route"), "{properties:?}");

    network.laptop(&["addr", "add", "192.0.2.1/24", "dev", "cable"]);
    network.laptop(&["link", "set", "cable", "up"]);
    client.until("ProfileStateChanged", "-> registered").await;
    assert_eq!(registrar.requests().len(), 2, "{}", registrar.transcript());
}

#[tokio::test]
async fn e4_a_link_that_flaps_is_nothing_and_another_address_one_register() {
    let network = Network::connected();
    let registrar = network.registrar(OFFICE, Behaviour::default());
    let bus = Bus::start(Options::on(&network));
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar.address().to_string())).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(contact_host(&registrar).as_deref(), Some("192.0.2.1"));
    let before = registrar.requests().len();

    network.laptop(&["link", "set", "cable", "down"]);
    network.laptop(&["link", "set", "cable", "up"]);
    // Past the debounce of 2 s: that nothing happens can only be waited for.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!((registrar.requests().len(), client.state(id).await), (before, String::from("registered")));

    network.laptop(&["addr", "del", "192.0.2.1/24", "dev", "cable"]);
    network.laptop(&["addr", "add", "192.0.2.77/24", "dev", "cable"]);
    registrar
        .until("the new address", |registrar| contact_host(registrar).as_deref() == Some("192.0.2.77"))
        .await;
    assert_eq!(registrar.requests().len(), before + 1, "{}", registrar.transcript());
    assert_eq!(registrar.bindings("sip:alice@example.org").len(), 1, "one binding of ours");
    assert_eq!(client.state(id).await, "registered");
}

#[tokio::test]
async fn e4_an_address_that_goes_and_comes_back() {
    let network = Network::connected();
    let registrar = network.registrar(OFFICE, Behaviour::default());
    let bus = Bus::start(Options::on(&network));
    let mut client = Client::connect(&bus).await;
    let mut settings = alice(&registrar.address().to_string());
    settings.insert("transport", Variant::from("tcp"));
    let id = client.create(settings).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    network.laptop(&["addr", "del", "192.0.2.1/24", "dev", "cable"]);
    client.until("ProfileStateChanged", "registered -> waiting (network)").await;
    network.laptop(&["addr", "add", "192.0.2.1/24", "dev", "cable"]);
    client.until("ProfileStateChanged", "-> registered").await;
    assert_eq!(registrar.bindings("sip:alice@example.org").len(), 1, "one binding of ours");
}

#[tokio::test]
async fn e4_a_default_route_that_moves_is_one_register_from_the_new_address() {
    const FAR: &str = "198.51.100.10";
    let network = Network::connected();
    network.office(&["addr", "add", &format!("{FAR}/32"), "dev", "lo"]);
    network.laptop(&["addr", "add", "192.0.2.2/24", "dev", "cable"]);
    network.laptop(&["route", "add", "default", "via", OFFICE, "src", "192.0.2.1"]);
    let registrar = network.registrar(FAR, Behaviour::default());
    let bus = Bus::start(Options::on(&network));
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar.address().to_string())).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(contact_host(&registrar).as_deref(), Some("192.0.2.1"));
    let before = registrar.requests().len();

    network.laptop(&["route", "replace", "default", "via", OFFICE, "src", "192.0.2.2"]);
    registrar
        .until("the new address", |registrar| contact_host(registrar).as_deref() == Some("192.0.2.2"))
        .await;
    assert_eq!(registrar.requests().len(), before + 1, "{}", registrar.transcript());
    assert_eq!(registrar.bindings("sip:alice@example.org").len(), 1, "one binding of ours");
}

#[tokio::test]
async fn ipv6_alone_is_enough() {
    let network = Network::new();
    network.laptop(&["link", "set", "cable", "up"]);
    network.laptop(&["addr", "add", "2001:db8::1/64", "dev", "cable", "nodad"]);
    let registrar = network.registrar(OFFICE_V6, Behaviour::default());
    let bus = Bus::start(Options::on(&network));
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar.address().to_string())).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert_eq!(contact_host(&registrar).as_deref(), Some("[2001:db8::1]"));
}

#[tokio::test]
async fn names_lead_where_naptr_and_srv_say() {
    let mut network = Network::connected();
    let registrar = network.registrar(OFFICE, Behaviour::default());
    let port = registrar.address().port();
    let host = |name: &str| format!("--host-record={name},{OFFICE}");
    let srv = |name: &str, target: &str, port: u16, priority: u16| {
        format!("--srv-host={name},{target},{port},{priority},10")
    };
    network.serve_names(&[
        host("sip1.test"),
        format!("--host-record=both.test,{OFFICE},2001:db8::99"),
        // No address of its own; the first server has nobody at its port.
        srv("_sip._udp.only-srv.test", "sip1.test", 9, 1),
        srv("_sip._udp.only-srv.test", "sip1.test", port, 2),
        String::from("--naptr-record=naptr.test,10,10,s,SIP+D2U,,_sip._udp.nowhere.test"),
        String::from("--naptr-record=naptr.test,5,10,s,SIP+D2T,,_sip._tcp.naptr.test"),
        srv("_sip._tcp.naptr.test", "sip1.test", port, 1),
        // The target `.`: not over UDP (RFC 2782).
        String::from("--srv-host=_sip._udp.no-udp.test"),
        srv("_sip._tcp.no-udp.test", "sip1.test", port, 1),
        String::from("--srv-host=_sip._udp.no-sip.test"),
        host("no-sip.test"),
        // TLS, for `sip:` as well as for `sips:`; `sips:` takes nothing else.
        String::from("--naptr-record=secure.test,5,10,s,SIPS+D2T,,_sips._tcp.secure.test"),
        String::from("--naptr-record=secure.test,1,10,s,SIP+D2U,,_sip._udp.no-sip.test"),
        srv("_sips._tcp.secure.test", "sip1.test", port, 1),
        // A port means: no SRV.
        srv("_sip._udp.sip1.test", "sip1.test", 9, 1),
    ]);
    let bus = Bus::start(Options::on(&network));
    let client = Client::connect(&bus).await;
    let explicit = format!("sip1.test:{port}");
    // IPv6 that leads nowhere beside IPv4 that does.
    let broken_v6 = format!("sip:both.test:{port};transport=tcp");
    for (registrar_setting, server) in [
        ("only-srv.test", "udp"),
        ("naptr.test", "tcp"),
        ("no-udp.test", "tcp"),
        (explicit.as_str(), "udp"),
        (broken_v6.as_str(), "tcp"),
    ] {
        let id = client.create(alice(registrar_setting)).await.unwrap();
        let state = client.enable_and_wait(id).await.unwrap();
        let error = client.properties(id).await.unwrap()["LastError"].clone();
        assert_eq!(state, "registered", "{registrar_setting}: {error:?}");
        let registration = client.registration(id).await.unwrap();
        assert_eq!(text(&registration["server"]), format!("{server}:{OFFICE}:{port}"), "{registrar_setting}");
    }

    for name in ["nowhere.test", "no-sip.test"] {
        let id = client.create(alice(name)).await.unwrap();
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting", "{name}");
        let properties = client.properties(id).await.unwrap();
        assert_eq!(text(&properties["StateReason"]), "name", "{name}");
        assert!(format!("{:?}", properties["LastError"]).contains(name), "{properties:?}");
    }

    // The registrar speaks no TLS, so that is what LastError is about.
    for aor in ["sip:alice@secure.test", "sips:alice@secure.test"] {
        let mut settings = alice("secure.test");
        settings.insert("aor", Variant::from(aor));
        let id = client.create(settings).await.unwrap();
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting", "{aor}");
        let properties = client.properties(id).await.unwrap();
        let error = format!("{:?}", properties["LastError"]);
        assert!(error.contains("TlsProtocol") && error.contains(&format!("tls:{OFFICE}:{port}")), "{error}");
        assert_eq!(text(&properties["StateReason"]), "certificate", "{aor}");
    }
}

#[tokio::test]
async fn e3_a_name_server_that_is_not_there_or_refuses_is_waited_for() {
    let mut network = Network::connected();
    let registrar = network.registrar(OFFICE, Behaviour::default());
    let bus = Bus::start(Options::on(&network));
    let mut client = Client::connect(&bus).await;
    let name = format!("late.test:{}", registrar.address().port());
    let id = client.create(alice(&name)).await.unwrap();
    let expect = async |client: &Client, id: u32| {
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
        let properties = client.properties(id).await.unwrap();
        assert_eq!(text(&properties["StateReason"]), "backoff", "{properties:?}");
        let error = format!("{:?}", properties["LastError"]);
        assert!(error.contains("NameResolution") && error.contains("dns"), "{error}");
    };
    // Nobody is at the name server's port.
    expect(&client, id).await;
    network.serve_names(&[format!("--host-record=late.test,{OFFICE}")]);
    client.profile(id, "Refresh", &Dict::new()).await.unwrap();
    client.until("ProfileStateChanged", "-> registered").await;
    // Names of other domains this one refuses to look up: no word about whether they exist.
    let elsewhere = client.create(alice("registrar.elsewhere")).await.unwrap();
    expect(&client, elsewhere).await;
}

/// By the service that found out, or by its successor.
async fn a_name_comes_with_other_name_servers(restarted: bool) {
    let mut network = Network::connected();
    let registrar = network.registrar(OFFICE, Behaviour::default());
    network.serve_names(&[]);
    let bus = Bus::start(Options::on(&network));
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&format!("new.test:{}", registrar.address().port()))).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
    if restarted {
        let pid = bus.service_pid();
        bus.signal_service(Signal::KILL);
        bus.await_end(pid).await;
    }
    let properties = client.properties(id).await.unwrap();
    assert_eq!(text(&properties["StateReason"]), "name", "{properties:?}");
    network.serve_names(&[format!("--host-record=new.test,{OFFICE}")]);
    network.write_resolver();
    client.until("ProfileStateChanged", "-> registered").await;
}

#[tokio::test]
async fn e6_a_name_that_did_not_exist_is_asked_for_again_when_the_name_servers_change() {
    a_name_comes_with_other_name_servers(false).await;
    a_name_comes_with_other_name_servers(true).await;
}

#[tokio::test]
async fn a_name_is_looked_up_anew_whatever_its_time_to_live() {
    let mut network = Network::connected();
    let first = network.registrar(OFFICE, Behaviour::default());
    let second = network.registrar(OFFICE, Behaviour::default());
    let records = |registrar: &Registrar| {
        let port = registrar.address().port();
        [
            String::from("--local-ttl=3600"),
            format!("--srv-host=_sip._udp.moved.test,office.moved.test,{port}"),
            format!("--host-record=office.moved.test,{OFFICE}"),
        ]
    };
    network.serve_names(&records(&first));
    let bus = Bus::start(Options::on(&network));
    let client = Client::connect(&bus).await;
    let id = client.create(alice("moved.test")).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    network.serve_names(&records(&second));
    drop(first);
    client.profile(id, "Refresh", &Dict::new()).await.unwrap();
    second.until("the binding", |registrar| contact_host(registrar).is_some()).await;
    assert_eq!(text(&client.properties(id).await.unwrap()["State"]), "registered");
}
