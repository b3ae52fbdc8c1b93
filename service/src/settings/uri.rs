//! SIP and SIPS URIs: RFC 3261 §19.1 and §25.1.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A parsed `sip:` or `sips:` URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SipUri {
    /// `sips:`?
    pub secure: bool,
    /// User part as written, escapes kept.
    pub user: Option<String>,
    /// Host as written, lower-cased; an IPv6 address without its brackets.
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

impl SipUri {
    /// Parses by RFC 3261's grammar.
    pub fn parse(_text: &str) -> Result<Self, BadUri> {
        todo!()
    }

    /// RFC 3261 §19.1.4 equivalence.
    pub fn equivalent(&self, _other: &SipUri) -> bool {
        todo!()
    }

    /// The user part with `%xx` escapes resolved; empty where there is none.
    pub fn user_unescaped(&self) -> String {
        todo!()
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

    /// The host as it stands in a URI or header: an IPv6 address in brackets.
    pub fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    /// A URI parameter's value (`Some(None)`: present without value), name compared without case.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_deref())
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
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
