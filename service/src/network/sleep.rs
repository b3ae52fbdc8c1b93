//! Sleep: told by logind where there is one (org.freedesktop.login1(5)), and by the clocks everywhere.

use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tracing::debug;
use zbus::{Connection, proxy};

use crate::moment::Moment;

/// For so long at most sleep is put off, so that a REGISTER in flight gets its answer.
const DELAY: Duration = Duration::from_secs(2);
/// The clocks are read one after the other: less than that is no sleep.
const SHORTEST: Duration = Duration::from_secs(1);

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Logind {
    /// A machine without logind is not made to start one.
    #[zbus(no_autostart)]
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<zbus::OwnedFd>;

    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// What logind says.
#[derive(Debug)]
pub enum News {
    /// While this is open, sleep is put off (not longer than logind allows).
    Inhibitor(OwnedFd),
    /// The machine is about to sleep.
    Starts,
    /// The machine is awake again.
    Ends,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Nothing yet.
    Quiet,
    /// The machine is about to sleep: [`SleepWatch::ready`] once nothing is in flight.
    Nears,
    /// The machine slept.
    Over,
}

/// Watches sleep. What logind says comes from a task of its own; without one the clocks alone tell.
pub struct SleepWatch {
    news: mpsc::Receiver<News>,
    inhibitor: Option<OwnedFd>,
    until: Option<Moment>,
    wakes: Wakes,
}

impl SleepWatch {
    /// Starts watching; `system` is the bus that has logind, `slept` the machine's sleep so far.
    pub fn start(system: Option<Connection>, slept: Duration) -> Self {
        let (tell, news) = mpsc::channel(8);
        if let Some(system) = system {
            tokio::spawn(async move {
                if let Err(error) = listen(&system, &tell).await {
                    debug!("logind does not tell of sleep: {error}");
                }
            });
        }
        Self { news, inhibitor: None, until: None, wakes: Wakes { slept, told: false } }
    }

    /// What logind says next. Cancel-safe.
    pub async fn told(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// Takes what logind said.
    pub fn note(&mut self, news: News, slept: Duration, now: Moment) -> Sleep {
        match news {
            News::Inhibitor(inhibitor) => {
                self.inhibitor = Some(inhibitor);
                Sleep::Quiet
            }
            News::Starts => {
                self.wakes.told = false;
                self.until = Some(now + DELAY);
                Sleep::Nears
            }
            News::Ends => {
                self.ready();
                if self.wakes.by_logind(slept) { Sleep::Over } else { Sleep::Quiet }
            }
        }
    }

    /// The wall clock was set, which a suspend does too: did the machine sleep?
    pub fn clock_set(&mut self, slept: Duration) -> Sleep {
        if self.wakes.by_clock(slept) { Sleep::Over } else { Sleep::Quiet }
    }

    /// Is sleep put off by us?
    pub fn delays(&self) -> bool {
        self.until.is_some()
    }

    /// When sleep must not be put off any longer.
    pub fn wakeup(&self) -> Option<Moment> {
        self.until
    }

    /// The machine may sleep.
    pub fn ready(&mut self) {
        self.until = None;
        self.inhibitor = None;
    }
}

/// One sleep is told once, whoever tells first.
#[derive(Clone, Copy, Debug)]
struct Wakes {
    slept: Duration,
    told: bool,
}

impl Wakes {
    fn by_logind(&mut self, slept: Duration) -> bool {
        self.slept = slept;
        !std::mem::take(&mut self.told)
    }

    fn by_clock(&mut self, slept: Duration) -> bool {
        let grown = slept > self.slept + SHORTEST;
        self.slept = slept;
        self.told |= grown;
        grown
    }
}

/// Forwards what logind says, and keeps asking for an inhibitor: at the start, after each sleep, and of each new
/// logind.
async fn listen(system: &Connection, tell: &mpsc::Sender<News>) -> zbus::Result<()> {
    let logind = LogindProxy::new(system).await?;
    let mut sleeps = logind.receive_prepare_for_sleep().await?;
    let mut owners = logind.inner().receive_owner_changed().await?;
    inhibit(&logind, tell).await;
    loop {
        tokio::select! {
            Some(sleep) = sleeps.next() => {
                let starts = sleep.args()?.start;
                let _ = tell.send(if starts { News::Starts } else { News::Ends }).await;
                if !starts {
                    inhibit(&logind, tell).await;
                }
            }
            Some(owner) = owners.next() => {
                if owner.is_some() {
                    inhibit(&logind, tell).await;
                }
            }
            else => return Ok(()),
        }
    }
}

async fn inhibit(logind: &LogindProxy<'_>, tell: &mpsc::Sender<News>) {
    match logind.inhibit("sleep", "SIP profiles", "Waits for the answers of SIP registrars", "delay").await {
        Ok(inhibitor) => {
            let _ = tell.send(News::Inhibitor(inhibitor.into())).await;
        }
        Err(error) => debug!("sleep cannot be put off: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: Duration = Duration::from_secs(7200);

    fn watch() -> SleepWatch {
        SleepWatch::start(None, Duration::ZERO)
    }

    #[test]
    fn one_sleep_is_told_once_whoever_tells_first() {
        let now = Moment::from_millis(1);
        let mut clock_first = watch();
        assert_eq!(clock_first.note(News::Starts, Duration::ZERO, now), Sleep::Nears);
        assert_eq!(clock_first.clock_set(HOURS), Sleep::Over);
        assert_eq!(clock_first.note(News::Ends, HOURS, now), Sleep::Quiet);
        assert_eq!(clock_first.clock_set(HOURS), Sleep::Quiet);

        let mut logind_first = watch();
        assert_eq!(logind_first.note(News::Starts, Duration::ZERO, now), Sleep::Nears);
        assert_eq!(logind_first.note(News::Ends, HOURS, now), Sleep::Over);
        assert_eq!(logind_first.clock_set(HOURS), Sleep::Quiet);
        // The next one counts again.
        assert_eq!(logind_first.note(News::Starts, HOURS, now), Sleep::Nears);
        assert_eq!(logind_first.note(News::Ends, HOURS * 2, now), Sleep::Over);
    }

    #[test]
    fn a_wall_clock_that_was_set_is_no_sleep() {
        let mut watch = watch();
        assert_eq!(watch.clock_set(Duration::from_millis(3)), Sleep::Quiet);
        assert_eq!(watch.clock_set(HOURS), Sleep::Over);
        assert_eq!(watch.clock_set(HOURS), Sleep::Quiet);
    }

    #[test]
    fn sleep_is_put_off_until_ready_and_two_seconds_at_most() {
        let mut watch = watch();
        let (inhibitor, other_end) = std::os::unix::net::UnixStream::pair().unwrap();
        let now = Moment::from_millis(1000);
        watch.note(News::Inhibitor(inhibitor.into()), Duration::ZERO, now);
        assert!(!watch.delays());
        watch.note(News::Starts, Duration::ZERO, now);
        assert_eq!(watch.wakeup(), Some(now + DELAY));
        watch.ready();
        assert_eq!((watch.delays(), watch.wakeup()), (false, None));
        let mut byte = [0];
        let read = std::io::Read::read(&mut &other_end, &mut byte).unwrap();
        assert_eq!(read, 0, "the inhibitor is closed");
    }
}
