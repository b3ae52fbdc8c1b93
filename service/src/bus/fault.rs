//! Error replies: names and sentences.

use crate::registration::ErrorKind;
use crate::registry::error::{CallError, CallErrorKind};

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The D-Bus error name.
    pub name: &'static str,
    /// One English sentence.
    pub message: String,
}

impl Fault {
    /// A fault of that name.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }

    /// The arguments are not of the signature `expected`.
    pub fn arguments(member: &str, expected: &str, got: &str) -> Self {
        let message = format!("{member} takes the arguments ({expected}), not ({got}).");
        Self::new("org.freedesktop.DBus.Error.InvalidArgs", message)
    }

    /// No such method.
    pub fn method(interface: &str, member: &str) -> Self {
        let message = format!("There is no method {member} in {interface} on this object.");
        Self::new("org.freedesktop.DBus.Error.UnknownMethod", message)
    }

    /// No such interface.
    pub fn interface(interface: &str) -> Self {
        let message = format!("This object has no interface {interface}.");
        Self::new("org.freedesktop.DBus.Error.UnknownInterface", message)
    }

    /// No such property.
    pub fn property(interface: &str, property: &str) -> Self {
        let message = format!("There is no property {property} in {interface}.");
        Self::new("org.freedesktop.DBus.Error.UnknownProperty", message)
    }

    /// A property that cannot be set.
    pub fn read_only(property: &str) -> Self {
        let message = format!("{property} is read-only; settings change with Update.");
        Self::new("org.freedesktop.DBus.Error.PropertyReadOnly", message)
    }

    /// No such object.
    pub fn object(path: &str) -> Self {
        Self::new("org.freedesktop.DBus.Error.UnknownObject", format!("There is no object {path}."))
    }

    /// A call that is too large to be read.
    pub fn too_large(limit: usize) -> Self {
        Self::new("org.sipprofiles.Error.LimitExceeded", format!("A call has at most {limit} bytes."))
    }

    /// Too many calls before the bus has said who calls.
    pub fn too_many_calls(limit: usize) -> Self {
        let message = format!("At most {limit} calls of one connection may wait.");
        Self::new("org.sipprofiles.Error.LimitExceeded", message)
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        Self::new(call_error_name(error.kind), error.message)
    }
}

fn call_error_name(kind: CallErrorKind) -> &'static str {
    match kind {
        CallErrorKind::NotFound => "org.sipprofiles.Error.NotFound",
        CallErrorKind::InvalidSetting => "org.sipprofiles.Error.InvalidSetting",
        CallErrorKind::UnsupportedType => "org.sipprofiles.Error.UnsupportedType",
        CallErrorKind::InUse => "org.sipprofiles.Error.InUse",
        CallErrorKind::NotEnabled => "org.sipprofiles.Error.NotEnabled",
        CallErrorKind::LimitExceeded => "org.sipprofiles.Error.LimitExceeded",
        CallErrorKind::NoSecret => "org.sipprofiles.Error.NoSecret",
        CallErrorKind::Timeout => "org.sipprofiles.Error.Timeout",
        CallErrorKind::Storage => "org.sipprofiles.Error.Storage",
        CallErrorKind::ShuttingDown => "org.sipprofiles.Error.ShuttingDown",
        CallErrorKind::Registration(kind) => registration_error_name(kind),
        CallErrorKind::AccessDenied => "org.freedesktop.DBus.Error.AccessDenied",
        CallErrorKind::InteractiveAuthorizationRequired => {
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
        }
        CallErrorKind::UnknownObject => "org.freedesktop.DBus.Error.UnknownObject",
        CallErrorKind::NotSupported => "org.freedesktop.DBus.Error.NotSupported",
    }
}

/// The name of a registration's error, as ErrorOccurred and LastError give it.
pub fn registration_error_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => "org.sipprofiles.Error.Registration.Unauthorized",
        ErrorKind::Forbidden => "org.sipprofiles.Error.Registration.Forbidden",
        ErrorKind::UnknownUser => "org.sipprofiles.Error.Registration.UnknownUser",
        ErrorKind::Rejected => "org.sipprofiles.Error.Registration.Rejected",
        ErrorKind::IntervalTooBrief => "org.sipprofiles.Error.Registration.IntervalTooBrief",
        ErrorKind::Redirect => "org.sipprofiles.Error.Registration.Redirect",
        ErrorKind::Protocol => "org.sipprofiles.Error.Registration.Protocol",
        ErrorKind::Server => "org.sipprofiles.Error.Registration.Server",
        ErrorKind::Timeout => "org.sipprofiles.Error.Registration.Timeout",
        ErrorKind::Unreachable => "org.sipprofiles.Error.Registration.Unreachable",
        ErrorKind::NameResolution => "org.sipprofiles.Error.Registration.NameResolution",
        ErrorKind::TlsUntrusted => "org.sipprofiles.Error.Registration.TlsUntrusted",
        ErrorKind::TlsNameMismatch => "org.sipprofiles.Error.Registration.TlsNameMismatch",
        ErrorKind::TlsExpired => "org.sipprofiles.Error.Registration.TlsExpired",
        ErrorKind::TlsProtocol => "org.sipprofiles.Error.Registration.TlsProtocol",
        ErrorKind::NoSecret => "org.sipprofiles.Error.NoSecret",
    }
}
