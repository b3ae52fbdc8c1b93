//! Profiles on disk: one file each, secrets apart, every change whole or not at all (semantics U1, U2, L5, L6).
//!
//! ```text
//! lock                    held by the one process that writes here
//! profiles/7.json         a profile; names the generation of its secrets
//! secrets/7.3.json        its secrets, generation 3, sealed where there is a key (seal.rs)
//! farewells/7.json        profile 7 as it was when it was removed or moved: its binding is still to be removed
//! auto-register/7         empty: profile 7 registers from boot on (the boot unit's condition)
//! defaults.json           chosen defaults by uid
//! next-id                 the first id never given, where no profile's file says it
//! ```

mod farewell;
mod files;
mod load;
mod record;
pub mod seal;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use files::{Files, RealFiles, Step};
pub use load::Loaded;
pub use record::Record;
use record::{ProfileText, SecretsText};
use seal::Seal;

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory (L6).
    #[error("{0} is in use by another instance of the service")]
    Locked(PathBuf),
    /// The disk refuses.
    #[error("{path}: {cause}")]
    Disk {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Secrets cannot be read, or written, as they are to be.
    #[error(transparent)]
    Seal(#[from] seal::SealError),
    /// A secret's file is sealed, and cannot be opened.
    #[error("{path}: {why}")]
    Sealed {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A record cannot be written as text.
    #[error("profile {0} cannot be written: {1}")]
    Text(u32, serde_json::Error),
}

/// The state directory.
pub struct Store<F: Files = RealFiles> {
    root: PathBuf,
    files: F,
    seal: Seal,
    written: BTreeMap<u32, Written>,
    /// Which generation of the secrets each farewell needs.
    farewells: BTreeMap<u32, Option<u64>>,
    defaults: BTreeMap<u32, u32>,
    next_id: u32,
    _lock: File,
}

/// What the disk has of a profile: to go back to, and to leave alone what does not change.
struct Written {
    text: Vec<u8>,
    secrets: Option<(u64, SecretsText)>,
    auto_register: bool,
}

impl<F: Files> Store<F> {
    /// Takes the directory `root` for this process and reads what is in it. Leftovers of interrupted writes are
    /// removed, files that cannot be read are set aside under another name.
    pub fn open(root: &Path, files: F, seal: Seal) -> Result<(Self, Loaded), StoreError> {
        load::open(root, files, seal)
    }

    /// Writes a new or changed profile; with `farewell` the one before is kept until [`Self::forget_farewell`]. On an
    /// error the disk has what it had.
    pub fn save(&mut self, record: &Record, farewell: bool) -> Result<(), StoreError> {
        let keeps = farewell && self.keep_farewell(record.id)?;
        let written = self.write(record);
        if written.is_err() && keeps {
            self.forget_farewell(record.id);
        }
        written
    }

    fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let id = record.id;
        let secrets = SecretsText::of(&record.settings);
        let before = self.written.get(&id);
        let generation = match (before.and_then(|before| before.secrets.as_ref()), secrets.is_empty()) {
            (_, true) => None,
            (Some((generation, old)), false) if *old == secrets => Some(*generation),
            _ => Some(self.next_generation(id)),
        };
        let is_new_generation = generation != before.and_then(Written::generation);
        let text = profile_text(record, generation)?;

        if let (Some(generation), true) = (generation, is_new_generation) {
            let bytes = serde_json::to_vec(&secrets).map_err(|error| StoreError::Text(id, error))?;
            let path = self.secrets_path(id, generation);
            let bytes =
                self.seal.close(bytes, id).map_err(|cause| StoreError::Disk { path: path.clone(), cause })?;
            self.write_whole(&path, &bytes)?;
        }
        let auto_register = record.settings.auto_register();
        if auto_register {
            self.mark_auto_register(id)?;
        }
        if let Err(error) = self.write_whole(&self.profile_path(id), &text) {
            self.put_back(id);
            return Err(error);
        }
        let now =
            Written { text, secrets: generation.map(|generation| (generation, secrets)), auto_register };
        let before = self.written.insert(id, now);
        self.next_id = self.next_id.max(id.saturating_add(1));
        self.tidy(id, before, generation, auto_register);
        Ok(())
    }

    /// Removes a profile; with `farewell` it is kept apart until [`Self::forget_farewell`]. On an error the disk has
    /// what it had. The id is not given again.
    pub fn remove(&mut self, id: u32, farewell: bool) -> Result<(), StoreError> {
        if self.written.last_key_value().is_some_and(|(last, _)| *last == id) {
            let text = self.next_id.to_string();
            self.write_whole(&self.root.join("next-id"), text.as_bytes())?;
        }
        let path = self.profile_path(id);
        let keeps = farewell && !self.farewells.contains_key(&id);
        let removed = if keeps { self.rename_to_farewell(id) } else { self.run(Step::Remove(&path)) };
        if let Err(error) = removed.and_then(|()| self.run(Step::SyncDir(&self.dir("profiles")))) {
            if keeps {
                self.rename_back(id);
            }
            self.put_back(id);
            return Err(error);
        }
        let before = self.written.remove(&id);
        self.tidy(id, before, None, false);
        Ok(())
    }

    /// Writes the default that `uid` chose. On an error the disk has what it had.
    pub fn set_default(&mut self, uid: u32, profile: u32) -> Result<(), StoreError> {
        let mut defaults = self.defaults.clone();
        defaults.insert(uid, profile);
        // Those of profiles that are gone mean nothing any more, but for one that is set aside (U2).
        defaults.retain(|_, profile| *profile < self.next_id);
        let text = serde_json::to_vec_pretty(&defaults).map_err(|error| StoreError::Text(profile, error))?;
        let path = self.root.join("defaults.json");
        if let Err(error) = self.write_whole(&path, &text) {
            self.put_back_defaults(&path, &text);
            return Err(error);
        }
        self.defaults = defaults;
        Ok(())
    }

    /// Are secrets sealed?
    pub fn is_sealed(&self) -> bool {
        self.seal.is_there()
    }

    /// The first id never given.
    pub fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Best effort after a failed write: what the disk may have got of it is replaced by what it had.
    fn put_back(&self, id: u32) {
        let path = self.profile_path(id);
        let now = std::fs::read(&path).ok();
        let result = match self.written.get(&id) {
            Some(before) if now.as_ref() == Some(&before.text) => Ok(()),
            Some(before) => self.write_whole(&path, &before.text),
            None if now.is_none() => Ok(()),
            None => self.run(Step::Remove(&path)),
        };
        if let Err(error) = result {
            tracing::error!("profile {id} may be changed on disk although its change failed: {error}");
        }
        if !self.written.get(&id).is_some_and(|before| before.auto_register) {
            let _ = self.run(Step::Remove(&self.dir("auto-register").join(id.to_string())));
        }
    }

    /// The same for the defaults, whose write of `refused` failed.
    fn put_back_defaults(&self, path: &Path, refused: &[u8]) {
        if std::fs::read(path).ok().as_deref() != Some(refused) {
            return;
        }
        let result = match serde_json::to_vec_pretty(&self.defaults) {
            Ok(text) => self.write_whole(path, &text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = result {
            tracing::error!("a default may be changed on disk although its change failed: {error}");
        }
    }

    /// Removes what belongs to no profile any more. What is left over is harmless and removed at the next start.
    fn tidy(&self, id: u32, before: Option<Written>, generation: Option<u64>, auto_register: bool) {
        let Some(before) = before else { return };
        if let Some((old, _)) = before.secrets
            && Some(old) != generation
            && !self.farewell_needs(id, old)
        {
            let _ = self.run(Step::Remove(&self.secrets_path(id, old)));
        }
        if before.auto_register && !auto_register {
            let _ = self.run(Step::Remove(&self.dir("auto-register").join(id.to_string())));
        }
    }

    /// A number that no file of the profile's secrets has.
    fn next_generation(&self, id: u32) -> u64 {
        let written = self.written.get(&id).and_then(Written::generation);
        let farewell = self.farewells.get(&id).copied().flatten();
        written.max(farewell).unwrap_or(0) + 1
    }

    fn mark_auto_register(&self, id: u32) -> Result<(), StoreError> {
        if self.written.get(&id).is_some_and(|before| before.auto_register) {
            return Ok(());
        }
        let dir = self.dir("auto-register");
        self.run(Step::Create(&dir.join(id.to_string())))?;
        self.run(Step::SyncDir(&dir))
    }

    /// Written beside, synced, renamed, directory synced: a crash leaves the old or the new file (U1).
    fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let beside = path.with_extension("new");
        let written = [
            Step::Create(&beside),
            Step::Write(&beside, bytes),
            Step::Sync(&beside),
            Step::Rename(&beside, path),
            Step::SyncDir(path.parent().unwrap_or(&self.root)),
        ]
        .into_iter()
        .try_for_each(|step| self.run(step));
        if written.is_err() {
            let _ = self.run(Step::Remove(&beside));
        }
        written
    }

    fn run(&self, step: Step<'_>) -> Result<(), StoreError> {
        let path = step.path();
        self.files.run(step).map_err(|cause| StoreError::Disk { path: path.to_owned(), cause })
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn profile_path(&self, id: u32) -> PathBuf {
        self.dir("profiles").join(format!("{id}.json"))
    }

    fn secrets_path(&self, id: u32, generation: u64) -> PathBuf {
        self.dir("secrets").join(format!("{id}.{generation}.json"))
    }
}

fn profile_text(record: &Record, generation: Option<u64>) -> Result<Vec<u8>, StoreError> {
    let Record { id, owner, shared, settings, identity } = record;
    let text = ProfileText {
        owner: *owner,
        shared: *shared,
        identity: identity.clone(),
        secrets: generation,
        settings: settings.clone(),
    };
    serde_json::to_vec_pretty(&text).map_err(|error| StoreError::Text(*id, error))
}

#[cfg(test)]
mod tests;
