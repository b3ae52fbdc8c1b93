//! Who may do what with a shared profile (contract, "Who may do what").
//!
//! The registry decides *that* a right is needed; the bus asks polkit; the call waits here meanwhile. With the
//! verdict the whole call is decided again from its start, so that the profile and the caller are looked up
//! again: either may be gone, and what the call was refused or granted for may not be asked any more.
//!
//! Order: calls of one client about one profile keep theirs, as each waits for the earlier ones. Everything
//! else goes on, since a dialog may stand for two minutes: reads, other profiles, and what gives back. Disable and
//! Leave end the client's waiting Enables instead of waiting behind them, as they do with those of H10.

use std::collections::BTreeMap;

use super::call::{Call, Caller, Options, Ticket};
use super::effect::Effect;
use super::effects::Effects;
use super::error::{CallError, CallErrorKind};
use super::profile::Profile;
use super::{Registry, limits};
use crate::moment::Moment;
use crate::settings::Value;

/// What polkit is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Enable and Refresh.
    UseShared,
    /// CreateProfile, Update and Remove.
    ManageShared,
    /// ForceDisable, and Remove with `force`.
    ForceDisable,
}

impl Action {
    /// The polkit action.
    pub fn id(self) -> &'static str {
        match self {
            Action::UseShared => "org.sipprofiles.use-shared",
            Action::ManageShared => "org.sipprofiles.manage-shared",
            Action::ForceDisable => "org.sipprofiles.force-disable",
        }
    }

    /// What `call` needs first where it is about a shared profile.
    fn first_for(call: &Call) -> Option<Action> {
        match call {
            Call::Enable(..) | Call::Refresh(..) => Some(Action::UseShared),
            Call::CreateProfile(..) | Call::Update(..) | Call::Remove(..) => Some(Action::ManageShared),
            Call::ForceDisable(..) => Some(Action::ForceDisable),
            _ => None,
        }
    }
}

/// What polkit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Granted,
    /// Only after a dialog, and there was none.
    Challenge,
    /// No.
    Refused,
    /// It could not be asked; the sentence says why. Means no.
    Failed(String),
}

/// A question to polkit about the caller of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose caller it is about. A call has one question open at a time.
    pub ticket: Ticket,
    /// What for.
    pub action: Action,
    /// May a dialog be shown?
    pub interactive: bool,
    /// The shared profile it is about and its AOR, for the administrator's rules; `None`: a new one.
    pub about: Option<(u32, String)>,
}

/// A call's claim to be carried out: who calls, where the reply goes, and what polkit has said.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who.
    pub caller: Caller,
    /// Named in the reply.
    pub ticket: Ticket,
    /// May polkit show a dialog?
    pub interactive: bool,
    /// What polkit has said so far.
    pub verdicts: Vec<(Action, Verdict)>,
}

/// Why a call is not carried out now.
#[derive(Debug)]
pub enum Stop {
    /// It is refused.
    Refused(CallError),
    /// Polkit is to be asked first.
    Ask(Action),
}

impl<E: Into<CallError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Refused(error.into())
    }
}

/// A call that waits for polkit.
#[derive(Debug)]
pub struct Parked {
    claim: Claim,
    call: Call,
    asked: Action,
    verdict: Option<Verdict>,
}

impl Parked {
    /// Must `self`, the earlier one, be carried out before `caller`'s `call`?
    fn precedes(&self, caller: &Caller, call: &Call) -> bool {
        let profile = target(call);
        self.claim.caller.name == caller.name && profile.is_some() && target(&self.call) == profile
    }

    /// Is it `name`'s wish to hold: the profile and the token, where they are given?
    fn is_enable(&self, name: &str, hold: Option<(u32, &str)>) -> bool {
        let Call::Enable(id, options) = &self.call else {
            return false;
        };
        let token = options.clone().take_text("token", "").unwrap_or_default();
        *self.claim.caller.name == *name && hold.is_none_or(|hold| hold == (*id, token.as_str()))
    }
}

impl Registry {
    /// Decides a call that has come, or puts it behind those of its client that it must not overtake. Polkit is
    /// asked for it at once, so that a slow answer holds up all of them only once.
    pub(super) fn consider(&mut self, claim: Claim, call: Call, now: Moment, effects: &mut Effects) {
        let waits = self.parked.values().any(|earlier| earlier.precedes(&claim.caller, &call));
        match Action::first_for(&call).filter(|_| waits) {
            None => self.decide(claim, call, now, effects),
            Some(action) => {
                let ticket = claim.ticket;
                if let Err(error) = self.park(claim, call, action, effects) {
                    effects.reply(ticket, Err(error));
                }
            }
        }
    }

    /// Decides a call, or parks it until polkit has answered.
    fn decide(&mut self, claim: Claim, call: Call, now: Moment, effects: &mut Effects) {
        let spare = self.may_need_right(&claim.caller, &call).then(|| call.clone());
        let ticket = claim.ticket;
        let stopped = match (self.call(&claim, call, now, effects), spare) {
            (Ok(()), _) => return,
            (Err(Stop::Refused(error)), _) => Err(error),
            (Err(Stop::Ask(action)), Some(call)) => self.park(claim, call, action, effects),
            (Err(Stop::Ask(_)), None) => Err(CallError::denied("Only root may do this.")),
        };
        if let Err(error) = stopped {
            effects.reply(ticket, Err(error));
        }
    }

    /// Could polkit have to be asked? Calls are kept for a second decision only where it could.
    fn may_need_right(&self, caller: &Caller, call: &Call) -> bool {
        let is_about_shared = match call {
            Call::CreateProfile(_, Options(options)) => options.get("shared") == Some(&Value::Flag(true)),
            call => target(call).and_then(|id| self.profiles.get(&id)).is_some_and(|profile| profile.shared),
        };
        caller.uid != 0 && is_about_shared
    }

    /// May the caller do `action` with a profile that is `shared`? Checked after the arguments, so that nobody is shown
    /// a dialog for a call that cannot be meant, and before the state. One's own profiles and root need no right.
    pub(super) fn permit(&self, claim: &Claim, shared: bool, action: Action) -> Result<(), Stop> {
        if !shared || claim.caller.uid == 0 {
            return Ok(());
        }
        if self.rules.session_bus {
            return Err(CallError::unshared().into());
        }
        match claim.verdicts.iter().find(|(asked, _)| *asked == action) {
            None => Err(Stop::Ask(action)),
            Some((_, Verdict::Granted)) => Ok(()),
            Some((_, verdict)) => Err(refusal(action, verdict, claim.interactive).into()),
        }
    }

    fn park(
        &mut self,
        claim: Claim,
        call: Call,
        action: Action,
        effects: &mut Effects,
    ) -> Result<(), CallError> {
        let uid = claim.caller.uid;
        let own = self.parked.values().filter(|parked| parked.claim.caller.uid == uid).count();
        limits::check(own, limits::QUESTIONS, "polkit questions of one user may be open at a time")?;
        limits::check(self.parked.len(), limits::QUESTIONS_ALL, "polkit questions may be open at a time")?;
        let about = target(&call).and_then(|id| self.profiles.get(&id));
        let question = Question {
            ticket: claim.ticket,
            action,
            interactive: claim.interactive,
            about: about.map(|profile: &Profile| (profile.id, profile.settings.aor.to_string())),
        };
        effects.news(Effect::Authorize(Box::new(question)));
        self.parked.insert(claim.ticket, Parked { claim, call, asked: action, verdict: None });
        Ok(())
    }

    /// Polkit has answered; [`Registry::can_resume`] says whether the call's turn has come.
    pub(super) fn answered(&mut self, ticket: Ticket, verdict: Verdict) {
        if let Some(parked) = self.parked.get_mut(&ticket) {
            parked.verdict.get_or_insert(verdict);
        }
    }

    /// Is it the turn of a call that polkit has answered for? Then [`super::Command::Resume`] is due.
    pub fn can_resume(&self) -> bool {
        self.next_to_resume().is_some()
    }

    /// Does any call wait for polkit?
    pub fn is_asking(&self) -> bool {
        !self.parked.is_empty()
    }

    fn next_to_resume(&self) -> Option<Ticket> {
        let is_first = |ticket: Ticket, parked: &Parked| {
            let (caller, call) = (&parked.claim.caller, &parked.call);
            !self.parked.range(..ticket).any(|(_, earlier)| earlier.precedes(caller, call))
        };
        let mut answered = self.parked.iter().filter(|(_, parked)| parked.verdict.is_some());
        answered.find(|(ticket, parked)| is_first(**ticket, parked)).map(|(ticket, _)| *ticket)
    }

    /// Decides the next answered call again, from its start.
    pub(super) fn resume(&mut self, now: Moment, effects: &mut Effects) {
        let Some(parked) = self.next_to_resume().and_then(|ticket| self.parked.remove(&ticket)) else {
            return;
        };
        let Parked { mut claim, call, asked, verdict } = parked;
        claim.verdicts.extend(verdict.map(|verdict| (asked, verdict)));
        self.decide(claim, call, now, effects);
    }

    /// The caller gives up the Enables that wait for polkit: all, or those of one profile and token.
    pub(super) fn withdraw_enables(
        &mut self,
        name: &str,
        hold: Option<(u32, &str)>,
        why: &str,
        effects: &mut Effects,
    ) {
        let error = CallError::new(CallErrorKind::NotEnabled, why);
        self.withdraw(Some(&error), effects, |parked| parked.is_enable(name, hold));
    }

    /// The caller is gone: its calls are dropped.
    pub(super) fn drop_parked(&mut self, name: &str, effects: &mut Effects) {
        self.withdraw(None, effects, |parked| *parked.claim.caller.name == *name);
    }

    /// The service ends: nobody waits any longer for polkit.
    pub(super) fn refuse_parked(&mut self, effects: &mut Effects) {
        self.withdraw(Some(&CallError::ending()), effects, |_| true);
    }

    fn withdraw(&mut self, error: Option<&CallError>, effects: &mut Effects, ends: impl Fn(&Parked) -> bool) {
        let (over, on) = std::mem::take(&mut self.parked).into_iter().partition(|(_, parked)| ends(parked));
        self.parked = on;
        let over: BTreeMap<_, Parked> = over;
        for (ticket, parked) in over {
            if parked.verdict.is_none() {
                effects.news(Effect::Withdraw(ticket));
            }
            if let Some(error) = error {
                effects.news(Effect::Reply(ticket, Err(error.clone())));
            }
        }
    }
}

/// The profile that a call changes.
fn target(call: &Call) -> Option<u32> {
    match call {
        Call::Enable(id, _)
        | Call::Refresh(id, _)
        | Call::ForceDisable(id, _)
        | Call::Update(id, ..)
        | Call::Remove(id, _) => Some(*id),
        _ => None,
    }
}

fn refusal(action: Action, verdict: &Verdict, interactive: bool) -> CallError {
    let (id, dialog) = (action.id(), CallErrorKind::InteractiveAuthorizationRequired);
    match verdict {
        Verdict::Challenge if !interactive => {
            let help = "a dialog would be shown to a call with the flag ALLOW_INTERACTIVE_AUTHORIZATION.";
            CallError::new(dialog, format!("Shared profiles need the authorization {id}: {help}"))
        }
        Verdict::Challenge => CallError::denied(format!(
            "Shared profiles need the authorization {id}: no authentication agent runs that could ask for it."
        )),
        Verdict::Failed(why) => CallError::denied(format!(
            "Shared profiles need the authorization {id}, and polkit could not be asked ({why}): only root may \
             do this."
        )),
        _ => CallError::denied(format!(
            "Shared profiles need the authorization {id}: polkit did not grant it."
        )),
    }
}
