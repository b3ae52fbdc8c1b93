//! The contract, member by member: what is served, and how what does not fit is refused.

use sip_profiles::xml;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name};
use zbus::{OwnedObjectPath, Variant};

const INVALID_SETTING: &str = "org.sipprofiles.Error.InvalidSetting";
const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";

async fn with_profile() -> (Bus, Client, u32) {
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(Dict::from([("aor", Variant::from("alice@example.org"))])).await.unwrap();
    (bus, client, id)
}

async fn introspect(client: &Client, path: &str) -> String {
    let interface = "org.freedesktop.DBus.Introspectable";
    let reply = client.call_at("org.sipprofiles", path, interface, "Introspect", &()).await.unwrap();
    reply.body().deserialize().unwrap()
}

#[tokio::test]
async fn the_committed_xml_is_what_is_served() {
    let (_bus, client, id) = with_profile().await;
    let root = introspect(&client, "/org/sipprofiles").await;
    let profile = introspect(&client, &format!("/org/sipprofiles/profile/{id}")).await;
    let element = |document: &'static str| {
        let start = document.find("<interface").unwrap();
        document[start..document.find("</interface>").unwrap()].to_owned()
    };
    assert!(root.contains(&element(xml::REGISTRY)));
    assert!(profile.contains(&element(xml::PROFILE)));
    assert!(root.contains("org.freedesktop.DBus.ObjectManager"));
    assert!(introspect(&client, "/org/sipprofiles/profile").await.contains("<node name=\"1\"/>"));
}

#[tokio::test]
async fn an_unknown_option_is_an_invalid_setting() {
    let (_bus, client, id) = with_profile().await;
    let odd = || Dict::from([("odd", Variant::from(1u32))]);
    for member in ["Enable", "Disable", "Refresh", "ForceDisable", "Remove"] {
        assert_eq!(error_name(client.profile(id, member, &odd()).await), INVALID_SETTING, "{member}");
    }
    let nothing: Vec<&str> = Vec::new();
    let update = client.profile(id, "Update", &(Dict::new(), nothing, odd())).await;
    assert_eq!(error_name(update), INVALID_SETTING);
    let aor = Dict::from([("aor", Variant::from("alice@example.org"))]);
    assert_eq!(error_name(client.root("CreateProfile", &(aor, odd())).await), INVALID_SETTING);
    assert_eq!(error_name(client.root("Leave", &odd()).await), INVALID_SETTING);
    assert_eq!(error_name(client.root("FindProfiles", &odd()).await), INVALID_SETTING);
    let path = OwnedObjectPath::try_from("/org/sipprofiles/profile/1").unwrap();
    assert_eq!(error_name(client.root("SetDefaultProfile", &(path, odd())).await), INVALID_SETTING);
    assert_eq!(client.users(id).await, 0);
}

#[tokio::test]
async fn wrong_arguments_members_and_objects_have_the_usual_errors() {
    let (_bus, client, id) = with_profile().await;
    let freedesktop = |name: &str| format!("org.freedesktop.DBus.Error.{name}");
    assert_eq!(error_name(client.profile(id, "Enable", &()).await), INVALID_ARGS);
    assert_eq!(error_name(client.profile(id, "Enable", &"x").await), INVALID_ARGS);
    assert_eq!(error_name(client.profile(id, "GetSettings", &1u32).await), INVALID_ARGS);
    assert_eq!(error_name(client.root("GetProfile", &"1").await), INVALID_ARGS);
    assert_eq!(error_name(client.root("NoSuch", &()).await), freedesktop("UnknownMethod"));
    assert_eq!(error_name(client.profile(99, "GetSettings", &()).await), freedesktop("UnknownObject"));
    assert_eq!(error_name(client.root("GetProfile", &99u32).await), "org.sipprofiles.Error.NotFound");
    assert_eq!(error_name(client.root("GetTemplate", &"ims").await), "org.sipprofiles.Error.UnsupportedType");
    let ims = Dict::from([("aor", Variant::from("a@b")), ("type", Variant::from("ims"))]);
    assert_eq!(error_name(client.create(ims).await), "org.sipprofiles.Error.UnsupportedType");
    assert_eq!(error_name(client.create(Dict::new()).await), INVALID_SETTING);
    assert_eq!(
        error_name(client.profile(id, "Refresh", &Dict::new()).await),
        "org.sipprofiles.Error.NotEnabled"
    );

    let properties = "org.freedesktop.DBus.Properties";
    let path = format!("/org/sipprofiles/profile/{id}");
    let get = ("org.sipprofiles.Profile1", "NoSuch");
    let result = client.call_at("org.sipprofiles", &path, properties, "Get", &get).await;
    assert_eq!(error_name(result), freedesktop("UnknownProperty"));
    let set = ("org.sipprofiles.Profile1", "State", Variant::from("registered"));
    let result = client.call_at("org.sipprofiles", &path, properties, "Set", &set).await;
    assert_eq!(error_name(result), freedesktop("PropertyReadOnly"));
}

#[tokio::test]
async fn find_profiles_filters_by_equivalent_address_type_and_state() {
    let (_bus, client, id) = with_profile().await;
    let found = async |key: &'static str, value: &'static str| {
        let reply = client.root("FindProfiles", &Dict::from([(key, Variant::from(value))])).await.unwrap();
        reply.body().deserialize::<Vec<OwnedObjectPath>>().unwrap().len()
    };
    assert_eq!(found("aor", "sip:%61lice@EXAMPLE.org").await, 1);
    assert_eq!(found("aor", "sip:alice@example.org:5060").await, 0);
    assert_eq!(found("aor", "sip:example.org;transport=tcp").await, 0, "a URI, though of no user");
    assert_eq!((found("type", "ietf").await, found("state", "registered").await), (1, 0));
    let bad = client.root("FindProfiles", &Dict::from([("aor", Variant::from("tel:1"))])).await;
    assert_eq!(error_name(bad), INVALID_SETTING);
    assert_eq!(id, 1);
}

#[tokio::test]
async fn secrets_are_never_returned() {
    let (_bus, client, id) = with_profile().await;
    client.update(id, Dict::from([("password", Variant::from("hunter2"))]), &[]).await.unwrap();
    let settings = client.profile(id, "GetSettings", &()).await.unwrap();
    let settings = settings.body().deserialize::<sip_profiles_tests::client::Map>().unwrap();
    assert!(!settings.contains_key("password"));
    assert_eq!(*settings["has-password"], Variant::from(true));
    assert_eq!(*settings["has-tls-key"], Variant::from(false));
    assert!(!format!("{settings:?}").contains("hunter2"));
}
