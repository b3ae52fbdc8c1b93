//! Whose answer it is, and what becomes of one that is odd (registration.md, "Answers").

use tokio::net::TcpStream;

use super::*;

/// What becomes of a 200 whose text `change` has changed.
async fn fate(change: impl Fn(&str) -> String) -> Option<Response> {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut short = request(7);
    short.timeout_millis = 400;
    rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), short, rig.settings());
    let (text, from) = receive(&server).await;
    let answer = change(&ok_to(&text, "Expires: 60\r\n"));
    server.send_to(answer.as_bytes(), from).await.unwrap();
    match rig.next().await {
        Input::Answer { response, .. } => Some(response),
        Input::Failed { failure: Failure::Silence, .. } => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_are_matched_by_branch_and_method_and_nothing_else() {
    assert!(fate(|answer| answer.replace("branch=z9hG4bK", "branch=z9hG4bKx")).await.is_none());
    assert!(fate(|answer| answer.replace("7 REGISTER", "7 OPTIONS")).await.is_none());
    for (from, to) in [
        ("7 REGISTER", "8 REGISTER"),
        ("Call-ID: call", "i: another"),
        (";tag=tag", ""),
        ("SIP/2.0 200", "sip/2.0 200"),
        (";rport", ";rport=99999;received=nonsense"),
        (";rport", ";rport=;x=\""),
    ] {
        let answer = fate(|answer| answer.replacen(from, to, 1)).await;
        let answer = answer.unwrap_or_else(|| panic!("{to} is an answer"));
        assert_eq!((answer.status, answer.phrase.as_str()), (200, "OK"));
        assert!(answer.headers.contains(&("Expires".into(), "60".into())), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_has_200_header_fields_at_most() {
    let fields = |count: usize| {
        move |answer: &str| {
            let has = answer.matches("\r\n").count() - 2;
            answer.replace("Expires:", &format!("{}Expires:", "X: y\r\n".repeat(count - has)))
        }
    };
    assert_eq!(fate(fields(200)).await.expect("200 are not too many").headers.len(), 200);
    assert!(fate(fields(201)).await.is_none());
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

/// A REGISTER of profile 1 that has come over a stream.
async fn asked_over_tcp() -> (Rig, TcpStream, String) {
    let rig = Rig::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = target(Transport::Tcp, listener.local_addr().unwrap());
    rig.edge.send(1, 1, server, request(1), rig.settings());
    let (mut stream, _) = listener.accept().await.unwrap();
    let text = read_request(&mut stream).await;
    (rig, stream, text)
}

#[tokio::test]
async fn an_answer_is_taken_and_the_end_of_its_flow_told_behind_it() {
    for _ in 0..50 {
        let (mut rig, mut stream, text) = asked_over_tcp().await;
        stream.write_all(ok_to(&text, "").as_bytes()).await.unwrap();
        drop(stream);
        let mut news = vec![rig.next().await];
        while !matches!(news.last(), Some(Input::Answer { .. })) {
            assert!(matches!(news.last(), Some(Input::FlowLost)), "{news:?}");
            news.push(rig.next().await);
        }
        assert!(matches!(rig.next().await, Input::FlowLost), "told when the answer is known");
    }
}

#[tokio::test]
async fn a_message_on_a_stream_that_is_not_taken_leaves_the_stream_alone() {
    let (mut rig, mut stream, text) = asked_over_tcp().await;
    let answer = ok_to(&text, "");
    let long = "y".repeat(wire::LONGEST);
    let unfit = [
        answer.replace("Content-Length: 0", &format!("X: {long}\r\nContent-Length: 0")),
        answer.replace("Content-Length: 0\r\n\r\n", &format!("l: {}\r\n\r\n{long}", long.len())),
        answer.replace("From:", "X: \0\r\nFrom:"),
        answer.replace("From:", &format!("{}From:", "X: y\r\n".repeat(201))),
    ];
    for message in &unfit {
        stream.write_all(message.as_bytes()).await.unwrap();
    }
    stream.write_all(answer.replace("200 OK", "299 Right").as_bytes()).await.unwrap();
    assert_eq!(rig.answer().await.status, 299);
    assert_eq!(rig.edge.dropped(), 4);
}

#[tokio::test]
async fn a_profile_has_one_user_agent() {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for (own, expected) in [(None, wire::USER_AGENT), (Some("mine"), "mine")] {
        let mut request = request(1);
        request.headers.extend(own.map(|own| (String::from("user-agent"), own.to_owned())));
        rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request, rig.settings());
        let (text, from) = receive(&server).await;
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).collect();
        let agents: Vec<_> =
            lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case("User-Agent")).collect();
        assert_eq!(agents.len(), 1, "{text}");
        assert_eq!(agents[0].1, expected);
        server.send_to(ok_to(&text, "").as_bytes(), from).await.unwrap();
        rig.answer().await;
    }
}
