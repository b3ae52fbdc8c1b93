//! What a profile shows on the bus, and what of it changed.

use std::sync::Arc;

use crate::registration::Status;
use crate::settings::Settings;

/// All that the properties of a profile show. Times are boot time: the bus shows them on the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// `Id`.
    pub id: u32,
    /// `Owner`.
    pub owner: u32,
    /// `Shared`.
    pub shared: bool,
    /// `Users`.
    pub users: u32,
    /// Where `Type`, `DisplayName`, `Aor` and `AutoRegister` come from.
    pub settings: Arc<Settings>,
    /// Where `State` … `LastError` come from.
    pub status: Status,
}

/// The properties of Profile1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the property of its name")]
pub enum Property {
    Id,
    Type,
    Owner,
    Shared,
    DisplayName,
    Aor,
    State,
    StateReason,
    Users,
    AutoRegister,
    RetryAt,
    NeedsSecret,
    RegisteredAors,
    LastError,
}

impl Property {
    /// All of them, in the contract's order.
    pub const ALL: [Property; 14] = [
        Property::Id,
        Property::Type,
        Property::Owner,
        Property::Shared,
        Property::DisplayName,
        Property::Aor,
        Property::State,
        Property::StateReason,
        Property::Users,
        Property::AutoRegister,
        Property::RetryAt,
        Property::NeedsSecret,
        Property::RegisteredAors,
        Property::LastError,
    ];

    /// Those shown as a time: announced again when the wall clock is set (L7).
    pub const TIMES: [Property; 2] = [Property::RetryAt, Property::LastError];

    /// The name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Property::Id => "Id",
            Property::Type => "Type",
            Property::Owner => "Owner",
            Property::Shared => "Shared",
            Property::DisplayName => "DisplayName",
            Property::Aor => "Aor",
            Property::State => "State",
            Property::StateReason => "StateReason",
            Property::Users => "Users",
            Property::AutoRegister => "AutoRegister",
            Property::RetryAt => "RetryAt",
            Property::NeedsSecret => "NeedsSecret",
            Property::RegisteredAors => "RegisteredAors",
            Property::LastError => "LastError",
        }
    }

    /// The property of that name.
    pub fn from_name(name: &str) -> Option<Property> {
        Property::ALL.into_iter().find(|property| property.name() == name)
    }
}

impl Face {
    /// The properties in which this differs from `before`.
    pub fn changes_since(&self, before: &Face) -> Vec<Property> {
        let (old, new) = (&before.status, &self.status);
        let settings_changed = !Arc::ptr_eq(&before.settings, &self.settings);
        let differs = |property: Property| match property {
            Property::Id => before.id != self.id,
            Property::Owner => before.owner != self.owner,
            Property::Shared => before.shared != self.shared,
            Property::Type => settings_changed && before.settings.kind != self.settings.kind,
            Property::DisplayName => {
                settings_changed && before.settings.shown_name() != self.settings.shown_name()
            }
            Property::Aor => settings_changed && before.settings.aor != self.settings.aor,
            Property::AutoRegister => before.settings.auto_register() != self.settings.auto_register(),
            Property::Users => before.users != self.users,
            Property::State => old.state != new.state,
            Property::StateReason => old.reason != new.reason,
            Property::RetryAt => old.retry_at != new.retry_at,
            Property::NeedsSecret => old.needs_secret != new.needs_secret,
            Property::RegisteredAors => old.registered_aors != new.registered_aors,
            Property::LastError => old.last_error != new.last_error,
        };
        Property::ALL.into_iter().filter(|property| differs(*property)).collect()
    }
}
