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
    /// A message that is not to be taken, and why; [`Passing`] lets it go by.
    Unfit(&'static str),
}

/// Looks at the front of `bytes`.
pub fn next(bytes: &[u8]) -> Next {
    let line_ends = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if line_ends > 0 {
        return Next::LineEnds(line_ends);
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > wire::LONGEST { Next::Unfit("header past 64 KiB") } else { Next::More };
    };
    let Some(head) = wire::text(&bytes[..end + 4]) else {
        return Next::Unfit("unreadable header");
    };
    let Some(body) = wire::body_length(&head) else {
        return Next::Unfit("Content-Length that makes no sense");
    };
    let whole = end + 4 + body;
    if whole > wire::LONGEST {
        return Next::Unfit("message past 64 KiB");
    }
    if bytes.len() < whole { Next::More } else { Next::Message(whole) }
}

/// A body that goes by is not longer than this: who says so is not understood.
const LONGEST_PASSING: usize = 1024 * 1024;
/// So much of a line tells whether it is a Content-Length.
const LINE: usize = 100;

/// A message that goes by without being kept, so that the one behind it is found.
#[derive(Debug, Default)]
pub struct Passing {
    /// The line at hand, cut off.
    line: Vec<u8>,
    last: u8,
    content_length: Option<usize>,
    /// What is left of the body, once the header is over.
    body: Option<usize>,
}

impl Passing {
    /// How many of `bytes` belong to the message. An error where its end cannot be known.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut passed = 0;
        while self.body.is_none() && passed < bytes.len() {
            self.header_byte(bytes[passed])?;
            passed += 1;
        }
        let Some(body) = &mut self.body else { return Ok(passed) };
        let more = (bytes.len() - passed).min(*body);
        *body -= more;
        Ok(passed + more)
    }

    /// Has all of it gone by?
    pub fn is_over(&self) -> bool {
        self.body == Some(0)
    }

    fn header_byte(&mut self, byte: u8) -> Result<(), &'static str> {
        let ends_line = (self.last, byte) == (b'\r', b'\n');
        self.last = byte;
        if !ends_line {
            if self.line.len() < LINE {
                self.line.push(byte);
            }
            return Ok(());
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line == "\r" {
            self.body = Some(self.content_length.unwrap_or(0));
        } else if let Some((name, value)) = line.split_once(':')
            && wire::long_name(name.trim()).eq_ignore_ascii_case("Content-Length")
        {
            let length = value.trim().parse().ok().filter(|length| *length <= LONGEST_PASSING);
            if length.is_none() || self.content_length.is_some() {
                return Err("Content-Length that makes no sense");
            }
            self.content_length = length;
        }
        Ok(())
    }
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

    /// How much of `bytes` goes by when it comes in pieces of `size`.
    fn gone_by(bytes: &[u8], size: usize) -> Result<usize, &'static str> {
        let mut passing = Passing::default();
        let mut passed = 0;
        for piece in bytes.chunks(size) {
            let length = passing.pass(piece)?;
            passed += length;
            if passing.is_over() {
                break;
            }
            assert_eq!(length, piece.len());
        }
        assert!(passing.is_over());
        Ok(passed)
    }

    #[test]
    fn what_is_unfit_goes_by_whole() {
        let long = "x".repeat(wire::LONGEST);
        for message in [
            format!("OPTIONS sip:a@b SIP/2.0\r\nX: {long}\r\nl: 3\r\n\r\na\r\n"),
            format!("OPTIONS sip:a@b SIP/2.0\r\nContent-Length : {}\r\n\r\n{long}", long.len()),
            String::from("OPTIONS sip:a@b SIP/2.0\r\nX: \0\rY:\nl: 9\r\nL: 4\r\n\r\n\r\n\r\n"),
        ] {
            assert!(matches!(next(message.as_bytes()), Next::Unfit(_)));
            let behind = format!("{message}SIP/2.0 200 OK\r\n\r\n");
            for size in [1, 7, 4096, behind.len()] {
                assert_eq!(gone_by(behind.as_bytes(), size), Ok(message.len()));
            }
        }
    }

    #[test]
    fn what_has_no_known_end_is_refused() {
        for length in ["-1", "99999999", "x", "", "1\r\nl: 1"] {
            let message = format!("SIP/2.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
            assert!(matches!(next(message.as_bytes()), Next::Unfit(_)));
            assert!(gone_by(message.as_bytes(), 9).is_err(), "{length}");
        }
    }
}
