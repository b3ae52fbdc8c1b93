//! Feeding the registrations, and what follows from what they do.

use std::time::Duration;

use super::Registry;
use super::call::Answer;
use super::effect::{Effect, Note, ProfileMemory, Signal};
use super::effects::Effects;
use super::enable::Waiter;
use super::error::{CallError, CallErrorKind};
use super::profile::Profile;
use crate::moment::Moment;
use crate::registration::{Input, Output, Registration};

/// A removed profile whose de-registration goes on in the background (U5).
pub struct Leaving {
    pub registration: Registration,
    pub scheduled: Option<Moment>,
}

/// Steps a registration may take at one instant, as `unregistered`, then a new REGISTER by itself (H6).
/// More is a loop: it goes on a second later.
const STEPS_AT_ONCE: usize = 8;

impl Registry {
    /// Gives `input` to a profile's registration, announces what changed, and lets it take the further steps
    /// that are due at this instant, each announced by itself.
    pub(super) fn feed(&mut self, id: u32, input: Input, now: Moment, effects: &mut Effects) {
        let mut next = Some(input);
        for _ in 0..STEPS_AT_ONCE {
            let Some(input) = next.take() else { break };
            if self.leaving.contains_key(&id) {
                self.feed_leaving(id, input, now, effects);
            } else {
                self.step(id, input, now, effects);
            }
            if self.wakeup_of(id).is_some_and(|moment| moment <= now) {
                next = Some(Input::Tick);
            }
        }
        self.reschedule(id, now);
    }

    fn step(&mut self, id: u32, input: Input, now: Moment, effects: &mut Effects) {
        let Some(profile) = self.profiles.get_mut(&id) else {
            return;
        };
        let before = profile.face();
        let outputs = profile.registration.handle(input, now, &mut *self.random);
        let after = profile.face();
        let stopped = outputs.contains(&Output::Stopped);
        let mut question = None;
        for output in outputs {
            match output {
                Output::Stopped => {}
                Output::AskSecret(asked) => question = Some(asked),
                Output::ForgetSecret => self.forget_question(id, now, effects),
                Output::KeepSecret(password) => self.keep_password(id, password, effects),
                output => effects.sip(Effect::Sip { profile: id, output }),
            }
        }
        self.note_memory(id, effects);
        if stopped {
            return self.stop(id, &before, effects);
        }
        self.announce(&before, after, effects);
        self.settle_waiters(id, effects);
        // What follows from nobody being there to ask is another step.
        if let Some(question) = question {
            self.question(id, question, now, effects);
        }
    }

    /// A final error (E2): nobody holds the profile any more.
    fn stop(&mut self, id: u32, before: &super::face::Face, effects: &mut Effects) {
        let mut silent = Effects::default();
        self.drop_all_holds(id, &mut silent);
        effects.absorb_notes(silent);
        let Some(profile) = self.profiles.get(&id) else {
            return;
        };
        let (owner, shared, after) = (profile.owner, profile.shared, profile.face());
        let error = after.status.last_error.clone();
        self.announce(before, after, effects);
        if let Some(error) = error {
            let signal = Signal::ErrorOccurred(id, Box::new(error.clone()));
            self.signal_about(owner, shared, signal, effects);
            self.fail_waiters(id, &error, effects);
        }
    }

    /// A removed profile: what stands of it at the registrar is removed in the background (U5).
    pub(super) fn let_go(&mut self, profile: Profile, now: Moment, effects: &mut Effects) {
        let (id, registration) = (profile.id, profile.registration);
        self.leaving.insert(id, Leaving { registration, scheduled: None });
        self.feed(id, Input::Unwant, now, effects);
    }

    /// One that a predecessor removed and did not get done (L4).
    pub(super) fn bid_farewell(&mut self, profile: Profile, now: Moment, effects: &mut Effects) {
        self.configure(&profile, effects);
        self.let_go(profile, now, effects);
    }

    fn configure(&self, profile: &Profile, effects: &mut Effects) {
        effects.sip(Effect::Configure {
            profile: profile.id,
            settings: profile.settings.clone(),
            token: profile.identity.token.clone(),
        });
    }

    fn feed_leaving(&mut self, id: u32, input: Input, now: Moment, effects: &mut Effects) {
        let Some(leaving) = self.leaving.get_mut(&id) else {
            return;
        };
        for output in leaving.registration.handle(input, now, &mut *self.random) {
            if !matches!(output, Output::Stopped | Output::ForgetSecret) {
                effects.sip(Effect::Sip { profile: id, output });
            }
        }
        if !leaving.registration.is_idle() {
            let registration = leaving.registration.memory();
            effects.note(Note::Memory(id, Box::new(ProfileMemory { registration, forced_off: false })));
        } else {
            self.unschedule(id);
            self.leaving.remove(&id);
            effects.note(Note::MemoryGone(id));
            effects.sip(Effect::Forget(id));
        }
    }

    /// Tells a profile's registration whether it is wanted, where that changed.
    pub(super) fn reconcile(&mut self, id: u32, now: Moment, effects: &mut Effects) {
        let Some(profile) = self.profiles.get(&id) else {
            return;
        };
        let wanted = profile.is_wanted() && !self.ending;
        if wanted != profile.registration.is_wanted() {
            let input = match (wanted, self.ending) {
                (true, _) => Input::Want,
                (false, false) => Input::Unwant,
                (false, true) => Input::ServiceEnds,
            };
            self.feed(id, input, now, effects);
        }
        self.tell_agents(id, now, effects);
    }

    /// The first look at a loaded or new profile: the SIP edge learns of it, and it registers where somebody
    /// wants it, or gives up a predecessor's binding that nobody does (L4).
    pub(super) fn take_up(&mut self, id: u32, now: Moment, effects: &mut Effects) {
        let Some(profile) = self.profiles.get(&id) else {
            return;
        };
        self.configure(profile, effects);
        if !profile.is_wanted() && !profile.registration.is_idle() {
            return self.feed(id, Input::Unwant, now, effects);
        }
        self.reconcile(id, now, effects);
        self.reschedule(id, now);
    }

    /// Timers that are due.
    pub(super) fn tick(&mut self, now: Moment, effects: &mut Effects) {
        let due: Vec<u32> =
            self.schedule.iter().take_while(|(moment, _)| *moment <= now).map(|(_, id)| *id).collect();
        for id in due {
            self.feed(id, Input::Tick, now, effects);
        }
        self.expire_waiters(now, effects);
        self.expire_questions(now, effects);
    }

    /// De-registers all; holds and journal stay for the successor (L3).
    pub(super) fn shut_down(&mut self, now: Moment, effects: &mut Effects) {
        self.ending = true;
        self.hand_over(effects);
        for id in self.profiles.keys().copied().collect::<Vec<_>>() {
            self.reconcile(id, now, effects);
        }
    }

    /// Nobody waits any longer for this process (H10).
    pub(super) fn hand_over(&mut self, effects: &mut Effects) {
        let answer = |_: &Waiter| -> Answer {
            Err(CallError::new(CallErrorKind::ShuttingDown, "The service is ending; the hold stays."))
        };
        self.answer_waiters(effects, answer, |_| true);
        self.refuse_parked(effects);
    }

    /// Notes what a successor must know of a profile, where that changed (E9).
    pub(super) fn note_memory(&mut self, id: u32, effects: &mut Effects) {
        let Some(profile) = self.profiles.get_mut(&id) else {
            return;
        };
        let memory = profile.memory();
        if profile.noted.as_deref() != Some(&memory) {
            profile.noted = Some(Box::new(memory.clone()));
            effects.note(Note::Memory(id, Box::new(memory)));
        }
    }

    fn wakeup_of(&self, id: u32) -> Option<Moment> {
        match self.profiles.get(&id) {
            Some(profile) => profile.registration.wakeup(),
            None => self.leaving.get(&id)?.registration.wakeup(),
        }
    }

    fn reschedule(&mut self, id: u32, now: Moment) {
        let wakeup = self
            .wakeup_of(id)
            .map(|moment| if moment <= now { now + Duration::from_secs(1) } else { moment });
        let Some(scheduled) = self.scheduled(id) else {
            return;
        };
        if *scheduled == wakeup {
            return;
        }
        let before = std::mem::replace(scheduled, wakeup);
        if let Some(moment) = before {
            self.schedule.remove(&(moment, id));
        }
        if let Some(moment) = wakeup {
            self.schedule.insert((moment, id));
        }
    }

    pub(super) fn unschedule(&mut self, id: u32) {
        let Some(scheduled) = self.scheduled(id) else {
            return;
        };
        if let Some(moment) = scheduled.take() {
            self.schedule.remove(&(moment, id));
        }
    }

    fn scheduled(&mut self, id: u32) -> Option<&mut Option<Moment>> {
        match self.profiles.get_mut(&id) {
            Some(profile) => Some(&mut profile.scheduled),
            None => self.leaving.get_mut(&id).map(|leaving| &mut leaving.scheduled),
        }
    }
}
