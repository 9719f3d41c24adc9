//! Advisory H8: floods of HTTP/2 frames, written by hand. Each ends with its own connection, or is held back by it, and others
//! are served while it goes on.

use coffer::store::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::raw::{HERE, Raw, head, tls};
use crate::support::vault::TestVault;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// A server that takes so many of one kind takes them for ever.
const FRAMES_MAX: u32 = 100_000;

/// A frame (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("it is short")
        .to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head in HPACK, each field written out: a method of the static table, a path, and whoever is asked.
fn fields(method: u8, path: &str) -> Vec<u8> {
    let text = |text: &str| {
        [
            &[u8::try_from(text.len()).expect("it is short")],
            text.as_bytes(),
        ]
        .concat()
    };
    [
        &[method, 0x87, 0x04][..],
        &text(path),
        &[0x01],
        &text("story"),
    ]
    .concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;
const LIVE: &str = "/health/live";

/// The next frames of a flood, by their number.
type Flood = fn(u32) -> Vec<u8>;

/// Streams that a client begins have odd numbers.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

fn first(number: u32, first: Vec<u8>, others: Vec<u8>) -> Vec<u8> {
    if number == 0 { first } else { others }
}

/// What is flooded, and whether the server ends it (what it does not, it reads no faster than it answers).
const FLOODS: [(&str, Flood, bool); 11] = [
    (
        "a head without an end",
        |number| {
            let begun = frame(HEADERS, 0, 1, &fields(GET, LIVE));
            first(number, begun, frame(CONTINUATION, 0, 1, &[b'x'; 1_000]))
        },
        true,
    ),
    (
        "a head of empty pieces",
        |number| {
            let begun = frame(HEADERS, 0, 1, &fields(GET, LIVE));
            first(number, begun, frame(CONTINUATION, 0, 1, b""))
        },
        true,
    ),
    (
        "a body of empty pieces",
        |number| {
            let begun = frame(HEADERS, END_HEADERS, 1, &fields(POST, "/api/v1/tokens"));
            first(number, begun, frame(DATA, 0, 1, b""))
        },
        true,
    ),
    (
        "more than the window",
        |number| {
            let begun = frame(HEADERS, END_HEADERS, 1, &fields(POST, "/api/v1/tokens"));
            first(number, begun, frame(DATA, 0, 1, &[b' '; 16_000]))
        },
        true,
    ),
    (
        "streams begun and never ended",
        |number| {
            frame(
                HEADERS,
                END_HEADERS,
                stream(number),
                &fields(POST, "/api/v1/tokens"),
            )
        },
        false,
    ),
    (
        "streams begun and reset",
        |number| {
            let begun = frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream(number),
                &fields(GET, LIVE),
            );
            [begun, frame(RESET, 0, stream(number), &[0, 0, 0, 8])].concat()
        },
        false,
    ),
    (
        "streams that the server has to reset",
        |number| {
            let begun = frame(HEADERS, END_HEADERS, stream(number), &fields(POST, LIVE));
            [begun, frame(WINDOW, 0, stream(number), &[0; 4])].concat()
        },
        true,
    ),
    (
        "settings",
        |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]),
        false,
    ),
    ("pings", |_| frame(PING, 0, 0, &[7; 8]), false),
    (
        "priorities",
        |number| frame(PRIORITY, 0, stream(number), &[0, 0, 0, 0, 1]),
        false,
    ),
    (
        "frames that nobody knows",
        |_| frame(0xbe, 0, 0, &[7; 100]),
        false,
    ),
];

/// A connection that has begun as it should.
async fn begin(
    v: &TestVault,
) -> (
    ReadHalf<TlsStream<TcpStream>>,
    WriteHalf<TlsStream<TcpStream>>,
) {
    let (read, mut write) = split(tls(v, HERE, b"h2").await);
    let begun = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(SETTINGS, 0, 0, b""),
    ]
    .concat();
    write.write_all(&begun).await.expect("it speaks HTTP/2");
    (read, write)
}

/// Writes frames until the server is gone, or for ever: how many were taken.
async fn pour(mut write: WriteHalf<TlsStream<TcpStream>>, flood: Flood) -> u32 {
    for number in 0..FRAMES_MAX {
        let sent = write.write_all(&flood(number)).await;
        if sent.is_err() || write.flush().await.is_err() {
            return number;
        }
    }
    FRAMES_MAX
}

async fn is_served(v: &TestVault, while_: &str) {
    let mut raw = Raw::connect(v).await;
    let asked = head("GET", "/api/v1/tokens/self", &v.root);
    raw.send(format!("{asked}\r\n").as_bytes()).await;
    assert_eq!(
        raw.answer().await.expect("an answer").status,
        200,
        "{while_}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h08_floods_of_frames() {
    let v = TestVault::new(Engine::Sqlite).await;
    for (what, flood, ends) in FLOODS {
        let mut pouring = JoinSet::new();
        let mut unread = Vec::new();
        for _ in 0..3 {
            let (mut read, write) = begin(&v).await;
            pouring.spawn(pour(write, flood));
            if ends {
                // What the server says before it goes is read, so that it is not held back by it.
                tokio::spawn(
                    async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await },
                );
            } else {
                unread.push(read);
            }
        }
        for _ in 0..5 {
            is_served(&v, what).await;
        }
        if ends {
            while let Some(taken) = pouring.join_next().await {
                let taken = taken.expect("no panic");
                assert!(taken < FRAMES_MAX, "{what}: all {taken} were taken");
            }
        }
        pouring.shutdown().await;
        is_served(&v, what).await;
    }
}

/// A window of nothing: answers that are never read hold their own connection, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h08_a_window_of_nothing() {
    let v = TestVault::new(Engine::Sqlite).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let (mut read, mut write) = begin(&v).await;
        // SETTINGS_INITIAL_WINDOW_SIZE of 0 (RFC 9113, 6.5.2).
        let mut sent = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        for number in 0..100 {
            sent.extend(frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream(number),
                &fields(GET, "/nothing"),
            ));
        }
        write.write_all(&sent).await.expect("it is taken");
        write.flush().await.expect("it is taken");
        read.read_u8().await.expect("the server answers");
        held.push((read, write));
    }
    is_served(&v, "answers wait").await;
}
