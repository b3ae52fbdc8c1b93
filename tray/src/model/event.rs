//! What comes into the core, and what goes out of it.

use std::collections::BTreeSet;

use super::{Answer, Button, Details, Note, Outcome, Patch, Profile, Secret, Subject};

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The service's name has an owner.
    Up,
    /// It has none. `ever`: it had one before.
    Down {
        /// Did it have one before?
        ever: bool,
    },
    /// The bus could not start the service.
    NotStarted,
    /// The answer to [`Effect::Greet`] of that number: what there is, or why it is not told.
    Read(u64, Result<(Vec<Profile>, Option<u32>), String>),
    /// News of the service.
    News(News),
    /// A click in the menu, with the activation token that came with it.
    Clicked(Click, Option<String>),
    /// A button of a notification.
    Pressed(Subject, Button, Option<String>),
    /// A notification is shown; `buttons`: with its buttons.
    Told(Subject, bool),
    /// The service took (`true`) or gave back our hold, or refused to.
    Switched(u32, bool, Result<(), Failure>),
    /// Something else that a person asked for did not work.
    Failed(Option<u32>, String),
    /// The service asks for a password.
    Asked {
        /// Who waits for the answer.
        waiter: u64,
        /// For which profile.
        profile: u32,
        /// What the person should know.
        details: Details,
    },
    /// It does not want it any more.
    Withdrawn(u32),
    /// The password window of that number is closed.
    Closed(u64, Outcome),
    /// There is no tray.
    TrayMissing,
    /// There is one.
    TrayFound,
    /// Time has passed.
    Tick,
}

/// News of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A profile is there, with these values.
    Added(u32, Patch),
    /// Values of a profile changed.
    Changed(u32, Patch),
    /// A profile is gone.
    Removed(u32),
    /// Settings of a profile changed.
    Updated(u32),
    /// Somebody dropped all holds of a profile.
    Forced(u32),
    /// Another default profile.
    Default(Option<u32>),
}

/// A row of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Click {
    /// A profile, to be on or off.
    Toggle(u32, bool),
    /// The default profile.
    Default(u32),
    /// Retry now.
    Retry,
    /// Yes to the question about AutoRegister.
    TurnOff,
    /// Enter the password.
    Password,
    /// Edit a profile.
    Edit(u32),
    /// A new profile.
    Add,
    /// The end.
    Quit,
}

/// Why the service did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its sentence.
    pub message: String,
    /// It is gone, or about to be: the wish stays.
    pub passing: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the bus to start the service.
    Start,
    /// Register the agent, then enable these, then read everything.
    Greet(u64, Vec<u32>),
    /// Take our hold.
    Enable(u32),
    /// Give it back.
    Disable(u32),
    /// Try now.
    Refresh(u32),
    /// Set `auto-register` to false.
    AutoRegisterOff(u32),
    /// Make it the default.
    SetDefault(u32),
    /// Store the password, then enable it where `true`.
    SetPassword(u32, Secret, bool),
    /// Show a notification.
    Tell(Note),
    /// Take it away.
    Untell(Subject),
    /// Remember the wishes.
    Save(BTreeSet<u32>),
    /// The window for a new profile (`None`) or this one.
    Editor(Option<u32>, Option<String>),
    /// A password window of that number.
    OpenPrompt(u64, Details, Option<String>),
    /// Close it.
    ClosePrompt,
    /// Answer the service.
    Answer(u64, Answer),
    /// The end.
    Quit,
}
