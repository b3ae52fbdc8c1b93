//! A request that somebody sent us, and the answer to it. Pure.
//!
//! Requests are answered without keeping state (RFC 3261 §8.2.7): a retransmission gets the same answer again, and
//! nothing a peer sends makes us remember anything. What is malformed (RFC 4475 shows how) is not answered at all:
//! servers send nothing of the kind, and whoever does learns nothing.

use std::net::SocketAddr;

use super::wire;
use crate::settings::grammar::is_token;

const ALLOW: &str = "OPTIONS, NOTIFY, INVITE, ACK, CANCEL, BYE";
const SUPPORTED: [&str; 3] = ["path", "outbound", "gruu"];
/// Header fields that stand once in a message (RFC 3261 §7.3.1).
const SINGLE: [&str; 6] = ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length"];

/// A well-formed request.
#[derive(Debug)]
pub struct Received {
    method: String,
    uri: String,
    fields: Vec<(String, String)>,
}

/// Whose the Request-URI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Contact of ours.
    Ours,
    /// Nobody's.
    Nobodys,
}

impl Received {
    /// Reads the start line and the header fields. `None`: malformed.
    pub fn parse(head: &str) -> Option<Self> {
        let (method, uri) = start_line(head)?;
        let fields = wire::fields(head);
        if fields.len() > wire::FIELDS {
            return None;
        }
        let request = Self { method: method.to_owned(), uri: uri.to_owned(), fields };
        request.is_whole().then_some(request)
    }

    /// `ACK` is never answered.
    pub fn is_ack(&self) -> bool {
        self.method == "ACK"
    }

    /// The user part of the Request-URI: the Contact token it asks for.
    pub fn user(&self) -> Option<&str> {
        let (_, rest) = self.uri.split_once(':')?;
        rest.split_once('@').map(|(user, _)| user)
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What RFC 3261 §8.1.1 asks of every request.
    fn is_whole(&self) -> bool {
        let times = |name: &str| self.fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).count();
        let parties = ["From", "To"].iter().all(|name| self.first(name).is_some_and(is_address));
        let vias = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Via"));
        SINGLE.iter().all(|name| times(name) <= 1)
            && parties
            && self.first("Call-ID").is_some_and(|id| !id.is_empty() && !id.contains(char::is_whitespace))
            && self.first("CSeq").is_some_and(|cseq| is_cseq(cseq, &self.method))
            && times("Via") > 0
            && vias.flat_map(|(_, value)| value.split(',')).all(is_via)
            && self.first("Max-Forwards").is_none_or(|hops| hops.parse::<u8>().is_ok())
    }

    /// The answer to `peer`, which it came from; `None` to an ACK.
    pub fn answer(&self, place: Place, peer: SocketAddr) -> Option<String> {
        if self.is_ack() {
            return None;
        }
        let unsupported = self.unsupported();
        let (status, extra) = match place {
            Place::Nobodys => ("404 Not Found", String::new()),
            Place::Ours if unsupported.is_empty() => self.verdict(),
            Place::Ours => ("420 Bad Extension", format!("Unsupported: {}\r\n", unsupported.join(", "))),
        };
        let mut text = format!("SIP/2.0 {status}\r\n");
        let mut is_top = true;
        for (name, value) in &self.fields {
            match name.to_ascii_lowercase().as_str() {
                "via" if std::mem::take(&mut is_top) => {
                    text.push_str(&format!("{name}: {}\r\n", seen_from(value, peer)));
                }
                "via" | "from" | "call-id" | "cseq" => text.push_str(&format!("{name}: {value}\r\n")),
                "to" if has_tag(value) => text.push_str(&format!("To: {value}\r\n")),
                "to" => text.push_str(&format!("To: {value};tag={}\r\n", self.stable_tag())),
                _ => {}
            }
        }
        text.push_str(&extra);
        text.push_str(&format!("Server: {}\r\nContent-Length: 0\r\n\r\n", wire::USER_AGENT));
        Some(text)
    }

    /// The required options that we do not have (RFC 3261 §8.2.2.3).
    fn unsupported(&self) -> Vec<&str> {
        let required = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Require"));
        let options = required.flat_map(|(_, options)| options.split(',')).map(str::trim);
        let is_known = |option: &&str| SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(option));
        options.filter(|option| self.method != "CANCEL" && !option.is_empty() && !is_known(option)).collect()
    }

    /// Status line and further header lines (registration.md, "Staying reachable").
    fn verdict(&self) -> (&'static str, String) {
        match self.method.as_str() {
            "OPTIONS" => (
                "200 OK",
                format!(
                    "Allow: {ALLOW}\r\nAccept: application/sdp\r\nSupported: {}\r\n",
                    SUPPORTED.join(", ")
                ),
            ),
            "INVITE" => ("480 Temporarily Unavailable", String::new()),
            "NOTIFY" => {
                let package = self.first("Event").and_then(|event| event.split(';').next());
                match package.is_some_and(|package| package.trim().eq_ignore_ascii_case("message-summary")) {
                    true => ("200 OK", String::new()),
                    false => ("481 Subscription Does Not Exist", String::new()),
                }
            }
            "CANCEL" | "BYE" => ("481 Call/Transaction Does Not Exist", String::new()),
            _ => ("405 Method Not Allowed", format!("Allow: {ALLOW}\r\n")),
        }
    }

    /// A tag that a retransmission gets as well.
    fn stable_tag(&self) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.first("Call-ID"), ALLOW).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Method and Request-URI: single spaces between, none around (RFC 3261 §7.1), no header fields (§19.1.1).
fn start_line(head: &str) -> Option<(&str, &str)> {
    let mut words = head.split("\r\n").next()?.split(' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    let (scheme, rest) = uri.split_once(':')?;
    let host = rest.rsplit('@').next().unwrap_or(rest);
    let whole = is_token(method)
        && version.eq_ignore_ascii_case("SIP/2.0")
        && words.next().is_none()
        && is_token(scheme)
        && !uri.contains(['<', '>', '"', '\t'])
        && !host.contains('?');
    whole.then_some((method, uri))
}

/// Number and method of a CSeq (RFC 3261 §8.1.1.5: less than 2³¹).
fn is_cseq(cseq: &str, method: &str) -> bool {
    let mut words = cseq.split_whitespace();
    let number = words.next().is_some_and(|number| {
        number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u32>().is_ok_and(|n| n < 1 << 31)
    });
    number && words.next() == Some(method) && words.next().is_none()
}

/// `SIP/2.0/UDP host;param;param`, with spaces wherever the grammar has them.
fn is_via(via: &str) -> bool {
    let mut pieces = via.split(';').map(str::trim);
    let Some((protocol, sent_by)) = pieces.next().and_then(|first| first.rsplit_once(['/'])) else {
        return false;
    };
    let mut by = sent_by.split_whitespace();
    protocol.split('/').map(str::trim).eq(["SIP", "2.0"])
        && by.next().is_some_and(is_token)
        && by.next().is_some()
        && pieces.all(|param| !param.is_empty())
}

/// The topmost Via with the address that the request came from, where it asks for that or says another one
/// (RFC 3261 §18.2.1, RFC 3581 §4).
fn seen_from(via: &str, peer: SocketAddr) -> String {
    let ip = peer.ip().to_canonical();
    let (top, below) = via.split_once(',').map_or((via, None), |(top, below)| (top, Some(below)));
    let is_named = |param: &&str, name: &str| {
        param.split('=').next().is_some_and(|key| key.trim().eq_ignore_ascii_case(name))
    };
    let mut params = top.split(';').map(str::trim);
    let sent_by = params.next().unwrap_or_default();
    let params: Vec<&str> = params.filter(|param| !is_named(param, "received")).collect();
    let asks = params.iter().any(|param| is_named(param, "rport"));
    let host = sent_by.split_whitespace().last().unwrap_or_default();
    let says = host
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| host.trim_start_matches('[').trim_end_matches(']').parse());
    let mut text = sent_by.to_owned();
    for param in params {
        match is_named(&param, "rport") {
            true => text.push_str(&format!(";rport={}", peer.port())),
            false => text.push_str(&format!(";{param}")),
        }
    }
    if asks || says != Ok(ip) {
        text.push_str(&format!(";received={ip}"));
    }
    if let Some(below) = below {
        text.push_str(&format!(",{below}"));
    }
    text
}

/// `name-addr` or `addr-spec`, with parameters (RFC 3261 §20.20): quotes and brackets that end, and a URI.
fn is_address(value: &str) -> bool {
    let unquoted = match value.strip_prefix('"') {
        Some(rest) => match end_of_quote(rest) {
            Some(end) => rest[end..].trim_start(),
            None => return false,
        },
        None => value,
    };
    let uri = match unquoted.split_once('<') {
        Some((name, rest)) if !name.contains('"') => rest.split_once('>').map(|(uri, _)| uri),
        Some(_) => None,
        None if unquoted.len() < value.len() => None,
        None => unquoted.split(';').next().map(str::trim_end),
    };
    uri.is_some_and(|uri| {
        let scheme = uri.split_once(':').is_some_and(|(scheme, rest)| is_token(scheme) && !rest.is_empty());
        scheme && !uri.contains(char::is_whitespace)
    })
}

/// Where a quoted string is over, behind its closing quote.
fn end_of_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| match character {
        _ if std::mem::take(&mut escaped) => None,
        '\\' => {
            escaped = true;
            None
        }
        '"' => Some(at + 1),
        _ => None,
    })
}

fn has_tag(to: &str) -> bool {
    let params = to.rsplit('>').next().unwrap_or(to);
    params.split(';').any(|param| param.trim().to_ascii_lowercase().starts_with("tag="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_via_says_where_the_request_came_from() {
        let peer = "192.0.2.7:5070".parse().unwrap();
        for (via, answered) in [
            ("SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1", "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1"),
            (
                "SIP/2.0/UDP 192.0.2.7;rport ;branch=z9hG4bK1",
                "SIP/2.0/UDP 192.0.2.7;rport=5070;branch=z9hG4bK1;received=192.0.2.7",
            ),
            (
                "SIP / 2.0 / UDP pbx.example.org : 5060;received=10.0.0.1;branch=z9hG4bK1",
                "SIP / 2.0 / UDP pbx.example.org : 5060;branch=z9hG4bK1;received=192.0.2.7",
            ),
            (
                "SIP/2.0/TCP [2001:db8::1]:5060;RPORT, SIP/2.0/UDP 10.0.0.1;rport",
                "SIP/2.0/TCP [2001:db8::1]:5060;rport=5070;received=192.0.2.7, SIP/2.0/UDP 10.0.0.1;rport",
            ),
        ] {
            assert_eq!(seen_from(via, peer), answered);
        }
        let six = "[2001:db8::1]:5060".parse().unwrap();
        let via = "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1";
        assert_eq!(seen_from(via, six), via);
    }
}
