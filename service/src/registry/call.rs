//! The calls of the contract as values, parsed by the bus, and what they return.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::CallError;
use super::face::Face;
use crate::registration::Binding;
use crate::settings::{TEXT, Value, Values};

/// A unique bus name, `:1.42`.
pub type Name = Arc<str>;

/// Who calls, as the bus itself vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Unique name.
    pub name: Name,
    /// User id: decides about rights.
    pub uid: u32,
    /// Process id: shown to people, never decided by.
    pub pid: u32,
}

/// Names a call whose reply is owed; the bus knows where it goes.
pub type Ticket = u64;

/// A member of the contract with its arguments. `u32`s are profile ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Registry1.CreateProfile.
    CreateProfile(Values, Options),
    /// Registry1.GetProfile.
    GetProfile(u32),
    /// Registry1.FindProfiles.
    FindProfiles(Values),
    /// Registry1.GetDefaultProfile.
    GetDefaultProfile,
    /// Registry1.SetDefaultProfile; `None`: the path is none of a profile.
    SetDefaultProfile(Option<u32>, Options),
    /// Registry1.GetTemplate.
    GetTemplate(String),
    /// Registry1.RegisterSecretAgent: the agent's object path.
    RegisterSecretAgent(String, Options),
    /// Registry1.UnregisterSecretAgent.
    UnregisterSecretAgent(Options),
    /// Registry1.Leave.
    Leave(Options),
    /// Profile1.Enable.
    Enable(u32, Options),
    /// Profile1.Disable.
    Disable(u32, Options),
    /// Profile1.IsEnabled.
    IsEnabled(u32),
    /// Profile1.Refresh.
    Refresh(u32, Options),
    /// Profile1.ForceDisable.
    ForceDisable(u32, Options),
    /// Profile1.GetSettings.
    GetSettings(u32),
    /// Profile1.GetRegistration.
    GetRegistration(u32),
    /// Profile1.Update.
    Update(u32, Values, Vec<String>, Options),
    /// Profile1.Remove.
    Remove(u32, Options),
    /// Profile1.ListUsers.
    ListUsers(u32),
    /// Properties of a profile.
    Properties(u32),
    /// ObjectManager.GetManagedObjects.
    ManagedObjects,
    /// A property of the root: makes a session like any other call, and answers nothing by itself.
    RootProperties,
}

/// What a call returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nothing.
    Done,
    /// A new profile's id.
    Created(u32),
    /// A profile.
    Profile(u32),
    /// Profiles.
    Profiles(Vec<u32>),
    /// Settings.
    Settings(Values),
    /// A state word.
    State(&'static str),
    /// A boolean.
    Flag(bool),
    /// What the registrar says, with the profile's `+sip.instance`.
    Registration(Option<Box<(Binding, String)>>),
    /// Bus name, uid, pid.
    Users(Vec<(Name, u32, u32)>),
    /// One profile's properties.
    Face(Box<Face>),
    /// Many profiles' properties.
    Faces(Vec<Face>),
}

/// A call's answer.
pub type Answer = Result<Reply, CallError>;

/// The `a{sv} options` that every changing method ends in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(pub Values);

impl Options {
    /// Takes the text option `key` out; `default` where it is not given.
    pub fn take_text(&mut self, key: &str, default: &str) -> Result<String, CallError> {
        match self.0.remove(key) {
            None => Ok(default.to_owned()),
            Some(Value::Text(text)) if text.len() > TEXT => Err(CallError::too_long(key)),
            Some(Value::Text(text)) if text.chars().any(char::is_control) => {
                Err(CallError::invalid(key, "no control characters"))
            }
            Some(Value::Text(text)) => Ok(text),
            Some(_) => Err(CallError::invalid(key, "must be a string")),
        }
    }

    /// Takes the boolean option `key` out; false where it is not given.
    pub fn take_flag(&mut self, key: &str) -> Result<bool, CallError> {
        match self.0.remove(key) {
            None => Ok(false),
            Some(Value::Flag(flag)) => Ok(flag),
            Some(_) => Err(CallError::invalid(key, "must be a boolean")),
        }
    }

    /// Takes the whole number `key` within `range` out.
    pub fn take_number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, CallError> {
        let Some(value) = self.0.remove(key) else {
            return Ok(None);
        };
        let Value::Number(number) = value else {
            return Err(CallError::invalid(key, "must be an integer"));
        };
        u32::try_from(number)
            .ok()
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| CallError::invalid(key, format!("must be {} to {}", range.start(), range.end())))
    }

    /// Refuses whatever was not taken out.
    pub fn none_left(self) -> Result<(), CallError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(key) => Err(CallError::invalid(&key, "this method has no such option")),
        }
    }
}

impl From<BTreeMap<String, Value>> for Options {
    fn from(values: Values) -> Self {
        Self(values)
    }
}
