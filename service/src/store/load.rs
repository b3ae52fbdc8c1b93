//! Opening the state directory: the lock, what can be read, and what must be set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::plain_file;

use super::record::{ProfileText, SecretsText};
use super::seal::Seal;
use super::{Files, Record, Step, Store, StoreError, Written, farewell};

/// What the state directory holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All profiles that could be read.
    pub profiles: Vec<Record>,
    /// Profiles as they were before they were removed or moved, whose bindings are still to be removed.
    pub farewells: Vec<Record>,
    /// Chosen defaults by uid.
    pub defaults: BTreeMap<u32, u32>,
    /// Files that could not be read: where they are now, and why.
    pub set_aside: Vec<(PathBuf, String)>,
}

const DIRECTORIES: [&str; 4] = ["profiles", "secrets", "auto-register", farewell::DIRECTORY];

pub(super) fn open<F: Files>(root: &Path, files: F, seal: Seal) -> Result<(Store<F>, Loaded), StoreError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |cause: io::Error| StoreError::Disk { path, cause }
    };
    files.run(Step::MakeDir(root)).map_err(at(root))?;
    let lock_path = root.join("lock");
    let mut options = OpenOptions::new();
    let lock = match options.write(true).create(true).truncate(false).mode(0o600).open(&lock_path) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(&lock_path),
        result => result,
    };
    let lock = lock.map_err(at(&lock_path))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => StoreError::Locked(root.to_owned()),
        other => StoreError::Disk { path: lock_path.clone(), cause: other.into() },
    })?;
    for name in DIRECTORIES {
        let path = root.join(name);
        files.run(Step::MakeDir(&path)).map_err(at(&path))?;
    }
    let mut store = Store {
        root: root.to_owned(),
        files,
        seal,
        written: BTreeMap::new(),
        farewells: BTreeMap::new(),
        defaults: BTreeMap::new(),
        next_id: 1,
        _lock: lock,
    };
    let mut loaded = Loaded::default();
    store.load_profiles(&mut loaded)?;
    loaded.farewells = store.load_farewells()?;
    store.load_defaults(&mut loaded)?;
    store.load_next_id()?;
    store.sweep()?;
    Ok((store, loaded))
}

impl<F: Files> Store<F> {
    fn load_profiles(&mut self, loaded: &mut Loaded) -> Result<(), StoreError> {
        let mut seen = BTreeSet::new();
        for name in self.names("profiles")? {
            let path = self.dir("profiles").join(&name);
            if name.ends_with(".new") {
                self.repair(Step::Remove(&path));
                continue;
            }
            let Some(id) = name.split('.').next().and_then(parse_id) else {
                continue;
            };
            seen.insert(id);
            if name != format!("{id}.json") {
                continue;
            }
            match self.read_profile(id, &path) {
                Ok((record, written)) => {
                    self.written.insert(id, written);
                    loaded.profiles.push(record);
                }
                Err(Unusable::Broken(reason)) => loaded.set_aside.push((self.set_aside(&path)?, reason)),
                // Nothing is wrong with the profile: it waits for its key.
                Err(Unusable::Sealed(path, why)) => return Err(StoreError::Sealed { path, why }),
            }
        }
        loaded.profiles.sort_by_key(|record| record.id);
        self.next_id = seen.last().map_or(1, |last| last.saturating_add(1));
        Ok(())
    }

    pub(super) fn read_profile(&self, id: u32, path: &Path) -> Result<(Record, Written), Unusable> {
        let broken = |error: &dyn std::fmt::Display| Unusable::Broken(error.to_string());
        let text = read_file(path).map_err(|error| broken(&error))?;
        let parsed: ProfileText = serde_json::from_slice(&text).map_err(|error| broken(&error))?;
        let ProfileText { owner, shared, identity, secrets: generation, mut settings } = parsed;
        let mut kept = None;
        if let Some(generation) = generation {
            let secrets = self.read_secrets(id, generation)?;
            secrets.clone().restore(&mut settings);
            kept = Some((generation, secrets));
        }
        let settings = settings.rechecked().map_err(|error| broken(&error))?;
        let marker = self.dir("auto-register").join(id.to_string());
        let written = Written { text, secrets: kept, auto_register: marker.exists() };
        Ok((Record { id, owner, shared, settings, identity }, written))
    }

    /// A profile whose secrets cannot be read is set aside as well: without its password it would not be itself.
    fn read_secrets(&self, id: u32, generation: u64) -> Result<SecretsText, Unusable> {
        let path = self.secrets_path(id, generation);
        let broken = |what: String| Unusable::Broken(format!("its secrets in {} {what}", path.display()));
        let kept = read_file(&path).map_err(|error| broken(format!("cannot be read: {error}")))?;
        let text = self.seal.open(kept, id).map_err(|why| Unusable::Sealed(path.clone(), why))?;
        // The parser's own words may quote the text: they are not repeated.
        serde_json::from_slice(&text).map_err(|_| broken(String::from("are no secrets")))
    }

    fn load_defaults(&mut self, loaded: &mut Loaded) -> Result<(), StoreError> {
        let path = self.root.join("defaults.json");
        let read = match read_file(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(defaults) => self.defaults = defaults,
            Err(reason) => loaded.set_aside.push((self.set_aside(&path)?, reason)),
        }
        loaded.defaults = self.defaults.clone();
        Ok(())
    }

    fn load_next_id(&mut self) -> Result<(), StoreError> {
        let path = self.root.join("next-id");
        match read_file(&path) {
            Ok(text) => {
                let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<u32>().ok());
                // Losing this number could give an id twice: that is worse than not starting.
                let floor = number.ok_or_else(|| StoreError::Disk {
                    path,
                    cause: io::Error::new(
                        io::ErrorKind::InvalidData,
                        "is no number; write the next free id into it",
                    ),
                })?;
                self.next_id = self.next_id.max(floor);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(StoreError::Disk { path, cause }),
        }
    }

    /// Removes leftovers of interrupted writes, and makes the boot unit's markers true.
    fn sweep(&mut self) -> Result<(), StoreError> {
        for name in ["next-id.new", "defaults.new"] {
            self.repair(Step::Remove(&self.root.join(name)));
        }
        for name in self.names("secrets")? {
            let id = name.split('.').next().and_then(parse_id);
            let generation = name.split('.').nth(1).and_then(|generation| generation.parse().ok());
            let belongs = match (id, generation) {
                _ if name.ends_with(".new") => false,
                (Some(id), Some(generation)) => {
                    let written = self.written.get(&id);
                    written.and_then(Written::generation) == Some(generation)
                        || self.farewell_needs(id, generation)
                        // Those of a profile that was set aside stay with it.
                        || written.is_none() && self.is_set_aside(id)
                }
                _ => false,
            };
            if !belongs {
                self.repair(Step::Remove(&self.dir("secrets").join(&name)));
            }
        }
        self.repair_markers()
    }

    fn repair_markers(&mut self) -> Result<(), StoreError> {
        let dir = self.dir("auto-register");
        let wanted = |written: &Written| {
            serde_json::from_slice::<ProfileText>(&written.text)
                .is_ok_and(|profile| profile.settings.auto_register())
        };
        let marked: BTreeSet<u32> =
            self.written.iter().filter(|(_, written)| wanted(written)).map(|(id, _)| *id).collect();
        for name in self.names("auto-register")? {
            if !parse_id(&name).is_some_and(|id| marked.contains(&id)) {
                self.repair(Step::Remove(&dir.join(&name)));
            }
        }
        for id in &marked {
            self.repair(Step::Create(&dir.join(id.to_string())));
        }
        for (id, written) in &mut self.written {
            written.auto_register = marked.contains(id);
        }
        Ok(())
    }

    fn is_set_aside(&self, id: u32) -> bool {
        self.dir("profiles").join(format!("{id}.json.unreadable")).exists()
    }

    /// Gives an unreadable file another name; never one that is taken. On a read-only disk it keeps its own.
    fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let named = |suffix: String| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let mut aside = named(String::from(".unreadable"));
        let mut number = 1;
        while aside.exists() {
            number += 1;
            aside = named(format!(".unreadable-{number}"));
        }
        match self.run(Step::Rename(path, &aside)) {
            Err(error) if is_read_only(&error) => Ok(path.to_owned()),
            result => result.map(|()| aside),
        }
    }

    /// What a start puts right. Where the disk refuses, it is served as it is: nothing here is needed to go on.
    pub(super) fn repair(&self, step: Step<'_>) {
        match self.run(step) {
            Err(error) if !is_read_only(&error) => tracing::warn!("a leftover stays: {error}"),
            _ => {}
        }
    }

    pub(super) fn names(&self, directory: &str) -> Result<Vec<String>, StoreError> {
        let path = self.dir(directory);
        let at = |cause| StoreError::Disk { path: path.clone(), cause };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(at)? {
            names.extend(entry.map_err(at)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

/// A file past that is none of ours, bytes: a profile has 320 KiB at most.
const LARGEST: u64 = 16 * 1024 * 1024;

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    plain_file::read(path, LARGEST)
}

fn is_read_only(error: &StoreError) -> bool {
    matches!(error, StoreError::Disk { cause, .. } if cause.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// Why a profile is not loaded.
pub(super) enum Unusable {
    /// It cannot be read.
    Broken(String),
    /// Its secrets are sealed, in which file, and why they stay so.
    Sealed(PathBuf, String),
}

/// A decimal id as we write it: no sign, no leading zero.
pub(super) fn parse_id(text: &str) -> Option<u32> {
    let id: u32 = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}
