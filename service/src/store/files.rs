//! The file layer: the few steps that change the disk, each one system call wide, so that a test can stop after
//! any of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// One change of the disk.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A directory, 0700; one that is there is fine.
    MakeDir(&'a Path),
    /// An empty file, 0600; what was there is cut off.
    Create(&'a Path),
    /// The content of a file just created.
    Write(&'a Path, &'a [u8]),
    /// A file's content to the disk.
    Sync(&'a Path),
    /// Replaces the second by the first.
    Rename(&'a Path, &'a Path),
    /// Removes a file; one that is not there is fine.
    Remove(&'a Path),
    /// A directory's entries to the disk.
    SyncDir(&'a Path),
}

/// Carries steps out.
pub trait Files {
    /// Carries `step` out.
    fn run(&self, step: Step<'_>) -> io::Result<()>;
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

impl Files for RealFiles {
    fn run(&self, step: Step<'_>) -> io::Result<()> {
        match step {
            Step::MakeDir(path) => DirBuilder::new().recursive(true).mode(0o700).create(path),
            Step::Create(path) => {
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map(drop)
            }
            Step::Write(path, bytes) => OpenOptions::new().write(true).open(path)?.write_all(bytes),
            Step::Sync(path) => File::open(path)?.sync_all(),
            Step::Rename(from, to) => fs::rename(from, to),
            Step::Remove(path) => match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            },
            Step::SyncDir(path) => File::open(path)?.sync_all(),
        }
    }
}

impl<'a> Step<'a> {
    /// The file or directory it is about, for messages.
    pub fn path(&self) -> &'a Path {
        match self {
            Step::MakeDir(path)
            | Step::Create(path)
            | Step::Write(path, _)
            | Step::Sync(path)
            | Step::Rename(_, path)
            | Step::Remove(path)
            | Step::SyncDir(path) => path,
        }
    }
}
