//! Reading WWW-Authenticate, Proxy-Authenticate and Authentication-Info (RFC 3261 §20.44, RFC 7616, RFC 8760).

use super::digest::Algorithm;
use crate::settings::grammar::is_quoted;

/// A digest challenge that we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The characters between the quotes.
    pub realm: String,
    /// The characters between the quotes.
    pub nonce: String,
    /// Echoed byte for byte.
    pub opaque: Option<String>,
    /// How to hash.
    pub algorithm: Algorithm,
    /// How the challenge wrote it; `None` where it did not.
    pub algorithm_text: Option<String>,
    /// Which quality of protection to use.
    pub qop: Option<Qop>,
    /// The password was right, the nonce too old.
    pub stale: bool,
}

/// Quality of protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// `auth`
    Auth,
    /// `auth-int`
    AuthInt,
}

impl Qop {
    /// The word, written without quotes in credentials.
    pub fn word(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

/// The challenges of these header values that we can answer: the topmost supported one of each realm
/// (RFC 8760 §2.3). Unknown schemes and algorithms are skipped.
pub fn usable<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut chosen: Vec<Challenge> = Vec::new();
    for challenge in values.flat_map(schemes).filter_map(|(scheme, params)| digest(scheme, &params)) {
        if !chosen.iter().any(|other| other.realm == challenge.realm) {
            chosen.push(challenge);
        }
    }
    chosen
}

/// The value of `nextnonce` in Authentication-Info.
pub fn next_nonce(value: &str) -> Option<String> {
    let params = params(value);
    params.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("nextnonce")).map(|(_, value)| value)
}

type Params = Vec<(String, String)>;

fn digest(scheme: &str, params: &Params) -> Option<Challenge> {
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let find = |name: &str| {
        params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let algorithm_text = find("algorithm");
    let algorithm = match &algorithm_text {
        None => Algorithm::MD5,
        Some(text) => Algorithm::parse(text)?,
    };
    let qop = match find("qop").filter(|list| !list.trim().is_empty()) {
        None => None,
        Some(list) => {
            let offers = |word: &str| list.split(',').any(|offer| offer.trim().eq_ignore_ascii_case(word));
            Some(if offers("auth") {
                Qop::Auth
            } else if offers("auth-int") {
                Qop::AuthInt
            } else {
                return None;
            })
        }
    };
    Some(Challenge {
        realm: find("realm")?,
        nonce: find("nonce")?,
        opaque: find("opaque"),
        algorithm,
        algorithm_text,
        qop,
        stale: find("stale").is_some_and(|value| value.eq_ignore_ascii_case("true")),
    })
}

/// One header value may hold several challenges: a scheme is a token followed by white space and a parameter.
fn schemes(value: &str) -> Vec<(&str, Params)> {
    let mut found: Vec<(&str, Params)> = Vec::new();
    for piece in pieces(value) {
        let before_equals = piece.split('=').next().unwrap_or_default().trim();
        match before_equals.split_once(char::is_whitespace) {
            Some((scheme, _)) => {
                let first = piece[scheme.len()..].trim_start();
                found.push((scheme, params(first)));
            }
            None if !piece.contains('=') => found.push((piece, Vec::new())),
            None => {
                if let Some((_, all)) = found.last_mut() {
                    all.extend(params(piece));
                }
            }
        }
    }
    found
}

fn params(text: &str) -> Params {
    pieces(text)
        .into_iter()
        .filter_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            let value = value.trim();
            // RFC 7616 §3.4 hashes the characters between the quotes as they are, escapes included.
            let plain = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            // What could not be echoed between quotes is no value.
            is_quoted(&format!("\"{plain}\"")).then(|| (name.trim().to_owned(), plain.to_owned()))
        })
        .collect()
}

/// `text` cut at commas outside of quotes.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                pieces.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
