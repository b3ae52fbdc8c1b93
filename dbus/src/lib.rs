//! The D-Bus contract of the SIP profile service: its names, its interfaces as XML, and typed proxies for clients.

pub mod names;
pub mod xml;
