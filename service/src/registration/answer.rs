//! What each answer means (registration.md "Answers", semantics E2, E3, E12).

use std::sync::Arc;

use super::attempt::Purpose;
use super::error::{error_of, error_saying};
use super::headers::NameAddr;
use super::machine::{Phase, Registration, Standing, Turn};
use super::timing;
use super::{ErrorKind, Hop, LastError, Output, Reason, Response, Stage, Transport};
use crate::moment::Moment;
use crate::settings::{Change, Settings, SipUri, TransportChoice};

/// Redirections followed in one attempt.
const REDIRECTS: u32 = 5;
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
            (Purpose::Register, _) if !self.wanted => self.ended_unwanted(turn),
            (_, 401 | 407) => self.challenged(&response, turn),
            (Purpose::Deregister, 200..300) => self.removed(&response, turn),
            (Purpose::RemoveStrays(uris), 200..300) => self.remove_strays(&uris[1..], turn),
            (Purpose::Deregister | Purpose::RemoveStrays(_), _) => self.farewell_done(turn),
            (Purpose::Register, status) => self.refused_with(status, &response, turn),
        }
    }

    fn note_flow_of(&mut self, response: &Response) -> bool {
        if let Some(attempt) = &mut self.attempt {
            attempt.target = Some(response.server.clone());
        }
        self.note_flow(response)
    }

    /// A de-registration, or the removal of a stray, has its final answer (E12).
    pub(super) fn farewell_done(&mut self, turn: &mut Turn<'_>) {
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

    /// 423: again with what the server wants at least (RFC 3261 §10.2.8).
    fn too_brief(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let least = response.number("Min-Expires").and_then(|least| u32::try_from(least).ok());
        let asked = self.attempt.as_ref().map_or(0, |attempt| attempt.asked);
        match least.filter(|least| *least > asked) {
            Some(least) if self.concede() => {
                self.learnt.min_expires = Some(least);
                self.send_again(turn);
            }
            more => {
                let wants =
                    if more.is_some() { "wants more each time" } else { "does not say what it wants" };
                let message = format!("finds {asked} s too brief and {wants}; set expires");
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
        self.learnt.refused_by = Some(response.server.clone());
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
                self.logins.clear();
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
        let rest =
            response.number("Retry-After").map(|after| turn.now + timing::retry_after(after, turn.rng));
        if let Some(attempt) = &mut self.attempt {
            attempt.note_failure(if rest.is_some() { Reason::Server } else { Reason::Backoff }, error);
            attempt.passed.push(response.server.clone());
            if let Some(until) = rest {
                attempt.rests_until = attempt.rests_until.map(|other| other.min(until)).or(Some(until));
                self.learnt.rest(response.server.clone(), until, turn.now);
            }
        }
        self.flow = None;
        self.learnt.server = None;
        self.try_next(turn);
    }

    /// A refusal that may pass by itself (E3).
    pub(super) fn temporary(&mut self, kind: ErrorKind, response: &Response, turn: &mut Turn<'_>) {
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
        let until = match (reason, attempt.rests_until) {
            (Reason::Network | Reason::Name | Reason::Certificate, _) => turn.now + timing::SLOW_RETRY,
            (Reason::Server, Some(until)) => {
                self.learnt.not_before = Some(until);
                until
            }
            _ => turn.now + timing::back_off(self.failures, turn.rng),
        };
        let news = std::mem::take(&mut self.network_news);
        self.wait_for(reason, Some(until), error, turn);
        if self.queued.is_some() {
            return self.apply_queued(turn, attempt.settings);
        }
        if news && reason != Reason::Server {
            self.try_from_here(turn);
        }
    }

    /// Waits, or stays registered and degraded while the binding lives (E5).
    pub(super) fn wait_for(
        &mut self,
        reason: Reason,
        until: Option<Moment>,
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
                Phase::Registered { degraded: Some(reason), next }
            }
            _ => {
                self.set_keep_alive(None, turn);
                Phase::Waiting(reason, until)
            }
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

    pub(super) fn stop_with(&mut self, error: LastError, turn: &mut Turn<'_>) {
        let has_newer_settings = self.queued.is_some();
        self.rest(turn);
        if !self.wanted {
            return;
        }
        if has_newer_settings {
            return self.start_with_new_settings(turn);
        }
        self.last_error = Some(error);
        self.stopped = true;
        self.wanted = false;
        self.refresh_asked = None;
        turn.out.push(Output::Stopped);
    }

    /// A de-registration is over, whatever came of it (E12).
    pub(super) fn deregistered(&mut self, turn: &mut Turn<'_>) {
        self.last_error = None;
        self.rest(turn);
    }

    /// An attempt that succeeded, or whose failure does not matter, is over: what was put off comes now.
    pub(super) fn attempt_over(&mut self, turn: &mut Turn<'_>) {
        if !self.wanted {
            return self.ended_unwanted(turn);
        }
        let Some(attempt) = self.attempt.take() else { return };
        let news = std::mem::take(&mut self.network_news);
        // The binding ran out during the removal of a stray, and was wanted again after it.
        if self.phase == Phase::Registering {
            if self.queued.take() == Some(Change::Move) {
                self.forget_server(turn);
            }
            return self.start(turn);
        }
        if self.queued.is_some() {
            return self.apply_queued(turn, attempt.settings);
        }
        if news {
            self.try_from_here(turn);
        }
    }

    pub(super) fn apply_queued(&mut self, turn: &mut Turn<'_>, attempted: Arc<Settings>) {
        if let Some(change) = self.queued.take() {
            self.apply_change(change, attempted, turn);
        }
    }
}
