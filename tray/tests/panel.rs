//! What a panel shows, and what its clicks do.

mod rig;

use std::fs;
use std::time::Duration;

use rig::notices::Notices;
use rig::panel::Panel;
use rig::service::Service;
use rig::{Desktop, files_below, until};
use zbus::Variant;

#[tokio::test]
async fn six_icons_and_the_summary_in_every_place() {
    let desktop = Desktop::start();
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.icon("no-service").await;
    panel.row("SIP: service not running").await;

    let service = Service::start(&desktop, &["Home", "Work"]).await;
    panel.icon("off").await;
    service.state(1, "registering", "").await;
    panel.icon("connecting").await;
    service.state(1, "registered", "").await;
    panel.icon("registered").await;
    service.state(2, "waiting", "backoff").await;
    panel.icon("partly").await;
    assert_eq!(panel.text("Status").await, "Active");
    service.fail(2, "Registration.Unauthorized", "sip.example.org refuses the password.").await;
    panel.icon("error").await;

    let summary = "SIP: 1 of 2 registered, Work failed";
    let row = panel.row(summary).await;
    assert!(!row.enabled, "it is there to be read");
    assert_eq!(panel.text("Title").await, summary);
    let lines = "Home – registered\nWork – wrong password";
    assert_eq!(panel.tooltip().await, (summary.into(), lines.into()));
    assert_eq!(panel.text("Status").await, "NeedsAttention");

    service.vanish().await;
    panel.icon("no-service").await;
}

#[tokio::test]
async fn icons_are_written_where_they_are_not_installed() {
    let desktop = Desktop::start();
    let panel = Panel::start(&desktop).await;
    let applet = desktop.applet();
    let folder = desktop.path("run/sip-profiles-tray/icons");
    // The parent of `hicolor`.
    assert_eq!(panel.text("IconThemePath").await, folder.display().to_string());
    let file = folder.join("hicolor/symbolic/status/sip-profiles-error-symbolic.svg");
    assert!(file.is_file(), "{:?}", files_below(&folder));
    drop(applet);

    let desktop = Desktop::start();
    let installed = desktop.path("data/icons/hicolor/scalable/status");
    fs::create_dir_all(&installed).expect("our own folder");
    for file in files_below(&folder.join("hicolor/scalable/status")) {
        fs::copy(&file, installed.join(file.file_name().expect("a file"))).expect("our own folder");
    }
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    assert_eq!(panel.text("IconThemePath").await, "");
}

#[tokio::test]
async fn a_click_takes_the_hold_and_another_gives_it_back() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home", "Work"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    assert!(!panel.row("Home – off").await.checked);
    panel.click("Home – off").await;
    service.called("Enable 1").await;
    panel.marked("Home – registered", true).await;
    panel.marked("Work – off", false).await;

    service.set(1, &[("Users", Variant::from(2u32))]).await;
    panel.marked("Home – registered for 2 programs", true).await;
    panel.click("Home – registered for 2 programs").await;
    service.called("Disable 1").await;
    panel.marked("Home – off", false).await;
}

#[tokio::test]
async fn a_refused_hold_is_unchecked_again_and_told() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.row("Home – off").await;
    service.refuse("Past 64 holds of one connection.");
    panel.click("Home – off").await;
    let notice = notices.one("Home").await;
    assert_eq!(notice.body, "Past 64 holds of one connection.");
    panel.marked("Home – off", false).await;
}

#[tokio::test]
async fn one_that_registers_by_itself_is_turned_off_after_one_question() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    service.set_silently(1, &[("AutoRegister", true.into()), ("State", "registered".into())]);
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.marked("Home – registered by itself", true).await;
    panel.click("Home – registered by itself").await;
    let notice = notices.one("Turn off automatic registration of Home?").await;
    assert_eq!(notice.actions, ["turn-off", "keep"]);
    // It is still registered, and says so.
    panel.marked("Home – registered by itself", true).await;
    panel.click("Turn off automatic registration of Home").await;
    service.called("Update 1 auto-register=OwnedVariant(Bool(false))").await;
    notices.closed(notice.id).await;
}

#[tokio::test]
async fn the_default_account_is_chosen_in_its_sub_menu() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home", "Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    panel.row("Home – off").await;
    let marks = async || {
        let menu = panel.row("Default account").await.rows;
        menu.into_iter().map(|row| (row.label, row.checked)).collect::<Vec<_>>()
    };
    assert_eq!(marks().await, [("Home".into(), true), ("Work".into(), false)]);
    let work = panel.row("Default account").await.rows[1].clone();
    panel.click_row(&work).await;
    service.called("SetDefaultProfile 2").await;
    until("the mark moves", async || marks().await == [("Home".into(), false), ("Work".into(), true)]).await;

    service.refuse("Only root may see it.");
    let home = panel.row("Default account").await.rows[0].clone();
    panel.click_row(&home).await;
    let notice = notices.one("Home").await;
    assert_eq!(notice.body, "Only root may see it.");
    until("the mark is back", async || marks().await == [("Home".into(), false), ("Work".into(), true)])
        .await;
}

#[tokio::test]
async fn retry_now_tries_what_is_wanted() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home", "Work", "Test"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    for name in ["Home", "Work"] {
        panel.click(&format!("{name} – off")).await;
        panel.row(&format!("{name} – registered")).await;
    }
    until("there is nothing to retry", async || !panel.row("Retry now").await.enabled).await;
    service.state(1, "waiting", "network").await;
    service.fail(2, "Registration.Forbidden", "sip.example.org forbids it.").await;
    panel.row("Work – refused by the server").await;
    panel.row("Home – waiting for the network").await;
    service.forget_calls();
    panel.click("Retry now").await;
    service.called("Refresh 1").await;
    service.called("Enable 2").await;
    assert!(!service.calls().iter().any(|call| call.ends_with(" 3")), "nobody wants Test");
}

#[tokio::test]
async fn names_are_shown_as_they_are() {
    let desktop = Desktop::start();
    let _service = Service::start(&desktop, &["a_b & <i>c</i>", "בית", "Home", "Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.row("a__b & <i>c</i> – off").await;
    panel.row("\u{200e}\u{2068}בית\u{2069} – off").await;
    panel.row("Home (3@example.org) – off").await;
    panel.row("Home (4@example.org) – off").await;
    let (_, text) = panel.tooltip().await;
    assert!(text.starts_with("a_b &amp; &lt;i&gt;c&lt;/i&gt; – off\n"), "{text}");
}

#[tokio::test]
async fn two_hundred_profiles() {
    let desktop = Desktop::start();
    let names: Vec<String> = (1..=200).map(|number| format!("P{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let service = Service::start(&desktop, &names).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.click("P200 – off").await;
    service.called("Enable 200").await;
    panel.marked("P200 – registered", true).await;
    let (_, text) = panel.tooltip().await;
    assert!(text.ends_with("and 188 more"), "{text}");
}

/// A menu that is open keeps its rows: what comes and goes is only seen or not.
#[tokio::test]
async fn states_change_labels_and_never_the_skeleton() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.row("Home – off").await;
    let ids = async || panel.menu().await.iter().map(|row| row.id).collect::<Vec<_>>();
    let before = ids().await;
    service.fail(1, "Registration.Unauthorized", "It refuses the password.").await;
    panel.row("Enter password for Home…").await;
    assert_eq!(ids().await, before);
    service.vanish().await;
    panel.icon("no-service").await;
    assert_eq!(ids().await, before);
}

#[tokio::test]
async fn a_late_panel_and_a_killed_one() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let notices = Notices::start(&desktop).await;
    let _applet = desktop.applet();
    let bus = zbus::fdo::DBusProxy::new(&service.connection).await.expect("the bus");
    until("the applet is there", async || {
        let name = "org.sipprofiles.Tray".try_into().expect("a name");
        bus.name_has_owner(name).await.expect("an answer")
    })
    .await;
    let first = Panel::start(&desktop).await;
    first.row("Home – off").await;
    first.kill().await;
    let second = Panel::start(&desktop).await;
    second.row("Home – off").await;
    assert_eq!(notices.all().len(), 0, "it was only late");
}

/// A panel that comes between the item's question and its look at the bus: the question has failed, and no news follow.
/// And one that has its name before it has its object.
#[tokio::test]
async fn a_panel_that_is_there_a_moment_too_late_is_asked_again() {
    let desktop = Desktop::start();
    let _service = Service::start(&desktop, &["Home"]).await;
    let not_yet = zbus::fdo::Error::ServiceUnknown(String::from("not yet"));
    let no_object = || zbus::fdo::Error::UnknownObject(String::from("not yet"));
    let first = Panel::refusing(&desktop, vec![not_yet]).await;
    let _applet = desktop.applet();
    first.row("Home – off").await;
    first.kill().await;
    let second = Panel::refusing(&desktop, vec![no_object()]).await;
    second.row("Home – off").await;
    assert_eq!(second.registrations(), 1);
}

/// It holds up the icon, and nothing else.
#[tokio::test]
async fn a_panel_that_hangs() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let notices = Notices::start(&desktop).await;
    let first = Panel::start(&desktop).await;
    let mut applet = desktop.applet();
    first.row("Home – off").await;
    first.kill().await;
    let second = Panel::hanging(&desktop).await;
    second.item().await;
    service.state(1, "registering", "").await;
    // The icon would be changed by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    service.fail(1, "Registration.Forbidden", "It is forbidden.").await;
    notices.one("Home – refused by the server").await;
    applet.end().await;
}

#[tokio::test]
async fn without_a_tray_there_is_one_hint_and_the_rest_works() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work"]).await;
    let notices = Notices::start(&desktop).await;
    let _applet = desktop.applet_with(&["--patience", "0.2"]);
    let hint = notices.one("no place in your panel").await;
    assert_eq!(hint.urgency, 0);
    service.called("RegisterSecretAgent /org/sipprofiles/agent").await;
    service.state(1, "registering", "").await;
    service.fail(1, "Registration.Forbidden", "It is forbidden.").await;
    notices.one("Work").await;
    assert_eq!(notices.all().len(), 2);
}

#[tokio::test]
async fn a_second_start_says_so_and_ends_well() {
    let desktop = Desktop::start();
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.item().await;
    let second = desktop.command().output().expect("it runs");
    assert!(second.status.success());
    assert!(String::from_utf8_lossy(&second.stdout).contains("running already"));
    assert_eq!(panel.registrations(), 1);
}

/// A timer that goes round while nothing happens would keep laptops awake.
#[tokio::test]
async fn idle_means_asleep() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Home"]).await;
    let panel = Panel::start(&desktop).await;
    let applet = desktop.applet();
    service.state(1, "registered", "").await;
    panel.icon("registered").await;
    let wakes = || {
        let status = fs::read_to_string(format!("/proc/{}/status", applet.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).expect("a number")
    };
    // What the last news caused may still be going on.
    let mut before = 0;
    until("it settles", async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        std::mem::replace(&mut before, wakes()) == before
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(wakes(), before);
}

#[tokio::test]
async fn quit_ends_it() {
    let desktop = Desktop::start();
    let panel = Panel::start(&desktop).await;
    let mut applet = desktop.applet();
    panel.click("Quit applet").await;
    assert!(applet.ended().await.success());
}
