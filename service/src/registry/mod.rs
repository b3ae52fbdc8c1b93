//! The registry: profiles, holds, defaults, and the rules of the contract about them.
//!
//! Pure: [`Registry::apply`] takes what happened and the time and returns what to do. It knows no bus library,
//! socket, file or clock. One task owns it, so that every rule is decided in one place and in one order.

pub mod agents;
mod announce;
pub mod call;
mod edit;
pub mod effect;
mod effects;
mod enable;
pub mod error;
pub mod face;
mod limits;
mod profile;
mod progress;
mod read;
pub mod rights;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use call::{Call, Caller, Name, Ticket};
pub use effect::{Command, Effect};
use effects::Effects;
use enable::Waiter;
use error::CallError;
use profile::Profile;
use progress::Leaving;
use rights::{Claim, Parked, Stop};
use sessions::Session;

use crate::moment::Moment;
use crate::registration::Reason;
use crate::store::Record;

/// What differs between the system's and a session's registry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Shared profiles are refused: a session bus has one user.
    pub session_bus: bool,
}

/// All profiles of this machine, who holds them, and what is in progress.
pub struct Registry {
    rules: Rules,
    random: Box<dyn rand::Rng>,
    profiles: BTreeMap<u32, Profile>,
    /// Removed profiles whose de-registration is under way (U5).
    leaving: BTreeMap<u32, Leaving>,
    /// Profiles by the uid that made them.
    owned: BTreeMap<u32, BTreeSet<u32>>,
    /// Defaults that were chosen; where none was, or it is gone, the lowest own id is it (U6).
    chosen_defaults: BTreeMap<u32, u32>,
    next_id: u32,
    sessions: BTreeMap<Name, Session>,
    waiters: Vec<Waiter>,
    agents: agents::Agents,
    /// Calls that wait for polkit, in the order in which they came.
    parked: BTreeMap<Ticket, Parked>,
    schedule: BTreeSet<(Moment, u32)>,
    writes: limits::WriteRate,
    pending: Option<edit::Pending>,
    ending: bool,
}

/// What the registry starts from: the disk's content, and what the runtime directory remembers.
#[derive(Default)]
pub struct Start {
    /// Stored profiles.
    pub profiles: Vec<Record>,
    /// Profiles as they were before they were removed or moved, whose bindings are still to be removed.
    pub farewells: Vec<Record>,
    /// Chosen defaults by uid.
    pub defaults: BTreeMap<u32, u32>,
    /// The first id never given.
    pub next_id: u32,
    /// Memories of a predecessor.
    pub memories: BTreeMap<u32, effect::ProfileMemory>,
    /// Sessions of a predecessor that still live.
    pub sessions: Vec<Caller>,
    /// Holds of those sessions: name, profile, token.
    pub holds: Vec<(Name, u32, String)>,
    /// Secret agents of those sessions and their paths, oldest first.
    pub agents: Vec<(Name, String)>,
}

impl Registry {
    /// The registry as `start` left it, and what to do first: profiles wanted by an adopted holder or by
    /// AutoRegister register, bindings that nobody wants any more are removed (H9, L4, L5).
    pub fn start(rules: Rules, start: Start, random: Box<dyn rand::Rng>, now: Moment) -> (Self, Vec<Effect>) {
        let Start { profiles, farewells, defaults, next_id, mut memories, sessions, holds, agents } = start;
        let mut registry = Self {
            rules,
            random,
            profiles: BTreeMap::new(),
            leaving: BTreeMap::new(),
            owned: BTreeMap::new(),
            chosen_defaults: defaults,
            next_id: next_id.max(1),
            sessions: BTreeMap::new(),
            waiters: Vec::new(),
            agents: agents::Agents::default(),
            parked: BTreeMap::new(),
            schedule: BTreeSet::new(),
            writes: limits::WriteRate::default(),
            pending: None,
            ending: false,
        };
        let mut farewells: BTreeMap<u32, Record> =
            farewells.into_iter().map(|record| (record.id, record)).collect();
        for record in profiles {
            let memory = memories.remove(&record.id).map(Box::new);
            let before = farewells.remove(&record.id).map(|record| record.settings);
            registry.insert(Profile::new(record, memory, before, now));
        }
        let mut effects = Effects::default();
        registry.adopt(sessions, holds, &mut effects);
        registry.adopt_agents(agents);
        for id in registry.profiles.keys().copied().collect::<Vec<_>>() {
            registry.take_up(id, now, &mut effects);
        }
        for (id, record) in farewells {
            let memory = memories.remove(&id).map(Box::new);
            registry.bid_farewell(Profile::new(record, memory, None, now), now, &mut effects);
        }
        // Of profiles that are gone; a binding of one that cannot be read may still be asked about.
        let is_bound = |memory: &effect::ProfileMemory| {
            memory.registration.binding.as_ref().is_some_and(|binding| binding.expires_at > now)
        };
        for (id, _) in memories.into_iter().filter(|(_, memory)| !is_bound(memory)) {
            effects.note(effect::Note::MemoryGone(id));
        }
        (registry, effects.into_vec())
    }

    /// Decides what `command` means now.
    pub fn apply(&mut self, command: Command, now: Moment) -> Vec<Effect> {
        let mut effects = Effects::default();
        match command {
            Command::Call { caller, call, ticket, interactive } => {
                let claim = Claim { caller, ticket, interactive, verdicts: Vec::new() };
                match self.admit(&claim, &mut effects) {
                    Ok(()) => self.consider(claim, call, now, &mut effects),
                    Err(error) => effects.reply(ticket, Err(error)),
                }
            }
            Command::Authorized { ticket, verdict } => self.answered(ticket, verdict),
            Command::Resume => self.resume(now, &mut effects),
            Command::Saved(result) => self.saved(result, now, &mut effects),
            Command::Gone(name) => {
                self.drop_parked(&name, &mut effects);
                self.drop_session(&name, now, &mut effects);
            }
            Command::Registration { profile, input } => self.feed(profile, input, now, &mut effects),
            Command::Secret { number, answer } => self.agent_answered(number, answer, now, &mut effects),
            Command::ClockSet => self.clock_set(now, &mut effects),
            Command::Tick => self.tick(now, &mut effects),
            Command::HandOver => self.hand_over(&mut effects),
            Command::Shutdown => self.shut_down(now, &mut effects),
        }
        effects.into_vec()
    }

    /// When [`Command::Tick`] is due.
    pub fn wakeup(&self) -> Option<Moment> {
        let profiles = self.schedule.first().map(|(moment, _)| *moment);
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline).min();
        profiles.into_iter().chain(waiters).chain(self.agents.wakeup()).min()
    }

    /// Must the service stay? (L1: session, hold, registration, working AutoRegister profile.)
    pub fn is_needed(&self) -> bool {
        !self.sessions.is_empty()
            || !self.leaving.is_empty()
            || self.profiles.values().any(|profile| profile.is_wanted() || !profile.registration.is_idle())
    }

    /// Is any registration still standing or under way? False ends a shutdown (L3).
    pub fn is_registered_anywhere(&self) -> bool {
        !self.leaving.is_empty() || self.profiles.values().any(|profile| !profile.registration.is_idle())
    }

    /// Does any profile await an answer?
    pub fn awaits_answers(&self) -> bool {
        self.profiles.values().any(|profile| profile.registration.in_flight())
    }

    /// Does any profile wait for a name that was not found (E6), be it for nobody now?
    pub fn awaits_a_name(&self) -> bool {
        let waits = |profile: &Profile| profile.registration.memory().wait;
        self.profiles.values().any(|profile| matches!(waits(profile), Some((Reason::Name, _))))
    }

    /// The wanted profiles, each with its server's address where it is known.
    pub fn servers(&self) -> Vec<(u32, Option<SocketAddr>)> {
        let wanted = self.profiles.values().filter(|profile| profile.registration.is_wanted());
        wanted
            .map(|profile| (profile.id, profile.registration.server().map(|server| server.address)))
            .collect()
    }

    fn admit(&mut self, claim: &Claim, effects: &mut Effects) -> Result<(), CallError> {
        if self.ending {
            return Err(CallError::ending());
        }
        self.note_session(&claim.caller, effects)
    }

    fn call(&mut self, claim: &Claim, call: Call, now: Moment, effects: &mut Effects) -> Result<(), Stop> {
        match call {
            Call::Enable(id, options) => self.enable(claim, id, options, now, effects),
            Call::Disable(id, options) => self.disable(claim, id, options, now, effects),
            Call::Leave(options) => self.leave(claim, options, now, effects),
            Call::Refresh(id, options) => self.refresh(claim, id, options, now, effects),
            Call::ForceDisable(id, options) => self.force_disable(claim, id, options, now, effects),
            Call::CreateProfile(settings, options) => self.create(claim, settings, options, now, effects),
            Call::Update(id, set, unset, options) => {
                self.update(claim, id, (set, unset, options), now, effects)
            }
            Call::Remove(id, options) => self.remove(claim, id, options, now, effects),
            Call::SetDefaultProfile(id, options) => self.set_default(claim, id, options, now, effects),
            Call::RegisterSecretAgent(path, options) => {
                Ok(self.register_agent(&claim.caller, (path, options), claim.ticket, now, effects)?)
            }
            Call::UnregisterSecretAgent(options) => {
                Ok(self.unregister_agent(&claim.caller, options, claim.ticket, now, effects)?)
            }
            read => {
                let reply = self.read(&claim.caller, read)?;
                effects.reply(claim.ticket, Ok(reply));
                Ok(())
            }
        }
    }

    /// The profile at an object path, for a caller that may see it.
    fn object(&self, caller: &Caller, id: u32) -> Result<&Profile, CallError> {
        self.profiles
            .get(&id)
            .filter(|profile| profile.is_visible_to(caller.uid))
            .ok_or_else(|| CallError::no_object(id))
    }

    fn insert(&mut self, profile: Profile) {
        self.next_id = self.next_id.max(profile.id.saturating_add(1));
        self.owned.entry(profile.owner).or_default().insert(profile.id);
        self.profiles.insert(profile.id, profile);
    }
}

#[cfg(test)]
mod tests;
