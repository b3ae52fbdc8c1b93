//! What the window says about the account's registration.

use sip_profiles::advice::{Situation, advice};
use sip_profiles::labels::in_labels;
use sip_profiles::names::ERROR_PREFIX;

use crate::form::Field;
use crate::text;

/// How the message looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Something is under way.
    Busy,
    /// Done.
    Good,
    /// Not done, but nobody has to act.
    Waiting,
    /// Somebody has to act.
    Bad,
}

/// What to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How it looks.
    pub mood: Mood,
    /// The sentence.
    pub sentence: String,
    /// The field to correct.
    pub field: Option<Field>,
}

/// What to say about a situation after Save, in the words of this window. The shared sentences serve, but where they
/// name commands of a shell.
pub fn progress(situation: &Situation) -> Progress {
    let situation = &Situation { message: in_labels(&situation.message), ..situation.clone() };
    let say = |mood, sentence: String| Progress { mood, sentence, field: None };
    let problem = match situation.message.as_str() {
        "" => situation.error.as_str(),
        message => message,
    };
    match (situation.state.as_str(), situation.reason.as_str()) {
        ("registered", "") => say(Mood::Good, String::from(text::REGISTERED)),
        ("registering" | "unregistering", _) => say(Mood::Busy, advice(situation)),
        ("unregistered", "error") => {
            let field = to_correct(&situation.error);
            let sentence = format!("{problem} {}", text::CORRECT_IT);
            Progress { mood: Mood::Bad, sentence, field }
        }
        ("unregistered", "") => say(Mood::Waiting, String::from(text::SAVED)),
        ("waiting", "name") => say(Mood::Waiting, text::waiting_for_name(problem)),
        ("waiting", "secret") => Progress {
            mood: Mood::Waiting,
            sentence: String::from(text::WAITING_FOR_SECRET),
            field: Some(Field::Password),
        },
        _ => say(Mood::Waiting, advice(situation)),
    }
}

fn to_correct(error: &str) -> Option<Field> {
    let word = error.strip_prefix(ERROR_PREFIX).unwrap_or(error);
    match word.strip_prefix("Registration.").unwrap_or(word) {
        "Unauthorized" | "NoSecret" => Some(Field::Password),
        "Forbidden" | "UnknownUser" => Some(Field::Aor),
        "IntervalTooBrief" => Some(Field::Expires),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation(state: &str, reason: &str) -> Situation {
        Situation { state: state.into(), reason: reason.into(), id: 7, ..Situation::default() }
    }

    #[test]
    fn a_refused_password_leads_to_its_field() {
        let refused = Situation {
            error: "org.sipprofiles.Error.Registration.Unauthorized".into(),
            message: "The server refuses the password of alice.".into(),
            ..situation("unregistered", "error")
        };
        let progress = progress(&refused);
        assert_eq!((progress.mood, progress.field), (Mood::Bad, Some(Field::Password)));
        assert!(progress.sentence.starts_with("The server refuses"), "{progress:?}");
    }

    #[test]
    fn no_sentence_names_a_shell_command() {
        let reasons = ["", "network", "backoff", "server", "name", "certificate", "secret", "limit", "tea"];
        for state in ["registered", "registering", "unregistering", "waiting", "unregistered", "hovering"] {
            for reason in reasons.into_iter().chain(["error", "degraded"]) {
                let progress = progress(&situation(state, reason));
                assert!(!progress.sentence.contains('`'), "{state} {reason}: {progress:?}");
                assert!(!progress.sentence.is_empty());
            }
        }
    }

    #[test]
    fn a_setting_is_called_as_its_field() {
        let message =
            String::from("h: the server does not answer; check registrar, outbound-proxy and transport.");
        let waiting = Situation { message, retry_in: Some(40), ..situation("waiting", "backoff") };
        let sentence = progress(&waiting).sentence;
        assert!(sentence.contains("check “Registrar”, “Outbound proxy” and “Transport”."), "{sentence}");
    }

    #[test]
    fn a_wait_says_how_long() {
        let waiting = Situation { retry_in: Some(40), ..situation("waiting", "backoff") };
        assert!(progress(&waiting).sentence.contains("in 40 s"));
    }
}
