//! Everything up to serving: what the last one left is read, and the name asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::SeedableRng as _;
use sip_profiles::names::BUS_NAME;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info};
use zbus::Connection;

use super::{Service, Signals};
use crate::bus::{Bus, Wall, daemon};
use crate::clock::{self, Alarm, ClockWatch};
use crate::lifetime::exit::Exit;
use crate::lifetime::journal::{Journal, JournalError, Standing};
use crate::network::NetworkWatch;
use crate::network::sleep::SleepWatch;
use crate::registry::call::{Caller, Name};
use crate::registry::{Effect, Registry, Rules, Start};
use crate::sip::Edge;
use crate::store::seal::{CREDENTIAL, Seal};
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

/// Secrets must not leave with a core image, nor through another process of the same user.
pub(super) fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        error!("core files cannot be forbidden: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        error!("memory cannot be closed to other processes: {error}");
    }
}

impl Service {
    /// Everything up to asking for the name, which comes last: whoever calls is served at once.
    pub(super) async fn start(setup: &Setup) -> Result<(Self, Vec<Effect>), ServiceError> {
        let (store, loaded) = open_store(&setup.state_dir).await?;
        for (path, reason) in &loaded.set_aside {
            error!("{} was set aside, it cannot be read: {reason}", path.display());
        }
        if !store.is_sealed() {
            info!(
                "passwords are stored unsealed, for the service's user alone: there is no credential {CREDENTIAL}"
            );
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
        let lives = |name: &str| start.sessions.iter().any(|session| &*session.name == name);
        if let Err(error) = journal.forget_dead(lives) {
            error!("holds would not survive a crash now: {error}");
        }
        let random = Box::new(rand::rngs::StdRng::from_rng(&mut rand::rng()));
        let rules = Rules { session_bus: setup.session };
        let (registry, first) = Registry::start(rules, start, random, clock::now());
        if !daemon::request_name(bus.connection(), BUS_NAME).await? {
            return Err(ServiceError::NameTaken);
        }
        info!("serving {BUS_NAME} on the {address} bus");
        let logind_bus = match setup.session {
            true => Connection::system().await.ok(),
            false => Some(bus.connection().clone()),
        };
        let mut network = NetworkWatch::start()?;
        if registry.awaits_a_name() {
            network.watch_resolver();
        }
        let service = Self {
            registry,
            bus,
            edge: Edge::start(tell),
            news,
            store: Some(store),
            journal,
            alarm: Alarm::new()?,
            clock: ClockWatch::new()?,
            network,
            sleep: SleepWatch::start(logind_bus, clock::slept()),
            signals,
            exit: Exit::new(setup.idle_timeout),
            proofs: mpsc::channel(1),
        };
        Ok((service, first))
    }
}

/// A predecessor that is leaving still holds the lock (L6).
async fn open_store(path: &Path) -> Result<(Store, Loaded), ServiceError> {
    let until = tokio::time::Instant::now() + PREDECESSOR;
    loop {
        match Store::open(path, RealFiles, credentials()?) {
            Err(StoreError::Locked(_)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other => return Ok(other?),
        }
    }
}

/// The key to the secrets, where systemd hands one over.
fn credentials() -> Result<Seal, StoreError> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    Ok(Seal::from_credentials(directory.as_deref())?)
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
    let agents = standing.agents.into_iter().map(|(name, path)| (Name::from(name), path)).collect();
    Start {
        profiles: loaded.profiles,
        farewells: loaded.farewells,
        defaults: loaded.defaults,
        next_id,
        memories: standing.memories,
        sessions,
        holds,
        agents,
    }
}
