//! Typed proxies of the interfaces, for clients in Rust. Calls that shared profiles need a right for allow polkit to ask
//! the person.
//!
//! Properties of a profile are cached by the proxy and kept right by PropertiesChanged, which always carries the new
//! values.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant, proxy};

/// `a{sv}` as it is sent.
pub type Options<'a> = HashMap<&'a str, Variant<'a>>;
/// `a{sv}` as it is received.
pub type Values = HashMap<String, OwnedVariant>;

/// `org.sipprofiles.Registry1`, at the root object.
#[proxy(
    interface = "org.sipprofiles.Registry1",
    default_service = "org.sipprofiles",
    default_path = "/org/sipprofiles"
)]
pub trait Registry {
    /// Creates a profile; it is on disk before the reply. Returns its id and object.
    #[zbus(allow_interactive_auth)]
    fn create_profile(
        &self,
        settings: Options<'_>,
        options: Options<'_>,
    ) -> zbus::Result<(u32, OwnedObjectPath)>;

    /// The object of the profile with that id.
    fn get_profile(&self, id: u32) -> zbus::Result<OwnedObjectPath>;

    /// The profiles that fit `filter`; all with an empty one.
    fn find_profiles(&self, filter: Options<'_>) -> zbus::Result<Vec<OwnedObjectPath>>;

    /// The caller's default profile.
    fn get_default_profile(&self) -> zbus::Result<OwnedObjectPath>;

    /// Makes a profile the caller's default.
    fn set_default_profile(&self, profile: &zbus::ObjectPath<'_>, options: Options<'_>) -> zbus::Result<()>;

    /// The default settings of a new profile of that type.
    fn get_template(&self, r#type: &str) -> zbus::Result<Values>;

    /// The caller answers password questions for its uid at `agent`.
    fn register_secret_agent(&self, agent: &zbus::ObjectPath<'_>, options: Options<'_>) -> zbus::Result<()>;

    /// The caller answers no password questions any more.
    fn unregister_secret_agent(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Lets go of the caller's holds, agent and session.
    fn leave(&self, options: Options<'_>) -> zbus::Result<()>;

    /// The version of the service.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;

    /// The profile types it knows.
    #[zbus(property(emits_changed_signal = "const"))]
    fn supported_types(&self) -> zbus::Result<Vec<String>>;

    /// The optional parts it has.
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> zbus::Result<Vec<String>>;

    /// There is a new profile.
    #[zbus(signal)]
    fn profile_added(&self, id: u32, profile: zbus::ObjectPath<'_>) -> zbus::Result<()>;

    /// A profile's settings were changed.
    #[zbus(signal)]
    fn profile_updated(&self, id: u32, profile: zbus::ObjectPath<'_>) -> zbus::Result<()>;

    /// A profile is gone.
    #[zbus(signal)]
    fn profile_removed(&self, id: u32, profile: zbus::ObjectPath<'_>) -> zbus::Result<()>;

    /// A profile's State or StateReason changed.
    #[zbus(signal)]
    fn profile_state_changed(
        &self,
        id: u32,
        profile: zbus::ObjectPath<'_>,
        state: &str,
        previous: &str,
        reason: &str,
    ) -> zbus::Result<()>;

    /// Every hold of a profile was dropped by ForceDisable.
    #[zbus(signal)]
    fn profile_forcibly_disabled(&self, id: u32, profile: zbus::ObjectPath<'_>) -> zbus::Result<()>;

    /// A final error ended a registration.
    #[zbus(signal)]
    fn error_occurred(
        &self,
        id: u32,
        profile: zbus::ObjectPath<'_>,
        error: &str,
        code: i32,
    ) -> zbus::Result<()>;

    /// The receiver's default profile is another one now.
    #[zbus(signal)]
    fn default_profile_changed(&self, profile: zbus::ObjectPath<'_>) -> zbus::Result<()>;
}

/// `org.sipprofiles.Profile1`, at a profile's object.
#[proxy(interface = "org.sipprofiles.Profile1", default_service = "org.sipprofiles")]
pub trait Profile {
    /// Takes the caller's hold; returns the state.
    #[zbus(allow_interactive_auth)]
    fn enable(&self, options: Options<'_>) -> zbus::Result<String>;

    /// Gives back the caller's hold; false when there was none.
    fn disable(&self, options: Options<'_>) -> zbus::Result<bool>;

    /// Does the caller hold it?
    fn is_enabled(&self) -> zbus::Result<bool>;

    /// Tries now, or confirms a standing registration.
    #[zbus(allow_interactive_auth)]
    fn refresh(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Drops everybody's hold.
    #[zbus(allow_interactive_auth)]
    fn force_disable(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Every setting that was set.
    fn get_settings(&self) -> zbus::Result<Values>;

    /// What the registrar says now; empty when not registered.
    fn get_registration(&self) -> zbus::Result<Values>;

    /// Changes settings; on disk before the reply.
    #[zbus(allow_interactive_auth)]
    fn update(&self, set: Options<'_>, unset: &[&str], options: Options<'_>) -> zbus::Result<()>;

    /// Removes the profile.
    #[zbus(allow_interactive_auth)]
    fn remove(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Bus name, uid and pid of each bus name that holds it.
    fn list_users(&self) -> zbus::Result<Vec<(String, u32, u32)>>;

    /// Given once, never reused.
    #[zbus(property)]
    fn id(&self) -> zbus::Result<u32>;

    /// Profile type.
    #[zbus(property)]
    fn r#type(&self) -> zbus::Result<String>;

    /// The uid that made it.
    #[zbus(property)]
    fn owner(&self) -> zbus::Result<u32>;

    /// Visible to all users?
    #[zbus(property)]
    fn shared(&self) -> zbus::Result<bool>;

    /// Its name for people.
    #[zbus(property)]
    fn display_name(&self) -> zbus::Result<String>;

    /// Its address of record.
    #[zbus(property)]
    fn aor(&self) -> zbus::Result<String>;

    /// The state word.
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;

    /// Why it is in that state.
    #[zbus(property)]
    fn state_reason(&self) -> zbus::Result<String>;

    /// How many bus names hold it.
    #[zbus(property)]
    fn users(&self) -> zbus::Result<u32>;

    /// Registered without any client?
    #[zbus(property)]
    fn auto_register(&self) -> zbus::Result<bool>;

    /// When it is tried again, Unix seconds; 0 = not by itself.
    #[zbus(property)]
    fn retry_at(&self) -> zbus::Result<i64>;

    /// A password is asked for, and there is none.
    #[zbus(property)]
    fn needs_secret(&self) -> zbus::Result<bool>;

    /// The addresses that are registered.
    #[zbus(property)]
    fn registered_aors(&self) -> zbus::Result<Vec<String>>;

    /// The last error, empty = none.
    #[zbus(property)]
    fn last_error(&self) -> zbus::Result<Values>;
}
