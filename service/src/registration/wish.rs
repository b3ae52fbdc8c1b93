//! What people want: registered or not, with which settings, and now rather than later (H4–H6, E10, U3, U4).

use std::sync::Arc;

use super::attempt::Purpose;
use super::machine::{Phase, Registration, Standing, Turn};
use super::{Reason, timing};
use crate::moment::Moment;
use crate::settings::{Change, Settings};

impl Registration {
    pub(super) fn want(&mut self, turn: &mut Turn<'_>) {
        if self.wanted {
            return;
        }
        self.wanted = true;
        self.stopped = false;
        match self.phase {
            // Wanted again while a refresh was still awaited.
            Phase::Unregistering if self.awaits_register() => {
                let known = matches!(self.standing, Some(Standing::Known(_)));
                self.phase = match self.standing_until(turn.now) {
                    Some(next) if known => Phase::Registered { degraded: None, next },
                    _ => Phase::Registering,
                };
            }
            Phase::Idle if self.attempt.is_none() => self.start(turn),
            _ => {}
        }
    }

    pub(super) fn unwant(&mut self, turn: &mut Turn<'_>) {
        let had_wish = std::mem::take(&mut self.wanted);
        if !had_wish && !self.may_be_bound() {
            return;
        }
        self.refresh_asked = None;
        if self.attempt.as_ref().is_some_and(|attempt| attempt.is_resolving()) {
            return self.ended_unwanted(turn);
        }
        match self.phase {
            // H6: what is wanted is read again when the answer arrives.
            Phase::Registering | Phase::Unregistering => {}
            _ if self.awaits_register() => self.phase = Phase::Unregistering,
            _ => self.ended_unwanted(turn),
        }
    }

    pub(super) fn service_ends(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.phase, Phase::Waiting(..)) || self.may_be_bound() {
            return self.unwant(turn);
        }
        self.wanted = false;
        self.refresh_asked = None;
        self.forget_secret(turn);
    }

    /// Nobody wants it any more and no answer is awaited: what stands at the registrar is removed, otherwise
    /// silently `unregistered` (H6).
    pub(super) fn ended_unwanted(&mut self, turn: &mut Turn<'_>) {
        self.deregister(turn);
    }

    /// When the binding ends; `None` where there is none, or it has ended.
    fn standing_until(&self, now: Moment) -> Option<Moment> {
        self.standing.as_ref().map(Standing::expires_at).filter(|until| *until > now)
    }

    /// Starts registering from `unregistered`, as far as E10 and a server's Retry-After allow.
    pub(super) fn start(&mut self, turn: &mut Turn<'_>) {
        if self.moved_from.is_some() {
            return self.deregister(turn);
        }
        let now = turn.now;
        self.standing = self.standing.take().filter(|standing| standing.expires_at() > now);
        if self.standing.as_ref().is_some_and(|standing| standing.contact().is_some()) {
            // A predecessor's binding is confirmed; that is no new attempt (E10). What it had in flight is.
            self.phase = Phase::Registering;
            return self.begin(Purpose::Register, turn);
        }
        if let Some(until) = self.learnt.not_before.filter(|until| *until > now) {
            self.phase = Phase::Waiting(Reason::Server, Some(until));
            return;
        }
        if let Some(until) = self.limited_until(now) {
            self.phase = Phase::Waiting(Reason::Limit, Some(until));
            return;
        }
        self.starts.push(now);
        self.last_error = None;
        self.needs_secret = false;
        self.failures = 0;
        self.phase = Phase::Registering;
        self.begin(Purpose::Register, turn);
    }

    /// Until when E10 forbids an attempt.
    pub(super) fn limited_until(&mut self, now: Moment) -> Option<Moment> {
        self.starts.retain(|start| now.since(*start) < timing::ATTEMPT_WINDOW);
        let crowded = (self.starts.len() >= timing::ATTEMPTS)
            .then(|| self.starts[self.starts.len() - timing::ATTEMPTS] + timing::ATTEMPT_WINDOW);
        let refused =
            self.refused.as_ref().map(|(at, _)| *at + timing::REFUSED_PAUSE).filter(|until| *until > now);
        crowded.into_iter().chain(refused).max()
    }

    pub(super) fn replace_settings(&mut self, settings: Arc<Settings>, change: Change, turn: &mut Turn<'_>) {
        if change == Change::Nothing {
            return;
        }
        let old = std::mem::replace(&mut self.settings, settings);
        self.last_error = None;
        if matches!(self.phase, Phase::Registered { .. }) {
            self.keep_alive_as_set(turn);
        }
        if change == (Change::Quiet { credential: false }) {
            return;
        }
        self.stopped = false;
        self.needs_secret = false;
        self.refused = None;
        if change == Change::Move || old.credentials() != self.settings.credentials() {
            self.forget_secret(turn);
        }
        if self.attempt.is_some() {
            // U4: after the answer, and only the last ones.
            self.queued = self.queued.max(Some(change));
            return;
        }
        self.apply_change(change, old, turn);
    }

    /// The network effect of new settings, nothing being in flight. `old`: those that the binding was made with.
    pub(super) fn apply_change(&mut self, change: Change, old: Arc<Settings>, turn: &mut Turn<'_>) {
        match self.phase {
            // U3c: `registered`, `unregistering`, `unregistered`, then `registering` by itself (H6); holds stay.
            Phase::Registered { .. } | Phase::Waiting(..)
                if change == Change::Move && self.standing.is_some() =>
            {
                self.moving = true;
                self.deregister_with(old, turn);
            }
            Phase::Registered { .. } if change == Change::Refresh => self.begin(Purpose::Register, turn),
            Phase::Waiting(..) => {
                if change == Change::Move {
                    self.forget_server(turn);
                    self.close_flow(turn);
                }
                self.needs_secret = false;
                self.learnt.forget_rests();
                if self.wanted {
                    self.try_now(turn);
                } else {
                    // A predecessor's wait was for other settings.
                    self.phase = Phase::Idle;
                }
            }
            _ if change == Change::Move => self.forget_server(turn),
            _ => {}
        }
    }

    /// A final error came to settings that have been replaced meanwhile: the new ones get an attempt of their own
    /// (U4), as from `unregistered`.
    pub(super) fn start_with_new_settings(&mut self, turn: &mut Turn<'_>) {
        self.refused = None;
        self.last_error = None;
        self.needs_secret = false;
        self.learnt.forget_rests();
        self.start(turn);
    }

    pub(super) fn ask_refresh(&mut self, by_owner: bool, turn: &mut Turn<'_>) {
        if !self.wanted || self.attempt.is_some() {
            return;
        }
        let limited = matches!(self.phase, Phase::Waiting(Reason::Limit, _));
        if matches!(self.phase, Phase::Waiting(Reason::Secret, _)) {
            return self.ask(turn);
        }
        if limited && !by_owner {
            return;
        }
        if by_owner {
            self.refused = None;
        }
        self.learnt.forget_rests();
        self.try_soon(turn);
    }

    /// One attempt, put off where the last one began less than 5 s ago; several become one.
    pub(super) fn try_soon(&mut self, turn: &mut Turn<'_>) {
        let earliest = self.last_attempt_at.map(|at| at + timing::REFRESH_PAUSE);
        match earliest.filter(|earliest| *earliest > turn.now) {
            Some(earliest) => self.refresh_asked = Some(earliest),
            None => self.try_now(turn),
        }
    }

    /// One attempt at once, whatever is waited for but a limit (E10).
    pub(super) fn try_now(&mut self, turn: &mut Turn<'_>) {
        self.refresh_asked = None;
        if !self.wanted || self.attempt.is_some() {
            return;
        }
        match self.phase {
            Phase::Idle | Phase::Waiting(Reason::Limit, _) => self.start(turn),
            _ => self.begin(Purpose::Register, turn),
        }
    }
}
