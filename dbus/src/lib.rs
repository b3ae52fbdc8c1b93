//! The D-Bus contract of the SIP profile service: its names, its interfaces as XML, typed proxies for clients, and
//! what its states mean in words.

pub mod advice;
pub mod labels;
pub mod names;
pub mod proxy;
pub mod secret;
pub mod shorten;
pub mod xml;
