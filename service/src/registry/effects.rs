//! Collects the effects of one command in the order the contract wants them (H7): what must be remembered,
//! then the reply, then packets, then signals, each waiting Enable's reply after the signal that decides it.

use super::call::{Answer, Ticket};
use super::effect::{Effect, Note, Write};

/// Effects being collected.
#[derive(Default)]
pub struct Effects {
    notes: Vec<Effect>,
    reply: Option<Effect>,
    sip: Vec<Effect>,
    news: Vec<Effect>,
    save: Option<Write>,
}

impl Effects {
    /// To be remembered before anybody hears of it.
    pub fn note(&mut self, note: Note) {
        self.notes.push(Effect::Note(note));
    }

    /// The reply to the call at hand.
    pub fn reply(&mut self, ticket: Ticket, answer: Answer) {
        self.reply = Some(Effect::Reply(ticket, answer));
    }

    /// For the SIP edge.
    pub fn sip(&mut self, effect: Effect) {
        self.sip.push(effect);
    }

    /// A signal.
    pub fn news(&mut self, effect: Effect) {
        self.news.push(effect);
    }

    /// The write that the command at hand waits for.
    pub fn save(&mut self, write: Write) {
        self.save = Some(write);
    }

    /// Takes over what `other` wants remembered, and nothing else of it.
    pub fn absorb_notes(&mut self, other: Effects) {
        self.notes.extend(other.notes);
    }

    /// All of them, in order.
    pub fn into_vec(self) -> Vec<Effect> {
        let mut all = self.notes;
        all.extend(self.reply);
        all.extend(self.sip);
        all.extend(self.news);
        all.extend(self.save.map(|write| Effect::Save(Box::new(write))));
        all
    }
}
