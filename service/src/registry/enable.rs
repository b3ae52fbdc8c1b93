//! Taking and giving back holds (semantics H2–H10).

use std::time::Duration;

use super::call::{Answer, Caller, Name, Options, Reply, Ticket};
use super::effect::{Effect, Note, Signal};
use super::effects::Effects;
use super::error::{CallError, CallErrorKind};
use super::rights::{Action, Claim, Stop};
use super::{Registry, limits};
use crate::moment::Moment;
use crate::registration::{ErrorKind, Input, LastError, State};

/// An Enable that waits for the outcome of the first attempt (H10).
#[derive(Debug)]
pub struct Waiter {
    pub ticket: Ticket,
    pub name: Name,
    pub uid: u32,
    pub profile: u32,
    pub token: String,
    pub deadline: Moment,
}

impl Registry {
    pub(super) fn enable(
        &mut self,
        claim: &Claim,
        id: u32,
        mut options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        let shared = self.object(&claim.caller, id)?.shared;
        let token = options.take_text("token", "")?;
        let wait = options.take_number("wait", 1..=120)?;
        options.none_left()?;
        if wait.is_some() && !is_outcome(self.state_of(id)) {
            let waiting = self.waiters.iter().filter(|waiter| waiter.uid == claim.caller.uid).count();
            let limit = limits::for_uid(limits::WAITING, claim.caller.uid);
            limits::check(waiting, limit, "Enables of one user may wait at a time")?;
        }
        self.permit(claim, shared, Action::UseShared)?;
        self.take_hold(&claim.caller, id, &token, now, effects)?;

        let state = self.state_of(id);
        match wait {
            Some(seconds) if !is_outcome(state) => {
                self.waiters.push(Waiter {
                    ticket: claim.ticket,
                    name: claim.caller.name.clone(),
                    uid: claim.caller.uid,
                    profile: id,
                    token,
                    deadline: now + Duration::from_secs(u64::from(seconds)),
                });
                // A predecessor's wait for a password ends here where nobody is left to be asked (E11).
                if let Some(error) = self.error_that_stopped(id) {
                    self.fail_waiters(id, &error, effects);
                }
            }
            _ => effects.reply(claim.ticket, Ok(Reply::State(state.word()))),
        }
        Ok(())
    }

    pub(super) fn disable(
        &mut self,
        claim: &Claim,
        id: u32,
        mut options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        self.object(&claim.caller, id)?;
        let token = options.take_text("token", "")?;
        options.none_left()?;
        let why = "The hold was given back.";
        self.withdraw_enables(&claim.caller.name, Some((id, &token)), why, effects);
        let released = self.give_back_hold(&claim.caller.name, id, &token, now, effects);
        effects.reply(claim.ticket, Ok(Reply::Flag(released)));
        Ok(())
    }

    pub(super) fn refresh(
        &mut self,
        claim: &Claim,
        id: u32,
        options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        let profile = self.object(&claim.caller, id)?;
        options.none_left()?;
        self.permit(claim, profile.shared, Action::UseShared)?;
        let by_owner = claim.caller.uid == profile.owner || claim.caller.uid == 0;
        let holds = profile.holders.contains_key(&claim.caller.name);
        let may_refresh = holds || (by_owner && profile.auto_registers());
        if !may_refresh {
            let message = format!("Enable profile {id} first: only its holders can refresh it.");
            return Err(CallError::new(CallErrorKind::NotEnabled, message).into());
        }
        effects.reply(claim.ticket, Ok(Reply::Done));
        self.feed(id, Input::Refresh { by_owner }, now, effects);
        Ok(())
    }

    pub(super) fn force_disable(
        &mut self,
        claim: &Claim,
        id: u32,
        options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        let shared = self.object(&claim.caller, id)?.shared;
        options.none_left()?;
        self.permit(claim, shared, Action::ForceDisable)?;
        effects.reply(claim.ticket, Ok(Reply::Done));
        self.refuse_waiters("The profile was disabled for everybody.", effects, |waiter| {
            waiter.profile == id
        });
        self.drop_all_holds(id, effects);
        let Some(profile) = self.profiles.get_mut(&id) else {
            return Ok(());
        };
        profile.forced_off = profile.settings.auto_register();
        let (owner, shared) = (profile.owner, profile.shared);
        self.signal_about(owner, shared, Signal::ProfileForciblyDisabled(id), effects);
        self.reconcile(id, now, effects);
        self.note_memory(id, effects);
        Ok(())
    }

    /// Adds the hold, if it is none yet, and starts registering where nobody held the profile (H4).
    fn take_hold(
        &mut self,
        caller: &Caller,
        id: u32,
        token: &str,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), CallError> {
        let all = self.hold_count(&caller.name);
        let (Some(profile), Some(session)) =
            (self.profiles.get_mut(&id), self.sessions.get_mut(&caller.name))
        else {
            return Err(CallError::no_object(id));
        };
        let held: &[String] = profile.holders.get(&caller.name).map_or(&[], Vec::as_slice);
        if held.iter().any(|other| other == token) {
            return Ok(());
        }
        let here = limits::for_uid(limits::HOLDS_PER_PROFILE, caller.uid);
        limits::check(held.len(), here, "holds of one connection on one profile")?;
        limits::check(all, limits::for_uid(limits::HOLDS, caller.uid), "holds of one connection")?;

        let before = profile.face();
        profile.holders.entry(caller.name.clone()).or_default().push(token.to_owned());
        profile.forced_off = false;
        session.held.insert(id);
        let after = profile.face();
        effects.note(Note::HoldAdded(caller.name.clone(), id, token.to_owned()));
        self.announce(&before, after, effects);
        self.reconcile(id, now, effects);
        self.note_memory(id, effects);
        Ok(())
    }

    fn give_back_hold(
        &mut self,
        name: &Name,
        id: u32,
        token: &str,
        now: Moment,
        effects: &mut Effects,
    ) -> bool {
        let Some(profile) = self.profiles.get_mut(&id) else {
            return false;
        };
        let before = profile.face();
        let Some(tokens) = profile.holders.get_mut(name) else {
            return false;
        };
        let Some(position) = tokens.iter().position(|other| other == token) else {
            return false;
        };
        tokens.remove(position);
        if tokens.is_empty() {
            profile.holders.remove(name);
            if let Some(session) = self.sessions.get_mut(name) {
                session.held.remove(&id);
            }
        }
        let after = profile.face();
        effects.note(Note::HoldGone(name.clone(), id, token.to_owned()));
        self.announce(&before, after, effects);
        self.refuse_waiters("The hold was given back.", effects, |waiter| {
            waiter.profile == id && waiter.name == *name && waiter.token == token
        });
        self.reconcile(id, now, effects);
        true
    }

    /// Drops every hold of `name` on one profile.
    pub(super) fn drop_holds_of(&mut self, name: &Name, id: u32, now: Moment, effects: &mut Effects) {
        let tokens = self.profiles.get(&id).and_then(|profile| profile.holders.get(name)).cloned();
        for token in tokens.unwrap_or_default() {
            self.give_back_hold(name, id, &token, now, effects);
        }
    }

    /// Drops every hold on a profile without deciding what follows from it.
    pub(super) fn drop_all_holds(&mut self, id: u32, effects: &mut Effects) {
        let Some(profile) = self.profiles.get_mut(&id) else {
            return;
        };
        let before = profile.face();
        for (name, tokens) in std::mem::take(&mut profile.holders) {
            if let Some(session) = self.sessions.get_mut(&name) {
                session.held.remove(&id);
            }
            for token in tokens {
                effects.note(Note::HoldGone(name.clone(), id, token));
            }
        }
        let after = profile.face();
        self.announce(&before, after, effects);
    }

    /// Answers the Enables that waited for what has happened to profile `id`.
    pub(super) fn settle_waiters(&mut self, id: u32, effects: &mut Effects) {
        let state = self.state_of(id);
        if is_outcome(state) {
            self.answer_waiters(effects, |_| Ok(Reply::State(state.word())), |waiter| waiter.profile == id);
        }
    }

    /// A final error ended profile `id`'s registration: its waiting Enables fail with it.
    pub(super) fn fail_waiters(&mut self, id: u32, error: &LastError, effects: &mut Effects) {
        let kind = match error.kind {
            ErrorKind::NoSecret => CallErrorKind::NoSecret,
            kind => CallErrorKind::Registration(kind),
        };
        let answer = |_: &Waiter| Err(CallError::new(kind, error.message.clone()));
        self.answer_waiters(effects, answer, |waiter| waiter.profile == id);
    }

    /// Waiting Enables that lost their hold: NotEnabled.
    pub(super) fn refuse_waiters(
        &mut self,
        why: &str,
        effects: &mut Effects,
        ends: impl Fn(&Waiter) -> bool,
    ) {
        let answer = |_: &Waiter| Err(CallError::new(CallErrorKind::NotEnabled, why));
        self.answer_waiters(effects, answer, ends);
    }

    /// Waiting Enables whose time is over: Timeout, the hold stays.
    pub(super) fn expire_waiters(&mut self, now: Moment, effects: &mut Effects) {
        let answer = |waiter: &Waiter| {
            let message =
                format!("Profile {} has no outcome yet; the hold stays, watch its State.", waiter.profile);
            Err(CallError::new(CallErrorKind::Timeout, message))
        };
        self.answer_waiters(effects, answer, |waiter| waiter.deadline <= now);
    }

    pub(super) fn answer_waiters(
        &mut self,
        effects: &mut Effects,
        answer: impl Fn(&Waiter) -> Answer,
        ends: impl Fn(&Waiter) -> bool,
    ) {
        let (over, on): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiters).into_iter().partition(ends);
        self.waiters = on;
        for waiter in over {
            let answer = answer(&waiter);
            effects.news(Effect::Reply(waiter.ticket, answer));
        }
    }

    fn hold_count(&self, name: &Name) -> usize {
        let Some(session) = self.sessions.get(name) else {
            return 0;
        };
        let tokens = |id: &u32| self.profiles.get(id)?.holders.get(name).map(Vec::len);
        session.held.iter().filter_map(tokens).sum()
    }

    fn error_that_stopped(&self, id: u32) -> Option<LastError> {
        let registration = &self.profiles.get(&id)?.registration;
        registration.is_stopped().then(|| registration.status().last_error).flatten()
    }

    pub(super) fn state_of(&self, id: u32) -> State {
        self.profiles.get(&id).map_or(State::Unregistered, |profile| profile.registration.status().state)
    }
}

/// Is this how the first attempt of a waiting Enable may end?
fn is_outcome(state: State) -> bool {
    matches!(state, State::Registered | State::Waiting)
}
