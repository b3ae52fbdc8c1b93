//! Challenges and what becomes of them.
#![no_main]
// The macro's entry point is what C calls.
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sip_profiles_fuzz::digest(bytes));
