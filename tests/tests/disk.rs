//! Disks that are full, read-only or damaged: what cannot be kept is refused with a Storage error, and nothing else ends.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use sip_profiles_tests::bus::Bus;
use sip_profiles_tests::client::{Client, Dict, Map};
use sip_profiles_tests::disk::Disks;
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

const STORAGE: &str = "org.sipprofiles.Error.Storage";

fn alice(registrar: &Registrar) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from("sip:alice@127.0.0.1")),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("password", Variant::from("wonderland")),
    ])
}

fn note(text: &str) -> Dict<'static> {
    Dict::from([("x-note", Variant::from(text.to_owned()))])
}

async fn noted(client: &Client, id: u32) -> String {
    let reply = client.profile(id, "GetSettings", &()).await.expect("the profile is there");
    match reply.body().deserialize::<Map>().unwrap().get("x-note").map(|value| &**value) {
        Some(Variant::Str(text)) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

/// The call fails with a Storage error that says `why`.
fn assert_refused<T: std::fmt::Debug>(result: zbus::Result<T>, why: &str) {
    let Err(zbus::Error::MethodError(name, Some(said), _)) = &result else { panic!("{result:?}") };
    assert!(name.as_str() == STORAGE && said.contains(why), "{name}: {said}");
}

async fn restart(bus: &Bus) {
    let pid = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(pid).await;
}

/// No change is taken while the disk is as it is, everything else goes on, also for a successor.
async fn refuses_changes_and_goes_on(bus: &Bus, client: &Client, id: u32, why: &str) {
    for _ in 0..2 {
        assert_refused(client.update(id, note("lost"), &[]).await, why);
        assert_refused(client.create(Dict::from([("aor", Variant::from("sip:bob@127.0.0.1"))])).await, why);
        let auto = Dict::from([("auto-register", Variant::from(true))]);
        assert_refused(client.update(id, auto, &[]).await, why);
        assert_eq!(noted(client, id).await, "kept");
        assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered");
        restart(bus).await;
        assert_eq!(noted(client, id).await, "kept");
        assert_eq!(client.users(id).await, 1);
        client.disable(id).await.unwrap();
        assert_refused(client.profile(id, "Remove", &Dict::new()).await, why);
    }
}

async fn takes_changes_again(bus: &Bus, client: &Client, id: u32) {
    client.update(id, note("taken"), &[]).await.unwrap();
    let next = client.create(Dict::from([("aor", Variant::from("sip:bob@127.0.0.1"))])).await.unwrap();
    assert!(next > id);
    restart(bus).await;
    assert_eq!(noted(client, id).await, "taken");
    assert_eq!(noted(client, next).await, "");
    client.profile(next, "Remove", &Dict::new()).await.unwrap();
    restart(bus).await;
    assert!(client.profile(next, "GetSettings", &()).await.is_err());
}

/// A profile on a disk that is harmed and later mended; what it refuses is said with `reason`.
async fn a_harmed_disk(reason: &str, harm: impl Fn(&Disks, &Path), mend: impl Fn(&Disks, &Path)) {
    let registrar = Registrar::start(Behaviour::default()).await;
    let disks = Disks::new();
    let bus = Bus::start(disks.options());
    let state = bus.path("state");
    disks.mount(&state, 256);
    let client = Client::connect(&bus).await;
    let id = client.create(alice(&registrar)).await.unwrap();
    client.update(id, note("kept"), &[]).await.unwrap();
    harm(&disks, &state);
    refuses_changes_and_goes_on(&bus, &client, id, reason).await;
    mend(&disks, &state);
    takes_changes_again(&bus, &client, id).await;
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_nothing_else() {
    a_harmed_disk("No space left", |disks, state| disks.fill(state), |disks, state| disks.free(state)).await;
}

#[tokio::test]
async fn a_read_only_disk_refuses_changes_and_nothing_else() {
    let forbid = |disks: &Disks, state: &Path| disks.forbid_writing(state);
    a_harmed_disk("Read-only file system", forbid, |disks, state| disks.allow_writing(state)).await;
}

#[tokio::test]
async fn a_full_runtime_directory_loses_no_hold_once_there_is_room_again() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let disks = Disks::new();
    let bus = Bus::start(disks.options());
    let run = bus.path("run");
    disks.mount(&run, 64);
    let (one, other) = (Client::connect(&bus).await, Client::connect(&bus).await);
    let id = one.create(alice(&registrar)).await.unwrap();
    disks.fill(&run);
    // Long tokens, so that what is left of the journal's last block is used up soon.
    for number in 0..8 {
        let token = format!("{number}{}", "x".repeat(1000));
        one.enable(id, Dict::from([("token", Variant::from(token))])).await.unwrap();
    }
    assert!(bus.log().contains("holds would not survive a crash now"), "{}", bus.log());
    disks.free(&run);
    other.enable(id, Dict::new()).await.unwrap();
    assert_eq!(one.enable_and_wait(id).await.unwrap(), "registered");
    restart(&bus).await;
    assert_eq!(one.users(id).await, 2, "both holds, the one that was not noted at first too");

    // Nor does a successor need room to start, and to go on with what it finds.
    disks.fill(&run);
    restart(&bus).await;
    assert_eq!(one.users(id).await, 2);
    other.disable(id).await.unwrap();
    disks.free(&run);
    one.update(id, note("any"), &[]).await.unwrap();
    one.enable(id, Dict::from([("token", Variant::from("last"))])).await.unwrap();
    restart(&bus).await;
    assert_eq!(one.users(id).await, 1);
}

#[tokio::test]
async fn u2_damaged_files_are_set_aside_and_the_rest_goes_on() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(Default::default());
    let client = Client::connect(&bus).await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(client.create(alice(&registrar)).await.unwrap());
    }
    let pid = bus.service_pid();
    bus.signal_service(Signal::KILL);
    bus.await_end(pid).await;
    let profile = |id: u32| bus.path(&format!("state/profiles/{id}.json"));
    let secrets = |id: u32| bus.path(&format!("state/secrets/{id}.1.json"));
    let halve = |path: PathBuf| {
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
    };
    halve(profile(1));
    fs::write(profile(2), [0; 4096]).unwrap();
    fs::remove_file(profile(3)).unwrap();
    fs::create_dir(profile(3)).unwrap();
    halve(secrets(4));
    fs::remove_file(secrets(5)).unwrap();
    fs::write(bus.path("state/profiles/6.json.new"), "{\"owner\":0,").unwrap();
    fs::write(bus.path("state/defaults.json"), "{\"0\":").unwrap();

    for id in &ids[5..] {
        assert_eq!(client.enable_and_wait(*id).await.unwrap(), "registered");
    }
    for id in &ids[..5] {
        assert!(client.profile(*id, "GetSettings", &()).await.is_err(), "{id}");
        assert!(bus.log().contains(&format!("profiles/{id}.json.unreadable was set aside")), "{}", bus.log());
    }
    assert_eq!(client.create(alice(&registrar)).await.unwrap(), 8, "no id comes twice");
    restart(&bus).await;
    assert_eq!(noted(&client, 8).await, "");
    assert!(!bus.log().contains("wonderland"));
}
