//! Passwords that a person gives when they are asked for (E11): what to ask, what an answer means, how long it is
//! kept.

use super::attempt::Purpose;
use super::error::error_saying;
use super::headers::clean;
use super::machine::{Phase, Registration, Turn};
use super::{ErrorKind, LastError, Output, Reason, Response, Stage};
use crate::settings::{Secret, SecretStorage};

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretQuestion {
    /// The realm that asks for the password.
    pub realm: String,
    /// The server that asks, `tls:[2001:db8::1]:5061`.
    pub server: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// The last answer for this profile was refused.
    pub refused: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretAnswer {
    /// A password.
    Given {
        /// It.
        password: Secret,
        /// The person wants the service to keep it.
        store: bool,
    },
    /// The person said no.
    Cancelled,
    /// Nobody could be asked, or those who were had no answer.
    Failed,
}

impl SecretAnswer {
    /// The same, to be kept until the de-registration only.
    pub fn without_store(self) -> Self {
        match self {
            SecretAnswer::Given { password, .. } => SecretAnswer::Given { password, store: false },
            other => other,
        }
    }
}

/// Where a registration is with its questions.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Somebody is there to be asked.
    agent: bool,
    /// What was asked last.
    question: Option<SecretQuestion>,
    /// Its answer is awaited.
    open: bool,
    /// The last answer was refused.
    refused: bool,
    /// An answer, kept until the de-registration.
    lent: Option<Secret>,
    /// It is to be kept once it has worked.
    store: bool,
}

impl Asking {
    /// A password that a person gave.
    pub(super) fn lent(&self) -> Option<&Secret> {
        self.lent.as_ref()
    }
}

impl Registration {
    /// Whether somebody can be asked has changed, or is told for the first time.
    pub(super) fn agents(&mut self, there: bool, turn: &mut Turn<'_>) {
        self.asking.agent = there;
        if !self.wanted || self.attempt.is_some() || self.asking.open {
            return;
        }
        if !matches!(self.phase, Phase::Waiting(Reason::Secret, _)) {
            return;
        }
        match (there, self.settings.secret_storage()) {
            (true, _) => self.ask(turn),
            (false, SecretStorage::Service) => self.give_up(turn),
            (false, SecretStorage::Agent) => {}
        }
    }

    /// Asks what was asked before; where a predecessor asked it, the server must say again what it wants.
    pub(super) fn ask(&mut self, turn: &mut Turn<'_>) {
        if !self.asking.agent || self.asking.open {
            return;
        }
        match &mut self.asking.question {
            Some(question) => {
                question.refused = self.asking.refused;
                self.asking.open = true;
                turn.out.push(Output::AskSecret(question.clone()));
            }
            None => self.begin(Purpose::Register, turn),
        }
    }

    /// No password for `realm`: a person is asked where one is there, or will be.
    pub(super) fn no_secret(&mut self, response: &Response, realm: String, turn: &mut Turn<'_>) {
        self.needs_secret = true;
        let keeps_waiting = self.settings.secret_storage() == SecretStorage::Agent;
        if !self.asking.agent && !keeps_waiting {
            let message = "asks for a password, and none is set; set the password";
            return self.final_error_saying(ErrorKind::NoSecret, response, message, Stage::Secret, turn);
        }
        let message = match (self.asking.agent, self.asking.refused) {
            (true, false) => {
                "asks for a password; answer the question of your secret agent, or set the password"
            }
            (true, true) => {
                "refuses the password that was given; answer the question of your secret agent, or set the password"
            }
            (false, _) => {
                "asks for a password, and no secret agent of yours is there; start one, or set the password"
            }
        };
        let error = error_saying(ErrorKind::NoSecret, response, message, Stage::Secret, turn.now);
        self.asking.question = Some(SecretQuestion {
            realm,
            server: response.server.to_string(),
            transport: response.server.transport.word(),
            refused: false,
        });
        let attempted = self.attempt.as_ref().map(|attempt| attempt.settings.clone());
        self.wait_for(Reason::Secret, None, error, turn);
        if self.queued.is_some() {
            return self.apply_queued(turn, attempted.unwrap_or_else(|| self.settings.clone()));
        }
        self.ask(turn);
    }

    /// The setting realm allows another one only.
    pub(super) fn other_realm(&mut self, response: &Response, realm: &str, turn: &mut Turn<'_>) {
        self.needs_secret = true;
        let message = format!(
            "asks for a password for the realm \"{}\"; the setting realm allows another one only",
            clean(realm)
        );
        self.final_error_saying(ErrorKind::NoSecret, response, &message, Stage::Secret, turn);
    }

    /// A person's password was refused. True: the person is asked again, and nothing else follows.
    pub(super) fn lent_refused(&mut self, response: &Response, realm: &str, turn: &mut Turn<'_>) -> bool {
        if self.asking.lent.take().is_none() {
            return false;
        }
        self.asking.refused = true;
        self.logins.clear();
        let asks_again = self.settings.secret_storage() == SecretStorage::Agent;
        if asks_again {
            self.no_secret(response, realm.to_owned(), turn);
        }
        asks_again
    }

    pub(super) fn answered_secret(&mut self, answer: SecretAnswer, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.asking.open) {
            return;
        }
        match (answer, self.settings.secret_storage()) {
            (SecretAnswer::Given { password, store }, storage) => {
                self.asking.lent = Some(password);
                self.asking.store = store && storage == SecretStorage::Service;
                self.try_with_answer(turn);
            }
            (SecretAnswer::Cancelled, _) => {
                self.give_up_saying("the password was asked for, and the question was cancelled", turn);
            }
            (SecretAnswer::Failed, SecretStorage::Service) => self.give_up(turn),
            (SecretAnswer::Failed, SecretStorage::Agent) => {}
        }
    }

    /// Answers count as attempts from `unregistered`: an agent cannot get an account locked either (E10).
    fn try_with_answer(&mut self, turn: &mut Turn<'_>) {
        self.needs_secret = false;
        // A change of settings has started a REGISTER meanwhile: it takes the password when it is asked (H6).
        if self.attempt.is_some() {
            return;
        }
        self.logins.clear();
        if let Some(until) = self.limited_until(turn.now) {
            self.phase = Phase::Waiting(Reason::Limit, Some(until));
            return;
        }
        self.starts.push(turn.now);
        self.begin(Purpose::Register, turn);
    }

    /// Nobody answers, and there is no password.
    fn give_up(&mut self, turn: &mut Turn<'_>) {
        self.give_up_saying("asks for a password, and no secret agent has answered; set the password", turn);
    }

    fn give_up_saying(&mut self, what: &str, turn: &mut Turn<'_>) {
        let server = match &self.asking.question {
            Some(question) => question.server.clone(),
            None => String::from("The server"),
        };
        let code = self.last_error.as_ref().map_or(401, |error| error.code);
        let message = format!("{server}: {what}.");
        let (kind, stage) = (ErrorKind::NoSecret, Stage::Secret);
        self.needs_secret = true;
        self.stop_with(LastError { kind, code, message, stage, at: turn.now }, turn);
    }

    /// A login has worked: a person's password is kept where the person wants it to be.
    pub(super) fn keep_secret(&mut self, turn: &mut Turn<'_>) {
        self.asking.refused = false;
        if let Some(password) = self.asking.lent.clone().filter(|_| std::mem::take(&mut self.asking.store)) {
            turn.out.push(Output::KeepSecret(password));
        }
    }

    /// What was given is not kept beyond a registration, and what is asked interests nobody any more.
    pub(super) fn forget_secret(&mut self, turn: &mut Turn<'_>) {
        self.asking.lent = None;
        self.asking.store = false;
        if std::mem::take(&mut self.asking.open) {
            turn.out.push(Output::ForgetSecret);
        }
    }
}
