//! The command `sip-profiles`, as somebody at a shell uses it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sip_profiles::proxy::{Options as Values, ProfileProxy};
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::program;
use sip_profiles_tests::registrar::{Behaviour, Registrar};

const ALICE: &str = "sip:alice@127.0.0.1";

/// Runs the command beside the registrar.
async fn run(bus: &Bus, arguments: &[&str], input: &str) -> Output {
    let mut command = bus.command(program("sip-profiles"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn an_account_is_added_held_explained_and_removed() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let address = format!("registrar={}", registrar.address());
    let added = run(&bus, &["add", "alice@127.0.0.1", &address, "expires=600"], "").await;
    assert_eq!(text(&added.stdout), "1\n", "{added:?}");
    assert!(run(&bus, &["set-password", "1"], "wrong\n").await.status.success());

    let held = run(&bus, &["hold", "1"], "").await;
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    let status = run(&bus, &["status", "1"], "").await;
    assert!(text(&status.stdout).contains("sip-profiles set-password 1"), "{status:?}");

    assert!(run(&bus, &["set-password", "1"], "wonderland\n").await.status.success());
    let script = "read line; exit 7";
    let mut command = bus.command(program("sip-profiles"));
    command.args(["hold", "1", "--", "sh", "-c", script]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    registrar.until("the registration while the command runs", |it| it.bindings(ALICE).len() == 1).await;
    let listed = run(&bus, &["--json", "list"], "").await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&listed[0]["users"], &listed[0]["default"]), (&1.into(), &true.into()));
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(7), "the command's exit code: {ended:?}");
    assert!(text(&ended.stderr).matches("Registered for 1 program.").count() <= 1, "told twice: {ended:?}");
    registrar.until("the de-registration after it", |it| it.bindings(ALICE).is_empty()).await;

    assert!(run(&bus, &["remove", "1"], "").await.status.success());
    let listed = run(&bus, &["list"], "").await;
    assert!(text(&listed.stdout).contains("no profiles yet"));
}

#[tokio::test]
async fn what_is_removed_while_all_is_listed_is_left_out() {
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let others = tokio::spawn(async move {
        loop {
            let settings = Dict::from([("aor", zbus::Variant::from("sip:bob@example.org"))]);
            let id = client.create(settings).await.expect("the settings are right");
            tokio::time::sleep(Duration::from_millis(40)).await;
            client.profile(id, "Remove", &Dict::new()).await.expect("nobody holds it");
        }
    });
    for _ in 0..30 {
        let listed = run(&bus, &["list"], "").await;
        assert!(listed.status.success(), "{listed:?}");
    }
    assert!(!others.is_finished(), "others went on");
    others.abort();
}

#[tokio::test]
async fn exit_codes_say_what_kind_of_failure_it_was() {
    let bus = Bus::start(Options::default());
    for (arguments, code) in [
        (&["show", "99"][..], 4),
        (&["add", "tel:1"], 1),
        (&["add", "a@b", "nonsense"], 2),
        (&["add", "a@b", "password=hunter2"], 2),
        (&["set-password", "1", "hunter2"], 2),
        (&["set", "1"], 2),
        (&["no-such-action"], 2),
        (&["default"], 4),
    ] {
        let output = run(&bus, arguments, "").await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(!text(&output.stderr).contains("hunter2"));
    }
    let lost = std::process::Command::new(program("sip-profiles"))
        .arg("list")
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
        .output()
        .unwrap();
    assert_eq!(lost.status.code(), Some(3), "{lost:?}");
    let bus = Bus::start(Options::default());
    std::fs::remove_file(bus.path("services/org.sipprofiles.service")).unwrap();
    for arguments in [&["list"][..], &["watch"], &["hold", "1"]] {
        let output = run(&bus, arguments, "").await;
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn completions_and_man_page_come_from_the_same_source() {
    let bus = Bus::start(Options::default());
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&bus, &["completions", shell], "").await;
        assert!(text(&output.stdout).contains("set-password"), "{shell}");
    }
    let page = text(&run(&bus, &["man"], "").await.stdout);
    assert!(
        page.contains(".TH") && page.contains("SET\\-PASSWORD") | page.contains("SET-PASSWORD"),
        "{page}"
    );
    assert!(!page.contains("list(1)"), "a page that does not exist: {page}");
    for action in ["add", "hold", "set", "completions"] {
        let help = text(&run(&bus, &["help", action], "").await.stdout);
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        assert!(page.replace('\\', "").contains(usage), "{usage}: {page}");
    }
}

/// Adds alice's account with its password.
async fn add_alice(bus: &Bus, registrar: &Registrar) {
    let address = format!("registrar={}", registrar.address());
    assert!(run(bus, &["add", "alice@127.0.0.1", &address], "").await.status.success());
    assert!(run(bus, &["set-password", "1"], "wonderland\n").await.status.success());
}

/// `hold 1 -- sh -c SCRIPT`, when the script has said that it runs.
fn hold_while(bus: &Bus, script: &str) -> Child {
    let mut command = bus.command(program("sip-profiles"));
    command.args(["hold", "1", "--", "sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"go\n");
    child
}

async fn exit_code(mut child: Child) -> Option<i32> {
    tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn bash_completes_what_belongs_to_an_action() {
    let bus = Bus::start(Options::default());
    let script = run(&bus, &["completions", "bash"], "").await.stdout;
    let words = "COMP_WORDS=(sip-profiles set 1 --u); COMP_CWORD=3
                 _sip__profiles sip-profiles --u 1; echo \"${COMPREPLY[*]}\"";
    let output = std::process::Command::new("bash")
        .args(["-c", &format!("{}\n{words}", text(&script))])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "--unset\n", "{output:?}");
}

#[tokio::test]
async fn a_held_command_keeps_its_exit_code_whatever_becomes_of_the_profile_and_the_service() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let mut bus = Bus::start(Options::default());
    add_alice(&bus, &registrar).await;

    let child = hold_while(&bus, "trap 'exit 4' TERM; echo go; while :; do sleep 0.05; done");
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(exit_code(child).await, Some(4), "the command hears of the end, and has the last word");

    let mut child = hold_while(&bus, "echo go; read line; exit 9");
    let client = bus.connect().await;
    let profile = ProfileProxy::builder(&client).path("/org/sipprofiles/profile/1").build().await.unwrap();
    profile.remove(Values::from([("force", zbus::Variant::from(true))])).await.unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(exit_code(child).await, Some(9), "the profile was removed meanwhile");

    let address = format!("registrar={}", registrar.address());
    assert!(run(&bus, &["add", "alice@127.0.0.1", &address], "").await.status.success());
    let mut command = bus.command(program("sip-profiles"));
    command.args(["hold", "2", "--", "sh", "-c", "echo go; read line; exit 8"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    bus.restart().await;
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(exit_code(child).await, Some(8), "the bus went away meanwhile");
}

#[tokio::test]
async fn a_hold_ends_with_the_bus_and_always_says_why_it_was_refused() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let mut bus = Bus::start(Options::default());
    let address = format!("registrar={}", registrar.address());
    for id in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        run(&bus, &["add", &format!("u{id}@127.0.0.1"), &address], "").await;
        run(&bus, &["set-password", id], "wrong\n").await;
        let held = run(&bus, &["hold", id], "").await;
        assert_eq!(held.status.code(), Some(1), "{held:?}");
        assert!(text(&held.stderr).contains(&format!("sip-profiles set-password {id}")), "{held:?}");
    }
    run(&bus, &["add", "alice@127.0.0.1", &address], "").await;
    run(&bus, &["set-password", "9"], "wonderland\n").await;
    let mut command = bus.command(program("sip-profiles"));
    let mut child = command.args(["hold", "9"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    bus.restart().await;
    assert_eq!(exit_code(child).await, Some(3));
}

#[tokio::test]
async fn a_hold_goes_on_when_nobody_reads_what_it_says() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    add_alice(&bus, &registrar).await;
    let mut command = bus.command(program("sip-profiles"));
    let mut child = command.args(["hold", "1"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    registrar.until("the registration", |it| it.bindings(ALICE).len() == 1).await;
    let before = registrar.requests().len();
    assert!(run(&bus, &["set", "1", "transport=udp"], "").await.status.success());
    registrar.until("the move", |it| it.requests().len() > before && it.bindings(ALICE).len() == 1).await;
    let listed = run(&bus, &["--json", "list"], "").await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["users"], 1, "{listed}");
    child.kill().and_then(|()| child.wait()).unwrap();
}

#[tokio::test]
async fn a_list_is_whole_while_profiles_come_and_go() {
    let bus = Bus::start(Options::default());
    let client = bus.connect().await;
    let registry = sip_profiles::proxy::RegistryProxy::new(&client).await.unwrap();
    let changes = tokio::spawn(async move {
        loop {
            let settings = Values::from([("aor", zbus::Variant::from("sip:alice@127.0.0.1"))]);
            // Past the limit of writes it is refused, and tried again.
            let Ok((_, path)) = registry.create_profile(settings, Values::new()).await else { continue };
            let profile = ProfileProxy::builder(&client).path(path).build().await.unwrap();
            while profile.remove(Values::new()).await.is_err() {}
        }
    });
    for _ in 0..30 {
        let listed = run(&bus, &["list"], "").await;
        assert!(listed.status.success(), "{listed:?}");
    }
    changes.abort();
}

#[tokio::test]
async fn odd_input_is_refused_in_a_sentence_and_odd_readers_are_endured() {
    let bus = Bus::start(Options::default());
    assert!(run(&bus, &["add", "alice@127.0.0.1"], "").await.status.success());
    let zero = bus.path("zero");
    std::fs::write(&zero, "a\0b").unwrap();
    let zero = format!("display-name=@{}", zero.display());
    for (arguments, input, code) in [
        (&["set", "1", &zero][..], "", 2),
        (&["set", "1", "tls-ca=@/dev/zero"], "", 2),
        (&["set-password", "1"], "a\0b\n", 1),
        (&["set", "1", "a\u{1b}[31mb=1"], "", 1),
    ] {
        let output = run(&bus, arguments, input).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(!text(&output.stderr).contains('\u{1b}'), "{output:?}");
    }

    let mut command = bus.command(program("sip-profiles"));
    let bytes = OsStr::from_bytes(b"\xff");
    let output = command.args(["hold", "1", "--", "printf", "%s"]).arg(bytes).output().unwrap();
    assert_eq!(output.stdout, b"\xff", "a command's arguments are its own: {output:?}");

    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = bus.command(program("sip-profiles"));
    assert_eq!(command.args(["show", "99"]).stderr(full()).status().unwrap().code(), Some(4));
    let mut command = bus.command(program("sip-profiles"));
    assert_eq!(command.args(["completions", "zsh"]).stdout(full()).status().unwrap().code(), Some(1));
}

#[test]
fn an_interrupted_question_for_a_password_leaves_the_terminal_as_it_was() {
    let bus = Bus::start(Options::default());
    let mut command = bus.command(program("sip-profiles"));
    assert!(command.args(["add", "alice@127.0.0.1"]).status().unwrap().success());
    let terminal =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
    let ours = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let echoes =
        || rustix::termios::tcgetattr(&ours).unwrap().local_modes.contains(rustix::termios::LocalModes::ECHO);
    let mut command = bus.command(program("sip-profiles"));
    let mut child = command.args(["set-password", "1"]).stdin(ours.try_clone().unwrap()).spawn().unwrap();
    let until = std::time::Instant::now() + sip_profiles_tests::PATIENCE;
    while echoes() {
        assert!(std::time::Instant::now() < until, "it never asked");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(echoes());
}
