//! The machine: what is wanted, which state follows, and when to act.

use std::sync::Arc;

use rand::Rng;

use super::attempt::{Attempt, Purpose};
use super::login::Login;
use super::memory::{BindingMemory, Learnt};
use super::secret::Asking;
use super::{
    Binding, Identity, Input, KeepAlive, LastError, Output, Reason, State, Status, Target, random_word,
};
use crate::moment::Moment;
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
    /// Whose credentials the logins were made with.
    pub(super) logins_of: Option<Arc<Settings>>,
    pub(super) learnt: Learnt,
    pub(super) failures: u32,
    pub(super) last_error: Option<LastError>,
    pub(super) stopped: bool,
    pub(super) needs_secret: bool,
    pub(super) asking: Asking,
    /// When its attempts from `unregistered` began (E10).
    pub(super) starts: Vec<Moment>,
    pub(super) refused: Option<(Moment, String)>,
    pub(super) refresh_asked: Option<Moment>,
    pub(super) queued: Option<Change>,
    /// The de-registration under way makes room for a new server (U3c).
    pub(super) moving: bool,
    /// A predecessor's binding was made with these settings: it is removed with them before anything else (U3c, L4).
    pub(super) moved_from: Option<Arc<Settings>>,
    /// The network changed while a REGISTER was in flight: one attempt more after it (E4).
    pub(super) network_news: bool,
    /// Flows in a row that the peer closed soon after a registration.
    pub(super) short_flows: u32,
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
        /// A refresh failed for that reason; it is tried again at `next`.
        degraded: Option<Reason>,
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

    /// The Contact URI as the registrar has it, where it is known.
    pub(super) fn contact(&self) -> Option<&str> {
        match self {
            Standing::Known(binding) => Some(&binding.contact),
            Standing::Inherited(memory) => memory.contact.as_deref(),
        }
    }

    /// What a successor needs to know of it.
    pub(super) fn memory(&self) -> BindingMemory {
        BindingMemory {
            server: self.server().clone(),
            contact: self.contact().map(str::to_owned),
            expires_at: self.expires_at(),
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
            logins_of: None,
            learnt: Learnt::default(),
            failures: 0,
            last_error: None,
            stopped: false,
            needs_secret: false,
            asking: Asking::default(),
            starts: Vec::new(),
            refused: None,
            refresh_asked: None,
            queued: None,
            moving: false,
            moved_from: None,
            network_news: false,
            short_flows: 0,
            keep_alive: None,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Moment, rng: &mut dyn Rng) -> Vec<Output> {
        let mut turn = Turn { now, rng, out: Vec::new() };
        match input {
            Input::Want => self.want(&mut turn),
            Input::Unwant => self.unwant(&mut turn),
            Input::ServiceEnds => self.service_ends(&mut turn),
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
            Input::Resumed { reachable } => self.resumed(reachable, &mut turn),
            Input::Agents(there) => self.agents(there, &mut turn),
            Input::Secret(answer) => self.answered_secret(answer, &mut turn),
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
            Phase::Registered { degraded: Some(_), next } => {
                (State::Registered, Reason::Degraded, Some(next))
            }
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

    /// May a binding stand at the registrar, now or when the answer comes?
    pub fn may_be_bound(&self) -> bool {
        self.attempt.is_some() || self.standing.is_some() || self.moved_from.is_some()
    }

    /// Nothing under way, nothing at the registrar.
    pub fn is_idle(&self) -> bool {
        self.attempt.is_none()
            && self.standing.is_none()
            && self.moved_from.is_none()
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
            // A predecessor's binding that nobody asks about runs out by itself.
            Phase::Idle => self.standing.as_ref().map(Standing::expires_at),
            Phase::Registered { degraded, next } => {
                let runs_out =
                    self.standing.as_ref().map(Standing::expires_at).filter(|_| degraded.is_some());
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

    /// Is a registering (not a de-registering) request under way?
    pub(super) fn awaits_register(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.purpose != Purpose::Deregister)
    }

    /// Nothing under way, nothing at the registrar, nobody told of a failure.
    pub(super) fn rest(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Idle;
        self.attempt = None;
        self.standing = None;
        self.network_news = false;
        self.forget_secret(turn);
        self.close_flow(turn);
        let moved = std::mem::take(&mut self.moving);
        if self.queued.take() == Some(Change::Move) || moved {
            self.forget_server(turn);
        }
    }

    /// The server is another one from now on: nothing that was learnt fits, and nothing is owed to the old one (U3c).
    pub(super) fn forget_server(&mut self, turn: &mut Turn<'_>) {
        turn.out.push(Output::Moved);
        self.learnt = Learnt::default();
        self.logins.clear();
        self.flow = None;
    }

    pub(super) fn close_flow(&mut self, turn: &mut Turn<'_>) {
        self.flow = None;
        self.set_keep_alive(None, turn);
        turn.out.push(Output::CloseFlow);
    }

    pub(super) fn set_keep_alive(&mut self, wanted: Option<KeepAlive>, turn: &mut Turn<'_>) {
        if let Some(Standing::Known(binding)) = &mut self.standing {
            binding.keep_alive = wanted.is_some();
        }
        if self.keep_alive != wanted {
            self.keep_alive = wanted;
            turn.out.push(Output::KeepAlive(wanted));
        }
    }

    /// Call-ID and From-tag stay while the service runs.
    pub(super) fn ensure_dialog(&mut self, rng: &mut dyn Rng) {
        if self.call_id.is_empty() {
            self.call_id = format!("{}@sip-profiles", random_word(20, rng));
            self.from_tag = random_word(10, rng);
        }
    }
}
