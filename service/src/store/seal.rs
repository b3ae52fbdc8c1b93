//! Secrets on the disk are sealed where systemd hands over a key for it (systemd.exec(5), CREDENTIALS): a stolen disk
//! or backup then tells none of them. ChaCha20-Poly1305 (RFC 8439), the profile's id bound to each.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The credential's name.
pub const CREDENTIAL: &str = "sip-profiles-key";
/// A shorter key is a mistake, bytes.
const SHORTEST: usize = 32;

/// The key, where there is one.
#[derive(Default)]
pub struct Seal(Option<LessSafeKey>);

/// A sealed file. Has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    /// Nonce and sealed text, base64.
    sealed: String,
}

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is there, and cannot be read.
    #[error("the credential {0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// It is no key.
    #[error(
        "the credential {0} has fewer than {SHORTEST} bytes: make it with systemd-creds from 32 random ones"
    )]
    TooShort(PathBuf),
}

impl Seal {
    /// The key among the credentials that systemd hands over; none is fine.
    pub fn from_credentials(directory: Option<&Path>) -> Result<Self, SealError> {
        let Some(path) = directory.map(|directory| directory.join(CREDENTIAL)) else {
            return Ok(Self(None));
        };
        match std::fs::read(&path) {
            Ok(text) if text.len() >= SHORTEST => Ok(Self::with(&text)),
            Ok(_) => Err(SealError::TooShort(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(SealError::Unreadable(path, error)),
        }
    }

    /// Seals with what follows from `text`.
    pub fn with(text: &[u8]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &Sha256::digest(text));
        Self(key.ok().map(LessSafeKey::new))
    }

    /// Is there a key?
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// What the disk keeps of `plain`, a secret of profile `id`.
    pub fn close(&self, plain: Vec<u8>, id: u32) -> io::Result<Vec<u8>> {
        let Some(key) = &self.0 else {
            return Ok(plain);
        };
        let mut nonce = [0; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut text = plain;
        let bound = Aad::from(id.to_be_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut text)
            .map_err(|_| io::Error::other("cannot be sealed"))?;
        let sealed = STANDARD.encode([&nonce[..], &text].concat());
        Ok(serde_json::to_vec(&Sealed { sealed })?)
    }

    /// The plain text of what the disk keeps for profile `id`. What was never sealed is taken as it is; it is sealed
    /// when it is next written.
    pub fn open(&self, kept: Vec<u8>, id: u32) -> Result<Vec<u8>, String> {
        let Ok(Sealed { sealed }) = serde_json::from_slice(&kept) else {
            return Ok(kept);
        };
        let Some(key) = &self.0 else {
            return Err(format!("is sealed, and the credential {CREDENTIAL} is not there"));
        };
        let broken = || format!("was sealed with another {CREDENTIAL}, or is damaged");
        let bytes = STANDARD.decode(sealed).map_err(|_| broken())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut text = text.to_vec();
        let bound = Aad::from(id.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.open_in_place(nonce, bound, &mut text).map_err(|_| broken())?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
    const PLAIN: &[u8] = b"{\"password\":\"secret\"}";

    #[test]
    fn what_is_sealed_tells_nothing_and_opens_for_its_profile_and_key_alone() {
        let seal = Seal::with(KEY);
        let kept = seal.close(PLAIN.to_vec(), 7).unwrap();
        assert!(!String::from_utf8_lossy(&kept).contains("secret"));
        assert_ne!(kept, seal.close(PLAIN.to_vec(), 7).unwrap(), "no nonce comes twice");
        assert_eq!(seal.open(kept.clone(), 7).unwrap(), PLAIN);
        assert!(seal.open(kept.clone(), 8).unwrap_err().contains("another"));
        assert!(Seal::with(b"another").open(kept.clone(), 7).unwrap_err().contains("another"));
        assert!(Seal::default().open(kept, 7).unwrap_err().contains("is not there"));
    }

    #[test]
    fn without_a_key_texts_stay_plain_and_plain_ones_open_with_one() {
        let kept = Seal::default().close(PLAIN.to_vec(), 7).unwrap();
        assert_eq!(kept, PLAIN);
        assert_eq!(Seal::with(KEY).open(kept, 7).unwrap(), PLAIN);
    }

    #[test]
    fn a_credential_is_optional_but_not_half() {
        assert!(!Seal::from_credentials(None).unwrap().is_there());
        let directory = tempfile::tempdir().unwrap();
        assert!(!Seal::from_credentials(Some(directory.path())).unwrap().is_there());
        std::fs::write(directory.path().join(CREDENTIAL), KEY).unwrap();
        assert!(Seal::from_credentials(Some(directory.path())).unwrap().is_there());
        std::fs::write(directory.path().join(CREDENTIAL), b"short").unwrap();
        let error = Seal::from_credentials(Some(directory.path())).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("systemd-creds"), "{error}");
    }
}
