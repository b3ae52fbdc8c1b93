//! Semantics, "Lifetime of the service": L1–L6 with the bus as it starts and stops it.

use std::process::Command;

use rustix::process::Signal;
use sip_profiles_tests::bus::{Bus, Options, is_running};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::program;
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

const ALICE: &str = "sip:alice@127.0.0.1";

fn alice(registrar: &Registrar) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(ALICE)),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
    ])
}

#[tokio::test]
async fn l1_the_service_ends_after_its_last_session_and_keeps_the_profiles() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options { idle_timeout: 0.05, ..Options::default() });
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    assert!(is_running(bus.service_pid()), "a session keeps it");
    client.root("Leave", &Dict::new()).await.unwrap();
    bus.await_end(bus.service_pid()).await;
    assert_eq!(client.state(id).await, "unregistered");
    assert_eq!(bus.service_pids().len(), 2, "the next call starts it again");
}

#[tokio::test]
async fn l2_calls_hammered_against_an_idle_exit_are_not_lost() {
    let bus = Bus::start(Options { idle_timeout: 0.002, log: String::from("warn"), ..Options::default() });
    let mut calls = 0;
    for round in 0..300u64 {
        let client = Client::connect(&bus).await;
        for _ in 0..3 {
            client.root("FindProfiles", &Dict::new()).await.expect("no call is lost");
            calls += 1;
        }
        client.root("Leave", &Dict::new()).await.expect("no call is lost");
        // Leaves at another point of the idle exit each time.
        tokio::time::sleep(std::time::Duration::from_micros(round * 37 % 4000)).await;
    }
    assert_eq!(calls, 900);
    assert!(bus.service_pids().len() > 3, "the service did end in between");
}

#[tokio::test]
async fn l3_sigterm_deregisters_and_sigusr1_does_not() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Options::default());
    let (holder, reader) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = holder.create(alice(&registrar)).await.unwrap();
    holder.enable_and_wait(id).await.unwrap();

    let first = bus.service_pid();
    bus.signal_service(Signal::USR1);
    bus.await_end(first).await;
    assert_eq!(registrar.bindings(ALICE).len(), 1, "the binding stays for the successor");
    assert_eq!(reader.users(id).await, 1);
    registrar.until("the successor confirms it", |it| it.requests().len() >= 4).await;
    assert_eq!(reader.enable_and_wait(id).await.unwrap(), "registered");
    reader.disable(id).await.unwrap();

    let second = bus.service_pid();
    bus.signal_service(Signal::TERM);
    bus.await_end(second).await;
    assert_eq!(registrar.bindings(ALICE), [], "SIGTERM de-registers");
    assert_eq!(reader.users(id).await, 1, "H9: the hold stays");
    registrar.until("the successor registers again", |it| it.bindings(ALICE).len() == 1).await;
}

#[tokio::test]
async fn h9_the_service_ends_with_its_bus_and_a_new_bus_has_other_clients() {
    const STRANGER: u32 = 65534;
    let registrar = Registrar::start(Behaviour::default()).await;
    let mut bus = Bus::start(Options::default());
    let holder = Client::connect(&bus).await;
    let id = holder.create(alice(&registrar)).await.unwrap();
    holder.enable_and_wait(id).await.unwrap();
    let name = |client: &Client| client.connection.unique_name().unwrap().to_string();
    bus.restart().await;
    assert!(bus.log().contains("the message bus closed the connection"), "{}", bus.log());
    assert_eq!(registrar.bindings(ALICE).len(), 1, "nobody said that it is not wanted any more");

    // The holder's name is a stranger's now, and then one of the same user's that holds nothing.
    let stranger = Client::connect_as(&bus, STRANGER).await;
    assert_eq!(name(&stranger), name(&holder));
    stranger.profile(id, "IsEnabled", &()).await.unwrap_err();
    registrar.until("the successor removes the binding", |it| it.bindings(ALICE).is_empty()).await;
    bus.restart().await;
    let same_user = Client::connect(&bus).await;
    assert_eq!(name(&same_user), name(&holder));
    assert_eq!(same_user.users(id).await, 0);
    assert!(!same_user.disable(id).await.unwrap());
    assert_eq!(same_user.enable_and_wait(id).await.unwrap(), "registered");
}

#[tokio::test]
async fn l6_a_second_instance_ends_with_a_clear_error() {
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    client.root("FindProfiles", &Dict::new()).await.unwrap();
    let output = bus
        .command(program("sip-profiled"))
        .arg("--state-dir")
        .arg(bus.path("state"))
        .arg("--runtime-dir")
        .arg(bus.path("other"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("in use by another instance"), "{said}");
    client.root("FindProfiles", &Dict::new()).await.unwrap();
}

#[test]
fn the_command_line_refuses_what_it_does_not_understand() {
    for arguments in [
        &["--idle-timeout", "-1"][..],
        &["--idle-timeout", "x"],
        &["--log", "rsipstack=trace"],
        &["--log", "a=b=c"],
        &["--log", "debgu"],
    ] {
        let output = Command::new(program("sip-profiled")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}
