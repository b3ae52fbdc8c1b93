//! What windows call the settings. Sentences of the service name a setting by its key, as the command and programs do;
//! a person in front of a window knows the field's label instead.

/// A setting's label; an underscore stands before the letter that leads to its field by keyboard.
pub fn label(key: &str) -> Option<&'static str> {
    Some(match key {
        "aor" => "SIP _address",
        "display-name" => "Account _name",
        "auth-user" => "_User name",
        "password" => "_Password",
        "auto-register" => "_Register when the computer starts",
        "registrar" => "Re_gistrar",
        "outbound-proxy" => "_Outbound proxy",
        "transport" => "_Transport",
        "realm" => "Password only for real_m",
        "secret-storage" => "Password _is kept by",
        "expires" => "R_enew every (seconds)",
        "keepalive" => "_Keep-alive (seconds, or off)",
        "interface" => "Network inter_face",
        "dscp" => "_DSCP mark",
        "tls-ca" => "Trusted certificates",
        "tls-certificate" => "Own certificate",
        "tls-key" => "Own private key",
        "tls-pin" => "Pinned public key (SHA-256)",
        "headers" => "Additional _headers, one a line",
        "contact-params" => "Contact _parameters, one a line",
        _ => return None,
    })
}

/// A label without its keyboard mark.
pub fn plain(label: &str) -> String {
    label.replace('_', "")
}

/// A sentence of the service with labels instead of keys in its advice, which is what follows the last semicolon: in
/// what stands before, the same words are the server's or have their everyday meaning.
pub fn in_labels(sentence: &str) -> String {
    let Some((problem, advice)) = sentence.rsplit_once("; ") else { return sentence.to_owned() };
    let end_of_word = |one: char| !(one.is_ascii_lowercase() || one == '-');
    let words = advice.split_inclusive(end_of_word).map(|word| {
        let key = word.trim_end_matches(end_of_word);
        match label(key).filter(|_| key != "password") {
            Some(label) => format!("“{}”{}", plain(label), &word[key.len()..]),
            None => word.to_owned(),
        }
    });
    format!("{problem}; {}", words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advice_names_fields() {
        let said = "h (udp:h:5060) registrar: none; check registrar, outbound-proxy and transport, or a firewall between.";
        let told = "h (udp:h:5060) registrar: none; check “Registrar”, “Outbound proxy” and “Transport”, or a firewall \
                    between.";
        assert_eq!(in_labels(said), told);
        assert_eq!(
            in_labels("no; set the right password or auth-user."),
            "no; set the right password or “User name”."
        );
        assert_eq!(in_labels("a; b; check tls-pin"), "a; b; check “Pinned public key (SHA-256)”");
    }

    #[test]
    fn the_rest_stays_as_it_is() {
        for sentence in
            ["", "; ", "check registrar.", "It is forbidden; check the account with its provider.", "ä; ö-ü."]
        {
            assert_eq!(in_labels(sentence), sentence);
        }
    }
}
