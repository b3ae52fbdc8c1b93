//! A logind for the private bus: hands out delay inhibitors and says when the machine sleeps.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::task::JoinHandle;
use zbus::message::{Message, Type};
use zbus::{Connection, MessageStream};

use crate::PATIENCE;
use crate::bus::Bus;

const PATH: &str = "/org/freedesktop/login1";
const INTERFACE: &str = "org.freedesktop.login1.Manager";

/// An inhibitor that was given out.
#[derive(Debug)]
pub struct Inhibitor {
    /// `sleep`
    pub what: String,
    /// `delay`
    pub mode: String,
    ours: UnixStream,
}

impl Inhibitor {
    /// Was it closed?
    pub fn is_released(&self) -> bool {
        self.ours.set_nonblocking(true).expect("it is a socket");
        matches!((&self.ours).read(&mut [0]), Ok(0))
    }
}

/// A logind.
pub struct Logind {
    connection: Connection,
    given: Arc<Mutex<Vec<Inhibitor>>>,
    task: JoinHandle<()>,
}

impl Logind {
    /// Takes logind's name.
    pub async fn start(bus: &Bus) -> Logind {
        let connection = bus.connect().await;
        let given: Arc<Mutex<Vec<Inhibitor>>> = Arc::default();
        let mut stream = MessageStream::from(&connection);
        connection.request_name("org.freedesktop.login1").await.expect("root may own the name");
        let (at, desk) = (connection.clone(), given.clone());
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.message_type() == Type::MethodCall {
                    answer(&at, &message, &desk).await;
                }
            }
        });
        Logind { connection, given, task }
    }

    /// Tells everybody that the machine is about to sleep, or awake again.
    pub async fn prepare_for_sleep(&self, start: bool) {
        let sent = self.connection.emit_signal(None::<&str>, PATH, INTERFACE, "PrepareForSleep", &start);
        sent.await.expect("the bus takes signals");
    }

    /// Waits until `condition` holds of the inhibitors given out.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Inhibitor]) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !condition(&self.given.lock().expect("no holder panics")) {
            assert!(Instant::now() < until, "logind waited in vain for: {what}; it gave {:?}", self.given);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(connection: &Connection, call: &Message, desk: &Mutex<Vec<Inhibitor>>) {
    let header = call.header();
    let asked = call.body();
    let reply = match asked.deserialize::<(String, String, String, String)>() {
        Ok((what, _, _, mode)) if header.member().is_some_and(|member| member.as_str() == "Inhibit") => {
            let (theirs, ours) = UnixStream::pair().expect("a pair of sockets");
            desk.lock().expect("no holder panics").push(Inhibitor { what, mode, ours });
            let theirs = zbus::Fd::from(OwnedFd::from(theirs));
            Message::method_return(&header).build(&theirs)
        }
        _ => Message::error(&header, "org.freedesktop.DBus.Error.UnknownMethod")
            .build(&"this logind only inhibits"),
    };
    connection.send(&reply.expect("the reply is well-formed")).await.expect("the bus lives");
}
