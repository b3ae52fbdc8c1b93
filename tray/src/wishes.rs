//! Which profiles the person wants registered, remembered across logins.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default)]
struct Saved {
    /// Ids of profiles. They are never given twice, so that an old wish cannot meet a new profile.
    #[serde(default)]
    wanted: BTreeSet<u32>,
}

/// The file.
pub struct Wishes {
    path: PathBuf,
}

impl Wishes {
    /// The file for the service on that bus: their ids have nothing to do with each other.
    pub fn new(session: bool) -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(std::env::temp_dir);
        let name = if session { "applet-session.json" } else { "applet.json" };
        Self { path: state.join("sip-profiles").join(name) }
    }

    /// What was saved; nothing where there is no file. An error names the file.
    pub fn load(&self) -> io::Result<BTreeSet<u32>> {
        let saved = match fs::read_to_string(&self.path) {
            Ok(text) => serde_json::from_str(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::default()),
            Err(error) => Err(error),
        };
        saved.map(|saved| saved.wanted).map_err(|error| self.named(&error))
    }

    /// Written beside and renamed: a crash leaves the old file or the new one. An error names the file.
    pub fn save(&self, wanted: BTreeSet<u32>) -> io::Result<()> {
        self.replace(wanted).map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    fn replace(&self, wanted: BTreeSet<u32>) -> io::Result<()> {
        let folder = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        // As the service makes it with `--session`, whose folder it is as well.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(serde_json::to_string(&Saved { wanted })?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_rubbish_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let wishes = Wishes { path: folder.path().join("deep/applet.json") };
        assert_eq!(wishes.load().expect("there is none"), BTreeSet::new());
        wishes.save(BTreeSet::from([7, 1])).expect("our own folder");
        assert_eq!(wishes.load().expect("we wrote it"), BTreeSet::from([1, 7]));
        fs::write(&wishes.path, "{ not json").expect("our own folder");
        let error = wishes.load().expect_err("rubbish").to_string();
        assert!(error.contains("applet.json"), "{error}");
    }
}
