//! Cutting a stream's bytes into messages (RFC 3261 §18.3). Pure.

use super::wire;

/// What stands at the front of a stream's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole message of so many bytes.
    Message(usize),
    /// So many line ends between messages.
    LineEnds(usize),
    /// Nothing whole yet.
    More,
    /// Nothing that can be cut into messages.
    Broken(&'static str),
}

/// Looks at the front of `bytes`.
pub fn next(bytes: &[u8]) -> Next {
    let line_ends = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if line_ends > 0 {
        return Next::LineEnds(line_ends);
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > wire::LONGEST { Next::Broken("header past 64 KiB") } else { Next::More };
    };
    let Some(head) = wire::text(&bytes[..end + 4]) else {
        return Next::Broken("unreadable header");
    };
    let Some(body) = wire::body_length(&head) else {
        return Next::Broken("Content-Length that makes no sense");
    };
    let whole = end + 4 + body;
    if whole > wire::LONGEST {
        return Next::Broken("message past 64 KiB");
    }
    if bytes.len() < whole { Next::More } else { Next::Message(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_cut_into_messages_wherever_they_are_torn() {
        let message = b"SIP/2.0 200 OK\r\nl: 4\r\n\r\nbody";
        for end in 1..message.len() {
            assert_eq!(next(&message[..end]), Next::More, "{end}");
        }
        assert_eq!(next(message), Next::Message(message.len()));
        let two = [&message[..], &message[..]].concat();
        assert_eq!(next(&two), Next::Message(message.len()));
    }

    #[test]
    fn line_ends_in_front_of_a_message_are_skipped() {
        assert_eq!(next(b"\r\nSIP/2.0 200 OK\r\n\r\n"), Next::LineEnds(2));
        assert_eq!(next(b"\r\n\r\n"), Next::LineEnds(4));
        assert_eq!(next(b""), Next::More);
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        assert!(matches!(next(b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n"), Next::Broken(_)));
        assert!(matches!(next(b"SIP/2.0 200 OK\r\nContent-Length: 99999999\r\n\r\n"), Next::Broken(_)));
        assert!(matches!(next(&vec![b'a'; wire::LONGEST + 1]), Next::Broken(_)));
    }
}
