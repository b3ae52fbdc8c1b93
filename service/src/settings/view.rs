//! What is shown of settings, and how two of them differ.

use std::fmt::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::parse::TYPE;
use super::{Change, SecretStorage, ServerUri, Settings, SettingsError, TransportChoice, Value, Values};

impl Settings {
    /// Every setting that was set, `type`, and `has-password` and `has-tls-key` instead of the secrets
    /// (GetSettings).
    pub fn public(&self) -> Values {
        let server = |server: &ServerUri| Value::Text(server.to_string());
        let text = |text: &String| Value::Text(text.clone());
        let number = |number: u32| Value::Number(number.into());
        let list = |items: &Vec<String>| Value::List(items.clone());
        let listed = [
            ("aor", Some(Value::Text(self.aor.to_string()))),
            ("type", Some(text(&self.kind))),
            ("display-name", self.display_name.as_ref().map(text)),
            ("registrar", self.registrar.as_ref().map(server)),
            ("outbound-proxy", self.outbound_proxy.as_ref().map(server)),
            ("transport", self.transport.map(|choice| Value::Text(choice.word().to_owned()))),
            ("auth-user", self.auth_user.as_ref().map(text)),
            ("realm", self.realm.as_ref().map(text)),
            ("secret-storage", self.secret_storage.map(|storage| Value::Text(storage.word().to_owned()))),
            ("expires", self.expires.map(number)),
            ("auto-register", self.auto_register.map(Value::Flag)),
            ("contact-params", self.contact_params.as_ref().map(list)),
            ("headers", self.headers.as_ref().map(list)),
            ("keepalive", self.keepalive.map(number)),
            ("tls-ca", self.tls_ca.as_ref().map(text)),
            ("tls-certificate", self.tls_certificate.as_ref().map(text)),
            ("tls-pin", self.tls_pin.as_ref().map(text)),
            ("interface", self.interface.as_ref().map(text)),
            ("dscp", self.dscp.map(number)),
            ("locked", self.locked.map(Value::Flag)),
            ("has-password", Some(Value::Flag(self.password.is_some()))),
            ("has-tls-key", Some(Value::Flag(self.tls_key.is_some()))),
        ];
        let mut values = self.extra.clone();
        values.extend(listed.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        values
    }

    /// The default settings of a new profile of that type (GetTemplate).
    pub fn template(kind: &str) -> Result<Values, SettingsError> {
        if kind != TYPE {
            return Err(SettingsError::UnsupportedType(kind.to_owned()));
        }
        let word = |word: &str| Value::Text(word.to_owned());
        Ok([
            ("type", word(TYPE)),
            ("transport", word(TransportChoice::default().word())),
            ("secret-storage", word(SecretStorage::default().word())),
            ("expires", Value::Number(3600)),
            ("auto-register", Value::Flag(false)),
            ("keepalive", Value::Number(0)),
            ("dscp", Value::Number(0)),
            ("locked", Value::Flag(false)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into())
    }

    /// What an Update from these settings to `new` means for the network (U3).
    pub fn change_to(&self, new: &Settings) -> Change {
        if self == new {
            return Change::Nothing;
        }
        if self.route() != new.route() {
            return Change::Move;
        }
        if self.request() != new.request() {
            return Change::Refresh;
        }
        Change::Quiet { credential: self.credentials() != new.credentials() }
    }

    /// SHA-256, in hex, of all that matters for registering: a stop by an error holds as long as this (E9).
    pub fn digest(&self) -> String {
        let password = self.password.as_ref().map(|secret| secret.reveal());
        let all = (self.route(), self.request(), self.credentials_but_password(), password);
        // A tuple of texts and numbers always serialises; an empty text would only end a stop early.
        let text = serde_json::to_vec(&all).unwrap_or_default();
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(&text) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// U3c: where and how the packets travel. A value that is set to its default travels the same way.
    fn route(&self) -> impl PartialEq + Serialize + '_ {
        ((&self.aor, &self.registrar, &self.outbound_proxy, self.transport()), self.way())
    }

    /// Do packets to one server travel the same way with `other`: interface, mark, and whom TLS trusts?
    pub fn travels_as(&self, other: &Settings) -> bool {
        std::ptr::eq(self, other) || self.way() == other.way()
    }

    fn way(&self) -> impl PartialEq + Serialize + '_ {
        let key = self.tls_key.as_ref().map(|secret| secret.reveal());
        let tls = (&self.tls_ca, &self.tls_certificate, &self.tls_pin, key);
        (tls, &self.interface, self.dscp.unwrap_or(0))
    }

    /// U3b: what a REGISTER says.
    fn request(&self) -> impl PartialEq + Serialize + '_ {
        let contact_params = self.contact_params.as_deref().unwrap_or_default();
        (contact_params, self.expires(), self.headers.as_deref().unwrap_or_default())
    }

    /// What answers a challenge: to be compared only.
    pub fn credentials(&self) -> impl PartialEq + '_ {
        (self.password.as_ref().map(|secret| secret.reveal()), self.credentials_but_password())
    }

    fn credentials_but_password(&self) -> (String, Option<&str>, SecretStorage) {
        (self.auth_user(), self.realm.as_deref(), self.secret_storage())
    }

    /// Bytes of all texts.
    pub(super) fn size(&self) -> usize {
        let of_value = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(|item| item.len() + 8).sum(),
            _ => 8,
        };
        let secrets = [&self.password, &self.tls_key];
        let hidden: usize = secrets.into_iter().flatten().map(|secret| secret.reveal().len()).sum();
        self.public().iter().map(|(key, value)| key.len() + of_value(value)).sum::<usize>() + hidden
    }
}

impl TransportChoice {
    /// The word of the setting.
    pub fn word(self) -> &'static str {
        match self {
            TransportChoice::Auto => "auto",
            TransportChoice::Udp => "udp",
            TransportChoice::Tcp => "tcp",
            TransportChoice::Tls => "tls",
        }
    }
}

impl SecretStorage {
    /// The word of the setting.
    pub fn word(self) -> &'static str {
        match self {
            SecretStorage::Service => "service",
            SecretStorage::Agent => "agent",
        }
    }
}
