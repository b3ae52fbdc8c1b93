//! The SIP edge: resolving, connecting, transactions, incoming requests. The only place that names the SIP crate.
