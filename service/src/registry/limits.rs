//! The named limits of the contract ("Who may do what"), where a uid or a connection meets them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::error::{CallError, CallErrorKind};
use crate::moment::Moment;

/// Profiles a user may have.
pub const PROFILES: usize = 64;
/// Profiles root may have.
pub const PROFILES_ROOT: usize = 10_000;
/// Holds of one connection on one profile.
pub const HOLDS_PER_PROFILE: usize = 16;
/// Holds of one connection.
pub const HOLDS: usize = 64;
/// Sessions of a user.
pub const SESSIONS: usize = 256;
/// Enables of a user that wait for their outcome.
pub const WAITING: usize = 16;
/// Writes a second of a user.
pub const WRITES: usize = 10;

/// Polkit questions of a user that are open. Root is never asked about.
pub const QUESTIONS: usize = 4;
/// Polkit questions that are open, whoever called.
pub const QUESTIONS_ALL: usize = 64;

/// How much more than others root may have of the counts.
const ROOT_FACTOR: usize = 10;

/// `limit` as it applies to `uid`: root has ten times the counts.
pub fn for_uid(limit: usize, uid: u32) -> usize {
    if uid == 0 { limit * ROOT_FACTOR } else { limit }
}

/// Refuses when `count` has reached `limit`; `what` completes "At most {limit} …".
pub fn check(count: usize, limit: usize, what: &str) -> Result<(), CallError> {
    if count < limit {
        return Ok(());
    }
    Err(CallError::new(CallErrorKind::LimitExceeded, format!("At most {limit} {what}.")))
}

/// Counts each user's writes of the last second.
#[derive(Debug, Default)]
pub struct WriteRate {
    recent: HashMap<u32, VecDeque<Moment>>,
}

impl WriteRate {
    /// Counts one write of `uid`, or refuses it.
    pub fn admit(&mut self, uid: u32, now: Moment) -> Result<(), CallError> {
        let limit = for_uid(WRITES, uid);
        self.recent.retain(|_, times| times.back().is_some_and(|last| !is_over(*last, now)));
        let times = self.recent.entry(uid).or_default();
        while times.front().is_some_and(|first| is_over(*first, now)) {
            times.pop_front();
        }
        check(times.len(), limit, "writes a second; try again in a second")?;
        times.push_back(now);
        Ok(())
    }
}

fn is_over(time: Moment, now: Moment) -> bool {
    now.since(time) >= Duration::from_secs(1)
}
