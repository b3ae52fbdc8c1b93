//! What went wrong, in words for a person: one sentence that names the host, the number and what to change.

use super::headers::{clean, printable};
use super::{ErrorKind, Failure, LastError, Reason, Response, Stage, Target};
use crate::moment::Moment;

impl Failure {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Failure::NoSuchName(_) | Failure::Resolver(_) => ErrorKind::NameResolution,
            Failure::NoRoute(_) | Failure::Unreachable(_) => ErrorKind::Unreachable,
            Failure::Silence => ErrorKind::Timeout,
            Failure::TlsUntrusted(_) => ErrorKind::TlsUntrusted,
            Failure::TlsName(_) => ErrorKind::TlsNameMismatch,
            Failure::TlsExpired(_) => ErrorKind::TlsExpired,
            Failure::TlsProtocol(_) => ErrorKind::TlsProtocol,
        }
    }

    fn stage(&self) -> Stage {
        match self {
            Failure::NoSuchName(_) | Failure::Resolver(_) => Stage::Dns,
            Failure::NoRoute(_) | Failure::Unreachable(_) => Stage::Connect,
            Failure::Silence => Stage::Sip,
            Failure::TlsUntrusted(_)
            | Failure::TlsName(_)
            | Failure::TlsExpired(_)
            | Failure::TlsProtocol(_) => Stage::Tls,
        }
    }

    /// The reason to wait for (E3, E4, E6).
    pub(super) fn reason(&self) -> Reason {
        match self {
            Failure::NoSuchName(_) => Reason::Name,
            Failure::Resolver(_) | Failure::Unreachable(_) | Failure::Silence => Reason::Backoff,
            Failure::NoRoute(_) => Reason::Network,
            _ => Reason::Certificate,
        }
    }
}

/// `failure` as `LastError`.
pub fn failure_error(failure: &Failure, target: Option<&Target>, now: Moment) -> LastError {
    LastError {
        kind: failure.kind(),
        code: 0,
        message: sentence(failure, target),
        stage: failure.stage(),
        at: now,
    }
}

/// A server that is left alone, as its 503 asked.
pub fn resting_error(target: &Target, now: Moment) -> LastError {
    let message = format!("{} ({target}) answered 503 and is left alone as long as it asked.", target.host);
    LastError { kind: ErrorKind::Server, code: 503, message, stage: Stage::Sip, at: now }
}

fn sentence(failure: &Failure, target: Option<&Target>) -> String {
    let at = target.map_or_else(String::new, |target| format!("{} ({target}): ", target.host));
    let (detail, advice) = match failure {
        Failure::NoSuchName(detail) => (detail.as_str(), "check aor, registrar and outbound-proxy"),
        Failure::Resolver(detail) => (detail.as_str(), "check the name server of this machine"),
        Failure::NoRoute(detail) => (detail.as_str(), "check the network connection"),
        Failure::Unreachable(detail) => (detail.as_str(), "check registrar, outbound-proxy and transport"),
        Failure::Silence => (
            "the server does not answer",
            "check registrar, outbound-proxy and transport, or a firewall between",
        ),
        // Says itself what to check: it may be about either side's certificate.
        Failure::TlsUntrusted(detail) => return format!("{at}{}.", detail_of(detail)),
        Failure::TlsName(detail) => (detail.as_str(), "check the host in registrar or outbound-proxy"),
        Failure::TlsExpired(detail) => (detail.as_str(), "check the clock, or tell the provider"),
        Failure::TlsProtocol(detail) => (detail.as_str(), "check the port, and transport"),
    };
    format!("{at}{}; {advice}.", detail_of(detail))
}

/// Our own words, with names of the peer's among them.
fn detail_of(detail: &str) -> String {
    printable(detail, 400).trim_end_matches('.').to_owned()
}

/// A refusal as `LastError`.
pub fn error_of(kind: ErrorKind, response: &Response, stage: Stage, now: Moment) -> LastError {
    let advice = match kind {
        ErrorKind::Forbidden => "; check the account with its provider",
        ErrorKind::UnknownUser => "; check the address",
        ErrorKind::Redirect => " in a way that leads nowhere; check registrar and outbound-proxy",
        _ => "",
    };
    let phrase = clean(&response.phrase);
    let message = format!("answers {} {phrase}{advice}", response.status);
    error_saying(kind, response, &message, stage, now)
}

/// The same with a message that follows the server's name.
pub fn error_saying(
    kind: ErrorKind,
    response: &Response,
    message: &str,
    stage: Stage,
    now: Moment,
) -> LastError {
    let Target { host, .. } = &response.server;
    let message = format!("{host} ({}) {message}.", response.server);
    LastError { kind, code: response.status, message, stage, at: now }
}
