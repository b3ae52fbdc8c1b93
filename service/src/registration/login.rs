//! Being asked for a password (RFC 3261 §22, RFC 7616, RFC 8760; semantics E2, E11, E12).

use std::sync::Arc;

use super::attempt::Purpose;
use super::challenge::{self, Challenge};
use super::headers::clean;
use super::machine::{Registration, Turn};
use super::{ErrorKind, Response, Stage, Target};
use crate::settings::Settings;

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
        let has_password = settings.password.is_some() || self.asking.lent().is_some();
        match attempt.purpose {
            Purpose::Register => {}
            // Any other final answer ends a farewell, and one more challenge is one (E12).
            Purpose::Deregister | Purpose::RemoveStrays(_) => {
                if std::mem::replace(&mut attempt.farewell_challenged, true) || !has_password {
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
        match (ours.first(), others.first()) {
            (None, None) => {
                let message = "asks for a password in a way that is not understood; \
                               check registrar, or tell the provider";
                self.login_failed(turn, |machine, turn| {
                    machine.final_error_saying(ErrorKind::Protocol, response, message, Stage::Auth, turn);
                });
            }
            (None, Some(other)) => {
                self.login_failed(turn, |machine, turn| machine.other_realm(response, &other.realm, turn));
            }
            (Some(first), _) if !has_password => {
                let realm = first.realm.clone();
                self.login_failed(turn, |machine, turn| machine.no_secret(response, realm, turn));
            }
            (Some(_), _) => self.log_in(ours, proxy, response, turn),
        }
    }

    /// Answers the challenges, unless they tell that the password is wrong.
    fn log_in(&mut self, challenges: Vec<Challenge>, proxy: bool, response: &Response, turn: &mut Turn<'_>) {
        let realm = challenges.first().map(|challenge| challenge.realm.clone()).unwrap_or_default();
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
            return self.login_failed(turn, |machine, turn| {
                machine.password_refused(response, &realm, turn);
            });
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

    fn password_refused(&mut self, response: &Response, realm: &str, turn: &mut Turn<'_>) {
        if self.lent_refused(response, realm, turn) {
            return;
        }
        self.refused = Some((turn.now, self.settings.digest()));
        self.logins.clear();
        let user = self.attempt.as_ref().map_or_else(String::new, |attempt| attempt.settings.auth_user());
        let message =
            format!("refuses the password of {}; set the right password or auth-user", clean(&user));
        self.final_error_saying(ErrorKind::Unauthorized, response, &message, Stage::Auth, turn);
    }
}
