//! Sessions: bus names that have called us and not left (contract, "Sessions").

use std::collections::BTreeSet;

use super::call::{Caller, Name, Options, Reply};
use super::effect::Note;
use super::effects::Effects;
use super::error::CallError;
use super::rights::{Claim, Stop};
use super::{Registry, limits};
use crate::moment::Moment;

/// A client as we know it.
#[derive(Debug)]
pub struct Session {
    /// Its user.
    pub uid: u32,
    /// Its process, for people.
    pub pid: u32,
    /// Profiles it holds.
    pub held: BTreeSet<u32>,
}

impl Registry {
    /// Makes the caller a session, if it is none yet.
    pub(super) fn note_session(&mut self, caller: &Caller, effects: &mut Effects) -> Result<(), CallError> {
        if self.sessions.contains_key(&caller.name) {
            return Ok(());
        }
        let count = self.sessions.values().filter(|session| session.uid == caller.uid).count();
        limits::check(count, limits::for_uid(limits::SESSIONS, caller.uid), "sessions of one user")?;
        let session = Session { uid: caller.uid, pid: caller.pid, held: BTreeSet::new() };
        self.sessions.insert(caller.name.clone(), session);
        effects.note(Note::SessionAdded(caller.name.clone(), caller.uid));
        Ok(())
    }

    /// Takes over a predecessor's sessions and holds (H9). Holds of unknown sessions or profiles are dropped: the
    /// predecessor may have ended between the removal of a profile and the note about its holds.
    pub(super) fn adopt(
        &mut self,
        sessions: Vec<Caller>,
        holds: Vec<(Name, u32, String)>,
        effects: &mut Effects,
    ) {
        for Caller { name, uid, pid } in sessions {
            self.sessions.insert(name, Session { uid, pid, held: BTreeSet::new() });
        }
        for (name, id, token) in holds {
            let session = self.sessions.get_mut(&name);
            let profile = self.profiles.get_mut(&id);
            let (Some(session), Some(profile)) = (session, profile) else {
                effects.note(Note::HoldGone(name, id, token));
                continue;
            };
            if !profile.is_visible_to(session.uid) {
                effects.note(Note::HoldGone(name, id, token));
                continue;
            }
            session.held.insert(id);
            let tokens = profile.holders.entry(name).or_default();
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
    }

    /// Leave: the caller's holds, its agent and its session go (H5).
    pub(super) fn leave(
        &mut self,
        claim: &Claim,
        options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        options.none_left()?;
        effects.reply(claim.ticket, Ok(Reply::Done));
        self.refuse_waiters("The caller left the service.", effects, |waiter| {
            waiter.name == claim.caller.name
        });
        self.withdraw_enables(&claim.caller.name, None, "The caller left the service.", effects);
        self.drop_session(&claim.caller.name, now, effects);
        Ok(())
    }

    /// The end of a session, whatever ended it.
    pub(super) fn drop_session(&mut self, name: &Name, now: Moment, effects: &mut Effects) {
        self.waiters.retain(|waiter| waiter.name != *name);
        let Some(session) = self.sessions.get(name) else {
            return;
        };
        for id in session.held.clone() {
            self.drop_holds_of(name, id, now, effects);
        }
        self.drop_agent(name, now, effects);
        self.sessions.remove(name);
        effects.note(Note::SessionGone(name.clone()));
    }
}
