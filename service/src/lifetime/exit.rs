//! When and how the service ends (semantics L1–L3). Pure: what was seen goes in, what to do comes out.
//!
//! An idle exit loses no call: the name is released, a message to oneself through the bus proves that every
//! earlier call has been dispatched, and only then the process leaves. A client that came meanwhile is served by
//! a successor, which the bus is asked to start.

use std::time::Duration;

use crate::moment::Moment;

/// How long de-registering may take when the system ends the service (L3).
pub const FAREWELL: Duration = Duration::from_secs(4);

/// How long polkit is waited for when nobody else needs the service: less than a successor waits for us.
const LAST_ANSWERS: Duration = Duration::from_secs(4);

/// Where the service is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Serving; `Some` is when nobody needed it any more.
    Serving { idle_since: Option<Moment> },
    /// Ended by the system: de-registering until then at most.
    Farewell { until: Moment },
    /// The name is being released; what is dispatched until the proof arrives is served. Whoever was ended by
    /// the system asks for no successor: a stopped service stays stopped until somebody calls. `until`: how
    /// long polkit is still waited for.
    Draining { ended_by_system: bool, until: Option<Moment> },
    /// Nothing more to do.
    Over,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Serve,
    /// De-register everything.
    Farewell,
    /// Release the name, and prove that all calls have been dispatched.
    Drain,
    /// Leave; ask for a successor where clients have come meanwhile.
    Leave {
        /// Clients have come that a successor must serve.
        successor: bool,
    },
}

/// The way out.
#[derive(Clone, Debug)]
pub struct Exit {
    idle_timeout: Duration,
    phase: Phase,
    proved: bool,
}

/// What the exit must know of the rest of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lingering {
    /// A session, hold, registration or AutoRegister profile needs the service.
    pub needed: bool,
    /// A call is in progress or waits to be looked at.
    pub busy: bool,
    /// A call waits for polkit, which may take a person's time.
    pub asking: bool,
    /// A registration stands or is under way.
    pub registered: bool,
}

impl Exit {
    /// The service stays `idle_timeout` after nobody needs it any more.
    pub fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, phase: Phase::Serving { idle_since: None }, proved: false }
    }

    /// The system wants the service to end (SIGTERM). While draining, that goes on (L2).
    pub fn terminate(&mut self, now: Moment) -> Step {
        match self.phase {
            Phase::Serving { .. } => {
                self.phase = Phase::Farewell { until: now + FAREWELL };
                Step::Farewell
            }
            _ => Step::Serve,
        }
    }

    /// The proof that every call sent before the name was released has been dispatched.
    pub fn proved(&mut self) {
        self.proved = true;
    }

    /// Looks at the state of things, after everything that happened has been dealt with.
    pub fn look(&mut self, lingering: Lingering, now: Moment) -> Step {
        match self.phase {
            Phase::Serving { idle_since } => self.look_idle(idle_since, lingering, now),
            Phase::Farewell { until } if lingering.registered && now < until => Step::Serve,
            Phase::Farewell { .. } => self.drain(true, now),
            Phase::Draining { ended_by_system, until } => {
                let until = until.filter(|until| now < *until);
                self.phase = Phase::Draining { ended_by_system, until };
                if !self.proved || lingering.busy || (lingering.asking && until.is_some()) {
                    return Step::Serve;
                }
                self.phase = Phase::Over;
                Step::Leave { successor: lingering.needed && !ended_by_system }
            }
            Phase::Over => Step::Serve,
        }
    }

    fn look_idle(&mut self, idle_since: Option<Moment>, lingering: Lingering, now: Moment) -> Step {
        if lingering.needed || lingering.busy || lingering.asking {
            self.phase = Phase::Serving { idle_since: None };
            return Step::Serve;
        }
        let since = idle_since.unwrap_or(now);
        self.phase = Phase::Serving { idle_since: Some(since) };
        if now.since(since) < self.idle_timeout {
            return Step::Serve;
        }
        self.drain(false, now)
    }

    fn drain(&mut self, ended_by_system: bool, now: Moment) -> Step {
        self.phase = Phase::Draining { ended_by_system, until: Some(now + LAST_ANSWERS) };
        Step::Drain
    }

    /// When to look again, if nothing happens.
    pub fn wakeup(&self) -> Option<Moment> {
        match self.phase {
            Phase::Serving { idle_since } => idle_since.map(|since| since + self.idle_timeout),
            Phase::Farewell { until } => Some(until),
            Phase::Draining { until, .. } => until,
            Phase::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Lingering = Lingering { needed: false, busy: false, asking: false, registered: false };
    const NEEDED: Lingering = Lingering { needed: true, ..NOTHING };
    const BUSY: Lingering = Lingering { busy: true, ..NOTHING };
    const REGISTERED: Lingering = Lingering { needed: true, registered: true, ..NOTHING };
    const ASKING: Lingering = Lingering { asking: true, ..NOTHING };

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn l1_it_leaves_thirty_seconds_after_the_last_need() {
        let mut exit = Exit::new(Duration::from_secs(30));
        assert_eq!(exit.look(NEEDED, at(0)), Step::Serve);
        assert_eq!(exit.wakeup(), None);
        assert_eq!(exit.look(NOTHING, at(10)), Step::Serve);
        assert_eq!(exit.wakeup(), Some(at(40)));
        assert_eq!(exit.look(NOTHING, at(39)), Step::Serve);
        assert_eq!(exit.look(NEEDED, at(39)), Step::Serve);
        assert_eq!(exit.look(BUSY, at(50)), Step::Serve);
        assert_eq!(exit.look(NOTHING, at(60)), Step::Serve);
        assert_eq!(exit.look(NOTHING, at(90)), Step::Drain);
    }

    #[test]
    fn l2_it_leaves_only_after_the_proof_and_the_last_call() {
        let mut exit = Exit::new(Duration::ZERO);
        assert_eq!(exit.look(NOTHING, at(0)), Step::Drain);
        assert_eq!(exit.look(NOTHING, at(1)), Step::Serve);
        exit.proved();
        assert_eq!(exit.look(BUSY, at(1)), Step::Serve);
        assert_eq!(exit.look(NOTHING, at(1)), Step::Leave { successor: false });
    }

    #[test]
    fn l2_a_call_that_waits_for_polkit_is_waited_for_but_not_as_long_as_a_dialog_stands() {
        let mut exit = Exit::new(Duration::ZERO);
        assert_eq!(exit.look(ASKING, at(0)), Step::Serve, "L1: a call in progress");
        assert_eq!(exit.look(NOTHING, at(1)), Step::Drain);
        exit.proved();
        assert_eq!(exit.look(ASKING, at(2)), Step::Serve);
        let mut answered = exit.clone();
        assert_eq!(answered.look(NOTHING, at(3)), Step::Leave { successor: false });
        assert_eq!(exit.wakeup(), Some(at(5)));
        assert_eq!(exit.look(ASKING, at(5)), Step::Leave { successor: false });
    }

    #[test]
    fn l2_a_client_that_came_meanwhile_gets_a_successor() {
        let mut exit = Exit::new(Duration::ZERO);
        assert_eq!(exit.look(NOTHING, at(0)), Step::Drain);
        exit.proved();
        assert_eq!(exit.look(NEEDED, at(0)), Step::Leave { successor: true });
    }

    #[test]
    fn l2_sigterm_while_draining_changes_nothing() {
        let mut exit = Exit::new(Duration::ZERO);
        assert_eq!(exit.look(NOTHING, at(0)), Step::Drain);
        assert_eq!(exit.terminate(at(0)), Step::Serve);
        exit.proved();
        assert_eq!(exit.look(NOTHING, at(0)), Step::Leave { successor: false });
    }

    #[test]
    fn l3_sigterm_waits_for_deregistration_four_seconds_at_most() {
        let mut exit = Exit::new(Duration::from_secs(30));
        assert_eq!(exit.terminate(at(0)), Step::Farewell);
        assert_eq!(exit.look(REGISTERED, at(1)), Step::Serve);
        assert_eq!(exit.wakeup(), Some(at(4)));
        assert_eq!(exit.look(NEEDED, at(2)), Step::Drain);
        exit.proved();
        assert_eq!(
            exit.look(NEEDED, at(2)),
            Step::Leave { successor: false },
            "a stopped service stays stopped"
        );

        let mut slow = Exit::new(Duration::from_secs(30));
        slow.terminate(at(0));
        assert_eq!(slow.look(REGISTERED, at(4)), Step::Drain);
    }
}
