//! Profiles on disk.
