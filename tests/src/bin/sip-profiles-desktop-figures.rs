//! Prints what the applet costs on a desktop, each figure on a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Pid;
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, Map, text};
use sip_profiles_tests::desktop::{Desktop, Item};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::{MatchRule, MessageStream, Variant};

const ACCOUNTS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let open = Behaviour { passwords: BTreeMap::new(), ..Behaviour::default() };
    let registrar = Registrar::start(open).await;
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let client = Client::connect(&bus).await;
    for number in 1..=ACCOUNTS {
        let settings = Dict::from([
            ("aor", Variant::from(format!("sip:user{number}@example.org"))),
            ("registrar", Variant::from(registrar.address().to_string())),
        ]);
        // Ten writes a second are a person's limit, a hundred are root's.
        tokio::time::sleep(Duration::from_millis(150)).await;
        client.create(settings).await.expect("the settings are right");
    }
    let mut desktop = Desktop::start().await;
    let item = desktop.applet(&bus, &[]).await;
    item.until_icon("off").await;
    desktop.icon().await;

    let mut times = Vec::new();
    for id in 1..=ACCOUNTS {
        // The panel is told at most four times a second: that wait is not measured.
        tokio::time::sleep(Duration::from_millis(400)).await;
        times.push(signal_to_icon(&desktop, &item, &client, id).await);
        client.disable(id).await.expect("it is held");
        item.until_icon("off").await;
    }
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "applet: {:.1} ms from a state's signal to the new icon's name on the bus (median of {ACCOUNTS}; at most {:.1} ms)",
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() - 1]),
    );
    for registered in [0, 3] {
        for id in 1..=registered {
            client.enable(id, Dict::from([("wait", Variant::from(20u32))])).await.expect("registered");
        }
        idle(&item, registered).await;
    }
}

async fn idle(item: &Item, registered: u32) {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut counts = Vec::new();
    for _ in 0..3 {
        let before = wakeups(item.pid);
        tokio::time::sleep(WINDOW).await;
        let woken = wakeups(item.pid) - before;
        counts.push((woken * 60 / WINDOW.as_secs()).to_string());
    }
    println!(
        "applet, {ACCOUNTS} accounts, {registered} registered: {} KiB resident ({} KiB its own), {} wake-ups a minute",
        memory(item.pid, "VmRSS:"),
        memory(item.pid, "RssAnon:"),
        counts.join(", "),
    );
}

/// From the signal that a profile's state is another one to an icon that says so.
async fn signal_to_icon(desktop: &Desktop, item: &Item, client: &Client, id: u32) -> Duration {
    let mut signals = MessageStream::from(&client.connection);
    let rule = MatchRule::builder().member("NewIcon").build().expect("a rule");
    let mut icons = MessageStream::for_match_rule(rule, &desktop.connection, None).await.expect("a rule");
    let path = format!("/org/sipprofiles/profile/{id}");
    let signal = async {
        while let Some(Ok(message)) = signals.next().await {
            let header = message.header();
            let is_it = header.member().is_some_and(|member| member.as_str() == "PropertiesChanged")
                && header.path().is_some_and(|at| at.as_str() == path);
            let values = message.body().deserialize::<(String, Map, Vec<String>)>();
            if is_it
                && values
                    .is_ok_and(|(_, map, _)| map.get("State").is_some_and(|it| text(it) != "unregistered"))
            {
                return Instant::now();
            }
        }
        panic!("the bus went");
    };
    let icon = async {
        while icons.next().await.is_some() {
            if item.icon().await != "off" {
                return Instant::now();
            }
        }
        panic!("the bus went");
    };
    let (enabled, signal, icon) = tokio::join!(client.enable(id, Dict::new()), signal, icon);
    enabled.expect("it can be held");
    icon.saturating_duration_since(signal)
}

/// Of all its threads.
fn wakeups(pid: Pid) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).into_iter().flatten().flatten();
    threads.map(|thread| number(&thread.path().join("status"), "voluntary_ctxt_switches:")).sum()
}

fn memory(pid: Pid, key: &str) -> u64 {
    number(Path::new(&format!("/proc/{}/status", pid.as_raw_pid())), key)
}

fn number(file: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
