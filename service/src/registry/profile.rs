//! One profile as the registry keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::Name;
use super::effect::ProfileMemory;
use super::face::Face;
use crate::moment::Moment;
use crate::registration::{Identity, Registration};
use crate::settings::Settings;
use crate::store::Record;

/// A profile with its holds and its registration.
pub struct Profile {
    /// Given once, never reused.
    pub id: u32,
    /// The uid that made it.
    pub owner: u32,
    /// Visible to all users?
    pub shared: bool,
    /// As acknowledged and on disk.
    pub settings: Arc<Settings>,
    /// What makes its Contact its own.
    pub identity: Identity,
    /// Its registration.
    pub registration: Registration,
    /// ForceDisable switched its AutoRegister off until an Enable, a change of settings, or the next boot (H8).
    pub forced_off: bool,
    /// Who holds it, each with its tokens (H2). Order of names, not of time.
    pub holders: BTreeMap<Name, Vec<String>>,
    /// Whether there is a secret agent to ask, as its registration was told last.
    pub has_agent: Option<bool>,
    /// What was last noted in the runtime directory.
    pub noted: Option<Box<ProfileMemory>>,
    /// When it is scheduled to be woken.
    pub scheduled: Option<Moment>,
}

impl Profile {
    /// The profile of `record`, as `memory` left it; `before` are its settings of before a move that did not get done.
    pub fn new(
        record: Record,
        memory: Option<Box<ProfileMemory>>,
        before: Option<Settings>,
        now: Moment,
    ) -> Self {
        let Record { id, owner, shared, settings, identity } = record;
        let settings = Arc::new(settings);
        let known = memory.as_ref().map(|memory| memory.registration.clone()).unwrap_or_default();
        let before = before.map(Arc::new);
        let registration = Registration::restore(settings.clone(), identity.clone(), known, before, now);
        Self {
            id,
            owner,
            shared,
            settings,
            identity,
            registration,
            forced_off: memory.as_ref().is_some_and(|memory| memory.forced_off),
            holders: BTreeMap::new(),
            has_agent: None,
            noted: memory,
            scheduled: None,
        }
    }

    /// Does `uid` see that it exists?
    pub fn is_visible_to(&self, uid: u32) -> bool {
        self.shared || uid == 0 || uid == self.owner
    }

    /// Is it registered without any client, as things stand?
    pub fn auto_registers(&self) -> bool {
        self.settings.auto_register() && !self.forced_off && !self.registration.is_stopped()
    }

    /// Should it be registered?
    pub fn is_wanted(&self) -> bool {
        !self.holders.is_empty() || self.auto_registers()
    }

    /// What the bus shows of it.
    pub fn face(&self) -> Face {
        Face {
            id: self.id,
            owner: self.owner,
            shared: self.shared,
            users: u32::try_from(self.holders.len()).unwrap_or(u32::MAX),
            settings: self.settings.clone(),
            status: self.registration.status(),
        }
    }

    /// What the disk keeps of it, with `settings` in place of its own.
    pub fn record(&self, settings: Settings) -> Record {
        Record {
            id: self.id,
            owner: self.owner,
            shared: self.shared,
            settings,
            identity: self.identity.clone(),
        }
    }

    /// What a successor must know of it.
    pub fn memory(&self) -> ProfileMemory {
        ProfileMemory { registration: self.registration.memory(), forced_off: self.forced_off }
    }
}
