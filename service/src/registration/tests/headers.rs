//! Reading header values tolerantly.

use proptest::prelude::*;

use crate::registration::challenge;
use crate::registration::headers::{NameAddr, clean, leading_number, split};

#[test]
fn contacts_are_cut_at_commas_outside_of_quotes_and_brackets() {
    let value = r#""A, \"B" <sip:a,b@h>;expires=1, sip:c@h;q=1 , , <sip:d@h>"#;
    let uris: Vec<_> = split(value, ',').filter_map(NameAddr::parse).map(|one| one.uri).collect();
    assert_eq!(uris, ["sip:a,b@h", "sip:c@h", "sip:d@h"]);
}

#[test]
fn numbers_tolerate_comments_and_parameters_but_no_nonsense() {
    for (text, number) in [
        ("120", Some(120)),
        (" 18000 ; duration=3600", Some(18000)),
        ("5 (busy)", Some(5)),
        ("5(busy)", Some(5)),
        ("5s", None),
        ("-5", None),
        ("5.5", None),
        ("", None),
        ("99999999999999999999999", None),
    ] {
        assert_eq!(leading_number(text), number, "{text}");
    }
}

#[test]
fn an_empty_qop_is_none() {
    let found = challenge::usable(["Digest realm=\"r\", nonce=\"n\", qop=\"\""].into_iter());
    assert_eq!(found[0].qop, None);
}

proptest! {
    /// Nothing from the network breaks a reader.
    #[test]
    fn any_text_is_read_without_breaking(text in "[ -~\u{e9}\"<>,;=\\\\]{0,60}") {
        for piece in split(&text, ',') {
            if let Some(one) = NameAddr::parse(piece) {
                let _ = one.param("expires");
            }
        }
        let _ = challenge::usable([text.as_str()].into_iter());
        let _ = challenge::next_nonce(&text);
        let _ = leading_number(&text);
        prop_assert!(clean(&text).chars().count() <= 80);
    }
}
