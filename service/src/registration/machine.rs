//! The machine: what is wanted, which state follows, and when to act.

use std::sync::Arc;

use rand::Rng;

use super::attempt::{Attempt, Purpose};
use super::challenge::Challenge;
use super::memory::{BindingMemory, Learnt, Memory};
use super::timing;
use super::{
    Binding, Failure, Identity, Input, KeepAlive, LastError, Output, Reason, Stage, State, Status, Target,
    random_word,
};
use crate::moment::Moment;
use crate::registration::ErrorKind;
use crate::settings::{Change, Settings};

/// One profile's registration.
#[derive(Debug)]
pub struct Registration {
    pub(super) settings: Arc<Settings>,
    pub(super) identity: Identity,
    pub(super) call_id: String,
    pub(super) from_tag: String,
    pub(super) cseq: u32,
    pub(super) wanted: bool,
    pub(super) phase: Phase,
    pub(super) attempt: Option<Attempt>,
    pub(super) last_attempt_id: u64,
    pub(super) last_attempt_at: Option<Moment>,
    pub(super) standing: Option<Standing>,
    pub(super) flow: Option<Flow>,
    pub(super) logins: Vec<Login>,
    pub(super) learnt: Learnt,
    pub(super) failures: u32,
    pub(super) last_error: Option<LastError>,
    pub(super) stopped: bool,
    pub(super) needs_secret: bool,
    starts: Vec<Moment>,
    pub(super) refused: Option<(Moment, String)>,
    refresh_asked: Option<Moment>,
    pub(super) queued: Option<Change>,
    pub(super) keep_alive: Option<KeepAlive>,
}

/// Where a registration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `unregistered`.
    Idle,
    /// `registering`.
    Registering,
    /// `registered`.
    Registered {
        /// A refresh failed; it is tried again at `next`.
        degraded: bool,
        /// When the binding is refreshed.
        next: Moment,
    },
    /// `unregistering`.
    Unregistering,
    /// `waiting`; `until` is when it goes on by itself.
    Waiting(Reason, Option<Moment>),
}

/// The binding at the registrar, as far as we know.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// As the registrar told us.
    Known(Box<Binding>),
    /// As a predecessor left it.
    Inherited(BindingMemory),
}

impl Standing {
    pub(super) fn server(&self) -> &Target {
        match self {
            Standing::Known(binding) => &binding.server,
            Standing::Inherited(memory) => &memory.server,
        }
    }

    pub(super) fn expires_at(&self) -> Moment {
        match self {
            Standing::Known(binding) => binding.expires_at,
            Standing::Inherited(memory) => memory.expires_at,
        }
    }
}

/// The flow that answers came over, and what the server sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub server: Target,
    pub local: std::net::SocketAddr,
    /// Our address as the server sees it, where that differs; learnt at most once.
    pub outside: Option<std::net::SocketAddr>,
}

/// A realm's challenge, and how far we got with it.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub proxy: bool,
    pub challenge: Challenge,
    pub count: u32,
    /// It has been accepted.
    pub worked: bool,
}

/// The time, randomness and outputs of one input.
pub(super) struct Turn<'a> {
    pub now: Moment,
    pub rng: &'a mut dyn Rng,
    pub out: Vec<Output>,
}

impl Registration {
    /// An unregistered profile.
    pub fn new(settings: Arc<Settings>, identity: Identity) -> Self {
        Self {
            settings,
            identity,
            call_id: String::new(),
            from_tag: String::new(),
            cseq: 0,
            wanted: false,
            phase: Phase::Idle,
            attempt: None,
            last_attempt_id: 0,
            last_attempt_at: None,
            standing: None,
            flow: None,
            logins: Vec::new(),
            learnt: Learnt::default(),
            failures: 0,
            last_error: None,
            stopped: false,
            needs_secret: false,
            starts: Vec::new(),
            refused: None,
            refresh_asked: None,
            queued: None,
            keep_alive: None,
        }
    }

    /// As a predecessor left it. What it remembers of other settings is forgotten.
    pub fn restore(settings: Arc<Settings>, identity: Identity, memory: Memory, now: Moment) -> Self {
        let Memory { stopped, last_error, wait, failures, starts, refused, learnt, binding } = memory;
        let digest = settings.digest();
        let stopped = stopped.is_some_and(|stopped| stopped == digest);
        let mut machine = Self::new(settings, identity);
        machine.needs_secret =
            stopped && last_error.as_ref().is_some_and(|error| error.kind == ErrorKind::NoSecret);
        machine.last_error = last_error.filter(|_| stopped || wait.is_some());
        machine.stopped = stopped;
        machine.phase = match wait {
            Some((reason, until)) if until > now => Phase::Waiting(reason, Some(until)),
            _ => Phase::Idle,
        };
        machine.failures = failures;
        machine.starts = starts;
        machine.refused = refused.filter(|(_, refused)| *refused == digest);
        machine.learnt = learnt;
        machine.standing = binding.filter(|binding| binding.expires_at > now).map(Standing::Inherited);
        machine
    }

    /// What a successor must know.
    pub fn memory(&self) -> Memory {
        let wait = match self.phase {
            Phase::Waiting(reason, Some(until)) => Some((reason, until)),
            _ => None,
        };
        Memory {
            stopped: self.stopped.then(|| self.settings.digest()),
            last_error: self.last_error.clone(),
            wait,
            failures: self.failures,
            starts: self.starts.clone(),
            refused: self.refused.clone(),
            learnt: self.learnt.clone(),
            binding: self.standing.as_ref().map(|standing| BindingMemory {
                server: standing.server().clone(),
                expires_at: standing.expires_at(),
            }),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Moment, rng: &mut dyn Rng) -> Vec<Output> {
        let mut turn = Turn { now, rng, out: Vec::new() };
        match input {
            Input::Want => self.want(&mut turn),
            Input::Unwant => self.unwant(&mut turn),
            Input::Settings(settings, change) => self.replace_settings(settings, change, &mut turn),
            Input::Refresh { by_owner } => self.ask_refresh(by_owner, &mut turn),
            Input::Resolved { attempt, result } if self.expects(attempt) => self.resolved(result, &mut turn),
            Input::Answer { attempt, response } if self.expects(attempt) => {
                self.answered(response, &mut turn);
            }
            Input::Failed { attempt, failure } if self.expects(attempt) => {
                self.target_failed(failure, &mut turn);
            }
            Input::Resolved { .. } | Input::Answer { .. } | Input::Failed { .. } => {}
            Input::FlowLost => self.flow_lost(&mut turn),
            Input::Network { source_changed, reachable } => {
                self.network_changed(source_changed, reachable, &mut turn);
            }
            Input::ClockSet => self.clock_set(&mut turn),
            Input::Tick => self.tick(&mut turn),
        }
        turn.out
    }

    /// What the bus shows.
    pub fn status(&self) -> Status {
        let (state, reason, until) = match self.phase {
            Phase::Idle if self.stopped && self.last_error.is_some() => {
                (State::Unregistered, Reason::Error, None)
            }
            Phase::Idle => (State::Unregistered, Reason::None, None),
            Phase::Registering => (State::Registering, Reason::None, None),
            Phase::Registered { degraded: true, next } => (State::Registered, Reason::Degraded, Some(next)),
            Phase::Registered { .. } => (State::Registered, Reason::None, None),
            Phase::Unregistering => (State::Unregistering, Reason::None, None),
            // A predecessor's wait that nobody wants now.
            Phase::Waiting(..) if !self.wanted => (State::Unregistered, Reason::None, None),
            Phase::Waiting(reason, until) => (State::Waiting, reason, until),
        };
        let registered_aors = match (&self.standing, state) {
            (Some(Standing::Known(binding)), State::Registered) => binding.aors.clone(),
            _ => Vec::new(),
        };
        Status {
            state,
            reason,
            retry_at: until.filter(|_| self.attempt.is_none()),
            last_error: self.last_error.clone(),
            needs_secret: self.needs_secret,
            registered_aors,
        }
    }

    /// What the registrar says; `None` unless registered.
    pub fn binding(&self) -> Option<&Binding> {
        match (&self.phase, &self.standing) {
            (Phase::Registered { .. }, Some(Standing::Known(binding))) => Some(binding),
            _ => None,
        }
    }

    /// Is it wanted, as told last?
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Has a final error stopped it (E2)?
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Nothing under way, nothing at the registrar.
    pub fn is_idle(&self) -> bool {
        self.attempt.is_none()
            && self.standing.is_none()
            && !self.wanted
            && matches!(self.phase, Phase::Idle | Phase::Waiting(..))
    }

    /// Is a REGISTER, or the resolving before it, under way?
    pub fn in_flight(&self) -> bool {
        self.attempt.is_some()
    }

    /// The server that this profile talks to, where one is known.
    pub fn server(&self) -> Option<&Target> {
        let flow = self.flow.as_ref().map(|flow| &flow.server);
        let standing = self.standing.as_ref().map(Standing::server);
        flow.or(standing).or(self.learnt.server.as_ref())
    }

    /// When [`Input::Tick`] is due.
    pub fn wakeup(&self) -> Option<Moment> {
        if let Some(attempt) = &self.attempt {
            let runs_out = match self.phase {
                Phase::Registered { .. } => self.standing.as_ref().map(Standing::expires_at),
                _ => None,
            };
            return attempt.deadline.into_iter().chain(runs_out).min();
        }
        let phase = match self.phase {
            Phase::Idle if self.wanted => Some(Moment::default()),
            Phase::Registered { degraded, next } => {
                let runs_out = self.standing.as_ref().map(Standing::expires_at).filter(|_| degraded);
                Some(next).into_iter().chain(runs_out).min()
            }
            Phase::Waiting(_, until) if self.wanted => until,
            _ => None,
        };
        phase.into_iter().chain(self.refresh_asked).min()
    }

    fn expects(&self, id: u64) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.id == id)
    }

    fn want(&mut self, turn: &mut Turn<'_>) {
        if self.wanted {
            return;
        }
        self.wanted = true;
        self.stopped = false;
        match self.phase {
            // Wanted again while a refresh was still awaited.
            Phase::Unregistering if self.awaits_register() => {
                self.phase = match &self.standing {
                    Some(standing) if standing.expires_at() > turn.now => {
                        Phase::Registered { degraded: false, next: standing.expires_at() }
                    }
                    _ => Phase::Registering,
                };
            }
            Phase::Idle if self.attempt.is_none() => self.start(turn),
            _ => {}
        }
    }

    fn unwant(&mut self, turn: &mut Turn<'_>) {
        self.wanted = false;
        self.refresh_asked = None;
        if self.attempt.as_ref().is_some_and(|attempt| attempt.is_resolving()) && self.standing.is_none() {
            return self.rest(turn);
        }
        match self.phase {
            // H6: what is wanted is read again when the answer arrives.
            Phase::Registering => {}
            Phase::Unregistering => {}
            _ if self.awaits_register() => self.phase = Phase::Unregistering,
            _ if self.standing.is_some() => self.deregister(self.settings.clone(), turn),
            _ => self.rest(turn),
        }
    }

    /// Is a registering (not a de-registering) request under way?
    fn awaits_register(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.purpose != Purpose::Deregister)
    }

    /// Nothing under way, nothing at the registrar, nobody told of a failure.
    pub(super) fn rest(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Idle;
        self.attempt = None;
        self.standing = None;
        self.close_flow(turn);
        self.queued = None;
    }

    pub(super) fn close_flow(&mut self, turn: &mut Turn<'_>) {
        self.flow = None;
        self.set_keep_alive(None, turn);
        turn.out.push(Output::CloseFlow);
    }

    pub(super) fn set_keep_alive(&mut self, wanted: Option<KeepAlive>, turn: &mut Turn<'_>) {
        if self.keep_alive != wanted {
            self.keep_alive = wanted;
            turn.out.push(Output::KeepAlive(wanted));
        }
    }

    /// Starts registering from `unregistered`, as far as E10 and a server's Retry-After allow.
    fn start(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if self.standing.is_some() {
            // A predecessor's binding is confirmed; that is no new attempt (E10).
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
    fn limited_until(&mut self, now: Moment) -> Option<Moment> {
        self.starts.retain(|start| now.since(*start) < timing::ATTEMPT_WINDOW);
        let crowded = (self.starts.len() >= timing::ATTEMPTS)
            .then(|| self.starts[self.starts.len() - timing::ATTEMPTS] + timing::ATTEMPT_WINDOW);
        let refused =
            self.refused.as_ref().map(|(at, _)| *at + timing::REFUSED_PAUSE).filter(|until| *until > now);
        crowded.into_iter().chain(refused).max()
    }

    fn replace_settings(&mut self, settings: Arc<Settings>, change: Change, turn: &mut Turn<'_>) {
        let old = std::mem::replace(&mut self.settings, settings);
        self.last_error = None;
        if change == (Change::Quiet { credential: false }) {
            if matches!(self.phase, Phase::Registered { .. }) {
                self.keep_alive_as_set(turn);
            }
            return;
        }
        self.stopped = false;
        self.needs_secret = false;
        self.refused = None;
        if change == (Change::Quiet { credential: true }) {
            self.logins.clear();
        }
        if self.attempt.is_some() {
            // U4: after the answer, and only the last ones.
            self.queued = self.queued.max(Some(change));
            return;
        }
        self.apply_change(change, old, turn);
    }

    pub(super) fn apply_change(&mut self, change: Change, old: Arc<Settings>, turn: &mut Turn<'_>) {
        if change == Change::Move {
            self.learnt = Learnt::default();
            self.logins.clear();
        }
        match self.phase {
            Phase::Registered { .. } if change == Change::Move => self.deregister(old, turn),
            Phase::Registered { .. } if change == Change::Refresh => self.begin(Purpose::Register, turn),
            Phase::Waiting(reason, _) if self.wanted => {
                if change == Change::Move {
                    self.standing = None;
                    self.close_flow(turn);
                }
                // A limit on attempts that no refusal caused outlives a change.
                if reason == Reason::Limit && self.limited_until(turn.now).is_some() {
                    return;
                }
                self.begin(Purpose::Register, turn);
            }
            _ => {}
        }
    }

    fn ask_refresh(&mut self, by_owner: bool, turn: &mut Turn<'_>) {
        if !self.wanted || self.attempt.is_some() {
            return;
        }
        if by_owner {
            self.refused = None;
        }
        let limited = matches!(self.phase, Phase::Waiting(Reason::Limit, _)) && !by_owner;
        if limited || matches!(self.phase, Phase::Waiting(Reason::Secret, _)) {
            return;
        }
        let earliest = self.last_attempt_at.map(|at| at + timing::REFRESH_PAUSE);
        match earliest.filter(|earliest| *earliest > turn.now) {
            Some(earliest) => self.refresh_asked = Some(earliest),
            None => self.try_now(turn),
        }
    }

    /// One attempt at once, whatever is waited for.
    fn try_now(&mut self, turn: &mut Turn<'_>) {
        self.refresh_asked = None;
        if self.wanted && self.attempt.is_none() {
            match self.phase {
                Phase::Idle => self.start(turn),
                _ => self.begin(Purpose::Register, turn),
            }
        }
    }

    fn flow_lost(&mut self, turn: &mut Turn<'_>) {
        if self.attempt.is_some() {
            return;
        }
        self.flow = None;
        if let Phase::Registered { degraded, .. } = self.phase {
            let next = turn.now + timing::flow_pause(turn.rng);
            self.phase = Phase::Registered { degraded, next };
        }
    }

    fn network_changed(&mut self, source_changed: bool, reachable: bool, turn: &mut Turn<'_>) {
        if self.attempt.is_some() || !self.wanted {
            return;
        }
        match self.phase {
            Phase::Waiting(Reason::Limit | Reason::Secret, _) => {}
            Phase::Waiting(Reason::Server, _) if !source_changed => {}
            Phase::Waiting(..) if reachable => {
                self.failures = 0;
                self.try_now(turn);
            }
            Phase::Registered { .. } if !reachable => {
                let failure = Failure::NoRoute(String::from("there is no route to the server"));
                let server = self.server().cloned();
                self.last_error = Some(LastError {
                    kind: ErrorKind::Unreachable,
                    code: 0,
                    message: super::attempt::sentence(&failure, server.as_ref()),
                    stage: Stage::Connect,
                    at: turn.now,
                });
                self.close_flow(turn);
                self.phase = Phase::Waiting(Reason::Network, Some(turn.now + timing::SLOW_RETRY));
            }
            Phase::Registered { .. } if source_changed => {
                self.failures = 0;
                self.close_flow(turn);
                self.try_now(turn);
            }
            _ => {}
        }
    }

    fn clock_set(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Waiting(Reason::Certificate | Reason::Name, _)) {
            self.try_now(turn);
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if let Some(attempt) = &self.attempt {
            if attempt.deadline.is_some_and(|deadline| deadline <= now) {
                return self.deregistered(turn);
            }
            return self.run_out(turn);
        }
        if self.refresh_asked.is_some_and(|at| at <= now) {
            return self.try_now(turn);
        }
        match self.phase {
            Phase::Idle if self.wanted => self.start(turn),
            Phase::Registered { next, .. } => {
                self.run_out(turn);
                if next <= now {
                    self.begin(Purpose::Register, turn);
                }
            }
            Phase::Waiting(Reason::Limit, Some(until)) if until <= now && self.wanted => self.start(turn),
            Phase::Waiting(_, Some(until)) if until <= now && self.wanted => {
                self.begin(Purpose::Register, turn);
            }
            _ => {}
        }
    }

    /// The binding has run out without a refresh: `waiting`, once (E5).
    fn run_out(&mut self, turn: &mut Turn<'_>) {
        let Phase::Registered { next, .. } = self.phase else {
            return;
        };
        if self.standing.as_ref().is_some_and(|standing| standing.expires_at() <= turn.now) {
            self.standing = None;
            self.set_keep_alive(None, turn);
            self.phase = Phase::Waiting(Reason::Backoff, Some(next));
        }
    }

    pub(super) fn refresh_asked_done(&mut self) {
        self.refresh_asked = None;
    }

    /// Call-ID and From-tag stay while the service runs.
    pub(super) fn ensure_dialog(&mut self, rng: &mut dyn Rng) {
        if self.call_id.is_empty() {
            self.call_id = format!("{}@sip-profiles", random_word(20, rng));
            self.from_tag = random_word(10, rng);
        }
    }
}
