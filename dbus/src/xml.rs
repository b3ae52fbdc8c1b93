//! The committed introspection XML of the interfaces.

/// `org.sipprofiles.Registry1`, a whole document.
pub const REGISTRY: &str = include_str!("../interfaces/org.sipprofiles.Registry1.xml");
/// `org.sipprofiles.Profile1`, a whole document.
pub const PROFILE: &str = include_str!("../interfaces/org.sipprofiles.Profile1.xml");
/// `org.sipprofiles.SecretAgent1`, a whole document.
pub const SECRET_AGENT: &str = include_str!("../interfaces/org.sipprofiles.SecretAgent1.xml");

/// The `<interface>` element of `org.sipprofiles.Registry1`, as the service answers it to Introspect.
pub fn registry_interface() -> &'static str {
    interface(REGISTRY)
}

/// The `<interface>` element of `org.sipprofiles.Profile1`, as the service answers it to Introspect.
pub fn profile_interface() -> &'static str {
    interface(PROFILE)
}

fn interface(document: &'static str) -> &'static str {
    let body = document.split_once("<node>\n").map_or(document, |(_, body)| body);
    body.rsplit_once("</node>").map_or(body, |(body, _)| body)
}
