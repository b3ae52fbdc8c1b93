//! What a person asks for, in the menu or by a notification's button.

use super::{Button, Click, Effect, Model, Note, Subject};

impl Model {
    pub(super) fn clicked(&mut self, click: Click, token: Option<String>, effects: &mut Vec<Effect>) {
        match click {
            Click::Toggle(id, true) => self.switch_on(id, effects),
            Click::Toggle(id, false) => self.switch_off(id, effects),
            Click::Default(id) => {
                // Its mark has moved already; should the service refuse, it is asked which one it is.
                self.default = Some(id);
                effects.push(Effect::SetDefault(id));
            }
            Click::Retry if !self.up => effects.push(Effect::Start),
            Click::Retry => {
                let all: Vec<u32> = self.profiles.keys().copied().collect();
                all.into_iter().for_each(|id| self.retry(id, effects));
            }
            Click::TurnOff => {
                if let Some(id) = self.question {
                    self.answer_question(id, effects);
                    effects.push(Effect::AutoRegisterOff(id));
                }
            }
            Click::Password => self.enter_password(self.password_wanted_for(), token, effects),
            Click::Edit(id) => effects.push(Effect::Editor(Some(id), token)),
            Click::Add => effects.push(Effect::Editor(None, token)),
            Click::Quit => {
                self.prompts.drop_all(effects);
                effects.push(Effect::Quit);
            }
        }
    }

    pub(super) fn pressed(
        &mut self,
        subject: Subject,
        button: Button,
        token: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        match (subject, button) {
            (Subject::Prompt, Button::Password) => self.prompts.open(token, effects),
            (Subject::Question(id), Button::TurnOff) if self.question == Some(id) => {
                self.clicked(Click::TurnOff, token, effects);
            }
            (Subject::Question(id), Button::Keep) => self.answer_question(id, effects),
            (Subject::Trouble(id), _) if !self.profiles.contains_key(&id) => {}
            (Subject::Trouble(id), Button::Retry) => {
                self.wish(id, true, effects);
                self.retry(id, effects);
            }
            (Subject::Trouble(id), Button::Edit) => effects.push(Effect::Editor(Some(id), token)),
            (Subject::Trouble(id), Button::Password) => self.enter_password(Some(id), token, effects),
            _ => {}
        }
    }

    fn switch_on(&mut self, id: u32, effects: &mut Vec<Effect>) {
        self.dismissed.remove(&id);
        self.answer_question(id, effects);
        self.wish(id, true, effects);
        if self.up {
            effects.push(Effect::Enable(id));
        }
    }

    fn switch_off(&mut self, id: u32, effects: &mut Vec<Effect>) {
        let Some(profile) = self.profiles.get(&id) else { return };
        if profile.auto_register && self.up {
            let title = profile.title().to_owned();
            if let Some(other) = self.question.replace(id).filter(|&other| other != id) {
                effects.push(Effect::Untell(Subject::Question(other)));
            }
            effects.push(Effect::Tell(Note::question(id, &title)));
        }
        self.dismissed.insert(id);
        self.troubles.forget(id, effects);
        if self.wishes.contains(&id) && self.up {
            effects.push(Effect::Disable(id));
        }
        self.wish(id, false, effects);
    }

    /// Tries one now, if somebody wants it.
    fn retry(&self, id: u32, effects: &mut Vec<Effect>) {
        let Some(profile) = self.profiles.get(&id).filter(|_| self.up) else { return };
        let wished = self.wishes.contains(&id);
        match (profile.state.as_str(), profile.reason.as_str()) {
            ("unregistered", _) if wished => effects.push(Effect::Enable(id)),
            ("waiting", _) | ("registered", "degraded") if wished => {
                // The hold first: of one that only others hold, Refresh is not ours to call.
                effects.extend([Effect::Enable(id), Effect::Refresh(id)]);
            }
            ("unregistered", "error") | ("waiting", _) if profile.auto_register => {
                effects.push(Effect::Refresh(id));
            }
            _ => {}
        }
    }

    fn enter_password(&mut self, id: Option<u32>, token: Option<String>, effects: &mut Vec<Effect>) {
        let Some(profile) = id.and_then(|id| self.profiles.get(&id)) else {
            // A question of the service about a profile that is not read yet.
            return self.prompts.open(token, effects);
        };
        self.prompts.ask_myself(profile, effects);
        if self.prompts.is_current(profile.id) {
            self.prompts.open(token, effects);
        }
    }
}
