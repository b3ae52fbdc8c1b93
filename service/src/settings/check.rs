//! Checks of single settings, and of settings against each other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::server::ParsedCertificate;

use super::grammar::{is_param_value, is_token};
use super::parse::invalid;
use super::{Secret, ServerUri, Settings, SettingsError, SipUri, TransportChoice, pem};

type Outcome<T> = Result<T, SettingsError>;

/// Header fields that REGISTER sets itself, long and compact names (RFC 3261 §20, RFC 3327, RFC 3329).
const OWN_HEADERS: [&str; 28] = [
    "via",
    "v",
    "route",
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "max-forwards",
    "expires",
    "min-expires",
    "authorization",
    "proxy-authorization",
    "supported",
    "k",
    "require",
    "proxy-require",
    "path",
    "content-type",
    "c",
    "content-length",
    "l",
    "record-route",
    "content-encoding",
];

/// Contact parameters that the service sets itself (RFC 3261 §20.10, RFC 5626 §4).
const OWN_CONTACT_PARAMS: [&str; 3] = ["expires", "+sip.instance", "reg-id"];

/// An address of record: a user at a domain, nothing else (RFC 3261 §10.2: its parameters have no meaning there).
pub fn aor(key: &str, text: &str) -> Outcome<SipUri> {
    let uri = match SipUri::parse_aor(text) {
        Ok(uri) => uri,
        Err(error) => return invalid(key, error),
    };
    if !uri.params.is_empty() || !uri.headers.is_empty() {
        return invalid(
            key,
            "has no parameters or headers; the way to the server is set with registrar, outbound-proxy and transport",
        );
    }
    Ok(uri)
}

/// A server: host, host:port or SIP URI.
pub fn server(key: &str, text: &str) -> Outcome<ServerUri> {
    let uri = match ServerUri::parse(text) {
        Ok(uri) => uri,
        Err(error) => return invalid(key, error),
    };
    if uri.user.is_some() || !uri.headers.is_empty() {
        return invalid(key, "names a server: a host, host:port or sip:host, without user part and headers");
    }
    let is_known = |name: &str| name.eq_ignore_ascii_case("transport") || name.eq_ignore_ascii_case("lr");
    if let Some((name, _)) = uri.params.iter().find(|(name, _)| !is_known(name)) {
        return invalid(key, format!("the URI parameter {name:?} has no meaning here"));
    }
    Ok(uri)
}

/// The `transport` parameter of a server's URI must be one we have, and not contradict the setting.
pub fn hop_transport(key: &str, server: Option<&ServerUri>, setting: TransportChoice) -> Outcome<()> {
    let Some(param) = server.and_then(|uri| uri.param("transport")) else {
        return Ok(());
    };
    let word = param.unwrap_or_default().to_ascii_lowercase();
    let setting_word = match setting {
        TransportChoice::Auto => {
            return match word.as_str() {
                "udp" | "tcp" | "tls" => Ok(()),
                _ => invalid(key, format!("its transport {word:?} is none of udp, tcp and tls")),
            };
        }
        TransportChoice::Udp => "udp",
        TransportChoice::Tcp => "tcp",
        TransportChoice::Tls => "tls",
    };
    if word == setting_word {
        return Ok(());
    }
    invalid(key, format!("its transport {word:?} contradicts the setting transport={setting_word}"))
}

/// A `sips:` address is registered over TLS only: its servers may not say another transport (RFC 3261 §26.2.2).
pub fn secure_hop(key: &str, server: Option<&ServerUri>) -> Outcome<()> {
    let word = server.and_then(|uri| uri.param("transport")).map(|word| word.unwrap_or_default());
    match word {
        Some(word) if !word.eq_ignore_ascii_case("tls") => {
            invalid(key, format!("its transport {word:?} is not for a sips: address, which allows only tls"))
        }
        _ => Ok(()),
    }
}

/// `name` or `name=value` of Contact.
pub fn contact_param(key: &str, text: &str) -> Outcome<()> {
    let (name, value) = match text.split_once('=') {
        None => (text, None),
        Some((name, value)) => (name, Some(value)),
    };
    if !is_token(name) || !value.is_none_or(is_param_value) {
        return invalid(key, format!("{text:?} is no parameter: write name or name=value"));
    }
    if OWN_CONTACT_PARAMS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return invalid(key, format!("{name:?} is set by the service itself"));
    }
    Ok(())
}

/// `Name: value` of REGISTER.
pub fn header(key: &str, text: &str) -> Outcome<()> {
    let Some((name, value)) = text.split_once(':') else {
        return invalid(key, format!("{text:?} is no header: write Name: value"));
    };
    if !is_token(name.trim_end()) {
        return invalid(key, format!("{name:?} is no header name"));
    }
    if value.trim().is_empty() {
        return invalid(key, format!("the header {name:?} has no value"));
    }
    if OWN_HEADERS.iter().any(|own| name.trim_end().eq_ignore_ascii_case(own)) {
        return invalid(key, format!("the header {name:?} is set by the service itself"));
    }
    Ok(())
}

/// The PEM text of authorities.
pub fn authorities(key: &str, text: String) -> Outcome<String> {
    let text = pem_text(key, text)?;
    match pem::authorities(&text) {
        Ok(_) => Ok(text),
        Err(error) => invalid(key, error),
    }
}

/// The PEM text of a client certificate and its chain.
pub fn certificate(key: &str, text: String) -> Outcome<String> {
    let text = pem_text(key, text)?;
    let readable = pem::certificates(&text).and_then(|chain| {
        let malformed = |error| format!("holds no X.509 certificate ({error})");
        chain.iter().try_for_each(|one| ParsedCertificate::try_from(one).map(drop).map_err(malformed))
    });
    match readable {
        Ok(()) => Ok(text),
        Err(error) => invalid(key, error),
    }
}

/// The PEM text of a private key.
pub fn private_key(key: &str, text: String) -> Outcome<Secret> {
    let text = pem_text(key, text)?;
    match pem::private_key(&text) {
        Ok(_) => Ok(Secret::new(text)),
        Err(error) => invalid(key, error),
    }
}

/// Certificate and key must belong together. One may be set before the other; until both are there, TLS fails and
/// says so.
pub fn client_certificate(settings: &Settings) -> Outcome<()> {
    match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => {
            pem::pair(certificate, key.reveal()).or_else(|error| invalid("tls-certificate", error))
        }
        _ => Ok(()),
    }
}

/// Line ends are the only control characters of a PEM text.
fn pem_text(key: &str, text: String) -> Outcome<String> {
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r')) {
        return invalid(key, "must not hold control characters besides line ends");
    }
    Ok(text)
}

/// base64 of a SHA-256.
pub fn pin(key: &str, text: String) -> Outcome<String> {
    match STANDARD.decode(&text) {
        Ok(hash) if hash.len() == 32 => Ok(text),
        _ => invalid(key, "must be the base64 of a SHA-256, 44 characters"),
    }
}

/// The name of a network interface, as the kernel limits it. It need not exist now.
pub fn interface(key: &str, text: String) -> Outcome<String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    if (1..=15).contains(&text.len()) && text.bytes().all(fits) && text != "." && text != ".." {
        return Ok(text);
    }
    invalid(key, format!("{text:?} is no name of a network interface"))
}

/// `x-` and up to 62 letters, digits, `-`, `.` or `_`.
pub fn is_extra_key(key: &str) -> bool {
    key.strip_prefix("x-").is_some_and(|rest| {
        (1..=62).contains(&rest.len())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    })
}
