//! Which statements a client of PostgreSQL runs, read from the bytes on their way to the server (protocol 3).
//! A prepared statement's text is sent once and its name afterwards, so the texts are remembered.
//!
//! Invariant: it only looks; the bytes go on as they came.

use std::collections::HashMap;

/// The statements of one connection.
#[derive(Default)]
pub struct Statements {
    waiting: Vec<u8>,
    begun: bool,
    prepared: HashMap<Vec<u8>, Vec<u8>>,
}

/// The code in the place of a version that asks for TLS.
const TLS_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

impl Statements {
    /// The texts of the statements that these bytes complete.
    pub fn run_by(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.waiting.extend_from_slice(bytes);
        let mut run = Vec::new();
        while let Some((kind, message)) = self.next_message() {
            let mut parts = message.split(|byte| *byte == 0);
            let (first, second) = (parts.next(), parts.next());
            match (kind, first, second) {
                // Query: its text.
                (b'Q', Some(text), _) => run.push(text.to_vec()),
                // Parse: a name and a text.
                (b'P', Some(name), Some(text)) => {
                    self.prepared.insert(name.to_vec(), text.to_vec());
                }
                // Bind: a portal and a statement's name; Execute follows with the portal alone.
                (b'B', Some(_), Some(name)) => run.extend(self.prepared.get(name).cloned()),
                _ => {}
            }
        }
        run
    }

    /// The kind and content of the next whole message; those before the start have no kind.
    fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(self.begun);
        let length = self.waiting.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        let end = head + usize::try_from(length).expect("a length in memory");
        if self.waiting.len() < end {
            return None;
        }
        let message: Vec<u8> = self.waiting.drain(..end).collect();
        let content = message[head + 4..].to_vec();
        if self.begun {
            return Some((message[0], content));
        }
        self.begun = content[..4] != TLS_REQUEST;
        self.next_message()
    }
}

#[test]
fn a_prepared_statement_is_known_by_its_name() {
    let message = |kind: &[u8], content: &[u8]| {
        let length = u32::try_from(content.len() + 4)
            .expect("short")
            .to_be_bytes();
        [kind, &length, content].concat()
    };
    let mut statements = Statements::default();
    let start = [
        message(b"", &TLS_REQUEST),
        message(b"", b"\0\x03\0\0user\0coffer\0\0"),
        message(b"P", b"s1\0COMMIT\0\0\0"),
    ];
    assert_eq!(statements.run_by(&start.concat()), [""; 0].map(Vec::from));
    let bind = message(b"B", b"\0s1\0\0\0\0\0\0\0");
    assert_eq!(statements.run_by(&bind[..7]), [""; 0].map(Vec::from));
    assert_eq!(statements.run_by(&bind[7..]), [b"COMMIT".to_vec()]);
    assert_eq!(statements.run_by(&bind), [b"COMMIT".to_vec()]);
    assert_eq!(
        statements.run_by(&message(b"Q", b"BEGIN\0")),
        [b"BEGIN".to_vec()]
    );
}
