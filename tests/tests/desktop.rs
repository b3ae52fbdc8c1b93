//! The applet on a real desktop: XFCE's panel, dunst, the editor's windows, a mouse and a keyboard.

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, Map};
use sip_profiles_tests::desktop::{Desktop, until};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

const ALICE: &str = "sip:alice@example.org";

async fn rig() -> (Registrar, Bus, Client) {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    (registrar, bus, client)
}

async fn account(client: &Client, registrar: &Registrar, user: &str, name: &str) -> u32 {
    let settings = Dict::from([
        ("aor", Variant::from(format!("sip:{user}@example.org"))),
        ("display-name", Variant::from(name.to_owned())),
        // The end of a server is seen at once.
        ("transport", Variant::from("tcp")),
        ("registrar", Variant::from(registrar.address().to_string())),
    ]);
    client.create(settings).await.expect("the settings are right")
}

async fn set_password(client: &Client, id: u32, password: &'static str) {
    client.update(id, Dict::from([("password", Variant::from(password))]), &[]).await.expect("a password");
}

async fn has_password(client: &Client, id: u32) -> bool {
    let reply = client.profile(id, "GetSettings", &()).await.expect("the profile is there");
    let settings: Map = reply.body().deserialize().expect("a dictionary");
    matches!(&*settings["has-password"], Variant::Bool(true))
}

#[tokio::test]
async fn a_late_panel_shows_the_icon_and_a_click_in_its_menu_registers() {
    let (registrar, bus, client) = rig().await;
    for (user, name, password) in [("bob", "Home", "builder"), ("alice", "Work", "wonderland")] {
        let id = account(&client, &registrar, user, name).await;
        set_password(&client, id, password).await;
    }
    let other = account(&client, &registrar, "carol", "Test").await;
    let mut desktop = Desktop::without_panel().await;
    let item = desktop.applet(&bus, &[]).await;
    item.until_icon("off").await;
    desktop.panel().await;
    let icon = desktop.icon().await;
    let off = desktop.pixels(icon).await;

    desktop.choose(&item, "Work – off").await;
    registrar.until("the registration", |it| it.bindings(ALICE).len() == 1).await;
    item.until_icon("registered").await;
    until("the icon is drawn anew", async || desktop.pixels(icon).await != off).await;
    desktop.choose(&item, "Home – off").await;
    item.until_row("Home – registered").await;
    assert_eq!(item.tooltip().await.0, "SIP: 2 of 2 registered");
    desktop.tooltip().await;
    let menu = desktop.open_menu().await;
    desktop.picture("menu", menu.grown(40)).await;
    desktop.press(&["Escape"]).await;

    // Letters that menus and tooltips take for something else.
    let name = Dict::from([("display-name", Variant::from("Lab_1 & <b>"))]);
    client.update(other, name, &[]).await.expect("a name");
    item.until_row("Lab_1 & <b> – off").await;
    assert!(item.tooltip().await.1.contains("Lab_1 &amp; &lt;b&gt; – off"), "{:?}", item.tooltip().await);
    desktop.tooltip().await;
    desktop.choose(&item, "Work – registered").await;
    registrar.until("the de-registration", |it| it.bindings(ALICE).is_empty()).await;
    item.until_row("Work – off").await;
    item.until_icon("registered").await;
}

#[tokio::test]
async fn a_registrar_that_dies_is_told_on_the_screen_and_one_that_comes_back_quietly() {
    let (registrar, bus, client) = rig().await;
    // While a binding lives, an account without its registrar is still registered.
    registrar.behave(|it| it.max_expires = 5);
    let id = account(&client, &registrar, "alice", "Work").await;
    set_password(&client, id, "wonderland").await;
    let mut desktop = Desktop::start().await;
    let item = desktop.applet(&bus, &["--patience", "1"]).await;
    item.until_row("Work").await;
    desktop.choose(&item, "Work – off").await;
    item.until_icon("registered").await;
    let address = registrar.address();

    drop(registrar);
    item.until_icon("connecting").await;
    let notice = desktop.window(&["--class", "dunst"]).await;
    desktop.picture("notification", notice.grown(60)).await;
    let (title, body) = desktop.read_notice().await;
    assert_eq!(title, "Work – no answer, trying again");
    assert!(body.contains("It is tried again"), "{body}");

    let registrar = Registrar::start_at(address, Behaviour::default()).await.expect("the port is free again");
    desktop.choose(&item, "Retry now").await;
    registrar.until("the registration", |it| it.bindings(ALICE).len() == 1).await;
    item.until_icon("registered").await;
    assert_eq!(desktop.read_notice().await.0, "Work is registered again");
}

#[tokio::test]
async fn a_password_is_asked_for_typed_and_kept() {
    let (registrar, bus, client) = rig().await;
    let id = account(&client, &registrar, "alice", "Work").await;
    let mut desktop = Desktop::start().await;
    let item = desktop.applet(&bus, &[]).await;
    item.until_row("Work").await;
    desktop.choose(&item, "Work – off").await;
    desktop.window(&["--class", "dunst"]).await;
    item.until_row("Work – waiting for the password").await;
    assert_eq!(desktop.windows(&["--name", "Password for"]).await, [], "none comes unasked");

    desktop.choose(&item, "Enter password for Work…").await;
    let window = desktop.window(&["--name", "Password for Work"]).await;
    until("the notification goes", async || desktop.notice().await.is_none()).await;
    desktop.until_keyboard_is_in("Password for Work").await;
    desktop.types("wonderland").await;
    desktop.picture("password", window.grown(24)).await;
    desktop.press(&["alt+k", "Return"]).await;
    registrar.until("the registration", |it| it.bindings(ALICE).len() == 1).await;
    item.until_icon("registered").await;
    until("the password is kept", async || has_password(&client, id).await).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_right_one_typed() {
    let (registrar, bus, client) = rig().await;
    let id = account(&client, &registrar, "alice", "Work").await;
    let mut desktop = Desktop::start().await;
    let item = desktop.applet(&bus, &[]).await;
    item.until_row("Work").await;
    desktop.choose(&item, "Work – off").await;
    // The middle button of the mouse is dunst's for a notification's only button.
    let notice = desktop.window(&["--class", "dunst"]).await;
    desktop.click(notice, 2).await;
    desktop.until_keyboard_is_in("Password for Work").await;
    desktop.types("wrong").await;
    desktop.press(&["Return"]).await;
    item.until_icon("error").await;
    assert_eq!(desktop.read_notice().await.0, "Work – wrong password");
    assert!(!has_password(&client, id).await);

    desktop.choose(&item, "Enter password for Work…").await;
    desktop.until_keyboard_is_in("Password for Work").await;
    desktop.types("wonderland").await;
    desktop.press(&["Return"]).await;
    registrar.until("the registration", |it| it.bindings(ALICE).len() == 1).await;
    item.until_icon("registered").await;
    assert!(has_password(&client, id).await);
}

#[tokio::test]
async fn an_account_is_added_in_the_editor_and_held_by_the_applet() {
    let (registrar, bus, _client) = rig().await;
    let address = format!("alice@{}", registrar.address());
    let aor = format!("sip:{address}");
    let mut desktop = Desktop::start().await;
    let item = desktop.applet(&bus, &[]).await;
    item.until_row("SIP: no accounts yet").await;
    desktop.choose(&item, "Add account…").await;
    desktop.until_keyboard_is_in("Add SIP account").await;
    desktop.types(&address).await;
    desktop.press(&["alt+p"]).await;
    desktop.types("wonderland").await;
    desktop.press(&["Return"]).await;
    registrar.until("the editor's registration", |it| it.bindings(&aor).len() == 1).await;
    item.until_row(&format!("{address} – registered for 1 program")).await;
    // The keyboard is on Close once it is registered.
    until("the window closes", async || {
        desktop.press(&["Escape"]).await;
        desktop.windows(&["--name", "SIP account"]).await.is_empty()
    })
    .await;
    registrar.until("the editor's hold to go with it", |it| it.bindings(&aor).is_empty()).await;

    item.until_row(&format!("{address} – off")).await;
    desktop.choose(&item, &address).await;
    registrar.until("the applet's registration", |it| it.bindings(&aor).len() == 1).await;
    item.until_icon("registered").await;
}
