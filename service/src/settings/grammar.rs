//! Pieces of RFC 3261 §25.1 that several settings share.

use std::net::Ipv6Addr;

/// `token`: one or more of these characters.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// Alphanumerics, the characters of `also`, and `%xx` escapes. The empty text is one.
pub fn is_escaped_text(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => {
                bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || also.contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// `text` with its `%xx` escapes resolved. One that is then no UTF-8, or holds control characters, is left as it is: it
/// is written into header fields.
pub fn unescape(text: &str) -> String {
    let plain = String::from_utf8(resolve(text, |_| true)).ok();
    plain.filter(|plain| !plain.chars().any(char::is_control)).unwrap_or_else(|| text.to_owned())
}

/// `text` so that equivalent ones are equal (RFC 3261 §19.1.4): escapes are resolved but for those of reserved
/// characters (RFC 2396 §2.2), which mean something else than the characters themselves.
pub fn canonical(text: &str) -> String {
    let means_the_same = |byte: u8| byte.is_ascii_graphic() && !b"%;/?:@&=+$,".contains(&byte);
    String::from_utf8_lossy(&resolve(text, means_the_same)).into_owned()
}

/// Resolves those `%xx` escapes whose byte is `wanted`, and writes the others in capitals.
fn resolve(text: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| (*byte as char).to_digit(16));
        let escaped = match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        match escaped {
            Some(byte) if wanted(byte) => plain.push(byte),
            Some(_) => plain.extend(bytes[at..at + 3].to_ascii_uppercase()),
            None => plain.push(bytes[at]),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    plain
}

/// `hostname` of RFC 3261, and at most 253 bytes of labels up to 63 bytes each (RFC 1035 §2.3.4). Underscores
/// are taken as well: the field's internal names have them. A last label of digits alone is refused: it is a
/// broken address.
pub fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_name =
        text.rsplit('.').next().is_some_and(|label| label.bytes().any(|byte| !byte.is_ascii_digit()));
    !text.is_empty() && text.len() <= 253 && text.split('.').all(is_label) && last_is_name
}

/// `gen-value` of a parameter: a token, a host, or a quoted string.
pub fn is_param_value(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_ipv6_reference = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    is_token(text) || is_hostname(text) || is_ipv6_reference || is_quoted(text)
}

/// `quoted-string`: quotes and backslashes inside are escaped.
pub fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut chars = inner.chars();
    while let Some(character) = chars.next() {
        let fits = match character {
            '"' => false,
            '\\' => chars.next().is_some_and(|escaped| !escaped.is_control()),
            other => !other.is_control(),
        };
        if !fits {
            return false;
        }
    }
    text.len() >= 2
}
