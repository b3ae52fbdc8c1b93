//! What a profile's state means, and what a person can do about it: one or two plain sentences.

/// A profile's state as its properties give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// `State`.
    pub state: String,
    /// `StateReason`.
    pub reason: String,
    /// `LastError` `name`, empty = none.
    pub error: String,
    /// `LastError` `message`.
    pub message: String,
    /// `RetryAt` is that many seconds away; `None` = it does not try by itself.
    pub retry_in: Option<i64>,
    /// `Users`.
    pub users: u32,
    /// `AutoRegister`.
    pub auto_register: bool,
    /// Profile id, for the commands that the sentences name.
    pub id: u32,
}

/// The sentences. An unknown word is shown as it is.
pub fn advice(situation: &Situation) -> String {
    let Situation { state, reason, .. } = situation;
    match (state.as_str(), reason.as_str()) {
        ("registered", "") => format!("Registered {}.", for_whom(situation)),
        ("registered", "degraded") => format!(
            "Still registered, but the last refresh failed{}: {} It is tried again {}.",
            ", and calls may soon not arrive",
            problem(situation),
            when(situation)
        ),
        ("registering", _) => String::from("Registering now."),
        ("unregistering", _) => String::from("De-registering now."),
        ("unregistered", "") if situation.auto_register => String::from(
            "Not registered, although it should be from boot on: it was switched off. Hold it, or change its \
             settings, to start it again.",
        ),
        ("unregistered", "") => format!(
            "Not registered, because no program wants it. `sip-profiles hold {}` registers it.",
            situation.id
        ),
        ("unregistered", "error") => {
            format!("Not registered: {} {}", problem(situation), remedy(situation))
        }
        ("waiting", word) => waiting(situation, word),
        (state, "") => format!("{state}."),
        (state, reason) => format!("{state} ({reason})."),
    }
}

fn for_whom(situation: &Situation) -> String {
    match (situation.users, situation.auto_register) {
        (0, _) => String::from("without any program holding it, as it is set to register by itself"),
        (1, _) => String::from("for 1 program"),
        (users, _) => format!("for {users} programs"),
    }
}

fn waiting(situation: &Situation, reason: &str) -> String {
    let problem = problem(situation);
    match reason {
        "network" => String::from(
            "Waiting for the network: there is no route to the server. It goes on by itself when there is one.",
        ),
        "backoff" => format!("Waiting: {problem} It is tried again {}.", when(situation)),
        "server" => format!(
            "Waiting: the server is busy and asked not to be called before. It is tried again {}.",
            when(situation)
        ),
        "name" => format!(
            "Waiting: {problem} Check the address, registrar and outbound-proxy with `sip-profiles show {}`; it is \
             tried again when the network changes and {}.",
            situation.id,
            when(situation)
        ),
        "certificate" => format!("Waiting: {problem} It is tried again {}.", when(situation)),
        "secret" => format!(
            "Waiting for a password: answer the question of your desktop, or set it with `sip-profiles set-password {}`.",
            situation.id
        ),
        "limit" => format!(
            "Waiting, so that the account is not locked for too many attempts: the next one comes {}. {problem}",
            when(situation)
        ),
        other => format!("Waiting ({other}). {problem}"),
    }
}

/// The last error's sentence, or that there is none.
fn problem(situation: &Situation) -> String {
    if situation.message.is_empty() {
        String::from("the reason is not known any more.")
    } else {
        situation.message.clone()
    }
}

/// What to do about a final error.
fn remedy(situation: &Situation) -> String {
    let id = situation.id;
    let error = situation.error.strip_prefix(crate::names::ERROR_PREFIX).unwrap_or(&situation.error);
    // A credential that changes starts a profile that registers by itself.
    let then = if situation.auto_register { "; it registers by itself then" } else { ", and hold it again" };
    match error.strip_prefix("Registration.").unwrap_or(error) {
        "Unauthorized" => {
            format!("Set the right one with `sip-profiles set-password {id}`, or another auth-user{then}.")
        }
        "NoSecret" => format!("Set it with `sip-profiles set-password {id}`{then}."),
        "Forbidden" | "UnknownUser" => format!(
            "Compare the address in `sip-profiles show {id}` with what the provider gave you, and hold it again."
        ),
        "IntervalTooBrief" => format!("Set a longer time with `sip-profiles set {id} expires=…`."),
        _ => format!(
            "Nothing more is sent until it is held again or its settings change (`sip-profiles hold {id}`)."
        ),
    }
}

/// "in 40 s", "in 5 min".
fn when(situation: &Situation) -> String {
    match situation.retry_in {
        None => String::from("when something changes"),
        Some(seconds) if seconds <= 0 => String::from("now"),
        Some(seconds) if seconds < 120 => format!("in {seconds} s"),
        Some(seconds) => format!("in {} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(state: &str, reason: &str) -> Situation {
        Situation { state: state.into(), reason: reason.into(), id: 7, ..Situation::default() }
    }

    #[test]
    fn a_refused_password_names_the_command_that_mends_it() {
        let text = advice(&Situation {
            error: "org.sipprofiles.Error.Registration.Unauthorized".into(),
            message: "host refuses the password of alice.".into(),
            ..situation("unregistered", "error")
        });
        assert!(text.contains("refuses the password") && text.contains("set-password 7"), "{text}");
        assert!(text.ends_with("and hold it again."), "{text}");
    }

    #[test]
    fn an_account_that_registers_by_itself_needs_no_hold_after_its_password() {
        let text = advice(&Situation {
            error: "org.sipprofiles.Error.NoSecret".into(),
            message: "There is no password for alice.".into(),
            auto_register: true,
            ..situation("unregistered", "error")
        });
        assert!(text.contains("set-password 7") && !text.contains("hold it"), "{text}");
    }

    #[test]
    fn a_wait_says_how_long() {
        let wait = |seconds| Situation { retry_in: Some(seconds), ..situation("waiting", "backoff") };
        assert!(advice(&wait(40)).contains("in 40 s"));
        assert!(advice(&wait(300)).contains("in 5 min"));
        assert!(advice(&wait(-3)).contains("now"));
    }

    #[test]
    fn unknown_words_are_shown_as_they_are() {
        assert_eq!(advice(&situation("hovering", "")), "hovering.");
        assert!(advice(&situation("waiting", "tea")).contains("tea"));
    }
}
