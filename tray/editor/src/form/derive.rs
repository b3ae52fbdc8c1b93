//! What an empty field means, worked out from the others.

use super::{Entries, Entry, Field, Settings, Value};
use crate::text;

/// The address's parts: scheme removed, user unescaped, host with port as it stands.
struct Address<'a> {
    whole: &'a str,
    user: String,
    host: &'a str,
}

/// What stands greyed in `field` while it is empty.
pub fn placeholder(field: Field, entries: &Entries, stored: &Settings) -> String {
    let address = match entries.get(&Field::Aor) {
        Some(Entry::Text(text)) => parse(text),
        _ => None,
    };
    let of_address = |part: fn(&Address<'_>) -> String| address.as_ref().map(part).unwrap_or_default();
    let kept = |key: &str, otherwise: &str| {
        let is_kept = stored.get(key) == Some(&Value::Flag(true));
        String::from(if is_kept { text::KEPT } else { otherwise })
    };
    match field {
        Field::Aor => String::from(text::ADDRESS_EXAMPLE),
        Field::DisplayName => of_address(|address| address.whole.to_owned()),
        Field::AuthUser => of_address(|address| address.user.clone()),
        Field::Registrar => of_address(|address| address.host.to_owned()),
        Field::Password => kept("has-password", ""),
        Field::TlsKey => kept("has-tls-key", text::NONE),
        Field::Realm | Field::Interface => String::from(text::ANY),
        Field::OutboundProxy | Field::TlsCertificate | Field::TlsPin => String::from(text::NONE),
        Field::TlsCa => String::from(text::SYSTEM_ROOTS),
        Field::Expires => String::from("3600"),
        Field::Keepalive => String::from(text::AS_NEEDED),
        Field::Dscp => String::from("0"),
        Field::Headers | Field::ContactParams => String::new(),
        Field::Transport | Field::SecretStorage | Field::AutoRegister => String::new(),
    }
}

/// What to call the account: its name, else its address.
pub fn title_name(settings: &Settings) -> Option<String> {
    let text = |key: &str| match settings.get(key) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    text("display-name")
        .or_else(|| text("aor").map(|aor| aor.strip_prefix("sip:").unwrap_or(&aor).to_owned()))
}

fn parse(text: &str) -> Option<Address<'_>> {
    let text = text.trim();
    let lower = text.get(..5).unwrap_or_default().to_ascii_lowercase();
    let whole = match lower.as_str() {
        "sips:" => &text[5..],
        lower if lower.starts_with("sip:") => &text[4..],
        _ => text,
    };
    let (user, host) = whole.rsplit_once('@')?;
    let host = host.split([';', '?']).next().unwrap_or_default();
    if user.is_empty() || host.is_empty() {
        return None;
    }
    Some(Address { whole, user: unescape(user), host })
}

/// Resolves `%xx`; what is then no UTF-8 stays as it was.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
            Some(digits) => {
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(byte));
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
