//! Disks of a test's own: small file systems in a mount namespace, that can be full or read-only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::bus::Options;

/// A mount namespace. It ends with this.
pub struct Disks {
    keeper: Child,
}

impl Default for Disks {
    fn default() -> Self {
        Self::new()
    }
}

impl Disks {
    /// A namespace that starts as a copy of this one.
    pub fn new() -> Disks {
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sleep", "3600"])
            .spawn()
            .expect("util-linux is installed");
        let (comm, until) = (format!("/proc/{}/comm", keeper.id()), Instant::now() + PATIENCE);
        while fs::read_to_string(&comm).unwrap_or_default().trim() != "sleep" {
            assert!(Instant::now() < until, "no namespace: this needs root");
            std::thread::sleep(Duration::from_millis(2));
        }
        Disks { keeper }
    }

    /// The service lives in the namespace.
    pub fn options(&self) -> Options {
        Options { wrapper: format!("nsenter --mount={}", self.namespace()), ..Options::default() }
    }

    /// An empty file system at `path`, which is made where it is not there.
    pub fn mount(&self, path: &Path, kilobytes: u32) {
        fs::create_dir_all(path).expect("our own directory");
        let size = format!("size={kilobytes}k,mode=0700");
        self.run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs"], path);
    }

    /// Makes the file system at `path` read-only, whatever is open there.
    pub fn forbid_writing(&self, path: &Path) {
        self.run(&["mount", "--bind", &path.display().to_string()], path);
        self.run(&["mount", "-o", "remount,bind,ro"], path);
    }

    /// Takes back what [`Disks::forbid_writing`] did.
    pub fn allow_writing(&self, path: &Path) {
        self.run(&["mount", "-o", "remount,bind,rw"], path);
    }

    /// Where a path of the namespace is for this process.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let relative = path.strip_prefix("/").expect("an absolute path");
        Path::new(&format!("/proc/{}/root", self.keeper.id())).join(relative)
    }

    /// Leaves no byte on the file system at `path`.
    pub fn fill(&self, path: &Path) {
        let mut ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.seen(path).join("ballast"))
            .expect("a file more");
        loop {
            match ballast.write(&[b'x'; 1024]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Takes back what [`Disks::fill`] did.
    pub fn free(&self, path: &Path) {
        fs::remove_file(self.seen(path).join("ballast")).expect("it was filled");
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/mnt", self.keeper.id())
    }

    fn run(&self, command: &[&str], path: &Path) {
        let status = Command::new("nsenter")
            .arg(format!("--mount={}", self.namespace()))
            .args(command)
            .arg(path)
            .status()
            .expect("util-linux is installed");
        assert!(status.success(), "{command:?} {}", path.display());
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
