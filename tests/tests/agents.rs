//! Secret agents on a bus with the shipped policy (E11).

use rustix::process::Signal;
use sip_profiles_tests::agent::{Agent, Reaction, Told};
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name, text};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::{ObjectPath, OwnedVariant, Variant};

fn alice(registrar: &Registrar, storage: &'static str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from("sip:alice@example.org")),
        ("display-name", Variant::from("Work")),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("secret-storage", Variant::from(storage)),
    ])
}

async fn rig(storage: &'static str) -> (Registrar, Bus, Client, u32) {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar, storage)).await.unwrap();
    (registrar, bus, client, id)
}

fn flag(value: &OwnedVariant) -> bool {
    matches!(&**value, Variant::Bool(true))
}

fn is_cancel(told: &[Told]) -> bool {
    told.iter().any(|told| matches!(told, Told::Cancel(_)))
}

#[tokio::test]
async fn e11_an_agent_is_asked_and_what_is_to_be_stored_is_stored() {
    let (registrar, bus, mut client, id) = rig("service").await;
    let agent = Agent::start(&bus, [Reaction::Password("wonderland", true)]).await;
    client.enable(id, Dict::new()).await.unwrap();
    client.until("ProfileStateChanged", "registering -> waiting (secret)").await;
    client.until("ProfileStateChanged", "-> registered ()").await;
    client.until("ProfileUpdated", "").await;

    let details = agent.questions().remove(0);
    let shown = |key: &str| text(&details[key]);
    assert_eq!(details.len(), 6, "{details:?}");
    assert_eq!((shown("aor").as_str(), shown("display-name").as_str()), ("sip:alice@example.org", "Work"));
    assert_eq!((shown("realm").as_str(), shown("transport").as_str()), ("test", "udp"));
    assert_eq!(shown("server"), format!("udp:{}", registrar.address()));
    assert!(!flag(&details["refused"]));
    assert_eq!(agent.told().len(), 1);

    let properties = client.properties(id).await.unwrap();
    assert!(!flag(&properties["NeedsSecret"]));
    let reply = client.profile(id, "GetSettings", &()).await.unwrap();
    let settings = reply.body().deserialize::<sip_profiles_tests::client::Map>().unwrap();
    assert!(flag(&settings["has-password"]));
    drop(agent);
    client.disable(id).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered", "from the disk");
}

#[tokio::test]
async fn e11_the_persons_no_is_an_error_and_without_an_agent_there_is_one_too() {
    let (_registrar, bus, mut client, id) = rig("service").await;
    assert_eq!(error_name(client.enable_and_wait(id).await), "org.sipprofiles.Error.NoSecret");
    client.forget();
    let agent = Agent::start(&bus, [Reaction::Cancelled, Reaction::Fails("org.example.Broken")]).await;
    for asked in 1..=2 {
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
        client.until("ErrorOccurred", "org.sipprofiles.Error.NoSecret").await;
        client.forget();
        let properties = client.properties(id).await.unwrap();
        assert_eq!(text(&properties["State"]), "unregistered");
        assert!(flag(&properties["NeedsSecret"]));
        assert_eq!(client.users(id).await, 0);
        assert_eq!(agent.told().len(), asked);
    }
}

#[tokio::test]
async fn e11_a_profile_of_the_agent_waits_for_one_and_asks_again_after_a_refusal() {
    let (registrar, bus, mut client, id) = rig("agent").await;
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
    assert_eq!(text(&client.properties(id).await.unwrap()["StateReason"]), "secret");
    assert_eq!(registrar.requests().len(), 1, "no packets while nobody answers");
    let script = [Reaction::Password("wrong", true), Reaction::Password("wonderland", true)];
    let agent = Agent::start(&bus, script).await;
    client.until("ProfileStateChanged", "-> registered ()").await;
    let refused: Vec<_> = agent.questions().iter().map(|details| flag(&details["refused"])).collect();
    assert_eq!(refused, [false, true]);
    let settings = format!("{:?}", client.profile(id, "GetSettings", &()).await.unwrap().body());
    assert!(!settings.contains("wonderland"), "{settings}");
    client.disable(id).await.unwrap();
    registrar.until("gone", |registrar| registrar.bindings("sip:alice@example.org").is_empty()).await;
    client.enable(id, Dict::new()).await.unwrap();
    agent.until("a third question", |told| told.len() == 3).await;
}

#[tokio::test]
async fn e11_a_question_that_nobody_wants_answered_is_taken_back() {
    let (_registrar, bus, client, id) = rig("agent").await;
    let agent = Agent::start(&bus, []).await;
    client.enable(id, Dict::new()).await.unwrap();
    agent.until("a question", |told| told.len() == 1).await;
    client.disable(id).await.unwrap();
    agent.until("its end", is_cancel).await;
    assert_eq!(client.state(id).await, "unregistered");
}

#[tokio::test]
async fn h9_an_agent_survives_kill_9_of_the_service() {
    let (registrar, bus, mut client, id) = rig("agent").await;
    let script = [Reaction::Password("wonderland", false), Reaction::Password("wonderland", false)];
    let agent = Agent::start(&bus, script).await;
    client.enable(id, Dict::new()).await.unwrap();
    client.until("ProfileStateChanged", "-> registered ()").await;
    let old = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(old).await;
    client.forget();
    // Any call starts the successor; what was given is not on any disk, so it asks again.
    client.users(id).await;
    agent.until("the second question", |told| told.len() == 2).await;
    client.until("ProfileStateChanged", "-> registered ()").await;
    assert_eq!(registrar.bindings("sip:alice@example.org").len(), 1);
}

#[tokio::test]
async fn strangers_cannot_ask_agents_on_a_bus_with_the_shipped_policy() {
    let (_registrar, bus, _client, id) = rig("agent").await;
    let agent = Agent::start(&bus, [Reaction::Password("wonderland", false)]).await;
    let name = agent.connection.unique_name().unwrap().to_string();
    let mut command = bus.command_as(65534, "busctl");
    let output = command
        .args(["--system", "call", &name, "/org/example/agent", "org.sipprofiles.SecretAgent1"])
        .args(["GetPassword", "oa{sv}", &format!("/org/sipprofiles/profile/{id}"), "0"])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(agent.told().is_empty());
}

#[tokio::test]
async fn agents_are_registered_as_the_contract_says() {
    let (_registrar, bus, client, _id) = rig("agent").await;
    let path = ObjectPath::try_from("/agent").unwrap();
    let unknown = Dict::from([("x", Variant::from(1u32))]);
    let result = client.root("RegisterSecretAgent", &(&path, unknown.clone())).await;
    assert_eq!(error_name(result), "org.sipprofiles.Error.InvalidSetting");
    let result = client.root("UnregisterSecretAgent", &unknown).await;
    assert_eq!(error_name(result), "org.sipprofiles.Error.InvalidSetting");
    client.root("RegisterSecretAgent", &(&path, Dict::new())).await.unwrap();
    client.root("UnregisterSecretAgent", &Dict::new()).await.unwrap();
    client.root("UnregisterSecretAgent", &Dict::new()).await.unwrap();
    drop(bus);
}
