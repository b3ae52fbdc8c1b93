//! The bus room: messages in, commands out; replies and signals back.
//!
//! The messages are served by ourselves and not by the library's object server, for three rules of the contract
//! that it cannot keep: what exists depends on who asks (Introspect and ObjectManager included), calls of one
//! client are handled in their order, and a reply leaves before the signals that its call caused.

pub mod agents;
mod clients;
pub mod daemon;
mod fault;
mod introspect;
mod parse;
pub mod polkit;
mod render;
mod value;
mod wall;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use clients::{Arrival, Clients};
use fault::Fault;
use futures_util::StreamExt;
use parse::{Node, Request, Shape};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};
pub use wall::Wall;
use zbus::message::{Flags, Message, Type};
use zbus::{Connection, MessageStream};

use crate::registration::SecretQuestion;
use crate::registry::call::{Answer, Caller, Name, Ticket};
use crate::registry::effect::{Audience, Signal};
use crate::registry::rights::Question;
use crate::registry::{Command, Registry};
use crate::settings::Settings;

/// dbus-daemon stops reading from a connection of which 127 MB wait in other clients' queues: one client that never
/// reads could keep the service from all others, for as long as it likes. What a new connection says is counted anew,
/// so after that time the service makes way for a successor, which takes over holds and bindings.
const STALL: Duration = Duration::from_secs(5);

/// Our side of the message bus.
pub struct Bus {
    connection: Connection,
    stream: MessageStream,
    clients: Clients<Message>,
    identities: (mpsc::Sender<Identity>, mpsc::Receiver<Identity>),
    answers: (mpsc::Sender<agents::Answered>, mpsc::Receiver<agents::Answered>),
    owed: HashMap<Ticket, Owed>,
    verdicts: (mpsc::Sender<polkit::Judged>, mpsc::Receiver<polkit::Judged>),
    last_ticket: Ticket,
    outbox: Vec<Message>,
    wall: Wall,
}

/// A reply that is owed.
struct Owed {
    call: Message,
    shape: Shape,
    /// Polkit is being asked about its sender; dropped, the question is withdrawn.
    question: Option<oneshot::Sender<()>>,
}

/// The answer to "who is that name?".
pub struct Identity {
    name: Name,
    caller: Option<Caller>,
}

/// What the bus brings.
pub enum Arrived {
    /// A message.
    Message(Message),
    /// Who a name is.
    Identity(Identity),
    /// What a secret agent says.
    Answered(agents::Answered),
    /// What polkit says.
    Judged(polkit::Judged),
    /// The connection has ended.
    Closed,
}

/// What is to be looked at, in order.
pub enum Incoming {
    /// A call by a client that the bus has vouched for.
    Call(Caller, Message),
    /// A bus name went.
    Gone(Name),
    /// A secret agent has answered.
    Answered(agents::Answered),
    /// Polkit has answered for a call.
    Judged(polkit::Judged),
}

impl Bus {
    /// Starts listening on `connection`: names that go are reported from here on.
    pub async fn listen(connection: Connection, wall: Wall) -> zbus::Result<Self> {
        let stream = MessageStream::from(&connection);
        daemon::watch_names(&connection).await?;
        Ok(Self {
            connection,
            stream,
            clients: Clients::default(),
            identities: mpsc::channel(64),
            answers: mpsc::channel(16),
            owed: HashMap::new(),
            verdicts: mpsc::channel(64),
            last_ticket: 0,
            outbox: Vec::new(),
            wall,
        })
    }

    /// The connection, for questions to the bus itself. Such a question must not be awaited by the task that
    /// serves: nobody would empty the stream meanwhile.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The wall clock was set.
    pub fn set_wall(&mut self, wall: Wall) {
        self.wall = wall;
    }

    /// A client of a predecessor that still lives.
    pub fn adopt(&mut self, caller: &Caller) {
        self.clients.adopt(caller);
    }

    /// What comes next. Cancel-safe.
    pub async fn next(&mut self) -> Arrived {
        tokio::select! {
            message = self.stream.next() => match message {
                Some(Ok(message)) => Arrived::Message(message),
                Some(Err(error)) => {
                    warn!("the bus connection failed: {error}");
                    Arrived::Closed
                }
                None => Arrived::Closed,
            },
            Some(identity) = self.identities.1.recv() => Arrived::Identity(identity),
            Some(answered) = self.answers.1.recv() => Arrived::Answered(answered),
            Some(judged) = self.verdicts.1.recv() => Arrived::Judged(judged),
        }
    }

    /// Sorts what arrived: at most one incoming thing for a message, several when a name became known.
    pub fn sort(&mut self, arrived: Arrived) -> VecDeque<Incoming> {
        match arrived {
            Arrived::Message(message) => self.sort_message(message).into_iter().collect(),
            Arrived::Identity(Identity { name, caller }) => {
                let identity = caller.map(|caller| (caller.uid, caller.pid));
                let (caller, calls) = self.clients.identified(&name, identity);
                match caller {
                    Some(caller) => {
                        calls.into_iter().map(|call| Incoming::Call(caller.clone(), call)).collect()
                    }
                    None => {
                        for call in calls {
                            let name = "org.freedesktop.DBus.Error.AccessDenied";
                            self.refuse(&call, &Fault::new(name, "The bus does not say whose call this is."));
                        }
                        VecDeque::new()
                    }
                }
            }
            Arrived::Answered(answered) => VecDeque::from([Incoming::Answered(answered)]),
            Arrived::Judged(judged) => VecDeque::from([Incoming::Judged(judged)]),
            Arrived::Closed => VecDeque::new(),
        }
    }

    fn sort_message(&mut self, message: Message) -> Option<Incoming> {
        match message.message_type() {
            Type::Signal => {
                let name = daemon::lost_name(&message)?;
                self.clients.gone(&name);
                self.owed.retain(|_, owed| owed.call.header().sender().is_none_or(|sender| *sender != *name));
                Some(Incoming::Gone(name))
            }
            Type::MethodCall if parse::is_peer(&message) => {
                self.serve_peer(&message);
                None
            }
            Type::MethodCall => {
                let name = Name::from(message.header().sender()?.as_str());
                match self.clients.arrived(&name, message) {
                    Arrival::Deliver(caller, message) => return Some(Incoming::Call(caller, message)),
                    Arrival::Refuse(message) => {
                        self.refuse(&message, &Fault::too_many_calls(clients::WAITING_CALLS));
                    }
                    Arrival::Ask => self.ask_who(name),
                    Arrival::Waits => {}
                }
                None
            }
            _ => None,
        }
    }

    fn ask_who(&self, name: Name) {
        let (connection, answers) = (self.connection.clone(), self.identities.0.clone());
        tokio::spawn(async move {
            let caller = daemon::identify(&connection, &name).await;
            // Fails only when the service is ending, and then nobody asks any more.
            let _ = answers.send(Identity { name, caller }).await;
        });
    }

    /// Turns a call into a command, or answers it here.
    pub fn dispatch(&mut self, caller: Caller, call: Message, registry: &Registry) -> Option<Command> {
        match self.understand(&caller, &call, registry) {
            Err(fault) => {
                self.refuse(&call, &fault);
                None
            }
            Ok((node, Request::Introspect)) => {
                let text = introspect::describe(node, registry.visible_ids(caller.uid));
                self.post(&call, render::text(&call.header(), &text));
                None
            }
            Ok((_, Request::Call(request, shape))) => {
                self.last_ticket += 1;
                let interactive = call.primary_header().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
                self.owed.insert(self.last_ticket, Owed { call, shape, question: None });
                Some(Command::Call { caller, call: request, ticket: self.last_ticket, interactive })
            }
            Ok((_, Request::Ping | Request::MachineId)) => None,
        }
    }

    fn understand(
        &self,
        caller: &Caller,
        call: &Message,
        registry: &Registry,
    ) -> Result<(Node, Request), Fault> {
        let header = call.header();
        let path = header.path().map(|path| path.as_str()).unwrap_or_default();
        let node = Node::at(path).ok_or_else(|| Fault::object(path))?;
        if let Node::Profile(id) = node
            && !registry.sees(caller.uid, id)
        {
            return Err(Fault::object(path));
        }
        Ok((node, parse::parse(node, call)?))
    }

    fn serve_peer(&mut self, call: &Message) {
        match parse::parse_peer(call) {
            Ok(Request::MachineId) => match machine_id() {
                Some(id) => self.post(call, render::text(&call.header(), &id)),
                None => {
                    let fault = Fault::new("org.freedesktop.DBus.Error.Failed", "There is no machine id.");
                    self.refuse(call, &fault);
                }
            },
            Ok(_) => self.post(call, render::done(&call.header())),
            Err(fault) => self.refuse(call, &fault),
        }
    }

    /// Answers the call `ticket`.
    pub fn reply(&mut self, ticket: Ticket, answer: Answer) {
        let Some(Owed { call, shape, .. }) = self.owed.remove(&ticket) else {
            return;
        };
        match answer {
            Ok(reply) => {
                let message = render::reply(&call.header(), shape, &reply, &self.wall);
                self.post(&call, message);
            }
            Err(error) => self.refuse(&call, &Fault::from(error)),
        }
    }

    /// Asks polkit about the sender of a call.
    pub fn authorize(&mut self, question: Question) {
        let ticket = question.ticket;
        let Some(owed) = self.owed.get_mut(&ticket) else {
            return;
        };
        let (withdraw, withdrawn) = oneshot::channel();
        owed.question = Some(withdraw);
        let (call, verdicts) = (owed.call.clone(), self.verdicts.0.clone());
        let answer = polkit::ask(self.connection.clone(), call, question, withdrawn);
        tokio::spawn(async move {
            if let Some(verdict) = answer.await {
                // Fails only when the service is ending, and then nobody waits any more.
                let _ = verdicts.send(polkit::Judged { ticket, verdict }).await;
            }
        });
    }

    /// Nobody waits for that answer any more.
    pub fn withdraw(&mut self, ticket: Ticket) {
        if let Some(owed) = self.owed.get_mut(&ticket) {
            owed.question = None;
        }
    }

    /// Emits a signal.
    pub fn signal(&mut self, audience: &Audience, signal: &Signal) {
        let messages: Vec<_> = match audience {
            Audience::Everybody => vec![render::signal(signal, None, &self.wall)],
            Audience::Sessions(names) => {
                names.iter().map(|name| render::signal(signal, Some(name), &self.wall)).collect()
            }
        };
        for message in messages {
            match message {
                Ok(message) => self.outbox.push(message),
                Err(error) => warn!("a signal could not be written: {error}"),
            }
        }
    }

    /// Asks a secret agent; its answer arrives as [`Incoming::Answered`].
    pub fn ask(&self, at: agents::At, number: u64, profile: u32, about: (&Settings, &SecretQuestion)) {
        agents::ask(&self.connection, at, number, profile, about, self.answers.0.clone());
    }

    fn refuse(&mut self, call: &Message, fault: &Fault) {
        debug!("refused a call: {}", fault.name);
        self.post(call, render::fault(&call.header(), fault));
    }

    fn post(&mut self, call: &Message, message: render::Result<Message>) {
        if call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED) {
            return;
        }
        match message {
            Ok(message) => self.outbox.push(message),
            Err(error) => warn!("a reply could not be written: {error}"),
        }
    }

    /// Sends what was said so far, in that order. An error where the bus takes nothing for some seconds.
    pub async fn flush(&mut self) -> zbus::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let messages = std::mem::take(&mut self.outbox);
        match tokio::time::timeout(STALL, self.connection.send_all(&messages)).await {
            Ok(sent) => sent,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it takes no messages; some client leaves too many unread, a successor starts with none",
            ))?,
        }
    }

    /// Does no call wait to be looked at?
    pub fn is_quiet(&self) -> bool {
        self.clients.is_quiet()
    }
}

fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .into_iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .filter(|id| id.len() == 32)
}
