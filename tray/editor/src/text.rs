//! Every string that people read, in one place for whoever translates them. An underscore stands before the letter
//! that leads to a field by keyboard.

use sip_profiles::labels::label;
pub use sip_profiles::labels::plain;

use crate::form::Field;

pub const ADD_TITLE: &str = "Add SIP account";
pub const EDIT_TITLE: &str = "Edit SIP account";
pub const SAVE: &str = "_Save";
pub const CANCEL: &str = "_Cancel";
pub const CLOSE: &str = "_Close";
pub const OK: &str = "_OK";
pub const ADVANCED: &str = "Ad_vanced";
pub const ADVANCED_HINT: &str = "For what your provider tells you in addition";
pub const LOAD_FILE: &str = "Load file…";
pub const PASTE: &str = "Paste";
pub const CLEAR: &str = "Clear";
pub const PEM_FILES: &str = "PEM files";
pub const ALL_FILES: &str = "All files";

pub const ADDRESS_EXAMPLE: &str = "name@example.org";
pub const ADDRESS_MISSING: &str = "Type the address of the account, as in name@example.org.";
pub const KEPT: &str = "(kept)";
pub const NONE: &str = "None";
pub const ANY: &str = "Any";
pub const SYSTEM_ROOTS: &str = "Those of the system";
pub const AS_NEEDED: &str = "As needed";
pub const OFF: &str = "off";
pub const PEM_GIVEN: &str = "Given";
pub const NO_PEM: &str = "This is no PEM text; it starts with -----BEGIN.";
pub const FILE_TOO_LARGE: &str = "The file is too large for this.";

pub const LOADING: &str = "Asking the service…";
pub const SAVING: &str = "Saving…";
pub const REGISTERED: &str = "Registered. The account is saved; you may close this window.";
pub const CORRECT_IT: &str = "Correct it here, and save again.";
pub const SAVED: &str = "The account is saved. It is not registered now.";
pub const WAITING_FOR_SECRET: &str =
    "Waiting for a password: answer the question of your desktop, or type it here and save.";
pub const LOCKED: &str = "This account is locked: whoever set it up does not want it to be edited here.";
pub const REMOVED: &str = "This account has been removed meanwhile, so that it cannot be saved any more.";
pub const SERVICE_GONE: &str = "The service has stopped; waiting for it to come back.";

pub const PASSWORD: &str = "_Password";
pub const REFUSED: &str = "The last password was refused.";
pub const STORE: &str = "_Keep this password";
pub const KEPT_ANYWAY: &str = "It is kept for the next time.";
pub const SOME_ACCOUNT: &str = "SIP account";

/// The field's label.
pub fn title(field: Field) -> &'static str {
    label(field.key()).unwrap_or_default()
}

/// A choice's word, for people; unknown ones as they are.
pub fn choice(field: Field, word: &str) -> String {
    let text = match (field, word) {
        (Field::Transport, "auto") => "Automatic",
        (Field::Transport, "udp") => "UDP",
        (Field::Transport, "tcp") => "TCP",
        (Field::Transport, "tls") => "TLS",
        (Field::SecretStorage, "service") => "The service",
        (Field::SecretStorage, "agent") => "Your desktop",
        (_, other) => other,
    };
    text.to_owned()
}

pub fn no_number(typed: &str) -> String {
    format!("{typed:?} is no whole number.")
}

pub fn file_unreadable(reason: &str) -> String {
    format!("The file cannot be read: {reason}.")
}

pub fn unreachable(reason: &str) -> String {
    format!("The service cannot be reached: {reason}. Is the package of sip-profiled installed?")
}

pub fn edit_title(account: &str) -> String {
    format!("Edit {account}")
}

pub fn password_title(account: &str) -> String {
    format!("Password for {account}")
}

pub fn asks_for_password(server: &str, realm: &str, transport: &str) -> String {
    let over =
        if transport.is_empty() { String::new() } else { format!(" over {}", transport.to_uppercase()) };
    // The service puts the transport in front: `tls:sip.example.org:5061`.
    let server = server.strip_prefix(transport).and_then(|rest| rest.strip_prefix(':')).unwrap_or(server);
    match (server, realm) {
        ("", "") => String::from("The server asks for a password."),
        ("", realm) => format!("The server asks for a password for {realm:?}."),
        (server, "") => format!("{server} asks for a password{over}."),
        (server, realm) => format!("{server} asks for a password for {realm:?}{over}."),
    }
}

pub fn waiting_for_name(problem: &str) -> String {
    format!("{problem} It is tried again when the network changes, and when you save.")
}

/// A sentence out of what follows a key: a capital in front, a full stop behind.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut characters = text.chars();
    let mut sentence: String = match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => return String::new(),
    };
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_label() {
        assert!(Field::ALL.into_iter().all(|field| !title(field).is_empty()));
    }

    #[test]
    fn the_transport_is_said_once() {
        let says = "sip.example.org:5061 asks for a password for \"home\" over TLS.";
        assert_eq!(asks_for_password("tls:sip.example.org:5061", "home", "tls"), says);
        assert_eq!(asks_for_password("sip.example.org:5061", "home", "tls"), says);
        assert_eq!(asks_for_password("tls.example.org", "", ""), "tls.example.org asks for a password.");
    }
}
