//! Whether this machine asks other name servers now (E6): resolv.conf(5) is written anew, or another file takes its
//! place, often behind a symbolic link.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// Watches the file.
pub struct ResolverWatch {
    inotify: AsyncFd<OwnedFd>,
    file: PathBuf,
    /// When it was last written, as last seen.
    written: Option<SystemTime>,
}

impl ResolverWatch {
    /// Starts watching the system's.
    pub fn start() -> io::Result<Self> {
        Self::of(Path::new("/etc/resolv.conf"))
    }

    #[allow(
        deprecated,
        reason = "its replacement is an unsafe function; an OwnedFd keeps the promise that it asks for"
    )]
    fn of(file: &Path) -> io::Result<Self> {
        let inotify = AsyncFd::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?)?;
        let watch = Self { inotify, file: file.to_owned(), written: written(file) };
        watch.follow()?;
        Ok(watch)
    }

    /// Watches the place of the file, and the file that is there now: only the one sees it replaced, and only the other
    /// sees it written behind a link or a mount.
    fn follow(&self) -> io::Result<()> {
        let place = self.file.parent().unwrap_or(Path::new("/"));
        let replaced = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
        inotify::add_watch(&self.inotify, place, replaced | WatchFlags::CLOSE_WRITE)?;
        let written =
            WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        // It need not be there.
        let _ = inotify::add_watch(&self.inotify, &self.file, written);
        Ok(())
    }

    /// Resolves when the file was written or replaced. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else {
                // The runtime ends.
                return std::future::pending().await;
            };
            // What it was does not matter.
            let mut events = [0; 4096];
            if rustix::io::read(ready.get_inner(), &mut events).is_err() {
                ready.clear_ready();
            }
            let _ = self.follow();
            let before = std::mem::replace(&mut self.written, written(&self.file));
            if self.written != before {
                return;
            }
        }
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn assert_told(watch: &mut ResolverWatch, what: &str) {
        timeout(Duration::from_secs(10), watch.changed()).await.expect(what);
    }

    /// Whoever writes twice within one tick of the file system's clock is not told apart.
    fn tick() {
        std::thread::sleep(Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_linked_elsewhere_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (file, elsewhere) = (path("etc/resolv.conf"), path("run/resolv.conf"));
        fs::create_dir(path("etc")).unwrap();
        fs::create_dir(path("run")).unwrap();
        let mut watch = ResolverWatch::of(&file).unwrap();
        fs::write(&file, "nameserver 192.0.2.1").unwrap();
        assert_told(&mut watch, "it has come").await;
        tick();
        fs::write(&file, "nameserver 192.0.2.2").unwrap();
        assert_told(&mut watch, "it was written").await;
        tick();
        fs::write(path("etc/new"), "nameserver 192.0.2.3").unwrap();
        fs::rename(path("etc/new"), &file).unwrap();
        assert_told(&mut watch, "it was replaced").await;
        tick();
        fs::write(&elsewhere, "nameserver 192.0.2.4").unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert_told(&mut watch, "it is a link now").await;
        for number in 5..8 {
            while timeout(Duration::from_millis(100), watch.changed()).await.is_ok() {}
            fs::write(path("run/new"), format!("nameserver 192.0.2.{number}")).unwrap();
            fs::rename(path("run/new"), &elsewhere).unwrap();
            assert_told(&mut watch, "what it leads to was replaced").await;
        }
    }

    #[tokio::test]
    async fn other_files_beside_it_are_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = ResolverWatch::of(&directory.path().join("resolv.conf")).unwrap();
        fs::write(directory.path().join("hosts"), "").unwrap();
        assert!(timeout(Duration::from_millis(300), watch.changed()).await.is_err());
    }
}
