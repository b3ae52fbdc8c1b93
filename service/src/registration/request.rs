//! One REGISTER (registration.md "One REGISTER").

use super::attempt::{Attempt, Purpose};
use super::digest;
use super::login::Login;
use super::machine::{Registration, Turn};
use super::timing;
use super::{Request, Target, Transport};
use crate::moment::Moment;
use crate::settings::{Settings, TransportChoice};

impl Registration {
    pub(super) fn asked_expires(&self, attempt: &Attempt) -> u32 {
        match attempt.purpose {
            Purpose::Register => attempt.settings.expires().max(self.learnt.min_expires.unwrap_or(0)),
            Purpose::Deregister | Purpose::RemoveStrays(_) => 0,
        }
    }

    /// The REGISTER of `attempt`, for `target`.
    pub(super) fn request(&mut self, attempt: &Attempt, target: &Target, turn: &mut Turn<'_>) -> Request {
        let settings = attempt.settings.clone();
        let uri = settings.request_uri().to_string();
        let supported = |option: &str| !self.learnt.refused_options.iter().any(|refused| refused == option);
        let outbound = supported("outbound");
        let mut contact_params = vec![format!("+sip.instance=\"<urn:uuid:{}>\"", self.identity.instance)];
        if outbound {
            contact_params.push(String::from("reg-id=1"));
        }
        let contact_uri = match &attempt.purpose {
            Purpose::RemoveStrays(uris) => {
                contact_params.clear();
                uris.first().cloned()
            }
            // Exactly what stands there, whatever flow it was registered over.
            Purpose::Deregister => {
                self.standing.as_ref().and_then(|standing| standing.contact().map(str::to_owned))
            }
            Purpose::Register => None,
        };
        contact_params.push(format!("expires={}", attempt.asked));
        if !attempt.removes_strays() {
            contact_params.extend(settings.contact_params.clone().unwrap_or_default());
        }

        let mut headers = vec![(String::from("Expires"), attempt.asked.to_string())];
        let options: Vec<_> = ["path", "outbound", "gruu"].into_iter().filter(|tag| supported(tag)).collect();
        if !options.is_empty() {
            headers.push((String::from("Supported"), options.join(", ")));
        }
        // A redirection takes the proxy's place (RFC 3261 §8.1.3.4): a Route to it would lead back.
        if let Some(proxy) = settings.outbound_proxy.as_ref().filter(|_| attempt.redirected.is_none()) {
            headers.push((String::from("Route"), route(proxy)));
        }
        headers.extend(self.authorize(&settings, &uri, turn));
        headers.extend(settings.headers.iter().flatten().filter_map(|header| {
            let (name, value) = header.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        }));

        let flow = self.flow.as_ref().filter(|flow| flow.server == *target);
        Request {
            uri,
            aor: settings.aor.to_string(),
            from_tag: self.from_tag.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            contact_user: self.identity.token.clone(),
            contact_secure: settings.aor.secure,
            contact_address: flow.and_then(|flow| flow.outside),
            contact_uri,
            contact_params,
            headers,
            may_switch_to_tcp: settings.transport() == TransportChoice::Auto
                && target.transport == Transport::Udp,
            timeout_millis: timeout_millis(attempt, turn.now),
        }
    }

    /// Credentials for every challenge so far, each nonce counted up (RFC 7616 §3.4).
    fn authorize(&mut self, settings: &Settings, uri: &str, turn: &mut Turn<'_>) -> Vec<(String, String)> {
        let Some(password) = settings.password.as_ref().or(self.asking.lent()) else {
            return Vec::new();
        };
        let user = settings.auth_user();
        let fits =
            |login: &&mut Login| settings.realm.as_ref().is_none_or(|only| *only == login.challenge.realm);
        let header = |login: &mut Login| {
            login.count = login.count.saturating_add(1);
            let name = if login.proxy { "Proxy-Authorization" } else { "Authorization" };
            let login_now = digest::Login { user: &user, password, uri, count: login.count };
            (name.to_owned(), digest::credentials(&login.challenge, &login_now, turn.rng))
        };
        self.logins.iter_mut().filter(fits).map(header).collect()
    }
}

fn timeout_millis(attempt: &Attempt, now: Moment) -> u64 {
    let patience = attempt.deadline.map_or(timing::PATIENCE, |deadline| deadline.since(now));
    u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)
}

/// An outbound proxy as a loose Route (RFC 3261 §8.1.2, §16.4).
fn route(proxy: &crate::settings::SipUri) -> String {
    if proxy.param("lr").is_some() { format!("<{proxy}>") } else { format!("<{proxy};lr>") }
}
