//! A private profile does not exist for strangers: whatever one calls, it is answered as if there were none.

use sip_profiles::xml;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name, text};
use zbus::{ObjectPath, OwnedObjectPath, Variant};

const OWNER: u32 = 1;
const STRANGER: u32 = 65534;
const DBUS: &str = "org.freedesktop.DBus";

fn secret() -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from("sip:hidden@127.0.0.1")),
        ("display-name", Variant::from("Hidden")),
        ("password", Variant::from("hunter2")),
    ])
}

fn path(id: u32) -> String {
    format!("/org/sipprofiles/profile/{id}")
}

/// An answer as text, an error by its name and sentence.
fn outcome(result: zbus::Result<zbus::Message>) -> String {
    match result {
        Ok(reply) => format!("a reply: {:?}", reply.body()),
        Err(zbus::Error::MethodError(name, text, _)) => format!("{name}: {}", text.unwrap_or_default()),
        Err(other) => format!("{other:?}"),
    }
}

fn names(document: &str, element: &str) -> Vec<String> {
    let start = format!("<{element} name=\"");
    let names = document.split(&start).skip(1).filter_map(|rest| rest.split('"').next());
    names.map(str::to_owned).collect()
}

/// All that can be called about profile `id`, and what came of it.
async fn everything_about(client: &Client, id: u32) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let (no, nothing) = (Dict::new(), Vec::<&str>::new());
    for member in names(xml::PROFILE, "method") {
        let reply = match member.as_str() {
            "IsEnabled" | "GetSettings" | "GetRegistration" | "ListUsers" => {
                client.profile(id, &member, &()).await
            }
            "Update" => client.profile(id, "Update", &(secret(), &nothing, &no)).await,
            _ => client.profile(id, &member, &no).await,
        };
        all.push((member.clone(), outcome(reply)));
        all.push((
            format!("{member} of a letter"),
            outcome(client.profile(id, &member, &'x'.to_string()).await),
        ));
    }
    all.push((String::from("nonsense"), outcome(client.profile(id, "Nonsense", &()).await)));
    let properties = "org.freedesktop.DBus.Properties";
    let at = |interface, member: &'static str, body: Vec<String>| {
        let path = path(id);
        async move {
            let service = "org.sipprofiles";
            let reply = match &body[..] {
                [] => client.call_at(service, &path, interface, member, &()).await,
                [one] => client.call_at(service, &path, interface, member, one).await,
                [one, two] => client.call_at(service, &path, interface, member, &(one, two)).await,
                [one, two, value, ..] => {
                    client.call_at(service, &path, interface, member, &(one, two, Variant::from(value))).await
                }
            };
            (format!("{member} {body:?}"), outcome(reply))
        }
    };
    for interface in
        ["org.sipprofiles.Profile1", "org.sipprofiles.Registry1", "org.freedesktop.DBus.Peer", ""]
    {
        let interface = interface.to_owned();
        all.push(at(properties, "GetAll", vec![interface.clone()]).await);
        for property in names(xml::PROFILE, "property") {
            all.push(at(properties, "Get", vec![interface.clone(), property.clone()]).await);
            all.push(at(properties, "Set", vec![interface.clone(), property, String::from("x")]).await);
        }
    }
    all.push(at("org.freedesktop.DBus.Introspectable", "Introspect", vec![]).await);
    all.push(at("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", vec![]).await);
    all.push(at("org.sipprofiles.Registry1", "GetDefaultProfile", vec![]).await);
    all.push((String::from("GetProfile"), outcome(client.root("GetProfile", &id).await)));
    let object = ObjectPath::try_from(path(id)).unwrap();
    let default = client.root("SetDefaultProfile", &(object, &no)).await;
    all.push((String::from("SetDefaultProfile"), outcome(default)));
    all
}

#[tokio::test]
async fn whatever_a_stranger_calls_is_answered_as_if_there_were_no_such_profile() {
    let bus = Bus::start(Options::default());
    let owner = Client::connect_as(&bus, OWNER).await;
    let hidden = owner.create(secret()).await.unwrap();
    owner.enable(hidden, Dict::new()).await.unwrap();
    let stranger = Client::connect_as(&bus, STRANGER).await;
    let absent = 777;
    let (of_hidden, of_absent) =
        (everything_about(&stranger, hidden).await, everything_about(&stranger, absent).await);
    assert!(of_hidden.len() > 100);
    let anonymous = |text: &str, id: u32| {
        text.replace(&path(id), "/org/sipprofiles/profile/N").replace(&format!("profile {id}."), "profile N.")
    };
    for ((call, hidden_says), (_, absent_says)) in of_hidden.iter().zip(&of_absent) {
        assert_eq!(anonymous(hidden_says, hidden), anonymous(absent_says, absent), "{call}");
        assert!(!hidden_says.starts_with("a reply"), "{call}: {hidden_says}");
    }
    assert_eq!(owner.users(hidden).await, 1, "nothing has happened to it");
    let settings = owner.profile(hidden, "GetSettings", &()).await.unwrap();
    let settings: sip_profiles_tests::client::Map = settings.body().deserialize().unwrap();
    assert_eq!(text(&settings["display-name"]), "Hidden");
}

#[tokio::test]
async fn no_list_shows_it_to_a_stranger() {
    let bus = Bus::start(Options::default());
    let owner = Client::connect_as(&bus, OWNER).await;
    owner.create(secret()).await.unwrap();
    let stranger = Client::connect_as(&bus, STRANGER).await;
    for filter in [("aor", "sip:hidden@127.0.0.1"), ("type", "ietf"), ("state", "unregistered"), ("", "")] {
        let filter: Dict<'_> = [filter]
            .into_iter()
            .filter(|(key, _)| !key.is_empty())
            .map(|(k, v)| (k, Variant::from(v)))
            .collect();
        let found = stranger.root("FindProfiles", &filter).await.unwrap();
        assert_eq!(found.body().deserialize::<Vec<OwnedObjectPath>>().unwrap(), []);
    }
    let default = stranger.root("GetDefaultProfile", &()).await;
    assert_eq!(error_name(default), "org.sipprofiles.Error.NotFound");
    let (service, root) = ("org.sipprofiles", "/org/sipprofiles");
    let manager = "org.freedesktop.DBus.ObjectManager";
    let objects = stranger.call_at(service, root, manager, "GetManagedObjects", &()).await.unwrap();
    assert_eq!(objects.body().len(), 8, "an empty dictionary");
    for path in ["/", "/org", root, "/org/sipprofiles/profile"] {
        let interface = "org.freedesktop.DBus.Introspectable";
        let reply = stranger.call_at(service, path, interface, "Introspect", &()).await.unwrap();
        assert!(!reply.body().deserialize::<String>().unwrap().contains("name=\"1\""), "{path}");
    }
    let own = stranger.create(Dict::from([("aor", Variant::from("sip:own@127.0.0.1"))])).await.unwrap();
    assert!(stranger.properties(own).await.is_ok());
    assert_eq!(error_name(owner.properties(own).await), "org.freedesktop.DBus.Error.UnknownObject");
}

#[tokio::test]
async fn no_signal_about_it_reaches_a_stranger_its_owner_and_root_hear_all() {
    let bus = Bus::start(Options::default());
    let mut owner = Client::connect_as(&bus, OWNER).await;
    let mut root = Client::connect(&bus).await;
    let stranger = Client::connect_as(&bus, STRANGER).await;
    stranger.match_all().await;
    let eavesdrop = "type='signal',eavesdrop='true'";
    let refused = stranger.call_at(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", &eavesdrop).await;
    assert!(refused.is_err(), "the bus lets only root eavesdrop");
    for client in [&owner, &root, &stranger] {
        client.root("FindProfiles", &Dict::new()).await.unwrap();
    }
    let hidden = owner.create(secret()).await.unwrap();
    owner.enable(hidden, Dict::new()).await.unwrap();
    owner.update(hidden, Dict::from([("display-name", Variant::from("Hid"))]), &[]).await.unwrap();
    owner.profile(hidden, "ForceDisable", &Dict::new()).await.unwrap();
    owner.profile(hidden, "Remove", &Dict::new()).await.unwrap();
    let about = [
        "InterfacesAdded",
        "ProfileAdded",
        "PropertiesChanged",
        "ProfileStateChanged",
        "ProfileUpdated",
        "ProfileForciblyDisabled",
        "InterfacesRemoved",
        "ProfileRemoved",
    ];
    for member in about {
        owner.until(member, "").await;
        root.until(member, "").await;
    }
    owner.until("DefaultProfileChanged", "").await;
    assert!(!root.members().contains(&String::from("DefaultProfileChanged")), "that is the owner's alone");
    stranger.root("FindProfiles", &Dict::new()).await.unwrap();
    assert_eq!(stranger.signals(), []);
}

#[tokio::test]
async fn a_shared_profile_is_there_for_everybody() {
    let bus = Bus::start(Options::default());
    let root = Client::connect(&bus).await;
    let mut stranger = Client::connect_as(&bus, STRANGER).await;
    stranger.match_all().await;
    let door = root.create_shared(Dict::from([("aor", Variant::from("sip:door@127.0.0.1"))])).await.unwrap();
    stranger.until("ProfileAdded", "").await;
    let properties = stranger.properties(door).await.unwrap();
    assert!(bool::try_from(properties["Shared"].clone()).unwrap());
    stranger.profile(door, "GetSettings", &()).await.unwrap();
    root.enable(door, Dict::new()).await.unwrap();
    stranger.until("PropertiesChanged", "").await;
    let users = stranger.profile(door, "ListUsers", &()).await.unwrap();
    let users: Vec<(String, u32, u32)> = users.body().deserialize().unwrap();
    assert_eq!(users, [], "who else holds it is root's to know");
    assert_eq!(stranger.users(door).await, 1);
}
