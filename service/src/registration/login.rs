//! Being asked for a password (RFC 3261 §22, RFC 7616, RFC 8760; semantics E2, E11, E12).

use std::sync::Arc;

use super::attempt::Purpose;
use super::challenge::{self, Challenge};
use super::error::error_saying;
use super::headers::clean;
use super::machine::{Registration, Turn};
use super::{ErrorKind, Reason, Response, Stage, Target};
use crate::settings::{SecretStorage, Settings};

/// Rounds of authentication that are no refusal, in one attempt.
const STALE_ROUNDS: u32 = 3;

/// A realm's challenge, and how far we got with it.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub proxy: bool,
    pub challenge: Challenge,
    /// Who asked.
    pub server: Target,
    /// How often the nonce was used (`nc`).
    pub count: u32,
    /// It has been accepted.
    pub worked: bool,
    /// The challenge came in this attempt: a refusal of it is one of the password.
    pub fresh: bool,
}

/// What a 401 or 407 says of one realm.
enum Verdict {
    /// It is asked for the first time.
    New,
    /// The nonce was too old.
    Old,
    /// The password is wrong.
    Refused,
}

impl Registration {
    /// A login that never worked is no login: an attempt starts without it, and its nonce is not taken for fresh.
    pub(super) fn forget_unproved_logins(&mut self) {
        self.logins.retain(|login| login.worked);
        for login in &mut self.logins {
            login.fresh = false;
        }
    }

    /// Before a request: a challenge that `target` did not make is not answered there until it has worked, and other
    /// credentials start anew.
    pub(super) fn keep_logins_for(&mut self, target: &Target, settings: &Arc<Settings>) {
        let same = self.logins_of.as_ref().is_some_and(|old| {
            Arc::ptr_eq(old, settings)
                || (&old.password, old.auth_user(), &old.realm)
                    == (&settings.password, settings.auth_user(), &settings.realm)
        });
        if !same {
            self.logins.clear();
        }
        self.logins_of = Some(settings.clone());
        self.logins.retain(|login| login.worked || login.server == *target);
    }

    /// 401 and 407.
    pub(super) fn challenged(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let settings = attempt.settings.clone();
        match attempt.purpose {
            Purpose::Register => {}
            // Any other final answer ends a farewell, and one more challenge is one (E12).
            Purpose::Deregister | Purpose::RemoveStray(_) => {
                if std::mem::replace(&mut attempt.farewell_challenged, true) || settings.password.is_none() {
                    return self.farewell_done(turn);
                }
            }
        }
        let proxy = response.status == 407;
        let header = if proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let challenges = challenge::usable(response.all(header));
        let (ours, others): (Vec<_>, Vec<_>) = challenges
            .into_iter()
            .partition(|one| settings.realm.as_ref().is_none_or(|only| *only == one.realm));
        let refused = match (ours.is_empty(), others.first()) {
            (true, None) => {
                let message = "asks for a password in a way that is not understood; \
                               check registrar, or tell the provider";
                return self.login_failed(turn, |machine, turn| {
                    machine.final_error_saying(ErrorKind::Protocol, response, message, Stage::Auth, turn);
                });
            }
            (true, Some(other)) => Some(Some(other.realm.clone())),
            (false, _) if settings.password.is_none() => Some(None),
            (false, _) => None,
        };
        match refused {
            Some(realm) => self.login_failed(turn, |machine, turn| {
                machine.no_secret(response, realm.as_deref(), turn);
            }),
            None => self.log_in(ours, proxy, response, turn),
        }
    }

    /// Answers the challenges, unless they tell that the password is wrong.
    fn log_in(&mut self, challenges: Vec<Challenge>, proxy: bool, response: &Response, turn: &mut Turn<'_>) {
        let (mut again, mut old) = (false, false);
        for challenge in challenges {
            match self.verdict(&challenge, proxy) {
                Verdict::Refused => continue,
                Verdict::New => {}
                Verdict::Old => old = true,
            }
            again = true;
            self.take_challenge(challenge, proxy, &response.server);
        }
        if !again {
            return self.login_failed(turn, |machine, turn| machine.password_refused(response, turn));
        }
        if let Some(attempt) = self.attempt.as_mut().filter(|_| old) {
            attempt.stale_rounds += 1;
            if attempt.stale_rounds > STALE_ROUNDS {
                return self.login_failed(turn, |machine, turn| {
                    machine.temporary(ErrorKind::Server, response, turn);
                });
            }
        }
        self.send_again(turn);
    }

    fn verdict(&self, challenge: &Challenge, proxy: bool) -> Verdict {
        let known = |login: &&Login| login.proxy == proxy && login.challenge.realm == challenge.realm;
        match self.logins.iter().find(known) {
            None => Verdict::New,
            Some(_) if challenge.stale => Verdict::Old,
            Some(login) if !login.worked => Verdict::Refused,
            Some(login) if login.fresh && login.challenge.nonce == challenge.nonce => Verdict::Refused,
            Some(_) => Verdict::Old,
        }
    }

    fn take_challenge(&mut self, challenge: Challenge, proxy: bool, server: &Target) {
        let server = server.clone();
        let known = |login: &&mut Login| login.proxy == proxy && login.challenge.realm == challenge.realm;
        match self.logins.iter_mut().find(known) {
            None => {
                self.logins.push(Login { proxy, challenge, server, count: 0, worked: false, fresh: true });
            }
            Some(login) => {
                if login.challenge.nonce != challenge.nonce {
                    login.count = 0;
                }
                (login.challenge, login.server, login.fresh) = (challenge, server, true);
            }
        }
    }

    /// A request that could not log in is over: what is only a farewell just ends.
    fn login_failed(&mut self, turn: &mut Turn<'_>, otherwise: impl FnOnce(&mut Self, &mut Turn<'_>)) {
        match self.attempt.as_ref().map(|attempt| &attempt.purpose) {
            Some(Purpose::Register) => otherwise(self, turn),
            _ => self.farewell_done(turn),
        }
    }

    fn password_refused(&mut self, response: &Response, turn: &mut Turn<'_>) {
        self.refused = Some((turn.now, self.settings.digest()));
        self.logins.clear();
        let user = self.attempt.as_ref().map_or_else(String::new, |attempt| attempt.settings.auth_user());
        let message =
            format!("refuses the password of {}; set the right password or auth-user", clean(&user));
        self.final_error_saying(ErrorKind::Unauthorized, response, &message, Stage::Auth, turn);
    }

    /// E11: no password for what is asked.
    fn no_secret(&mut self, response: &Response, other_realm: Option<&str>, turn: &mut Turn<'_>) {
        self.needs_secret = true;
        let message = match other_realm {
            Some(realm) => format!(
                "asks for a password for the realm \"{}\"; the setting realm allows another one only",
                clean(realm)
            ),
            None => String::from("asks for a password, and none is set; set the password"),
        };
        if self.settings.secret_storage() == SecretStorage::Agent && other_realm.is_none() {
            let error = error_saying(ErrorKind::NoSecret, response, &message, Stage::Secret, turn.now);
            let attempted = self.attempt.as_ref().map(|attempt| attempt.settings.clone());
            self.wait_for(Reason::Secret, None, error, turn);
            return self.apply_queued(turn, attempted.unwrap_or_else(|| self.settings.clone()));
        }
        self.final_error_saying(ErrorKind::NoSecret, response, &message, Stage::Secret, turn);
    }
}
