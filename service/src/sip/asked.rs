//! The requests under way, and which of them an answer is for: by branch and CSeq method (RFC 3261 §17.1.3).
//!
//! The SIP crate's transactions want Call-ID, From-tag and CSeq number back as well, and a Via without a flaw. So they
//! are shown the request's own header fields, and what the server wrote goes past them to whoever asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipstack::sip::SipMessage;

use super::wire::{self, Answer};

/// Header fields by which the SIP crate knows a transaction.
const IDENTITY: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];

/// The requests under way, by branch.
#[derive(Default)]
pub struct Asked {
    open: Mutex<HashMap<String, Open>>,
}

struct Open {
    method: String,
    /// The header lines by which the SIP crate knows its transaction.
    identity: String,
    /// The first final answer.
    answer: Option<Answer>,
}

/// One request under way; forgotten when it is dropped.
pub struct Question {
    asked: Arc<Asked>,
    branch: String,
}

impl Asked {
    /// Takes note of `request`, which is about to be sent. `None`: it has no branch to know its answer by.
    pub fn ask(self: &Arc<Self>, request: &str) -> Option<Question> {
        let fields = wire::fields(request);
        let branch = wire::branch(&fields)?.to_owned();
        let method = wire::method(&fields)?.to_owned();
        let identity = fields
            .iter()
            .filter(|(name, _)| IDENTITY.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        self.open().insert(branch.clone(), Open { method, identity, answer: None });
        Some(Question { asked: self.clone(), branch })
    }

    /// Keeps `answer` for whoever asked; says what to show to the SIP crate. `None`: nobody asked.
    pub fn take(&self, answer: Answer) -> Option<SipMessage> {
        let mut open = self.open();
        let question = open.get_mut(answer.branch()?)?;
        if answer.method() != Some(&question.method) {
            return None;
        }
        let shown = format!("SIP/2.0 {} -\r\n{}Content-Length: 0\r\n\r\n", answer.status, question.identity);
        if answer.is_final() {
            question.answer.get_or_insert(answer);
        }
        SipMessage::try_from(shown.as_str()).ok()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        // Nothing panics while it holds the lock; if something did, the map is still whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    /// The final answer, where it has come.
    pub fn answer(&self) -> Option<Answer> {
        self.asked.open().get_mut(&self.branch)?.answer.take()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.asked.open().remove(&self.branch);
    }
}
