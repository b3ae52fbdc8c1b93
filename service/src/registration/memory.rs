//! What a successor process must know of a registration (semantics E9, H9, L4).

use serde::{Deserialize, Serialize};

use super::message::Target;
use super::{LastError, Reason};
use crate::moment::Moment;

/// Kept in the runtime directory, so that neither an exit nor a crash starts a stopped profile, shortens a wait
/// or forgets a binding. Times are boot time: worthless after a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// A final error stopped it, with the digest of the settings that this holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// `LastError`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// It waits for that reason until then, or for somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<(Reason, Option<Moment>)>,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// When its attempts from `unregistered` began (E10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Moment>,
    /// When its password was refused, with the digest of the settings (E10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<(Moment, String)>,
    /// What was learnt from the server.
    #[serde(default)]
    pub learnt: Learnt,
    /// The binding that stands at the registrar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingMemory>,
}

/// What a server taught us; forgotten when the server changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// From a 423.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_expires: Option<u32>,
    /// Option tags refused by a 420 or 439.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_options: Vec<String>,
    /// Who refused them; another server is offered them again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Target>,
    /// Servers to leave alone until then: 503 with Retry-After.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resting: Vec<(Target, Moment)>,
    /// All servers are to be left alone: nothing is sent before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Moment>,
    /// The server that answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Target>,
}

impl Learnt {
    /// Somebody wants an attempt now, Retry-After or not.
    pub(super) fn forget_rests(&mut self) {
        self.resting.clear();
        self.not_before = None;
    }

    /// Until when `target` is to be left alone.
    pub(super) fn rests_until(&self, target: &Target, now: Moment) -> Option<Moment> {
        let mut rests = self.resting.iter().filter(|(resting, _)| resting == target).map(|(_, until)| *until);
        rests.find(|until| *until > now)
    }

    /// `target` is to be left alone until then.
    pub(super) fn rest(&mut self, target: Target, until: Moment, now: Moment) {
        self.resting.retain(|(resting, until)| *resting != target && *until > now);
        self.resting.push((target, until));
    }
}

/// What a successor needs to confirm or remove a binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingMemory {
    /// Who answered.
    pub server: Target,
    /// Our Contact URI there.
    pub contact: String,
    /// When it runs out by itself.
    pub expires_at: Moment,
}
