//! Secret agents: who answers which question for a password (contract, SecretAgent1; E11).
//!
//! One question per user at a time, to the newest agent first; where it fails, to the next one. Only agents of a
//! user who needs the profile are asked: a holder, or the owner of an AutoRegister profile.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Registry;
use super::call::{Caller, Name, Options, Reply, Ticket};
use super::effect::{Effect, Note};
use super::effects::Effects;
use super::error::CallError;
use super::profile::Profile;
use crate::moment::Moment;
use crate::registration::{Input, SecretAnswer, SecretQuestion};
use crate::settings::TEXT;

/// An agent has so long to answer.
const ANSWER: Duration = Duration::from_secs(120);

/// What an agent answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAnswer {
    /// The person answered, or said no.
    Person(SecretAnswer),
    /// The agent has no answer: it failed, or is gone.
    None,
}

/// The agents, oldest first, and what they are asked.
#[derive(Default)]
pub struct Agents {
    list: Vec<Agent>,
    questions: Vec<Open>,
    last_number: u64,
}

struct Agent {
    name: Name,
    uid: u32,
    path: String,
}

/// A profile's question, oldest first.
struct Open {
    profile: u32,
    question: SecretQuestion,
    /// Agents that had no answer.
    tried: BTreeSet<Name>,
    asked: Option<Asked>,
}

/// An agent that is being asked.
struct Asked {
    number: u64,
    name: Name,
    uid: u32,
    path: String,
    until: Moment,
}

impl Agents {
    /// When the first agent has had its time.
    pub fn wakeup(&self) -> Option<Moment> {
        self.questions.iter().filter_map(|open| Some(open.asked.as_ref()?.until)).min()
    }

    fn is_busy(&self, uid: u32) -> bool {
        self.questions.iter().any(|open| open.asked.as_ref().is_some_and(|asked| asked.uid == uid))
    }

    fn of(&self, uids: &BTreeSet<u32>) -> impl Iterator<Item = &Agent> {
        self.list.iter().rev().filter(|agent| uids.contains(&agent.uid))
    }
}

impl Registry {
    /// Takes over a predecessor's agents (H9).
    pub(super) fn adopt_agents(&mut self, agents: Vec<(Name, String)>) {
        for (name, path) in agents {
            if let Some(session) = self.sessions.get(&name) {
                self.agents.list.push(Agent { name, uid: session.uid, path });
            }
        }
    }

    /// RegisterSecretAgent: the caller answers for its uid from now on; another path replaces the one before.
    pub(super) fn register_agent(
        &mut self,
        caller: &Caller,
        (path, options): (String, Options),
        ticket: Ticket,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), CallError> {
        options.none_left()?;
        if path.len() > TEXT {
            return Err(CallError::too_long("agent"));
        }
        effects.reply(ticket, Ok(Reply::Done));
        self.agents.list.retain(|agent| agent.name != caller.name);
        effects.note(Note::AgentAdded(caller.name.clone(), path.clone()));
        self.agents.list.push(Agent { name: caller.name.clone(), uid: caller.uid, path });
        // A new agent is news to all that have asked others in vain.
        self.profiles.values_mut().for_each(|profile| profile.has_agent = None);
        self.agents_changed(now, effects);
        Ok(())
    }

    /// UnregisterSecretAgent; no error where the caller was none.
    pub(super) fn unregister_agent(
        &mut self,
        caller: &Caller,
        options: Options,
        ticket: Ticket,
        now: Moment,
        effects: &mut Effects,
    ) -> Result<(), CallError> {
        options.none_left()?;
        effects.reply(ticket, Ok(Reply::Done));
        self.drop_agent(&caller.name, now, effects);
        Ok(())
    }

    /// An agent is there no more: what it was asked goes to the next one.
    pub(super) fn drop_agent(&mut self, name: &Name, now: Moment, effects: &mut Effects) {
        let before = self.agents.list.len();
        self.agents.list.retain(|agent| agent.name != *name);
        if self.agents.list.len() == before {
            return;
        }
        effects.note(Note::AgentGone(name.clone()));
        for open in &mut self.agents.questions {
            if open.asked.as_ref().is_some_and(|asked| asked.name == *name) {
                open.asked = None;
            }
        }
        self.agents_changed(now, effects);
        self.ask_on(now, effects);
    }

    fn agents_changed(&mut self, now: Moment, effects: &mut Effects) {
        for id in self.profiles.keys().copied().collect::<Vec<_>>() {
            self.tell_agents(id, now, effects);
        }
    }

    /// Tells a wanted profile's registration whether somebody can be asked, where that is news to it.
    pub(super) fn tell_agents(&mut self, id: u32, now: Moment, effects: &mut Effects) {
        let Some(profile) = self.profiles.get(&id).filter(|profile| profile.registration.is_wanted()) else {
            return;
        };
        let uids = self.who_needs(profile);
        let there = self.agents.of(&uids).next().is_some();
        self.take_back(id, &uids, now, effects);
        let Some(profile) = self.profiles.get_mut(&id) else { return };
        if profile.has_agent.replace(there) != Some(there) {
            self.feed(id, Input::Agents(there), now, effects);
        }
    }

    /// A question to a user who does not need the profile any more goes to another.
    fn take_back(&mut self, id: u32, needing: &BTreeSet<u32>, now: Moment, effects: &mut Effects) {
        let of_stranger = |open: &&mut Open| {
            open.profile == id && open.asked.as_ref().is_some_and(|asked| !needing.contains(&asked.uid))
        };
        if let Some(open) = self.agents.questions.iter_mut().find(of_stranger) {
            cancel(open, effects);
            open.asked = None;
            self.ask_on(now, effects);
        }
    }

    /// The users that need a profile.
    fn who_needs(&self, profile: &Profile) -> BTreeSet<u32> {
        let holders = profile.holders.keys().filter_map(|name| Some(self.sessions.get(name)?.uid));
        holders.chain(profile.auto_registers().then_some(profile.owner)).collect()
    }

    /// A registration wants to know its password.
    pub(super) fn question(
        &mut self,
        profile: u32,
        question: SecretQuestion,
        now: Moment,
        effects: &mut Effects,
    ) {
        self.agents.questions.retain(|open| open.profile != profile);
        self.agents.questions.push(Open { profile, question, tried: BTreeSet::new(), asked: None });
        self.ask_on(now, effects);
    }

    /// Nobody wants that answer any more.
    pub(super) fn forget_question(&mut self, profile: u32, now: Moment, effects: &mut Effects) {
        let Some(at) = self.agents.questions.iter().position(|open| open.profile == profile) else {
            return;
        };
        let open = self.agents.questions.remove(at);
        cancel(&open, effects);
        self.ask_on(now, effects);
    }

    /// An agent has answered question `number`; an answer to an earlier one is nobody's.
    pub(super) fn agent_answered(
        &mut self,
        number: u64,
        answer: AgentAnswer,
        now: Moment,
        effects: &mut Effects,
    ) {
        let is_it = |open: &Open| open.asked.as_ref().is_some_and(|asked| asked.number == number);
        let Some(at) = self.agents.questions.iter().position(is_it) else {
            return;
        };
        match answer {
            AgentAnswer::Person(answer) => {
                let open = self.agents.questions.remove(at);
                let answer = if self.may_store(&open) { answer } else { answer.without_store() };
                self.feed(open.profile, Input::Secret(answer), now, effects);
            }
            AgentAnswer::None => {
                let open = &mut self.agents.questions[at];
                open.tried.extend(open.asked.take().map(|asked| asked.name));
            }
        }
        self.ask_on(now, effects);
    }

    /// Storing a password changes the profile: that of a shared one is not for everybody who may use it, and a dialog of
    /// polkit's on top of the password's would surprise. What its users type serves their registration.
    fn may_store(&self, open: &Open) -> bool {
        let is_shared = self.profiles.get(&open.profile).is_some_and(|profile| profile.shared);
        !is_shared || open.asked.as_ref().is_some_and(|asked| asked.uid == 0)
    }

    /// Agents that did not answer in time.
    pub(super) fn expire_questions(&mut self, now: Moment, effects: &mut Effects) {
        let mut late = false;
        for open in &mut self.agents.questions {
            if open.asked.as_ref().is_some_and(|asked| asked.until <= now) {
                cancel(open, effects);
                open.tried.extend(open.asked.take().map(|asked| asked.name));
                late = true;
            }
        }
        if late {
            self.ask_on(now, effects);
        }
    }

    /// Asks whom it can; questions that nobody is left to answer have failed.
    fn ask_on(&mut self, now: Moment, effects: &mut Effects) {
        let mut at = 0;
        while at < self.agents.questions.len() {
            match self.choose(at) {
                Chosen::Later => at += 1,
                Chosen::Nobody => {
                    let open = self.agents.questions.remove(at);
                    self.feed(open.profile, Input::Secret(SecretAnswer::Failed), now, effects);
                }
                Chosen::Agent { name, uid, path } => {
                    self.agents.last_number += 1;
                    let number = self.agents.last_number;
                    let open = &mut self.agents.questions[at];
                    let (profile, question) = (open.profile, open.question.clone());
                    let until = now + ANSWER;
                    open.asked = Some(Asked { number, name: name.clone(), uid, path: path.clone(), until });
                    if let Some(settings) = self.profiles.get(&profile).map(|one| one.settings.clone()) {
                        effects.sip(Effect::Ask { number, agent: name, path, profile, settings, question });
                    }
                    at += 1;
                }
            }
        }
    }

    /// Whom to ask question `at` now: the newest agent that has not failed, and whose user is asked nothing else.
    fn choose(&self, at: usize) -> Chosen {
        let open = &self.agents.questions[at];
        if open.asked.is_some() {
            return Chosen::Later;
        }
        let Some(profile) = self.profiles.get(&open.profile) else {
            return Chosen::Nobody;
        };
        let uids = self.who_needs(profile);
        let left: Vec<_> = self.agents.of(&uids).filter(|agent| !open.tried.contains(&agent.name)).collect();
        match left.iter().find(|agent| !self.agents.is_busy(agent.uid)) {
            Some(Agent { name, uid, path }) => {
                Chosen::Agent { name: name.clone(), uid: *uid, path: path.clone() }
            }
            None if left.is_empty() => Chosen::Nobody,
            None => Chosen::Later,
        }
    }
}

/// Who is asked next.
enum Chosen {
    /// This one.
    Agent { name: Name, uid: u32, path: String },
    /// The users that could be asked are busy, or the question is asked already.
    Later,
    /// Nobody is left.
    Nobody,
}

/// Tells the agent that is being asked to take the question back.
fn cancel(open: &Open, effects: &mut Effects) {
    if let Some(asked) = &open.asked {
        let (agent, path) = (asked.name.clone(), asked.path.clone());
        effects.sip(Effect::CancelQuestion { agent, path, profile: open.profile });
    }
}
