//! Rigs for whole-system tests: a private message bus with the real service on it, a small registrar of our own,
//! Kamailio, and hosts in network namespaces.

pub mod agent;
pub mod bus;
pub mod client;
pub mod desktop;
pub mod disk;
pub mod kamailio;
pub mod logind;
pub mod monitor;
pub mod network;
pub mod polkit;
pub mod random;
pub mod registrar;
mod sip;

use std::path::PathBuf;

/// How long a test waits for what must happen.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A program of this workspace, built beside the running test.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let directory = own
        .ancestors()
        .find(|directory| directory.join(name).is_file())
        .unwrap_or_else(|| panic!("{name} is not built: run `cargo build --workspace` first"));
    directory.join(name)
}
