//! Every way of being asked for a password (RFC 7616, RFC 8760), at a registrar that checks each by itself.

use sip_profiles_tests::bus::{Bus, Options};
use sip_profiles_tests::client::{Client, Dict};
use sip_profiles_tests::registrar::{Behaviour, Registrar};
use zbus::Variant;

#[tokio::test]
async fn all_algorithms_and_qualities_register_refresh_and_deregister() {
    let bus = Bus::start(Options::default());
    let client = Client::connect(&bus).await;
    let algorithms = ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"];
    for algorithm in algorithms {
        for qop in ["auth", "auth-int", "auth,auth-int", ""] {
            // Without a quality there is no cnonce for -sess to hash (RFC 7616 §3.4.1).
            if qop.is_empty() && algorithm.ends_with("-sess") {
                continue;
            }
            let registrar = Registrar::start(Behaviour { algorithm, qop, ..Behaviour::default() }).await;
            let id = client
                .create(Dict::from([
                    ("aor", Variant::from("sip:alice@example.org")),
                    ("registrar", Variant::from(registrar.address().to_string())),
                    ("password", Variant::from("wonderland")),
                ]))
                .await
                .unwrap();
            assert_eq!(client.enable_and_wait(id).await.unwrap(), "registered", "{algorithm} {qop}");
            client.disable(id).await.unwrap();
            registrar
                .until("its end", |registrar| registrar.bindings("sip:alice@example.org").is_empty())
                .await;
            let requests = registrar.requests();
            assert_eq!(requests.len(), 3, "the nonce serves again: {algorithm} {qop}");
            let used = requests[1].message.credential("qop").unwrap_or_default();
            assert_eq!(used, if qop.starts_with("auth,") { "auth" } else { qop }, "{algorithm} {qop}");
        }
    }
}
