//! One profile as the service shows it, and what that means for the panel.

/// The properties of a profile that the applet looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `Id`.
    pub id: u32,
    /// `DisplayName`.
    pub name: String,
    /// `Aor`.
    pub aor: String,
    /// `State`.
    pub state: String,
    /// `StateReason`.
    pub reason: String,
    /// `Users`.
    pub users: u32,
    /// `AutoRegister`.
    pub auto_register: bool,
    /// `RetryAt`, Unix seconds, 0 = none.
    pub retry_at: i64,
    /// `NeedsSecret`.
    pub needs_secret: bool,
    /// `LastError` `name`, without what all our errors start with; empty = none.
    pub error: String,
    /// `LastError` `message`.
    pub message: String,
}

/// New values of some properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// `DisplayName`.
    pub name: Option<String>,
    /// `Aor`.
    pub aor: Option<String>,
    /// `State`.
    pub state: Option<String>,
    /// `StateReason`.
    pub reason: Option<String>,
    /// `Users`.
    pub users: Option<u32>,
    /// `AutoRegister`.
    pub auto_register: Option<bool>,
    /// `RetryAt`.
    pub retry_at: Option<i64>,
    /// `NeedsSecret`.
    pub needs_secret: Option<bool>,
    /// `LastError`: name and message.
    pub error: Option<(String, String)>,
}

/// What a state means, coarsely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not registered, and nobody expects it to be.
    Off,
    /// It goes on by itself.
    Connecting,
    /// Registered, perhaps with a failed refresh.
    Registered,
    /// Somebody has to do something.
    Failed,
}

impl Profile {
    /// Profile `id` with these values, and the defaults for what they leave out.
    pub fn new(id: u32, patch: Patch) -> Self {
        let mut profile = Self { id, ..Self::default() };
        profile.apply(patch);
        profile
    }

    /// Takes over the new values.
    pub fn apply(&mut self, patch: Patch) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut self.name, patch.name);
        set(&mut self.aor, patch.aor);
        set(&mut self.state, patch.state);
        set(&mut self.reason, patch.reason);
        set(&mut self.users, patch.users);
        set(&mut self.auto_register, patch.auto_register);
        set(&mut self.retry_at, patch.retry_at);
        set(&mut self.needs_secret, patch.needs_secret);
        if let Some((name, message)) = patch.error {
            self.error = name;
            self.message = message;
        }
    }

    /// What the state means.
    pub fn standing(&self) -> Standing {
        match (self.state.as_str(), self.reason.as_str()) {
            ("registered", _) => Standing::Registered,
            // These are tried again by themselves only twice an hour: a person is asked for.
            ("waiting", "name" | "certificate") => Standing::Failed,
            ("registering" | "waiting", _) => Standing::Connecting,
            ("unregistered", "error") => Standing::Failed,
            _ => Standing::Off,
        }
    }

    /// It is still registered, but its last refresh failed: that may end.
    pub fn is_degraded(&self) -> bool {
        self.state == "registered" && self.reason == "degraded"
    }

    /// A final error ended its registration.
    pub fn is_stopped(&self) -> bool {
        self.state == "unregistered" && self.reason == "error"
    }

    /// The name to show: a profile without one has its AOR, of which `sip:` tells people nothing.
    pub fn title(&self) -> &str {
        if self.is_named() { &self.name } else { self.aor.strip_prefix("sip:").unwrap_or(&self.aor) }
    }

    /// It has a name of its own.
    pub fn is_named(&self) -> bool {
        !self.name.is_empty() && self.name != self.aor
    }
}
