//! The command `sip-profiles`, as somebody at a shell uses it.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

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
}
