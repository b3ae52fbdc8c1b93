//! Which profiles the person wants registered, remembered across logins.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default)]
struct Saved {
    /// Ids of profiles. They are never given twice, so that an old wish cannot meet a new profile.
    #[serde(default)]
    wanted: BTreeSet<u32>,
}

/// The file.
pub struct Wishes {
    /// `None` where the person has no folder: one that all users share is no place for it.
    path: Option<PathBuf>,
}

impl Wishes {
    /// The file for the service on that bus: their ids have nothing to do with each other.
    pub fn new(session: bool) -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        let name = if session { "applet-session.json" } else { "applet.json" };
        Self { path: state.map(|state| state.join("sip-profiles").join(name)) }
    }

    /// What was saved; nothing where there is no file. An error names the file.
    pub fn load(&self) -> io::Result<BTreeSet<u32>> {
        let Some(path) = &self.path else { return Ok(BTreeSet::new()) };
        let saved = match fs::read_to_string(path) {
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
        let path = self.path.as_deref().unwrap_or(Path::new("neither XDG_STATE_HOME nor HOME is set"));
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    }

    fn replace(&self, wanted: BTreeSet<u32>) -> io::Result<()> {
        let path = self.path.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        // As the service makes it with `--session`, whose folder it is as well.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(serde_json::to_string(&Saved { wanted })?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_rubbish_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/applet.json");
        let wishes = Wishes { path: Some(path.clone()) };
        assert_eq!(wishes.load().expect("there is none"), BTreeSet::new());
        wishes.save(BTreeSet::from([7, 1])).expect("our own folder");
        assert_eq!(wishes.load().expect("we wrote it"), BTreeSet::from([1, 7]));
        fs::write(&path, "{ not json").expect("our own folder");
        let error = wishes.load().expect_err("rubbish").to_string();
        assert!(error.contains("applet.json"), "{error}");

        let nowhere = Wishes { path: None };
        assert_eq!(nowhere.load().expect("there is none"), BTreeSet::new());
        let error = nowhere.save(BTreeSet::from([7])).expect_err("no folder").to_string();
        assert!(error.contains("HOME"), "{error}");
    }
}
