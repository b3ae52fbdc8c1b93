//! The password question, as the applet asks it: lines `key=value` in, two lines out.

use std::io::{self, BufRead, Read};

use crate::text;

/// More than a question can be.
const LIMIT: u64 = 64 * 1024;

/// Who asks for which password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The account's address.
    pub aor: String,
    /// The account's name.
    pub display_name: String,
    /// What the password is for, as the server calls it.
    pub realm: String,
    /// The server.
    pub server: String,
    /// How it is reached.
    pub transport: String,
    /// Was the last answer refused?
    pub refused: bool,
    /// Is it kept whatever the person chooses?
    pub kept: bool,
    /// Has the person chosen to be asked now? Panels that give no token for a click leave only this.
    pub clicked: bool,
}

impl Question {
    /// Reads up to an empty line or the end. A key of a newer applet is no reason not to ask.
    pub fn read(input: impl Read) -> io::Result<Question> {
        let mut question = Question::default();
        for line in io::BufReader::new(input.take(LIMIT)).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() {
                break;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is not key=value"));
            };
            // Servers choose realm and name: they get no line ends into our window.
            let value: String = value.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
            match key {
                "aor" => question.aor = value,
                "display-name" => question.display_name = value,
                "realm" => question.realm = value,
                "server" => question.server = value,
                "transport" => question.transport = value,
                "refused" => question.refused = value == "true",
                "kept" => question.kept = value == "true",
                "clicked" => question.clicked = value == "true",
                _ => {}
            }
        }
        Ok(question)
    }

    /// What to call the account.
    pub fn account(&self) -> &str {
        let address = self.address();
        match (self.display_name.as_str(), address) {
            ("", "") => text::SOME_ACCOUNT,
            ("", address) => address,
            (name, _) => name,
        }
    }

    /// The address for people.
    pub fn address(&self) -> &str {
        self.aor.strip_prefix("sip:").unwrap_or(&self.aor)
    }
}

/// The answer.
pub fn answer(password: &str, store: bool) -> String {
    format!("store={store}\npassword={password}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_read_up_to_the_empty_line() {
        let input = "aor=sip:alice@example.org\r\ndisplay-name=Work = phone\nrealm=a\trealm\nserver=udp:h:5060\n\
                     transport=udp\nrefused=true\nkept=true\nclicked=true\nof-tomorrow=1\n\naor=sip:later@example.org\n";
        let question = Question::read(input.as_bytes()).unwrap();
        assert_eq!(question.address(), "alice@example.org");
        assert_eq!(question.account(), "Work = phone");
        assert_eq!(question.realm, "a realm");
        assert!(question.refused && question.kept && question.clicked);
    }

    #[test]
    fn the_end_of_input_ends_it_too() {
        assert_eq!(Question::read(&b"aor=sip:a@b"[..]).unwrap().account(), "a@b");
        assert_eq!(Question::read(&b""[..]).unwrap().account(), text::SOME_ACCOUNT);
        assert!(Question::read(&b"nonsense\n"[..]).is_err());
    }

    #[test]
    fn an_answer_is_two_lines() {
        assert_eq!(answer("a=b c", true), "store=true\npassword=a=b c\n");
        assert_eq!(answer("", false), "store=false\npassword=\n");
    }

    proptest! {
        #[test]
        fn any_input_is_read_or_refused(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(question) = Question::read(&input[..]) {
                prop_assert!(!question.account().contains('\n'));
            }
        }

        #[test]
        fn any_value_comes_through(name in "[^\\p{Cc}]{0,30}") {
            let read = Question::read(format!("display-name={name}\n").as_bytes()).unwrap();
            prop_assert_eq!(read.display_name, name);
        }
    }
}
