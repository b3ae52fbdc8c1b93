//! Digest credentials (RFC 7616, RFC 8760; without qop RFC 2069 as RFC 3261 §22.4 keeps it).

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use super::challenge::{Challenge, Qop};
use super::random_word;
use crate::settings::Secret;

/// How to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm {
    hash: Hash,
    session: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512Half,
}

impl Algorithm {
    /// What a challenge without `algorithm` means.
    pub const MD5: Algorithm = Algorithm { hash: Hash::Md5, session: false };

    /// The algorithm of that name; `None` for one we do not have.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let (name, session) = match text.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let hash = match name {
            "MD5" => Hash::Md5,
            "SHA-256" => Hash::Sha256,
            "SHA-512-256" => Hash::Sha512Half,
            _ => return None,
        };
        Some(Self { hash, session })
    }

    fn hex(self, text: &str) -> String {
        match self.hash {
            Hash::Md5 => hex(&Md5::digest(text)),
            Hash::Sha256 => hex(&Sha256::digest(text)),
            Hash::Sha512Half => hex(&Sha512_256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What credentials are made from, besides the challenge.
pub struct Login<'a> {
    /// User name, as it is.
    pub user: &'a str,
    /// Password.
    pub password: &'a Secret,
    /// `digest-uri`: the Request-URI.
    pub uri: &'a str,
    /// How often this nonce has been used, this time included; from 1.
    pub count: u32,
}

/// The value of Authorization or Proxy-Authorization for a REGISTER without body.
pub fn credentials(challenge: &Challenge, login: &Login<'_>, rng: &mut dyn rand::Rng) -> String {
    credentials_with(challenge, login, &random_word(16, rng))
}

fn credentials_with(challenge: &Challenge, login: &Login<'_>, cnonce: &str) -> String {
    let Challenge { realm, nonce, opaque, algorithm, algorithm_text, qop, .. } = challenge;
    let user = quote(login.user);
    let response = response(challenge, login, &user, "REGISTER", cnonce);
    let mut value = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", response=\"{response}\"",
        login.uri
    );
    if let Some(text) = algorithm_text {
        value.push_str(&format!(", algorithm={text}"));
    }
    if qop.is_some() || algorithm.session {
        value.push_str(&format!(", cnonce=\"{cnonce}\""));
    }
    if let Some(qop) = qop {
        value.push_str(&format!(", qop={}, nc={:08x}", qop.word(), login.count));
    }
    if let Some(opaque) = opaque {
        value.push_str(&format!(", opaque=\"{opaque}\""));
    }
    value
}

fn response(challenge: &Challenge, login: &Login<'_>, user: &str, method: &str, cnonce: &str) -> String {
    let Challenge { realm, nonce, algorithm, qop, .. } = challenge;
    let mut secret = algorithm.hex(&format!("{user}:{realm}:{}", login.password.reveal()));
    if algorithm.session {
        secret = algorithm.hex(&format!("{secret}:{nonce}:{cnonce}"));
    }
    let request = match qop {
        Some(Qop::AuthInt) => format!("{method}:{}:{}", login.uri, algorithm.hex("")),
        _ => format!("{method}:{}", login.uri),
    };
    let request = algorithm.hex(&request);
    match qop {
        None => algorithm.hex(&format!("{secret}:{nonce}:{request}")),
        Some(qop) => {
            let (count, qop) = (login.count, qop.word());
            algorithm.hex(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:{qop}:{request}"))
        }
    }
}

/// `text` as it stands between the quotes of a quoted-string, which is also what is hashed.
fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
