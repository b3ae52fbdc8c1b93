//! Questions for passwords: one at a time, the same profile asked twice is one window.

use std::collections::VecDeque;
use std::fmt;

use zeroize::Zeroizing;

use super::{Effect, Note, Profile, Subject};

/// A password. Its memory is overwritten when it goes, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// What the person should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The profile's AOR.
    pub aor: String,
    /// Its name.
    pub display_name: String,
    /// The realm of the challenge.
    pub realm: String,
    /// Who asks.
    pub server: String,
    /// Over what.
    pub transport: String,
    /// The last answer was refused.
    pub refused: bool,
    /// It becomes the account's own password, so that keeping it is no choice.
    pub kept: bool,
    /// The person has chosen to be asked now: the window may take the keyboard.
    pub clicked: bool,
}

/// How a password window ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A password; `true` to have it stored.
    Password(Secret, bool),
    /// The person said no.
    Cancelled,
    /// There was no window: why.
    Unavailable(String),
}

/// What the service is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A password; `true` to have it stored.
    Password(Secret, bool),
    /// The person said no.
    Cancelled,
    /// The question was taken back.
    Withdrawn,
    /// Nobody can be asked: why.
    Unavailable(String),
}

#[derive(Debug)]
struct Question {
    profile: u32,
    details: Details,
    waiters: Vec<u64>,
    /// The person wants to set another password, whether the service asks or not.
    own: bool,
    offered: bool,
    /// The number of its window.
    window: Option<u64>,
}

/// The questions, the current one first.
#[derive(Debug, Default)]
pub struct Prompts {
    queue: VecDeque<Question>,
    windows: u64,
}

impl Prompts {
    /// The service asks.
    pub fn ask(&mut self, waiter: u64, profile: u32, details: Details, effects: &mut Vec<Effect>) {
        match self.queue.iter_mut().find(|question| question.profile == profile) {
            Some(question) => question.waiters.push(waiter),
            None => self.push(profile, details, vec![waiter], false),
        }
        self.offer(effects);
    }

    /// The person asks to be asked. Nothing is offered: whoever calls opens it.
    pub fn ask_myself(&mut self, profile: &Profile, effects: &mut Vec<Effect>) {
        if let Some(question) = self.queue.iter_mut().find(|question| question.profile == profile.id) {
            question.own |= question.waiters.is_empty();
            return;
        }
        let details = Details {
            aor: profile.aor.clone(),
            display_name: profile.title().to_owned(),
            refused: profile.error == "Registration.Unauthorized",
            kept: true,
            ..Details::default()
        };
        self.push(profile.id, details, Vec::new(), true);
        if let Some(question) = self.queue.back_mut().filter(|question| question.profile == profile.id) {
            question.offered = true;
        }
        // An offer that nobody has looked at steps back for what the person wants now.
        if self.queue.front().is_some_and(|first| first.window.is_none()) {
            if self.queue.len() > 1 {
                effects.push(Effect::Untell(Subject::Prompt));
            }
            self.queue.rotate_right(1);
            self.queue.iter_mut().skip(1).for_each(|question| question.offered = false);
        }
    }

    fn push(&mut self, profile: u32, details: Details, waiters: Vec<u64>, own: bool) {
        self.queue.push_back(Question { profile, details, waiters, own, offered: false, window: None });
    }

    /// Announces the current question, once: a window that nobody asked for would take the focus.
    fn offer(&mut self, effects: &mut Vec<Effect>) {
        if let Some(question) = self.queue.front_mut().filter(|question| !question.offered) {
            question.offered = true;
            let Details { display_name, aor, server, refused, .. } = &question.details;
            let name = if display_name.is_empty() { aor } else { display_name };
            effects.push(Effect::Tell(Note::prompt(name, server, *refused)));
        }
    }

    /// Opens the window of the current question, because somebody has clicked for it.
    pub fn open(&mut self, token: Option<String>, effects: &mut Vec<Effect>) {
        self.show(true, token, effects);
    }

    /// Opens it although nobody has.
    pub fn open_unasked(&mut self, effects: &mut Vec<Effect>) {
        self.show(false, None, effects);
    }

    fn show(&mut self, clicked: bool, token: Option<String>, effects: &mut Vec<Effect>) {
        if let Some(question) = self.queue.front_mut().filter(|question| question.window.is_none()) {
            self.windows += 1;
            question.window = Some(self.windows);
            effects.push(Effect::Untell(Subject::Prompt));
            let details = Details { clicked, ..question.details.clone() };
            effects.push(Effect::OpenPrompt(self.windows, details, token));
        }
    }

    /// A window is closed. An old window's end means nothing.
    pub fn closed(
        &mut self,
        number: u64,
        outcome: Outcome,
        wished: impl Fn(u32) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        if self.concerned(number).is_none() {
            return;
        }
        let Some(question) = self.queue.pop_front() else { return };
        if question.own {
            match &outcome {
                Outcome::Password(secret, _) => effects.push(Effect::SetPassword(
                    question.profile,
                    secret.clone(),
                    wished(question.profile),
                )),
                Outcome::Unavailable(why) => {
                    let name = &question.details.display_name;
                    effects.push(Effect::Tell(Note::failure(Some(question.profile), name, why.clone())));
                }
                Outcome::Cancelled => {}
            }
        } else if let Outcome::Unavailable(why) = &outcome {
            let name = &question.details.display_name;
            effects.push(Effect::Tell(Note::failure(Some(question.profile), name, why.clone())));
        }
        let answer = match outcome {
            Outcome::Password(secret, store) => Answer::Password(secret, store),
            Outcome::Cancelled => Answer::Cancelled,
            Outcome::Unavailable(why) => Answer::Unavailable(why),
        };
        effects.extend(question.waiters.iter().map(|&waiter| Effect::Answer(waiter, answer.clone())));
        self.offer(effects);
    }

    /// The service does not want the answer any more.
    pub fn withdraw(&mut self, profile: u32, effects: &mut Vec<Effect>) {
        let Some(place) = self.queue.iter().position(|question| question.profile == profile) else { return };
        let Some(question) = self.queue.remove(place) else { return };
        dismiss(&question, place == 0, effects);
        self.offer(effects);
    }

    /// The service is gone, or the applet goes.
    pub fn drop_all(&mut self, effects: &mut Vec<Effect>) {
        for (place, question) in std::mem::take(&mut self.queue).iter().enumerate() {
            dismiss(question, place == 0, effects);
        }
    }

    /// The profile of the current question.
    pub fn current(&self) -> Option<(u32, &Details)> {
        self.queue.front().map(|question| (question.profile, &question.details))
    }

    /// Is the current question about it?
    pub fn is_current(&self, profile: u32) -> bool {
        self.queue.front().is_some_and(|question| question.profile == profile)
    }

    /// Is its password asked for?
    pub fn concern(&self, profile: u32) -> bool {
        self.queue.iter().any(|question| question.profile == profile)
    }

    /// The profile of the open window, if it has that number.
    pub fn concerned(&self, number: u64) -> Option<u32> {
        self.queue.front().filter(|question| question.window == Some(number)).map(|question| question.profile)
    }
}

fn dismiss(question: &Question, is_current: bool, effects: &mut Vec<Effect>) {
    if is_current {
        let open = question.window.is_some();
        effects.push(if open { Effect::ClosePrompt } else { Effect::Untell(Subject::Prompt) });
    }
    effects.extend(question.waiters.iter().map(|&waiter| Effect::Answer(waiter, Answer::Withdrawn)));
}
