//! Prints what the service costs and what it survives, each figure on a line.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

const WINDOW: Duration = Duration::from_secs(20);

fn settings(registrar: &Registrar, user: &str) -> Dict<'static> {
    Dict::from([
        ("aor", Variant::from(format!("sip:{user}@127.0.0.1"))),
        ("registrar", Variant::from(registrar.address().to_string())),
        ("auth-user", Variant::from("alice")),
        ("password", Variant::from("wonderland")),
    ])
}

fn quiet() -> Options {
    Options { log: String::from("warn"), ..Options::default() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    clients_that_die().await;
    hammered_calls().await;
    kill_to_deregistration().await;
    many_profiles().await;
    memory_and_wakeups().await;
}

async fn clients_that_die() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(quiet());
    let watcher = Client::connect(&bus).await;
    watcher.create(settings(&registrar, "alice")).await.expect("a profile");
    for _ in 0..400 {
        let connection = bus.connect().await;
        let call = zbus::Message::method_call("/org/sipprofiles/profile/1", "Enable")
            .destination("org.sipprofiles")
            .interface("org.sipprofiles.Profile1")
            .build(&Dict::new())
            .expect("a message");
        connection.send(&call).await.expect("the bus takes it");
        connection.close().await.expect("closed");
    }
    registrar.until("nothing is registered", |it| it.bindings("sip:alice@127.0.0.1").is_empty()).await;
    let mut left = watcher.users(1).await;
    let until = Instant::now() + Duration::from_secs(5);
    while left > 0 && Instant::now() < until {
        left = watcher.users(1).await;
    }
    println!("400 clients that enable and die: {left} holds left");
}

async fn hammered_calls() {
    let bus = Bus::start(Options { idle_timeout: 0.003, log: String::from("warn"), ..Options::default() });
    let (mut calls, mut lost) = (0u64, 0);
    while calls < 5000 {
        let client = Client::connect(&bus).await;
        for _ in 0..4 {
            lost += u32::from(client.root("FindProfiles", &Dict::new()).await.is_err());
        }
        lost += u32::from(client.root("Leave", &Dict::new()).await.is_err());
        calls += 5;
        tokio::time::sleep(Duration::from_micros(calls * 131 % 5000)).await;
    }
    println!(
        "{calls} calls against an idle timeout of 3 ms: {lost} lost, {} starts",
        bus.service_pids().len()
    );
}

async fn kill_to_deregistration() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(quiet());
    let client = Client::connect(&bus).await;
    client.create(settings(&registrar, "alice")).await.expect("a profile");
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut holder = bus
            .command(sip_profiles_tests::program("sip-profiles"))
            .args(["hold", "1"])
            .stderr(Stdio::null())
            .spawn()
            .expect("the command");
        registrar.until("registered", |it| it.bindings("sip:alice@127.0.0.1").len() == 1).await;
        client.enable(1, Dict::from([("wait", Variant::from(5u32))])).await.expect("registered");
        client.disable(1).await.expect("given back");
        let before = registrar.requests().len();
        let killed = Instant::now();
        holder.kill().expect("it runs");
        registrar.until("de-registered", |it| it.requests().len() > before).await;
        times.push(registrar.requests()[before].at.duration_since(killed));
        holder.wait().expect("it ended");
        registrar.until("gone", |it| it.bindings("sip:alice@127.0.0.1").is_empty()).await;
        // At most six attempts a minute start from unregistered.
    }
    times.sort();
    println!(
        "kill -9 of the last holder to the de-REGISTER: {:.2} ms (median)",
        times[2].as_secs_f64() * 1e3
    );
}

async fn many_profiles() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(quiet());
    let client = Client::connect(&bus).await;
    let mut ids = Vec::new();
    for number in 0..1000 {
        loop {
            match client.create(settings(&registrar, &format!("user{number}"))).await {
                Ok(id) => break ids.push(id),
                // A hundred writes a second are root's limit.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    // A connection holds 640 profiles at most, as root.
    let other = Client::connect(&bus).await;
    let started = Instant::now();
    for (number, id) in ids.iter().enumerate() {
        let client = if number % 2 == 0 { &client } else { &other };
        client.enable(*id, Dict::new()).await.expect("enabled");
    }
    registrar.until("all are registered", |it| it.requests().len() >= 2000).await;
    let took = started.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let requests = registrar.requests();
    let branches: BTreeSet<_> =
        requests.iter().filter_map(|one| one.message.header("Via").map(str::to_owned)).collect();
    println!(
        "1,000 profiles enabled at once: {} REGISTERs, {} retransmissions, {:.2} s",
        branches.len(),
        requests.len() - branches.len(),
        took.as_secs_f64()
    );
    let before = requests.len();
    tokio::time::sleep(Duration::from_secs(4)).await;
    for (number, id) in ids.iter().take(100).enumerate() {
        let client = if number % 2 == 0 { &client } else { &other };
        client.profile(*id, "Refresh", &Dict::new()).await.expect("refreshed");
    }
    registrar.until("all are refreshed", |it| it.requests().len() >= before + 100).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("100 refreshes: {} REGISTERs", registrar.requests().len() - before);
    let rss = resident(bus.service_pid());
    println!("1,000 registered profiles: {rss} KiB resident");
}

async fn memory_and_wakeups() {
    let registrar = Registrar::start(Behaviour::default()).await;
    let bus = Bus::start(quiet());
    let client = Client::connect(&bus).await;
    client.root("FindProfiles", &Dict::new()).await.expect("an answer");
    let mut count = 0;
    for wanted in [0, 1, 100] {
        while count < wanted {
            let made = client.create(settings(&registrar, &format!("user{count}"))).await;
            let Ok(id) = made else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            client.enable(id, Dict::from([("wait", Variant::from(10u32))])).await.expect("registered");
            count += 1;
        }
        tokio::time::sleep(Duration::from_secs(12)).await;
        let pid = bus.service_pid();
        let before = wakeups(pid);
        tokio::time::sleep(WINDOW).await;
        let a_minute = (wakeups(pid) - before) * 60 / WINDOW.as_secs();
        println!(
            "{wanted} registered profiles: {} KiB resident, {a_minute} wake-ups a minute",
            resident(pid)
        );
    }
}

fn status(pid: Pid, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn resident(pid: Pid) -> u64 {
    status(pid, "VmRSS:")
}

fn wakeups(pid: Pid) -> u64 {
    status(pid, "voluntary_ctxt_switches:")
}
