//! The secret agent, asked by a service, answered by programs that only look like windows.

mod rig;

use std::collections::HashMap;

use rig::notices::Notices;
use rig::panel::Panel;
use rig::service::Service;
use rig::{Applet, Desktop, PATIENCE, files_below, until};
use tokio::task::JoinHandle;
use zbus::{Connection, DBusError, ObjectPath, OwnedVariant, Variant};

const AGENT: &str = "org.sipprofiles.SecretAgent1";

/// A window that writes down what it was asked, waits for `$RIG/go`, and answers.
const WINDOW: &str = "echo run >> $RIG/runs\n\
     trap 'echo closed > $RIG/closed; exit 1' TERM\n\
     echo \"token=$XDG_ACTIVATION_TOKEN $*\" > $RIG/asked\n\
     while read -r line && [ -n \"$line\" ]; do echo \"$line\" >> $RIG/asked; done\n\
     while [ ! -e $RIG/go ]; do sleep 0.05; done\n\
     [ -s $RIG/go ] || exit 1\n\
     cat $RIG/go\n";

type Answer = Result<HashMap<String, OwnedVariant>, String>;

fn call(connection: &Connection, agent: &str, id: u32) -> JoinHandle<Answer> {
    let (connection, agent) = (connection.clone(), agent.to_owned());
    tokio::spawn(async move {
        let profile = ObjectPath::try_from(format!("/org/sipprofiles/profile/{id}")).expect("a path");
        let details = HashMap::from([
            ("aor", Variant::from("sip:1@example.org")),
            ("display-name", Variant::from("Work")),
            ("realm", Variant::from("example.org")),
            ("server", Variant::from("sip.example.org")),
            ("transport", Variant::from("tls")),
            ("refused", Variant::from(true)),
        ]);
        let body = (profile, details);
        let path = "/org/sipprofiles/agent";
        let answer = connection.call_method(Some(agent.as_str()), path, Some(AGENT), "GetPassword", &body);
        match tokio::time::timeout(PATIENCE, answer).await.expect("it answers in time") {
            Ok(reply) => Ok(reply.body().deserialize().expect("an a{sv}")),
            Err(zbus::Error::MethodError(name, text, _)) => {
                Err(format!("{name} {}", text.unwrap_or_default()))
            }
            Err(zbus::Error::FDO(error)) => Err(format!("{} {error}", error.name())),
            Err(other) => panic!("{other}"),
        }
    })
}

/// Asks as the service does.
async fn ask(service: &Service, id: u32) -> JoinHandle<Answer> {
    service.called("GetManagedObjects").await;
    call(&service.connection, &service.agent(), id)
}

async fn cancel(service: &Service, id: u32) {
    let profile = ObjectPath::try_from(format!("/org/sipprofiles/profile/{id}")).expect("a path");
    let path = "/org/sipprofiles/agent";
    let agent = service.agent();
    let call = service.connection.call_method(Some(agent.as_str()), path, Some(AGENT), "Cancel", &profile);
    call.await.expect("it is taken");
}

fn is(answer: &Answer, password: &str, store: bool) {
    let answer = answer.as_ref().expect("a password");
    assert_eq!(answer.get("password").map(|value| &**value), Some(&Variant::from(password)));
    assert_eq!(answer.get("store").map(|value| &**value), Some(&Variant::from(store)));
    assert_eq!(answer.len(), 2);
}

/// The row of the menu that opens the window of a question.
const ROW: &str = "Enter password for Work…";

/// A session whose applet was asked for a password, and that row clicked.
struct Opened {
    asked: JoinHandle<Answer>,
    applet: Applet,
    panel: Panel,
    notices: Notices,
    service: Service,
    desktop: Desktop,
}

/// The person is asked by `program`, which is that script.
async fn opened(program: &str, script: &str) -> Opened {
    let desktop = Desktop::start();
    desktop.program(program, script);
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let applet = desktop.applet();
    let asked = ask(&service, 1).await;
    panel.click(ROW).await;
    Opened { asked, applet, panel, notices, service, desktop }
}

/// A program that breaks is told of, and is not the person's no.
async fn breaks(program: &str, script: &str, says: &str) {
    let it = opened(program, script).await;
    let error = it.asked.await.expect("no panic").expect_err("no password");
    assert!(error.starts_with("org.freedesktop.DBus.Error.Failed "), "{script}: {error}");
    let notice = it.notices.one("Work: that did not work").await;
    assert!(notice.body.contains(says), "{script}: {}", notice.body);
}

#[tokio::test]
async fn a_password_is_asked_for_after_a_notice_and_answered() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", WINDOW);
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let applet = desktop.applet();
    let asked = ask(&service, 1).await;
    let again = ask(&service, 1).await;
    let notice = notices.one("Work needs its password").await;
    assert_eq!(notice.actions, ["password"]);
    panel.row(ROW).await;
    assert_eq!(desktop.read("runs"), "", "no window before somebody wants it");

    notices.press(notice.id, "password", "token-3").await;
    let expected = "token=token-3 password\naor=sip:1@example.org\ndisplay-name=Work\nrealm=example.org\n\
         server=sip.example.org\ntransport=tls\nrefused=true\n";
    until("the window is asked", async || desktop.read("asked") == expected).await;
    // The same profile again, while it is open.
    let late = ask(&service, 1).await;
    std::fs::write(desktop.path("go.new"), "store=true\npassword=t i=ger%\n").expect("our own folder");
    std::fs::rename(desktop.path("go.new"), desktop.path("go")).expect("our own folder");
    for answer in [asked, again, late] {
        is(&answer.await.expect("no panic"), "t i=ger%", true);
    }
    assert_eq!(desktop.read("runs"), "run\n");
    notices.closed(notice.id).await;

    // Nowhere but in the answer.
    let process = std::path::PathBuf::from(format!("/proc/{}", applet.pid()));
    let mut places = vec![desktop.path("log"), process.join("cmdline"), process.join("environ")];
    places.extend(files_below(&desktop.path("state")));
    for place in places {
        let text = std::fs::read(&place).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains("i=ger"), "{}", place.display());
    }
}

#[tokio::test]
async fn no_is_the_persons_own() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", WINDOW);
    std::fs::write(desktop.path("go"), "").expect("our own folder");
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, _notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    let _applet = desktop.applet();
    let asked = ask(&service, 1).await;
    panel.row(ROW).await;
    panel.click(ROW).await;
    let error = asked.await.expect("no panic").expect_err("no password");
    assert!(error.starts_with("org.sipprofiles.Error.Cancelled "), "{error}");
}

/// A crash, no display, nonsense: nobody has said no, which would be final.
#[tokio::test]
async fn a_window_that_breaks_is_not_the_persons_no() {
    for broken in ["exit 2", "kill -SEGV $$", "echo nonsense", "exit 0"] {
        breaks("sip-profiles-editor", broken, "The password window closed without an answer").await;
    }
}

#[tokio::test]
async fn cancel_closes_the_window() {
    let it = opened("sip-profiles-editor", WINDOW).await;
    let whole = "refused=true\nclicked=true\n";
    until("the window is asked", async || it.desktop.read("asked").ends_with(whole)).await;
    cancel(&it.service, 1).await;
    let error = it.asked.await.expect("no panic").expect_err("no password");
    assert!(!error.contains("Cancelled"), "the person did not say no: {error}");
    until("the window is closed", async || it.desktop.read("closed") == "closed\n").await;
    until("the row is gone", async || it.panel.find(ROW).await.is_none()).await;
}

#[tokio::test]
async fn a_question_goes_with_the_service() {
    let it = opened("sip-profiles-editor", WINDOW).await;
    until("the window is asked", async || it.desktop.read("asked").contains("refused=true")).await;
    it.service.vanish().await;
    until("the window is closed", async || it.desktop.read("closed") == "closed\n").await;
}

#[tokio::test]
async fn the_applets_end_closes_the_window() {
    let mut it = opened("sip-profiles-editor", WINDOW).await;
    until("the window is asked", async || it.desktop.read("asked").contains("refused=true")).await;
    it.applet.end().await;
    until("the window is closed", async || it.desktop.read("closed") == "closed\n").await;
}

#[tokio::test]
async fn strangers_are_refused() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", WINDOW);
    let service = Service::start(&desktop, &["Work"]).await;
    let notices = Notices::start(&desktop).await;
    let _applet = desktop.applet();
    service.called("GetManagedObjects").await;
    let stranger = desktop.connect().await;
    let error = call(&stranger, &service.agent(), 1).await.expect("no panic").expect_err("no password");
    assert!(error.starts_with("org.freedesktop.DBus.Error.AccessDenied "), "{error}");
    // Not even who was the service a moment ago.
    service.vanish().await;
    let error = call(&service.connection, &service.agent(), 1).await.expect("no panic").expect_err("none");
    assert!(error.starts_with("org.freedesktop.DBus.Error.AccessDenied "), "{error}");
    assert!(notices.all().is_empty());
}

#[tokio::test]
async fn the_window_opens_by_itself_where_a_notice_has_no_buttons() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", WINDOW);
    std::fs::write(desktop.path("go"), "store=false\npassword=tiger\n").expect("our own folder");
    let service = Service::start(&desktop, &["Work"]).await;
    let _notices = Notices::start_with(&desktop, &["body"]).await;
    let _applet = desktop.applet();
    is(&ask(&service, 1).await.await.expect("no panic"), "tiger", false);
    assert!(!desktop.read("asked").contains("clicked"), "it must not take the keyboard");
}

#[tokio::test]
async fn without_a_notification_server_it_opens_as_well() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", WINDOW);
    std::fs::write(desktop.path("go"), "store=false\npassword=tiger\n").expect("our own folder");
    let service = Service::start(&desktop, &["Work"]).await;
    let _applet = desktop.applet();
    is(&ask(&service, 1).await.await.expect("no panic"), "tiger", false);
}

const PINENTRY: &str = "echo 'OK Pleased to meet you'\n\
     while read -r line; do\n\
       echo \"$line\" >> $RIG/pinentry\n\
       case $line in\n\
         GETPIN) if [ -e $RIG/no ]; then echo 'ERR 83886179 Operation cancelled <Pinentry>'; \
                 else echo 'D 100%25 %C3%A4'; echo OK; fi;;\n\
         BYE) echo OK; exit 0;;\n\
         *) echo OK;;\n\
       esac\n\
     done\n";

#[tokio::test]
async fn pinentry_asks_where_the_editor_is_not_installed() {
    let it = opened("pinentry", PINENTRY).await;
    is(&it.asked.await.expect("no panic"), "100% ä", false);
    let spoken = it.desktop.read("pinentry");
    assert!(spoken.contains("SETDESC Password of Work (sip:1@example.org) at sip.example.org\n"), "{spoken}");
    assert!(spoken.contains("SETERROR "), "{spoken}");
    // A click on the row of the question that is answered would be none for the next one.
    until("the row is gone", async || it.panel.find(ROW).await.is_none()).await;

    std::fs::write(it.desktop.path("no"), "").expect("our own folder");
    let asked = ask(&it.service, 1).await;
    it.panel.click(ROW).await;
    let error = asked.await.expect("no panic").expect_err("no password");
    assert!(error.starts_with("org.sipprofiles.Error.Cancelled "), "{error}");
}

#[tokio::test]
async fn a_pinentry_that_breaks_or_finds_no_terminal_is_not_the_persons_no() {
    let no_terminal = "echo OK; while read -r line; do case $line in GETPIN) echo 'ERR 83918950 Inappropriate ioctl';; \
                       *) echo OK;; esac; done";
    for (broken, says) in
        [("exit 1", "without an answer"), ("echo OK", "without an answer"), (no_terminal, "83918950")]
    {
        breaks("pinentry", broken, says).await;
    }
}

#[tokio::test]
async fn a_machine_with_no_window_says_so() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &["Work"]).await;
    let (panel, notices) = (Panel::start(&desktop).await, Notices::start(&desktop).await);
    // Not even the machine's own pinentry.
    let mut command = desktop.command();
    let mut applet = command.env("PATH", desktop.path("bin")).spawn().expect("it is built");
    let asked = ask(&service, 1).await;
    panel.click(ROW).await;
    let error = asked.await.expect("no panic").expect_err("no password");
    assert!(error.contains("pinentry") && !error.contains("Cancelled"), "{error}");
    assert!(notices.one("Work: that did not work").await.body.contains("pinentry"));
    applet.kill().expect("it runs");
    applet.wait().expect("it is our child");
}

#[tokio::test]
async fn a_refused_password_is_replaced_from_the_menu() {
    let desktop = Desktop::start();
    desktop.program("sip-profiles-editor", WINDOW);
    std::fs::write(desktop.path("go"), "store=true\npassword=tiger\n").expect("our own folder");
    let service = Service::start(&desktop, &["Work"]).await;
    let panel = Panel::start(&desktop).await;
    let _applet = desktop.applet();
    panel.click("Work – off").await;
    panel.row("Work – registered").await;
    service.fail(1, "Registration.Unauthorized", "It refuses the password.").await;
    panel.row("Work – wrong password").await;
    service.forget_calls();
    panel.click(ROW).await;
    service.called("Enable 1").await;
    assert!(service.calls()[0].starts_with("Update 1 password="), "{:?}", service.calls());
    assert!(desktop.read("asked").contains("refused=true"));
}

/// `NAME DIRECTION TYPE` of each argument, and the method's name before them.
fn members(xml: &str) -> Vec<String> {
    let attribute = |tag: &str, name: &str| {
        let rest = tag.split(&format!("{name}=\"")).nth(1)?;
        rest.split('"').next().map(String::from)
    };
    let start = xml.find("<interface name=\"org.sipprofiles.SecretAgent1\"").expect("it has it");
    let interface = xml[start..].split("</interface>").next().expect("the first part");
    let tags = interface.split('<').filter(|tag| tag.starts_with("method") || tag.starts_with("arg"));
    tags.map(|tag| {
        ["name", "direction", "type"].map(|name| attribute(tag, name).unwrap_or_default()).join(" ")
    })
    .collect()
}

#[tokio::test]
async fn the_object_is_the_one_of_the_committed_xml() {
    let desktop = Desktop::start();
    let service = Service::start(&desktop, &[]).await;
    let _applet = desktop.applet();
    service.called("GetManagedObjects").await;
    let agent = service.agent();
    let interface = "org.freedesktop.DBus.Introspectable";
    let path = "/org/sipprofiles/agent";
    let call = service.connection.call_method(Some(agent.as_str()), path, Some(interface), "Introspect", &());
    let served: String = call.await.expect("it answers").body().deserialize().expect("text");
    assert_eq!(members(&served), members(sip_profiles::xml::SECRET_AGENT));
}
