//! Texts of others, made fit to stand in sentences of ours.

use sip_profiles::shorten::shortened;

/// Letters of a name that are shown: a menu that is wider than the screen hides what stands behind the name.
const NAME: usize = 80;

/// A name from outside in a sentence of ours: what it contains cannot turn the rest around. The mark before it says
/// which way the sentence runs: Pango takes the first letter's, isolated or not.
pub fn isolated(name: &str) -> String {
    let plain: String = name.chars().filter(|&one| !is_layout(one) && !one.is_control()).collect();
    let plain = shortened(&plain, NAME);
    if plain.chars().any(is_right_to_left) { format!("\u{200e}\u{2068}{plain}\u{2069}") } else { plain }
}

/// A server without the transport that the service puts in front.
pub fn host(server: &str) -> &str {
    ["udp:", "tcp:", "tls:"].iter().find_map(|transport| server.strip_prefix(transport)).unwrap_or(server)
}

/// Plain text where markup is understood.
pub fn markup(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Marks that change the direction or the line of all that follows.
fn is_layout(one: char) -> bool {
    matches!(one, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_right_to_left(one: char) -> bool {
    matches!(one, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// A name that another profile has as well, told apart by its address.
pub fn name_and_address(name: &str, aor: &str) -> String {
    let address = aor.strip_prefix("sip:").unwrap_or(aor);
    format!("{} ({})", shortened(name, NAME / 2 - 3), shortened(address, NAME / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_turn_the_sentence_around() {
        assert_eq!(isolated("Home"), "Home");
        assert_eq!(isolated("ab\u{202e}cd\n\u{2028}e"), "abcde");
        assert_eq!(isolated("בית"), "\u{200e}\u{2068}בית\u{2069}");
    }

    #[test]
    fn a_long_name_leaves_room_for_what_is_said_about_it() {
        let (one, other) = (format!("{}1", "ä".repeat(1023)), format!("{}2", "ä".repeat(1023)));
        assert_eq!(isolated(&one).chars().count(), NAME);
        assert_ne!(isolated(&one), isolated(&other));
        assert_eq!(isolated(&"x".repeat(NAME)), "x".repeat(NAME));
        let told_apart = name_and_address(&one, &format!("sip:{}@a", "b".repeat(900)));
        assert_eq!(told_apart.chars().count(), NAME);
        assert_eq!(isolated(&told_apart), told_apart);
        assert!(told_apart.contains("…ää") && told_apart.ends_with("b@a)"), "{told_apart}");
    }
}
