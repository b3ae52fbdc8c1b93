//! Profiles that were removed, or moved to another server, while a binding of theirs stood: kept as they were until
//! that binding is removed, so that a crash in between does not leave it behind (semantics L4, U3c, U5).

use super::record::SecretsText;
use super::{Files, Record, Step, Store, StoreError};

pub(super) const DIRECTORY: &str = "farewells";

impl<F: Files> Store<F> {
    /// The binding of profile `id` is removed: what was kept for that goes, its secrets too. Nothing is lost where
    /// the disk refuses, so nobody is told: the next start does it.
    pub fn forget_farewell(&mut self, id: u32) {
        let Some(generation) = self.farewells.remove(&id) else { return };
        let _ = self.run(Step::Remove(&self.farewell_path(id)));
        let in_use = self.written.get(&id).and_then(|written| written.generation());
        if let Some(generation) = generation.filter(|generation| Some(*generation) != in_use) {
            let _ = self.run(Step::Remove(&self.secrets_path(id, generation)));
        }
    }

    /// Before a move: the profile is kept as the disk has it. Where an earlier one is kept already, its binding is the
    /// one that stands, and the result is false.
    pub(super) fn keep_farewell(&mut self, id: u32) -> Result<bool, StoreError> {
        let Some(before) = self.written.get(&id).filter(|_| !self.farewells.contains_key(&id)) else {
            return Ok(false);
        };
        let generation = before.generation();
        self.write_whole(&self.farewell_path(id), &before.text)?;
        self.farewells.insert(id, generation);
        Ok(true)
    }

    /// A removal that keeps the profile. It needs no more room than any other, for the sake of full disks.
    pub(super) fn rename_to_farewell(&mut self, id: u32) -> Result<(), StoreError> {
        let Some(generation) = self.written.get(&id).map(|before| before.generation()) else {
            return Ok(());
        };
        self.run(Step::Rename(&self.profile_path(id), &self.farewell_path(id)))?;
        self.farewells.insert(id, generation);
        self.run(Step::SyncDir(&self.dir(DIRECTORY)))
    }

    /// The removal failed.
    pub(super) fn rename_back(&mut self, id: u32) {
        self.farewells.remove(&id);
        let _ = self.run(Step::Rename(&self.farewell_path(id), &self.profile_path(id)));
    }

    /// Those that a predecessor did not get done. One that cannot be read is nobody's profile any more: its binding
    /// runs out by itself.
    pub(super) fn load_farewells(&mut self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for name in self.names(DIRECTORY)? {
            let path = self.dir(DIRECTORY).join(&name);
            let id = name.strip_suffix(".json").and_then(super::load::parse_id);
            let read = id.and_then(|id| Some((id, self.read_profile(id, &path).ok()?)));
            match read {
                Some((id, (record, written))) => {
                    self.farewells.insert(id, written.generation());
                    self.next_id = self.next_id.max(id.saturating_add(1));
                    records.push(record);
                }
                None => {
                    if !name.ends_with(".new") {
                        let path = path.display();
                        tracing::warn!("{path} cannot be read: a binding may be left until it runs out");
                    }
                    self.repair(Step::Remove(&path));
                }
            }
        }
        Ok(records)
    }

    /// Does a farewell need that generation of a profile's secrets?
    pub(super) fn farewell_needs(&self, id: u32, generation: u64) -> bool {
        self.farewells.get(&id) == Some(&Some(generation))
    }

    fn farewell_path(&self, id: u32) -> std::path::PathBuf {
        self.dir(DIRECTORY).join(format!("{id}.json"))
    }
}

impl super::Written {
    /// Which file has its secrets.
    pub(super) fn generation(&self) -> Option<u64> {
        self.secrets.as_ref().map(|(generation, _): &(u64, SecretsText)| *generation)
    }
}
