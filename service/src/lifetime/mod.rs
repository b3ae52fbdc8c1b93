//! How long the service lives, and what it leaves to its successor.

pub mod exit;
pub mod journal;
