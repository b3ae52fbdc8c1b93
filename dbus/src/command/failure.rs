//! How the command ends when it cannot do what it should.

use std::fmt;

use super::output::printable;

/// A failure: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// One sentence; empty where there is nothing to say.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The service cannot be reached.
pub const UNREACHABLE: u8 = 3;
/// There is no such profile.
pub const NOT_FOUND: u8 = 4;

impl Failure {
    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: USAGE }
    }

    /// The service, or its bus, is not there.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: UNREACHABLE }
    }

    /// Everything is said already.
    pub fn quiet(code: u8) -> Self {
        Self { message: String::new(), code }
    }

    /// Something of the system failed.
    pub fn other(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was asked for may be in it, escape sequences and all.
        f.write_str(&printable(&self.message))
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        let (name, message) = match &error {
            zbus::Error::MethodError(name, message, _) => {
                (name.to_string(), message.clone().unwrap_or_else(|| name.to_string()))
            }
            zbus::Error::FDO(error) => {
                let message = zbus::DBusError::description(&**error).unwrap_or_default().to_owned();
                (zbus::DBusError::name(&**error).to_string(), message)
            }
            other => {
                let message = format!("the bus connection failed: {other}");
                return Self::unreachable(message);
            }
        };
        let short = name.rsplit('.').next().unwrap_or_default();
        let code = match short {
            "NotFound" | "UnknownObject" => NOT_FOUND,
            "AccessDenied" | "InteractiveAuthorizationRequired" => 5,
            "ServiceUnknown" | "NoServer" | "NoReply" | "NameHasNoOwner" | "Disconnected" | "TimedOut" => {
                UNREACHABLE
            }
            // What the bus and systemd say when they cannot start it.
            _ if name.starts_with("org.freedesktop.DBus.Error.Spawn") => UNREACHABLE,
            _ if name.starts_with("org.freedesktop.systemd1.") => UNREACHABLE,
            _ => 1,
        };
        let message = match (code, short) {
            (UNREACHABLE, "ServiceUnknown") => {
                format!("the service cannot be reached: {message}; is the package of sip-profiled installed?")
            }
            (UNREACHABLE, _) => {
                format!(
                    "the service cannot be reached: {message}; its log says why (journalctl -u sip-profiled)"
                )
            }
            _ => message,
        };
        Self { message, code }
    }
}

impl From<zbus::fdo::Error> for Failure {
    fn from(error: zbus::fdo::Error) -> Self {
        match error {
            zbus::fdo::Error::ZBus(error) => error.into(),
            error => zbus::Error::from(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_not_there_and_one_that_does_not_start_need_other_things() {
        let missing = Failure::from(zbus::fdo::Error::ServiceUnknown(String::from("no name")));
        assert!(missing.code == UNREACHABLE && missing.message.contains("package"), "{missing}");
        for error in [
            zbus::fdo::Error::SpawnChildExited(String::from("exited with status 1")),
            zbus::fdo::Error::TimedOut(String::from("failed to activate")),
            zbus::fdo::Error::NoReply(String::from("disconnected")),
        ] {
            let broken = Failure::from(error);
            assert!(broken.code == UNREACHABLE && broken.message.contains("log"), "{broken}");
        }
        assert_eq!(Failure::from(zbus::fdo::Error::AccessDenied(String::from("no"))).code, 5);
    }
}
