//! The SIP profile service, room by room.
//!
//! A request travels one way: bus → registry → registration → sip → network. News travel back the
//! same stairs as values that are returned, never as calls upwards.

pub mod bus;
pub mod clock;
pub mod lifetime;
pub mod moment;
pub mod network;
mod plain_file;
pub mod registration;
pub mod registry;
pub mod service;
pub mod settings;
pub mod sip;
pub mod store;
