//! The one task that owns the state: messages in, the model's effects out to the edges.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use sip_profiles::names;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zbus::Connection;

use crate::bus::{self, Service};
use crate::model::{Answer, Effect, Event, Failure, Model, News, View};
use crate::notify::{self, Order};
use crate::tray::{self, Item, Shown};
use crate::wishes::Wishes;
use crate::{children, text};

/// The panel is told at most four times a second.
const SHOW: Duration = Duration::from_millis(250);

/// What comes in.
pub enum Message {
    /// For the model.
    Event(Event),
    /// Who waits for the answer of that number.
    Waiter(u64, oneshot::Sender<Answer>),
    /// A connection to the service's bus.
    Connected(Connection),
    /// It is lost.
    Disconnected,
    /// The item is on the bus.
    Tray(ksni::Handle<Item>),
    /// The session is over.
    End,
}

/// What is known apart from the model: the edges.
pub struct App {
    session: bool,
    model: Model,
    begun: Instant,
    to: UnboundedSender<Message>,
    notes: UnboundedSender<Order>,
    wishes: Wishes,
    service: Option<Service>,
    waiters: HashMap<u64, oneshot::Sender<Answer>>,
    window: Option<oneshot::Sender<()>>,
    asking: Option<JoinHandle<()>>,
    tray: Option<Shown>,
    shown: View,
    show_at: Instant,
    ends: bool,
}

impl App {
    /// Runs until the person quits, or the session ends.
    pub async fn run(desktop: Connection, session: bool, patience: Duration) -> std::io::Result<()> {
        let (to, messages) = unbounded_channel();
        let wishes = Wishes::new(session);
        let wished = wishes.load().unwrap_or_else(|error| {
            eprintln!("sip-profiles-tray: the wishes are not read: {error}");
            let _ = to.send(Message::Event(Event::Failed(None, text::forgotten(&error.to_string()))));
            BTreeSet::new()
        });
        tokio::spawn(watch_end(desktop.clone(), to.clone()));
        tokio::spawn(tray::appear(desktop.clone(), to.clone()));
        tokio::spawn(bus::follow(session, to.clone()));
        let app = App {
            session,
            model: Model::new(wished, patience),
            begun: Instant::now(),
            notes: notify::start(desktop, to.clone()),
            to,
            wishes,
            service: None,
            waiters: HashMap::new(),
            window: None,
            asking: None,
            tray: None,
            shown: View::default(),
            show_at: Instant::now(),
            ends: false,
        };
        app.turn(messages).await
    }

    async fn turn(mut self, mut messages: UnboundedReceiver<Message>) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        while !self.ends {
            let tick = self.model.deadline().map(|at| self.begun + at);
            let show = (self.tray.is_some() && self.model.view() != self.shown).then_some(self.show_at);
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.take(message),
                    None => break,
                },
                () = until(tick) => self.happen(Event::Tick),
                () = until(show) => self.show(),
                _ = terminate.recv() => self.quit(),
                _ = interrupt.recv() => self.quit(),
            }
        }
        // A window without us would ask for nobody.
        if let Some(asking) = self.asking.take() {
            let _ = tokio::time::timeout(SHOW, asking).await;
        }
        // The panel is told, so that no row can be clicked any more.
        if let Some(tray) = self.tray.take() {
            let _ = tokio::time::timeout(SHOW, tray.close()).await;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => {
                // The panel has drawn the click already; the next view, equal or not, is the service's answer.
                if matches!(event, Event::Clicked(..)) {
                    self.shown = View { summary: String::new(), ..View::default() };
                }
                self.happen(event);
            }
            Message::Waiter(number, answer) => {
                self.waiters.insert(number, answer);
            }
            Message::Connected(connection) => self.service = Some(Service::new(connection)),
            Message::Disconnected => {
                self.service = None;
                self.happen(Event::Down { ever: true });
            }
            Message::Tray(handle) => {
                self.tray = Some(Shown::new(handle));
                self.shown = View::default();
            }
            Message::End => self.quit(),
        }
    }

    fn quit(&mut self) {
        self.happen(Event::Clicked(crate::model::Click::Quit, None));
    }

    fn happen(&mut self, event: Event) {
        let now = self.begun.elapsed();
        for effect in self.model.handle(event, now) {
            self.carry_out(effect);
        }
    }

    fn show(&mut self) {
        let view = self.model.view();
        if let Some(tray) = &self.tray {
            tray.show(view.clone());
        }
        self.shown = view;
        self.show_at = Instant::now() + SHOW;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Tell(note) => drop(self.notes.send(Order::Tell(note))),
            Effect::Untell(subject) => drop(self.notes.send(Order::Untell(subject))),
            Effect::Save(wishes) => {
                if let Err(error) = self.wishes.save(wishes) {
                    eprintln!("sip-profiles-tray: the wishes are not saved: {error}");
                    self.happen(Event::Failed(None, text::not_remembered(&error.to_string())));
                }
            }
            Effect::Editor(profile, token) => self.edit(profile, token),
            Effect::OpenPrompt(number, details, token) => {
                let (close, closed) = oneshot::channel();
                self.window = Some(close);
                let to = self.to.clone();
                let task = tokio::spawn(async move {
                    let outcome = children::ask(details, token, closed).await;
                    let _ = to.send(Message::Event(Event::Closed(number, outcome)));
                });
                self.asking = Some(task);
            }
            // Its sender's end is the sign.
            Effect::ClosePrompt => self.window = None,
            Effect::Answer(number, answer) => {
                if let Some(waiter) = self.waiters.remove(&number) {
                    // It may have given up.
                    let _ = waiter.send(answer);
                }
            }
            Effect::Quit => self.ends = true,
            call => self.call(call),
        }
    }

    fn edit(&self, profile: Option<u32>, token: Option<String>) {
        let (session, to) = (self.session, self.to.clone());
        tokio::spawn(async move {
            if !children::edit(session, profile.map(names::profile_path), token).await {
                let _ = to.send(Message::Event(Event::Failed(profile, text::no_editor())));
            }
        });
    }

    /// A call of the service. The tasks send in the order in which they are spawned: there is one thread.
    fn call(&self, call: Effect) {
        let Some(service) = self.service.clone() else { return };
        let to = self.to.clone();
        tokio::spawn(async move {
            let failed = |id| {
                move |result: Result<(), Failure>| match result {
                    Err(failure) if !failure.passing => Some(Event::Failed(Some(id), failure.message)),
                    _ => None,
                }
            };
            let event = match call {
                Effect::Start => (!service.start().await).then_some(Event::NotStarted),
                Effect::Greet(number, wished) => {
                    let answer = service.greet(wished, &to).await;
                    Some(Event::Read(number, answer))
                }
                Effect::Enable(id) => Some(Event::Switched(id, true, service.enable(id).await)),
                Effect::Disable(id) => Some(Event::Switched(id, false, service.disable(id).await)),
                Effect::Refresh(id) => failed(id)(service.refresh(id).await),
                Effect::AutoRegisterOff(id) => failed(id)(service.auto_register_off(id).await),
                Effect::SetDefault(id) => {
                    let event = failed(id)(service.set_default(id).await);
                    if event.is_some() {
                        let default = service.default_profile().await;
                        let _ = to.send(Message::Event(Event::News(News::Default(default))));
                    }
                    event
                }
                Effect::SetPassword(id, secret, enable) => {
                    failed(id)(service.set_password(id, secret, enable).await)
                }
                _ => None,
            };
            if let Some(event) = event {
                let _ = to.send(Message::Event(event));
            }
        });
    }
}

/// That moment; never, without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The session's bus ends with the session, and so do we.
async fn watch_end(desktop: Connection, to: UnboundedSender<Message>) {
    use futures_util::StreamExt;
    let mut stream = zbus::MessageStream::from(&desktop);
    while let Some(Ok(_)) = stream.next().await {}
    let _ = to.send(Message::End);
}
