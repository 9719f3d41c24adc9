//! What HTTP takes at most, each number with its unit.
//! Past a limit the answer is a 4xx or a 503 at once, or the connection ends; nothing grows without a bound.
//!
//! Invariant: whatever fits the model fits a body.

use std::time::Duration;

use crate::model::Fields;

/// A request's body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// A body where tokens are made or grants imported, in bytes.
pub const TOKEN_BODY_BYTES_MAX: usize = 64 << 10;
/// A body that is an empty object or hardly more, in bytes.
pub const EMPTY_BODY_BYTES_MAX: usize = 1 << 10;
/// From the first byte of a body to its last, however slowly they come.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// All bodies that are being read at once, in KiB.
pub const BODIES_KIB_MAX: usize = 64 << 10;
/// Those of one source, an address or a /64 of IPv6, in KiB.
pub const BODIES_PER_SOURCE_KIB_MAX: usize = BODIES_KIB_MAX / 8;
/// All answers that were not sent yet, in KiB.
pub const ANSWERS_KIB_MAX: usize = 512 << 10;
/// Those of one source, in KiB.
pub const ANSWERS_PER_SOURCE_KIB_MAX: usize = ANSWERS_KIB_MAX / 4;
/// Answers up to this long are bounded by the number of requests alone, so that what changes something is never refused
/// after it was done.
pub const ANSWER_BYTES_SMALL: usize = 2 * TOKEN_BODY_BYTES_MAX;
/// What a streamed answer counts for: the pieces of it that may be in memory at once.
pub const STREAM_KIB: usize = 8 << 10;
/// Objects and arrays within one another.
pub const JSON_DEPTH_MAX: usize = 32;
/// Keys of all objects of a body together.
pub const JSON_KEYS_MAX: usize = 1_024;

/// A request's line and headers, in bytes.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
pub const HEADERS_MAX: usize = 64;
/// From a head's first byte, or the handshake for the first head, to its end (HTTP/1.1).
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// `Coffer-Metadata`, in bytes.
pub const METADATA_BYTES_MAX: usize = 512;
/// Keys of `Coffer-Metadata`.
pub const METADATA_KEYS_MAX: usize = 8;
/// `Idempotency-Key`, in bytes, without its quotation marks.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// How long who asks for an access token waits for a refresh.
pub const TOKEN_WAIT_MAX: Duration = Duration::from_secs(10);

/// A TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections from one address, or from one /64 of IPv6.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 2_048;
/// Connections in all, if the process may open so many files.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Requests of one HTTP/2 connection at once.
pub const STREAMS_MAX: u32 = 128;
/// Requests being answered at once.
pub const REQUESTS_MAX: usize = 8_192;
/// Those of one source, an address or a /64 of IPv6.
pub const REQUESTS_PER_SOURCE_MAX: usize = REQUESTS_MAX / 8;
/// A connection on which no request runs is ended after this time (HTTP/1.1).
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(120);
/// The same of HTTP/2, where it costs nobody a request: what was read last stays in a buffer until then.
pub const IDLE_STREAMS_TIME_MAX: Duration = Duration::from_secs(5);
/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// See [`PING_INTERVAL`].
pub const PING_TIME_MAX: Duration = Duration::from_secs(10);
/// What is thrown away of a client that goes on sending after its answer, in bytes, and how long it is waited for.
pub const LINGER_BYTES_MAX: usize = 4 << 20;
/// See [`LINGER_BYTES_MAX`].
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// From the wish to stop to the end of the last connection.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(Fields::VERSION_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(Fields::COUNT_MAX < JSON_KEYS_MAX);
const _: () = assert!(TOKEN_BODY_BYTES_MAX <= BODY_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX < BODIES_PER_SOURCE_KIB_MAX << 10);
const _: () = assert!(STREAMS_MAX as usize <= REQUESTS_PER_SOURCE_MAX);
const _: () = assert!(2 * BODY_BYTES_MAX < ANSWERS_PER_SOURCE_KIB_MAX << 10);
const _: () = assert!(BODY_BYTES_MAX < LINGER_BYTES_MAX);
