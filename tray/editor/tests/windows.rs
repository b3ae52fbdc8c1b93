//! The windows, used by keyboard alone as people use them.

mod desktop;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use desktop::{Desktop, Running};
use sip_profiles::proxy::{ProfileProxy, RegistryProxy};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::{Connection, Variant};

const QUESTION: &str = "aor=sip:alice@example.org\ndisplay-name=Work\nrealm=example.org\nserver=sip.example.org\n\
                        transport=tls\nrefused=true\n\n";

/// `actions` of a person block; the rest of the test goes on beside them.
async fn by_hand(actions: impl FnOnce() + Send + 'static) {
    if let Err(error) = tokio::task::spawn_blocking(actions).await {
        std::panic::resume_unwind(error.into_panic());
    }
}

#[test]
fn a_password_is_answered() {
    let desktop = Desktop::start();
    let asked = desktop.editor(&["password"], QUESTION);
    desktop.enter("Password for Work");
    desktop.sees(&["The last password was refused."]);
    desktop.sees(&["password text | Password", "focused"]);
    desktop.types("wonder = land");
    desktop.press(&["alt+k"]);
    desktop.sees(&["check box | Keep this password", "checked"]);
    desktop.press(&["alt+o"]);
    let answered = asked.end();
    assert_eq!(answered.status.code(), Some(0), "{answered:?}");
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "store=true\npassword=wonder = land\n");
}

#[test]
fn enter_is_ok_and_the_password_is_not_kept_unasked() {
    let desktop = Desktop::start();
    let asked = desktop.editor(&["password"], "aor=sip:alice@example.org\n");
    desktop.enter("Password for alice@example.org");
    desktop.press(&["Return"]);
    desktop.types("x");
    desktop.press(&["Return"]);
    let answered = asked.end();
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "store=false\npassword=x\n", "{answered:?}");
}

#[test]
fn no_choice_is_offered_where_the_account_keeps_it() {
    let desktop = Desktop::start();
    let asked = desktop.editor(&["password"], "aor=sip:alice@example.org\nkept=true\n");
    desktop.enter("Password for alice@example.org");
    desktop.sees(&["It is kept for the next time."]);
    assert!(!desktop.tree().contains("Keep this password"));
    desktop.types("x");
    desktop.press(&["Return"]);
    let answered = asked.end();
    assert_eq!(String::from_utf8_lossy(&answered.stdout), "store=true\npassword=x\n", "{answered:?}");
}

/// The server chooses the realm, and must not push the field off the screen.
#[test]
fn endless_texts_leave_the_field_in_sight() {
    let desktop = Desktop::start();
    let (name, realm) = ("W".repeat(1024), "r ".repeat(2000));
    let question = format!("aor=sip:a@b\ndisplay-name={name}\nrealm={realm}\nserver=h\n\n");
    let _asked = desktop.editor(&["password"], &question);
    desktop.sees(&["password text | Password"]);
    let height = desktop.height("Password for W");
    assert!(height < 600, "{height} pixels");
}

#[test]
fn a_question_that_is_none_is_no_answer() {
    let asked = Desktop::start().editor(&["password"], "nonsense\n").end();
    assert_eq!((asked.status.code(), asked.stdout.len()), (Some(2), 0), "{asked:?}");
}

#[test]
fn escape_and_sigterm_answer_nothing() {
    let desktop = Desktop::start();
    let asked = desktop.editor(&["password"], QUESTION);
    desktop.enter("Password for Work");
    desktop.types("half a pass");
    desktop.press(&["Escape"]);
    let escaped = asked.end();
    let asked = desktop.editor(&["password"], QUESTION);
    desktop.enter("Password for Work");
    desktop.types("half a pass");
    asked.terminate();
    for ended in [escaped, asked.end()] {
        assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{ended:?}");
    }
}

#[test]
fn a_window_whose_applet_was_killed_goes() {
    let desktop = Desktop::start();
    let mut asked = desktop.editor(&["password"], QUESTION);
    desktop.enter("Password for Work");
    asked.abandon();
    assert_eq!(asked.end().status.code(), Some(1));
}

#[test]
fn the_keyboard_is_taken_only_after_a_click() {
    let desktop = Desktop::start();
    let _unasked = desktop.editor(&["password"], "display-name=Unasked\n\n");
    assert_eq!(desktop.user_time("Password for Unasked").as_deref(), Some("0"));
    let mut clicked = desktop.editor_command(&["password"]);
    clicked.env("XDG_ACTIVATION_TOKEN", "applet-1_TIME4321");
    let _clicked = Running::start(clicked, "display-name=Clicked\n\n");
    assert_eq!(desktop.user_time("Password for Clicked").as_deref(), Some("4321"));
    // A panel of X11 gives no token for a click in its menu.
    let _chosen = desktop.editor(&["password"], "display-name=Chosen\nclicked=true\n\n");
    assert_ne!(desktop.user_time("Password for Chosen").as_deref(), Some("0"));
}

async fn profile(connection: &Connection, id: u32) -> ProfileProxy<'static> {
    let path = sip_profiles::names::profile_path(id);
    ProfileProxy::builder(connection).path(path).build().await.expect("the path is one")
}

async fn create(connection: &Connection, settings: &[(&str, Variant<'_>)]) -> u32 {
    let registry = RegistryProxy::new(connection).await.expect("the service runs");
    let settings: HashMap<_, _> =
        settings.iter().map(|(key, value)| (*key, value.try_clone().expect("no file"))).collect();
    registry.create_profile(settings, HashMap::new()).await.expect("the settings are right").0
}

#[tokio::test]
async fn an_account_is_added_with_its_address_alone() {
    let open = Behaviour { passwords: BTreeMap::new(), ..Behaviour::default() };
    let registrar = Registrar::start(open).await;
    let (desktop, _connection) = Desktop::with_service().await;
    let desktop = Arc::new(desktop);
    let editor = desktop.editor(&["--session", "add"], "");
    let address = format!("alice@{}", registrar.address());
    let aor = format!("sip:{address}");
    let hands = desktop.clone();
    by_hand(move || {
        hands.enter("Add SIP account");
        hands.types(&address);
        hands.press(&["Return"]);
    })
    .await;
    registrar.until("the registration", |it| it.bindings(&aor).len() == 1).await;
    // The desktop ends with its last owner, and the service with it.
    let hands = desktop.clone();
    by_hand(move || {
        hands.sees(&["Registered. The account is saved"]);
        // The keyboard is on Close.
        hands.sees(&["push button | Close", "focused"]);
        hands.press(&["Return"]);
        assert_eq!(editor.end().status.code(), Some(0));
    })
    .await;
    registrar.until("the editor's hold to go with it", |it| it.bindings(&aor).is_empty()).await;
}

#[tokio::test]
async fn a_refused_password_is_corrected_in_place() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let (desktop, connection) = Desktop::with_service().await;
    let desktop = Arc::new(desktop);
    let _editor = desktop.editor(&["--session", "add"], "");
    let address = format!("alice@{}", registrar.address());
    let aor = format!("sip:{address}");
    let hands = desktop.clone();
    by_hand(move || {
        hands.enter("Add SIP account");
        hands.types(&address);
        hands.press(&["alt+p"]);
        hands.types("wrong");
        hands.press(&["Return"]);
        hands.sees(&["refuses the password of alice", "Correct it here"]);
        hands.sees(&["password text | Password", "focused"]);
        hands.press(&["ctrl+a"]);
        hands.types("wonderland");
        hands.press(&["Return"]);
        hands.sees(&["Registered. The account is saved"]);
    })
    .await;
    assert_eq!(registrar.bindings(&aor).len(), 1);
    let registry = RegistryProxy::new(&connection).await.unwrap();
    let profiles = registry.find_profiles(HashMap::new()).await.unwrap();
    assert_eq!(profiles.len(), 1, "the second Save changes the account, it makes no other");
}

#[tokio::test]
async fn an_error_is_shown_at_its_field_and_the_rest_stays() {
    let (desktop, connection) = Desktop::with_service().await;
    let id = create(
        &connection,
        &[
            ("aor", Variant::from("sip:alice@127.0.0.1:9")),
            ("password", Variant::from("wonderland")),
            ("x-colour", Variant::from("blue")),
        ],
    )
    .await;
    let _editor = desktop.editor(&["--session", "edit", &sip_profiles::names::profile_path(id)], "");
    let desktop = Arc::new(desktop);
    let hands = desktop.clone();
    by_hand(move || {
        hands.enter("Edit alice@127.0.0.1:9");
        hands.press(&["alt+n"]);
        hands.types("Home");
        hands.press(&["alt+a", "ctrl+a"]);
        hands.types("alice@a..b");
        hands.press(&["Return"]);
        hands.sees(&["text | SIP address", "neither a host name nor an address", "focused"]);
        hands.press(&["ctrl+a"]);
        hands.types("alice@127.0.0.1:9");
        hands.press(&["Return"]);
        hands.sees(&["Edit Home"]);
    })
    .await;
    let settings = profile(&connection, id).await.get_settings().await.unwrap();
    assert_eq!(*settings["display-name"], Variant::from("Home"));
    assert_eq!(*settings["x-colour"], Variant::from("blue"));
    assert_eq!(*settings["has-password"], Variant::from(true));
    assert_eq!(*settings["aor"], Variant::from("sip:alice@127.0.0.1:9"));
}

#[tokio::test]
async fn advanced_settings_are_reached_sent_and_blamed() {
    let (desktop, connection) = Desktop::with_service().await;
    let settings = [("aor", Variant::from("sip:alice@127.0.0.1:9")), ("expires", Variant::from(600u32))];
    let id = create(&connection, &settings).await;
    let _editor = desktop.editor(&["--session", "edit", &id.to_string()], "");
    let desktop = Arc::new(desktop);
    let hands = desktop.clone();
    by_hand(move || {
        hands.enter("Edit alice@127.0.0.1:9");
        hands.press(&["alt+v"]);
        hands.press_until(&["alt+d"], &["text | DSCP mark", "focused"]);
        hands.types("99");
        hands.press(&["alt+e", "ctrl+a", "BackSpace", "alt+h"]);
        hands.sees(&["text | Additional headers", "focused"]);
        // Enter is a new line here.
        hands.types("X-A: 1");
        hands.press(&["Return"]);
        hands.types("X-B: 2");
        hands.press(&["ctrl+Return"]);
        hands.sees(&["text | DSCP mark", "63", "focused"]);
        hands.press(&["ctrl+a"]);
        hands.types("46");
        hands.press(&["Return"]);
        hands.sees(&["push button | Close"]);
    })
    .await;
    let settings = profile(&connection, id).await.get_settings().await.unwrap();
    assert_eq!(*settings["dscp"], Variant::from(46u32));
    assert_eq!(*settings["headers"], Variant::from(vec!["X-A: 1", "X-B: 2"]));
    assert!(!settings.contains_key("expires"), "emptied: back to the default");
}

#[tokio::test]
async fn an_account_that_goes_while_it_is_edited_is_said() {
    let (desktop, connection) = Desktop::with_service().await;
    let id = create(&connection, &[("aor", Variant::from("sip:alice@127.0.0.1:9"))]).await;
    let _editor = desktop.editor(&["--session", "edit", &id.to_string()], "");
    let desktop = Arc::new(desktop);
    let hands = desktop.clone();
    by_hand(move || {
        hands.enter("Edit alice@127.0.0.1:9");
        hands.sees(&["text | SIP address", "focused"]);
    })
    .await;
    profile(&connection, id).await.remove(HashMap::new()).await.expect("nobody holds it");
    by_hand(move || {
        desktop.press(&["Return"]);
        desktop.sees(&["This account has been removed meanwhile"]);
    })
    .await;
}

#[tokio::test]
async fn a_locked_account_is_shown_only() {
    let (desktop, connection) = Desktop::with_service().await;
    let settings = [("aor", Variant::from("sip:alice@127.0.0.1:9")), ("locked", Variant::from(true))];
    let id = create(&connection, &settings).await;
    let editor = desktop.editor(&["--session", "edit", &id.to_string()], "");
    by_hand(move || {
        desktop.enter("Edit alice@127.0.0.1:9");
        desktop.sees(&["This account is locked"]);
        let tree = desktop.tree();
        let save = tree.lines().find(|line| line.contains("push button | Save")).expect("it is there");
        assert!(!save.contains("sensitive"), "{tree}");
        desktop.press(&["Escape"]);
        assert_eq!(editor.end().status.code(), Some(0));
    })
    .await;
}

#[test]
fn a_missing_service_is_said() {
    let desktop = Desktop::start();
    let editor = desktop.editor(&["--session", "edit", "7"], "");
    desktop.enter("Edit SIP account");
    desktop.sees(&["The service cannot be reached"]);
    desktop.press(&["Escape"]);
    assert_eq!(editor.end().status.code(), Some(0));
}
