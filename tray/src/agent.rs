//! The secret agent: the service asks here for passwords.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use sip_profiles::names;
use sip_profiles::proxy::Values;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use zbus::fdo::DBusProxy;
use zbus::message::Header;
use zbus::names::{BusName, ErrorName};
use zbus::{Connection, DBusError, Message as Wire, OwnedVariant, Variant, interface};

use crate::app::Message;
use crate::bus::{flag, string};
use crate::model::{Answer, Details, Event};

/// Where it is.
pub const PATH: &str = "/org/sipprofiles/agent";

const CANCELLED: &str = "org.sipprofiles.Error.Cancelled";
const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";
const FAILED: &str = "org.freedesktop.DBus.Error.Failed";

/// The object.
pub struct Agent {
    to: UnboundedSender<Message>,
    asked: AtomicU64,
}

impl Agent {
    /// Questions go to `to`.
    pub fn new(to: UnboundedSender<Message>) -> Self {
        Self { to, asked: AtomicU64::new(0) }
    }
}

#[interface(name = "org.sipprofiles.SecretAgent1")]
impl Agent {
    /// Asks the person; answers when they have.
    #[zbus(out_args("answer"))]
    async fn get_password(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        profile: zbus::ObjectPath<'_>,
        details: Values,
    ) -> Result<HashMap<String, OwnedVariant>, Refusal> {
        only_the_service(&header, connection).await?;
        let id = profile_id(&profile)?;
        let waiter = self.asked.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let details = Details {
            aor: string(&details, "aor"),
            display_name: string(&details, "display-name"),
            realm: string(&details, "realm"),
            server: string(&details, "server"),
            transport: string(&details, "transport"),
            refused: flag(&details, "refused"),
            ..Details::default()
        };
        let _ = self.to.send(Message::Waiter(waiter, answer));
        let _ = self.to.send(Message::Event(Event::Asked { waiter, profile: id, details }));
        let gone = Refusal(FAILED, String::from("The applet is about to end."));
        match answered.await.map_err(|_| gone)? {
            Answer::Password(secret, store) => {
                let password = Variant::from(secret.0.as_str().to_owned());
                let answer = [("password", password), ("store", Variant::from(store))];
                let owned = answer.into_iter().map(|(key, value)| {
                    let value = OwnedVariant::try_from(value).map_err(|error| broken(&error))?;
                    Ok((key.to_owned(), value))
                });
                owned.collect()
            }
            Answer::Cancelled => Err(Refusal(CANCELLED, String::from("The person said no."))),
            Answer::Withdrawn => Err(Refusal(FAILED, String::from("The question was taken back."))),
            Answer::Unavailable(why) => Err(Refusal(FAILED, why)),
        }
    }

    /// Nobody wants the answer any more.
    async fn cancel(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        profile: zbus::ObjectPath<'_>,
    ) -> Result<(), Refusal> {
        only_the_service(&header, connection).await?;
        let _ = self.to.send(Message::Event(Event::Withdrawn(profile_id(&profile)?)));
        Ok(())
    }
}

/// Passwords are for nobody else. The bus is asked each time: what we remember may be older than the call.
async fn only_the_service(header: &Header<'_>, connection: &Connection) -> Result<(), Refusal> {
    let denied = || Refusal(ACCESS_DENIED, String::from("Only org.sipprofiles may ask for passwords."));
    let name = BusName::try_from(names::BUS_NAME).map_err(|error| broken(&error))?;
    let bus = DBusProxy::new(connection).await.map_err(|_| denied())?;
    let owner = bus.get_name_owner(name).await.map_err(|_| denied())?;
    let is_owner = header.sender().is_some_and(|sender| sender.as_str() == owner.as_str());
    if is_owner { Ok(()) } else { Err(denied()) }
}

fn profile_id(path: &zbus::ObjectPath<'_>) -> Result<u32, Refusal> {
    let wrong = || Refusal(INVALID_ARGS, format!("{path} is no profile's object."));
    names::profile_id(path.as_str()).ok_or_else(wrong)
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    Refusal(FAILED, error.to_string())
}

/// An error reply: name and sentence.
#[derive(Debug)]
struct Refusal(&'static str, String);

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Wire> {
        Wire::error(call, self.name()).build(&self.1)
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str(self.0).expect("a constant of ours")
    }

    fn description(&self) -> Option<&str> {
        Some(&self.1)
    }
}
