//! A great many requests, each sent once, over several connections and no faster or slower than they are answered.
//! It goes through `wire.rs` and keeps no answer, so that a million secrets are written in about a minute.
//!
//! Invariant: every request was answered as it should be, or the run ends.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Bytes;

use crate::failure::{Context, Failure, Result};
use crate::tls::Client;
use crate::wire::{Asked, Wire};

/// Connections, each with one request at a time.
const CONNECTIONS: usize = 128;

/// One of many.
pub struct One {
    /// `GET` or `PUT`.
    pub method: &'static str,
    /// The path as it is sent.
    pub path: String,
    /// JSON, or nothing.
    pub body: Bytes,
}

/// Sends what `make` makes of each number, with this token.
pub async fn each(
    client: &Client,
    (address, token): (SocketAddr, &str),
    numbers: Range<usize>,
    make: impl Fn(usize) -> One + Clone + Send + 'static,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let connections: Vec<_> = (0..CONNECTIONS.min(numbers.len()))
        .map(|_| {
            let (client, token, next) = (client.clone(), token.to_owned(), Arc::clone(&next));
            let (make, end) = (make.clone(), numbers.end);
            tokio::spawn(async move {
                let mut wire = Wire::open(&client, address).await?;
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= end {
                        return Ok(());
                    }
                    let one = make(at);
                    let asked = Asked {
                        method: one.method,
                        path: &one.path,
                        token: &token,
                        body: &one.body,
                    };
                    let status = wire.send(&asked).await?;
                    if !matches!(status, 200 | 201) {
                        let (method, path) = (one.method, &one.path);
                        return Err(Failure(format!("{method} {path} was answered {status}")));
                    }
                }
            })
        })
        .collect();
    for connection in connections {
        connection.await.context("the set-up")??;
    }
    Ok(())
}
