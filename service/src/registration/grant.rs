//! A 2xx: what was granted, and what else the registrar says (RFC 3261 §10.2.4, RFC 3327, 3608, 5626, 5627).

use super::attempt::Purpose;
use super::challenge;
use super::headers::{NameAddr, leading_number};
use super::machine::{Phase, Registration, Standing, Turn};
use super::memory::BindingMemory;
use super::timing;
use super::{Binding, ErrorKind, LastError, Reason, Response, Stage};
use crate::settings::SipUri;

/// What a malformed expiry counts as (RFC 3261 §10.3, step 7).
const MALFORMED: u32 = 3600;
/// Stray bindings of ours that are removed after one answer.
const STRAYS: usize = 8;

impl Registration {
    /// `rewritten`: this answer showed that the server sees us elsewhere than its Contact says.
    pub(super) fn granted(&mut self, response: &Response, rewritten: bool, turn: &mut Turn<'_>) {
        self.note_success(response);
        self.keep_secret(turn);
        let contacts = response.list("Contact");
        let contacts: Vec<_> = contacts.iter().filter_map(|value| NameAddr::parse(value)).collect();
        let expires_header = response.first("Expires");
        if contacts.is_empty() && expires_header.is_none() {
            let message = "accepts the registration without saying what it registered; check registrar";
            return self.final_error_saying(ErrorKind::Protocol, response, message, Stage::Sip, turn);
        }
        let ours = self.own_contact(&contacts, response);
        let asked = self.attempt.as_ref().map_or(MALFORMED, |attempt| attempt.asked);
        let granted = match (ours.and_then(|ours| ours.param("expires")), expires_header) {
            (Some(text), _) | (None, Some(text)) => granted_seconds(text),
            (None, None) => asked,
        };
        if granted == 0 {
            return self.granted_nothing(response, turn);
        }
        let binding = self.binding_of(response, &contacts, ours, granted, turn);
        let strays =
            ours.map(|ours| self.strays(&contacts, &[ours.uri, &response.contact])).unwrap_or_default();
        self.stand(binding, granted, rewritten, turn);
        self.remove_strays(&strays, turn);
    }

    /// What is put off comes after the removal; what moves away takes its own binding along only.
    pub(super) fn remove_strays(&mut self, strays: &[String], turn: &mut Turn<'_>) {
        let settings = self.attempt.as_ref().map(|attempt| attempt.settings.clone());
        match settings.filter(|_| !strays.is_empty()) {
            Some(settings) if self.wanted && self.queued.is_none() && !self.network_news => {
                self.begin_with(Purpose::RemoveStrays(strays.to_vec()), settings, turn);
            }
            _ => self.attempt_over(turn),
        }
    }

    /// The logins that this request carried have worked.
    fn note_success(&mut self, response: &Response) {
        for login in &mut self.logins {
            login.worked = true;
        }
        for (header, proxy) in [("Authentication-Info", false), ("Proxy-Authentication-Info", true)] {
            let Some(nonce) = response.first(header).and_then(challenge::next_nonce) else {
                continue;
            };
            if let Some(login) = self.logins.iter_mut().find(|login| login.proxy == proxy) {
                login.challenge.nonce = nonce;
                login.count = 0;
            }
        }
    }

    /// Our Contact among those listed: by instance and reg-id, then URI, then token.
    fn own_contact<'a, 'c>(
        &self,
        contacts: &'c [NameAddr<'a>],
        response: &Response,
    ) -> Option<&'c NameAddr<'a>> {
        let instance = format!("<urn:uuid:{}>", self.identity.instance);
        let is_instance = |contact: &&NameAddr<'_>| {
            contact.param("+sip.instance").is_some_and(|theirs| theirs.eq_ignore_ascii_case(&instance))
        };
        let by_instance: Vec<_> = contacts
            .iter()
            .filter(|contact| is_instance(contact) && contact.param("reg-id").is_none_or(|id| id == "1"))
            .collect();
        let is_sent = |contact: &&NameAddr<'_>| same_uri(contact.uri, &response.contact);
        // A registrar that stores instance ids without heeding them lists several: the one just sent is it.
        let sent_too = by_instance.iter().copied().find(is_sent);
        sent_too
            .or(by_instance.first().copied())
            .or_else(|| contacts.iter().find(is_sent))
            .or_else(|| contacts.iter().find(|contact| self.has_our_token(contact)))
    }

    fn has_our_token(&self, contact: &NameAddr<'_>) -> bool {
        let user =
            contact.uri.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user);
        user == Some(self.identity.token.as_str())
    }

    /// Bindings of ours at other addresses than `known`: this registrar ignores instance ids (L4). A list of more than a
    /// few is not believed.
    fn strays(&self, contacts: &[NameAddr<'_>], known: &[&str]) -> Vec<String> {
        contacts
            .iter()
            .filter(|contact| self.has_our_token(contact) && is_plain(contact.uri))
            .filter(|contact| contact.param("expires").is_none_or(|expires| expires.trim() != "0"))
            .filter(|contact| !known.iter().any(|known| same_uri(contact.uri, known)))
            .map(|contact| contact.uri.to_owned())
            .take(STRAYS)
            .collect()
    }

    /// A de-registration has done its work. What stands there still of ours, as crashes leave it at a registrar that
    /// ignores instance ids, is removed as well, in the same time (L4, E12).
    pub(super) fn removed(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let contacts = response.list("Contact");
        let contacts: Vec<_> = contacts.iter().filter_map(|value| NameAddr::parse(value)).collect();
        let (Some(attempt), Some(standing)) = (&mut self.attempt, &self.standing) else {
            return self.farewell_done(turn);
        };
        attempt.removed.push(response.contact.clone());
        attempt.farewell_challenged = false;
        let memory = standing.memory();
        let removed = attempt.removed.clone();
        let known: Vec<&str> = removed.iter().map(String::as_str).collect();
        match self.strays(&contacts, &known).into_iter().next() {
            Some(uri) if removed.len() <= STRAYS => {
                self.standing = Some(Standing::Inherited(BindingMemory { contact: Some(uri), ..memory }));
                self.send_again(turn);
            }
            _ => self.farewell_done(turn),
        }
    }

    fn binding_of(
        &self,
        response: &Response,
        contacts: &[NameAddr<'_>],
        ours: Option<&NameAddr<'_>>,
        granted: u32,
        turn: &Turn<'_>,
    ) -> Box<Binding> {
        let uris = |name: &str| -> Vec<String> {
            let values = response.list(name);
            values.iter().filter_map(|value| NameAddr::parse(value)).map(|one| one.uri.to_owned()).collect()
        };
        let mut aors = uris("P-Associated-URI");
        if aors.is_empty() {
            aors.push(self.settings.aor.to_string());
        }
        let gruu = |name: &str| ours.and_then(|ours| ours.param(name)).map(str::to_owned);
        let others = contacts.iter().filter(|contact| !ours.is_some_and(|ours| std::ptr::eq(ours, *contact)));
        Box::new(Binding {
            contact: response.contact.clone(),
            aors,
            server: response.server.clone(),
            local: response.local,
            expires_at: turn.now + std::time::Duration::from_secs(u64::from(granted)),
            last_confirmed: turn.now,
            service_route: uris("Service-Route"),
            path: uris("Path"),
            public_gruu: gruu("pub-gruu"),
            temporary_gruu: gruu("temp-gruu"),
            other_bindings: others
                // `*` is none: it stands for all of them in a request.
                .filter(|contact| !self.has_our_token(contact) && contact.uri != "*")
                .map(|contact| contact.uri.to_owned())
                .collect(),
            keep_alive: false,
            tls_peer: response.tls_peer.clone(),
            flow_timer: response.number("Flow-Timer").and_then(|seconds| u32::try_from(seconds).ok()),
        })
    }

    /// The registrar has it.
    fn stand(&mut self, binding: Box<Binding>, granted: u32, rewritten: bool, turn: &mut Turn<'_>) {
        self.standing = Some(Standing::Known(binding));
        self.failures = 0;
        self.learnt.not_before = None;
        self.refused = None;
        if !self.wanted {
            return;
        }
        self.last_error = None;
        self.needs_secret = false;
        // The server sees us elsewhere than this Contact says: one more REGISTER with the right one.
        let pause =
            if rewritten { std::time::Duration::ZERO } else { timing::refresh_after(granted, turn.rng) };
        self.phase = Phase::Registered { degraded: None, next: turn.now + pause };
        self.keep_alive_as_set(turn);
    }

    /// Keeps the flow alive as the settings, the server and the NAT ask.
    pub(super) fn keep_alive_as_set(&mut self, turn: &mut Turn<'_>) {
        let Some(Standing::Known(binding)) = &mut self.standing else {
            return;
        };
        let behind_nat = self.flow.as_ref().is_some_and(|flow| flow.outside.is_some());
        let setting = self.settings.keepalive.unwrap_or(0);
        let wanted = timing::keep_alive(setting, binding.server.transport, binding.flow_timer, behind_nat);
        self.set_keep_alive(wanted, turn);
    }

    /// A 2xx with `expires=0` for ours: registered nothing, tried again no faster than back-off.
    fn granted_nothing(&mut self, response: &Response, turn: &mut Turn<'_>) {
        let error = LastError {
            kind: ErrorKind::Protocol,
            code: response.status,
            message: format!(
                "{} ({}) accepts the registration and lets it end at once.",
                response.server.host, response.server
            ),
            stage: Stage::Sip,
            at: turn.now,
        };
        self.standing = None;
        if let Some(attempt) = &mut self.attempt {
            attempt.note_failure(Reason::Backoff, error);
        }
        if self.wanted { self.attempt_failed(turn) } else { self.rest(turn) }
    }
}

fn granted_seconds(text: &str) -> u32 {
    leading_number(text).and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(MALFORMED)
}

/// RFC 3261 §19.1.4; what is no SIP URI is compared as text.
fn same_uri(one: &str, other: &str) -> bool {
    match (SipUri::parse(one), SipUri::parse(other)) {
        (Ok(one), Ok(other)) => one.equivalent(&other),
        _ => one == other,
    }
}

/// Can the URI stand in a request of ours? What a server lists may hold anything.
fn is_plain(uri: &str) -> bool {
    uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte))
}
