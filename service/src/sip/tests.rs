//! The edge against small servers on loopback.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::registration::{Failure, Input, Response, Transport};
use crate::settings::{Settings, SipUri, TransportChoice, Value, Values};

const PATIENCE: Duration = Duration::from_secs(10);

mod answers;
mod keep_alive;
mod tls;
mod torture;

struct Rig {
    edge: Edge,
    settings: Arc<Settings>,
    news: mpsc::UnboundedReceiver<News>,
}

impl Rig {
    fn new() -> Self {
        Self::with(&[])
    }

    /// An edge with one profile of these settings.
    fn with(values: &[(&str, &str)]) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let edge = Edge::start(tell);
        let settings = settings(values);
        edge.configure(1, settings.clone(), String::from("token"));
        Self { edge, settings, news }
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.clone()
    }

    async fn next(&mut self) -> Input {
        let News::Registration { profile, input } =
            timeout(PATIENCE, self.news.recv()).await.expect("news in time").expect("the edge lives");
        assert_eq!(profile, 1);
        input
    }

    async fn answer(&mut self) -> Response {
        match self.next().await {
            Input::Answer { response, .. } => response,
            other => panic!("no answer: {other:?}"),
        }
    }
}

fn settings(values: &[(&str, &str)]) -> Arc<Settings> {
    let aor = [("aor", "alice@127.0.0.1")];
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), Value::Text((*value).to_owned()));
    let values: Values = aor.iter().chain(values).map(text).collect();
    Arc::new(Settings::create(values).unwrap())
}

fn target(transport: Transport, address: SocketAddr) -> Target {
    Target { transport, address, host: String::from("localhost") }
}

fn request(cseq: u32) -> Request {
    Request {
        uri: String::from("sip:127.0.0.1"),
        aor: String::from("sip:alice@127.0.0.1"),
        from_tag: String::from("tag"),
        call_id: String::from("call"),
        cseq,
        contact_user: String::from("token"),
        contact_secure: false,
        contact_address: None,
        contact_uri: None,
        contact_params: vec![String::from("reg-id=1"), String::from("expires=600")],
        headers: vec![(String::from("Expires"), String::from("600"))],
        may_switch_to_tcp: false,
        timeout_millis: 3000,
    }
}

fn ok_to(request: &str, extra: &str) -> String {
    let lines: String = request
        .lines()
        .filter(|line| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    format!("SIP/2.0 200 OK\r\n{lines}{extra}Content-Length: 0\r\n\r\n")
}

async fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65536];
    let (length, from) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

#[tokio::test]
async fn a_datagram_is_answered_over_ipv4_and_ipv6() {
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let mut rig = Rig::new();
        let server = UdpSocket::bind(local).await.unwrap();
        rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request(1), rig.settings());
        let (text, from) = receive(&server).await;
        assert!(text.contains(&format!("Contact: <sip:token@{from}>;reg-id=1;expires=600\r\n")), "{text}");
        assert!(
            text.contains(";rport;branch=z9hG4bK") && text.contains("\r\nMax-Forwards: 70\r\n"),
            "{text}"
        );
        server.send_to(b"SIP/2.0 garbage", from).await.unwrap();
        server.send_to(b"\r\n\r\n", from).await.unwrap();
        server.send_to(ok_to(&text, "m: <sip:x@y>;expires=60\r\n").as_bytes(), from).await.unwrap();
        let response = rig.answer().await;
        assert_eq!((response.status, response.local), (200, from));
        assert_eq!(response.contact, format!("sip:token@{from}"));
        assert!(
            response.headers.contains(&("Contact".into(), "<sip:x@y>;expires=60".into())),
            "{response:?}"
        );
        assert_eq!(rig.edge.dropped(), 1);
    }
}

#[tokio::test]
async fn silence_is_told_when_the_time_is_over_and_not_as_an_answer() {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut short = request(1);
    short.timeout_millis = 200;
    rig.edge.send(1, 7, target(Transport::Udp, server.local_addr().unwrap()), short, rig.settings());
    assert!(matches!(rig.next().await, Input::Failed { attempt: 7, failure: Failure::Silence }));
}

#[tokio::test]
async fn a_closed_port_is_told_at_once_and_only_to_whom_it_concerns() {
    let mut rig = Rig::new();
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    rig.edge.send(1, 1, target(Transport::Udp, closed), request(1), rig.settings());
    match rig.next().await {
        Input::Failed { attempt: 1, failure: Failure::Unreachable(why) } => {
            assert!(why.contains("refused"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    rig.edge.send(1, 2, target(Transport::Udp, server.local_addr().unwrap()), request(2), rig.settings());
    let (text, from) = receive(&server).await;
    server.send_to(ok_to(&text, "").as_bytes(), from).await.unwrap();
    assert_eq!(rig.answer().await.status, 200);
}

#[tokio::test]
async fn a_stream_is_reused_torn_anywhere_and_its_end_is_told() {
    let mut rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = target(Transport::Tcp, listener.local_addr().unwrap());
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            while !text.contains("\r\n\r\n") {
                let mut byte = [0; 512];
                let length = stream.read(&mut byte).await.unwrap();
                text.push_str(&String::from_utf8_lossy(&byte[..length]));
            }
            assert!(text.contains(";transport=tcp>"), "{text}");
            stream.set_nodelay(true).unwrap();
            // A pong glued in front, then one byte at a time.
            for byte in format!("\r\n{}", ok_to(&text, "")).bytes() {
                stream.write_all(&[byte]).await.unwrap();
            }
        }
        stream
    };
    let client = async {
        rig.edge.send(1, 1, server.clone(), request(1), rig.settings());
        let first = rig.answer().await;
        rig.edge.send(1, 2, server.clone(), request(2), rig.settings());
        assert_eq!(rig.answer().await.local, first.local, "the same stream");
    };
    let (stream, ()) = tokio::join!(peer, client);
    drop(stream);
    assert!(matches!(rig.next().await, Input::FlowLost));
}

#[tokio::test]
async fn a_refused_connection_and_a_lost_one_are_told_at_once() {
    let mut rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = target(Transport::Tcp, listener.local_addr().unwrap());
    rig.edge.send(1, 1, server.clone(), request(1), rig.settings());
    let (stream, _) = listener.accept().await.unwrap();
    drop(stream);
    let lost = [rig.next().await, rig.next().await];
    assert!(
        lost.iter().any(|one| matches!(one, Input::Failed { failure: Failure::Unreachable(_), .. })),
        "{lost:?}"
    );
    drop(listener);
    rig.edge.send(1, 2, server, request(2), rig.settings());
    match rig.next().await {
        Input::Failed { attempt: 2, failure: Failure::Unreachable(why) } => {
            assert!(why.contains("refuses"), "{why}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn requests_at_our_contact_are_answered_to_our_server_only() {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request(1), rig.settings());
    let (text, ours) = receive(&server).await;
    server.send_to(ok_to(&text, "").as_bytes(), ours).await.unwrap();
    rig.answer().await;
    let ask = |method: &str, user: &str, extra: &str| {
        format!(
            "{method} sip:{user}@{ours} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n\
             From: <sip:r@h>;tag=1\r\nTo: <sip:{user}@h>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n{extra}\
             Content-Length: 0\r\n\r\n"
        )
    };
    for (method, user, extra, status) in [
        ("OPTIONS", "token", "", "200"),
        ("INVITE", "token", "", "480"),
        ("NOTIFY", "token", "Event: message-summary\r\n", "200"),
        ("NOTIFY", "token", "Event: presence\r\n", "481"),
        ("MESSAGE", "token", "", "405"),
        ("OPTIONS", "nobody", "", "404"),
    ] {
        server.send_to(ask(method, user, extra).as_bytes(), ours).await.unwrap();
        let (answer, _) = receive(&server).await;
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{method} {user}: {answer}");
        assert!(answer.contains(";tag="), "{answer}");
    }
    let before = rig.edge.dropped();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(ask("OPTIONS", "token", "").as_bytes(), ours).await.unwrap();
    server.send_to(ask("ACK", "token", "").as_bytes(), ours).await.unwrap();
    // The answer to a last question proves that the two before were looked at.
    server.send_to(ask("OPTIONS", "token", "").as_bytes(), ours).await.unwrap();
    let (answer, _) = receive(&server).await;
    assert!(answer.starts_with("SIP/2.0 200"), "an ACK is absorbed: {answer}");
    assert_eq!(rig.edge.dropped(), before + 1);
    assert!(stranger.try_recv(&mut [0; 10]).is_err());
}

#[tokio::test]
async fn other_servers_of_the_name_may_ask_too() {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let uri = SipUri::parse(&format!("sip:127.0.0.1:{port}")).unwrap();
    rig.edge.resolve(1, 1, Hop { uri, transport: TransportChoice::Auto });
    rig.next().await;
    rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request(1), rig.settings());
    let (text, ours) = receive(&server).await;
    server.send_to(ok_to(&text, "").as_bytes(), ours).await.unwrap();
    rig.answer().await;
    for asker in [&server, &other] {
        let question = format!(
            "OPTIONS sip:token@{ours} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n\
             From: <sip:r@h>;tag=1\r\nTo: <sip:token@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
        );
        asker.send_to(question.as_bytes(), ours).await.unwrap();
        assert!(receive(asker).await.0.starts_with("SIP/2.0 200 "));
    }
}

#[tokio::test]
async fn silent_servers_keep_nobody_else_waiting() {
    let mut rig = Rig::new();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let all = 2 + u32::try_from(WINDOW).unwrap();
    for profile in 2..=all {
        rig.edge.configure(profile, rig.settings(), profile.to_string());
        let silent = target(Transport::Udp, silent.local_addr().unwrap());
        rig.edge.send(profile, 1, silent, request(profile), rig.settings());
    }
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request(1), rig.settings());
    let (text, from) = timeout(Duration::from_secs(2), receive(&server)).await.expect("soon");
    server.send_to(ok_to(&text, "").as_bytes(), from).await.unwrap();
    rig.answer().await;
}

#[tokio::test]
async fn numbers_need_no_name_server_and_ports_and_transports_are_kept() {
    let mut rig = Rig::new();
    for (uri, transport, expected) in [
        ("sip:127.0.0.1", TransportChoice::Auto, "udp:127.0.0.1:5060"),
        ("sip:[::1]:5070", TransportChoice::Tcp, "tcp:[::1]:5070"),
        ("sip:127.0.0.1;transport=tcp", TransportChoice::Auto, "tcp:127.0.0.1:5060"),
    ] {
        rig.edge.resolve(1, 1, Hop { uri: SipUri::parse(uri).unwrap(), transport });
        match rig.next().await {
            Input::Resolved { result: Ok(targets), .. } => assert_eq!(targets[0].to_string(), expected),
            other => panic!("{other:?}"),
        }
    }
}
