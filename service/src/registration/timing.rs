//! How long things wait: back-off, refreshes, keep-alives (registration.md "Answers", "Staying reachable").

use std::time::Duration;

use rand::RngExt as _;

use super::{KeepAlive, Transport};

/// A name or certificate that is wrong is looked at again that often (E6); so is a missing route.
pub const SLOW_RETRY: Duration = Duration::from_secs(30 * 60);
/// How long a de-registration may take (E12).
pub const FAREWELL: Duration = Duration::from_secs(4);
/// Silence after which a REGISTER has failed (RFC 3261 §17.1.2.2, timer F).
pub const PATIENCE: Duration = Duration::from_secs(32);
/// At most one refreshing attempt in that time.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// Attempts from `unregistered` are counted over that time (E10) …
pub const ATTEMPT_WINDOW: Duration = Duration::from_secs(60);
/// … and there are at most so many.
pub const ATTEMPTS: usize = 6;
/// Pause after a refused password (E10).
pub const REFUSED_PAUSE: Duration = Duration::from_secs(5 * 60);
/// A flow that the peer closes within that time of a registration was a short one …
pub const SHORT_FLOW: Duration = Duration::from_secs(60);
/// … and from so many in a row on, each is replaced after a back-off: as few as E10 allows in a minute.
pub const SHORT_FLOWS: u32 = ATTEMPTS as u32;
/// A lost flow is replaced within that time.
const FLOW_JITTER: Duration = Duration::from_secs(1);

/// The pause after the `failures`th failure in a row (1 is the first): min(1800, 30·2ⁿ) s, 50–100 % of it
/// (RFC 5626 §4.5).
pub fn back_off(failures: u32, rng: &mut dyn rand::Rng) -> Duration {
    let seconds = 2u64.saturating_pow(failures).saturating_mul(30).min(1800);
    portion(Duration::from_secs(seconds), 50, 100, rng)
}

/// A uniform `least`–`most` percent of `whole`.
pub fn portion(whole: Duration, least: u64, most: u64, rng: &mut dyn rand::Rng) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX / 200);
    Duration::from_millis(rng.random_range(millis * least / 100..=millis * most / 100))
}

/// The pause that a 503 asks for: [n, 1.1 n], n held to 5 s – 1 h.
pub fn retry_after(seconds: u64, rng: &mut dyn rand::Rng) -> Duration {
    portion(Duration::from_secs(seconds.clamp(5, 3600)), 100, 110, rng)
}

/// When to refresh what was granted for `granted` seconds: at 75–85 %, 40 s before the end where there are
/// 120 s or more.
pub fn refresh_after(granted: u32, rng: &mut dyn rand::Rng) -> Duration {
    let whole = Duration::from_secs(u64::from(granted));
    let pause = portion(whole, 75, 85, rng);
    if granted >= 120 { pause.min(whole - Duration::from_secs(40)) } else { pause }
}

/// How long to wait before a lost flow is replaced: all clients of a server lose theirs at once.
pub fn flow_pause(rng: &mut dyn rand::Rng) -> Duration {
    portion(FLOW_JITTER, 0, 100, rng)
}

/// How to keep a flow alive: as the profile says, else as RFC 5626 §4.4 and the NAT ask.
pub fn keep_alive(
    setting: u32,
    transport: Transport,
    flow_timer: Option<u32>,
    behind_nat: bool,
) -> Option<KeepAlive> {
    let between = |min_millis, max_millis| Some(KeepAlive { min_millis, max_millis });
    let within = |seconds: u32| between(u64::from(seconds) * 800, u64::from(seconds) * 1000);
    match (setting, flow_timer) {
        (u32::MAX, _) => None,
        (0, _) if transport == Transport::Udp => {
            if behind_nat {
                between(24_000, 29_000)
            } else {
                None
            }
        }
        (0, Some(seconds)) if seconds > 0 => within(seconds),
        (0, _) => between(95_000, 120_000),
        (seconds, _) => within(seconds),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_back_off_grows_to_half_an_hour_and_stays_there() {
        let mut rng = StdRng::seed_from_u64(3261);
        for failures in (1..200).chain([u32::MAX]) {
            let whole = [60, 120, 240, 480, 960].get(failures as usize - 1).copied().unwrap_or(1800);
            let bounds = Duration::from_secs(whole / 2)..=Duration::from_secs(whole);
            let pause = back_off(failures, &mut rng);
            assert!(bounds.contains(&pause), "failure {failures}: {pause:?}");
        }
    }
}
