//! The service comes, goes, and comes back; wishes outlive both.

mod rig;

use rig::notices::Notices;
use rig::panel::Panel;
use rig::service::Service;
use rig::{Desktop, until};

#[tokio::test]
async fn back_again_the_agent_is_first_then_the_holds_then_all_is_read() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home", "Work"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    for name in ["Work", "Home"] {
        panel.click(&format!("{name} – off")).await;
        panel.row(&format!("{name} – registered")).await;
    }
    panel.icon("registered").await;

    service.vanish().await;
    panel.icon("no-service").await;
    // What the person wants is still seen, the state is not: nobody knows it.
    assert!(panel.row("Home").await.checked);
    service.forget_calls();
    for id in [1, 2] {
        service.set_silently(id, &[("State", "unregistered".into()), ("Users", 0u32.into())]);
    }
    service.appear().await;
    panel.icon("registered").await;
    let expected =
        ["RegisterSecretAgent /org/sipprofiles/agent", "Enable 1", "Enable 2", "GetManagedObjects"];
    assert_eq!(service.calls(), expected);
}

#[tokio::test]
async fn wishes_are_remembered_across_logins() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home", "Work"]).await;
    let panel = Panel::start(&desktop).await;
    let mut applet = desktop.applet();
    panel.click("Work – off").await;
    panel.marked("Work – registered", true).await;
    applet.end().await;
    assert_eq!(desktop.read("state/sip-profiles/applet-session.json"), r#"{"wanted":[2]}"#);
    drop(panel);

    service.forget_calls();
    service.set_silently(2, &[("State", "unregistered".into())]);
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    service.called("Enable 2").await;
    panel.marked("Work – registered", true).await;
    panel.marked("Home – off", false).await;
}

/// The tests may be root's, whom no folder refuses: a folder stands where the file should be.
#[tokio::test]
async fn wishes_that_cannot_be_saved_are_told() {
    let desktop = Desktop::start();
    let file = desktop.path("state/sip-profiles/applet-session.json");
    std::fs::create_dir_all(&file).expect("our own folder");
    let _service = Service::start(&desktop, &["Home"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.click("Home – off").await;
    panel.marked("Home – registered", true).await;
    let notice = notices.one("SIP accounts: that did not work").await;
    assert!(notice.body.contains(&file.display().to_string()), "{}", notice.body);
}

#[tokio::test]
async fn wishes_that_cannot_be_read_are_told() {
    let desktop = Desktop::start();
    let folder = desktop.path("state/sip-profiles");
    std::fs::create_dir_all(&folder).expect("our own folder");
    std::fs::write(folder.join("applet-session.json"), r#"{"wanted":[1,"#).expect("our own folder");
    let _service = Service::start(&desktop, &["Home"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    let notice = notices.one("SIP accounts: that did not work").await;
    assert!(
        notice.body.contains("applet-session.json") && notice.body.contains("on again"),
        "{}",
        notice.body
    );
    panel.marked("Home – off", false).await;
}

#[tokio::test]
async fn a_profile_that_is_gone_is_not_wished_any_more() {
    let desktop = Desktop::start();
    let folder = desktop.path("state/sip-profiles");
    std::fs::create_dir_all(&folder).expect("our own folder");
    std::fs::write(folder.join("applet-session.json"), r#"{"wanted":[1,7]}"#).expect("our own folder");
    let _service = Service::start(&desktop, &["Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.marked("Home – registered", true).await;
    until("7 is forgotten", async || {
        desktop.read("state/sip-profiles/applet-session.json") == r#"{"wanted":[1]}"#
    })
    .await;
}

#[tokio::test]
async fn force_disable_unchecks_and_other_settings_try_again() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.click("Home – off").await;
    panel.marked("Home – registered", true).await;
    service.fail(1, "Registration.Unauthorized", "It refuses the password.").await;
    panel.marked("Home – wrong password", true).await;
    service.forget_calls();
    service.signal("ProfileUpdated", 1).await;
    service.called("Enable 1").await;
    panel.marked("Home – registered", true).await;

    service.signal("ProfileForciblyDisabled", 1).await;
    service.state(1, "unregistered", "").await;
    panel.marked("Home – off", false).await;
}

/// Signals of others say nothing, whatever they look like.
#[tokio::test]
async fn only_the_service_is_believed() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.click("Home – off").await;
    panel.marked("Home – registered", true).await;
    let stranger = desktop.connect().await;
    let applet = service.agent();
    let path = zbus::ObjectPath::try_from("/org/sipprofiles/profile/1").expect("a path");
    let body = (1u32, path);
    let interface = "org.sipprofiles.Registry1";
    let member = "ProfileForciblyDisabled";
    let sent =
        stranger.emit_signal(Some(applet.as_str()), "/org/sipprofiles", interface, member, &body).await;
    sent.expect("the bus takes it");
    // A change after it is seen, and so it was looked at.
    let ping =
        stranger.call_method(Some(applet.as_str()), "/", Some("org.freedesktop.DBus.Peer"), "Ping", &());
    ping.await.expect("it answers");
    service.set(1, &[("Users", 2u32.into())]).await;
    panel.marked("Home – registered for 2 programs", true).await;
}

#[tokio::test]
async fn without_the_flag_the_service_is_on_the_system_bus() {
    let desktop = Desktop::start();
    let system = Desktop::start();
    let service = Service::start(&system, &["Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet_of(&system);
    panel.click("Home – off").await;
    panel.marked("Home – registered", true).await;
    service.called("Enable 1").await;
    assert_eq!(desktop.read("state/sip-profiles/applet.json"), r#"{"wanted":[1]}"#);
}
