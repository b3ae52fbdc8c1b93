//! A server as a setting names it.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::uri::{BadUri, SipUri};

/// Host, host:port or SIP URI of a server; shown as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUri {
    text: String,
    uri: SipUri,
}

impl ServerUri {
    /// Parses any of the three; an IPv6 address may stand without brackets.
    pub fn parse(text: &str) -> Result<Self, BadUri> {
        let bare_v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
        let uri = if bare_v6 { SipUri::parse(&format!("sip:[{text}]")) } else { SipUri::parse_loose(text) }?;
        Ok(Self { text: text.to_owned(), uri })
    }
}

impl Deref for ServerUri {
    type Target = SipUri;
    fn deref(&self) -> &SipUri {
        &self.uri
    }
}

impl fmt::Display for ServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ServerUri> for String {
    fn from(server: ServerUri) -> String {
        server.text
    }
}

impl TryFrom<String> for ServerUri {
    type Error = BadUri;
    fn try_from(text: String) -> Result<Self, BadUri> {
        ServerUri::parse(&text)
    }
}
