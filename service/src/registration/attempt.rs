//! One attempt: resolve, try the targets in turn, build each REGISTER.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::{failure_error, resting_error};
use super::machine::{Flow, Phase, Registration, Turn};
use super::timing;
use super::{Failure, Hop, LastError, Output, Reason, Response, Target, Transport};
use crate::moment::Moment;
use crate::settings::{Change, Settings};

/// What an attempt is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Register, refresh or confirm.
    Register,
    /// De-register.
    Deregister,
    /// Remove stray bindings of ours one by one, by their Contact URIs; the first is under way (L4).
    RemoveStrays(Vec<String>),
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The id of its last output; answers to earlier ones are stale.
    pub id: u64,
    pub purpose: Purpose,
    /// The settings it registers with (U4), or de-registers the old with (U3c).
    pub settings: Arc<Settings>,
    /// Where the request went; `None` while the name is being resolved.
    pub target: Option<Target>,
    /// What is left to try.
    pub targets: VecDeque<Target>,
    /// The name was resolved in this attempt.
    pub resolved: bool,
    /// By when it must be over.
    pub deadline: Option<Moment>,
    /// Rounds of authentication with a stale nonce, or a new one after a login that had worked.
    pub stale_rounds: u32,
    pub redirects: u32,
    /// A redirection's host, in place of the profile's own.
    pub redirected: Option<Hop>,
    /// Targets not to be tried again in this attempt.
    pub passed: Vec<Target>,
    /// When the first of the servers that asked to be left alone may be asked again.
    pub rests_until: Option<Moment>,
    /// What the targets so far came to.
    pub failure: Option<(Reason, LastError)>,
    /// That is what the server kept so far came to: what the freshly resolved ones say counts more.
    pub failure_is_old: bool,
    /// The answered request asked for so much, seconds.
    pub asked: u32,
    /// How often a 423 or 420 was obeyed.
    pub concessions: u32,
    /// A challenge to a de-registration was answered (E12).
    pub farewell_challenged: bool,
    /// Contact URIs that a de-registration has removed (L4).
    pub removed: Vec<String>,
}

impl Attempt {
    fn new(purpose: Purpose, settings: Arc<Settings>) -> Self {
        Self {
            id: 0,
            purpose,
            settings,
            target: None,
            targets: VecDeque::new(),
            resolved: false,
            deadline: None,
            stale_rounds: 0,
            redirects: 0,
            redirected: None,
            passed: Vec::new(),
            rests_until: None,
            failure: None,
            failure_is_old: false,
            asked: 0,
            concessions: 0,
            farewell_challenged: false,
            removed: Vec::new(),
        }
    }

    /// Is it still looking for a server, nothing sent yet?
    pub fn is_resolving(&self) -> bool {
        self.target.is_none()
    }

    /// Does it remove other bindings of ours (L4)?
    pub fn removes_strays(&self) -> bool {
        matches!(self.purpose, Purpose::RemoveStrays(_))
    }

    /// Keeps the failure that says most: of targets without a route the first, else the last one.
    pub(super) fn note_failure(&mut self, reason: Reason, error: LastError) {
        let keep = reason == Reason::Network && self.failure.is_some() && !self.failure_is_old;
        if !keep {
            self.failure = Some((reason, error));
        }
        self.failure_is_old = false;
    }
}

impl Registration {
    /// Starts an attempt: at the server that answered last, else wherever the name leads.
    pub(super) fn begin(&mut self, purpose: Purpose, turn: &mut Turn<'_>) {
        self.begin_with(purpose, self.settings.clone(), turn);
    }

    /// The same with other settings than the latest (U4).
    pub(super) fn begin_with(&mut self, purpose: Purpose, settings: Arc<Settings>, turn: &mut Turn<'_>) {
        self.ensure_dialog(turn.rng);
        self.refresh_asked = None;
        self.network_news = false;
        self.last_attempt_at = Some(turn.now);
        self.forget_unproved_logins();
        self.attempt = Some(Attempt::new(purpose, settings));
        match self.server().cloned() {
            Some(server) => self.send_to(server, turn),
            None => self.resolve(turn),
        }
    }

    /// Starts a de-registration of what stands at the registrar, with the settings that it was made with.
    pub(super) fn deregister(&mut self, turn: &mut Turn<'_>) {
        let moves = self.queued.take() == Some(Change::Move);
        let moved_from = self.moved_from.take();
        self.moving |= moves || moved_from.is_some();
        let settings = match (moved_from, self.attempt.take()) {
            (Some(before), _) => before,
            (None, Some(attempt)) if moves => attempt.settings,
            (None, _) => self.settings.clone(),
        };
        self.deregister_with(settings, turn);
    }

    /// Starts a de-registration with `settings`, at the server that has the binding.
    pub(super) fn deregister_with(&mut self, settings: Arc<Settings>, turn: &mut Turn<'_>) {
        let lives = self.standing.as_ref().filter(|standing| standing.expires_at() > turn.now);
        let Some(server) = lives.map(|standing| standing.server().clone()) else {
            return self.rest(turn);
        };
        self.ensure_dialog(turn.rng);
        self.refresh_asked = None;
        self.forget_unproved_logins();
        self.phase = Phase::Unregistering;
        let mut attempt = Attempt::new(Purpose::Deregister, settings);
        attempt.deadline = Some(turn.now + timing::FAREWELL);
        self.attempt = Some(attempt);
        self.send_to(server, turn);
    }

    fn next_id(&mut self) -> u64 {
        self.last_attempt_id += 1;
        self.last_attempt_id
    }

    fn resolve(&mut self, turn: &mut Turn<'_>) {
        let id = self.next_id();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.id = id;
        attempt.target = None;
        attempt.resolved = true;
        attempt.failure_is_old = true;
        let hop = attempt.redirected.clone().unwrap_or_else(|| Hop {
            uri: attempt
                .settings
                .next_hop()
                .domain_only(attempt.settings.aor.secure)
                .with_transport_of(attempt.settings.next_hop()),
            transport: attempt.settings.transport(),
        });
        turn.out.push(Output::Resolve { attempt: id, hop });
    }

    pub(super) fn resolved(&mut self, result: Result<Vec<Target>, Failure>, turn: &mut Turn<'_>) {
        match result {
            Err(failure) => self.target_failed(failure, turn),
            Ok(targets) if targets.is_empty() => {
                let message = String::from("the name leads to no server");
                self.target_failed(Failure::NoSuchName(message), turn);
            }
            Ok(targets) => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.targets = targets.into();
                }
                self.try_next(turn);
            }
        }
    }

    /// Goes to a redirection's host.
    pub(super) fn resolve_redirection(&mut self, hop: Hop, turn: &mut Turn<'_>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.redirected = Some(hop);
            attempt.targets.clear();
        }
        self.resolve(turn);
    }

    /// The target at hand came to nothing.
    pub(super) fn target_failed(&mut self, failure: Failure, turn: &mut Turn<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let target = attempt.target.clone();
        attempt.note_failure(failure.reason(), failure_error(&failure, target.as_ref(), turn.now));
        if matches!(failure, Failure::NoSuchName(_) | Failure::Resolver(_)) {
            attempt.targets.clear();
        }
        // A new flow may do better than a dead one, but the same datagrams would not.
        let datagram = target.as_ref().filter(|target| target.transport == Transport::Udp);
        if failure == Failure::Silence {
            attempt.passed.extend(datagram.cloned());
        }
        if self.flow.as_ref().map(|flow| &flow.server) == target.as_ref() {
            self.flow = None;
            // It has answered and then failed: there may be better ones now, or a new flow to it.
            attempt.resolved &= !matches!(failure, Failure::Unreachable(_));
        }
        self.try_next(turn);
    }

    /// The next target, a fresh look at the name, or the end of the attempt.
    pub(super) fn try_next(&mut self, turn: &mut Turn<'_>) {
        match self.attempt.as_ref().map(|attempt| &attempt.purpose) {
            Some(Purpose::Deregister) => return self.deregistered(turn),
            Some(Purpose::RemoveStrays(_)) => return self.attempt_over(turn),
            _ => {}
        }
        // H6: nobody wants it any more.
        if !self.wanted {
            return self.ended_unwanted(turn);
        }
        let next = self.next_target(turn.now);
        match (next, &self.attempt) {
            (Some(target), _) => self.send_to(target, turn),
            (None, Some(attempt)) if !attempt.resolved => self.resolve(turn),
            (None, _) => self.attempt_failed(turn),
        }
    }

    /// The next target that is neither tried already nor to be left alone.
    fn next_target(&mut self, now: Moment) -> Option<Target> {
        let attempt = self.attempt.as_mut()?;
        while let Some(target) = attempt.targets.pop_front() {
            if attempt.passed.contains(&target) {
                continue;
            }
            let Some(until) = self.learnt.rests_until(&target, now) else {
                return Some(target);
            };
            attempt.rests_until = attempt.rests_until.map(|other| other.min(until)).or(Some(until));
            if attempt.failure.is_none() {
                attempt.note_failure(Reason::Server, resting_error(&target, now));
            }
        }
        None
    }

    /// Sends the attempt's request to `target`.
    pub(super) fn send_to(&mut self, target: Target, turn: &mut Turn<'_>) {
        let id = self.next_id();
        self.cseq = self.cseq.wrapping_add(1);
        if self.cseq > i32::MAX as u32 {
            self.cseq = 1;
        }
        let Some(mut attempt) = self.attempt.take() else {
            return;
        };
        self.keep_logins_for(&target, &attempt.settings);
        attempt.id = id;
        attempt.target = Some(target.clone());
        attempt.asked = self.asked_expires(&attempt);
        let request = Box::new(self.request(&attempt, &target, turn));
        let settings = attempt.settings.clone();
        self.attempt = Some(attempt);
        turn.out.push(Output::Send { attempt: id, target, request, settings });
    }

    /// Sends the request again to the server that just answered.
    pub(super) fn send_again(&mut self, turn: &mut Turn<'_>) {
        match self.attempt.as_ref().and_then(|attempt| attempt.target.clone()) {
            Some(target) => self.send_to(target, turn),
            None => self.try_next(turn),
        }
    }

    /// The flow that an answer came over: the server is kept, and where it sees us elsewhere than we are, the
    /// Contact is rewritten, once per flow. Says whether it was rewritten just now.
    pub(super) fn note_flow(&mut self, response: &Response) -> bool {
        let same = self
            .flow
            .as_ref()
            .is_some_and(|flow| flow.server == response.server && flow.local == response.local);
        if !same {
            let flow = Flow { server: response.server.clone(), local: response.local, outside: None };
            self.flow = Some(flow);
        }
        let ip = response.server.address.ip();
        if self.learnt.refused_by.as_ref().is_some_and(|other| other.address.ip() != ip) {
            self.learnt.refused_by = None;
            self.learnt.refused_options.clear();
        }
        self.learnt.server = Some(response.server.clone());
        let seen = response.seen_address().filter(|seen| *seen != response.local);
        match (&mut self.flow, seen) {
            (Some(flow), Some(seen)) if flow.outside.is_none() => {
                flow.outside = Some(seen);
                true
            }
            _ => false,
        }
    }
}
