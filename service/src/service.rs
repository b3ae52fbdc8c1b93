//! The one task that owns the registry: it takes what happens from every edge, has it decided, and carries the
//! decision out.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::bus::{Arrived, Bus, Incoming, Wall, daemon};
use crate::clock::{Alarm, BootClock, ClockWatch};
use crate::lifetime::exit::{Exit, Lingering};
use crate::lifetime::journal::Journal;
use crate::moment::Moment;
use crate::network::NetworkWatch;
use crate::registry::effect::Write;
use crate::registry::{Command, Effect, Registry};
use crate::sip::{Edge, News};
use crate::store::Store;

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
