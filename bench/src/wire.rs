//! HTTP/1.1 as the load generator speaks it: a request is a few bytes copied together, an answer a head and a length.
//! A general client costs more than the bare route does, and the generator would then be what is measured.
//!
//! Invariant: an answer that is not framed by `Content-Length` is an error, never a guess.

use std::net::SocketAddr;

use hyper::body::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::failure::{Context, Failure, Result};
use crate::tls::{self, Client};

/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// One connection, kept alive, with one request at a time.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    request: Vec<u8>,
    received: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub async fn open(client: &Client, address: SocketAddr) -> Result<Self> {
        Ok(Self {
            stream: client.connect(address).await?,
            request: Vec::with_capacity(1 << 10),
            received: Vec::with_capacity(4 << 10),
        })
    }

    /// Sends a request and reads its answer to the end; its status.
    pub async fn send(&mut self, asked: &Asked<'_>) -> Result<u16> {
        self.request.clear();
        asked.write(&mut self.request);
        let sent = self.stream.write_all(&self.request).await;
        sent.context("a request could not be sent")?;
        self.stream
            .flush()
            .await
            .context("a request could not be sent")?;
        self.received.clear();
        loop {
            if let Some(answer) = Answer::parse(&self.received)? {
                if self.received.len() > answer.bytes {
                    return Err(Failure::new("an answer is longer than it says"));
                }
                if self.received.len() == answer.bytes {
                    return Ok(answer.status);
                }
            }
            let read = self.stream.read_buf(&mut self.received).await;
            if read.context("an answer broke off")? == 0 {
                return Err(Failure::new("an answer broke off"));
            }
        }
    }
}

/// A request.
pub struct Asked<'a> {
    /// `GET` or `PUT`.
    pub method: &'static str,
    /// The path as it is sent.
    pub path: &'a str,
    /// After `Bearer `.
    pub token: &'a str,
    /// JSON, or nothing.
    pub body: &'a Bytes,
}

impl Asked<'_> {
    fn write(&self, into: &mut Vec<u8>) {
        for part in [
            self.method,
            " ",
            self.path,
            " HTTP/1.1\r\nhost: ",
            tls::HOST,
            "\r\nuser-agent: coffer-bench\r\nauthorization: Bearer ",
            self.token,
        ] {
            into.extend_from_slice(part.as_bytes());
        }
        if self.body.has_remaining() {
            into.extend_from_slice(b"\r\ncontent-type: application/json\r\ncontent-length: ");
            into.extend_from_slice(self.body.len().to_string().as_bytes());
        }
        into.extend_from_slice(HEAD_END);
        into.extend_from_slice(self.body);
    }
}

/// What an answer's head says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Head and body together.
    bytes: usize,
}

impl Answer {
    /// `None` while the head is not whole.
    fn parse(received: &[u8]) -> Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|four| four == HEAD_END) else {
            return match received.len() {
                0..HEAD_BYTES_MAX => Ok(None),
                _ => Err(Failure::new("an answer's head has no end")),
            };
        };
        let mut lines = received[..end].split(|byte| *byte == b'\n');
        let status = lines.next().and_then(status);
        let length = lines.find_map(content_length);
        match (status, length) {
            (Some(status), Some(length)) => Ok(Some(Self {
                status,
                bytes: end + HEAD_END.len() + length,
            })),
            _ => Err(Failure::new("an answer has no status or no length")),
        }
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn content_length(line: &[u8]) -> Option<usize> {
    let (name, value) = line.split_at_checked("content-length:".len())?;
    let value = name
        .eq_ignore_ascii_case(b"content-length:")
        .then_some(value)?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_framed_by_its_length() {
        let head = b"HTTP/1.1 201 Created\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n";
        let whole = Answer::parse(head).expect("a head").expect("whole");
        assert_eq!(
            whole,
            Answer {
                status: 201,
                bytes: head.len() + 5
            }
        );
        assert_eq!(Answer::parse(&head[..20]).expect("so far"), None);
        assert!(Answer::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Answer::parse(b"SSH-2.0\r\n\r\n").is_err());
        assert!(Answer::parse(&[b'x'; HEAD_BYTES_MAX]).is_err());
    }

    #[test]
    fn a_request_is_what_a_client_sends() {
        let mut text = Vec::new();
        let asked = Asked {
            method: "PUT",
            path: "/a",
            token: "t",
            body: &Bytes::from_static(b"{}"),
        };
        asked.write(&mut text);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "PUT /a HTTP/1.1\r\nhost: localhost\r\nuser-agent: coffer-bench\r\nauthorization: Bearer t\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        );
    }
}
