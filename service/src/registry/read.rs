//! Calls that only read.

use super::Registry;
use super::call::{Call, Caller, Reply};
use super::error::{CallError, CallErrorKind};
use super::profile::Profile;
use crate::settings::{Settings, SipUri, TEXT, Value, Values};

impl Registry {
    pub(super) fn read(&self, caller: &Caller, call: Call) -> Result<Reply, CallError> {
        match call {
            Call::GetProfile(id) => {
                self.object(caller, id).map_err(|_| CallError::no_profile(id))?;
                Ok(Reply::Profile(id))
            }
            Call::FindProfiles(filter) => self.find(caller, filter),
            Call::GetDefaultProfile => self.default_of(caller.uid).map(Reply::Profile).ok_or_else(|| {
                CallError::new(CallErrorKind::NotFound, "There is no default profile: create one first.")
            }),
            Call::GetTemplate(kind) => Ok(Reply::Settings(Settings::template(&kind)?)),
            Call::IsEnabled(id) => {
                Ok(Reply::Flag(self.object(caller, id)?.holders.contains_key(&caller.name)))
            }
            Call::GetSettings(id) => Ok(Reply::Settings(self.object(caller, id)?.settings.public())),
            Call::GetRegistration(id) => {
                let profile = self.object(caller, id)?;
                let instance = format!("urn:uuid:{}", profile.identity.instance);
                let binding = profile.registration.binding().cloned();
                Ok(Reply::Registration(binding.map(|binding| Box::new((binding, instance)))))
            }
            Call::ListUsers(id) => Ok(self.users(caller, self.object(caller, id)?)),
            Call::Properties(id) => Ok(Reply::Face(Box::new(self.object(caller, id)?.face()))),
            Call::ManagedObjects => {
                Ok(Reply::Faces(self.visible(caller).map(|profile| profile.face()).collect()))
            }
            _ => Ok(Reply::Done),
        }
    }

    fn visible(&self, caller: &Caller) -> impl Iterator<Item = &Profile> {
        let uid = caller.uid;
        self.profiles.values().filter(move |profile| profile.is_visible_to(uid))
    }

    /// Ids of the profiles that `uid` sees, for Introspect.
    pub fn visible_ids(&self, uid: u32) -> impl Iterator<Item = u32> {
        self.profiles.values().filter(move |profile| profile.is_visible_to(uid)).map(|profile| profile.id)
    }

    /// Does `uid` see profile `id`?
    pub fn sees(&self, uid: u32, id: u32) -> bool {
        self.profiles.get(&id).is_some_and(|profile| profile.is_visible_to(uid))
    }

    fn find(&self, caller: &Caller, filter: Values) -> Result<Reply, CallError> {
        let (mut aor, mut kind, mut state) = (None, None, None);
        for (key, value) in filter {
            let Value::Text(text) = value else {
                return Err(CallError::invalid(&key, "must be a string"));
            };
            if text.len() > TEXT {
                return Err(CallError::too_long(&key));
            }
            match key.as_str() {
                "aor" => {
                    // A whole URI without a user is one, though no profile's; a word is not.
                    let uri = SipUri::parse(&text).or_else(|_| SipUri::parse_aor(&text));
                    aor = Some(uri.map_err(|error| CallError::invalid(&key, error))?);
                }
                "type" => kind = Some(text),
                "state" => state = Some(text),
                _ => {
                    return Err(CallError::invalid(&key, "profiles are found by aor, type and state"));
                }
            }
        }
        let fits = |profile: &&Profile| {
            aor.as_ref().is_none_or(|aor| profile.settings.aor.equivalent(aor))
                && kind.as_ref().is_none_or(|kind| profile.settings.kind == *kind)
                && state.as_ref().is_none_or(|state| profile.registration.status().state.word() == state)
        };
        Ok(Reply::Profiles(self.visible(caller).filter(fits).map(|profile| profile.id).collect()))
    }

    fn users(&self, caller: &Caller, profile: &Profile) -> Reply {
        let users = profile.holders.keys().filter_map(|name| {
            let session = self.sessions.get(name)?;
            let shown = caller.uid == 0 || caller.uid == session.uid;
            shown.then(|| (name.clone(), session.uid, session.pid))
        });
        Reply::Users(users.collect())
    }
}
