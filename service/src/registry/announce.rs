//! Who hears what: private news go to the sessions of the owner's uid and of root, shared news to everybody.

use super::effect::{Audience, Effect, Signal};
use super::effects::Effects;
use super::face::{Face, Property};
use super::{Name, Registry};
use crate::moment::Moment;

impl Registry {
    /// Signals `signal` about a profile of `owner`.
    pub(super) fn signal_about(&self, owner: u32, shared: bool, signal: Signal, effects: &mut Effects) {
        let audience = if shared {
            Audience::Everybody
        } else {
            Audience::Sessions(self.names_where(|uid| uid == owner || uid == 0))
        };
        signal_to(audience, signal, effects);
    }

    /// Signals what differs from `before`: properties, then the state (H7). Signals nothing when nothing does.
    pub(super) fn announce(&self, before: &Face, after: Face, effects: &mut Effects) {
        let changed = after.changes_since(before);
        if changed.is_empty() {
            return;
        }
        let (owner, shared, profile) = (after.owner, after.shared, after.id);
        let (state, reason) = (after.status.state, after.status.reason);
        let state_changed = (state, reason) != (before.status.state, before.status.reason);
        self.signal_about(owner, shared, Signal::PropertiesChanged(Box::new(after), changed), effects);
        if state_changed {
            let previous = before.status.state;
            let signal = Signal::ProfileStateChanged { profile, state, previous, reason };
            self.signal_about(owner, shared, signal, effects);
        }
    }

    /// Signals `uid`'s default where it is not `before` any more.
    pub(super) fn announce_default(&self, uid: u32, before: Option<u32>, effects: &mut Effects) {
        let after = self.default_of(uid);
        if after != before {
            let audience = Audience::Sessions(self.names_where(|session_uid| session_uid == uid));
            signal_to(audience, Signal::DefaultProfileChanged(after), effects);
        }
    }

    /// The wall clock was set: times are shown anew, and certificates may be valid now (L7, E6).
    pub(super) fn clock_set(&mut self, now: Moment, effects: &mut Effects) {
        for id in self.profiles.keys().copied().collect::<Vec<_>>() {
            let Some(profile) = self.profiles.get(&id) else {
                continue;
            };
            let status = profile.registration.status();
            let shown = |property: &Property| match property {
                Property::RetryAt => status.retry_at.is_some(),
                _ => status.last_error.is_some(),
            };
            let times: Vec<_> = Property::TIMES.into_iter().filter(shown).collect();
            if !times.is_empty() {
                let signal = Signal::PropertiesChanged(Box::new(profile.face()), times);
                self.signal_about(profile.owner, profile.shared, signal, effects);
            }
            self.feed(id, crate::registration::Input::ClockSet, now, effects);
        }
    }

    fn names_where(&self, takes_part: impl Fn(u32) -> bool) -> Vec<Name> {
        self.sessions
            .iter()
            .filter(|(_, session)| takes_part(session.uid))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn signal_to(audience: Audience, signal: Signal, effects: &mut Effects) {
    if audience != Audience::Sessions(Vec::new()) {
        effects.news(Effect::Signal(audience, signal));
    }
}
