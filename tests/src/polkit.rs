//! Authorities for the private bus: the real polkitd with rules of the test's, and one that answers as the test
//! says, or not at all.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zbus::message::{Message, Type};
use zbus::{Connection, DynamicType, MessageStream, OwnedVariant};

use crate::PATIENCE;
use crate::bus::Bus;

const NAME: &str = "org.freedesktop.PolicyKit1";

/// A question that an authority was asked.
#[derive(Debug)]
pub struct Asked {
    /// The bus name it is about.
    pub name: String,
    /// `org.sipprofiles.use-shared` …
    pub action: String,
    /// What rules may look at.
    pub details: HashMap<String, String>,
    /// 1: a dialog may be shown.
    pub flags: u32,
    /// Names it where it is cancelled.
    pub id: String,
    call: Message,
}

/// An authority in the hands of the test. Dropped, it dies.
pub struct FakePolkit {
    connection: Connection,
    asked: mpsc::UnboundedReceiver<Asked>,
    cancelled: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FakePolkit {
    /// Takes polkit's name.
    pub async fn start(bus: &Bus) -> FakePolkit {
        let connection = bus.connect().await;
        let mut stream = MessageStream::from(&connection);
        connection.request_name(NAME).await.expect("root may own the name");
        let (tell, asked) = mpsc::unbounded_channel();
        let cancelled: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = cancelled.clone();
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.message_type() == Type::MethodCall {
                    note(message, &tell, &into);
                }
            }
        });
        FakePolkit { connection, asked, cancelled, task }
    }

    /// The next question.
    pub async fn next(&mut self) -> Asked {
        let next = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        next.expect("a question comes").expect("the listener goes on")
    }

    /// Is there no further question?
    pub fn is_idle(&mut self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// Answers; an honest answer is `((authorized, challenge, details),)`.
    pub async fn answer<B>(&self, asked: &Asked, body: &B)
    where
        B: serde::Serialize + DynamicType,
    {
        let reply = Message::method_return(&asked.call.header()).build(body).expect("it is well-formed");
        self.connection.send(&reply).await.expect("the bus lives");
    }

    /// Says yes or no.
    pub async fn say(&self, asked: &Asked, authorized: bool, challenge: bool) {
        let details = HashMap::<String, String>::new();
        self.answer(asked, &((authorized, challenge, details),)).await;
    }

    /// Answers with an error.
    pub async fn fail(&self, asked: &Asked, message: &str) {
        let error = Message::error(&asked.call.header(), "org.freedesktop.PolicyKit1.Error.Failed");
        let reply = error.build(&message).expect("it is well-formed");
        self.connection.send(&reply).await.expect("the bus lives");
    }

    /// Waits until the question is cancelled.
    pub async fn until_cancelled(&self, asked: &Asked) {
        let until = Instant::now() + PATIENCE;
        while !self.cancelled.lock().expect("no holder panics").contains(&asked.id) {
            assert!(Instant::now() < until, "{asked:?} was not cancelled");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for FakePolkit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(call: Message, tell: &mpsc::UnboundedSender<Asked>, cancelled: &Mutex<Vec<String>>) {
    type Question = ((String, HashMap<String, OwnedVariant>), String, HashMap<String, String>, u32, String);
    let body = call.body();
    match call.header().member().map(|member| member.as_str().to_owned()).as_deref() {
        Some("CheckAuthorization") => {
            let question: Question = body.deserialize().expect("a question in polkit's shape");
            let ((kind, subject), action, details, flags, id) = question;
            assert_eq!(kind, "system-bus-name", "never by pid");
            let name = crate::client::text(&subject["name"]);
            drop(body);
            let _ = tell.send(Asked { name, action, details, flags, id, call });
        }
        Some("CancelCheckAuthorization") => {
            let id: String = body.deserialize().expect("a cancellation id");
            cancelled.lock().expect("no holder panics").push(id);
        }
        other => panic!("polkit is called {other:?}"),
    }
}

/// The real polkitd, with our actions and the test's rules.
pub struct RealPolkit {
    daemon: Child,
}

impl RealPolkit {
    /// Starts polkitd with `rules`, JavaScript as in /etc/polkit-1/rules.d.
    pub async fn start(bus: &Bus, rules: &str) -> RealPolkit {
        Self::start_for(bus, "sip-profiles", rules).await
    }

    /// The same, with `service` in place of the user that the actions belong to.
    pub async fn start_for(bus: &Bus, service: &str, rules: &str) -> RealPolkit {
        let (actions, own_rules, none) = (bus.path("actions"), bus.path("rules"), bus.path("no-rules"));
        for directory in [&actions, &own_rules, &none] {
            fs::create_dir(directory).expect("our own directory");
        }
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../dbus/install/org.sipprofiles.policy");
        let policy = fs::read_to_string(shipped).expect("our actions are there");
        let policy = policy.replace("unix-user:sip-profiles", &format!("unix-user:{service}"));
        fs::write(actions.join("org.sipprofiles.policy"), policy).expect("our own directory");
        fs::write(own_rules.join("10-test.rules"), rules).expect("our own directory");
        // In a mount namespace of its own, where it finds these and no others.
        let script = "set -e; mount --bind \"$1\" /usr/share/polkit-1/actions; \
                      mount --bind \"$2\" /etc/polkit-1/rules.d; mount --bind \"$3\" /usr/share/polkit-1/rules.d; \
                      exec /usr/lib/polkit-1/polkitd --no-debug";
        let mut command = bus.command("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).args([&actions, &own_rules, &none]);
        let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let polkit = RealPolkit { daemon: daemon.expect("unshare is installed") };
        let connection = bus.connect().await;
        let dbus = Some("org.freedesktop.DBus");
        let until = Instant::now() + PATIENCE;
        loop {
            let reply =
                connection.call_method(dbus, "/org/freedesktop/DBus", dbus, "NameHasOwner", &NAME).await;
            if reply.expect("the bus lives").body().deserialize::<bool>().expect("NameHasOwner is b") {
                return polkit;
            }
            assert!(Instant::now() < until, "polkitd does not start: is the package polkitd installed?");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

impl Drop for RealPolkit {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
