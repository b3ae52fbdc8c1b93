//! Semantics, "States and errors", at the bus and at the registrar.

use rustix::process::Signal;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name, text};
use sip_profiles_tests::registrar::{Behaviour, Registrar, Script};
use zbus::Variant;

const ALICE: &str = "sip:alice@127.0.0.1";

fn alice(registrar: &Registrar, password: &'static str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(ALICE)),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from(password)),
    ])
}

fn with_credentials(registrar: &Registrar) -> usize {
    registrar.requests().iter().filter(|received| received.message.has_credentials()).count()
}

#[tokio::test]
async fn e2_a_wrong_password_is_sent_once_and_drops_every_hold() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (mut one, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = one.create(alice(&registrar, "wrong")).await.unwrap();
    // The first answer comes to the retransmission: both hold by then.
    registrar.next([Script::Silence]);
    other.enable(id, Dict::new()).await.unwrap();
    let result = one.enable_and_wait(id).await;
    assert_eq!(error_name(result), "org.sipprofiles.Error.Registration.Unauthorized");
    let error = one.until("ErrorOccurred", "").await;
    assert!(error.text.contains("org.sipprofiles.Error.Registration.Unauthorized"), "{error:?}");
    assert!(error.text.contains("I32(401)"), "{error:?}");
    let members = one.members();
    assert_eq!(members.iter().filter(|member| *member == "ErrorOccurred").count(), 1);
    assert_eq!(members[members.len() - 3..], ["PropertiesChanged", "ProfileStateChanged", "ErrorOccurred"]);
    let properties = one.properties(id).await.unwrap();
    assert_eq!(text(&properties["State"]), "unregistered");
    assert_eq!(text(&properties["StateReason"]), "error");
    assert_eq!(one.users(id).await, 0, "after an error nobody holds");
    assert!(!other.disable(id).await.unwrap());
    assert_eq!(with_credentials(&registrar), 1, "{}", registrar.transcript());
}

#[tokio::test]
async fn e9_e10_a_refused_password_is_not_tried_again_not_even_by_a_successor() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar, "wrong")).await.unwrap();
    client.enable_and_wait(id).await.unwrap_err();
    let before = registrar.requests().len();
    assert_eq!(client.enable(id, Dict::new()).await.unwrap(), "waiting");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(text(&properties["StateReason"]), "limit");
    assert_ne!(i64::try_from(properties["RetryAt"].clone()).unwrap(), 0);
    client.disable(id).await.unwrap();

    let old = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(old).await;
    assert_eq!(client.enable(id, Dict::new()).await.unwrap(), "waiting", "E9: a crash shortens no wait");
    assert_eq!(registrar.requests().len(), before, "{}", registrar.transcript());

    client.update(id, Dict::from([("password", Variant::from("wonderland"))]), &[]).await.unwrap();
    registrar.until("a changed password is tried at once", |it| it.bindings(ALICE).len() == 1).await;
}

#[tokio::test]
async fn e2_final_answers_have_their_names_and_codes() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    for (status, name) in
        [(403, "Forbidden"), (404, "UnknownUser"), (400, "Rejected"), (600, "Rejected"), (305, "Redirect")]
    {
        let id = client.create(alice(&registrar, "wonderland")).await.unwrap();
        registrar.next([Script::Status(status, Vec::new())]);
        let result = client.enable_and_wait(id).await;
        assert_eq!(error_name(result), format!("org.sipprofiles.Error.Registration.{name}"));
        let properties = client.properties(id).await.unwrap();
        let Variant::Dict(error) = &*properties["LastError"] else { panic!("LastError is no dictionary") };
        let code = error.iter().find(|(key, _)| **key == Variant::from("code")).map(|(_, value)| value);
        assert!(format!("{code:?}").contains(&status.to_string()), "{code:?}");
    }
}

#[tokio::test]
async fn e2_no_password_where_one_is_asked_for_is_no_secret() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let mut settings = alice(&registrar, "");
    settings.remove("password");
    let id = client.create(settings).await.unwrap();
    assert_eq!(error_name(client.enable_and_wait(id).await), "org.sipprofiles.Error.NoSecret");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(bool::try_from(properties["NeedsSecret"].clone()), Ok(true));
    client.update(id, Dict::from([("password", Variant::from("wonderland"))]), &[]).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(bool::try_from(properties["NeedsSecret"].clone()), Ok(false));
}

#[tokio::test]
async fn e3_a_refused_connection_is_waited_out_without_an_error() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let address = registrar.address();
    let bus = Bus::start(Options::default());
    let mut client = Client::connect(&bus).await;
    let mut settings = alice(&registrar, "wonderland");
    settings.insert("transport", Variant::from("tcp"));
    let id = client.create(settings).await.unwrap();
    drop(registrar);
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "waiting");
    let properties = client.properties(id).await.unwrap();
    assert_eq!(text(&properties["StateReason"]), "backoff");
    assert_eq!(client.users(id).await, 1, "holds stay");
    assert!(!client.members().contains(&String::from("ErrorOccurred")));

    let registrar = Registrar::start_at(address, Behaviour::default()).await.unwrap();
    client.profile(id, "Refresh", &Dict::new()).await.unwrap();
    client.until("ProfileStateChanged", "waiting -> registered").await;
    assert_eq!(registrar.bindings(ALICE).len(), 1);
}

#[tokio::test]
async fn a_423_is_obeyed_and_options_at_our_contact_is_answered() {
    let registrar = Registrar::start(Behaviour { min_expires: 1800, ..Behaviour::default() }).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let mut settings = alice(&registrar, "wonderland");
    settings.insert("expires", Variant::from(600u32));
    let id = client.create(settings).await.unwrap();
    assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
    let binding = registrar.bindings(ALICE).remove(0);
    assert_eq!(binding.expires, 1800);

    let address = binding.contact.rsplit('@').next().unwrap().parse().unwrap();
    let ask = |uri: &str| {
        format!(
            "OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKprobe\r\nFrom: <sip:r@h>;tag=1\r\n\
             To: <{uri}>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            registrar.address()
        )
    };
    registrar.send_datagram(&ask(&binding.contact), address).await;
    registrar.until("the answer to OPTIONS", |it| it.responses().len() == 1).await;
    let answer = registrar.responses().remove(0);
    assert!(answer.starts_with("SIP/2.0 200") && answer.contains("Allow:"), "{answer}");
    registrar.send_datagram(&ask(&format!("sip:nobody@{address}")), address).await;
    registrar.until("the answer to a stranger's token", |it| it.responses().len() == 2).await;
    assert!(registrar.responses()[1].starts_with("SIP/2.0 404"));
}

#[tokio::test]
async fn e8_mistakes_are_errors_of_the_call_and_change_nothing() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar, "wonderland")).await.unwrap();
    client.enable_and_wait(id).await.unwrap();
    let (before, asked) = (client.properties(id).await.unwrap(), registrar.requests().len());
    client.forget();

    let unknown = client.root("GetProfile", &(id + 1,)).await;
    assert_eq!(error_name(unknown), "org.sipprofiles.Error.NotFound");
    let bad = client.update(id, Dict::from([("expires", Variant::from(1u32))]), &[]).await;
    assert_eq!(error_name(bad), "org.sipprofiles.Error.InvalidSetting");
    let held = client.profile(id, "Remove", &(Dict::new(),)).await;
    assert_eq!(error_name(held), "org.sipprofiles.Error.InUse");

    assert_eq!(client.properties(id).await.unwrap(), before);
    assert_eq!(client.members(), Vec::<String>::new(), "no signal");
    assert_eq!(registrar.requests().len(), asked, "no packet");
}
