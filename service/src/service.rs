//! The one task that owns the registry: it takes what happens from every edge, has it decided, and carries the
//! decision out.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rand::SeedableRng as _;
use sip_profiles::names::BUS_NAME;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, error, info};
use zbus::Connection;

use crate::bus::{Arrived, Bus, Incoming, Wall, daemon};
use crate::clock::{self, Alarm, ClockWatch};
use crate::lifetime::exit::{Exit, Lingering, Step};
use crate::lifetime::journal::{Journal, JournalError, Standing};
use crate::network::NetworkWatch;
use crate::registration::{Input, Output};
use crate::registry::call::{Caller, Name};
use crate::registry::effect::Write;
use crate::registry::{Command, Effect, Registry, Rules, Start};
use crate::sip::{Edge, News};
use crate::store::{Loaded, RealFiles, Store, StoreError};

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The session bus instead of the system bus.
    pub session: bool,
    /// Where profiles are kept.
    pub state_dir: PathBuf,
    /// Where holds are journalled.
    pub runtime_dir: PathBuf,
    /// How long to stay after the last client is gone (L1).
    pub idle_timeout: Duration,
}

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The state directory.
    #[error("the state directory cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The runtime directory.
    #[error("the runtime directory cannot be used: {0}")]
    Journal(#[from] JournalError),
    /// The message bus.
    #[error("the message bus cannot be used: {0}")]
    Bus(#[from] zbus::Error),
    /// The bus connection ended.
    #[error("the message bus closed the connection")]
    BusClosed,
    /// Another process has the name.
    #[error("another process serves {BUS_NAME} on this bus")]
    NameTaken,
    /// Something of the system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// How long a predecessor may take to leave (its farewell, and a little more).
const PREDECESSOR: Duration = Duration::from_secs(6);

/// Runs the service until it ends.
pub fn run_to_end(setup: Setup) -> Result<(), ServiceError> {
    harden();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut service, first) = Service::start(&setup).await?;
        service.carry_out(first).await?;
        service.serve().await
    })
}

/// Secrets must not leave with a core image, nor through another process of the same user.
fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        error!("core files cannot be forbidden: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        error!("memory cannot be closed to other processes: {error}");
    }
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
    Terminate,
    Restart,
    Proved,
}

impl Service {
    /// Everything up to asking for the name, which comes last: whoever calls is served at once.
    async fn start(setup: &Setup) -> Result<(Self, Vec<Effect>), ServiceError> {
        let (store, loaded) = open_store(&setup.state_dir).await?;
        for (path, reason) in &loaded.set_aside {
            error!("{} was set aside, it cannot be read: {reason}", path.display());
        }
        let address = if setup.session { "session" } else { "system" };
        let connection = match setup.session {
            true => Connection::session().await?,
            false => Connection::system().await?,
        };
        let mut bus = Bus::listen(connection, Wall::new(clock::now(), clock::wall_millis())).await?;
        let guid = bus.connection().server_guid().to_string();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let (mut journal, standing) = Journal::open(&setup.runtime_dir, boot.trim(), &guid)?;

        let (tell, news) = mpsc::unbounded_channel();
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined1())?,
        };
        let next_id = store.next_id();
        let start = adopt(&mut bus, loaded, standing, next_id).await;
        journal.forget_dead(|name| start.sessions.iter().any(|session| &*session.name == name))?;
        let random = Box::new(rand::rngs::StdRng::from_rng(&mut rand::rng()));
        let rules = Rules { session_bus: setup.session };
        let (registry, first) = Registry::start(rules, start, random, clock::now());
        if !daemon::request_name(bus.connection(), BUS_NAME).await? {
            return Err(ServiceError::NameTaken);
        }
        info!("serving {BUS_NAME} on the {address} bus");
        let service = Self {
            registry,
            bus,
            edge: Edge::start(tell),
            news,
            store: Some(store),
            journal,
            alarm: Alarm::new()?,
            clock: ClockWatch::new()?,
            network: NetworkWatch::start()?,
            signals,
            exit: Exit::new(setup.idle_timeout),
            proofs: mpsc::channel(1),
        };
        Ok((service, first))
    }

    async fn serve(&mut self) -> Result<(), ServiceError> {
        loop {
            let lingering = Lingering {
                needed: self.registry.is_needed(),
                busy: !self.bus.is_quiet(),
                registered: self.registry.is_registered_anywhere(),
            };
            match self.exit.look(lingering, clock::now()) {
                Step::Serve => {}
                Step::Farewell => self.apply(Command::Shutdown).await?,
                Step::Drain => self.drain(),
                Step::Leave { successor } => return self.leave(successor).await,
            }
            let wakeups = [self.registry.wakeup(), self.exit.wakeup()];
            self.alarm.set(wakeups.into_iter().flatten().min())?;
            match self.happens().await? {
                Happened::Bus(Arrived::Closed) => return Err(ServiceError::BusClosed),
                Happened::Bus(arrived) => self.arrived(arrived).await?,
                Happened::Sip(News::Registration { profile, input }) => {
                    self.apply(Command::Registration { profile, input }).await?;
                }
                Happened::Alarm => self.apply(Command::Tick).await?,
                Happened::ClockSet => {
                    self.bus.set_wall(Wall::new(clock::now(), clock::wall_millis()));
                    self.apply(Command::ClockSet).await?;
                }
                Happened::Network => self.network_changed().await?,
                Happened::Terminate => {
                    if self.exit.terminate(clock::now()) == Step::Farewell {
                        info!("asked to end: de-registering");
                        self.apply(Command::Shutdown).await?;
                    }
                }
                Happened::Restart => {
                    info!("asked to make way for a successor: bindings and holds stay");
                    return Ok(());
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
        self.carry_out(effects).await
    }

    /// Carries effects out in order; a write's outcome is decided upon before anything else.
    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), ServiceError> {
        let mut effects = effects;
        loop {
            let mut write = None;
            for effect in effects {
                match effect {
                    Effect::Reply(ticket, answer) => self.bus.reply(ticket, answer),
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
                    Effect::Forget(profile) => self.edge.forget(profile),
                    Effect::Save(wanted) => write = Some(*wanted),
                }
            }
            self.bus.flush().await?;
            let Some(write) = write else { return Ok(()) };
            let saved = self.save(write).await;
            effects = self.registry.apply(Command::Saved(saved), clock::now());
        }
    }

    fn tell_edge(&self, profile: u32, output: Output) {
        match output {
            Output::Resolve { attempt, hop } => self.edge.resolve(profile, attempt, hop),
            Output::Send { attempt, target, request, settings } => {
                debug!("profile {profile}: {request:?} to {target}");
                self.edge.send(profile, attempt, target, *request, settings);
            }
            Output::CloseFlow => self.edge.close_flow(profile),
            Output::KeepAlive(how) => self.edge.keep_alive(profile, how),
            Output::Stopped => {}
        }
    }

    /// Writes without stopping the other tasks: a disk may be slow, an answer of a registrar need not wait.
    async fn save(&mut self, write: Write) -> Result<(), String> {
        let Some(mut store) = self.store.take() else {
            return Err(String::from("the store is gone"));
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = match &write {
                Write::Profile(record) => store.save(record),
                Write::Removal(id) => store.remove(*id),
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
        self.bus.flush().await?;
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

/// A predecessor that is leaving still holds the lock (L6).
async fn open_store(path: &std::path::Path) -> Result<(Store, Loaded), ServiceError> {
    let until = tokio::time::Instant::now() + PREDECESSOR;
    loop {
        match Store::open(path, RealFiles) {
            Err(StoreError::Locked(_)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other => return Ok(other?),
        }
    }
}

/// What the registry starts from: of a predecessor's sessions those whose names still live, with the same user
/// (H9).
async fn adopt(bus: &mut Bus, loaded: Loaded, standing: Standing, next_id: u32) -> Start {
    let mut sessions: Vec<Caller> = Vec::new();
    for (name, uid) in standing.sessions {
        let name = Name::from(name);
        if let Some(caller) = daemon::identify(bus.connection(), &name).await
            && caller.uid == uid
        {
            bus.adopt(&caller);
            sessions.push(caller);
        }
    }
    let holds = standing.holds.into_iter().map(|(name, id, token)| (Name::from(name), id, token)).collect();
    Start {
        profiles: loaded.profiles,
        defaults: loaded.defaults,
        next_id,
        memories: standing.memories,
        sessions,
        holds,
    }
}
