//! Group H: the port itself. What is no handshake, and handshakes that are begun and never ended: nobody else waits for them.

use coffer::store::Engine;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::garbage::Numbers;
use super::heads::pass;
use super::raw::{Raw, client, head};
use crate::support::vault::TestVault;

/// Handshakes that are left open at once.
const STALLED: usize = 300;
/// Changed beginnings of handshakes.
const CHANGED: usize = 400;

async fn connect(v: &TestVault) -> TcpStream {
    let stream = TcpStream::connect(v.address()).await;
    stream.expect("it listens")
}

/// What a client sends first, as it should be.
fn hello(v: &TestVault) -> Vec<u8> {
    let name = ServerName::from(v.address().ip());
    let client = ClientConnection::new(client(v, b"h2"), name);
    let mut bytes = Vec::new();
    let mut written = client.expect("a client");
    written.write_tls(&mut bytes).expect("it goes into memory");
    bytes
}

/// A record of TLS that says this length, whatever it holds.
fn record(kind: u8, length: u16, content: &[u8]) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    [&[kind, 3, 3, high, low], content].concat()
}

async fn is_served(v: &TestVault) {
    let mut raw = Raw::connect(v).await;
    let asked = head("GET", "/api/v1/tokens/self", &v.root);
    raw.send(format!("{asked}\r\n").as_bytes()).await;
    assert_eq!(raw.answer().await.expect("an answer").status, 200);
}

/// Bytes at the port that are no TLS, or nearly are: the connection ends, and the next one is served.
#[tokio::test]
async fn replay_h09_what_is_no_handshake() {
    let v = TestVault::new(Engine::Sqlite).await;
    let hello = hello(&v);
    assert!(hello.len() > 200, "a whole one");
    let mut sent = vec![
        b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        [&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10][..], &[7; 37]].concat(),
        vec![0; 20_000],
        vec![0xff; 20_000],
        record(22, 0, b""),
        record(22, 0xffff, &[0; 20_000]),
        record(22, 4, &[1, 0xff, 0xff, 0xff]),
        record(21, 2, &[2, 40]),
        record(21, 2, &[1, 0]).repeat(2_000),
        record(20, 1, &[1]).repeat(2_000),
        record(23, 16, &[0; 16]).repeat(100),
        record(24, 3, &[1, 0x40, 0]),
        hello.repeat(3),
        [&record(20, 1, &[1])[..], &hello].concat(),
    ];
    let mut numbers = Numbers::new(0x1d87_2b41_9c0e_55a3);
    for round in 0..CHANGED {
        let mut changed = hello.clone();
        if round % 4 == 0 {
            changed.truncate(numbers.below(hello.len()));
        }
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(changed.len().max(1));
            if let Some(byte) = changed.get_mut(at) {
                *byte = numbers.byte();
            }
        }
        sent.push(changed);
    }
    for bytes in &sent {
        let mut stream = connect(&v).await;
        // Whoever is cut off in the middle has sent enough.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        assert!(!said.starts_with(b"HTTP/") && said.len() < 16 << 10);
    }
    is_served(&v).await;
}

/// Handshakes of which nothing, or half, ever comes: others are accepted meanwhile, and after their time they are closed.
#[tokio::test]
async fn replay_h11_a_handshake_that_never_ends() {
    let v = TestVault::new(Engine::Sqlite).await;
    let hello = hello(&v);
    let mut stalled = Vec::new();
    for at in 0..STALLED {
        let mut stream = connect(&v).await;
        let begun = &hello[..at % 2 * hello.len() / 2];
        stream.write_all(begun).await.expect("it listens");
        stalled.push(stream);
    }
    is_served(&v).await;
    pass(6).await;
    for mut stream in stalled {
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        assert_eq!(said, b"", "there was nothing to say");
    }
    is_served(&v).await;
}
