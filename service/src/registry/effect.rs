//! What the registry is told and what it wants done: plain values, so that a test reads like a transcript.

use super::agents::AgentAnswer;
use super::call::{Answer, Call, Caller, Name, Ticket};
use super::face::{Face, Property};
use super::rights::{Question, Verdict};
use crate::registration::{Input, LastError, Memory, Output, Reason, SecretQuestion, State};
use crate::settings::Settings;
use crate::store::Record;
use std::sync::Arc;

/// What happened.
#[derive(Debug)]
pub enum Command {
    /// A call of the contract.
    Call {
        /// Who.
        caller: Caller,
        /// What.
        call: Call,
        /// Named in the reply.
        ticket: Ticket,
        /// May polkit show the caller a dialog?
        interactive: bool,
    },
    /// The end of [`Effect::Authorize`]. The call is decided again when its turn comes.
    Authorized {
        /// The call that waits.
        ticket: Ticket,
        /// What polkit says.
        verdict: Verdict,
    },
    /// [`super::Registry::can_resume`]: a call that waited for polkit goes on.
    Resume,
    /// The end of [`Effect::Save`]. Nothing else may come between.
    Saved(Result<(), String>),
    /// A bus name is gone (exit, crash, kill -9, logout).
    Gone(Name),
    /// News from the SIP edge about a profile.
    Registration {
        /// Which.
        profile: u32,
        /// What.
        input: Input,
    },
    /// An agent has answered, or will not.
    Secret {
        /// As given in [`Effect::Ask`].
        number: u64,
        /// What.
        answer: AgentAnswer,
    },
    /// The wall clock was set.
    ClockSet,
    /// [`super::Registry::wakeup`] has come.
    Tick,
    /// A successor takes over: who waits is told so, bindings and holds stay.
    HandOver,
    /// The process is to end: de-register all, keep the holds for the successor (L3).
    Shutdown,
}

/// What to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Answer a call.
    Reply(Ticket, Answer),
    /// Ask polkit about the caller of a call, then say [`Command::Authorized`].
    Authorize(Box<Question>),
    /// Nobody waits any more for polkit's answer about that call's caller.
    Withdraw(Ticket),
    /// Emit a signal.
    Signal(Audience, Signal),
    /// Note in the runtime directory, before what follows.
    Note(Note),
    /// Bring to the disk, then say [`Command::Saved`] before anything else. Always the last effect.
    Save(Box<Write>),
    /// Tell the SIP edge about a profile: it is new, or its settings are.
    Configure {
        /// Which.
        profile: u32,
        /// Its settings.
        settings: Arc<Settings>,
        /// Its Contact user.
        token: String,
    },
    /// Hand to the SIP edge.
    Sip {
        /// Which profile.
        profile: u32,
        /// What.
        output: Output,
    },
    /// Call SecretAgent1.GetPassword; then say [`Command::Secret`].
    Ask {
        /// Named in the answer.
        number: u64,
        /// Whose object.
        agent: Name,
        /// Which object.
        path: String,
        /// About which profile.
        profile: u32,
        /// Its settings.
        settings: Arc<Settings>,
        /// What.
        question: SecretQuestion,
    },
    /// Call SecretAgent1.Cancel: the answer is not wanted any more.
    CancelQuestion {
        /// Whose object.
        agent: Name,
        /// Which object.
        path: String,
        /// About which profile.
        profile: u32,
    },
    /// The SIP edge can forget this profile.
    Forget(u32),
}

/// A change of the disk's content.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new or changed profile.
    Profile {
        /// As it is from now on.
        record: Box<Record>,
        /// A binding may stand with the one before, which is kept until that is removed.
        farewell: bool,
    },
    /// No such profile any more.
    Removal {
        /// Which.
        id: u32,
        /// A binding may stand with it: it is kept apart until that is removed.
        farewell: bool,
    },
    /// A user's default.
    Default {
        /// Whose.
        uid: u32,
        /// Which profile.
        profile: u32,
    },
}

/// What the runtime directory is to remember (H9, E9).
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A bus name became a session.
    SessionAdded(Name, u32),
    /// It is one no more.
    SessionGone(Name),
    /// A hold was taken.
    HoldAdded(Name, u32, String),
    /// A hold was given back.
    HoldGone(Name, u32, String),
    /// A session answers for its uid's passwords, at that path.
    AgentAdded(Name, String),
    /// It does no more.
    AgentGone(Name),
    /// What a successor must know of a profile.
    Memory(u32, Box<ProfileMemory>),
    /// Nothing any more.
    MemoryGone(u32),
}

/// What a successor must know of a profile.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProfileMemory {
    /// What its registration must know.
    pub registration: Memory,
    /// ForceDisable switched its AutoRegister off for this boot (H8).
    #[serde(default)]
    pub forced_off: bool,
}

/// Who receives a signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Audience {
    /// Broadcast: about a shared profile.
    Everybody,
    /// Unicast to these sessions.
    Sessions(Vec<Name>),
}

/// The signals of the contract, those of the standard interfaces among them.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Properties.PropertiesChanged with the new values.
    PropertiesChanged(Box<Face>, Vec<Property>),
    /// ObjectManager.InterfacesAdded.
    InterfacesAdded(Box<Face>),
    /// ObjectManager.InterfacesRemoved.
    InterfacesRemoved(u32),
    /// Registry1.ProfileAdded.
    ProfileAdded(u32),
    /// Registry1.ProfileUpdated.
    ProfileUpdated(u32),
    /// Registry1.ProfileRemoved.
    ProfileRemoved(u32),
    /// Registry1.ProfileStateChanged.
    ProfileStateChanged {
        /// Which profile.
        profile: u32,
        /// Its state now.
        state: State,
        /// Its state before.
        previous: State,
        /// Its reason now.
        reason: Reason,
    },
    /// Registry1.ProfileForciblyDisabled.
    ProfileForciblyDisabled(u32),
    /// Registry1.ErrorOccurred.
    ErrorOccurred(u32, Box<LastError>),
    /// Registry1.DefaultProfileChanged.
    DefaultProfileChanged(Option<u32>),
}
