//! Who calls: the uid and pid of each bus name, asked from the bus once, and the calls that wait for that.
//!
//! Data only: it says what to ask and what to deliver. Calls of one name are delivered in the order in which
//! they came.

use std::collections::{HashMap, VecDeque};

use crate::registry::call::{Caller, Name};

/// Calls of one name that may wait for the bus to say who it is.
pub const WAITING_CALLS: usize = 128;

/// The bus names that have called us, `M` being their calls.
#[derive(Debug)]
pub struct Clients<M> {
    known: HashMap<Name, Client<M>>,
}

#[derive(Debug)]
enum Client<M> {
    Asking(VecDeque<M>),
    Known { uid: u32, pid: u32 },
}

/// What to do with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<M> {
    /// Ask the bus who the name is; the call waits.
    Ask,
    /// The question is under way; the call waits.
    Waits,
    /// Deliver it.
    Deliver(Caller, M),
    /// Too many wait: refuse it.
    Refuse(M),
}

impl<M> Default for Clients<M> {
    fn default() -> Self {
        Self { known: HashMap::new() }
    }
}

impl<M> Clients<M> {
    /// A call of `name` has come.
    pub fn arrived(&mut self, name: &Name, call: M) -> Arrival<M> {
        match self.known.get_mut(name) {
            None => {
                self.known.insert(name.clone(), Client::Asking(VecDeque::from([call])));
                Arrival::Ask
            }
            Some(Client::Asking(waiting)) if waiting.len() >= WAITING_CALLS => Arrival::Refuse(call),
            Some(Client::Asking(waiting)) => {
                waiting.push_back(call);
                Arrival::Waits
            }
            Some(Client::Known { uid, pid }) => {
                Arrival::Deliver(Caller { name: name.clone(), uid: *uid, pid: *pid }, call)
            }
        }
    }

    /// The bus has said who `name` is, or could not. Returns the calls that waited for it.
    pub fn identified(&mut self, name: &Name, identity: Option<(u32, u32)>) -> (Option<Caller>, VecDeque<M>) {
        if !matches!(self.known.get(name), Some(Client::Asking(_))) {
            return (None, VecDeque::new());
        }
        let Some(Client::Asking(waiting)) = self.known.remove(name) else {
            return (None, VecDeque::new());
        };
        let caller = identity.map(|(uid, pid)| Caller { name: name.clone(), uid, pid });
        if let Some(caller) = &caller {
            self.adopt(caller);
        }
        (caller, waiting)
    }

    /// A name that a predecessor knew.
    pub fn adopt(&mut self, caller: &Caller) {
        let Caller { name, uid, pid } = caller.clone();
        self.known.insert(name, Client::Known { uid, pid });
    }

    /// The name is gone from the bus.
    pub fn gone(&mut self, name: &Name) {
        self.known.remove(name);
    }

    /// Does no call wait?
    pub fn is_quiet(&self) -> bool {
        !self.known.values().any(|client| matches!(client, Client::Asking(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from(text)
    }

    #[test]
    fn calls_wait_for_the_identity_and_keep_their_order() {
        let mut clients = Clients::default();
        assert_eq!(clients.arrived(&name(":1.1"), 1), Arrival::Ask);
        assert_eq!(clients.arrived(&name(":1.1"), 2), Arrival::Waits);
        assert!(!clients.is_quiet());
        let (caller, calls) = clients.identified(&name(":1.1"), Some((1000, 42)));
        let caller = caller.unwrap();
        assert_eq!((caller.uid, caller.pid, calls), (1000, 42, VecDeque::from([1, 2])));
        assert!(clients.is_quiet());
        assert!(matches!(clients.arrived(&name(":1.1"), 3), Arrival::Deliver(_, 3)));
    }

    #[test]
    fn calls_of_a_name_that_died_are_not_delivered() {
        let mut clients = Clients::default();
        clients.arrived(&name(":1.1"), 1);
        clients.gone(&name(":1.1"));
        assert_eq!(clients.identified(&name(":1.1"), Some((0, 1))), (None, VecDeque::new()));
        clients.arrived(&name(":1.2"), 1);
        assert_eq!(clients.identified(&name(":1.2"), None), (None, VecDeque::from([1])));
        assert_eq!(clients.arrived(&name(":1.2"), 2), Arrival::Ask);
    }

    #[test]
    fn waiting_calls_are_bounded() {
        let mut clients = Clients::default();
        for call in 0..WAITING_CALLS {
            assert_ne!(clients.arrived(&name(":1.1"), call), Arrival::Refuse(call));
        }
        assert_eq!(clients.arrived(&name(":1.1"), 999), Arrival::Refuse(999));
    }
}
