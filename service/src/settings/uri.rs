//! SIP and SIPS URIs: RFC 3261 §19.1 and §25.1.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::grammar::{canonical, is_escaped_text, is_hostname, unescape};

/// Longest URI taken, bytes.
const LONGEST: usize = 1024;

/// A parsed `sip:` or `sips:` URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SipUri {
    /// `sips:`?
    pub secure: bool,
    /// User part as written, escapes kept.
    pub user: Option<String>,
    /// Host, lower-cased; an IPv6 address without its brackets.
    pub host: String,
    /// Explicit port.
    pub port: Option<u16>,
    /// URI parameters as written (`name`, value).
    pub params: Vec<(String, Option<String>)>,
    /// URI headers as written.
    pub headers: Vec<(String, String)>,
}

/// Why a text is no SIP URI: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUri(pub String);

fn bad<T>(message: impl Into<String>) -> Result<T, BadUri> {
    Err(BadUri(message.into()))
}

impl SipUri {
    /// Parses by RFC 3261's grammar. A password in the user part is refused: URIs are shown.
    pub fn parse(text: &str) -> Result<Self, BadUri> {
        if text.len() > LONGEST {
            return bad(format!("a URI has at most {LONGEST} bytes"));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return bad(format!("{text:?} is no SIP URI: it must start with sip: or sips:"));
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "sip" => false,
            "sips" => true,
            _ => {
                return bad(format!("{text:?} is no SIP URI: it must start with sip: or sips:"));
            }
        };
        let (user, rest) = split_user(rest)?;
        let (rest, headers) = match rest.split_once('?') {
            None => (rest, Vec::new()),
            Some((rest, headers)) => (rest, parse_headers(headers)?),
        };
        let (host_port, params) = match rest.split_once(';') {
            None => (rest, Vec::new()),
            Some((host_port, params)) => (host_port, parse_params(params)?),
        };
        let (host, port) = parse_host_port(host_port)?;
        Ok(Self { secure, user, host, port, params, headers })
    }

    /// Like [`SipUri::parse`], and takes a text without scheme, as `alice@example.org`, for a `sip:` URI.
    pub fn parse_loose(text: &str) -> Result<Self, BadUri> {
        let has_scheme = text
            .split_once(':')
            .is_some_and(|(scheme, _)| ["sip", "sips"].contains(&scheme.to_ascii_lowercase().as_str()));
        if has_scheme { Self::parse(text) } else { Self::parse(&format!("sip:{text}")) }
    }

    /// Like [`SipUri::parse_loose`], for an address of record: it names a user.
    pub fn parse_aor(text: &str) -> Result<Self, BadUri> {
        let uri = Self::parse_loose(text)?;
        if uri.user.is_none() {
            return bad("needs a user part, as sip:alice@example.org");
        }
        Ok(uri)
    }

    /// RFC 3261 §19.1.4 equivalence.
    pub fn equivalent(&self, other: &SipUri) -> bool {
        self.secure == other.secure
            && self.user.as_deref().map(canonical) == other.user.as_deref().map(canonical)
            && same_host(&self.host, &other.host)
            && self.port == other.port
            && self.params_match(other)
            && other.params_match(self)
            && headers_match(&self.headers, &other.headers)
    }

    /// Each of our parameters matches the other's, or is missing there and of the kind that may be.
    fn params_match(&self, other: &SipUri) -> bool {
        const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
        self.params.iter().all(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            match other.param(name) {
                Some(theirs) => canonical(theirs.unwrap_or_default()).eq_ignore_ascii_case(&canonical(value)),
                None => !DECISIVE.iter().any(|decisive| name.eq_ignore_ascii_case(decisive)),
            }
        })
    }

    /// The user part with `%xx` escapes resolved; empty where there is none.
    pub fn user_unescaped(&self) -> String {
        unescape(self.user.as_deref().unwrap_or_default())
    }

    /// Scheme, host and port only, the scheme `sips` where `secure`.
    pub fn domain_only(&self, secure: bool) -> SipUri {
        SipUri {
            secure: secure || self.secure,
            user: None,
            host: self.host.clone(),
            port: self.port,
            params: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// This URI with the `transport` parameter of `other`, where that has one.
    pub fn with_transport_of(mut self, other: &SipUri) -> SipUri {
        let transport = other.params.iter().filter(|(name, _)| name.eq_ignore_ascii_case("transport"));
        self.params.extend(transport.cloned());
        self
    }

    /// The host as it stands in a URI or header: an IPv6 address in brackets.
    pub fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// A URI parameter's value (`Some(None)`: present without value), name compared without case.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_deref())
    }
}

fn split_user(rest: &str) -> Result<(Option<String>, &str), BadUri> {
    // `@` stands neither in hosts nor unescaped in headers, so the last one ends the user part.
    let Some((user, rest)) = rest.rsplit_once('@') else {
        return Ok((None, rest));
    };
    if user.starts_with(|first: char| first == '<' || first == '"' || first.is_whitespace()) {
        return bad("only the URI itself is wanted, as sip:alice@example.org");
    }
    if user.contains(':') {
        return bad(
            "a password in a SIP URI is refused, set it as the setting password; so is another scheme than sip: or sips:",
        );
    }
    // RFC 3261 §25.1: user = 1*( unreserved / escaped / user-unreserved )
    if user.is_empty() || !is_escaped_text(user, b"-_.!~*'()&=+$,;?/") {
        return bad(format!("{user:?} is no user part of a SIP URI; escape odd characters as %xx"));
    }
    Ok((Some(user.to_owned()), rest))
}

fn parse_host_port(text: &str) -> Result<(String, Option<u16>), BadUri> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((host, after)) = rest.split_once(']') else {
                return bad(format!("{text:?}: the bracket of the IPv6 address is not closed"));
            };
            if host.parse::<Ipv6Addr>().is_err() {
                return bad(format!("{host:?} is no IPv6 address"));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return bad(format!("{text:?}: a port follows a colon")),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if !text.starts_with('[') && host.parse::<Ipv4Addr>().is_err() && !is_hostname(host) {
        return bad(format!("{host:?} is neither a host name nor an address"));
    }
    Ok((host.to_ascii_lowercase(), port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, BadUri> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if is_number && port != 0 => Ok(port),
        _ => bad(format!("{text:?} is no port: it must be 1 to 65535")),
    }
}

fn parse_params(text: &str) -> Result<Vec<(String, Option<String>)>, BadUri> {
    let mut params: Vec<(String, Option<String>)> = Vec::new();
    for param in text.split(';') {
        let (name, value) = match param.split_once('=') {
            None => (param, None),
            Some((name, value)) => (name, Some(value)),
        };
        // RFC 3261 §25.1: paramchar = param-unreserved / unreserved / escaped
        let fits = |text: &str| !text.is_empty() && is_escaped_text(text, b"-_.!~*'()[]/:&+$");
        if !fits(name) || !value.is_none_or(fits) {
            return bad(format!("{param:?} is no URI parameter"));
        }
        if params.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return bad(format!("the URI parameter {name:?} is given twice"));
        }
        params.push((name.to_owned(), value.map(str::to_owned)));
    }
    Ok(params)
}

fn parse_headers(text: &str) -> Result<Vec<(String, String)>, BadUri> {
    text.split('&')
        .map(|header| {
            // RFC 3261 §25.1: hname and hvalue of hnv-unreserved / unreserved / escaped
            let fits = |text: &str| is_escaped_text(text, b"-_.!~*'()[]/?:+$");
            match header.split_once('=') {
                Some((name, value)) if !name.is_empty() && fits(name) && fits(value) => {
                    Ok((name.to_owned(), value.to_owned()))
                }
                _ => bad(format!("{header:?} is no URI header")),
            }
        })
        .collect()
}

fn same_host(one: &str, other: &str) -> bool {
    match (one.parse::<Ipv6Addr>(), other.parse::<Ipv6Addr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// Headers are never ignored, and their order does not matter.
fn headers_match(one: &[(String, String)], other: &[(String, String)]) -> bool {
    let sorted = |headers: &[(String, String)]| {
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (canonical(name).to_ascii_lowercase(), canonical(value)))
            .collect();
        headers.sort();
        headers
    };
    sorted(one) == sorted(other)
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.bracketed_host())?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params {
            match value {
                None => write!(f, ";{name}")?,
                Some(value) => write!(f, ";{name}={value}")?,
            }
        }
        for (index, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl From<SipUri> for String {
    fn from(uri: SipUri) -> String {
        uri.to_string()
    }
}

impl TryFrom<String> for SipUri {
    type Error = BadUri;
    fn try_from(text: String) -> Result<Self, BadUri> {
        SipUri::parse(&text)
    }
}

#[cfg(test)]
mod tests;
