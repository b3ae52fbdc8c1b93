//! What each answer means (registration.md "Answers", semantics E2, E3, E12).

use super::attempt::Purpose;
use super::challenge;
use super::headers::{NameAddr, clean};
use super::machine::{Login, Phase, Registration, Standing, Turn};
use super::timing;
use super::{ErrorKind, Hop, LastError, Output, Reason, Response, Stage, Target, Transport};
use crate::settings::{SecretStorage, SipUri, TransportChoice};

/// Redirections followed in one attempt.
const REDIRECTS: u32 = 5;
/// Rounds of authentication that are no refusal, in one attempt.
const STALE_ROUNDS: u32 = 3;
/// How often an attempt changes its request to please a 423, 420 or 439.
const CONCESSIONS: u32 = 4;

impl Registration {
    pub(super) fn answered(&mut self, response: Response, turn: &mut Turn<'_>) {
        let Some(purpose) = self.attempt.as_ref().map(|attempt| attempt.purpose.clone()) else {
            return;
        };
        let rewritten = self.note_flow_of(&response);
        match (purpose, response.status) {
            (Purpose::Register, 200..300) => self.granted(&response, rewritten, turn),
            (_, 200..300) => self.farewell_done(turn),
            (_, 401 | 407) if self.wanted || purpose_is_farewell(self) => self.challenged(&response, turn),
            (Purpose::Deregister, _) => self.deregistered(turn),
            (Purpose::RemoveStray(_), _) => self.farewell_done(turn),
            (Purpose::Register, _) if !self.wanted => self.ended_unwanted(turn),
            (Purpose::Register, status) => self.refused_with(status, &response, turn),
        }
    }

    fn note_flow_of(&mut self, response: &Response) -> bool {
        if let Some(attempt) = &mut self.attempt {
            attempt.target = Some(response.server.clone());
        }
        self.note_flow(response)
    }

    fn farewell_done(&mut self, turn: &mut Turn<'_>) {
        match self.attempt.as_ref().map(|attempt| &attempt.purpose) {
            Some(Purpose::Deregister) => self.deregistered(turn),
            _ => self.attempt_over(turn),
        }
    }

    fn refused_with(&mut self, status: u16, response: &Response, turn: &mut Turn<'_>) {
        match status {
            300..400 => self.redirected(response, turn),
            403 => {
                self.refused = Some((turn.now, self.settings.digest()));
                self.final_error(ErrorKind::Forbidden, response, Stage::Sip, turn);
            }
            404 => self.final_error(ErrorKind::UnknownUser, response, Stage::Sip, turn),
            423 => self.too_brief(response, turn),
            420 | 439 => self.bad_extension(response, turn),
            408 => self.temporary(ErrorKind::Timeout, response, turn),
            503 => self.unavailable(response, turn),
            501 | 505 | 513 => self.final_error(ErrorKind::Server, response, Stage::Sip, turn),
            480 | 500..600 => self.temporary(ErrorKind::Server, response, turn),
            _ => self.final_error(ErrorKind::Rejected, response, Stage::Sip, turn),
        }
    }

    /// 401 and 407 (RFC 3261 §22, RFC 7616, RFC 8760).
    fn challenged(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let farewell = self.attempt.as_ref().is_some_and(|attempt| attempt.deadline.is_some());
        let proxy = response.status == 407;
        let header = if proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let challenges = challenge::usable(response.all(header));
        let settings = match &self.attempt {
            Some(attempt) => attempt.settings.clone(),
            None => return,
        };
        if challenges.is_empty() {
            let message = "asks for a password in a way that is not understood";
            return self.farewell_or(farewell, turn, |machine, turn| {
                machine.final_error_saying(ErrorKind::Protocol, response, message, Stage::Auth, turn);
            });
        }
        let fits = |realm: &String| settings.realm.as_ref().is_none_or(|only| only == realm);
        let Some(_) = settings.password.as_ref().filter(|_| challenges.iter().all(|one| fits(&one.realm)))
        else {
            let other = challenges.iter().map(|one| &one.realm).find(|realm| !fits(realm)).cloned();
            return self.farewell_or(farewell, turn, |machine, turn| {
                machine.no_secret(response, other.as_deref(), turn);
            });
        };

        let mut again = false;
        for challenge in challenges {
            match self
                .logins
                .iter_mut()
                .find(|login| login.proxy == proxy && login.challenge.realm == challenge.realm)
            {
                None => {
                    self.logins.push(Login { proxy, challenge, count: 0, worked: false });
                    again = true;
                }
                Some(login) if challenge.stale || login.worked => {
                    let rounds = self.attempt.as_mut().map(|attempt| {
                        attempt.auth.stale += 1;
                        attempt.auth.stale
                    });
                    if rounds.unwrap_or(0) > STALE_ROUNDS {
                        return self.farewell_or(farewell, turn, |machine, turn| {
                            machine.temporary(ErrorKind::Server, response, turn);
                        });
                    }
                    login.challenge = challenge;
                    login.count = 0;
                    again = true;
                }
                Some(_) => {}
            }
        }
        if again && (!farewell || self.first_challenge_of_farewell()) {
            return self.send_again(turn);
        }
        self.farewell_or(farewell, turn, |machine, turn| machine.password_refused(response, turn));
    }

    /// A de-registration answers one challenge (E12).
    fn first_challenge_of_farewell(&mut self) -> bool {
        let Some(attempt) = &mut self.attempt else {
            return false;
        };
        attempt.concessions += 1;
        attempt.concessions == 1
    }

    fn farewell_or(
        &mut self,
        farewell: bool,
        turn: &mut Turn<'_>,
        otherwise: impl FnOnce(&mut Self, &mut Turn<'_>),
    ) {
        let stray = matches!(self.attempt.as_ref().map(|a| &a.purpose), Some(Purpose::RemoveStray(_)));
        if farewell {
            self.deregistered(turn);
        } else if stray {
            self.attempt_over(turn);
        } else {
            otherwise(self, turn);
        }
    }

    fn password_refused(&mut self, response: &Response, turn: &mut Turn<'_>) {
        self.refused = Some((turn.now, self.settings.digest()));
        self.logins.clear();
        let user = self.settings.auth_user();
        let message = format!("refuses the password of {}; set the right password", clean(&user));
        self.final_error_saying(ErrorKind::Unauthorized, response, &message, Stage::Auth, turn);
    }

    /// E11: no password for what is asked.
    fn no_secret(&mut self, response: &Response, other_realm: Option<&str>, turn: &mut Turn<'_>) {
        self.needs_secret = true;
        let message = match other_realm {
            Some(realm) => {
                format!(
                    "asks for a password for the realm {:?}; the setting realm allows another one only",
                    clean(realm)
                )
            }
            None => String::from("asks for a password, and none is set; set the password"),
        };
        if self.settings.secret_storage() == SecretStorage::Agent && other_realm.is_none() {
            let error = error_saying(ErrorKind::NoSecret, response, &message, Stage::Secret, turn.now);
            return self.wait_for(Reason::Secret, None, error, turn);
        }
        self.final_error_saying(ErrorKind::NoSecret, response, &message, Stage::Secret, turn);
    }

    /// 423: again with what the server wants at least (RFC 3261 §10.2.8).
    fn too_brief(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let least = response.number("Min-Expires").and_then(|least| u32::try_from(least).ok());
        let asked = self.attempt.as_ref().map_or(0, |attempt| attempt.asked);
        match least.filter(|least| *least > asked) {
            Some(least) if self.concede() => {
                self.learnt.min_expires = Some(least);
                self.send_again(turn);
            }
            _ => {
                let message =
                    format!("finds {asked} s too brief and does not say what it wants; set expires");
                self.final_error_saying(ErrorKind::IntervalTooBrief, response, &message, Stage::Sip, turn);
            }
        }
    }

    /// 420, 439: again without what was refused (RFC 3261 §8.1.3.5, RFC 5626 §6).
    fn bad_extension(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let mut refused = response.list("Unsupported");
        if response.status == 439 {
            refused.push(String::from("outbound"));
        }
        let known = ["path", "outbound", "gruu"];
        refused.retain(|tag| known.contains(&tag.as_str()) && !self.learnt.refused_options.contains(tag));
        if refused.is_empty() || !self.concede() {
            return self.final_error(ErrorKind::Rejected, response, Stage::Sip, turn);
        }
        self.learnt.refused_options.extend(refused);
        self.send_again(turn);
    }

    fn concede(&mut self) -> bool {
        let Some(attempt) = &mut self.attempt else {
            return false;
        };
        attempt.concessions += 1;
        attempt.concessions <= CONCESSIONS
    }

    /// 301, 302: the Contact is the next hop (RFC 3261 §8.1.3.4).
    fn redirected(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let usable = matches!(response.status, 301 | 302).then(|| self.redirection(response)).flatten();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.redirects += 1;
        match usable {
            Some(hop) if attempt.redirects <= REDIRECTS => {
                self.flow = None;
                self.resolve_redirection(hop, turn);
            }
            _ => self.final_error(ErrorKind::Redirect, response, Stage::Sip, turn),
        }
    }

    fn redirection(&self, response: &Response) -> Option<Hop> {
        let secure = self.settings.aor.secure || response.server.transport == Transport::Tls;
        let contacts = response.list("Contact");
        contacts.iter().find_map(|contact| {
            let uri = SipUri::parse(NameAddr::parse(contact)?.uri).ok()?;
            let transport = uri.param("transport").flatten().map(str::to_ascii_lowercase);
            let is_tls = uri.secure || transport.as_deref() == Some("tls");
            let known = matches!(transport.as_deref(), None | Some("udp" | "tcp" | "tls"));
            (known && (is_tls || !secure)).then(|| Hop {
                uri: uri.domain_only(false).with_transport_of(&uri),
                transport: if is_tls { TransportChoice::Tls } else { self.settings.transport() },
            })
        })
    }

    /// 503: that server is left alone, the next target is tried at once.
    fn unavailable(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let error = error_of(ErrorKind::Server, response, Stage::Sip, turn.now);
        let after = response.number("Retry-After");
        if let Some(attempt) = &mut self.attempt {
            let reason = if after.is_some() { Reason::Server } else { Reason::Backoff };
            attempt.note_failure(reason, error);
            if let Some(after) = after {
                attempt.retry_after = Some(attempt.retry_after.map_or(after, |other| other.min(after)));
            }
        }
        self.flow = None;
        self.learnt.server = None;
        self.try_next(turn);
    }

    /// A refusal that may pass by itself (E3).
    fn temporary(&mut self, kind: ErrorKind, response: &Response, turn: &mut Turn<'_>) {
        let error = error_of(kind, response, Stage::Sip, turn.now);
        if let Some(attempt) = &mut self.attempt {
            attempt.note_failure(Reason::Backoff, error);
        }
        self.attempt_failed(turn);
    }

    /// All targets of an attempt failed for reasons that may pass.
    pub(super) fn attempt_failed(&mut self, turn: &mut Turn<'_>) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        if !matches!(attempt.purpose, Purpose::Register) {
            self.attempt = Some(attempt);
            return self.attempt_over(turn);
        }
        self.failures = self.failures.saturating_add(1);
        self.learnt.server = None;
        let Some((reason, error)) = attempt.failure else {
            return self.rest(turn);
        };
        let pause = match (reason, attempt.retry_after) {
            (Reason::Network | Reason::Name | Reason::Certificate, _) => timing::SLOW_RETRY,
            (Reason::Server, Some(seconds)) => {
                let pause = timing::retry_after(seconds, turn.rng);
                self.learnt.not_before = Some(turn.now + pause);
                pause
            }
            _ => timing::back_off(self.failures, turn.rng),
        };
        self.wait_for(reason, Some(turn.now + pause), error, turn);
        self.apply_queued(turn, attempt.settings);
    }

    /// Waits, or stays registered and degraded while the binding lives (E5).
    fn wait_for(
        &mut self,
        reason: Reason,
        until: Option<crate::moment::Moment>,
        error: LastError,
        turn: &mut Turn<'_>,
    ) {
        self.attempt = None;
        self.last_error = Some(error);
        let lives = self.standing.as_ref().is_some_and(|standing| {
            matches!(standing, Standing::Known(_)) && standing.expires_at() > turn.now
        });
        let was_registered = matches!(self.phase, Phase::Registered { .. });
        self.phase = match (reason, until) {
            (Reason::Backoff | Reason::Server, Some(next)) if lives && was_registered => {
                Phase::Registered { degraded: true, next }
            }
            _ => Phase::Waiting(reason, until),
        };
    }

    /// A final refusal (E2).
    fn final_error(&mut self, kind: ErrorKind, response: &Response, stage: Stage, turn: &mut Turn<'_>) {
        let error = error_of(kind, response, stage, turn.now);
        self.stop_with(error, turn);
    }

    pub(super) fn final_error_saying(
        &mut self,
        kind: ErrorKind,
        response: &Response,
        message: &str,
        stage: Stage,
        turn: &mut Turn<'_>,
    ) {
        self.stop_with(error_saying(kind, response, message, stage, turn.now), turn);
    }

    fn stop_with(&mut self, error: LastError, turn: &mut Turn<'_>) {
        let attempted = self.attempt.as_ref().map(|attempt| attempt.settings.clone());
        let queued = self.queued.take();
        self.rest(turn);
        self.last_error = Some(error);
        // U4: settings that came meanwhile are worth an attempt of their own.
        if let (Some(change), Some(_)) = (queued, attempted) {
            return self.retry_with_new_settings(change, turn);
        }
        self.stopped = true;
        self.wanted = false;
        turn.out.push(Output::Stopped);
    }

    fn retry_with_new_settings(&mut self, change: crate::settings::Change, turn: &mut Turn<'_>) {
        self.refused = None;
        self.phase = Phase::Waiting(Reason::Backoff, Some(turn.now));
        let settings = self.settings.clone();
        self.apply_change(change, settings, turn);
    }

    /// Nobody wants it any more and the answer was no registration: silently `unregistered` (H6).
    pub(super) fn ended_unwanted(&mut self, turn: &mut Turn<'_>) {
        match &self.standing {
            Some(_) => self.deregister(self.settings.clone(), turn),
            None => self.rest(turn),
        }
    }

    /// A de-registration is over, whatever came of it (E12).
    pub(super) fn deregistered(&mut self, turn: &mut Turn<'_>) {
        self.last_error = None;
        self.rest(turn);
    }

    /// An attempt that succeeded, or whose failure does not matter, is over: what was put off comes now.
    pub(super) fn attempt_over(&mut self, turn: &mut Turn<'_>) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        if !self.wanted {
            return self.ended_unwanted(turn);
        }
        self.apply_queued(turn, attempt.settings);
    }

    fn apply_queued(&mut self, turn: &mut Turn<'_>, attempted: std::sync::Arc<crate::settings::Settings>) {
        if let Some(change) = self.queued.take() {
            self.apply_change(change, attempted, turn);
        }
    }
}

fn purpose_is_farewell(machine: &Registration) -> bool {
    machine.attempt.as_ref().is_some_and(|attempt| attempt.purpose != Purpose::Register)
}

fn error_of(kind: ErrorKind, response: &Response, stage: Stage, now: crate::moment::Moment) -> LastError {
    let advice = match kind {
        ErrorKind::Forbidden => "; check the account with its provider",
        ErrorKind::UnknownUser => "; check the address",
        ErrorKind::Redirect => " in a way that leads nowhere; check registrar and outbound-proxy",
        _ => "",
    };
    let phrase = clean(&response.phrase);
    let message = format!("answers {} {phrase}{advice}", response.status);
    error_saying(kind, response, &message, stage, now)
}

fn error_saying(
    kind: ErrorKind,
    response: &Response,
    message: &str,
    stage: Stage,
    now: crate::moment::Moment,
) -> LastError {
    let Target { host, .. } = &response.server;
    let message = format!("{host} ({}) {message}.", response.server);
    LastError { kind, code: response.status, message, stage, at: now }
}
