//! Checks of single settings, and of settings against each other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::grammar::{is_param_value, is_token};
use super::parse::invalid;
use super::{ServerUri, Settings, SettingsError, SipUri, TransportChoice};

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

/// TLS is not built yet: whatever would need it is refused where it is set, never ignored.
pub fn without_tls(settings: &Settings) -> Outcome<()> {
    const NOT_YET: &str = "needs TLS, which this version does not have (see the property Features)";
    let hops = [("registrar", &settings.registrar), ("outbound-proxy", &settings.outbound_proxy)];
    let needs_tls = |uri: &SipUri| {
        uri.secure || uri.param("transport").flatten().is_some_and(|word| word.eq_ignore_ascii_case("tls"))
    };
    let given = [
        ("aor", settings.aor.secure),
        ("transport", settings.transport() == TransportChoice::Tls),
        ("tls-ca", settings.tls_ca.is_some()),
        ("tls-certificate", settings.tls_certificate.is_some()),
        ("tls-key", settings.tls_key.is_some()),
        ("tls-pin", settings.tls_pin.is_some()),
    ];
    let by_hop = hops.iter().map(|(key, uri)| (*key, uri.as_deref().is_some_and(needs_tls)));
    match given.into_iter().chain(by_hop).find(|(_, needed)| *needed) {
        Some((key, _)) => invalid(key, NOT_YET),
        None => Ok(()),
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

/// PEM: at least one section, each closed, its content base64; line ends are the only control characters.
pub fn pem(key: &str, text: String) -> Outcome<String> {
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r')) {
        return invalid(key, "must not hold control characters besides line ends");
    }
    let mut label: Option<&str> = None;
    let mut content = String::new();
    let mut sections = 0;
    for line in text.lines().map(str::trim) {
        let marker = |start: &str| line.strip_prefix(start).and_then(|rest| rest.strip_suffix("-----"));
        match (label, marker("-----BEGIN "), marker("-----END ")) {
            (None, Some(begun), _) => label = Some(begun),
            (Some(begun), None, Some(ended)) if begun == ended => {
                if content.is_empty() || STANDARD.decode(&content).is_err() {
                    return invalid(key, format!("the section {begun:?} is no base64"));
                }
                content.clear();
                label = None;
                sections += 1;
            }
            (Some(_), None, None) => content.push_str(line),
            (None, None, None) => {}
            _ => return invalid(key, "its BEGIN and END lines do not fit each other"),
        }
    }
    if sections == 0 || label.is_some() {
        return invalid(key, "is no PEM text: it needs a BEGIN and an END line");
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
