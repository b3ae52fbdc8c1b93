//! Prints the states of the SIP profiles.

fn main() {}
