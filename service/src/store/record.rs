//! What is stored of a profile: one JSON text for the eyes of root, one for its secrets.

use serde::{Deserialize, Serialize};

use crate::registration::Identity;
use crate::settings::{Secret, Settings};

/// A profile as the disk keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Given once, never reused.
    pub id: u32,
    /// The uid that made it.
    pub owner: u32,
    /// Visible to all users.
    pub shared: bool,
    /// Secrets included.
    pub settings: Settings,
    /// What makes its Contact its own.
    pub identity: Identity,
}

/// The profile's file. Unknown keys are refused: a setting that is not understood must not be ignored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileText {
    pub owner: u32,
    pub shared: bool,
    pub identity: Identity,
    /// Which generation of the secrets' file belongs to it: both change in one rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<u64>,
    pub settings: Settings,
}

/// The secrets' file. Has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretsText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "tls-key")]
    tls_key: Option<String>,
}

impl SecretsText {
    /// The secrets among `settings`.
    pub fn of(settings: &Settings) -> Self {
        let reveal = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
        Self { password: reveal(&settings.password), tls_key: reveal(&settings.tls_key) }
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.password.is_none() && self.tls_key.is_none()
    }

    /// Puts them into `settings`.
    pub fn restore(self, settings: &mut Settings) {
        settings.password = self.password.map(Secret::new);
        settings.tls_key = self.tls_key.map(Secret::new);
    }
}
