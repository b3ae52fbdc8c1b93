//! When a person is told. The thirty seconds are the model's tests' matter.

mod rig;

use rig::notices::Notices;
use rig::panel::Panel;
use rig::service::Service;
use rig::{Desktop, until};

#[tokio::test]
async fn a_refused_password_is_told_at_once_and_its_end_quietly() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.click("Work – off").await;
    panel.row("Work – registered").await;
    service.state(1, "registering", "").await;
    let message = "<sip.example.org> refuses the password of alice; set the right password or auth-user.";
    service.fail(1, "Registration.Unauthorized", message).await;
    let first = notices.one("Work – wrong password").await;
    let body = "&lt;sip.example.org&gt; refuses the password of alice. Enter the right password, or change the account.";
    assert_eq!(first.body, body, "one advice, and none that names settings");
    assert_eq!(first.actions, ["retry", "edit", "password"]);
    assert_eq!((first.replaces, first.urgency), (0, 1));

    service.forget_calls();
    notices.press(first.id, "retry", "").await;
    service.called("Enable 1").await;
    let last = notices.one("Work is registered again").await;
    assert_eq!((last.replaces, last.urgency), (first.id, 0));
    assert_eq!(notices.all().len(), 2);
}

/// The next server counts from the start: those numbers are other programs'.
#[tokio::test]
async fn a_server_that_is_started_anew_is_not_given_the_numbers_of_the_last() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work", "Home"]).await;
    let (panel, first) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.row("Work – off").await;
    for id in [1, 2] {
        service.state(id, "registering", "").await;
        service.fail(id, "Registration.Forbidden", "It is forbidden.").await;
    }
    let old = first.one("Home – refused by the server").await;
    first.kill().await;
    let second = Notices::start(&desktop).await;
    service.state(1, "registered", "").await;
    assert_eq!(second.one("Work is registered again").await.replaces, 0);
    service.forget_calls();
    // Another program's notification has that number by now.
    second.press(old.id, "retry", "").await;
    service.state(2, "unregistered", "").await;
    panel.row("Home – off").await;
    assert_eq!(service.calls(), Vec::<String>::new());
    assert_eq!(second.closings(), []);
}

#[tokio::test]
async fn a_server_that_is_late_is_told_what_is_still_true() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work", "Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.row("Work – off").await;
    for id in [1, 2] {
        service.state(id, "registering", "").await;
        service.fail(id, "Registration.Forbidden", "It is forbidden.").await;
    }
    panel.row("Home – refused by the server").await;
    service.state(2, "registered", "").await;
    panel.row("Home – registered").await;
    let notices = Notices::start(&desktop).await;
    notices.one("Work – refused by the server").await;
    service.state(1, "registered", "").await;
    notices.one("Work is registered again").await;
    assert_eq!(notices.all().len(), 2, "nobody knew of Home's trouble");
}

#[tokio::test]
async fn a_wait_is_told_when_it_is_long() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work", "Home"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet_with(&["--patience", "0.5"]);
    panel.row("Work – off").await;
    service.state(1, "waiting", "network").await;
    let notice = notices.one("Work – waiting for the network").await;
    assert!(notice.body.contains("no route to the server"), "{}", notice.body);
    assert_eq!(notice.actions, ["retry", "edit"]);
    assert_eq!(notices.all().len(), 1);

    // Settings are called as in the account's window.
    let message = "h: the server does not answer; check registrar, outbound-proxy and transport.";
    service.trouble(2, ("waiting", "backoff"), "Registration.Timeout", message).await;
    let notice = notices.one("Home – no answer").await;
    assert!(notice.body.contains("check “Registrar”, “Outbound proxy” and “Transport”."), "{}", notice.body);
}

#[tokio::test]
async fn the_edit_button_opens_the_editor_with_its_token() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", "echo \"$XDG_ACTIVATION_TOKEN $*\" > $RIG/edited\n");
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.row("Work – off").await;
    service.state(1, "registering", "").await;
    service.fail(1, "Registration.UnknownUser", "Nobody has that address.").await;
    let notice = notices.one("Work – unknown to the server").await;
    notices.press(notice.id, "edit", "token-1").await;
    let expected = "token-1 --session edit /org/sipprofiles/profile/1\n";
    until("the editor runs", async || desktop.read("edited") == expected).await;

    // The same from the menu.
    panel.token("token-2").await;
    panel.click("Add account…").await;
    until("the editor runs", async || desktop.read("edited") == "token-2 --session add\n").await;
    let work = panel.row("Edit account").await.rows[0].clone();
    panel.click_row(&work).await;
    let expected = " --session edit /org/sipprofiles/profile/1\n";
    until("the editor runs", async || desktop.read("edited") == expected).await;
}

#[tokio::test]
async fn a_missing_editor_is_told() {
    let desktop = Desktop::start();
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.click("Add account…").await;
    let notice = notices.one("SIP accounts").await;
    assert!(notice.body.contains("sip-profiles-editor"), "{}", notice.body);
}

#[tokio::test]
async fn a_server_without_buttons_or_markup_gets_none() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start_with(&desktop, &["body"]).await);
    let _applet = desktop.applet();
    panel.row("Work – off").await;
    service.state(1, "registering", "").await;
    service.fail(1, "Registration.Forbidden", "<x> forbids it.").await;
    let notice = notices.one("Work").await;
    assert!(notice.actions.is_empty());
    assert!(notice.body.starts_with("<x> forbids it."), "{}", notice.body);
}
