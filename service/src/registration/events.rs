//! What happens by itself: time, flows that break, the network (E4, E5, E6).

use super::attempt::Purpose;
use super::error::failure_error;
use super::machine::{Phase, Registration, Standing, Turn};
use super::{Failure, Reason, timing};

impl Registration {
    pub(super) fn flow_lost(&mut self, turn: &mut Turn<'_>) {
        // A REGISTER in flight hears of its flow by itself; the removal of a stray (L4) says nothing of ours.
        if self.attempt.as_ref().is_some_and(|attempt| !attempt.removes_strays()) {
            return;
        }
        // It may be told twice, and counts once.
        let was_there = self.flow.take().is_some();
        self.set_keep_alive(None, turn);
        // Degraded: back-off rules.
        if let (true, Phase::Registered { degraded: None, next }) = (was_there, self.phase) {
            let pause = self.flow_pause(turn);
            self.phase = Phase::Registered { degraded: None, next: next.min(turn.now + pause) };
        }
    }

    /// A lost flow is replaced at once, but a server that closes one flow after the other is not hammered
    /// (RFC 5626 §4.5).
    fn flow_pause(&mut self, turn: &mut Turn<'_>) -> std::time::Duration {
        let lived = match &self.standing {
            Some(Standing::Known(binding)) => turn.now.since(binding.last_confirmed),
            _ => timing::SHORT_FLOW,
        };
        self.short_flows = if lived < timing::SHORT_FLOW { self.short_flows.saturating_add(1) } else { 0 };
        match self.short_flows.checked_sub(timing::SHORT_FLOWS) {
            Some(excess) => timing::back_off(excess, turn.rng),
            None => timing::flow_pause(turn.rng),
        }
    }

    pub(super) fn network_changed(&mut self, source_changed: bool, reachable: bool, turn: &mut Turn<'_>) {
        if !self.wanted {
            return;
        }
        let no_route = matches!(self.phase, Phase::Waiting(Reason::Network, _));
        if self.attempt.is_some() {
            self.network_news |= reachable && (source_changed || no_route);
            return;
        }
        match self.phase {
            Phase::Waiting(Reason::Limit | Reason::Secret, _) => {}
            Phase::Waiting(Reason::Server, _) if !source_changed => {}
            Phase::Waiting(..) if reachable => {
                self.failures = 0;
                // Routes come and go in swarms; only the one that was missing is worth no pause.
                if no_route || source_changed { self.try_now(turn) } else { self.try_soon(turn) }
            }
            Phase::Registered { .. } if !reachable => self.lose_route(turn),
            Phase::Registered { .. } if source_changed => self.try_from_here(turn),
            _ => {}
        }
    }

    /// E4: no route, so no packets.
    fn lose_route(&mut self, turn: &mut Turn<'_>) {
        let failure = Failure::NoRoute(String::from("there is no route to the server"));
        self.last_error = Some(failure_error(&failure, self.server(), turn.now));
        self.close_flow(turn);
        self.phase = Phase::Waiting(Reason::Network, Some(turn.now + timing::SLOW_RETRY));
    }

    /// One attempt from another source address, over a new flow (E4).
    pub(super) fn try_from_here(&mut self, turn: &mut Turn<'_>) {
        self.failures = 0;
        self.close_flow(turn);
        self.try_now(turn);
    }

    /// A REGISTER that slept too is not waited for: its flow is as dead as the others.
    pub(super) fn resumed(&mut self, reachable: bool, turn: &mut Turn<'_>) {
        let under_way = self.attempt.as_ref().map(|attempt| &attempt.purpose);
        if under_way == Some(&Purpose::Register) && self.wanted && self.queued.is_none() {
            self.attempt = None;
            return self.try_from_here(turn);
        }
        self.network_changed(true, reachable, turn);
    }

    pub(super) fn clock_set(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Waiting(Reason::Certificate | Reason::Name, _)) {
            self.try_now(turn);
        }
    }

    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
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
            Phase::Idle => {
                self.standing = self.standing.take().filter(|standing| standing.expires_at() > now)
            }
            Phase::Registered { next, .. } => {
                self.run_out(turn);
                if next <= now {
                    self.begin(Purpose::Register, turn);
                }
            }
            Phase::Waiting(_, Some(until)) if until <= now && self.wanted => self.try_now(turn),
            _ => {}
        }
    }

    /// The binding has run out without a refresh: `waiting`, once (E5).
    fn run_out(&mut self, turn: &mut Turn<'_>) {
        let Phase::Registered { next, degraded } = self.phase else {
            return;
        };
        if self.standing.as_ref().is_some_and(|standing| standing.expires_at() <= turn.now) {
            self.set_keep_alive(None, turn);
            self.standing = None;
            self.phase = Phase::Waiting(degraded.unwrap_or(Reason::Backoff), Some(next));
        }
    }
}
