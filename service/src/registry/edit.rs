//! Creating, changing and removing profiles, and choosing the default (semantics U1–U7).
//!
//! Each is two steps: a check that ends in a write, and, once the disk has it, the change itself. Between the
//! two nothing else happens: [`super::Command::Saved`] is the next command.

use std::sync::Arc;

use super::call::{Options, Reply, Ticket};
use super::effect::{Effect, Signal, Write};
use super::effects::Effects;
use super::error::{CallError, CallErrorKind};
use super::profile::Profile;
use super::rights::{Action, Claim, Stop};
use super::{Registry, limits};
use crate::moment::Moment;
use crate::registration::{Identity, Input};
use crate::settings::{Change, Secret, Settings, SettingsError, Values};
use crate::store::Record;

/// A change that waits for the disk.
pub struct Pending {
    /// `None`: no call, but a person's password that is to be kept.
    ticket: Option<Ticket>,
    change: PendingChange,
}

enum PendingChange {
    Create(Box<Record>),
    Update(u32, Box<Settings>, Change),
    Remove(u32),
    Default(u32, u32),
}

impl Registry {
    pub(super) fn create(
        &mut self,
        claim: &Claim,
        settings: Values,
        mut options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        let shared = options.take_flag("shared")?;
        options.none_left()?;
        if shared && self.rules.session_bus {
            return Err(CallError::unshared().into());
        }
        let settings = Settings::create(settings)?;
        let limit = if claim.caller.uid == 0 { limits::PROFILES_ROOT } else { limits::PROFILES };
        limits::check(
            self.owned.get(&claim.caller.uid).map_or(0, |ids| ids.len()),
            limit,
            "profiles of one user",
        )?;
        if self.next_id == u32::MAX {
            return Err(
                CallError::new(CallErrorKind::LimitExceeded, "All profile ids have been given.").into()
            );
        }
        self.permit(claim, shared, Action::ManageShared)?;
        self.writes.admit(claim.caller.uid, now)?;

        // Given even where the write fails: a disk that lost its power may hold it all the same.
        let id = self.next_id;
        self.next_id += 1;
        let identity = Identity::random(&mut *self.random);
        let record = Record { id, owner: claim.caller.uid, shared, settings, identity };
        effects.save(Write::Profile { record: Box::new(record.clone()), farewell: false });
        self.pending =
            Some(Pending { ticket: Some(claim.ticket), change: PendingChange::Create(Box::new(record)) });
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        claim: &Claim,
        id: u32,
        (set, unset, options): (Values, Vec<String>, Options),
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        let profile = self.object(&claim.caller, id)?;
        options.none_left()?;
        let settings = profile.settings.update(set, &unset)?;
        self.permit(claim, profile.shared, Action::ManageShared)?;
        let change = profile.settings.change_to(&settings);
        if change == Change::Nothing {
            effects.reply(claim.ticket, Ok(Reply::Done));
            return Ok(());
        }
        let record = profile.record(settings.clone());
        let farewell = change == Change::Move && profile.registration.may_be_bound();
        self.writes.admit(claim.caller.uid, now)?;
        effects.save(Write::Profile { record: Box::new(record), farewell });
        let change = PendingChange::Update(id, Box::new(settings), change);
        self.pending = Some(Pending { ticket: Some(claim.ticket), change });
        Ok(())
    }

    pub(super) fn remove(
        &mut self,
        claim: &Claim,
        id: u32,
        mut options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        let profile = self.object(&claim.caller, id)?;
        let force = options.take_flag("force")?;
        options.none_left()?;
        self.permit(claim, profile.shared, Action::ManageShared)?;
        if force {
            self.permit(claim, profile.shared, Action::ForceDisable)?;
        }
        if !profile.holders.is_empty() && !force {
            let who = match profile.holders.len() {
                1 => String::from("1 program"),
                several => format!("{several} programs"),
            };
            let message =
                format!("Profile {id} is held by {who}: disable it there first, or remove it with force.");
            return Err(CallError::new(CallErrorKind::InUse, message).into());
        }
        let farewell = profile.registration.may_be_bound();
        self.writes.admit(claim.caller.uid, now)?;
        effects.save(Write::Removal { id, farewell });
        self.pending = Some(Pending { ticket: Some(claim.ticket), change: PendingChange::Remove(id) });
        Ok(())
    }

    pub(super) fn set_default(
        &mut self,
        claim: &Claim,
        id: Option<u32>,
        options: Options,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), Stop> {
        options.none_left()?;
        let profile = id
            .and_then(|id| self.profiles.get(&id))
            .filter(|profile| profile.is_visible_to(claim.caller.uid))
            .ok_or_else(|| CallError::new(CallErrorKind::NotFound, "That path is no profile's."))?;
        if !profile.shared && profile.owner != claim.caller.uid {
            return Err(
                CallError::denied("The default must be a profile of one's own, or a shared one.").into()
            );
        }
        let id = profile.id;
        if self.chosen_defaults.get(&claim.caller.uid) == Some(&id) {
            effects.reply(claim.ticket, Ok(Reply::Done));
            return Ok(());
        }
        self.writes.admit(claim.caller.uid, now)?;
        effects.save(Write::Default { uid: claim.caller.uid, profile: id });
        self.pending = Some(Pending {
            ticket: Some(claim.ticket),
            change: PendingChange::Default(claim.caller.uid, id),
        });
        Ok(())
    }

    /// The disk has it, or refused.
    pub(super) fn saved(&mut self, result: Result<(), String>, now: Moment, effects: &mut Effects) {
        let Some(Pending { ticket, change }) = self.pending.take() else {
            return;
        };
        if let Err(message) = result {
            // A password that was not kept is asked for again the next time; the store has said why.
            let Some(ticket) = ticket else { return };
            return effects.reply(ticket, Err(CallError::new(CallErrorKind::Storage, message)));
        }
        let done = match &change {
            PendingChange::Create(record) => Reply::Created(record.id),
            _ => Reply::Done,
        };
        if let Some(ticket) = ticket {
            effects.reply(ticket, Ok(done));
        }
        match change {
            PendingChange::Create(record) => self.created(*record, now, effects),
            PendingChange::Update(id, settings, change) => self.updated(id, *settings, change, now, effects),
            PendingChange::Remove(id) => self.removed(id, now, effects),
            PendingChange::Default(uid, id) => {
                let before = self.default_of(uid);
                self.chosen_defaults.insert(uid, id);
                self.announce_default(uid, before, effects);
            }
        }
    }

    /// A person's password that has worked is stored, as the person wanted (E11).
    pub(super) fn keep_password(&mut self, id: u32, password: Secret, effects: &mut Effects) {
        let Some(profile) = self.profiles.get(&id) else {
            return;
        };
        let settings = Settings { password: Some(password), ..Settings::clone(&profile.settings) };
        let change = profile.settings.change_to(&settings);
        effects.save(Write::Profile { record: Box::new(profile.record(settings.clone())), farewell: false });
        let change = PendingChange::Update(id, Box::new(settings), change);
        self.pending = Some(Pending { ticket: None, change });
    }

    fn created(&mut self, record: Record, now: Moment, effects: &mut Effects) {
        let (id, owner, shared) = (record.id, record.owner, record.shared);
        let before = self.default_of(owner);
        let profile = Profile::new(record, None, None, now);
        let face = Box::new(profile.face());
        self.insert(profile);
        self.signal_about(owner, shared, Signal::InterfacesAdded(face), effects);
        self.signal_about(owner, shared, Signal::ProfileAdded(id), effects);
        self.announce_default(owner, before, effects);
        self.take_up(id, now, effects);
    }

    fn updated(&mut self, id: u32, settings: Settings, change: Change, now: Moment, effects: &mut Effects) {
        let Some(profile) = self.profiles.get_mut(&id) else {
            return;
        };
        let before = profile.face();
        let settings = Arc::new(settings);
        profile.settings = settings.clone();
        let starts_anew = change != Change::Quiet { credential: false };
        let switched = before.settings.auto_register() != settings.auto_register();
        let switched_on = switched && settings.auto_register();
        if starts_anew || switched {
            profile.forced_off = false;
        }
        let (owner, shared, after) = (profile.owner, profile.shared, profile.face());
        let token = profile.identity.token.clone();
        effects.sip(Effect::Configure { profile: id, settings: settings.clone(), token });
        self.announce(&before, after, effects);
        self.signal_about(owner, shared, Signal::ProfileUpdated(id), effects);
        self.feed(id, Input::Settings(settings, change), now, effects);
        if switched_on {
            // U7: a stop by an error (E2) is over, as it is for an Enable.
            self.feed(id, Input::Want, now, effects);
        }
        self.reconcile(id, now, effects);
        self.note_memory(id, effects);
    }

    fn removed(&mut self, id: u32, now: Moment, effects: &mut Effects) {
        let Some(owner) = self.profiles.get(&id).map(|profile| profile.owner) else {
            return;
        };
        let defaults: Vec<_> =
            self.uids_with_default(id).into_iter().map(|uid| (uid, self.default_of(uid))).collect();
        self.refuse_waiters("The profile was removed.", effects, |waiter| waiter.profile == id);
        let mut silent = Effects::default();
        self.drop_all_holds(id, &mut silent);
        effects.absorb_notes(silent);
        self.unschedule(id);
        self.forget_question(id, now, effects);
        let Some(profile) = self.profiles.remove(&id) else {
            return;
        };
        if let Some(ids) = self.owned.get_mut(&owner) {
            ids.remove(&id);
        }
        self.signal_about(owner, profile.shared, Signal::InterfacesRemoved(id), effects);
        self.signal_about(owner, profile.shared, Signal::ProfileRemoved(id), effects);
        for (uid, before) in defaults {
            if self.chosen_defaults.get(&uid) == Some(&id) {
                self.chosen_defaults.remove(&uid);
            }
            self.announce_default(uid, before, effects);
        }
        self.let_go(profile, now, effects);
    }

    /// `uid`'s default profile: the chosen one while it is there and the user's or shared, else the lowest
    /// own id (U6).
    pub(super) fn default_of(&self, uid: u32) -> Option<u32> {
        let is_fit =
            |id: &&u32| self.profiles.get(*id).is_some_and(|profile| profile.shared || profile.owner == uid);
        let chosen = self.chosen_defaults.get(&uid).filter(is_fit);
        chosen.or_else(|| self.owned.get(&uid)?.first()).copied()
    }

    fn uids_with_default(&self, id: u32) -> Vec<u32> {
        let uids = self.chosen_defaults.keys().chain(self.owned.keys());
        let mut uids: Vec<u32> = uids.copied().filter(|uid| self.default_of(*uid) == Some(id)).collect();
        uids.sort_unstable();
        uids.dedup();
        uids
    }
}

impl From<SettingsError> for CallError {
    fn from(error: SettingsError) -> Self {
        let kind = match error {
            SettingsError::Invalid(_) => CallErrorKind::InvalidSetting,
            SettingsError::UnsupportedType(_) => CallErrorKind::UnsupportedType,
            SettingsError::TooLarge(_) => CallErrorKind::LimitExceeded,
        };
        CallError::new(kind, error.to_string())
    }
}
