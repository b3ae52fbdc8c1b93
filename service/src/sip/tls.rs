//! TLS to a profile's server: whom it trusts, which name a certificate must carry (RFC 5922 with the wildcards of the
//! field), and why a handshake failed.
//!
//! Each connection gets a configuration of its own: no session and no verdict of one profile serves another.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

use crate::registration::{Failure, Target};
use crate::settings::{Settings, pem};

/// A handshake must be done within that time.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the system's roots are kept: an authority that was added is found soon, and a thousand profiles do not
/// read them a thousand times.
const ROOTS: Duration = Duration::from_secs(10);

/// Names of a certificate that are shown.
const NAMES_SHOWN: usize = 4;

/// The system's roots, read when they are needed.
#[derive(Default)]
pub struct SystemRoots {
    known: Mutex<Option<(Instant, Arc<RootCertStore>)>>,
}

impl SystemRoots {
    fn current(&self) -> Arc<RootCertStore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, roots)) = &*known
            && when.elapsed() < ROOTS
        {
            return roots.clone();
        }
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!("some of the system's certificate authorities cannot be read: {error}");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        let roots = Arc::new(roots);
        *known = Some((Instant::now(), roots.clone()));
        roots
    }
}

/// A stream that has been secured.
pub struct Secured {
    /// The stream.
    pub stream: TlsStream<TcpStream>,
    /// Whom it leads to: the names in its certificate and the pin of its key.
    pub peer: String,
}

/// Shakes hands over `stream`. `spoke_before`: this server has completed a handshake with this profile before, so
/// that its silence is a failure of the moment (E3) and not a server without TLS (E6).
pub async fn handshake(
    stream: TcpStream,
    target: &Target,
    settings: &Settings,
    roots: &SystemRoots,
    spoke_before: bool,
) -> Result<Secured, Failure> {
    let name = ServerName::try_from(target.host.clone()).map_err(|_| {
        Failure::TlsName(format!("{:?} is no name that a certificate can carry", target.host))
    })?;
    let connector = TlsConnector::from(Arc::new(config(settings, roots, &name)?));
    let quiet = |what: &str| {
        if spoke_before {
            Failure::Unreachable(format!("{what} during the TLS handshake"))
        } else {
            Failure::TlsProtocol(format!("{what} instead of answering in TLS"))
        }
    };
    match timeout(HANDSHAKE, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(describe);
            Ok(Secured { stream, peer: peer.unwrap_or_default() })
        }
        Ok(Err(error)) => Err(failure(&error).unwrap_or_else(|| quiet("the server closes the connection"))),
        Err(_) => Err(quiet("the server says nothing")),
    }
}

fn config(settings: &Settings, roots: &SystemRoots, name: &ServerName<'_>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let unusable = |key: &str, error: &dyn std::fmt::Display| {
        Failure::TlsUntrusted(format!("the setting cannot be used ({error}); check {key}"))
    };
    let trust = match (&settings.tls_pin, &settings.tls_ca) {
        (Some(pin), _) => Trust::Pin(pin.clone()),
        (None, Some(ca)) => {
            Trust::Authorities(pem::authorities(ca).map_err(|error| unusable("tls-ca", &error))?.into())
        }
        (None, None) => Trust::Authorities(roots.current()),
    };
    let verifier = Verifier { provider: provider.clone(), trust, name: name.to_owned() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("transport", &error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match (&settings.tls_certificate, &settings.tls_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain =
                pem::certificates(certificate).map_err(|error| unusable("tls-certificate", &error))?;
            let key = pem::private_key(key.reveal()).map_err(|error| unusable("tls-key", &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable("tls-certificate", &error))
        }
        (Some(_), None) => Err(unusable("tls-certificate", &"it needs tls-key")),
        (None, Some(_)) => Err(unusable("tls-key", &"it needs tls-certificate")),
    }
}

/// Who may vouch for the server.
#[derive(Debug)]
enum Trust {
    /// The server's own key, base64 SHA-256; nothing else is asked of the certificate.
    Pin(String),
    /// Those of `tls-ca`, else the system's.
    Authorities(Arc<RootCertStore>),
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = match &self.trust {
            Trust::Pin(wanted) => {
                let pin = pin(end_entity).unwrap_or_default();
                if pin == *wanted {
                    return Ok(ServerCertVerified::assertion());
                }
                return Err(Error::General(format!("{WRONG_PIN}{pin}")));
            }
            Trust::Authorities(roots) => roots,
        };
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        match verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms) {
            Err(error) if is_authoritys_own(&error) && is_among(roots, end_entity) => {}
            verified => verified?,
        }
        check_name(end_entity, &self.name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// How our own verifier says that the key is another one; the pin found follows.
const WRONG_PIN: &str = "the server's key has the pin ";

/// Is it refused as an authority's own? Its validity has been looked at before that.
fn is_authoritys_own(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Is the certificate that of a trusted authority itself, as the self-signed ones of many small servers are?
fn is_among(roots: &RootCertStore, certificate: &CertificateDer<'_>) -> bool {
    webpki::anchor_from_trusted_cert(certificate).is_ok_and(|own| {
        let same = |root: &TrustAnchor<'_>| {
            root.subject == own.subject && root.subject_public_key_info == own.subject_public_key_info
        };
        roots.roots.iter().any(same)
    })
}

/// A SAN of type DNS or IP as webpki reads it, or a SAN URI `sip:host` (RFC 5922 §7.1); the CN never.
fn check_name(certificate: &CertificateDer<'_>, name: &ServerName<'static>) -> Result<(), Error> {
    let malformed = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
    let parsed = EndEntityCert::try_from(certificate).map_err(malformed)?;
    let Err(mismatch) = parsed.verify_is_valid_for_subject_name(name) else { return Ok(()) };
    let host = name.to_str();
    if parsed.valid_uri_names().filter_map(sip_domain).any(|domain| domain.eq_ignore_ascii_case(&host)) {
        return Ok(());
    }
    let presented = match &mismatch {
        webpki::Error::CertNotValidForName(context) => {
            context.presented.iter().filter_map(|name| bare_name(name)).collect()
        }
        _ => names(&parsed),
    };
    Err(CertificateError::NotValidForNameContext { expected: name.clone(), presented }.into())
}

/// `DnsName("*.example.org")`, as webpki writes all that a certificate is for, without its wrapping. `None` where it
/// could not be shown.
fn bare_name(written: &str) -> Option<String> {
    let (_, name) = written.strip_suffix(')')?.split_once('(')?;
    let name = name.trim_matches('"');
    name.bytes().all(|byte| byte.is_ascii_graphic()).then(|| name.to_owned())
}

/// The host of a SAN URI; one with a user part names a person, not a domain (RFC 5922 §7.1).
fn sip_domain(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
    let host = rest.split([';', '?']).next().unwrap_or(rest);
    (is_sip && !host.contains('@')).then(|| host.trim_start_matches('[').trim_end_matches(']'))
}

fn names(certificate: &EndEntityCert<'_>) -> Vec<String> {
    certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned).collect()
}

fn pin(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    Some(STANDARD.encode(Sha256::digest(parsed.subject_public_key_info())))
}

/// `sip.example.org pin:BASE64`, as GetRegistration's `tls-peer` shows it.
fn describe(certificate: &CertificateDer<'_>) -> String {
    let names = EndEntityCert::try_from(certificate).map(|parsed| names(&parsed)).unwrap_or_default();
    let pin = pin(certificate).map(|pin| format!("pin:{pin}"));
    names.into_iter().take(NAMES_SHOWN).chain(pin).collect::<Vec<_>>().join(" ")
}

/// What an error of a secured stream means; `None` where it says nothing of TLS.
pub fn failure(error: &io::Error) -> Option<Failure> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(problem) => certificate_failure(problem),
        Error::General(text) if text.starts_with(WRONG_PIN) => {
            Failure::TlsUntrusted(format!("{text}, not the one that is set; check tls-pin"))
        }
        Error::AlertReceived(alert) => alert_failure(*alert),
        Error::NoCertificatesPresented => {
            Failure::TlsUntrusted(String::from("the server shows no certificate; check the port"))
        }
        Error::InvalidMessage(_) => Failure::TlsProtocol(String::from("the server's answer is no TLS")),
        Error::PeerIncompatible(_) => {
            Failure::TlsProtocol(String::from("the server speaks no TLS of version 1.2 or later"))
        }
        other => Failure::TlsProtocol(format!("the TLS handshake failed ({other})")),
    })
}

fn certificate_failure(problem: &CertificateError) -> Failure {
    match problem {
        CertificateError::NotValidForNameContext { expected, presented } => Failure::TlsName(format!(
            "the certificate is for another name: expected {}, got {}",
            expected.to_str(),
            first_of(presented),
        )),
        CertificateError::NotValidForName => {
            Failure::TlsName(String::from("the certificate is for another name"))
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            Failure::TlsExpired(format!("the certificate has expired, on {}", date(*not_after)))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            Failure::TlsExpired(format!("the certificate is not valid before {}", date(*not_before)))
        }
        CertificateError::Expired => Failure::TlsExpired(String::from("the certificate has expired")),
        CertificateError::NotValidYet => {
            Failure::TlsExpired(String::from("the certificate is not valid yet"))
        }
        // A bad signature: another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Failure::TlsUntrusted(
            String::from("the issuer of the server's certificate is unknown; check tls-ca, or set tls-pin"),
        ),
        other => Failure::TlsUntrusted(format!(
            "the server's certificate does not verify ({other}); check tls-ca, or set tls-pin"
        )),
    }
}

/// The first names of a certificate that may carry hundreds.
fn first_of(names: &[String]) -> String {
    if names.is_empty() {
        return String::from("none");
    }
    let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN { format!("{shown} and {} more", names.len() - NAMES_SHOWN) } else { shown }
}

/// What the server holds against us. Alerts about certificates are about the one that we showed, or did not.
fn alert_failure(alert: AlertDescription) -> Failure {
    use AlertDescription as Alert;
    match alert {
        Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            Failure::TlsProtocol(format!("the server speaks no TLS of version 1.2 or later ({alert:?})"))
        }
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::DecryptError
        | Alert::AccessDenied => Failure::TlsUntrusted(format!(
            "the server wants another client certificate ({alert:?}); check tls-certificate and tls-key"
        )),
        other => Failure::TlsProtocol(format!(
            "the server refuses the TLS handshake ({other:?}); it may want a client certificate"
        )),
    }
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(
        || String::from("a date out of range"),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}
