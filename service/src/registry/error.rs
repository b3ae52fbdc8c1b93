//! What a call may be refused with. The bus turns the kind into the error name of the contract.

use crate::registration::ErrorKind;
use crate::settings::TEXT;

/// A refused call: which error, and one English sentence that names what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// Which error of the contract.
    pub kind: CallErrorKind,
    /// The sentence.
    pub message: String,
}

/// The errors of calls: `org.sipprofiles.Error.*`, and the freedesktop names for the standard cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallErrorKind {
    /// No such profile for this caller.
    NotFound,
    /// A setting or option that cannot be taken.
    InvalidSetting,
    /// A profile type this build does not know.
    UnsupportedType,
    /// Somebody holds the profile.
    InUse,
    /// The caller holds nothing here, or lost it.
    NotEnabled,
    /// One of the named limits.
    LimitExceeded,
    /// The time given with `wait` is over.
    Timeout,
    /// A password is asked for and there is none.
    NoSecret,
    /// The disk refused.
    Storage,
    /// The service is ending.
    ShuttingDown,
    /// How a waited-for registration ended.
    Registration(ErrorKind),
    /// Not the caller's to do.
    AccessDenied,
    /// Not without a dialog that the call does not allow.
    InteractiveAuthorizationRequired,
    /// No such object for this caller.
    UnknownObject,
    /// Not built into this version.
    NotSupported,
}

impl CallError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// AccessDenied.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(CallErrorKind::AccessDenied, message)
    }

    /// AccessDenied: nothing is shared on a session bus.
    pub fn unshared() -> Self {
        Self::denied("shared: a session bus has one user; profiles are shared on the system bus.")
    }

    /// ShuttingDown.
    pub fn ending() -> Self {
        Self::new(CallErrorKind::ShuttingDown, "The service is ending; call again in a few seconds.")
    }

    /// InvalidSetting for `key`.
    pub fn invalid(key: &str, message: impl std::fmt::Display) -> Self {
        Self::new(CallErrorKind::InvalidSetting, format!("{key}: {message}"))
    }

    /// LimitExceeded for the text `key`.
    pub fn too_long(key: &str) -> Self {
        Self::new(CallErrorKind::LimitExceeded, format!("{key} has at most {TEXT} bytes."))
    }

    /// NotFound for profile `id`.
    pub fn no_profile(id: u32) -> Self {
        Self::new(CallErrorKind::NotFound, format!("There is no profile {id}."))
    }

    /// UnknownObject for profile `id`.
    pub fn no_object(id: u32) -> Self {
        Self::new(CallErrorKind::UnknownObject, format!("There is no object /org/sipprofiles/profile/{id}."))
    }
}
