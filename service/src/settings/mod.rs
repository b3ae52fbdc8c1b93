//! A profile's settings: parsed once, when they are set, into types that cannot hold a bad value.
//!
//! Pure: knows neither the bus nor the disk. `parse` turns the bus's `a{sv}` into [`Settings`],
//! `uri` is RFC 3261's grammar for the URIs among them.

mod check;
pub mod grammar;
mod parse;
pub mod pem;
mod server;
pub mod uri;
mod view;

use std::collections::BTreeMap;

pub use parse::TEXT;
use serde::{Deserialize, Serialize};
pub use server::ServerUri;
pub use sip_profiles::secret::Secret;
pub use uri::SipUri;

/// A setting's value as it arrives and leaves, free of any bus library's types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// D-Bus `b`.
    Flag(bool),
    /// Any D-Bus integer (`y n q i u x t`).
    Number(#[serde(with = "json_number")] i128),
    /// D-Bus `s`.
    Text(String),
    /// D-Bus `as`.
    List(Vec<String>),
    /// Any other D-Bus type; always refused. Holds the signature.
    #[serde(skip)]
    Other(String),
}

/// Numbers that are stored fit 64 bits; wider ones do not survive serde's untagged enums.
mod json_number {
    use serde::{Deserialize, Deserializer, Serializer, ser::Error};

    pub fn serialize<S: Serializer>(number: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        let number = i64::try_from(*number).map_err(|_| S::Error::custom("a number past 64 bits"))?;
        serializer.serialize_i64(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        i64::deserialize(deserializer).map(i128::from)
    }
}

/// Settings by key.
pub type Values = BTreeMap<String, Value>;

/// A setting that cannot be taken (`org.sipprofiles.Error.InvalidSetting`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct InvalidSetting {
    /// The setting's key.
    pub key: String,
    /// One sentence that names what to change.
    pub message: String,
}

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A setting that cannot be taken.
    #[error(transparent)]
    Invalid(#[from] InvalidSetting),
    /// A profile type this build does not know.
    #[error("There is no profile type {0:?}; this version has: ietf.")]
    UnsupportedType(String),
    /// A text or the whole profile is too large; the sentence names the limit.
    #[error("{0}")]
    TooLarge(String),
}

/// How signalling travels (setting `transport`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportChoice {
    /// RFC 3263 decides; UDP where DNS does not say.
    #[default]
    Auto,
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
    /// TLS only.
    Tls,
}

/// Who keeps the password (setting `secret-storage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretStorage {
    /// The service, in a file of its own.
    #[default]
    Service,
    /// The user's secret agent; the service keeps it in memory until de-registration.
    Agent,
}

/// All settings of one profile. `None` is "not set": the default applies and is not listed.
///
/// Secrets are skipped by serde: the store keeps them apart from the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Address of record.
    pub aor: SipUri,
    /// Profile type word, `ietf`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whom to register with, where that is not the AOR's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrar: Option<ServerUri>,
    /// The next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_proxy: Option<ServerUri>,
    /// How signalling travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportChoice>,
    /// User name for digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_user: Option<String>,
    /// The only realm the password is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Who keeps the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_storage: Option<SecretStorage>,
    /// Seconds to ask for, 60–86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u32>,
    /// Registered without any client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_register: Option<bool>,
    /// `name` or `name=value`, added to Contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_params: Option<Vec<String>>,
    /// `Name: value`, added to REGISTER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<String>>,
    /// Seconds; 0 automatic, `u32::MAX` off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<u32>,
    /// PEM of the only CAs trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<String>,
    /// PEM of the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<String>,
    /// base64 SHA-256 of the peer's public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_pin: Option<String>,
    /// Network interface that signalling must use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// DSCP of every signalling packet, 0–63.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dscp: Option<u32>,
    /// Tells UIs not to offer editing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// The clients' own `x-…` keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: Values,
    /// Write-only.
    #[serde(skip)]
    pub password: Option<Secret>,
    /// PEM, write-only.
    #[serde(skip)]
    pub tls_key: Option<Secret>,
}

/// What an Update means for the network (semantics U3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing changed: no write, no signal, no traffic (U3d).
    Nothing,
    /// No REGISTER (U3a); `credential` where a waiting or stopped profile tries again.
    Quiet {
        /// `password`, `auth-user`, `realm` or `secret-storage` is among the changes.
        credential: bool,
    },
    /// One refreshing REGISTER (U3b).
    Refresh,
    /// De-register with the old, register with the new (U3c).
    Move,
}

impl Settings {
    /// Name for people; the AOR where none is set.
    pub fn shown_name(&self) -> String {
        self.display_name.clone().unwrap_or_else(|| self.aor.to_string())
    }

    /// How signalling travels.
    pub fn transport(&self) -> TransportChoice {
        self.transport.unwrap_or_default()
    }

    /// Who keeps the password.
    pub fn secret_storage(&self) -> SecretStorage {
        self.secret_storage.unwrap_or_default()
    }

    /// Seconds to ask the registrar for.
    pub fn expires(&self) -> u32 {
        self.expires.unwrap_or(3600)
    }

    /// Registered without any client?
    pub fn auto_register(&self) -> bool {
        self.auto_register.unwrap_or(false)
    }

    /// User name for digest: `auth-user`, else the AOR's user part with escapes resolved.
    pub fn auth_user(&self) -> String {
        self.auth_user.clone().unwrap_or_else(|| self.aor.user_unescaped())
    }

    /// The Request-URI of REGISTER: scheme and domain without user part (RFC 3261 §10.2).
    pub fn request_uri(&self) -> SipUri {
        self.registrar.as_deref().unwrap_or(&self.aor).domain_only(self.aor.secure)
    }

    /// The server to resolve and talk to: outbound proxy, else registrar, else the AOR's domain.
    pub fn next_hop(&self) -> &SipUri {
        self.outbound_proxy.as_deref().or(self.registrar.as_deref()).unwrap_or(&self.aor)
    }
}

#[cfg(test)]
mod tests;
