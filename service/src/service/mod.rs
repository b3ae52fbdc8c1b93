//! The one task that owns the registry: it takes what happens from every edge, has it decided, and carries the
//! decision out.

mod start;

use std::time::Duration;

use sip_profiles::names::BUS_NAME;
use start::harden;
pub use start::{ServiceError, Setup};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tracing::{debug, error, info};

use crate::bus::agents::{self, Answered, At};
use crate::bus::polkit::Judged;
use crate::bus::{Arrived, Bus, Incoming, Wall, daemon};
use crate::clock::{self, Alarm, ClockWatch};
use crate::lifetime::exit::{Exit, Lingering, Step};
use crate::lifetime::journal::Journal;
use crate::network::NetworkWatch;
use crate::network::sleep::{self, Sleep, SleepWatch};
use crate::registration::{Input, Output};
use crate::registry::effect::Write;
use crate::registry::{Command, Effect, Registry};
use crate::sip::{Edge, News};
use crate::store::Store;

/// Runs the service until it ends.
pub fn run_to_end(setup: Setup) -> Result<(), ServiceError> {
    harden();
    let result = run(async {
        let (mut service, first) = Service::start(&setup).await?;
        service.carry_out(first).await?;
        service.serve().await
    });
    if matches!(result, Err(ServiceError::Bus(_))) {
        // Nothing of the old connection is left, and a bus that had stopped reading from it must notice that.
        let noticed = run(async { Ok(tokio::time::timeout(FAREWELL, daemon::knock(setup.session)).await) });
        debug!("the bus was told of the end: {noticed:?}");
    }
    result
}

/// How long an end in disorder may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs `work` to its end; tasks that it started end with it.
fn run<T>(work: impl Future<Output = Result<T, ServiceError>>) -> Result<T, ServiceError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

struct Service {
    registry: Registry,
    bus: Bus,
    edge: Edge,
    news: mpsc::UnboundedReceiver<News>,
    store: Option<Store>,
    journal: Journal,
    alarm: Alarm,
    clock: ClockWatch,
    network: NetworkWatch,
    sleep: SleepWatch,
    signals: Signals,
    exit: Exit,
    proofs: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
}

/// What happened.
enum Happened {
    Bus(Arrived),
    Sip(News),
    Alarm,
    ClockSet,
    Network,
    Sleep(sleep::News),
    Terminate,
    Restart,
    Proved,
}

impl Service {
    async fn serve(&mut self) -> Result<(), ServiceError> {
        loop {
            let lingering = Lingering {
                needed: self.registry.is_needed(),
                busy: !self.bus.is_quiet(),
                asking: self.registry.is_asking(),
                registered: self.registry.is_registered_anywhere(),
            };
            match self.exit.look(lingering, clock::now()) {
                Step::Serve => {}
                Step::Farewell => self.apply(Command::Shutdown).await?,
                Step::Drain => self.drain(),
                Step::Leave { successor } => return self.leave(successor).await,
            }
            if self.sleep.delays() && !self.registry.awaits_answers() {
                self.sleep.ready();
            }
            let wakeups = [self.registry.wakeup(), self.exit.wakeup(), self.sleep.wakeup()];
            self.alarm.set(wakeups.into_iter().flatten().min())?;
            match self.happens().await? {
                Happened::Bus(Arrived::Closed) => return Err(ServiceError::BusClosed),
                Happened::Bus(arrived) => self.arrived(arrived).await?,
                Happened::Sip(News::Registration { profile, input }) => {
                    if matches!(input, Input::Resolved { result: Err(_), .. }) {
                        self.network.watch_resolver();
                    }
                    self.apply(Command::Registration { profile, input }).await?;
                }
                Happened::Alarm => {
                    if self.sleep.wakeup().is_some_and(|until| until <= clock::now()) {
                        self.sleep.ready();
                    }
                    self.apply(Command::Tick).await?;
                }
                Happened::ClockSet => {
                    self.bus.set_wall(Wall::new(clock::now(), clock::wall_millis()));
                    self.apply(Command::ClockSet).await?;
                    let sleep = self.sleep.clock_set(clock::slept());
                    self.slept(sleep).await?;
                }
                Happened::Network => self.network_changed().await?,
                Happened::Sleep(news) => {
                    let sleep = self.sleep.note(news, clock::slept(), clock::now());
                    self.slept(sleep).await?;
                }
                Happened::Terminate => {
                    if self.exit.terminate(clock::now()) == Step::Farewell {
                        info!("asked to end: de-registering");
                        self.apply(Command::Shutdown).await?;
                    }
                }
                Happened::Restart => {
                    info!("asked to make way for a successor: bindings and holds stay");
                    return self.apply(Command::HandOver).await;
                }
                Happened::Proved => self.exit.proved(),
            }
        }
    }

    async fn happens(&mut self) -> Result<Happened, ServiceError> {
        Ok(tokio::select! {
            arrived = self.bus.next() => Happened::Bus(arrived),
            Some(news) = self.news.recv() => Happened::Sip(news),
            rang = self.alarm.rang() => rang.map(|()| Happened::Alarm)?,
            set = self.clock.set() => set.map(|()| Happened::ClockSet)?,
            () = self.network.changed() => Happened::Network,
            news = self.sleep.told() => Happened::Sleep(news),
            _ = self.signals.terminate.recv() => Happened::Terminate,
            _ = self.signals.interrupt.recv() => Happened::Terminate,
            _ = self.signals.restart.recv() => Happened::Restart,
            Some(()) = self.proofs.1.recv() => Happened::Proved,
        })
    }

    async fn arrived(&mut self, arrived: Arrived) -> Result<(), ServiceError> {
        for incoming in self.bus.sort(arrived) {
            let command = match incoming {
                Incoming::Gone(name) => Some(Command::Gone(name)),
                Incoming::Answered(Answered { number, answer }) => Some(Command::Secret { number, answer }),
                Incoming::Judged(Judged { ticket, verdict }) => Some(Command::Authorized { ticket, verdict }),
                Incoming::Call(caller, call) => self.bus.dispatch(caller, call, &self.registry),
            };
            if let Some(command) = command {
                self.apply(command).await?;
            }
        }
        self.bus.flush().await?;
        Ok(())
    }

    async fn apply(&mut self, command: Command) -> Result<(), ServiceError> {
        let effects = self.registry.apply(command, clock::now());
        self.carry_out(effects).await?;
        while self.registry.can_resume() {
            let effects = self.registry.apply(Command::Resume, clock::now());
            self.carry_out(effects).await?;
        }
        Ok(())
    }

    /// Carries effects out in order; a write's outcome is decided upon before anything else.
    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), ServiceError> {
        let mut effects = effects;
        loop {
            let mut write = None;
            for effect in effects {
                match effect {
                    Effect::Reply(ticket, answer) => self.bus.reply(ticket, answer),
                    Effect::Authorize(question) => self.bus.authorize(*question),
                    Effect::Withdraw(ticket) => self.bus.withdraw(ticket),
                    Effect::Signal(audience, signal) => self.bus.signal(&audience, &signal),
                    Effect::Note(note) => {
                        if let Err(error) = self.journal.record(&note) {
                            error!("holds would not survive a crash now: {error}");
                        }
                    }
                    Effect::Configure { profile, settings, token } => {
                        self.edge.configure(profile, settings, token);
                    }
                    Effect::Sip { profile, output } => self.tell_edge(profile, output),
                    Effect::Ask { number, agent, path, profile, settings, question } => {
                        let at = At { name: agent.to_string(), path };
                        self.bus.ask(at, number, profile, (&settings, &question));
                    }
                    Effect::CancelQuestion { agent, path, profile } => {
                        let at = At { name: agent.to_string(), path };
                        agents::cancel(self.bus.connection(), at, profile);
                    }
                    Effect::Forget(profile) => {
                        self.edge.forget(profile);
                        self.forget_farewell(profile);
                    }
                    Effect::Save(wanted) => write = Some(*wanted),
                }
            }
            self.bus.flush().await?;
            let Some(write) = write else { return Ok(()) };
            let saved = self.save(write).await;
            effects = self.registry.apply(Command::Saved(saved), clock::now());
        }
    }

    fn tell_edge(&mut self, profile: u32, output: Output) {
        match output {
            Output::Resolve { attempt, hop } => self.edge.resolve(profile, attempt, hop),
            Output::Send { attempt, target, request, settings } => {
                debug!("profile {profile}: {request:?} to {target}");
                self.edge.send(profile, attempt, target, *request, settings);
            }
            Output::CloseFlow => self.edge.close_flow(profile),
            Output::Moved => self.forget_farewell(profile),
            Output::KeepAlive(how) => self.edge.keep_alive(profile, how),
            // The registry's own.
            Output::Stopped | Output::AskSecret(_) | Output::ForgetSecret | Output::KeepSecret(_) => {}
        }
    }

    fn forget_farewell(&mut self, profile: u32) {
        if let Some(store) = &mut self.store {
            store.forget_farewell(profile);
        }
    }

    /// Writes without stopping the other tasks: a disk may be slow, an answer of a registrar need not wait.
    async fn save(&mut self, write: Write) -> Result<(), String> {
        let Some(mut store) = self.store.take() else {
            return Err(String::from("the store is gone"));
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = match &write {
                Write::Profile { record, farewell } => store.save(record, *farewell),
                Write::Removal { id, farewell } => store.remove(*id, *farewell),
                Write::Default { uid, profile } => store.set_default(*uid, *profile),
            };
            (store, result)
        });
        match done.await {
            Ok((store, result)) => {
                self.store = Some(store);
                result.map_err(|error| {
                    error!("a change was not saved: {error}");
                    format!("The change was not saved: {error}.")
                })
            }
            Err(error) => Err(format!("The change was not saved: {error}.")),
        }
    }

    /// Routes or addresses changed: each registration is told whether its way to the server is another one now.
    async fn network_changed(&mut self) -> Result<(), ServiceError> {
        for (profile, server) in self.registry.servers() {
            let source = server.map(|server| self.edge.source_towards(profile, server));
            let local = self.edge.local_address(profile).map(|address| address.ip());
            let input = match source {
                None => Input::Network { source_changed: false, reachable: true },
                Some(Err(_)) => Input::Network { source_changed: local.is_some(), reachable: false },
                Some(Ok(source)) => Input::Network {
                    source_changed: local.is_some_and(|local| local != source),
                    reachable: true,
                },
            };
            self.apply(Command::Registration { profile, input }).await?;
        }
        Ok(())
    }

    /// After a sleep each registration is renewed over a new flow (E4); before one, bindings are left as they are.
    async fn slept(&mut self, sleep: Sleep) -> Result<(), ServiceError> {
        match sleep {
            Sleep::Quiet => return Ok(()),
            Sleep::Nears => {
                info!("the machine is about to sleep: bindings stay");
                return Ok(());
            }
            Sleep::Over => info!("the machine has slept: registering anew"),
        }
        for (profile, server) in self.registry.servers() {
            let reachable = server.is_none_or(|server| self.edge.source_towards(profile, server).is_ok());
            self.apply(Command::Registration { profile, input: Input::Resumed { reachable } }).await?;
        }
        Ok(())
    }

    /// Gives the name up and proves that every call sent before has been dispatched (L2).
    fn drain(&self) {
        debug!("nobody needs the service any more");
        let (connection, proofs) = (self.bus.connection().clone(), self.proofs.0.clone());
        tokio::spawn(async move {
            let proved = async {
                daemon::release_name(&connection, BUS_NAME).await?;
                daemon::ping_self(&connection).await
            };
            if let Err(error) = proved.await {
                error!("the bus policy must let the service ping itself: {error}");
            }
            let _ = proofs.send(()).await;
        });
    }

    async fn leave(&mut self, successor: bool) -> Result<(), ServiceError> {
        self.apply(Command::HandOver).await?;
        if successor {
            info!("clients have come while the service was leaving: starting a successor");
            self.store = None;
            if let Err(error) = daemon::start_service(self.bus.connection(), BUS_NAME).await {
                error!("the bus starts no successor: {error}");
            }
        }
        Ok(())
    }
}
