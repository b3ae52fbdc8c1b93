//! Boot time shown on the wall clock (semantics L7).

use crate::moment::Moment;

/// How far the wall clock is ahead of boot time. Taken anew only when the wall clock was set, so that a time
/// that was announced and the same time read later are the same number.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    ahead_millis: i64,
}

impl Wall {
    /// The wall clock shows `unix_millis` (milliseconds of Unix time) at `now`.
    pub fn new(now: Moment, unix_millis: i64) -> Self {
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        Self { ahead_millis: unix_millis.saturating_sub(now) }
    }

    /// `moment` in Unix seconds.
    pub fn unix(&self, moment: Moment) -> i64 {
        let moment = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        self.ahead_millis.saturating_add(moment).div_euclid(1000)
    }
}
