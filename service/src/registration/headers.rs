//! Reading header values of responses, tolerantly: what cannot be read is as if it were not there.

use std::net::{IpAddr, SocketAddr};

use super::Response;

impl Response {
    /// All values of the header `name`, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first value of the header `name`.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A whole number in front of the header's value; comments and parameters behind it are tolerated.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        leading_number(self.first(name)?)
    }

    /// The comma-separated values of all headers `name`.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.all(name).flat_map(|value| split(value, ',')).map(str::to_owned).collect()
    }

    /// Where the server saw the request come from: `received` and `rport` of the topmost Via (RFC 3581).
    /// `None` where it says nothing, or nothing that makes sense.
    pub(super) fn seen_address(&self) -> Option<SocketAddr> {
        let via = split(self.first("Via")?, ',').next()?;
        let params: Vec<_> = split(via, ';').skip(1).collect();
        let received =
            param(&params, "received").and_then(|text| text.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let port = param(&params, "rport").and_then(|text| text.parse::<u16>().ok());
        let address = SocketAddr::new(received.unwrap_or(self.local.ip()), port.unwrap_or(self.local.port()));
        let fits = address.port() != 0 && is_reachable(address.ip(), self.local.ip());
        fits.then_some(address)
    }
}

/// May a server that we reach from `local` reach us at `seen`? Unicast, of the same family, and this machine's
/// own loopback only where we speak over it.
fn is_reachable(seen: IpAddr, local: IpAddr) -> bool {
    let unicast = match seen {
        IpAddr::V4(ip) => ip.octets()[0] != 0 && ip.octets()[0] < 224,
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none(),
    };
    unicast && seen.is_ipv4() == local.is_ipv4() && (!seen.is_loopback() || local.is_loopback())
}

/// Digits in front of `text`.
pub fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let rest = text[end..].trim_start();
    let ends_well = rest.is_empty() || rest.starts_with(['(', ';', ',']);
    ends_well.then(|| text[..end].parse().ok()).flatten()
}

/// `text` cut at `separator`, but not inside quotes or angle brackets; pieces trimmed, empty ones left out.
pub fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped, mut angle) = (0, false, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ if character == separator && !quoted && !angle => {
                pieces.push(&text[start..at]);
                start = at + character.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty())
}

/// The value of `name` among `params` (`name=value`), quotes taken off.
pub fn param<'a>(params: &[&'a str], name: &str) -> Option<&'a str> {
    params.iter().find_map(|param| {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// One Contact, or another header of the same form (RFC 3261 §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The URI, without angle brackets.
    pub uri: &'a str,
    /// The header parameters.
    pub params: Vec<&'a str>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. A bare URI's parameters belong to the header (RFC 3261 §20).
    pub fn parse(value: &'a str) -> Option<Self> {
        let (uri, rest) = match find_unquoted(value, '<') {
            Some(open) => {
                let close = open + value[open..].find('>')?;
                (&value[open + 1..close], &value[close + 1..])
            }
            None => match value.split_once(';') {
                Some((uri, rest)) => (uri, rest),
                None => (value, ""),
            },
        };
        let uri = uri.trim();
        (!uri.is_empty()).then(|| Self { uri, params: split(rest, ';').collect() })
    }

    /// A header parameter's value, quotes taken off.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        param(&self.params, name)
    }
}

fn find_unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Text from the network as it may stand in a sentence: no control characters, at most 80 characters.
pub fn clean(text: &str) -> String {
    printable(text, 80)
}

/// At most so many characters of `text`, no control characters.
pub fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(most).collect()
}
