//! The names of the contract.

/// The well-known bus name.
pub const BUS_NAME: &str = "org.sipprofiles";
/// The root object.
pub const ROOT_PATH: &str = "/org/sipprofiles";
/// Interface of the root object.
pub const REGISTRY_INTERFACE: &str = "org.sipprofiles.Registry1";
/// Interface of a profile's object.
pub const PROFILE_INTERFACE: &str = "org.sipprofiles.Profile1";
/// Interface that a secret agent exports.
pub const SECRET_AGENT_INTERFACE: &str = "org.sipprofiles.SecretAgent1";
/// What every error name of ours starts with.
pub const ERROR_PREFIX: &str = "org.sipprofiles.Error.";

const PROFILE_PREFIX: &str = "/org/sipprofiles/profile/";

/// The object path of profile `id`.
pub fn profile_path(id: u32) -> String {
    format!("{PROFILE_PREFIX}{id}")
}

/// The id in a profile's object path: decimal, no sign, no leading zero.
pub fn profile_id(path: &str) -> Option<u32> {
    let text = path.strip_prefix(PROFILE_PREFIX)?;
    let id: u32 = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        assert_eq!(profile_id(&profile_path(4_294_967_295)), Some(u32::MAX));
        for path in
            ["/org/sipprofiles/profile/07", "/org/sipprofiles/profile/+7", "/org/sipprofiles/profile/", "/"]
        {
            assert_eq!(profile_id(path), None, "{path}");
        }
    }
}
