//! Every text that a person reads. A translation replaces the bodies of these functions and nothing else.

use std::time::{SystemTime, UNIX_EPOCH};

use sip_profiles::advice::{Situation, advice};
use sip_profiles::labels::in_labels;
use sip_profiles::names::ERROR_PREFIX;

use crate::model::Profile;
use crate::plain::{host, isolated};

/// Name of the applet.
pub fn applet() -> String {
    String::from("SIP accounts")
}

/// Nothing to show, as nobody answers.
pub fn no_service() -> String {
    String::from("SIP: service not running")
}

/// There is no profile at all.
pub fn no_accounts() -> String {
    String::from("SIP: no accounts yet")
}

/// There are profiles, and none is wanted.
pub fn all_off() -> String {
    String::from("SIP: off")
}

/// How many of the wanted profiles are registered, and what is wrong with the others.
pub fn count(registered: usize, wanted: usize, trouble: &str) -> String {
    match trouble {
        "" => format!("SIP: {registered} of {wanted} registered"),
        trouble => format!("SIP: {registered} of {wanted} registered, {trouble}"),
    }
}

/// One failed profile, in the summary.
pub fn failed(name: &str) -> String {
    format!("{} failed", isolated(name))
}

/// Several, in the summary.
pub fn several_failed(count: usize) -> String {
    format!("{count} failed")
}

/// One profile that is still registered, in the summary.
pub fn not_refreshed(name: &str) -> String {
    format!("last refresh of {} failed", isolated(name))
}

/// Several, in the summary.
pub fn several_not_refreshed(count: usize) -> String {
    format!("last refresh of {count} failed")
}

/// A profile's row: name and state.
pub fn row(name: &str, words: &str) -> String {
    match words {
        "" => isolated(name),
        words => format!("{} – {words}", isolated(name)),
    }
}

/// The lines that a tooltip leaves out.
pub fn and_more(count: usize) -> String {
    format!("and {count} more")
}

/// The state in a few words. `held`: by this applet. Unknown words are shown as they are.
pub fn state(profile: &Profile, held: bool) -> String {
    let words = match (profile.state.as_str(), profile.reason.as_str()) {
        ("registered", _) => {
            let whom = match (profile.users, held) {
                (0, _) if profile.auto_register => "registered by itself".into(),
                (0, _) | (1, true) => "registered".into(),
                (1, false) => "registered for 1 program".into(),
                (users, _) => format!("registered for {users} programs"),
            };
            return if profile.is_degraded() { format!("{whom}, last refresh failed") } else { whom };
        }
        ("registering", _) => "connecting…",
        ("unregistering", _) => "signing off…",
        ("unregistered", "error") => return error(&profile.error),
        ("unregistered", _) => "off",
        ("waiting", "network") => "waiting for the network",
        ("waiting", "backoff") => "no answer, trying again",
        ("waiting", "server") => "server busy, trying again",
        ("waiting", "name") => "server name not found",
        ("waiting", "certificate") => "certificate not trusted",
        ("waiting", "secret") => "waiting for the password",
        ("waiting", "limit") => "waiting, too many attempts",
        ("waiting", reason) => return format!("waiting ({reason})"),
        (state, _) => state,
    };
    words.to_owned()
}

/// A final error in two or three words.
fn error(name: &str) -> String {
    match name.strip_prefix("Registration.").unwrap_or(name) {
        "Unauthorized" => "wrong password",
        "Forbidden" => "refused by the server",
        "UnknownUser" => "unknown to the server",
        "NoSecret" => "no password",
        "Rejected" => "rejected by the server",
        "IntervalTooBrief" => "asked for too short a time",
        "Redirect" => "sent elsewhere by the server",
        "Protocol" => "answer not understood",
        "Server" => "server error",
        "" => "failed",
        other => return format!("failed ({other})"),
    }
    .to_owned()
}

/// Row: choose the default account.
pub fn default_account() -> String {
    String::from("Default account")
}

/// Row and button: try again.
pub fn retry_now() -> String {
    String::from("Retry now")
}

/// Row: start of a password window.
pub fn enter_password_for(name: &str) -> String {
    format!("Enter password for {}…", isolated(name))
}

/// Row: choose an account to change.
pub fn edit_account() -> String {
    String::from("Edit account")
}

/// Row: a new account.
pub fn add_account() -> String {
    String::from("Add account…")
}

/// Row: the end.
pub fn quit() -> String {
    String::from("Quit applet")
}

/// Row: yes to the question of [`auto_register_question`].
pub fn turn_auto_register_off(name: &str) -> String {
    format!("Turn off automatic registration of {}", isolated(name))
}

/// Button: try again.
pub fn retry_button() -> String {
    String::from("Retry")
}

/// Button: change the account.
pub fn edit_button() -> String {
    String::from("Edit")
}

/// Button: enter another password.
pub fn password_button() -> String {
    String::from("Password")
}

/// Button: the service asks for a password.
pub fn enter_password() -> String {
    String::from("Enter password")
}

/// Button: yes, no automatic registration any more.
pub fn turn_off() -> String {
    String::from("Turn off")
}

/// Button: leave it as it is.
pub fn keep() -> String {
    String::from("Keep it on")
}

/// Title of a notification about trouble.
pub fn trouble_title(profile: &Profile) -> String {
    row(profile.title(), &state(profile, false))
}

/// What is wrong, in one or two sentences that name neither a shell command nor a setting's key: the buttons, and the
/// account's window, are there for that.
pub fn trouble(profile: &Profile) -> String {
    let message = in_labels(&profile.message);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let sentence = match (profile.state.as_str(), profile.reason.as_str()) {
        ("waiting", "network" | "backoff" | "server" | "certificate" | "limit") => advice(&Situation {
            state: profile.state.clone(),
            reason: profile.reason.clone(),
            error: format!("{ERROR_PREFIX}{}", profile.error),
            message,
            retry_in: (profile.retry_at > 0).then(|| profile.retry_at.saturating_sub(now)),
            users: profile.users,
            auto_register: profile.auto_register,
            id: profile.id,
        }),
        ("waiting", "secret") => String::from("It waits for the password."),
        _ if message.is_empty() => state(profile, false),
        _ => message,
    };
    match profile.error.as_str() {
        "Registration.Unauthorized" => {
            format!("{} Enter the right password, or change the account.", problem(&sentence))
        }
        "Registration.Forbidden" | "Registration.UnknownUser" => {
            format!("{} Compare the address with what your provider gave you.", problem(&sentence))
        }
        _ => sentence,
    }
}

/// The service's sentence without its own advice.
fn problem(sentence: &str) -> String {
    match sentence.rsplit_once("; ") {
        Some((problem, _)) => format!("{problem}."),
        None => sentence.to_owned(),
    }
}

/// Title of the note that all is well again.
pub fn recovered(name: &str) -> String {
    format!("{} is registered again", isolated(name))
}

/// Title of the note that announces a password window.
pub fn password_wanted(name: &str) -> String {
    format!("{} needs its password", isolated(name))
}

/// Its text. `refused`: the last answer was refused.
pub fn password_reason(server: &str, refused: bool) -> String {
    let server = if server.is_empty() { String::from("The server") } else { isolated(host(server)) };
    if refused {
        format!("{server} refused the last one. Choose “{}” to try another one.", enter_password())
    } else {
        format!("{server} asks for it.")
    }
}

/// Title of the question about AutoRegister.
pub fn auto_register_question(name: &str) -> String {
    format!("Turn off automatic registration of {}?", isolated(name))
}

/// Its text.
pub fn auto_register_reason() -> String {
    String::from(
        "This account registers by itself, from the start of the computer on. It stays registered unless that is \
         turned off.",
    )
}

/// Title of a note about a wish that could not be met.
pub fn could_not(name: &str) -> String {
    format!("{}: that did not work", isolated(name))
}

/// Title of the one hint about a missing tray.
pub fn no_tray() -> String {
    String::from("The SIP applet has no place in your panel")
}

/// Its text.
pub fn no_tray_reason() -> String {
    String::from(
        "No status area was found. Passwords are still asked for and problems still told; to see the accounts, add \
         a status area (also called system tray, or AppIndicator) to the panel.",
    )
}

/// There is no program for the account windows.
pub fn no_editor() -> String {
    String::from(
        "The account window is not installed (sip-profiles-editor). In a terminal, `sip-profiles --help` says how \
         accounts are added and changed.",
    )
}

/// The file of the wishes cannot be written.
pub fn not_remembered(why: &str) -> String {
    format!("Which accounts are switched on is not remembered for the next login: {why}.")
}

/// The file of the wishes cannot be read.
pub fn forgotten(why: &str) -> String {
    format!("Which accounts were switched on is not known any more ({why}). Switch them on again.")
}

/// There is no program that asks for a password.
pub fn no_password_window() -> String {
    String::from("No password window is installed: install sip-profiles-editor or pinentry.")
}

/// The password window broke.
pub fn window_failed(why: &str) -> String {
    format!("The password window closed without an answer ({why}). The applet's menu opens it again.")
}

/// pinentry has no window to show, as one that is made for terminals.
pub fn pinentry_failed(code: u32) -> String {
    format!(
        "pinentry cannot ask for the password (error {code}). Install sip-profiles-editor, or a pinentry for your \
         desktop."
    )
}

/// Title of pinentry's window.
pub fn pinentry_title() -> String {
    String::from("SIP password")
}

/// Its text.
pub fn pinentry_description(name: &str, aor: &str, server: &str) -> String {
    let at = if server.is_empty() { String::new() } else { format!(" at {}", host(server)) };
    format!("Password of {name} ({aor}){at}")
}

/// Its label.
pub fn pinentry_prompt() -> String {
    String::from("Password:")
}

/// Its complaint.
pub fn pinentry_refused() -> String {
    String::from("The last password was refused.")
}

/// The second start of the applet.
pub fn already_running() -> String {
    String::from("sip-profiles-tray: it is running already in this session.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(state: &str, reason: &str) -> Profile {
        Profile { state: state.into(), reason: reason.into(), ..Profile::default() }
    }

    #[test]
    fn a_label_says_for_how_many_programs() {
        let words = |users, held| state(&Profile { users, ..profile("registered", "") }, held);
        assert_eq!(words(1, true), "registered");
        assert_eq!(words(2, true), "registered for 2 programs");
        assert_eq!(words(1, false), "registered for 1 program");
    }

    #[test]
    fn unknown_words_are_shown_as_they_are() {
        assert_eq!(state(&profile("hovering", ""), true), "hovering");
        assert_eq!(state(&profile("waiting", "tea"), true), "waiting (tea)");
    }

    #[test]
    fn an_account_and_a_server_are_named_without_what_machines_need() {
        let aor = String::from("sip:alice@example.org");
        let unnamed = Profile { name: aor.clone(), aor, ..Profile::default() };
        assert_eq!(unnamed.title(), "alice@example.org");
        assert_eq!(password_reason("tls:[2001:db8::1]:5061", false), "[2001:db8::1]:5061 asks for it.");
        assert_eq!(
            pinentry_description("Work", "sip:a@b", "udp:h:5060"),
            "Password of Work (sip:a@b) at h:5060"
        );
    }

    #[test]
    fn no_notification_names_a_shell_command() {
        let reasons = ["network", "backoff", "server", "name", "certificate", "secret", "limit", "tea"];
        let mut all: Vec<Profile> = reasons.iter().map(|reason| profile("waiting", reason)).collect();
        all.push(Profile { error: "Registration.Unauthorized".into(), ..profile("unregistered", "error") });
        for profile in all {
            assert!(!trouble(&profile).contains('`'), "{}", trouble(&profile));
        }
    }
}
