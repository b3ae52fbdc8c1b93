//! Certificates and keys from their PEM texts, as the settings hold them (RFC 7468).

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The authorities of `tls-ca`: at least one. The error says what is wrong with the text.
pub fn authorities(text: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots
            .add(certificate)
            .map_err(|error| format!("holds no X.509 certificate that can vouch ({error})"))?;
    }
    Ok(roots)
}

/// The certificates of a text, in order: at least one.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(String::from("holds no CERTIFICATE section")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("is no PEM text ({error})")),
    }
}

/// The private key of a text.
pub fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| String::from("holds no PRIVATE KEY section that is not encrypted"))
}

/// Is the client certificate one, can the key sign, and do they belong together?
pub fn pair(certificate: &str, key: &str) -> Result<(), String> {
    let chain = certificates(certificate)?;
    match CertifiedKey::from_der(chain, private_key(key)?, &ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(String::from("is the certificate of another key than tls-key"))
        }
        Err(error) => Err(format!("cannot be used with tls-key ({error})")),
    }
}
