//! The torture messages of RFC 4475, each written anew after its section: what becomes of it.

use std::net::Ipv4Addr;

use super::*;
use crate::sip::received::{Place, Received};
use crate::sip::wire::Answer;
use Fate::{Answered, Dropped, Response};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5060);

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Malformed: dropped and counted.
    Dropped,
    /// A response, for the transactions to take or not.
    Response,
    /// A request that is answered so at a Contact of ours.
    Answered(u16),
}

fn fate(bytes: &[u8]) -> Fate {
    let Some(head) = wire::head(bytes) else { return Dropped };
    if wire::is_answer(&head) {
        return if Answer::parse(&head).is_some() { Response } else { Dropped };
    }
    let Some(request) = Received::parse(&head) else { return Dropped };
    let answer = request.answer(Place::Ours, PEER).expect("none of them is an ACK");
    assert!(Answer::parse(&answer).is_some(), "our own answer reads as one: {answer}");
    Answered(answer[8..11].parse().expect("a status"))
}

/// A plain message, with lines of `changes` in place of those of the same name, or added; `-Name` leaves one out.
fn message(start: &str, changes: &[&str]) -> Vec<u8> {
    let method = start.split_whitespace().next().unwrap_or_default();
    let cseq = format!("CSeq: 8 {method}");
    let plain = [
        "Via: SIP/2.0/UDP t1.example.org;branch=z9hG4bKkdjuw",
        "Max-Forwards: 70",
        "From: <sip:caller@example.net>;tag=3413",
        "To: sip:user@example.com",
        "Call-ID: torture.0ha0isnda977644900765@192.0.2.9",
        &cseq,
        "Content-Length: 0",
    ];
    let name = |line: &str| line.split([':', ' ']).next().unwrap_or_default().to_ascii_lowercase();
    let changed =
        |line: &str| changes.iter().any(|change| name(change.trim_start_matches('-')) == name(line));
    let kept = plain.into_iter().filter(|line| !changed(line));
    let lines = kept.chain(changes.iter().copied().filter(|change| !change.starts_with('-')));
    let text: String = lines.map(|line| format!("{line}\r\n")).collect();
    format!("{start}\r\n{text}\r\n").into_bytes()
}

const OPTIONS: &str = "OPTIONS sip:user@example.com SIP/2.0";
const INVITE: &str = "INVITE sip:user@example.com SIP/2.0";
const REGISTER: &str = "REGISTER sip:example.com SIP/2.0";

/// §3.1.1 and §3.2–3.4: valid, if strange.
fn valid() -> Vec<(&'static str, Vec<u8>, Fate)> {
    let long = "longvalue".repeat(200);
    let long_line = format!("X-Unknown: {long}");
    let long_via = format!("Via: SIP/2.0/TCP sip33.example.com;{long}={long}");
    let mut twice = message(REGISTER, &["Contact: <sip:j.user@host.example.com>"]);
    twice.extend(message("INVITE sip:joe@example.com SIP/2.0", &[]));
    let mut parts = message(
        "MESSAGE sip:kumiko@example.org SIP/2.0",
        &["Content-Type: multipart/mixed;boundary=7a9cbec02ceef655", "Content-Length: 6"],
    );
    parts.extend([0, 0x82, 0xff, 0xfe, 0x0d, 0x0a]);
    let no_reason = b"SIP/2.0 100 \r\nVia: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\r\n\
        Call-ID: noreason\r\nCSeq: 35 INVITE\r\nFrom: <sip:u@example.com>;tag=39\r\n\
        To: <sip:e@example.edu>;tag=902\r\nContent-Length: 0\r\n\r\n";
    vec![
        (
            "wsinv: every place where space may be",
            message(
                "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
                &[
                    "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
                    "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8",
                    "MaX-fOrWaRdS: 0068",
                    "Call-ID: wsinv.ndaksdj@192.0.2.1",
                    "-Content-Length",
                    "l: 0",
                    "cseq: 0009\r\n  INVITE",
                    "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw",
                    "s :",
                    "NewFangledHeader:   newfangled value\r\n continued newfangled value",
                    "UnknownHeaderWithUnusualValue: ;;,,;;,;",
                    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8",
                    "m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33",
                ],
            ),
            Answered(480),
        ),
        (
            "intmeth: every character a method may have",
            message(
                "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
                &["To: \"BEL:\\\u{7} NUL:\\ DEL:\\\u{7f}\" <sip:1_unusual.URI@example.com>"],
            ),
            Answered(405),
        ),
        (
            "esc01: escapes in a URI",
            message(
                "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
                &["To: sip:%75se%72@example.com"],
            ),
            Answered(480),
        ),
        (
            "escnull: escaped nulls",
            message(REGISTER, &["To: sip:null-%00-null@example.com", "Contact: <sip:%00@host5.example.com>"]),
            Answered(405),
        ),
        (
            "esc02: percent that is no escape",
            message(
                "RE%47IST%45R sip:registrar.example.com SIP/2.0",
                &["To: \"%Z%45\" <sip:resource@example.com>"],
            ),
            Answered(405),
        ),
        (
            "lwsdisp: no space before <",
            message(OPTIONS, &["From: caller<sip:caller@example.com>;tag=323"]),
            Answered(200),
        ),
        ("longreq: long values", message(INVITE, &[&long_line, &long_via]), Answered(480)),
        ("dblreq: another request behind", twice, Answered(405)),
        (
            "semiuri: semicolons in the user part",
            message("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", &[]),
            Answered(200),
        ),
        (
            "transports: known and unknown",
            message(
                OPTIONS,
                &[
                    "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
                    "Via: SIP/2.0/UNKNOWN t5.example.com;branch=z9hG4bK2980unddj",
                    "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
                ],
            ),
            Answered(200),
        ),
        ("mpart01: a binary body", parts, Answered(405)),
        (
            "unreason: a reason that is not English",
            message("SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}", &["CSeq: 35 INVITE"]),
            Response,
        ),
        ("noreason: no reason", no_reason.to_vec(), Response),
        (
            "badbranch: a branch of the cookie alone",
            message(OPTIONS, &["Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"]),
            Answered(200),
        ),
        (
            "unkscm: an unknown scheme",
            message("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", &[]),
            Answered(200),
        ),
        (
            "novelsc: a known one that is not SIP",
            message("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", &[]),
            Answered(200),
        ),
        (
            "unksm2: unknown schemes in header fields",
            message(
                REGISTER,
                &[
                    "To: isbn:2983792873",
                    "From: <http://www.example.com>;tag=3234",
                    "Contact: <name:John_Smith>",
                ],
            ),
            Answered(405),
        ),
        (
            "bext01: an extension nobody has",
            message(OPTIONS, &["Require: nothingSupportsThis, nothingSupportsThisEither"]),
            Answered(420),
        ),
        (
            "invut: an unknown body",
            message(INVITE, &["Content-Type: application/unknownformat"]),
            Answered(480),
        ),
        (
            "regaut01: unknown credentials",
            message(REGISTER, &["Authorization: NoOneKnowsThisScheme opaque-data=here"]),
            Answered(405),
        ),
        (
            "bcast: a response to another host",
            message(
                "SIP/2.0 200 OK",
                &["CSeq: 8 INVITE", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1324923"],
            ),
            Response,
        ),
        ("zeromf: no hop left", message(OPTIONS, &["Max-Forwards: 0"]), Answered(200)),
        (
            "cparam01: a Contact parameter",
            message(REGISTER, &["Contact: sip:+19725552222@gw1.example.net;unknownparam"]),
            Answered(405),
        ),
        (
            "cparam02: a URI parameter",
            message(REGISTER, &["Contact: <sip:+19725552222@gw1.example.net;unknownparam>"]),
            Answered(405),
        ),
        (
            "regescrt: escaped header fields in Contact",
            message(REGISTER, &["Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"]),
            Answered(405),
        ),
        ("sdp01: a body nobody accepts", message(INVITE, &["Accept: text/nobodyKnowsThis"]), Answered(480)),
        (
            "inv2543: as RFC 2543 wrote them",
            message(
                "INVITE sip:UserB@example.com SIP/2.0",
                &[
                    "Via: SIP/2.0/UDP iftgw.example.com",
                    "From: <sip:+13035551111@ift.client.example.net;user=phone>",
                    "-Max-Forwards",
                ],
            ),
            Answered(480),
        ),
    ]
}

/// §3.1.2 and the rest of §3.3: what is no message.
fn invalid() -> Vec<(&'static str, Vec<u8>, Fate)> {
    vec![
        (
            "badinv01: separators too many",
            message(
                INVITE,
                &["Via: SIP/2.0/UDP 192.0.2.15;;,;,,", "Contact: \"Joe\" <sip:joe@example.org>;;;;"],
            ),
            Dropped,
        ),
        ("clerr: less body than promised", message(INVITE, &["Content-Length: 9999"]), Dropped),
        ("ncl: a negative length", message(INVITE, &["Content-Length: -999"]), Dropped),
        (
            "scalar02: numbers too large",
            message(REGISTER, &["CSeq: 36893488147419103232 REGISTER", "Max-Forwards: 300"]),
            Dropped,
        ),
        (
            "scalarlg: the same in a response",
            message(
                "SIP/2.0 503 Service Unavailable",
                &["CSeq: 9292394834772304023312 OPTIONS", "Retry-After: 949302838503028349304023988"],
            ),
            Response,
        ),
        (
            "quotbal: a quote that does not end",
            message(INVITE, &["To: \"Mr. J. User <sip:j.user@example.com>"]),
            Dropped,
        ),
        (
            "ltgtruri: brackets around the Request-URI",
            message("INVITE <sip:user@example.com> SIP/2.0", &[]),
            Dropped,
        ),
        (
            "lwsruri: space in the Request-URI",
            message("INVITE sip:user@example.com; lr SIP/2.0", &[]),
            Dropped,
        ),
        ("lwsstart: spaces too many", message("INVITE  sip:user@example.com  SIP/2.0", &[]), Dropped),
        (
            "trws: space behind the start line",
            message("OPTIONS sip:remote-target@example.com SIP/2.0  ", &[]),
            Dropped,
        ),
        (
            "escruri: header fields in the Request-URI",
            message("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", &[]),
            Dropped,
        ),
        (
            "baddate: a Date of another zone is not ours to read",
            message(INVITE, &["Date: Fri, 01 Jan 2010 16:00:00 EST"]),
            Answered(480),
        ),
        (
            "regbadct: a Contact for a registrar to refuse",
            message(REGISTER, &["Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"]),
            Answered(405),
        ),
        (
            "badaspec: spaces inside the brackets",
            message(OPTIONS, &["To: \"Watson, Thomas\" < sip:t.watson@example.org >"]),
            Dropped,
        ),
        (
            "baddn: a display name without its quotes is clear enough",
            message(OPTIONS, &["From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"]),
            Answered(200),
        ),
        (
            "badvers: another version",
            message(
                "OPTIONS sip:t.watson@example.org SIP/7.0",
                &["Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw"],
            ),
            Dropped,
        ),
        ("mismatch01: two methods", message(OPTIONS, &["CSeq: 8 INVITE"]), Dropped),
        (
            "mismatch02: an unknown one and a known",
            message("NEWMETHOD sip:user@example.com SIP/2.0", &["CSeq: 8 INVITE"]),
            Dropped,
        ),
        (
            "bigcode: a status past all",
            message("SIP/2.0 4294967301 better not break the receiver", &["CSeq: 8 INVITE"]),
            Dropped,
        ),
        ("insuf: fields missing", message(INVITE, &["-From", "-To", "-Call-ID"]), Dropped),
        (
            "multi01: single fields twice",
            message(
                INVITE,
                &[
                    "CSeq: 5 INVITE",
                    "CSeq: 59 INVITE",
                    "Call-ID: one",
                    "Call-ID: two",
                    "From: <sip:a@example.com>;tag=1",
                    "From: <sip:b@example.com>;tag=2",
                ],
            ),
            Dropped,
        ),
        ("mcl01: two lengths", message(OPTIONS, &["Content-Length: 0", "Content-Length: 5"]), Dropped),
    ]
}

#[test]
fn each_torture_message_has_its_fate() {
    let messages = valid().into_iter().chain(invalid());
    let wrong: Vec<_> = messages
        .filter_map(|(name, bytes, expected)| {
            let fate = fate(&bytes);
            (fate != expected).then(|| format!("{name}: {fate:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(valid().len() + invalid().len(), 49, "RFC 4475 has that many");
}

#[test]
fn what_is_required_and_not_had_is_named_and_nothing_else() {
    let answer = |requires: &[&str]| {
        let head = wire::head(&message(OPTIONS, requires)).unwrap();
        Received::parse(&head).unwrap().answer(Place::Ours, PEER).unwrap()
    };
    assert!(answer(&["Require: path, GRUU"]).starts_with("SIP/2.0 200 "));
    let refusal = answer(&["Require: path,foo", "Require: bar"]);
    assert!(
        refusal.starts_with("SIP/2.0 420 ") && refusal.contains("\r\nUnsupported: foo, bar\r\n"),
        "{refusal}"
    );
}

#[tokio::test]
async fn after_all_of_them_the_next_question_is_answered() {
    let mut rig = Rig::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    rig.edge.send(1, 1, target(Transport::Udp, server.local_addr().unwrap()), request(1), rig.settings());
    let (text, ours) = receive(&server).await;
    server.send_to(ok_to(&text, "").as_bytes(), ours).await.unwrap();
    rig.answer().await;
    let mut dropped = 0;
    for (_, bytes, fate) in valid().into_iter().chain(invalid()) {
        server.send_to(&bytes, ours).await.unwrap();
        if let Answered(_) = fate {
            let (answer, _) = receive(&server).await;
            assert!(answer.starts_with("SIP/2.0 404 "), "that user is not ours: {answer}");
        }
        // The responses answer nothing that was asked.
        dropped += u64::from(matches!(fate, Dropped | Response));
    }
    let last = message(&format!("OPTIONS sip:token@{ours} SIP/2.0"), &[]);
    server.send_to(&last, ours).await.unwrap();
    let (answer, _) = receive(&server).await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert_eq!(rig.edge.dropped(), dropped);
}
