//! Pings and pongs on the wire (RFC 5626 §4.4.1; registration.md, "Staying reachable").

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;

const OFTEN: KeepAlive = KeepAlive { min_millis: 20, max_millis: 30 };
const SLOWLY: KeepAlive = KeepAlive { min_millis: 900, max_millis: 1000 };

/// A profile registered over TCP, and the server's end of its flow.
async fn registered() -> (Rig, TcpStream) {
    let mut rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = target(Transport::Tcp, listener.local_addr().unwrap());
    rig.edge.send(1, 1, server, request(1), rig.settings());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        text.push_str(&read(&mut stream).await);
    }
    stream.write_all(ok_to(&text, "").as_bytes()).await.unwrap();
    rig.answer().await;
    (rig, stream)
}

async fn read(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let length = timeout(2 * PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_server_that_never_ponged_may_be_silent_for_ever() {
    let (mut rig, mut stream) = registered().await;
    rig.edge.keep_alive(1, Some(SLOWLY));
    assert_pinged_past_a_pong(&mut stream).await;
    assert!(rig.news.try_recv().is_err(), "the flow is fine");
}

/// Pings keep their time where nobody pongs, past the time for the first one's pong.
async fn assert_pinged_past_a_pong(stream: &mut TcpStream) {
    let from = Instant::now();
    for count in 1..=12 {
        assert_eq!(read(stream).await, "\r\n\r\n");
        let bounds = Duration::from_millis(900 * count - 50)..Duration::from_millis(1000 * count + 3000);
        assert!(bounds.contains(&from.elapsed()), "ping {count} after {:?}", from.elapsed());
    }
}

#[tokio::test]
async fn line_ends_that_no_ping_asked_for_are_no_pong() {
    let (mut rig, mut stream) = registered().await;
    // Some servers ping too, and some begin each message with a line end.
    stream.write_all(b"\r\n\r\n").await.unwrap();
    rig.edge.send(1, 2, target(Transport::Tcp, stream.local_addr().unwrap()), request(2), rig.settings());
    let text = read(&mut stream).await;
    stream.write_all(format!("\r\n{}", ok_to(&text, "")).as_bytes()).await.unwrap();
    rig.answer().await;
    rig.edge.keep_alive(1, Some(SLOWLY));
    assert_pinged_past_a_pong(&mut stream).await;
    assert!(rig.news.try_recv().is_err(), "the flow is fine");
}

#[tokio::test]
async fn a_server_that_has_ponged_and_does_not_for_10_s_is_gone() {
    let (mut rig, mut stream) = registered().await;
    rig.edge.keep_alive(1, Some(OFTEN));
    for _ in 0..5 {
        assert_eq!(read(&mut stream).await, "\r\n\r\n");
        stream.write_all(b"\r\n").await.unwrap();
    }
    assert_eq!(read(&mut stream).await, "\r\n\r\n");
    let silent_from = Instant::now();
    let told = timeout(2 * PATIENCE, rig.news.recv()).await.unwrap().unwrap();
    assert!(matches!(told, News::Registration { profile: 1, input: Input::FlowLost }), "{told:?}");
    assert!(silent_from.elapsed() > Duration::from_secs(9), "{:?}", silent_from.elapsed());
}

#[tokio::test]
async fn line_ends_of_a_server_are_never_answered() {
    let (rig, mut stream) = registered().await;
    for line_ends in ["\r\n", "\r\n\r\n", "\r\n"] {
        stream.write_all(line_ends.as_bytes()).await.unwrap();
    }
    let ours = stream.peer_addr().unwrap();
    let question = format!(
        "OPTIONS sip:token@{ours} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n\
         From: <sip:r@h>;tag=1\r\nTo: <sip:token@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(question.as_bytes()).await.unwrap();
    assert!(read(&mut stream).await.starts_with("SIP/2.0 200 "), "the first thing that comes is the answer");
    drop(rig);
}

#[tokio::test]
async fn datagrams_are_pinged_and_never_ponged() {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request(1), rig.settings());
    let (text, from) = receive(&server).await;
    server.send_to(ok_to(&text, "").as_bytes(), from).await.unwrap();
    rig.answer().await;
    rig.edge.keep_alive(1, Some(OFTEN));
    for _ in 0..3 {
        assert_eq!(receive(&server).await, (String::from("\r\n\r\n"), from));
    }
    rig.edge.keep_alive(1, None);
    server.send_to(b"\r\n\r\n", from).await.unwrap();
    // What was on its way when it was switched off may still come, but no pong.
    while let Ok((text, _)) = timeout(Duration::from_millis(200), receive(&server)).await {
        assert_eq!(text, "\r\n\r\n");
    }
}
