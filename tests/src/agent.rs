//! A secret agent as a program of any language would be one: plain messages, answers from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::StreamExt;
use tokio::task::JoinHandle;
use zbus::message::{Message, Type};
use zbus::{Connection, MessageStream, ObjectPath, OwnedObjectPath};

use crate::PATIENCE;
use crate::bus::Bus;
use crate::client::{Dict, Map};

const PATH: &str = "/org/example/agent";

/// What the agent does with the next question.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Answers with this password, and whether it is to be stored.
    Password(&'static str, bool),
    /// The person says no.
    Cancelled,
    /// Answers with that error.
    Fails(&'static str),
    /// Does not answer.
    Silence,
}

/// What the agent was told.
#[derive(Clone, Debug)]
pub enum Told {
    /// GetPassword: about which profile, and the details.
    Question(String, Map),
    /// Cancel: about which profile.
    Cancel(String),
}

/// A running agent.
pub struct Agent {
    /// Its bus connection.
    pub connection: Connection,
    told: Arc<Mutex<Vec<Told>>>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Registers one; past the end of `script` it is silent.
    pub async fn start(bus: &Bus, script: impl IntoIterator<Item = Reaction>) -> Agent {
        let connection = bus.connect().await;
        let told: Arc<Mutex<Vec<Told>>> = Arc::default();
        let mut stream = MessageStream::from(&connection);
        let (at, into) = (connection.clone(), told.clone());
        let mut script: VecDeque<Reaction> = script.into_iter().collect();
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.message_type() == Type::MethodCall
                    && let Some(reply) = react(&message, &into, &mut script)
                {
                    at.send(&reply).await.expect("the bus lives");
                }
            }
        });
        let (path, options) = (ObjectPath::try_from(PATH).expect("a path"), Dict::new());
        let registry = Some("org.sipprofiles.Registry1");
        let service = Some("org.sipprofiles");
        connection
            .call_method(service, "/org/sipprofiles", registry, "RegisterSecretAgent", &(path, options))
            .await
            .expect("agents are taken");
        Agent { connection, told, task }
    }

    /// What it was told so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().expect("no holder panics").clone()
    }

    /// The questions it was asked so far.
    pub fn questions(&self) -> Vec<Map> {
        let questions = self.told().into_iter().filter_map(|told| match told {
            Told::Question(_, details) => Some(details),
            Told::Cancel(_) => None,
        });
        questions.collect()
    }

    /// Waits until `condition` holds of what it was told.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Told]) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !condition(&self.told()) {
            assert!(Instant::now() < until, "the agent waited in vain for: {what}; {:?}", self.told());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn react(call: &Message, told: &Mutex<Vec<Told>>, script: &mut VecDeque<Reaction>) -> Option<Message> {
    let header = call.header();
    let member = header.member()?.to_string();
    let body = call.body();
    let mut told = told.lock().expect("no holder panics");
    if member == "Cancel" {
        let path = body.deserialize::<OwnedObjectPath>().expect("Cancel has a path");
        told.push(Told::Cancel(path.to_string()));
        return Some(Message::method_return(&header).build(&()).expect("well-formed"));
    }
    assert_eq!(member, "GetPassword");
    let (path, details) = body.deserialize::<(OwnedObjectPath, Map)>().expect("the contract's arguments");
    told.push(Told::Question(path.to_string(), details));
    let reply = match script.pop_front().unwrap_or(Reaction::Silence) {
        Reaction::Password(password, store) => {
            let answer = Dict::from([("password", password.into()), ("store", store.into())]);
            Message::method_return(&header).build(&answer)
        }
        Reaction::Cancelled => Message::error(&header, "org.sipprofiles.Error.Cancelled").build(&"no"),
        Reaction::Fails(name) => Message::error(&header, name).build(&"it cannot"),
        Reaction::Silence => return None,
    };
    Some(reply.expect("well-formed"))
}
