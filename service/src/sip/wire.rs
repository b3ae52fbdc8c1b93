//! Between values and messages on the wire.

use std::net::SocketAddr;

use rsipstack::sip;

use crate::registration::{Request, Response, Target, Transport, random_word};

/// User-Agent and Server.
pub const USER_AGENT: &str = concat!("sip-profiles/", env!("CARGO_PKG_VERSION"));
/// A message past that is dropped, bytes.
pub const LONGEST: usize = 64 * 1024;
/// A message with more header fields is dropped.
pub const FIELDS: usize = 200;

/// The Contact URI of `request` on a flow at `local`.
pub fn contact(request: &Request, transport: Transport, local: SocketAddr) -> String {
    if let Some(uri) = &request.contact_uri {
        return uri.clone();
    }
    let scheme = if request.contact_secure { "sips" } else { "sip" };
    let address = request.contact_address.unwrap_or(local);
    let parameter = match transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
    };
    format!("{scheme}:{}@{address}{parameter}", request.contact_user)
}

/// `request` as text, for a flow at `local`. The branch is new each time (RFC 3261 §8.1.1.7).
pub fn register(request: &Request, transport: Transport, local: SocketAddr) -> String {
    let contact = contact(request, transport, local);
    let branch = random_word(24, &mut rand::rng());
    let via = transport.word().to_ascii_uppercase();
    let mut text = format!(
        "REGISTER {} SIP/2.0\r\n\
         Via: SIP/2.0/{via} {local};rport;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <{aor}>;tag={}\r\n\
         To: <{aor}>\r\n\
         Call-ID: {}\r\n\
         CSeq: {} REGISTER\r\n\
         Contact: <{contact}>",
        request.uri,
        request.from_tag,
        request.call_id,
        request.cseq,
        aor = request.aor,
    );
    for param in &request.contact_params {
        text.push(';');
        text.push_str(param);
    }
    text.push_str("\r\n");
    for (name, value) in &request.headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    // The profile may have one of its own, and a message has only one (RFC 3261 §7.3.1).
    if first(&request.headers, "User-Agent").is_none() {
        text.push_str(&format!("User-Agent: {USER_AGENT}\r\n"));
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

/// A response as the server wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 100–699.
    pub status: u16,
    phrase: String,
    fields: Vec<(String, String)>,
}

impl Answer {
    /// Reads the status line and the header fields. `None`: malformed.
    pub fn parse(head: &str) -> Option<Self> {
        let (version, rest) = head.split("\r\n").next()?.split_once(' ')?;
        let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let status = code.parse().ok().filter(|status| is_code && (100..700).contains(status))?;
        let fields = fields(head);
        let is_whole = version.eq_ignore_ascii_case("SIP/2.0") && fields.len() <= FIELDS;
        is_whole.then(|| Self { status, phrase: phrase.trim().to_owned(), fields })
    }

    /// Is it the last word on its request?
    pub fn is_final(&self) -> bool {
        self.status >= 200
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> Option<&str> {
        branch(&self.fields)
    }

    /// The method of the CSeq.
    pub fn method(&self) -> Option<&str> {
        method(&self.fields)
    }

    /// As a value that says what it came over: `local` and `tls_peer` are the flow's.
    pub fn into_response(
        self,
        server: Target,
        contact: String,
        local: SocketAddr,
        tls_peer: &str,
    ) -> Response {
        let Self { status, phrase, fields: headers } = self;
        let phrase = if phrase.is_empty() { default_phrase(status) } else { phrase };
        Response { status, phrase, headers, server, local, contact, tls_peer: tls_peer.to_owned() }
    }
}

fn default_phrase(status: u16) -> String {
    let text = sip::StatusCode::from(status).to_string();
    text.split_once(' ').map(|(_, phrase)| phrase.to_owned()).unwrap_or_default()
}

/// Does a message with this head answer a request? The version is written in any case (RFC 3261 §7.1).
pub fn is_answer(head: &str) -> bool {
    head.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
}

/// The branch of the topmost Via among `fields`.
pub fn branch(fields: &[(String, String)]) -> Option<&str> {
    let via = first(fields, "Via")?;
    via.split([';', ','])
        .filter_map(|param| param.split_once('='))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("branch").then_some(value.trim()))
}

/// The method of the CSeq among `fields`.
pub fn method(fields: &[(String, String)]) -> Option<&str> {
    first(fields, "CSeq")?.split_whitespace().nth(1)
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// RFC 3261 §7.3.3 and the later registrations.
pub fn long_name(name: &str) -> &str {
    match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        "k" | "K" => "Supported",
        "o" | "O" => "Event",
        other => other,
    }
}

/// Start line and header fields, with the empty line, of a datagram or a message cut out of a stream. `None` where
/// there is no end of them, or less body than they promise. No body matters to us.
pub fn head(bytes: &[u8]) -> Option<String> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let bytes = &bytes[start..];
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = text(&bytes[..end])?;
    (body_length(&head)? <= bytes.len() - end).then_some(head)
}

/// Header bytes as text. Bytes that are no UTF-8 are replaced. A CR that
/// ends no line is malformed: it would be a line end to others.
pub fn text(head: &[u8]) -> Option<String> {
    let bare_cr = head.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
    let fits = head.len() <= LONGEST && !head.contains(&0) && !bare_cr;
    fits.then(|| String::from_utf8_lossy(head).into_owned())
}

/// Content-Length, 0 where there is none; `None` where it makes no sense (RFC 3261 §20.14).
pub fn body_length(head: &str) -> Option<usize> {
    let fields = fields(head);
    let mut lengths = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
    let length = match lengths.next() {
        None => 0,
        Some((_, value)) if value.bytes().all(|byte| byte.is_ascii_digit()) => value.parse().ok()?,
        Some(_) => return None,
    };
    (length <= LONGEST && lengths.next().is_none()).then_some(length)
}

/// A request's or response's header fields by long name, unfolded (RFC 3261 §7.3.1).
pub fn fields(head: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n").skip(1).take_while(|line| !line.is_empty()) {
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => {
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(line.trim());
            }
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    fields.push((long_name(name.trim()).to_owned(), value.trim().to_owned()));
                }
            }
        }
    }
    fields
}
