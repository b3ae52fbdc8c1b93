//! What comes in: answers go to their transactions, requests are answered here.
//!
//! Requests are answered without keeping state (RFC 3261 §8.2.7): a retransmission gets the same answer again, and
//! nothing a peer sends makes us remember anything.

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::sip::SipMessage;
use rsipstack::transport::{SipAddr, SipConnection};

use super::{Shared, wire};

const ALLOW: &str = "OPTIONS, NOTIFY, INVITE, ACK, CANCEL, BYE";

/// Takes one message. Returns the answer to a request, to be sent back over the flow it came from.
pub async fn take(
    shared: &Arc<Shared>,
    bytes: &[u8],
    peer: SocketAddr,
    connection: &SipConnection,
) -> Option<String> {
    let Some(head) = wire::head(bytes) else {
        shared.drop_message("no header");
        return None;
    };
    if head.starts_with("SIP/2.0 ") {
        take_response(shared, &head, peer, connection).await;
        return None;
    }
    let answer = answer(shared, &head, peer);
    if answer.is_none() && !head.starts_with("ACK ") {
        shared.drop_message("a request that is malformed or a stranger's");
    }
    answer
}

async fn take_response(shared: &Arc<Shared>, head: &str, peer: SocketAddr, connection: &SipConnection) {
    let Some(message @ SipMessage::Response(_)) = wire::parse(head.as_bytes()) else {
        return shared.drop_message("a response that is malformed");
    };
    let from = SipAddr { r#type: Some(connection.transport()), addr: peer.into() };
    if shared.endpoint.on_received_message(message, connection.clone(), &from).await.is_err() {
        shared.drop_message("a response that fits no request");
    }
}

/// The answer to a request; `None` where it is dropped.
fn answer(shared: &Shared, head: &str, peer: SocketAddr) -> Option<String> {
    let fields = wire::fields(head);
    if fields.len() > wire::FIELDS {
        return None;
    }
    let mut start = head.lines().next()?.split(' ');
    let (method, uri, version) = (start.next()?, start.next()?, start.next()?);
    let first = |name: &str| {
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let whole = version == "SIP/2.0"
        && ["Via", "From", "Call-ID"].iter().all(|name| first(name).is_some_and(|value| !value.is_empty()));
    let cseq_method = first("CSeq")?.split_whitespace().nth(1)?;
    let to = first("To")?;
    if !whole || cseq_method != method || method == "ACK" {
        return None;
    }
    let (profile_known, from_server) = place(shared, uri, peer);
    if !from_server {
        return None;
    }
    let (status, extra) = if profile_known { verdict(method, first("Event")) } else { ("404 Not Found", "") };
    let mut text = format!("SIP/2.0 {status}\r\n");
    for (name, value) in &fields {
        match name.to_ascii_lowercase().as_str() {
            "via" | "from" | "call-id" | "cseq" => text.push_str(&format!("{name}: {value}\r\n")),
            "to" if has_tag(to) => text.push_str(&format!("To: {value}\r\n")),
            "to" => text.push_str(&format!("To: {value};tag={}\r\n", stable_tag(first("Call-ID")?))),
            _ => {}
        }
    }
    text.push_str(extra);
    text.push_str(&format!("Server: {}\r\nContent-Length: 0\r\n\r\n", wire::USER_AGENT));
    Some(text)
}

/// Whether the Request-URI's user is a Contact token of ours, and whether `peer` is a server that such a
/// profile's flow leads to. An unknown token is answered to any server of ours.
fn place(shared: &Shared, uri: &str, peer: SocketAddr) -> (bool, bool) {
    let user = uri.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user);
    let state = shared.state();
    let profile = user.and_then(|user| state.tokens.get(user)).and_then(|id| state.profiles.get(id));
    let is_from = |profile: &super::Profile| profile.way.as_ref().is_some_and(|way| way.flow.is_from(peer));
    match profile {
        Some(profile) => (true, is_from(profile)),
        None => (false, state.profiles.values().any(is_from)),
    }
}

/// Status line and further header lines (registration.md, "Staying reachable").
fn verdict(method: &str, event: Option<&str>) -> (&'static str, &'static str) {
    match method {
        "OPTIONS" => (
            "200 OK",
            "Allow: OPTIONS, NOTIFY, INVITE, ACK, CANCEL, BYE\r\nAccept: application/sdp\r\n\
             Supported: path, outbound, gruu\r\n",
        ),
        "INVITE" => ("480 Temporarily Unavailable", ""),
        "NOTIFY" => {
            let package = event.and_then(|event| event.split(';').next()).unwrap_or_default().trim();
            if package.eq_ignore_ascii_case("message-summary") {
                ("200 OK", "")
            } else {
                ("481 Subscription Does Not Exist", "")
            }
        }
        "CANCEL" | "BYE" => ("481 Call/Transaction Does Not Exist", ""),
        _ => ("405 Method Not Allowed", "Allow: OPTIONS, NOTIFY, INVITE, ACK, CANCEL, BYE\r\n"),
    }
}

fn has_tag(to: &str) -> bool {
    let params = to.rsplit('>').next().unwrap_or(to);
    params.split(';').any(|param| param.trim().to_ascii_lowercase().starts_with("tag="))
}

/// A tag that a retransmission gets as well.
fn stable_tag(call_id: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (call_id, ALLOW).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
