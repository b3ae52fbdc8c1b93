//! U1 with the real disk: what was acknowledged is there, whenever the service is killed.

use rustix::process::{Signal, kill_process};
use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict, Map};
use zbus::Variant;

async fn number(client: &Client, id: u32) -> u32 {
    let reply = client.profile(id, "GetSettings", &()).await.expect("the profile is there");
    let settings = reply.body().deserialize::<Map>().unwrap();
    let number = u32::try_from(settings["x-number"].clone()).unwrap();
    let Variant::Str(text) = &*settings["display-name"] else { panic!("the name is no text") };
    assert_eq!(text.as_str(), format!("Number {number}"), "never half of an update");
    number
}

#[tokio::test]
async fn u1_a_hundred_kills_in_the_middle_of_writes_lose_nothing_acknowledged() {
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let change = |number: u32| {
        Dict::from([
            ("x-number", Variant::from(number)),
            ("display-name", Variant::from(format!("Number {number}"))),
            ("password", Variant::from(format!("secret {number}"))),
        ])
    };
    let mut first = change(0);
    first.insert("aor", Variant::from("alice@example.org"));
    let id = client.create(first).await.unwrap();
    let mut acknowledged = 8;
    let started = std::time::Instant::now();
    for number in 1..=acknowledged {
        client.update(id, change(number), &[]).await.unwrap();
    }
    // However slow the disk is: the kills fall anywhere within the first three writes of a round.
    let three_writes = started.elapsed() * 3 / acknowledged;
    for round in 0..100 {
        let pid = bus.service_pid();
        let killer = tokio::spawn(async move {
            tokio::time::sleep(three_writes * (round * 37 % 100) / 100).await;
            kill_process(pid, Signal::KILL).expect("the service runs");
        });
        let mut sent = acknowledged;
        while !killer.is_finished() {
            sent += 1;
            match client.update(id, change(sent), &[]).await {
                Ok(()) => acknowledged = sent,
                Err(_) => break,
            }
        }
        killer.await.unwrap();
        bus.await_end(pid).await;
        let found = number(&client, id).await;
        assert!(
            (acknowledged..=sent).contains(&found),
            "{acknowledged} acknowledged, {sent} sent, {found} found"
        );
        acknowledged = found;
    }
    assert!(acknowledged > 20, "most rounds wrote something: {acknowledged}");
    assert!(!bus.log().contains("set aside"), "{}", bus.log());
}
