//! The form without its widgets: which fields there are, how a profile's settings look in them, and what has to be
//! sent after somebody changed some.
//!
//! A field that looks as the stored setting makes it look is never sent. So whatever this program does not know
//! (keys of newer services, `x-…`, odd values) stays as it is.

mod change;
mod derive;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

#[cfg(test)]
pub use change::Mistake;
pub use change::{Change, blamed, change, is_locked, shown};
pub use derive::{placeholder, title_name};
pub use sip_profiles::secret::Secret;
pub use value::{Settings, Value, from_bus};

/// A field of the form; each stands for one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `aor`
    Aor,
    /// `display-name`
    DisplayName,
    /// `auth-user`
    AuthUser,
    /// `password`
    Password,
    /// `auto-register`
    AutoRegister,
    /// `registrar`
    Registrar,
    /// `outbound-proxy`
    OutboundProxy,
    /// `transport`
    Transport,
    /// `realm`
    Realm,
    /// `secret-storage`
    SecretStorage,
    /// `expires`
    Expires,
    /// `keepalive`
    Keepalive,
    /// `interface`
    Interface,
    /// `dscp`
    Dscp,
    /// `tls-ca`
    TlsCa,
    /// `tls-certificate`
    TlsCertificate,
    /// `tls-key`
    TlsKey,
    /// `tls-pin`
    TlsPin,
    /// `headers`
    Headers,
    /// `contact-params`
    ContactParams,
}

/// How a field is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One line of text.
    Line,
    /// A whole number; empty = the default.
    Number,
    /// Seconds, or `off`.
    Interval,
    /// On or off.
    Flag,
    /// One of some words, the first is the default.
    Choice(&'static [&'static str]),
    /// One item a line.
    Lines,
    /// A PEM text.
    Pem,
    /// Text that is never given back.
    Password,
    /// A PEM text that is never given back.
    SecretPem,
}

impl Field {
    /// All of them, in the order of the window.
    pub const ALL: [Field; 20] = [
        Field::Aor,
        Field::DisplayName,
        Field::AuthUser,
        Field::Password,
        Field::AutoRegister,
        Field::Registrar,
        Field::OutboundProxy,
        Field::Transport,
        Field::Realm,
        Field::SecretStorage,
        Field::Expires,
        Field::Keepalive,
        Field::Interface,
        Field::Dscp,
        Field::TlsCa,
        Field::TlsCertificate,
        Field::TlsKey,
        Field::TlsPin,
        Field::Headers,
        Field::ContactParams,
    ];

    /// Fields that everybody sees; the others wait under "Advanced".
    pub const MAIN: usize = 5;

    /// The setting's key.
    pub fn key(self) -> &'static str {
        match self {
            Field::Aor => "aor",
            Field::DisplayName => "display-name",
            Field::AuthUser => "auth-user",
            Field::Password => "password",
            Field::AutoRegister => "auto-register",
            Field::Registrar => "registrar",
            Field::OutboundProxy => "outbound-proxy",
            Field::Transport => "transport",
            Field::Realm => "realm",
            Field::SecretStorage => "secret-storage",
            Field::Expires => "expires",
            Field::Keepalive => "keepalive",
            Field::Interface => "interface",
            Field::Dscp => "dscp",
            Field::TlsCa => "tls-ca",
            Field::TlsCertificate => "tls-certificate",
            Field::TlsKey => "tls-key",
            Field::TlsPin => "tls-pin",
            Field::Headers => "headers",
            Field::ContactParams => "contact-params",
        }
    }

    /// How it is filled in.
    pub fn kind(self) -> Kind {
        match self {
            Field::Aor
            | Field::DisplayName
            | Field::AuthUser
            | Field::Registrar
            | Field::OutboundProxy
            | Field::Realm
            | Field::Interface
            | Field::TlsPin => Kind::Line,
            Field::Password => Kind::Password,
            Field::AutoRegister => Kind::Flag,
            Field::Transport => Kind::Choice(&["auto", "udp", "tcp", "tls"]),
            Field::SecretStorage => Kind::Choice(&["service", "agent"]),
            Field::Expires | Field::Dscp => Kind::Number,
            Field::Keepalive => Kind::Interval,
            Field::TlsCa | Field::TlsCertificate => Kind::Pem,
            Field::TlsKey => Kind::SecretPem,
            Field::Headers | Field::ContactParams => Kind::Lines,
        }
    }
}

/// What stands in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Text; a choice's word; the lines of a list.
    Text(String),
    /// On or off.
    Flag(bool),
    /// What the service keeps stays as it is, also where it keeps nothing.
    Kept,
    /// What the service keeps is to go.
    Cleared,
    /// A new secret.
    New(Secret),
}

/// What stands in all fields.
pub type Entries = BTreeMap<Field, Entry>;
