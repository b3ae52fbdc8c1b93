//! The applet on a real desktop: XFCE's panel, dunst, the editor's windows, a mouse and a keyboard.

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::desktop::Desktop;
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

const ALICE: &str = "sip:alice@example.org";

async fn account(client: &Client, registrar: &Registrar, user: &str, name: &str) -> u32 {
    let settings = Dict::from([
        ("aor", Variant::from(format!("sip:{user}@example.org"))),
        ("display-name", Variant::from(name.to_owned())),
        // TCP: the end of the server is seen at once.
        ("registrar", Variant::from(format!("{};transport=tcp", registrar.address()))),
        ("transport", Variant::from("tcp")),
    ]);
    client.create(settings).await.expect("the settings are right")
}

async fn with_password(client: &Client, registrar: &Registrar, user: &str, name: &str, word: &str) -> u32 {
    let id = account(client, registrar, user, name).await;
    client.update(id, Dict::from([("password", Variant::from(word.to_owned()))]), &[]).await.expect("a password");
    id
}

#[tokio::test]
async fn a_click_in_the_menu_registers_and_the_panel_shows_it() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    with_password(&client, &registrar, "alice", "Work", "wonderland").await;
    with_password(&client, &registrar, "bob", "Home_office & <b>", "builder").await;
    let mut desktop = Desktop::start().await;
    let item = desktop.applet(&bus, &[]).await;
    item.until_icon("off").await;
    let icon = desktop.icon().await;
    let off = desktop.pixels(icon).await;

    desktop.choose(&item, "Work – off").await;
    registrar.until("the registration", |it| it.bindings(ALICE).len() == 1).await;
    item.until_icon("registered").await;
    desktop.point(400, 500).await;
    sip_profiles_tests::desktop::until("the icon is drawn anew", async || {
        let now = desktop.pixels(icon).await;
        now != off && desktop.colours(icon).await > 6
    })
    .await;
    assert_eq!(item.tooltip().await.0, "SIP: 1 of 1 registered");
    desktop.tooltip().await;

    let menu = desktop.open_menu().await;
    item.until_row("Work – registered").await;
    desktop.picture("menu", menu.grown(40)).await;
    desktop.press(&["Escape"]).await;
    desktop.choose(&item, "Work – registered").await;
    registrar.until("the de-registration", |it| it.bindings(ALICE).is_empty()).await;
    item.until_icon("off").await;
}
