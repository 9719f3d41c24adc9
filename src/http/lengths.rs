//! Whether a head names a length, found in its bytes as they arrive: a head with `Transfer-Encoding` as well says two
//! things about where its body ends, and by the time a request is made of it, hyper has dropped one of them
//! (RFC 9112, 6.3; advisory H3).
//!
//! Invariant: nothing is kept of a head but where in a line the search stands.

const NAME: &[u8] = b"content-length:";

/// The search through one head, however it is cut into pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lengths {
    /// Before the head's first byte; empty lines there are no part of it.
    Before,
    /// At the beginning of a line, or after as many bytes of the name.
    Name(usize),
    /// In the rest of a line.
    Line,
    /// Past the head, or it is one that need not be searched.
    Done,
}

impl Lengths {
    /// Looks at the next bytes; whether the name ends in them.
    pub(super) fn find(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        for byte in bytes {
            let lower = byte.to_ascii_lowercase();
            *self = match (*self, byte) {
                (Self::Done, _) => return found,
                (Self::Before, b'\r' | b'\n') => Self::Before,
                // `GET` takes no body, whichever way it ends; and it is what most requests are.
                (Self::Before, b'G') => Self::Done,
                (Self::Before, _) => Self::Line,
                (Self::Name(0), b'\n') => Self::Done,
                (Self::Name(0), b'\r') => Self::Name(0),
                (_, b'\n') => Self::Name(0),
                (Self::Name(at), _) if NAME[at] == lower => {
                    found |= at + 1 == NAME.len();
                    if at + 1 == NAME.len() {
                        Self::Line
                    } else {
                        Self::Name(at + 1)
                    }
                }
                (Self::Name(_) | Self::Line, _) => Self::Line,
            };
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &str) -> bool {
        let whole = Lengths::Before.find(head.as_bytes());
        let mut search = Lengths::Before;
        let mut piece = |byte| search.find(std::slice::from_ref(byte));
        let pieces = head
            .as_bytes()
            .iter()
            .fold(false, |found, byte| piece(byte) | found);
        assert_eq!(whole, pieces, "{head}");
        whole
    }

    #[test]
    fn a_length_is_found_wherever_it_stands() {
        for head in [
            "PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            "\r\n\r\nPUT / HTTP/1.1\r\nhost: a\r\nCONTENT-LENGTH:5\r\n\r\n",
            "PUT / HTTP/1.1\ncontent-length: 5\n\n",
            "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
        ] {
            assert!(found(head), "{head}");
        }
        for head in [
            "PUT / HTTP/1.1\r\nhost: a\r\n\r\ncontent-length: 5\r\n\r\n",
            "PUT /content-length: HTTP/1.1\r\nx-content-length: 5\r\ncontent-lengths: 5\r\n\r\n",
            "PUT / HTTP/1.1\r\nx: content-length: 5\r\ncontent-encoding: gzip\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 5\r\n\r\n",
        ] {
            assert!(!found(head), "{head}");
        }
    }
}
