//! Everything that passes over a bus, as one with the right to look sees it (BecomeMonitor).

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tokio::task::JoinHandle;
use zbus::message::{Message, Type};
use zbus::{Connection, MessageStream};

use crate::bus::Bus;

/// A running monitor.
pub struct Monitor {
    _connection: Connection,
    passed: Arc<Mutex<Vec<Message>>>,
    task: JoinHandle<()>,
}

impl Monitor {
    /// Starts to look.
    pub async fn start(bus: &Bus) -> Monitor {
        let connection = bus.connect().await;
        let passed: Arc<Mutex<Vec<Message>>> = Arc::default();
        let mut stream = MessageStream::from(&connection);
        let into = passed.clone();
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                into.lock().expect("no holder panics").push(message);
            }
        });
        let (path, monitoring) = ("/org/freedesktop/DBus", Some("org.freedesktop.DBus.Monitoring"));
        let everything: (&[&str], u32) = (&[], 0);
        connection
            .call_method(Some("org.freedesktop.DBus"), path, monitoring, "BecomeMonitor", &everything)
            .await
            .expect("root may look");
        Monitor { _connection: connection, passed, task }
    }

    /// What has passed so far, in order.
    pub fn passed(&self) -> Vec<Message> {
        self.passed.lock().expect("no holder panics").clone()
    }

    /// Waits until a call of `member` has passed.
    pub async fn until_call(&self, member: &str) {
        let is_it = |message: &Message| {
            let header = message.header();
            message.message_type() == Type::MethodCall && header.member().is_some_and(|it| it == member)
        };
        let until = std::time::Instant::now() + crate::PATIENCE;
        while !self.passed().iter().any(is_it) {
            assert!(std::time::Instant::now() < until, "no call of {member} passes");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
