//! The D-Bus contract of the SIP profile service: names, interface XML, typed proxies.
