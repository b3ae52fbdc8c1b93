//! Semantics, "Creating, changing, removing": U1–U7 at the wire.

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::{OwnedObjectPath, Variant};

const ALICE: &str = "sip:alice@127.0.0.1";

fn alice(registrar: &Registrar) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(ALICE)),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
    ])
}

async fn default_of(client: &Client) -> Option<String> {
    let reply = client.root("GetDefaultProfile", &()).await.ok()?;
    Some(reply.body().deserialize::<OwnedObjectPath>().unwrap().to_string())
}

#[tokio::test]
async fn u3_each_change_has_its_effect_on_the_network() {
    let (registrar, other) =
        (Registrar::start(Behaviour::default()).await, Registrar::start(Behaviour::default()).await);
    let bus = Bus::start(Options::default());
    let mut client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    client.enable_and_wait(id).await.unwrap();
    let count = || registrar.requests().len();
    let before = count();

    // The signals of a change come after its reply.
    for (key, value) in [("display-name", "Home"), ("x-colour", "red")] {
        client.forget();
        client.update(id, Dict::from([(key, Variant::from(value))]), &[]).await.unwrap();
        client.until("ProfileUpdated", "").await;
    }
    client.forget();
    client.update(id, Dict::from([("x-colour", Variant::from("red"))]), &["realm"]).await.unwrap();
    client.state(id).await;
    assert_eq!(client.members(), Vec::<String>::new(), "U3d: nothing changed, nothing is signalled");
    assert_eq!(count(), before, "U3a and U3d send nothing");

    client.update(id, Dict::from([("expires", Variant::from(600u32))]), &[]).await.unwrap();
    registrar.until("U3b: one refreshing REGISTER", |it| it.requests().len() == before + 1).await;
    assert_eq!(registrar.bindings(ALICE)[0].expires, 600);
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    assert!(!client.members().contains(&String::from("ProfileStateChanged")), "registered throughout");

    let target = other.address().to_string();
    client.update(id, Dict::from([("registrar", Variant::from(target))]), &[]).await.unwrap();
    other.until("U3c: registered at the new one", |it| it.bindings(ALICE).len() == 1).await;
    assert_eq!(registrar.bindings(ALICE), [], "U3c: de-registered at the old one");
    assert_eq!(client.users(id).await, 1, "U3c: holds kept");
}

#[tokio::test]
async fn u4_e8_bad_settings_change_nothing() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    let before = client.profile(id, "GetSettings", &()).await.unwrap();
    for (set, unset) in [
        (Dict::from([("no-such", Variant::from("x"))]), vec![]),
        (Dict::from([("expires", Variant::from(59u32)), ("realm", Variant::from("r"))]), vec![]),
        (Dict::from([("expires", Variant::from(600.0))]), vec![]),
        (Dict::from([("realm", Variant::from("r"))]), vec!["realm"]),
        (Dict::new(), vec!["aor"]),
        (Dict::new(), vec!["type"]),
        (Dict::from([("headers", Variant::from(vec!["Via: x"]))]), vec![]),
        (Dict::from([("headers", Variant::from(vec!["X: a\r\nVia: b"]))]), vec![]),
        (Dict::from([("aor", Variant::from("tel:1"))]), vec![]),
    ] {
        assert_eq!(error_name(client.update(id, set, &unset).await), "org.sipprofiles.Error.InvalidSetting");
    }
    let long = "x".repeat(1025);
    let result = client.update(id, Dict::from([("realm", Variant::from(long))]), &[]).await;
    assert_eq!(error_name(result), "org.sipprofiles.Error.LimitExceeded");
    let after = client.profile(id, "GetSettings", &()).await.unwrap();
    assert_eq!(before.body().data().bytes(), after.body().data().bytes());
    client.update(id, Dict::from([("expires", Variant::from(600i64))]), &["realm"]).await.unwrap();
}

#[tokio::test]
async fn u5_remove_of_an_auto_register_profile_is_silent_afterwards() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let mut client = Client::connect(&bus).await;
    let mut settings = alice(&registrar);
    settings.insert("auto-register", Variant::from(true));
    let id = client.create(settings).await.unwrap();
    registrar.until("U7: registered without a hold", |it| it.bindings(ALICE).len() == 1).await;
    client.until("ProfileStateChanged", "-> registered").await;
    client.forget();
    client.profile(id, "Remove", &Dict::new()).await.unwrap();
    registrar.until("the de-registration in the background", |it| it.bindings(ALICE).is_empty()).await;
    assert_eq!(error_name(client.properties(id).await), "org.freedesktop.DBus.Error.UnknownObject");
    assert_eq!(client.members(), ["InterfacesRemoved", "ProfileRemoved", "DefaultProfileChanged"]);
}

#[tokio::test]
async fn u6_the_default_is_the_first_moves_and_passes_on() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    assert_eq!(error_name(client.root("GetDefaultProfile", &()).await), "org.sipprofiles.Error.NotFound");
    for _ in 0..3 {
        client.create(alice(&registrar)).await.unwrap();
    }
    let path = |id| format!("/org/sipprofiles/profile/{id}");
    assert_eq!(default_of(&client).await, Some(path(1)));
    let third = OwnedObjectPath::try_from(path(3)).unwrap();
    client.root("SetDefaultProfile", &(third, Dict::new())).await.unwrap();
    assert_eq!(default_of(&client).await, Some(path(3)));
    client.profile(3, "Remove", &Dict::new()).await.unwrap();
    assert_eq!(default_of(&client).await, Some(path(1)));
    client.profile(1, "Remove", &Dict::new()).await.unwrap();
    client.profile(2, "Remove", &Dict::new()).await.unwrap();
    assert_eq!(default_of(&client).await, None);
    assert_eq!(client.create(alice(&registrar)).await.unwrap(), 4, "an id is never given again");
}

#[tokio::test]
async fn u7_auto_register_switched_on_and_off() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    let auto = |on: bool| Dict::from([("auto-register", Variant::from(on))]);
    client.update(id, auto(true), &[]).await.unwrap();
    registrar.until("registered at once", |it| it.bindings(ALICE).len() == 1).await;
    client.update(id, auto(false), &[]).await.unwrap();
    registrar.until("de-registered without holders", |it| it.bindings(ALICE).is_empty()).await;
    let held = client.enable_and_wait(id).await.unwrap();
    assert_eq!(held, "registered");
    let result = client.profile(id, "Remove", &Dict::new()).await;
    assert_eq!(error_name(result), "org.sipprofiles.Error.InUse");
}
