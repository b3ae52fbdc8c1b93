//! A server gone mad: what it sends costs it an answer at most.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sip_profiles_tests::PATIENCE;
use sip_profiles_tests::bus::{Bus, Options, resident};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::random::Random;
use zbus::Variant;

const MESSAGES: u32 = 1_000_000;
/// So many fit the service's receive buffer.
const BATCH: u32 = 100;
/// The service may not keep more of them, bytes.
const GROWTH: u64 = 8 * 1024 * 1024;

/// One to four changes: a byte, a piece gone, doubled or torn off, and what parsers fear.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const FEARED: [&[u8]; 10] = [
        b"\r\n\r\n",
        b"\r\n ",
        b"\0",
        b"\xff\xfe",
        b"4294967296",
        b"-1",
        b"\"",
        b"<",
        b";;,;=",
        b"Content-Length: 18446744073709551616\r\n",
    ];
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap_or(0),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            _ => {
                let feared = FEARED[random.below(FEARED.len())];
                bytes.splice(at..at, feared.iter().copied());
            }
        }
    }
    bytes.truncate(1400);
}

fn seeds(token_uri: &str, server: SocketAddr) -> Vec<String> {
    let fields = |method: &str| {
        format!(
            "Via: SIP/2.0/UDP {server};branch=z9hG4bKx;rport\r\nMax-Forwards: 70\r\n\
             From: \"A\" <sip:a@h>;tag=1\r\nTo: <{token_uri}>\r\nCall-ID: c@h\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:a@{server}>\r\n"
        )
    };
    let request = |method: &str| format!("{method} {token_uri} SIP/2.0\r\n{}", fields(method));
    vec![
        format!("{}Content-Length: 0\r\n\r\n", request("OPTIONS")),
        format!("{}Require: none\r\nl: 4\r\n\r\nbody", request("INVITE")),
        format!("{}Event: message-summary\r\nContent-Length: 0\r\n\r\n", request("NOTIFY")),
        format!("{}Subject: x\r\n folded\r\n\r\n", request("MESSAGE")),
        format!(
            "SIP/2.0 401 Unauthorized\r\n{}WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\r\n",
            fields("REGISTER")
        ),
        format!("SIP/2.0 200 OK\r\n{}Expires: 600\r\n\r\n", fields("REGISTER")),
    ]
}

/// Answers the first REGISTER, without asking for a password; says where it came from and what its Contact is.
fn register(server: &UdpSocket) -> (SocketAddr, String) {
    let mut buffer = vec![0; 65536];
    let (length, from) = server.recv_from(&mut buffer).expect("a REGISTER comes");
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
    let lines = text.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
    let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
    let answer = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
    server.send_to(answer.as_bytes(), from).expect("loopback takes datagrams");
    let contact = text.split("Contact: <").nth(1).and_then(|rest| rest.split('>').next());
    (from, contact.expect("there is a Contact").to_owned())
}

/// Is a plain question answered? Reads away the answers to the mutated ones in front of it.
fn answers(server: &UdpSocket, to: SocketAddr, question: &str, number: u32) -> bool {
    let question = question.replace("c@h", &format!("probe-{number}-"));
    let mut buffer = vec![0; 65536];
    for _ in 0..5 {
        server.send_to(question.as_bytes(), to).expect("loopback takes datagrams");
        while let Ok((length, _)) = server.recv_from(&mut buffer) {
            let answer = String::from_utf8_lossy(&buffer[..length]);
            if answer.starts_with("SIP/2.0 200") && answer.contains(&format!("probe-{number}-")) {
                return true;
            }
        }
    }
    false
}

fn flood(server: &UdpSocket, to: SocketAddr, seeds: &[String], messages: u32) {
    let mut random = Random(4475);
    for number in 0..messages {
        let mut bytes = seeds[random.below(seeds.len())].clone().into_bytes();
        mutate(&mut bytes, &mut random);
        if !bytes.is_empty() {
            server.send_to(&bytes, to).expect("loopback takes datagrams");
        }
        if number % BATCH == BATCH - 1 {
            assert!(answers(server, to, &seeds[0], number), "no answer after {number} messages");
        }
    }
}

#[tokio::test]
async fn a_million_mutated_messages_leave_it_answering_and_small() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let bus = Bus::start(Options { log: String::from("warn"), ..Options::default() });
    let client = Client::connect(&bus).await;
    let settings = Dict::from([
        ("aor", Variant::from("sip:alice@example.org")),
        ("registrar", Variant::from(address.to_string())),
    ]);
    let id = client.create(settings).await.unwrap();
    client.enable(id, Dict::new()).await.unwrap();
    let pid = bus.service_pid();
    let growth = tokio::task::spawn_blocking(move || {
        let (to, contact) = register(&server);
        server.set_read_timeout(Some(Duration::from_secs(1))).expect("a sound time");
        let seeds = seeds(&contact, address);
        flood(&server, to, &seeds, BATCH * 100);
        let before = resident(pid);
        flood(&server, to, &seeds, MESSAGES);
        resident(pid).saturating_sub(before)
    });
    let growth = growth.await.unwrap();
    assert!(growth < GROWTH, "it has grown by {growth} bytes");
    assert_eq!(client.state(id).await, "registered");
    assert_eq!(bus.service_pids().len(), 1, "it was never restarted");
}
