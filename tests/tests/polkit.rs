//! Shared profiles under the real polkitd: our actions as they are installed, and an administrator's rules.

use std::collections::HashMap;
use std::process::Stdio;

use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, error_name, error_text};
use sip_profiles_tests::polkit::RealPolkit;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use zbus::Variant;

/// Users that every Debian has.
const DAEMON: u32 = 1;
const GAMES: u32 = 5;
const NOBODY: u32 = 65534;
const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const DIALOG: &str = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";

fn aor() -> Dict<'static> {
    Dict::from([("aor", Variant::from("sip:door@127.0.0.1"))])
}

#[tokio::test]
async fn the_administrators_rules_decide() {
    let bus = Bus::start(Options::default());
    let rules = r#"
        polkit.addRule(function(action, subject) {
            if (subject.user == "daemon" && action.id == "org.sipprofiles.use-shared") return polkit.Result.YES;
            if (subject.user == "daemon" && action.id == "org.sipprofiles.manage-shared") {
                return action.lookup("aor") == "sip:door@127.0.0.1" ? polkit.Result.YES : polkit.Result.NO;
            }
            if (subject.user == "daemon") return polkit.Result.NO;
        });"#;
    let _polkit = RealPolkit::start(&bus, rules).await;
    let root = Client::connect(&bus).await;
    let (daemon, nobody) = (Client::connect_as(&bus, DAEMON).await, Client::connect_as(&bus, NOBODY).await);
    let door = root.create_shared(aor()).await.unwrap();
    let gate = Dict::from([("aor", Variant::from("sip:gate@127.0.0.1"))]);
    let gate = root.create_shared(gate).await.unwrap();

    daemon.enable(door, Dict::new()).await.unwrap();
    daemon.profile(door, "Refresh", &Dict::new()).await.unwrap();
    let name = || Dict::from([("display-name", Variant::from("Door"))]);
    daemon.update(door, name(), &[]).await.unwrap();
    assert_eq!(error_name(daemon.update(gate, name(), &[]).await), DENIED);
    assert_eq!(error_name(daemon.create_shared(aor()).await), DENIED, "a rule about no profile");
    assert_eq!(error_name(daemon.profile(door, "ForceDisable", &Dict::new()).await), DENIED);
    let force = Dict::from([("force", Variant::from(true))]);
    assert_eq!(error_name(daemon.profile(door, "Remove", &force).await), DENIED, "that needs both");
    assert!(daemon.disable(door).await.unwrap());
    daemon.profile(door, "Remove", &Dict::new()).await.unwrap();

    // No rule: as installed, an administrator must authenticate, and nobody has a session or an agent.
    let refused = nobody.profile(gate, "Enable", &Dict::new()).await;
    assert_eq!(error_name(refused), DIALOG);
    assert_eq!(error_name(nobody.update(gate, name(), &[]).await), DIALOG);
    let refused = nobody.profile_with_dialog::<_, String>(gate, "Enable", &Dict::new()).await;
    assert_eq!(error_name(refused), DENIED, "no agent could ask");
}

#[tokio::test]
async fn the_service_needs_no_root_to_ask() {
    let bus = Bus::start(Options { user: Some(("daemon", DAEMON)), ..Options::default() });
    let rules = "polkit.addRule(function(action, subject) {
        return subject.user == 'nobody' && action.lookup('profile') == '1' ? polkit.Result.YES : polkit.Result.NO;
    });";
    let _polkit = RealPolkit::start_for(&bus, "daemon", rules).await;
    let (root, nobody) = (Client::connect(&bus).await, Client::connect_as(&bus, NOBODY).await);
    let games = Client::connect_as(&bus, GAMES).await;
    let door = root.create_shared(aor()).await.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", bus.service_pid().as_raw_pid())).unwrap();
    assert!(status.contains("Uid:\t1\t1\t1"), "{status}");
    nobody.enable(door, Dict::new()).await.unwrap();
    let refused = games.enable(door, Dict::new()).await;
    assert!(error_text(refused).contains("polkit did not grant it"));
}

#[tokio::test]
async fn an_authority_that_was_killed_is_a_no() {
    let bus = Bus::start(Options::default());
    let rules = "polkit.addRule(function(action, subject) { return polkit.Result.YES; });";
    let polkit = RealPolkit::start(&bus, rules).await;
    let (root, user) = (Client::connect(&bus).await, Client::connect_as(&bus, DAEMON).await);
    let door = root.create_shared(aor()).await.unwrap();
    user.enable(door, Dict::new()).await.unwrap();
    drop(polkit);
    let token = Dict::from([("token", Variant::from("another"))]);
    assert_eq!(error_name(user.enable(door, token).await), DENIED);
    assert_eq!(user.users(door).await, 1, "what was granted stays");
    assert!(user.disable(door).await.unwrap());
}

/// A program of nobody's with an authentication agent.
struct Program {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    async fn start(bus: &Bus) -> Program {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/agent.py");
        let text = std::fs::read_to_string(script).unwrap();
        let mut command = bus.command_as(NOBODY, "/usr/bin/python3");
        command.args(["-c", &text]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut program = Program { _child: child, input, output: BufReader::new(output).lines() };
        assert_eq!(program.line().await, "READY");
        program
    }

    async fn say(&mut self, text: &str) {
        self.input.write_all(format!("{text}\n").as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        line.expect("the program says something").unwrap().unwrap_or_default()
    }

    /// A dialog is shown.
    async fn dialog(&mut self) -> String {
        let line = self.line().await;
        line.strip_prefix("COOKIE ").unwrap_or_else(|| panic!("no dialog but {line}")).to_owned()
    }

    /// The person types the password of root: what polkit's helper says after it has asked PAM.
    async fn authenticate(&mut self, root: &Client, cookie: &str) {
        let identity = ("unix-user", HashMap::from([("uid", Variant::from(0u32))]));
        let (name, path) = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority");
        let authority = "org.freedesktop.PolicyKit1.Authority";
        let body = (NOBODY, cookie, identity);
        root.call_at(name, path, authority, "AuthenticationAgentResponse2", &body).await.unwrap();
        self.say("authenticated").await;
    }
}

#[tokio::test]
async fn a_person_authenticates_and_what_is_kept_is_not_asked_twice() {
    let bus = Bus::start(Options::default());
    let _polkit = RealPolkit::start(&bus, "").await;
    let root = Client::connect(&bus).await;
    let door = root.create_shared(aor()).await.unwrap();
    let path = format!("/org/sipprofiles/profile/{door}");
    let mut program = Program::start(&bus).await;

    program.say(&format!("{path} Enable quietly")).await;
    assert_eq!(program.line().await, format!("ERROR {DIALOG}"));
    program.say(&format!("{path} Enable")).await;
    let cookie = program.dialog().await;
    program.authenticate(&root, &cookie).await;
    assert!(program.line().await.starts_with("OK "));
    assert_eq!(root.users(door).await, 1);

    program.say(&format!("{path} Update first")).await;
    let cookie = program.dialog().await;
    program.authenticate(&root, &cookie).await;
    assert_eq!(program.line().await, "OK ()");
    program.say(&format!("{path} Update second quietly")).await;
    assert_eq!(program.line().await, "OK ()", "auth_admin_keep");

    // The person closes the dialog.
    program.say(&format!("{path} ForceDisable")).await;
    program.dialog().await;
    program.say("authenticated").await;
    assert_eq!(program.line().await, format!("ERROR {DENIED}"));

    // The profile goes while the dialog stands.
    program.say(&format!("{path} ForceDisable")).await;
    let cookie = program.dialog().await;
    let force = Dict::from([("force", Variant::from(true))]);
    root.profile(door, "Remove", &force).await.unwrap();
    program.authenticate(&root, &cookie).await;
    assert_eq!(program.line().await, "ERROR org.freedesktop.DBus.Error.UnknownObject");
}
