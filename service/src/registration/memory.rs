//! What a successor process must know of a registration (semantics E9, H9, L4).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attempt::Purpose;
use super::machine::{Phase, Registration, Standing};
use super::message::Target;
use super::{ErrorKind, Identity, LastError, Reason};
use crate::moment::Moment;
use crate::settings::Settings;

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
    /// The binding that stands at the registrar, or may stand there when the answer comes.
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
    /// Our Contact URI there; `None` of a REGISTER in flight, as its flow knew it only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// When it runs out by itself.
    pub expires_at: Moment,
}

impl Registration {
    /// As a predecessor left it: a binding of ours is confirmed by [`super::Input::Want`] and removed by
    /// [`super::Input::Unwant`]. A stop or refusal that other settings earned is forgotten (E9). `before`: a move from
    /// these settings did not get done.
    pub fn restore(
        settings: Arc<Settings>,
        identity: Identity,
        memory: Memory,
        before: Option<Arc<Settings>>,
        now: Moment,
    ) -> Self {
        let moved = before.is_some();
        let Memory { stopped, last_error, wait, failures, starts, refused, learnt, binding } = memory;
        let digest = settings.digest();
        let (was_stopped, stopped) = (stopped.is_some(), stopped.is_some_and(|stopped| stopped == digest));
        let has_password = settings.password.is_some();
        let mut machine = Self::new(settings, identity);
        machine.phase = match wait.filter(|_| !moved) {
            // A password that has come meanwhile ends that wait.
            Some((Reason::Secret, None)) if !has_password => Phase::Waiting(Reason::Secret, None),
            Some((reason, Some(until))) if until > now => Phase::Waiting(reason, Some(until)),
            _ => Phase::Idle,
        };
        machine.needs_secret = machine.phase == Phase::Waiting(Reason::Secret, None)
            || stopped && last_error.as_ref().is_some_and(|error| error.kind == ErrorKind::NoSecret);
        machine.last_error = last_error.filter(|_| stopped || !was_stopped);
        machine.stopped = stopped;
        machine.failures = failures;
        machine.starts = starts;
        machine.refused = refused.filter(|(_, refused)| *refused == digest);
        machine.learnt = learnt;
        machine.moved_from = before;
        machine.standing = binding.filter(|binding| binding.expires_at > now).map(Standing::Inherited);
        machine
    }

    /// What a successor must know.
    pub fn memory(&self) -> Memory {
        let wait = match self.phase {
            Phase::Waiting(reason, until) => Some((reason, until)),
            _ => None,
        };
        Memory {
            stopped: self.stopped.then(|| self.settings.digest()),
            last_error: self.last_error.clone(),
            wait,
            failures: self.failures,
            starts: self.starts.clone(),
            refused: self.refused.clone(),
            learnt: self.learnt.clone(),
            binding: self.standing.as_ref().map(Standing::memory).or_else(|| self.in_flight_memory()),
        }
    }

    /// The binding that the REGISTER in flight may already have made.
    fn in_flight_memory(&self) -> Option<BindingMemory> {
        let attempt = self.attempt.as_ref().filter(|attempt| attempt.purpose == Purpose::Register)?;
        let asked = Duration::from_secs(attempt.asked.into());
        Some(BindingMemory {
            server: attempt.target.clone()?,
            contact: None,
            expires_at: self.last_attempt_at? + asked,
        })
    }
}
