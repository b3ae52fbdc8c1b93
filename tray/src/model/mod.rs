//! What the applet knows, and what it does about each event: `handle(event, now) → effects`. Pure: no bus, no clock,
//! no files, no processes.

mod clicks;
mod event;
mod notes;
mod profile;
mod prompts;
mod view;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use event::{Click, Effect, Event, Failure, News};
pub use notes::{Button, Note, Subject};
pub use profile::{Patch, Profile, Standing};
pub use prompts::{Answer, Details, Outcome, Secret};
pub use view::{Icon, Row, View};

/// How long a wait is quiet before a person is told.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// When the bus is asked to start a service that went away, counted from there: an upgrade brings it back itself.
const STARTS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
/// When the service is asked again after it would not say what it has.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// The state.
#[derive(Debug, Default)]
pub struct Model {
    patience: Duration,
    up: bool,
    /// The number of the last [`Effect::Greet`]; an older answer is not looked at.
    greeting: u64,
    ready: bool,
    /// News since the greeting: its answer may be older than them.
    since: Vec<News>,
    profiles: BTreeMap<u32, Profile>,
    default: Option<u32>,
    wishes: BTreeSet<u32>,
    /// Failed ones that the person has unchecked: no alarm any more.
    dismissed: BTreeSet<u32>,
    question: Option<u32>,
    troubles: notes::Troubles,
    prompts: prompts::Prompts,
    starts: usize,
    start_at: Option<Duration>,
    read_at: Option<Duration>,
    hint_at: Option<Duration>,
    hinted: bool,
}

impl Model {
    /// At the start: the service is not seen yet. `patience` is [`PATIENCE`], or less in a test.
    pub fn new(wishes: BTreeSet<u32>, patience: Duration) -> Self {
        Self { wishes, patience, ..Self::default() }
    }

    /// The only way that anything changes.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Up => self.up(&mut effects),
            Event::Down { ever } => self.down(ever, now, &mut effects),
            Event::NotStarted => self.plan_start(now),
            Event::Read(number, answer) if self.up && number == self.greeting => {
                self.read(answer, now, &mut effects)
            }
            Event::Read(..) => {}
            Event::News(news) => {
                if !self.ready {
                    self.since.push(news.clone());
                }
                self.news(news, now, &mut effects);
            }
            Event::Clicked(click, token) => self.clicked(click, token, &mut effects),
            Event::Pressed(subject, button, token) => self.pressed(subject, button, token, &mut effects),
            Event::Told(Subject::Prompt, false) => self.prompts.open_unasked(&mut effects),
            Event::Told(..) => {}
            Event::Switched(id, on, Err(failure)) => self.not_switched(id, on, failure, &mut effects),
            Event::Switched(_, _, Ok(())) => {}
            Event::Failed(id, message) => {
                effects.push(Effect::Tell(Note::failure(id, &self.title(id), message)))
            }
            Event::Asked { waiter, profile, details } => {
                self.prompts.ask(waiter, profile, details, &mut effects)
            }
            Event::Withdrawn(profile) => self.prompts.withdraw(profile, &mut effects),
            Event::Closed(number, outcome) => self.closed(number, outcome, &mut effects),
            Event::TrayMissing if !self.hinted => {
                self.hint_at.get_or_insert(now.saturating_add(self.patience));
            }
            Event::TrayFound => self.hint_at = None,
            Event::TrayMissing | Event::Tick => {}
        }
        self.due(now, &mut effects);
        effects
    }

    /// When [`Event::Tick`] is needed.
    pub fn deadline(&self) -> Option<Duration> {
        let waits = self.troubles.deadline(&self.profiles, |id| self.prompts.concern(id), self.patience);
        [self.start_at, self.read_at, self.hint_at, waits.filter(|_| self.ready)].into_iter().flatten().min()
    }

    fn up(&mut self, effects: &mut Vec<Effect>) {
        self.up = true;
        self.starts = 0;
        self.start_at = None;
        self.greet(effects);
    }

    fn greet(&mut self, effects: &mut Vec<Effect>) {
        self.read_at = None;
        self.ready = false;
        self.since.clear();
        self.greeting += 1;
        effects.push(Effect::Greet(self.greeting, self.wishes.iter().copied().collect()));
    }

    fn down(&mut self, ever: bool, now: Duration, effects: &mut Vec<Effect>) {
        self.up = false;
        self.ready = false;
        self.read_at = None;
        self.greeting += 1;
        self.troubles.pause();
        self.prompts.drop_all(effects);
        if ever {
            self.starts = 0;
            self.plan_start(now);
        } else {
            effects.push(Effect::Start);
        }
    }

    fn plan_start(&mut self, now: Duration) {
        if !self.up && self.start_at.is_none() {
            self.start_at = STARTS.get(self.starts).map(|&after| now.saturating_add(after));
            self.starts += 1;
        }
    }

    fn read(
        &mut self,
        answer: Result<(Vec<Profile>, Option<u32>), String>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let Ok((profiles, default)) = answer else {
            self.read_at = Some(now.saturating_add(READ_AGAIN));
            return;
        };
        self.ready = true;
        let old = std::mem::take(&mut self.profiles);
        for profile in profiles {
            // Compared with what was known before the service went: what was told then is not told again.
            let before = old.get(&profile.id).cloned();
            let id = profile.id;
            self.profiles.insert(id, profile);
            self.observe(before.or_else(|| self.profiles.get(&id).cloned()), id, now, effects);
        }
        self.default = default;
        for news in std::mem::take(&mut self.since) {
            self.news(news, now, effects);
        }
        for id in old.into_keys().filter(|id| !self.profiles.contains_key(id)).collect::<Vec<_>>() {
            self.forget(id, effects);
        }
        let kept: BTreeSet<u32> =
            self.wishes.iter().copied().filter(|id| self.profiles.contains_key(id)).collect();
        self.set_wishes(kept, effects);
    }

    fn news(&mut self, news: News, now: Duration, effects: &mut Vec<Effect>) {
        match news {
            News::Added(id, patch) if !self.profiles.contains_key(&id) => {
                if self.ready {
                    let profile = Profile::new(id, patch);
                    self.profiles.insert(id, profile.clone());
                    self.observe(Some(profile), id, now, effects);
                }
            }
            News::Added(id, patch) | News::Changed(id, patch) => {
                let Some(profile) = self.profiles.get_mut(&id) else { return };
                let before = profile.clone();
                profile.apply(patch);
                if self.ready {
                    self.observe(Some(before), id, now, effects);
                }
            }
            News::Removed(id) => self.forget(id, effects),
            News::Updated(id) => {
                // A final error dropped our hold; with other settings it may work again.
                let stopped = self.profiles.get(&id).is_some_and(|profile| profile.state == "unregistered");
                if self.ready && stopped && self.wishes.contains(&id) {
                    effects.push(Effect::Enable(id));
                }
            }
            News::Forced(id) => self.wish(id, false, effects),
            News::Default(default) => self.default = default,
        }
    }

    /// What a change means for notifications.
    fn observe(&mut self, before: Option<Profile>, id: u32, now: Duration, effects: &mut Vec<Effect>) {
        let Some(after) = self.profiles.get(&id) else { return };
        if after.standing() != Standing::Failed {
            self.dismissed.remove(&id);
        }
        self.troubles.observe(before.as_ref(), after, now, effects);
    }

    fn forget(&mut self, id: u32, effects: &mut Vec<Effect>) {
        self.profiles.remove(&id);
        self.dismissed.remove(&id);
        self.troubles.forget(id, effects);
        self.prompts.withdraw(id, effects);
        self.answer_question(id, effects);
        self.wish(id, false, effects);
        if self.default == Some(id) {
            self.default = None;
        }
    }

    fn not_switched(&mut self, id: u32, on: bool, failure: Failure, effects: &mut Vec<Effect>) {
        if failure.passing {
            return;
        }
        if on {
            self.wish(id, false, effects);
        }
        if self.profiles.contains_key(&id) {
            effects.push(Effect::Tell(Note::failure(Some(id), &self.title(Some(id)), failure.message)));
        }
    }

    fn closed(&mut self, number: u64, outcome: Outcome, effects: &mut Vec<Effect>) {
        if let Some(id) = self.prompts.concerned(number).filter(|_| outcome == Outcome::Cancelled) {
            self.troubles.declined(id);
        }
        let wishes = &self.wishes;
        self.prompts.closed(number, outcome, |id| wishes.contains(&id), effects);
    }

    fn answer_question(&mut self, id: u32, effects: &mut Vec<Effect>) {
        if self.question == Some(id) {
            self.question = None;
            effects.push(Effect::Untell(Subject::Question(id)));
        }
    }

    fn wish(&mut self, id: u32, on: bool, effects: &mut Vec<Effect>) {
        let mut wishes = self.wishes.clone();
        if on {
            wishes.insert(id);
        } else {
            wishes.remove(&id);
        }
        self.set_wishes(wishes, effects);
    }

    fn set_wishes(&mut self, wishes: BTreeSet<u32>, effects: &mut Vec<Effect>) {
        if wishes != self.wishes {
            self.wishes = wishes;
            effects.push(Effect::Save(self.wishes.clone()));
        }
    }

    fn title(&self, id: Option<u32>) -> String {
        let profile = id.and_then(|id| self.profiles.get(&id));
        profile.map_or_else(crate::text::applet, |profile| profile.title().to_owned())
    }

    /// Does what its time has come for.
    fn due(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let come = |at: &mut Option<Duration>| at.take_if(|at| *at <= now).is_some();
        if come(&mut self.start_at) {
            effects.push(Effect::Start);
        }
        if come(&mut self.read_at) && self.up {
            self.greet(effects);
        }
        if come(&mut self.hint_at) {
            self.hinted = true;
            effects.push(Effect::Tell(Note::no_tray()));
        }
        if self.ready {
            let prompts = &self.prompts;
            self.troubles.due(&self.profiles, |id| prompts.concern(id), self.patience, now, effects);
        }
    }
}
