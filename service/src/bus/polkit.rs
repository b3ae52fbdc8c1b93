//! What we ask of polkit: may the sender of this call do that?
//!
//! Every failure is a no that says why: polkit missing, dead, slow, or not making sense. A question that nobody
//! waits for any more, or that took too long, is cancelled, so that no dialog stays on anybody's screen.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;
use zbus::Connection;
use zbus::message::Message;
use zbus::proxy::CacheProperties;
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use crate::registry::call::Ticket;
use crate::registry::rights::{Question, Verdict};

/// How long polkit may take where it asks nobody.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long it may take where a person types a password.
const PATIENCE_WITH_DIALOG: Duration = Duration::from_secs(120);

/// What polkit says about the caller of a call.
pub struct Judged {
    /// The call that waits.
    pub ticket: Ticket,
    /// What it says.
    pub verdict: Verdict,
}

/// Asks `question` about the sender of `call`. `None`: nobody wants to know any more.
pub async fn ask(
    connection: Connection,
    call: Message,
    question: Question,
    mut withdrawn: oneshot::Receiver<()>,
) -> Option<Verdict> {
    let patience = if question.interactive { PATIENCE_WITH_DIALOG } else { PATIENCE };
    let builder = AuthorityProxy::builder(&connection).cache_properties(CacheProperties::No);
    let polkit = match builder.build().await {
        Ok(polkit) => polkit,
        Err(error) => return Some(Verdict::Failed(because(&error))),
    };
    let id = format!("sip-profiles-{}", question.ticket);
    let verdict = tokio::select! {
        _ = &mut withdrawn => None,
        answer = tokio::time::timeout(patience, check(&polkit, &call, &question, &id)) => match answer {
            Ok(verdict) => return Some(verdict),
            Err(_) => Some(Verdict::Failed(format!("it did not answer within {} s", patience.as_secs()))),
        },
    };
    // Not awaited: a polkit that hangs does not answer this either.
    tokio::spawn(async move {
        let _ = tokio::time::timeout(PATIENCE, polkit.cancel_check_authorization(&id)).await;
    });
    verdict
}

async fn check(polkit: &AuthorityProxy<'_>, call: &Message, question: &Question, id: &str) -> Verdict {
    let subject = match Subject::new_for_message_header(&call.header()) {
        Ok(subject) => subject,
        Err(error) => return Verdict::Failed(format!("the caller has no bus name: {error}")),
    };
    let flags = match question.interactive {
        true => CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
        false => CheckAuthorizationFlags::empty(),
    };
    let (mut details, number) = (HashMap::new(), question.about.as_ref().map(|(id, _)| id.to_string()));
    if let (Some((_, aor)), Some(number)) = (&question.about, &number) {
        details.insert("profile", number.as_str());
        details.insert("aor", aor.as_str());
    }
    match polkit.check_authorization(&subject, question.action.id(), &details, flags, id).await {
        Ok(result) if result.is_authorized => Verdict::Granted,
        Ok(result) if result.details.contains_key("polkit.dismissed") => Verdict::Refused,
        Ok(result) if result.is_challenge => Verdict::Challenge,
        Ok(_) => Verdict::Refused,
        Err(error) => Verdict::Failed(because(&error)),
    }
}

fn because(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, Some(text), _) => format!("{}: {text}", name.as_str()),
        error => error.to_string(),
    }
}
