//! When a person is told, and what.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Effect, Profile};
use crate::text;

/// What a notification is about; there is at most one of each, the next one replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A profile's trouble, and its end.
    Trouble(u32),
    /// A wish about a profile (or about nothing special) that did not work.
    Failure(Option<u32>),
    /// The question about AutoRegister.
    Question(u32),
    /// The service asks for a password.
    Prompt,
    /// There is no tray.
    NoTray,
}

/// A button of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// Try again.
    Retry,
    /// Open the editor.
    Edit,
    /// Open the password window.
    Password,
    /// AutoRegister off.
    TurnOff,
    /// AutoRegister stays.
    Keep,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub subject: Subject,
    /// Its first line.
    pub title: String,
    /// The rest, plain text.
    pub body: String,
    /// No sound, no importance.
    pub quiet: bool,
    /// Its buttons with their labels.
    pub buttons: Vec<(Button, String)>,
}

impl Note {
    fn trouble(profile: &Profile) -> Self {
        let password = matches!(profile.error.as_str(), "Registration.Unauthorized" | "NoSecret")
            .then(|| (Button::Password, text::password_button()));
        let mut buttons = vec![(Button::Retry, text::retry_button()), (Button::Edit, text::edit_button())];
        buttons.extend(password);
        Self {
            subject: Subject::Trouble(profile.id),
            title: text::trouble_title(profile),
            body: text::trouble(profile),
            quiet: false,
            buttons,
        }
    }

    fn recovery(profile: &Profile) -> Self {
        Self {
            subject: Subject::Trouble(profile.id),
            title: text::recovered(profile.title()),
            body: String::new(),
            quiet: true,
            buttons: Vec::new(),
        }
    }

    /// Something that was asked for did not work.
    pub fn failure(id: Option<u32>, title: &str, message: String) -> Self {
        let subject = Subject::Failure(id);
        Self { subject, title: text::could_not(title), body: message, quiet: false, buttons: Vec::new() }
    }

    /// May AutoRegister go off?
    pub fn question(id: u32, title: &str) -> Self {
        Self {
            subject: Subject::Question(id),
            title: text::auto_register_question(title),
            body: text::auto_register_reason(),
            quiet: false,
            buttons: vec![(Button::TurnOff, text::turn_off()), (Button::Keep, text::keep())],
        }
    }

    /// A password is wanted.
    pub fn prompt(name: &str, server: &str, refused: bool) -> Self {
        Self {
            subject: Subject::Prompt,
            title: text::password_wanted(name),
            body: text::password_reason(server, refused),
            quiet: false,
            buttons: vec![(Button::Password, text::enter_password())],
        }
    }

    /// There is no tray.
    pub fn no_tray() -> Self {
        Self {
            subject: Subject::NoTray,
            title: text::no_tray(),
            body: text::no_tray_reason(),
            quiet: true,
            buttons: Vec::new(),
        }
    }
}

/// What was told about which profile, and what will be.
#[derive(Debug, Default)]
pub struct Troubles {
    all: BTreeMap<u32, Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// It waits since then; an attempt in between does not count as an end.
    waits_since: Option<Duration>,
    told: bool,
    /// The person closed the password window: they need not be told what they did.
    declined: bool,
}

impl Troubles {
    /// Compares a profile with what it was.
    pub fn observe(
        &mut self,
        before: Option<&Profile>,
        after: &Profile,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let trouble = self.all.entry(after.id).or_default();
        if after.is_stopped() {
            trouble.waits_since = None;
            let is_new = before.is_some_and(|before| !before.is_stopped() || before.error != after.error);
            let declined = std::mem::take(&mut trouble.declined) && after.error == "NoSecret";
            if is_new && !declined {
                trouble.told = true;
                effects.push(Effect::Tell(Note::trouble(after)));
            }
            return;
        }
        match after.state.as_str() {
            "waiting" => {
                trouble.waits_since.get_or_insert(now);
            }
            "registered" => {
                if trouble.told {
                    effects.push(Effect::Tell(Note::recovery(after)));
                }
                self.all.remove(&after.id);
            }
            "unregistered" => self.forget(after.id, effects),
            _ => {}
        }
    }

    /// Nothing is to be told about it any more.
    pub fn forget(&mut self, id: u32, effects: &mut Vec<Effect>) {
        if self.all.remove(&id).is_some_and(|trouble| trouble.told) {
            effects.push(Effect::Untell(Subject::Trouble(id)));
        }
    }

    /// The service is gone: nobody waits. What was told stays told.
    pub fn pause(&mut self) {
        self.all.values_mut().for_each(|trouble| trouble.waits_since = None);
    }

    /// The person closed the password window of that profile.
    pub fn declined(&mut self, id: u32) {
        self.all.entry(id).or_default().declined = true;
    }

    /// When the next one has waited too long. A profile whose password is being asked for says so itself.
    pub fn deadline(
        &self,
        profiles: &BTreeMap<u32, Profile>,
        is_asked: impl Fn(u32) -> bool,
        patience: Duration,
    ) -> Option<Duration> {
        let quiet =
            |id: &u32| profiles.get(id).is_some_and(|profile| profile.state == "waiting") && !is_asked(*id);
        let waiting = self.all.iter().filter(|(id, trouble)| !trouble.told && quiet(id));
        waiting
            .filter_map(|(_, trouble)| trouble.waits_since)
            .min()
            .map(|since| since.saturating_add(patience))
    }

    /// Tells of those that have waited too long.
    pub fn due(
        &mut self,
        profiles: &BTreeMap<u32, Profile>,
        is_asked: impl Fn(u32) -> bool,
        patience: Duration,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        for (&id, trouble) in &mut self.all {
            let Some(profile) = profiles.get(&id).filter(|profile| profile.state == "waiting") else {
                continue;
            };
            let too_long = trouble.waits_since.is_some_and(|since| since.saturating_add(patience) <= now);
            if too_long && !trouble.told && !is_asked(id) {
                trouble.told = true;
                effects.push(Effect::Tell(Note::trouble(profile)));
            }
        }
    }
}
