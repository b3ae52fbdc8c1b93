//! Texts of others where there is only so much room.

/// At most so many letters, the middle left out: names often differ only at one end.
pub fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let end = letters.len() - most / 3;
    let start = most - most / 3 - 1;
    letters[..start].iter().chain(&['…']).chain(&letters[end..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept() {
        assert_eq!(shortened("abcdefghijkl", 9), "abcde…jkl");
        assert_eq!(shortened("äbcdefghi", 9), "äbcdefghi");
        assert_eq!(shortened("", 9), "");
        for most in 1..9 {
            assert_eq!(shortened("abcdefghijkl", most).chars().count(), most);
        }
    }
}
