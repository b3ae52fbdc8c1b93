use super::*;
use crate::registration::challenge::usable;

fn challenge(text: &str) -> Challenge {
    usable([text].into_iter()).remove(0)
}

fn value_of(header: &str, name: &str) -> String {
    let after = header.split(&format!("{name}=\"")).nth(1).expect("the parameter is there");
    after.split('"').next().unwrap_or_default().to_owned()
}

/// RFC 7616 §3.9.1, with GET replaced by hashing the method ourselves.
#[test]
fn rfc_7616_example_md5_and_sha_256() {
    let secret = Secret::new("Circle of Life");
    for (algorithm, expected) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let challenge = challenge(&format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        ));
        let login = Login { user: "Mufasa", password: &secret, uri: "/dir/index.html", count: 1 };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        assert_eq!(response(&challenge, &login, "Mufasa", "GET", cnonce), expected);
    }
}

/// RFC 2617 §3.5 without qop is RFC 2069's calculation.
#[test]
fn without_qop_no_cnonce_is_sent() {
    let secret = Secret::new("zanzibar");
    let challenge = challenge("Digest realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"");
    let login = Login { user: "bob", password: &secret, uri: "sip:biloxi.com", count: 1 };
    let header = credentials_with(&challenge, &login, "unused");
    assert!(!header.contains("cnonce") && !header.contains("nc=") && !header.contains("algorithm"));
    let ha1 = Algorithm::MD5.hex("bob:biloxi.com:zanzibar");
    let ha2 = Algorithm::MD5.hex("REGISTER:sip:biloxi.com");
    let expected = Algorithm::MD5.hex(&format!("{ha1}:dcd98b7102dd2f0e8b11d0f600bfb0c093:{ha2}"));
    assert_eq!(value_of(&header, "response"), expected);
}

#[test]
fn qop_and_count_are_unquoted_and_opaque_comes_back() {
    let secret = Secret::new("p");
    let challenge = challenge(
        "Digest realm=\"a\\\"b\", nonce=\"n,=1\", qop=\"auth\", opaque=\"\", algorithm=SHA-256-sess",
    );
    let login = Login { user: "u\"x", password: &secret, uri: "sip:h", count: 17 };
    let header = credentials_with(&challenge, &login, "c");
    assert!(header.contains("qop=auth, nc=00000011"), "{header}");
    assert!(header.contains("opaque=\"\""), "{header}");
    assert!(header.contains("realm=\"a\\\"b\""), "{header}");
    assert!(header.contains("nonce=\"n,=1\""), "{header}");
    assert!(header.contains("username=\"u\\\"x\""), "{header}");
    assert!(!header.contains("Secret"));
}

#[test]
fn the_topmost_supported_challenge_of_a_realm_is_taken() {
    let all = usable(
        [
            "Basic realm=\"x\", Digest realm=\"x\", nonce=\"1\", algorithm=SHA-999",
            "Digest realm=\"x\", nonce=\"2\", algorithm=SHA-256, qop=\"auth,auth-int\", Digest realm=\"x\", nonce=\"3\"",
            "Digest realm=\"y\", nonce=\"4\", qop=\"token\"",
            "digest REALM=\"z\", Nonce=\"5\", stale=TRUE",
        ]
        .into_iter(),
    );
    let found: Vec<_> = all.iter().map(|one| (one.realm.as_str(), one.nonce.as_str(), one.stale)).collect();
    assert_eq!(found, [("x", "2", false), ("z", "5", true)]);
}

#[test]
fn a_value_that_cannot_be_echoed_between_quotes_is_none() {
    for value in ["Digest realm=\"r\", nonce=\"a\rb\"", "Digest realm=r\"x, nonce=n"] {
        assert_eq!(usable([value].into_iter()), Vec::new(), "{value:?}");
    }
    let odd = usable(["Digest realm=\"a\\\"b\", nonce=\"n\", opaque=\"x\"\ry"].into_iter());
    assert_eq!(
        (odd[0].realm.as_str(), &odd[0].opaque),
        ("a\\\"b", &None),
        "an opaque that is none is not echoed"
    );
}
