//! The clocks: boot time, one alarm on it, and notice of a wall clock that was set (semantics L7).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::Timespec;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::moment::Moment;

/// Boot time now; it goes on during suspend.
pub fn now() -> Moment {
    Moment::from_millis(millis(clock_gettime(ClockId::Boottime)).unsigned_abs())
}

/// How long the machine has slept since it booted: what boot time counts and the monotonic clock does not.
pub fn slept() -> Duration {
    let (monotonic, boot) =
        (millis(clock_gettime(ClockId::Monotonic)), millis(clock_gettime(ClockId::Boottime)));
    Duration::from_millis(boot.saturating_sub(monotonic).max(0).unsigned_abs())
}

/// The wall clock now, milliseconds of Unix time.
pub fn wall_millis() -> i64 {
    millis(clock_gettime(ClockId::Realtime))
}

fn millis(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

/// A timer of the runtime.
#[allow(
    deprecated,
    reason = "its replacement is an unsafe function; an OwnedFd keeps the promise that it asks for"
)]
fn timer(clock: TimerfdClockId) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?)
}

/// One alarm on boot time.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_for: Option<Moment>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new() -> io::Result<Self> {
        let timer = timer(TimerfdClockId::Boottime)?;
        Ok(Self { timer, set_for: None })
    }

    /// Sets it; a moment that is over rings at once. No system call where nothing changes.
    pub fn set(&mut self, moment: Option<Moment>) -> io::Result<()> {
        if self.set_for == moment {
            return Ok(());
        }
        // All zero would disarm it.
        let at = moment.map(|moment| moment.as_millis().max(1)).unwrap_or(0);
        let value = Timespec {
            tv_sec: i64::try_from(at / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % 1000).unwrap_or(0) * 1_000_000,
        };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        self.set_for = moment;
        Ok(())
    }

    /// Resolves when it rings. Cancel-safe.
    pub async fn rang(&mut self) -> io::Result<()> {
        let mut guard = self.timer.readable().await?;
        let mut count = [0; 8];
        let _ = rustix::io::read(guard.get_inner(), &mut count);
        guard.clear_ready();
        self.set_for = None;
        Ok(())
    }
}

/// Notices that the wall clock was set.
pub struct ClockWatch {
    timer: AsyncFd<OwnedFd>,
}

impl ClockWatch {
    /// Starts watching.
    pub fn new() -> io::Result<Self> {
        let timer = timer(TimerfdClockId::Realtime)?;
        let watch = Self { timer };
        watch.arm()?;
        Ok(watch)
    }

    /// A timer that never ends, but is cancelled when the clock is set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
    /// The kernel sets it after every suspend too.
    fn arm(&self) -> io::Result<()> {
        let never = Timespec { tv_sec: i64::MAX / 2_000_000_000, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(self.timer.get_ref(), flags, &spec)?;
        Ok(())
    }

    /// Resolves when the wall clock was set. Cancel-safe.
    pub async fn set(&mut self) -> io::Result<()> {
        let mut guard = self.timer.readable().await?;
        let mut count = [0; 8];
        let _ = rustix::io::read(guard.get_inner(), &mut count);
        guard.clear_ready();
        self.arm()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn l7_the_alarm_rings_on_boot_time_and_for_the_past_at_once() {
        let mut alarm = Alarm::new().unwrap();
        let at = now() + Duration::from_millis(20);
        alarm.set(Some(at)).unwrap();
        alarm.rang().await.unwrap();
        assert!(now() >= at);
        alarm.set(Some(Moment::default())).unwrap();
        alarm.rang().await.unwrap();
    }
}
