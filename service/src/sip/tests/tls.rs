//! TLS: whom we trust, and how the failures tell themselves apart.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    fn issue_for(&self, name: &str) -> Identity {
        self.issue(|params| params.subject_alt_names.push(dns(name)))
    }
}

impl Identity {
    fn server(&self, wants_clients_of: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match wants_clients_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        Arc::new(builder.with_single_cert(self.chain.clone(), key).unwrap())
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

/// Serves TLS on loopback: answers each request with 200. Tells the names that were asked for (SNI).
async fn serve(config: Arc<ServerConfig>) -> (SocketAddr, mpsc::UnboundedReceiver<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, tell) = (TlsAcceptor::from(config.clone()), tell.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = tell.send(stream.get_ref().1.server_name().map(str::to_owned));
                let mut text = String::new();
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut chunk).await {
                    text.push_str(&String::from_utf8_lossy(&chunk[..length]));
                    if text.ends_with("\r\n\r\n") {
                        stream.write_all(ok_to(&text, "").as_bytes()).await.unwrap();
                        text.clear();
                    }
                }
            });
        }
    });
    (address, told)
}

fn secure(address: SocketAddr, host: &str) -> Target {
    Target { transport: Transport::Tls, address, host: host.to_owned() }
}

/// What comes of a REGISTER to `host` with these settings.
async fn outcome(address: SocketAddr, host: &str, values: &[(&str, &str)]) -> Result<Response, Failure> {
    let mut rig = Rig::with(values);
    rig.edge.send(1, 1, secure(address, host), request(1), rig.settings());
    loop {
        match rig.next().await {
            Input::Answer { response, .. } => return Ok(response),
            Input::Failed { failure, .. } => return Err(failure),
            _ => {}
        }
    }
}

#[tokio::test]
async fn own_authorities_vouch_and_the_host_is_named() {
    let authority = Authority::new();
    let (address, mut told) = serve(authority.issue_for("sip.example.org").server(None)).await;
    let response = outcome(address, "sip.example.org", &[("tls-ca", &authority.pem())]).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(told.recv().await.unwrap().as_deref(), Some("sip.example.org"));
    assert!(response.contact.ends_with(";transport=tls"), "{}", response.contact);
    assert!(response.tls_peer.starts_with("sip.example.org pin:"), "{}", response.tls_peer);
    let via = response.headers.iter().find(|(name, _)| name == "Via").unwrap();
    assert!(via.1.starts_with("SIP/2.0/TLS "), "{via:?}");
}

/// Many small servers have a certificate of their own making, which most tools mark as an authority's.
#[tokio::test]
async fn a_self_signed_certificate_is_trusted_where_it_is_the_authority_that_was_set() {
    let made = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec![String::from("sip.example.org")]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    };
    let (own, other) = (made(&|_| {}), made(&|_| {}));
    let (address, _) = serve(own.server(None)).await;
    let ask = async |host, ca: &str| outcome(address, host, &[("tls-ca", ca)]).await;
    assert_eq!(ask("sip.example.org", &own.pem).await.unwrap().status, 200);
    assert_eq!(ask("sip.example.org", &format!("{}{}", other.pem, own.pem)).await.unwrap().status, 200);
    assert!(matches!(ask("sip.example.org", &other.pem).await, Err(Failure::TlsUntrusted(_))));
    assert!(matches!(ask("sip.example.net", &own.pem).await, Err(Failure::TlsName(_))));

    let old = made(&|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let (address, _) = serve(old.server(None)).await;
    let failure = outcome(address, "sip.example.org", &[("tls-ca", &old.pem)]).await.unwrap_err();
    assert!(matches!(failure, Failure::TlsExpired(_)), "{failure:?}");
}

#[tokio::test]
async fn names_are_those_of_san_dns_uri_and_one_wildcard_and_never_cn() {
    let authority = Authority::new();
    let ca = authority.pem();
    for (san, host, good) in [
        (dns("*.example.org"), "sip.example.org", true),
        (dns("*.example.org"), "a.b.example.org", false),
        (dns("*.example.org"), "example.org", false),
        (uri("sip:example.org"), "example.org", true),
        (uri("sip:EXAMPLE.org"), "example.org", true),
        (uri("sip:alice@example.org"), "example.org", false),
        (uri("http:example.org"), "example.org", false),
        (SanType::IpAddress("127.0.0.1".parse().unwrap()), "127.0.0.1", true),
        (dns("other.example.org"), "127.0.0.1", false),
    ] {
        let (address, _told) = serve(
            authority
                .issue(|params| {
                    params.distinguished_name.push(DnType::CommonName, host);
                    params.subject_alt_names.push(san.clone());
                })
                .server(None),
        )
        .await;
        match (outcome(address, host, &[("tls-ca", &ca)]).await, good) {
            (Ok(_), true) => {}
            (Err(Failure::TlsName(why)), false) => {
                assert!(why.contains(&format!("expected {host}")), "{why}")
            }
            (other, _) => panic!("{san:?} for {host}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn e6_the_failures_tell_themselves_apart() {
    let (ours, other) = (Authority::new(), Authority::new());
    let ca = ours.pem();
    let (address, _told) = serve(other.issue_for("localhost").server(None)).await;
    match outcome(address, "localhost", &[("tls-ca", &ca)]).await {
        Err(Failure::TlsUntrusted(why)) => assert!(why.contains("issuer") && why.contains("tls-ca"), "{why}"),
        unexpected => panic!("{unexpected:?}"),
    }
    // Without settings, the system's authorities.
    assert!(matches!(outcome(address, "localhost", &[]).await, Err(Failure::TlsUntrusted(_))));

    for (san, shown) in [
        (dns("other.example.org"), "other.example.org"),
        (dns("*.example.org"), "*.example.org"),
        (SanType::IpAddress("192.0.2.1".parse().unwrap()), "192.0.2.1"),
        (uri("sip:example.org"), "sip:example.org"),
    ] {
        let identity = ours.issue(|params| params.subject_alt_names.push(san));
        let (address, _told) = serve(identity.server(None)).await;
        match outcome(address, "localhost", &[("tls-ca", &ca)]).await {
            Err(Failure::TlsName(why)) => {
                assert!(why.contains(&format!("expected localhost, got {shown}")), "{why}");
            }
            unexpected => panic!("{unexpected:?}"),
        }
    }

    let expired = ours.issue(|params| {
        params.subject_alt_names.push(dns("localhost"));
        params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    });
    let (address, _told) = serve(expired.server(None)).await;
    match outcome(address, "localhost", &[("tls-ca", &ca)]).await {
        Err(Failure::TlsExpired(why)) => assert!(why.contains("2020-02-29"), "{why}"),
        unexpected => panic!("{unexpected:?}"),
    }
}

/// A server that answers the first bytes with `answer`, and closes.
async fn blurt(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut chunk = [0; 4096];
            let _ = stream.read(&mut chunk).await;
            let _ = stream.write_all(answer).await;
        }
    });
    address
}

#[tokio::test]
async fn e6_what_is_no_tls_or_too_old_is_told_at_once() {
    // The last is the alert protocol_version (RFC 5246 §7.2).
    for answer in [&b"SIP/2.0 400 Bad Request\r\n\r\n"[..], b"", b"\x15\x03\x01\x00\x02\x02\x46"] {
        let address = blurt(answer).await;
        let outcome = outcome(address, "localhost", &[]).await;
        assert!(matches!(outcome, Err(Failure::TlsProtocol(_))), "{answer:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_pin_is_all_that_counts() {
    let (ours, other) = (Authority::new(), Authority::new());
    let expired = other.issue(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let (address, _told) = serve(expired.server(None)).await;
    let wrong = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let ca = ours.pem();
    let refusal = outcome(address, "localhost", &[("tls-pin", wrong), ("tls-ca", &ca)]).await;
    let Err(Failure::TlsUntrusted(why)) = refusal else { panic!("{refusal:?}") };
    // The error says the pin that the server has.
    let pin = why.split("has the pin ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    let response = outcome(address, "localhost", &[("tls-pin", &pin), ("tls-ca", &ca)]).await.unwrap();
    assert_eq!(response.tls_peer, format!("pin:{pin}"));
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (address, _told) = serve(ours.issue_for("localhost").server(Some(&ours))).await;
    let (good, bad) = (ours.issue_for("alice"), other.issue_for("alice"));
    let ca = ours.pem();
    let key = good.key.serialize_pem();
    let with_it = [("tls-ca", ca.as_str()), ("tls-certificate", &good.pem), ("tls-key", &key)];
    assert_eq!(outcome(address, "localhost", &with_it).await.unwrap().status, 200);

    let bad_key = bad.key.serialize_pem();
    let with_another = [("tls-ca", ca.as_str()), ("tls-certificate", &bad.pem), ("tls-key", &bad_key)];
    for values in [&with_another[..], &[("tls-ca", &ca)], &[("tls-ca", &ca), ("tls-certificate", &good.pem)]]
    {
        match outcome(address, "localhost", values).await {
            Err(Failure::TlsUntrusted(why)) => assert!(why.contains("check tls-certificate"), "{why}"),
            unexpected => panic!("{unexpected:?}"),
        }
    }
}

#[tokio::test]
async fn two_profiles_never_share_a_flow_nor_do_two_settings() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (address, mut told) = serve(ours.issue_for("localhost").server(None)).await;
    let mut rig = Rig::with(&[("tls-ca", &ours.pem())]);
    let server = secure(address, "localhost");
    for attempt in 1..=2 {
        rig.edge.send(1, attempt, server.clone(), request(1), rig.settings());
        assert_eq!(rig.answer().await.status, 200);
    }
    let distrustful = settings(&[("tls-ca", &other.pem())]);
    rig.edge.configure(2, distrustful.clone(), String::from("other"));
    rig.edge.send(2, 1, server.clone(), request(1), distrustful.clone());
    let Some(News::Registration { profile: 2, input: Input::Failed { failure, .. } }) = rig.news.recv().await
    else {
        panic!("the second profile registered over the first one's flow");
    };
    assert!(matches!(failure, Failure::TlsUntrusted(_)), "{failure:?}");
    // The first profile with the second one's settings.
    rig.edge.send(1, 3, server, request(1), distrustful);
    let failed = rig.next().await;
    assert!(matches!(failed, Input::Failed { failure: Failure::TlsUntrusted(_), .. }), "{failed:?}");
    assert!(told.recv().await.is_some() && told.try_recv().is_err(), "one handshake was completed");
}
